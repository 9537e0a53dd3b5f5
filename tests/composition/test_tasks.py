"""The tasks of a feed over a gateway: each has a name of ours, none is left at the end, and what fails in one is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from loguru import logger

import rxfeed
from rxfeed.cli._gateway import SIMULATED
from rxfeed.events import Event
from rxfeed.feeds.projectx import deployment
from rxfeed.feeds.simulator import Simulator
from rxfeed.memory import Memory
from rxfeed.model import Bar
from rxfeed.settings import Settings
from rxfeed.testing import Simulation, simulate

HOST = "sim.test"


class Place:
    """A feed of a gateway of a simulator, which all are in one loop."""

    def __init__(self, simulation: Simulation, feed: rxfeed.Feed) -> None:
        self.simulation, self.feed = simulation, feed
        self.bars: list[Bar] = []
        self.errors: list[Exception] = []
        self.events: list[Event] = []
        feed.events.subscribe(self.events.append)
        feed.bars.subscribe(self.bars.append, self.errors.append)


def unnamed() -> list[str]:
    """Whose tasks have no name of ours; those of aiohttp's server are its own, one for each connection."""
    return [
        f"{task.get_name()} {task.get_coro()}"
        for task in asyncio.all_tasks()
        if task is not asyncio.current_task()
        and not task.get_name().startswith("rxfeed ")
        and "RequestHandler" not in repr(task)
    ]


def streaming(main: Callable[[Place], Coroutine[Any, Any, None]], *, life: str = "24h", memory: Any = None) -> None:
    async def run(simulation: Simulation) -> None:
        simulator = Simulator(["MNQ"], rate=100.0, clock=simulation.clock, token_life=life)
        async with simulation.network.serve(HOST, simulator.app()):
            gateway = rxfeed.Gateway(
                SIMULATED, deployment=deployment(f"http://{HOST}"), session=simulation.network.session,
                clock=simulation.clock, random=simulation.random,
            )  # fmt: skip
            settings = Settings(symbols="MNQ", timeframes="1s", session="24x7")
            feed = rxfeed.pipeline(gateway, settings, clock=simulation.clock, random=simulation.random, memory=memory)
            async with gateway, feed:
                await main(Place(simulation, feed))
            await asyncio.sleep(1)
            assert [task for task in asyncio.all_tasks() if task.get_name().startswith("rxfeed ")] == []
            assert unnamed() == []
        await asyncio.sleep(1)
        assert len(asyncio.all_tasks()) == 1

    simulate(run)


def test_each_has_a_name_over_a_loss_and_changes_of_the_token_and_none_is_left() -> None:
    async def main(place: Place) -> None:
        tasks: list[tuple[Any, asyncio.Task[Any]]] = []
        loop: Any = asyncio.get_running_loop()
        create = loop.create_task

        def created(work: Any, **options: Any) -> Any:
            task = create(work, **options)
            if "aiohttp" not in work.cr_code.co_filename:
                tasks.append((work, task))
            return task

        loop.create_task = created
        await asyncio.sleep(10)
        place.simulation.network.cut(HOST)
        await asyncio.sleep(20)
        loop.create_task = create
        assert [work for work, task in tasks if not task.get_name().startswith("rxfeed ")] == []
        assert unnamed() == []
        assert {type(event).__name__ for event in place.events} >= {"Connected", "Lost", "Rotated", "Gapped"}
        assert len(tasks) > 20
        assert len(place.bars) > 20

    streaming(main, life="10s")


def test_a_probe_of_memory_that_raises_is_heard_and_ends_nothing() -> None:
    def probe() -> Memory:
        raise OSError("no such file")

    async def main(place: Place) -> None:
        await asyncio.sleep(5)
        assert place.feed.limits is not None
        assert place.feed.limits.stats.failures >= 5
        assert place.errors == []
        assert len(place.bars) >= 3

    logged: list[str] = []
    number = logger.add(logged.append, format="{message}")
    try:
        streaming(main, memory=probe)
    finally:
        logger.remove(number)
    assert len([line for line in logged if "OSError: no such file" in line]) == 1  # once, though it is asked each second


def test_a_task_that_fails_unasked_is_heard_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rxfeed.feeds.tasks import Tasks

    async def main(place: Place) -> None:
        async def wrong() -> None:
            raise KeyError("theirs")

        tasks = Tasks("test")
        await asyncio.sleep(2)
        before = len(place.bars)
        tasks.start(wrong(), "wrong")
        await asyncio.sleep(3)
        assert len(tasks) == 0
        assert place.errors == []
        assert len(place.bars) >= before + 2

    logged: list[str] = []
    number = logger.add(logged.append, format="{message}")
    try:
        streaming(main)
    finally:
        logger.remove(number)
    [line] = [line for line in logged if "rxfeed test: wrong" in line]
    assert "KeyError: 'theirs'" in line
