"""simulate: its clock and seed, and that nothing is left behind unnoticed."""

import asyncio
import doctest
from collections.abc import AsyncIterator
from types import ModuleType

import aiohttp
import pytest
from aiohttp import web

from rxfeed.testing import Deadlock, LeftOver, Simulation, Unhandled, disk, network, simulate, simulation
from rxfeed.times import SECOND, iso
from tests.testing.ends import Notes, connected


def test_the_clock_is_the_start_and_the_loops_time() -> None:
    async def main(simulation: Simulation) -> list[str]:
        times = [iso(simulation.clock.now)]
        fired = asyncio.Event()
        simulation.clock.call_at(simulation.clock.now + 90 * SECOND, fired.set)
        await fired.wait()
        return [*times, iso(simulation.clock.now)]

    assert simulate(main) == ["2026-01-05T14:30:00Z", "2026-01-05T14:31:30Z"]
    assert simulate(main, start="2026-07-01T00:00:00.5+02:00")[0] == "2026-06-30T22:00:00.5Z"
    assert simulate(main, start=5)[0] == iso(5)


@pytest.mark.parametrize("start", ["2026-01-05", "2026-01-05T14:30", "soon"])
def test_a_start_that_is_no_instant_is_refused(start: str) -> None:
    with pytest.raises(ValueError, match="start must be a time with its offset"):
        simulate(lambda simulation: asyncio.sleep(0), start=start)


def test_the_seed_decides() -> None:
    async def main(simulation: Simulation) -> float:
        return simulation.random.random()

    assert simulate(main, seed=1) == simulate(main, seed=1) != simulate(main, seed=2)


def test_mains_error_is_raised_as_it_is_whatever_is_left() -> None:
    ended: list[str] = []

    async def left() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(1)
            ended.append("left")

    async def main(simulation: Simulation) -> None:
        task = asyncio.create_task(left())
        await asyncio.sleep(1)
        assert not task.done()
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        simulate(main)
    assert ended == ["left"]


def test_it_runs_where_no_loop_runs() -> None:
    async def main(simulation: Simulation) -> None:
        with pytest.raises(RuntimeError, match="where none is running"):
            simulate(lambda inner: asyncio.sleep(0))

    simulate(main)


def test_a_task_that_is_left_is_named() -> None:
    async def main(simulation: Simulation) -> None:
        simulation.task = asyncio.create_task(asyncio.sleep(60), name="watchdog")  # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.sleep(1)

    with pytest.raises(LeftOver, match=r"task watchdog: sleep \(tasks.py"):
        simulate(main)


def test_a_timer_that_is_left_is_named() -> None:
    def look_again() -> None: ...

    async def main(simulation: Simulation) -> None:
        simulation.loop.call_later(60, look_again)

    with pytest.raises(LeftOver, match=r"timer at 60 s: .*look_again \(test_simulation.py"):
        simulate(main)


def test_connections_that_are_left_are_named() -> None:
    kept: list[aiohttp.BaseConnector] = []

    async def main(simulation: Simulation) -> None:
        network = simulation.network
        await network.serve("one.test", web.Application())
        kept.append(network.connector())
        for connector in (network.connector(), kept[0]):
            async with network.session(connector=connector, connector_owner=connector is not kept[0]) as session:
                await (await session.get("http://one.test/")).read()

    with pytest.raises(LeftOver) as caught:
        simulate(main)
    assert "connection <MemoryTransport client:49153 to one.test:80, open>" in str(caught.value)
    assert "client:49152" not in str(caught.value)
    kept[0]._close()  # or it would warn that it was never closed


def test_connections_that_are_left_are_closed() -> None:
    ends: list[Notes] = []

    async def main(simulation: Simulation) -> None:
        ends.extend(connected(simulation))

    with pytest.raises(LeftOver, match=r"client:49152 to one.test:80, open>\n.*one.test:80 to client:49152, open>"):
        simulate(main)
    assert [end.told[-1] for end in ends] == ["lost None", "lost None"]


def test_an_error_that_nobody_waited_for_is_raised() -> None:
    async def main(simulation: Simulation) -> None:
        simulation.loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(Unhandled, match="at 0 s: Exception in callback") as caught:
        simulate(main)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_what_ends_in_its_own_turn_is_not_left() -> None:
    async def main(simulation: Simulation) -> None:
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(1)
        task.cancel()
        app = web.Application()
        session = simulation.network.session(timeout=aiohttp.ClientTimeout(total=5))
        server = await simulation.network.serve("one.test", app)
        async with session.get(f"{server.url}/") as response:
            assert response.status == 404
        await session.close()
        await server.close()

    simulate(main)


def test_timers_that_are_due_when_main_ends_are_not_left() -> None:
    fired: list[str] = []

    async def main(simulation: Simulation) -> None:
        simulation.loop.call_later(0, simulation.loop.call_later, 0, fired.append, "second")

    simulate(main)
    assert fired == ["second"]


def test_an_async_generator_that_is_left_open_is_named() -> None:
    kept: list[object] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            kept.append("closed")

    async def main(simulation: Simulation) -> None:
        generator = ticks()
        kept.append(generator)
        await anext(generator)

    with pytest.raises(LeftOver, match="async generator test_an_async_generator_that_is_left_open_is_named"):
        simulate(main)
    assert kept[1:] == ["closed"]


def test_a_deadlock_tells_of_the_errors_before_it() -> None:
    async def main(simulation: Simulation) -> None:
        simulation.loop.call_soon(lambda: 1 // 0)
        await asyncio.Event().wait()

    with pytest.raises(Deadlock) as caught:
        simulate(main)
    (note,) = caught.value.__notes__
    assert note.startswith("at 0 s: Exception in callback")
    assert note.endswith("ZeroDivisionError('integer division or modulo by zero')")


def test_who_does_not_let_himself_be_cancelled_does_not_stop_the_end() -> None:
    turns: list[int] = []

    async def stubborn() -> None:
        while len(turns) < 10:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                turns.append(1)
            turns.append(1)

    async def main(simulation: Simulation) -> None:
        simulation.kept = asyncio.create_task(stubborn())  # pyright: ignore[reportAttributeAccessIssue]
        await asyncio.sleep(1)

    with pytest.raises(LeftOver):
        simulate(main)


def test_simulations_inside_threads_of_simulations_keep_their_own_time() -> None:
    async def inner(simulation: Simulation) -> float:
        await asyncio.sleep(5)
        return simulation.loop.time()

    async def main(simulation: Simulation) -> tuple[float, float, str]:
        await asyncio.sleep(1)
        took = await asyncio.to_thread(simulate, inner)
        network = simulation.network
        async with network.serve("one.test", web.Application()), network.session() as session:
            response = await session.get("http://one.test/")
            return took, simulation.loop.time(), response.headers["Date"]

    assert simulate(main) == (5, 1, "Mon, 05 Jan 2026 14:30:01 GMT")


@pytest.mark.parametrize("module", [disk, network, simulation])
def test_the_examples_run(module: ModuleType) -> None:
    failed, attempted = doctest.testmod(module)
    assert failed == 0 < attempted
