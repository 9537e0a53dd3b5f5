"""`Limiter`: never more than the limit in any window of the server's, and first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.feeds.projectx.limits import Limit, Limiter, Limits
from rxfeed.testing import Simulation, simulate
from tests.loops import settle


def limited(use: Callable[[Simulation], Awaitable[Any]]) -> Any:
    return simulate(use)


async def request(
    limiter: Limiter, simulation: Simulation, log: list[tuple[str, float]], name: str, takes: float = 0.0
) -> None:
    async with limiter.place():
        log.append((name, simulation.loop.time()))
        await asyncio.sleep(takes)


@pytest.mark.parametrize(
    ("requests", "period", "text"),
    [
        (0, "1s", "requests must be at least 1, got 0"),
        (1, 0, "period must be more than 0, got 0"),
        (1, "x", "period must look"),
    ],
)
def test_bad_limits(requests: int, period: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Limit(requests, period)


def test_a_burst_waits_for_the_window() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(3, "30s")), []
        await asyncio.gather(*(request(limiter, simulation, log, str(n), takes=2.0) for n in range(7)))
        # A place comes back 30 s after its request was answered.
        assert log == [("0", 0.0), ("1", 0.0), ("2", 0.0), ("3", 32.0), ("4", 32.0), ("5", 32.0), ("6", 64.0)]
        stats = limiter.stats
        assert (stats.granted, stats.delayed, stats.waiting, stats.cancelled, stats.longest_wait) == (7, 4, 0, 0, 64.0)

    limited(main)


def test_while_all_are_under_way_nobody_is_let_through() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(1, "1s")), []
        await asyncio.gather(request(limiter, simulation, log, "slow", takes=100.0), request(limiter, simulation, log, "next"))
        assert log == [("slow", 0.0), ("next", 101.0)]

    limited(main)


def test_who_came_first_goes_first_also_before_who_comes_just_then() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(1, "10s")), []
        first = asyncio.create_task(request(limiter, simulation, log, "a"))
        waiting = asyncio.create_task(request(limiter, simulation, log, "b"))
        await asyncio.sleep(10.0)
        late = asyncio.create_task(request(limiter, simulation, log, "c"))
        await asyncio.gather(first, waiting, late)
        assert log == [("a", 0.0), ("b", 10.0), ("c", 20.0)]

    limited(main)


def test_who_is_cancelled_costs_nobody_a_place() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(1, "10s")), []
        tasks = [asyncio.create_task(request(limiter, simulation, log, name)) for name in "abcd"]
        await asyncio.sleep(1.0)
        assert limiter.stats.waiting == 3
        tasks[1].cancel()
        await asyncio.sleep(0)
        assert (limiter.stats.waiting, limiter.stats.cancelled) == (2, 1)
        # In the very turn in which it is let through:
        simulation.loop.call_at(10.0, tasks[2].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert log == [("a", 0.0), ("d", 10.0)]
        assert (limiter.stats.granted, limiter.stats.cancelled) == (2, 2)

    limited(main)


def test_who_is_cancelled_just_before_its_turn() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(1, "10s")), []
        waiting: list[asyncio.Task[None]] = []
        simulation.loop.call_at(10.0, lambda: waiting[1].cancel())  # before the limiter's own timer of that time
        waiting += [asyncio.create_task(request(limiter, simulation, log, name)) for name in "abc"]
        await asyncio.gather(*waiting, return_exceptions=True)
        assert log == [("a", 0.0), ("c", 10.0)]

    limited(main)


def test_who_comes_while_the_loop_is_late_overtakes_nobody() -> None:
    async def main() -> None:
        limiter, log = Limiter(Limit(1, "10ms")), []
        loop: Any = asyncio.get_running_loop()
        time, late = loop.time, 0.0
        loop.time = lambda: time() + late

        async def come(name: str) -> None:
            async with limiter.place():
                log.append(name)

        await come("a")
        waiting = asyncio.create_task(come("b"))
        await settle()
        late = 0.011  # its place is free, and its timer has not had its turn
        last = asyncio.create_task(come("c"))
        newest = asyncio.create_task(come("d"))
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await come("e")
        late = 0.06
        await asyncio.gather(waiting, last, newest)
        assert log == ["a", "b", "c", "d"]

    asyncio.run(main())


def test_all_cancelled_leave_no_timer() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(1, "10s")), []
        tasks = [asyncio.create_task(request(limiter, simulation, log, name)) for name in "abc"]
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(20.0)
        await request(limiter, simulation, log, "d")
        assert log == [("a", 0.0), ("d", 21.0)]

    limited(main)


def test_a_request_that_fails_has_been_sent_all_the_same() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(1, "10s")), []
        with pytest.raises(ZeroDivisionError):
            async with limiter.place():
                raise ZeroDivisionError
        await request(limiter, simulation, log, "next")
        assert log == [("next", 10.0)]

    limited(main)


def test_hold() -> None:
    async def main(simulation: Simulation) -> None:
        limiter, log = Limiter(Limit(2, "1s")), []
        limiter.hold(5.0)
        limiter.hold(3.0)
        tasks = [asyncio.create_task(request(limiter, simulation, log, name)) for name in "abc"]
        await asyncio.sleep(4.0)
        limiter.hold(3.0)
        await asyncio.gather(*tasks)
        assert log == [("a", 7.0), ("b", 7.0), ("c", 8.0)]

    limited(main)


def test_limits_by_endpoint() -> None:
    limits = Limits(Limit(1, "1s"), Limit(2, "1s"))
    assert limits.of("History/retrieveBars") is limits.bars
    assert limits.of("Contract/search") is limits.of("Auth/loginKey") is limits.others
    assert list(limits) == [limits.bars, limits.others]


@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 40), st.floats(0, 8), st.floats(0, 1), st.booleans()), max_size=25),
)
def test_the_server_never_sees_more_than_the_limit(most: int, requests: list[tuple[float, float, float, bool]]) -> None:
    """However long requests take on the way there and back, and whoever gives up meanwhile."""
    arrived: list[float] = []

    async def one(limiter: Limiter, simulation: Simulation, at: float, takes: float, share: float) -> None:
        await asyncio.sleep(at)
        async with limiter.place():
            await asyncio.sleep(takes * share)
            arrived.append(simulation.loop.time())
            await asyncio.sleep(takes * (1 - share))

    async def main(simulation: Simulation) -> None:
        limiter = Limiter(Limit(most, "10s"))
        tasks = [asyncio.create_task(one(limiter, simulation, at, takes, share)) for at, takes, share, _ in requests]
        for task, (at, takes, _, gives_up) in zip(tasks, requests, strict=True):
            if gives_up:
                simulation.loop.call_at(at + takes, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(100.0)  # all who give up have done so
        kept = [result for result, (*_, gives_up) in zip(results, requests, strict=True) if not gives_up]
        assert kept == [None] * len(kept)
        stats = limiter.stats
        assert stats.waiting == 0
        assert stats.granted + stats.cancelled >= len(kept)

    simulate(main)
    arrived.sort()
    for first, last in zip(arrived, arrived[most:], strict=False):
        assert last - first >= 10.0 - 1e-9
