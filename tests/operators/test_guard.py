"""`guard=` of `subscribe` and `subscribe_async`: a handler that raises is counted, cut off, and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import Subject

from rxfeed import failures
from rxfeed import operators as ops
from rxfeed.breaker import Breaker
from rxfeed.clock import VirtualClock
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from tests.builders import Told


class Boom(Exception):
    pass


class Handler:
    """Raises while it is broken."""

    def __init__(self) -> None:
        self.broken = False
        self.seen: list[Any] = []

    def __call__(self, element: Any) -> None:
        self.seen.append(element)
        if self.broken:
            raise Boom(element)


def breaker(clock: Any, **more: Any) -> Breaker:
    given: dict[str, Any] = {"window": 10, "minimum_calls": 3, "failure_rate": 0.5, "open_wait": 10} | more
    return Breaker("mine", clock=clock, **given)


def counts(end: Any) -> tuple[int, ...]:
    return tuple(end.guarded)


@pytest.mark.parametrize("slow_call", [None, "1s"])
def test_a_handler_that_keeps_raising_is_cut_off_and_tried_again(slow_call: Any) -> None:
    clock, source, handler, told, spare = VirtualClock(), Subject[Any](), Handler(), Told(), []
    end = source.pipe(ops.subscribe(handler, guard=breaker(clock, slow_call=slow_call), fallback=spare.append, report=told))
    for n in range(3):
        source.on_next(n)
    handler.broken = True
    for n in range(3, 10):
        source.on_next(n)
    # Three of six have failed with 5; from then on it is not called.
    assert (handler.seen, spare) == ([0, 1, 2, 3, 4, 5], [6, 7, 8, 9])
    assert counts(end) == (10, 3, 3, 4, 0)
    assert [str(failure.error) for failure in told.failures] == ["3", "4", "5"]
    assert str(told.failures[0]).endswith("raised in on_next; it goes on")
    clock.advance(10 * SECOND)
    source.on_next(10)
    source.on_next(11)
    assert (handler.seen[-1], spare[-1]) == (10, 11), "tried once, and cut off again"
    handler.broken = False
    clock.advance(10 * SECOND)
    for n in range(12, 15):
        source.on_next(n)
    assert handler.seen[-3:] == [12, 13, 14]
    assert counts(end) == (15, 6, 4, 5, 0)
    assert not end.is_disposed


def test_the_others_get_everything() -> None:
    clock, source = VirtualClock(), Subject[Any]()
    seen: list[list[int]] = [[] for _ in range(20)]

    def broken(element: Any) -> None:
        raise Boom

    for at in range(20):
        source.pipe(ops.subscribe(broken, guard=breaker(clock), report=lambda failure: None))
        source.pipe(ops.subscribe(seen[at].append))
    for n in range(100):
        source.on_next(n)
    assert seen == [list(range(100))] * 20
    assert len(source.observers) == 40


def test_without_a_fallback_what_comes_while_it_is_cut_off_is_dropped_and_counted() -> None:
    source, handler = Subject[Any](), Handler()
    handler.broken = True
    end = source.pipe(ops.subscribe(handler, guard=breaker(VirtualClock()), report=lambda _: None))
    for n in range(10):
        source.on_next(n)
    assert counts(end) == (10, 0, 3, 0, 7)


def test_those_who_share_a_guard_are_cut_off_together() -> None:
    source, good, bad, guard = Subject[Any](), Handler(), Handler(), breaker(VirtualClock())
    bad.broken = True
    for handler in (good, bad):
        source.pipe(ops.subscribe(handler, guard=guard, report=lambda _: None))
    for n in range(10):
        source.on_next(n)
    assert good.seen == bad.seen == [0, 1]
    # g0 b0! g1 b1! are four calls, of which two failed.


def test_of_raises_the_first_three_of_a_minute_are_logged_and_how_many_more_there_were(
    logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[Any] = []
    monkeypatch.setattr(failures, "format_exception", lambda *given, **_: (printed.append(given), ["Traceback"])[1])
    clock, source, handler = VirtualClock(), Subject[Any](), Handler()
    handler.broken = True
    source.pipe(ops.subscribe(handler, guard=breaker(clock, failure_rate=1.0, minimum_calls=10, window=10)))
    guard = breaker(clock)
    guard.disable()
    end = source.pipe(ops.subscribe(handler, guard=guard, name="free"))
    logged.clear()

    def free() -> list[str]:
        found = [text for text in logged if "free" in text]
        logged.clear()
        return found

    for n in range(150):
        source.on_next(n)
    assert free() == ["free raised in on_next; it goes on\nTraceback"] * 3
    assert len(printed) == 6, "a traceback is not made for what is not written"
    clock.advance(60 * SECOND)
    assert free() == ["and 147 more like this in 60 s: free raised in on_next"]
    for n in range(10):
        source.on_next(n)
    assert len(free()) == 3
    end.dispose()
    assert free() == ["and 7 more like this in 60 s: free raised in on_next"]


def test_an_async_end_leaves_no_timer_of_its_log(logged: list[str]) -> None:
    async def main(simulation: Simulation) -> None:
        source: Subject[Any] = Subject()

        async def raising(element: Any) -> None:
            raise Boom

        guard = breaker(simulation.clock)
        guard.disable()
        end = source.pipe(ops.subscribe_async(raising, guard=guard, name="mine"))
        for n in range(5):
            source.on_next(n)
        source.on_completed()
        await end

    simulate(main)  # which fails where a timer is left
    assert logged[-1] == "and 2 more like this in 60 s: mine raised in on_next"
    assert len(logged) == 4


def test_a_fallback_that_raises_ends_the_subscription_as_a_handler_does_without_a_guard() -> None:
    source, handler, told = Subject[Any](), Handler(), Told()
    handler.broken = True

    def spare(element: Any) -> None:
        raise ValueError(element)

    end = source.pipe(ops.subscribe(handler, guard=breaker(VirtualClock()), fallback=spare, report=told))
    for n in range(10):
        source.on_next(n)
    assert end.is_disposed
    assert [type(failure.error) for failure in told.failures] == [Boom] * 3 + [ValueError]
    assert source.observers == []


def test_what_a_handler_feeds_back_waits_and_is_kept_though_it_raises() -> None:
    source, seen = Subject[Any](), []

    def handler(n: int) -> None:
        seen.append(n)
        if n == 1:
            source.on_next(2)
            source.on_next(3)
            raise Boom

    source.pipe(ops.subscribe(handler, guard=breaker(VirtualClock()), report=lambda _: None))
    source.on_next(1)
    assert seen == [1, 2, 3]


def test_a_handler_that_opens_its_own_guard_and_raises_is_survived() -> None:
    source, guard, seen = Subject[Any](), breaker(VirtualClock()), []

    def handler(n: int) -> None:
        seen.append(n)
        guard.force_open()
        raise Boom

    end = source.pipe(ops.subscribe(handler, guard=guard, report=lambda _: None))
    source.on_next(1)
    source.on_next(2)
    assert (seen, counts(end)) == ([1], (2, 0, 1, 0, 1))


@pytest.mark.parametrize("broken", [False, True])
def test_an_interrupt_passes_and_is_no_failure(broken: bool) -> None:
    clock = VirtualClock()
    source, guard = Subject[Any](), breaker(clock, minimum_calls=1)
    if broken:
        guard.attempt().failed(Boom())
        clock.advance(10 * SECOND)

    def handler(n: int) -> None:
        raise KeyboardInterrupt

    end = source.pipe(ops.subscribe(handler, guard=guard))
    with pytest.raises(KeyboardInterrupt):
        source.on_next(1)
    assert end.is_disposed
    assert (guard.metrics.calls, guard.metrics.permits) == (0, int(broken)), "a permit is given back"


def test_completion_and_errors_are_as_without_a_guard() -> None:
    source, ends = Subject[Any](), []
    source.pipe(ops.subscribe(print, ends.append, lambda: ends.append("|"), guard=breaker(VirtualClock())))
    source.on_completed()
    assert ends == ["|"]
    assert ops.subscribe(print)(Subject[Any]()).guarded is None


# --- awaited


def run(main: Callable[[Simulation], Any]) -> Any:
    return simulate(main)


def test_an_awaited_handler_is_guarded_alike() -> None:
    async def main(simulation: Simulation) -> None:
        source, told = Subject[Any](), Told()
        seen, spare, broken = [], [], [False]

        async def handler(n: int) -> None:
            await asyncio.sleep(0.1)
            seen.append(n)
            if broken[0]:
                raise Boom(n)

        async def fallback(n: int) -> None:
            await asyncio.sleep(0)
            spare.append(n)

        end = source.pipe(ops.subscribe_async(handler, guard=breaker(simulation.clock), fallback=fallback, report=told))

        async def give(*numbers: int) -> None:
            for n in numbers:
                source.on_next(n)
            await asyncio.sleep(5)

        broken[0] = True
        await give(0, 1, 2, 3, 4)
        assert (seen, spare, tuple(end.guarded or ())) == ([0, 1, 2], [3, 4], (5, 0, 3, 2, 0))
        broken[0] = False
        await asyncio.sleep(6)
        await give(5, 6)
        assert (seen, spare) == ([0, 1, 2, 5, 6], [3, 4])
        assert [failure.goes_on for failure in told.failures] == [True] * 3
        source.on_completed()
        await end

    run(main)


def test_a_plain_function_will_do_for_its_fallback_and_without_one_it_is_dropped() -> None:
    async def main(simulation: Simulation) -> None:
        async def handler(n: int) -> None:
            raise Boom(n)

        spare: list[int] = []
        for given in (False, True):
            source = Subject[Any]()
            end = source.pipe(
                ops.subscribe_async(
                    handler, guard=breaker(simulation.clock), report=lambda _: None,
                    fallback=spare.append if given else None,
                )
            )  # fmt: skip
            for n in range(5):
                source.on_next(n)
            source.on_completed()
            await end
            assert spare == ([3, 4] if given else [])
            assert end.guarded is not None
            assert end.guarded.dropped == (0 if given else 2)

    run(main)


def test_what_it_awaited_was_cancelled_is_a_failure_and_its_own_cancellation_is_none() -> None:
    async def main(simulation: Simulation) -> None:
        source, told, guard = Subject[Any](), Told(), breaker(simulation.clock)

        async def handler(n: int) -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            if n == 1:
                future.cancel()
            await future

        end = source.pipe(ops.subscribe_async(handler, guard=guard, report=told))
        source.on_next(1)
        source.on_next(2)
        await asyncio.sleep(1)
        assert [str(failure.error) for failure in told.failures] == [
            "what the handler awaited was cancelled, but nobody had cancelled the handler"
        ]
        assert not end.is_disposed
        assert guard.metrics.calls == 1
        end.dispose()
        await end
        assert guard.metrics.calls == 1

    run(main)


def test_a_slow_await_counts_as_slow() -> None:
    async def main(simulation: Simulation) -> None:
        source, guard, seen = Subject[Any](), breaker(simulation.clock, slow_call="2s", slow_rate=0.5), []

        async def handler(n: int) -> None:
            seen.append(n)
            await asyncio.sleep(3)

        end = source.pipe(ops.subscribe_async(handler, guard=guard))
        for n in range(6):
            source.on_next(n)
        await asyncio.sleep(18)
        assert (guard.state, seen) == ("open", [0, 1, 2])
        source.on_completed()
        await end

    run(main)


@pytest.mark.parametrize("subscribe", [ops.subscribe, ops.subscribe_async])
def test_what_is_refused(subscribe: Any) -> None:
    with pytest.raises(TypeError, match="guard must be a Breaker, got int"):
        subscribe(print, guard=3)
    with pytest.raises(TypeError, match="fallback must be a function, got int"):
        subscribe(print, guard=Breaker("x"), fallback=3)
    with pytest.raises(ValueError, match="give guard="):
        subscribe(print, fallback=print)


def test_a_guard_of_another_loop_is_refused_when_it_is_subscribed() -> None:
    guard = Breaker("mine")

    async def use() -> None:
        Subject[Any]().pipe(ops.subscribe(print, guard=guard))

    other = asyncio.new_event_loop()
    try:
        other.run_until_complete(use())
        with pytest.raises(RuntimeError, match="breaker 'mine' is another asyncio loop's"):
            asyncio.run(use())
    finally:
        other.close()
