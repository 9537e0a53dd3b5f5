"""`subscribe_async`: handlers that await, one after another, in one task that leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.errors import Overflow
from rxfeed.kernels.buffer import OnOverflow
from tests.builders import Told, frame, ticks
from tests.loops import run, settle, tasks, until


class Handler:
    """Notes when it begins and ends an element, and waits in between until it is let go."""

    def __init__(self, *, waiting: bool = False) -> None:
        self.log: list[str] = []
        self.go = asyncio.Event()
        if not waiting:
            self.go.set()

    async def __call__(self, element: object) -> None:
        self.log.append(f"<{element}")
        try:
            await self.go.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.log.append(f"{element} cancelled")
            raise
        self.log.append(f"{element}>")


async def fail(_: object = None) -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def nothing(_: object = None) -> None: ...


def test_one_element_after_another_in_one_named_task() -> None:
    async def main() -> None:
        source, handler = Subject[int](), Handler()
        end = source.pipe(ops.subscribe_async(handler, name="save"))
        assert tasks() == ["rxfeed subscribe_async save"]
        assert len(source.observers) == 1
        for n in (1, 2, 3):
            source.on_next(n)
        assert handler.log == []
        source.on_completed()
        assert not end.is_disposed
        await end
        assert handler.log == ["<1", "1>", "<2", "2>", "<3", "3>"]
        assert end.is_disposed
        assert end.stats[:5] == (3, 3, 0, 0, 3)

    run(main)


def test_a_slow_handler_slows_only_itself() -> None:
    async def main() -> None:
        source, slow, got = Subject[int](), Handler(waiting=True), list[int]()
        end = source.pipe(ops.subscribe_async(slow, capacity=3, overflow="drop_oldest"))
        source.pipe(ops.subscribe(got.append))
        for n in range(10):
            source.on_next(n)
            await settle(2)
        assert got == list(range(10))
        assert slow.log == ["<0"]
        assert end.stats[:5] == (10, 1, 6, 3, 3)
        slow.go.set()
        source.on_completed()
        await end
        assert slow.log[2::2] == ["<7", "<8", "<9"]

    run(main)


@pytest.mark.parametrize(("policy", "kept"), [("drop_oldest", [3, 4]), ("drop_latest", [1, 2]), ("latest", [4])])
def test_what_overflows_goes_by_the_policy(policy: OnOverflow, kept: list[int]) -> None:
    async def main() -> None:
        got: list[int] = []

        async def note(n: int) -> None:
            got.append(n)

        end = rx.of(1, 2, 3, 4).pipe(ops.subscribe_async(note, capacity=2, overflow=policy))
        await end
        assert got == kept
        assert end.stats.received == end.stats.emitted + end.stats.dropped == 4

    run(main)


def test_an_overflow_ends_it_behind_the_backlog() -> None:
    async def main() -> None:
        handler, told = Handler(), Told()
        end = rx.of(1, 2, 3, 4).pipe(ops.subscribe_async(handler, capacity=2, name="save", report=told))
        with pytest.raises(Overflow, match="2 elements wait and one more came"):
            await end
        assert handler.log == ["<1", "1>", "<2", "2>"]
        assert told.brief == [("save", "source", "Overflow")]

    run(main)


# --- failures


@pytest.mark.parametrize("awaited", [True, False])
def test_a_raising_handler_ends_its_own_subscription_and_is_told_once(awaited: bool) -> None:
    async def main() -> None:
        source, told, got = Subject[int](), Told(), list[int]()
        end = source.pipe(ops.subscribe_async(fail, report=told))
        source.pipe(ops.subscribe(got.append))
        for n in (1, 2, 3):
            source.on_next(n)
        if awaited:
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    await end
        else:
            await settle()
        source.on_next(4)
        assert got == [1, 2, 3, 4]
        assert len(source.observers) == 1
        assert told.brief == [(f"{__name__}.fail", "on_next", "ZeroDivisionError")]
        assert told.failures[0].element == 1
        assert "in fail\n    raise ZeroDivisionError" in told.failures[0].traceback
        assert end.stats[:4] == (3, 1, 2, 0)
        assert end.is_disposed

    run(main)


@pytest.mark.parametrize("handled", [True, False])
def test_a_stream_s_error_is_told_or_goes_to_on_error_behind_the_backlog(handled: bool) -> None:
    async def main() -> None:
        wrong, told, source, log = ValueError("x"), Told(), Subject[int](), list[Any]()

        async def note(n: int) -> None:
            log.append(n)

        end = source.pipe(ops.subscribe_async(note, on_error=log.append if handled else None, name="s", report=told))
        source.on_next(1)
        source.on_error(wrong)
        with pytest.raises(ValueError, match="x") as caught:
            await end
        assert caught.value is wrong
        assert log == ([1, wrong] if handled else [1])
        assert told.brief == ([] if handled else [("s", "source", "ValueError")])

    run(main)


def test_the_handlers_of_the_end_may_be_async_too() -> None:
    async def main() -> None:
        log: list[Any] = []

        async def note(*what: object) -> None:
            await asyncio.sleep(0)
            log.append(what)

        await rx.empty().pipe(ops.subscribe_async(nothing, on_completed=note))
        wrong = ValueError("x")
        with pytest.raises(ValueError, match="x"):
            await rx.throw(wrong).pipe(ops.subscribe_async(nothing, on_error=note))
        assert log == [(), (wrong,)]

    run(main)


def test_handlers_of_the_end_that_raise_are_told() -> None:
    async def main() -> None:
        told = Told()
        with pytest.raises(ZeroDivisionError):
            await rx.empty().pipe(ops.subscribe_async(nothing, on_completed=fail, name="a", report=told))
        with pytest.raises(ZeroDivisionError):
            await rx.throw(ValueError("cut")).pipe(ops.subscribe_async(nothing, on_error=fail, name="b", report=told))

        def again(error: Exception) -> None:
            raise error

        with pytest.raises(ValueError, match="cut"):
            await rx.throw(ValueError("cut")).pipe(ops.subscribe_async(nothing, on_error=again, name="c", report=told))
        assert told.brief == [
            ("a", "on_completed", "ZeroDivisionError"), ("b", "on_error", "ZeroDivisionError"), ("c", "on_error", "ValueError"),
        ]  # fmt: skip
        assert "ValueError: cut" in told.failures[1].traceback

    run(main)


def test_a_handler_that_gives_nothing_to_await_is_told() -> None:
    async def main() -> None:
        told, wrong = Told(), list[int]()
        handler: Any = wrong.append
        with pytest.raises(TypeError, match="NoneType"):
            await rx.of(1, 2).pipe(ops.subscribe_async(handler, report=told))
        assert told.brief == [("list.append", "on_next", "TypeError")]
        assert wrong == [1]

    run(main)


def test_a_handler_whose_await_was_cancelled_is_a_failure_and_not_silence() -> None:
    async def main() -> None:
        source, told = Subject[int](), Told()
        other = asyncio.ensure_future(asyncio.Event().wait())

        async def lean(_: int) -> None:
            await other

        end = source.pipe(ops.subscribe_async(lean, name="s", report=told))
        source.on_next(1)
        await settle(2)
        other.cancel()
        with pytest.raises(RuntimeError, match="what the handler awaited was cancelled"):
            await end
        assert told.brief == [("s", "on_next", "RuntimeError")]
        assert source.observers == []

    run(main)


# --- an end, from any side


def stand_still() -> None:
    """Stop the loop's clock: on a busy machine 2 ms may pass before the first element, which is then a turn later."""
    loop: Any = asyncio.get_running_loop()
    now = loop.time()
    loop.time = lambda: now


@pytest.mark.parametrize("turns", range(5))
def test_dispose_cancels_the_handler_and_waiting_for_it_is_no_error(turns: int) -> None:
    async def main() -> None:
        stand_still()
        source, handler, told = Subject[int](), Handler(waiting=True), Told()
        end = source.pipe(ops.subscribe_async(handler, on_completed=lambda: handler.log.append("|"), report=told))
        source.on_next(1)
        source.on_next(2)
        await settle(turns)
        end.dispose()
        assert source.observers == []
        assert end.is_disposed
        await end
        end.dispose()
        assert handler.log == (["<1", "1 cancelled"] if turns else [])
        assert told.failures == []
        assert end.stats.pending == 0
        assert tasks() == []

    run(main)


def test_a_handler_that_is_cancelled_may_clean_up_to_its_end_however_often_it_is_disposed_of() -> None:
    async def main() -> None:
        source, log = Subject[int](), list[str]()

        async def careful(_: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await settle(3)
                log.append("clean")

        end = source.pipe(ops.subscribe_async(careful))
        source.on_next(1)
        for _ in range(4):
            await settle(2)
            end.dispose()
        await end
        assert log == ["clean"]

    run(main)


def test_a_handler_may_dispose_of_its_own_subscription_and_finish() -> None:
    async def main() -> None:
        source, log = Subject[int](), list[str]()

        async def last(n: int) -> None:
            end.dispose()
            await asyncio.sleep(0)
            log.append(f"{n}>")

        end = source.pipe(ops.subscribe_async(last))
        source.on_next(1)
        source.on_next(2)
        await end
        assert log == ["1>"]

    run(main)


def test_a_handler_that_catches_its_cancellation_gets_no_more() -> None:
    async def main() -> None:
        source, log = Subject[int](), list[int]()

        async def stubborn(n: int) -> None:
            log.append(n)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                log.append(-n)

        end = source.pipe(ops.subscribe_async(stubborn))
        source.on_next(1)
        source.on_next(2)
        await settle(2)
        end.dispose()
        await end
        assert log == [1, -1]

    run(main)


def test_who_is_cancelled_while_waiting_cancels_it_as_with_a_task() -> None:
    async def main() -> None:
        source, handler, told = Subject[int](), Handler(waiting=True), Told()
        end = source.pipe(ops.subscribe_async(handler, report=told))
        source.on_next(1)

        async def wait() -> None:
            await end

        waiting = asyncio.create_task(wait())
        await settle(3)
        waiting.cancel()
        await settle(3)
        assert waiting.cancelled()
        assert handler.log == ["<1", "1 cancelled"]
        assert (source.observers, tasks(), told.failures) == ([], [], [])
        assert end.is_disposed

    run(main)


@pytest.mark.parametrize("turns", range(4))
def test_a_task_cancelled_from_outside_lets_go_of_the_source_quietly(turns: int) -> None:
    async def main() -> None:
        source, handler, told = Subject[int](), Handler(waiting=True), Told()
        end = source.pipe(ops.subscribe_async(handler, name="s", report=told))
        source.on_next(1)
        await settle(turns)
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "rxfeed subscribe_async s"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await end
        assert (source.observers, told.failures) == ([], [])

    run(main)


@pytest.mark.parametrize("turns", range(4))
def test_the_end_of_the_loop_lets_go_of_the_source_without_a_word(turns: int) -> None:
    source, told = Subject[int](), Told()
    ends: list[Any] = []

    async def main() -> None:
        ends.append(source.pipe(ops.subscribe_async(Handler(waiting=True), report=told)))
        source.on_next(1)
        await settle(turns)

    asyncio.run(main(), debug=True)
    assert (source.observers, told.failures) == ([], [])
    source.on_next(2)
    ends[0].dispose()


def test_what_stops_the_program_stops_it() -> None:
    source = Subject[int]()

    async def stop(_: int) -> None:
        raise SystemExit(3)

    async def main() -> None:
        source.pipe(ops.subscribe_async(stop))
        source.on_next(1)
        await settle()

    with pytest.raises(SystemExit):
        asyncio.run(main(), debug=True)
    assert source.observers == []


def test_the_handler_may_feed_and_end_the_source() -> None:
    async def main() -> None:
        source, got = Subject[int](), list[int]()

        async def feed(n: int) -> None:
            got.append(n)
            source.on_next(n + 1) if n < 3 else source.on_completed()

        end = source.pipe(ops.subscribe_async(feed))
        source.on_next(0)
        await end
        assert got == [0, 1, 2, 3]

    run(main)


# --- the rest


def test_handlers_that_never_wait_do_not_starve_the_loop() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        began, passed, in_turn, most = loop.time(), 0.0, 0, 0
        loop.time = lambda: began + passed

        async def work(_: int) -> None:
            nonlocal passed, in_turn, most
            passed += 0.000_6
            in_turn += 1
            most = max(most, in_turn)

        end = rx.range(0, 500).pipe(ops.subscribe_async(work))
        for _ in range(5):
            await asyncio.sleep(0)
            in_turn = 0
        end.dispose()
        await end
        assert most == 4

    run(main)


def test_stats_count_frames_in_ticks_too() -> None:
    async def main() -> None:
        rows = ticks((0, 1), (1, 2), (2, 3))
        end = rx.of(frame(rows), frame(rows[:1])).pipe(ops.subscribe_async(nothing))
        await end
        assert end.stats == (2, 2, 0, 0, 2, 4, 4, 0, 0)

    run(main)


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []

    def note(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observer.on_next(len(found))
        return Disposable()

    async def main() -> None:
        clock, handler = VirtualClock(), Handler()
        end = ops.subscribe_async(handler, scheduler=clock)
        first, second = end(Observable(note)), end(Observable(note))
        await until(lambda: len(handler.log) == 4)
        first.dispose()
        assert not second.is_disposed
        second.dispose()
        assert sorted(handler.log) == ["1>", "2>", "<1", "<2"]
        assert found == [clock.scheduler] * 2

    run(main)


def test_no_loop_is_a_clear_error() -> None:
    source: Subject[int] = Subject()
    with pytest.raises(RuntimeError, match="subscribe_async needs a running asyncio loop: use it in an async function"):
        source.pipe(ops.subscribe_async(nothing))
    assert source.observers == []


WRONG: Any = 5


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ops.subscribe_async(nothing, capacity=0), ValueError, "capacity must be at least 1, got 0"),
        (lambda: ops.subscribe_async(nothing, overflow=WRONG), ValueError, "overflow must be one of newest, error, .* got 5"),
        (lambda: ops.subscribe_async(WRONG), TypeError, "handler must be an async function, got int"),
        (lambda: ops.subscribe_async(nothing, scheduler=WRONG), TypeError, "scheduler must be a clock or a scheduler, got 5"),
    ],
)
def test_refuses_bad_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
