"""`to_async_iter`: the backlog between a source that pushes and a loop that pulls, and every way in which the loop may end."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import LiveClock, VirtualClock
from rxfeed.errors import Overflow
from rxfeed.feeds.replay import replay
from rxfeed.kernels.buffer import OnOverflow
from tests.builders import T0, frame, lines, tick, ticks
from tests.loops import run, settle


async def all_of(source: Any) -> list[Any]:
    return [element async for element in source]


async def hand(source: Any, note: Callable[[Any], object]) -> None:
    async for element in source:
        note(element)


def reading(source: Any) -> tuple[asyncio.Task[None], list[Any]]:
    """A task that iterates, and what it has got so far."""
    got: list[Any] = []
    return asyncio.create_task(hand(source, got.append)), got


def test_bars_of_a_replay() -> None:
    async def main() -> None:
        source = replay(ticks((0, 100), (30, 101), (61, 99)))
        bars = await all_of(source.pipe(ops.bars("1m"), ops.to_async_iter()))
        assert lines(bars) == ["A 1m 0: 100-101 x2 r0", "A 1m 60: 99-99 x1 r0 PARTIAL"]

    run(main)


def test_nothing_is_subscribed_to_before_the_first_element_is_asked_for() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        elements = source.pipe(ops.to_async_iter())
        assert source.observers == []
        loop = aiter(elements)
        assert source.observers == []
        task = asyncio.ensure_future(anext(loop))
        await settle(2)
        assert len(source.observers) == 1
        source.on_next(1)
        assert await task == 1
        del loop
        assert source.observers == []

    run(main)


@pytest.mark.parametrize(
    ("policy", "kept", "dropped"),
    [("drop_oldest", [3, 4], 2), ("drop_latest", [1, 2], 2), ("latest", [4], 3), ("error", [1, 2], 1)],
)
def test_what_a_loop_gets_that_could_not_keep_up(policy: OnOverflow, kept: list[int], dropped: int) -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        elements = source.pipe(ops.to_async_iter(2, policy))
        got: list[int] = []
        async with elements:
            for n in (1, 2, 3, 4):
                source.on_next(n)
            if policy == "error":
                assert source.observers == []  # no use in going on
            source.on_completed()
            if policy == "error":
                with pytest.raises(Overflow, match=r"^2 elements wait and one more came \(capacity=2\)"):
                    await hand(elements, got.append)
            else:
                got = await all_of(elements)
        assert got == kept
        stats = elements.stats
        assert (stats.dropped, stats.emitted, stats.pending) == (dropped, len(kept), 0)
        assert stats.received == stats.emitted + stats.dropped

    run(main)


def test_a_replay_that_is_more_than_the_capacity_says_what_to_do() -> None:
    rows = [tick(n, seq=n) for n in range(3_000)]

    async def main() -> None:
        got: list[Any] = []
        with pytest.raises(Overflow, match="a replay without speed=, needs a capacity for all of it"):
            await hand(replay(rows).pipe(ops.to_async_iter()), got.append)
        assert got == rows[:1_024]
        assert await all_of(replay(rows).pipe(ops.to_async_iter(capacity=1_000_000))) == rows

    run(main)


def test_a_replay_at_a_speed_needs_no_more_than_the_loop_is_behind() -> None:
    rows = [tick(n, seq=n) for n in range(3_000)]

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        stopped = loop.time()
        loop.time = lambda: stopped
        elements = replay(rows, speed=1e9, pace=LiveClock()).pipe(ops.to_async_iter())
        assert await all_of(elements) == rows
        assert elements.stats.high_water == 1_024

    run(main)


def test_an_error_comes_behind_the_backlog_and_once() -> None:
    async def main() -> None:
        wrong = ValueError("cut off")
        source: Subject[int] = Subject()
        async with source.pipe(ops.to_async_iter()) as elements:
            source.on_next(1)
            source.on_error(wrong)
            assert await anext(elements) == 1
            with pytest.raises(ValueError, match="cut off") as caught:
                await anext(elements)
            assert caught.value is wrong
            with pytest.raises(StopAsyncIteration):
                await anext(elements)

    run(main)


def test_an_error_of_subscribing_is_raised_in_the_loop() -> None:
    def refuse(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        raise KeyError("x")

    async def main() -> None:
        with pytest.raises(KeyError):
            await all_of(Observable(refuse).pipe(ops.to_async_iter()))

    run(main)


# --- the loop ends


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("how", ["break", "raise"])
def test_a_loop_that_is_left_lets_go_of_the_source_at_once(how: str, named: bool) -> None:
    async def main() -> None:
        source: Subject[int] = Subject()

        async def leave() -> None:
            elements = source.pipe(ops.to_async_iter())
            kept.append(elements if named else None)
            async for _ in elements if named else source.pipe(ops.to_async_iter()):
                assert len(source.observers) == 1
                if how == "raise":
                    raise ZeroDivisionError
                break
            assert source.observers == []

        kept: list[Any] = []
        task = asyncio.create_task(leave())
        await settle(2)
        source.on_next(1)
        source.on_next(2)
        await settle(2)
        assert source.observers == []
        assert isinstance(task.exception(), ZeroDivisionError if how == "raise" else type(None))
        if named:
            assert kept[0].stats[:4] == (2, 1, 1, 0)
            with pytest.raises(RuntimeError, match="is over, and its subscription with it; pipe the source again"):
                await all_of(kept[0])

    run(main)


@pytest.mark.parametrize("entered", [True, False])
@pytest.mark.parametrize("busy", [True, False])
def test_a_cancelled_consumer_lets_go_of_the_source(entered: bool, busy: bool) -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        elements = source.pipe(ops.to_async_iter())

        async def read() -> None:
            if entered:
                async with elements:
                    async for _ in elements:
                        await asyncio.Event().wait()
            else:
                async for _ in elements:
                    await asyncio.Event().wait()

        task = asyncio.create_task(read())
        await settle(2)
        if busy:
            source.on_next(1)
            source.on_next(2)
            await settle(2)
        task.cancel()
        await settle(2)
        assert task.cancelled()
        assert source.observers == []
        assert elements.stats.pending == 0

    run(main)


def test_an_element_that_comes_with_the_cancellation_is_not_lost_in_silence() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        async with source.pipe(ops.to_async_iter()) as elements:
            task = asyncio.ensure_future(anext(elements))
            await settle(2)
            source.on_next(1)
            task.cancel()
            await settle(2)
            assert task.cancelled()
            assert await anext(elements) == 1

    run(main)


def test_inside_async_with_a_wait_may_have_a_timeout_and_loops_go_on_one_after_another() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        async with source.pipe(ops.to_async_iter()) as elements:
            assert len(source.observers) == 1
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(elements)
            for n in range(4):
                source.on_next(n)
            async for n in elements:
                if n == 1:
                    break
            source.on_completed()
            assert await all_of(elements) == [2, 3]
            assert await all_of(elements) == []
        with pytest.raises(RuntimeError, match="is over"):
            aiter(elements)
        with pytest.raises(RuntimeError, match="is over"):
            await elements.__aenter__()

    run(main)


def test_aclose_ends_who_waits_and_drops_what_waits() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        elements = source.pipe(ops.to_async_iter())
        task, got = reading(elements)
        await settle(2)
        await elements.aclose()
        await settle(2)
        await task
        assert got == []
        assert source.observers == []
        await elements.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(elements)
        unused = source.pipe(ops.to_async_iter())
        await unused.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(unused)
        assert source.observers == []

    run(main)


def test_one_may_be_taken_before_the_loop() -> None:
    async def main() -> None:
        elements = rx.of(1, 2, 3).pipe(ops.to_async_iter())
        assert await anext(elements) == 1
        assert await all_of(elements) == [2, 3]

    run(main)


def test_two_loops_at_a_time_are_an_error_and_so_are_two_tasks() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        elements = source.pipe(ops.to_async_iter())
        task, got = reading(elements)
        await settle(2)
        with pytest.raises(RuntimeError, match="this to_async_iter has a loop already; pipe the source again, or keep it open"):
            await all_of(elements)
        with pytest.raises(RuntimeError, match="serves one task at a time, and another one is waiting"):
            await anext(elements)
        source.on_next(1)
        source.on_completed()
        await task
        assert got == [1]

    run(main)


def test_forgotten_open_it_warns_and_lets_go_of_the_source() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        elements = source.pipe(ops.to_async_iter())
        task = asyncio.ensure_future(anext(elements))
        await settle(2)
        source.on_next(1)
        assert await task == 1
        del task
        with pytest.warns(ResourceWarning, match="unclosed .*AsyncIter.*: use async for, async with or aclose"):
            del elements
        assert source.observers == []

    run(main)


def test_never_used_or_closed_it_does_not_warn() -> None:
    async def main() -> None:
        with warnings.catch_warnings(record=True) as warned:  # as an error it would be lost, in a __del__
            warnings.simplefilter("always")
            rx.never().pipe(ops.to_async_iter())
            async with rx.never().pipe(ops.to_async_iter()):
                pass
            async for _ in rx.of(1, 2).pipe(ops.to_async_iter()):
                break
            gc.collect()
        assert warned == []

    run(main)


def test_the_source_does_not_keep_a_forgotten_one_alive() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        gc.disable()
        try:
            task, _ = reading(source.pipe(ops.to_async_iter()))
            await settle(2)
            task.cancel()
            del task
            await settle(2)
            assert source.observers == []
        finally:
            gc.enable()

    run(main)


# --- the rest


def test_the_source_may_be_fed_and_ended_from_inside_the_loop() -> None:
    async def main() -> None:
        source: Subject[int] = Subject()
        got: list[int] = []
        async with source.pipe(ops.to_async_iter()) as elements:
            source.on_next(0)
            async for n in elements:
                got.append(n)
                source.on_next(n + 1) if n < 3 else source.on_completed()
        assert got == [0, 1, 2, 3]

    run(main)


def test_stats_count_frames_in_ticks_too() -> None:
    async def main() -> None:
        rows = ticks((0, 1), (1, 2), (2, 3))
        elements = rx.of(frame(rows), frame(rows[:1])).pipe(ops.to_async_iter())
        assert elements.stats == (0,) * 9
        async for _ in elements:
            assert elements.stats == (2, 1, 0, 1, 2, 4, 3, 0, 1)
            break
        assert elements.stats == (2, 1, 1, 0, 2, 4, 3, 1, 0)

    run(main)


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []

    def note(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observer.on_next(len(found))
        observer.on_completed()
        return Disposable()

    async def main() -> None:
        clock = VirtualClock(T0)
        end = ops.to_async_iter(scheduler=clock)
        first, second = end(Observable(note)), end(Observable(note))
        assert await all_of(first) == [1]
        assert await all_of(second) == [2]
        assert found == [clock.scheduler] * 2

    run(main)


def test_no_loop_is_a_clear_error() -> None:
    step = rx.of(1).pipe(ops.to_async_iter()).__anext__()
    with pytest.raises(RuntimeError, match="to_async_iter needs a running asyncio loop: use it in an async function"):
        step.send(None)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ops.to_async_iter(0), "capacity must be at least 1, got 0"),
        (lambda: ops.to_async_iter(overflow=WRONG), "'block' needs to know more"),
    ],
)
def test_refuses_bad_arguments_when_it_is_made(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


WRONG: Any = "block"


@pytest.mark.parametrize("seconds", [0.0, 0.000_6, 0.01])
def test_a_backlog_does_not_starve_the_loop(seconds: float) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        began, passed, in_turn, most = loop.time(), 0.0, 0, 0
        loop.time = lambda: began + passed

        async def read() -> None:
            nonlocal passed, in_turn, most
            async for _ in rx.range(0, 9_000).pipe(ops.to_async_iter(9_000)):
                passed += seconds
                in_turn += 1
                most = max(most, in_turn)

        task = asyncio.create_task(read())
        for _ in range(5):
            await asyncio.sleep(0)
            in_turn = 0
        task.cancel()
        await settle()
        assert most == {0.0: 4_096, 0.000_6: 4, 0.01: 1}[seconds]

    run(main)
