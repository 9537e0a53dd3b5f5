"""`rxfeed run` in a simulation: the same job, on virtual time and a network in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from rxfeed.cli._faces import Scene
from rxfeed.cli._gateway import World, chosen
from rxfeed.cli._live import Ended, Job, run
from rxfeed.feeds.simulator import Simulator
from rxfeed.model import Bar
from rxfeed.rules import DEFAULT
from rxfeed.settings import Settings
from rxfeed.testing import Simulation, simulate

HOST = "sim.test"
USERS = {"RXFEED_USER": "simulator", "RXFEED_KEY": "simulator"}


@dataclass
class Shown:
    """A face that remembers."""

    updates: str | None = None
    bars: list[Bar] = field(default_factory=list[Bar])
    said: list[str] = field(default_factory=list[str])
    scene: Scene | None = None
    stopped: bool = False
    on_write: Callable[[list[Bar]], None] | None = None

    def write(self, bars: list[Bar]) -> None:
        if self.on_write is not None:
            self.on_write(bars)
        self.bars += bars

    def say(self, text: str) -> None:
        self.said.append(text)

    def start(self, scene: Scene) -> None:
        self.scene = scene

    def look(self) -> None:
        pass

    def draw(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Stage:
    """What a test has at hand while a run streams."""

    simulation: Simulation
    face: Any
    stop: asyncio.Future[int]
    simulators: list[Simulator]

    @property
    def simulator(self) -> Simulator:
        return self.simulators[0]


def job(*symbols: str, t: tuple[str, ...] = ("1s", "5s"), session: str = "24x7", **options: Any) -> Job:
    set = {name: options.pop(name) for name in list(options) if name in Settings.model_fields}
    given = Settings(symbols=symbols or ("MNQ", "MES"), timeframes=t, session=session, **set)
    return Job(given, DEFAULT, **options)


def world(simulation: Simulation, environ: Mapping[str, str], made: list[Simulator]) -> World:
    @asynccontextmanager
    async def serve(simulator: Simulator) -> AsyncGenerator[str, None]:
        made.append(simulator)
        async with simulation.network.serve(HOST, simulator.app()):
            yield f"http://{HOST}"

    return World(environ, simulation.clock, simulation.random, simulation.network.session, serve)


def streamed(
    job: Job,
    *,
    meanwhile: Callable[[Stage], Awaitable[object]] | None = None,
    face: Any = None,
    environ: Mapping[str, str] | None = None,
    outside: Callable[[Simulation], web.Application] | None = None,
    fault: str | None = None,
    **options: Any,
) -> tuple[Ended | None, Any]:
    """Run a job to its end; return how it ended, and the face.

    Args:
        job: what to run.
        meanwhile: something that goes on at the same time.
        face: where it shows itself.
        environ: instead of an empty environment.
        outside: makes what answers at HOST, where no simulator runs inside.
        fault: of the network, at HOST, before it begins.
        options: of `simulate`.
    """
    shown = Shown() if face is None else face

    async def main(simulation: Simulation) -> Ended | None:
        made: list[Simulator] = []
        there = world(simulation, environ or {}, made)
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        stage = Stage(simulation, shown, stop, made)
        other = None if meanwhile is None else asyncio.ensure_future(meanwhile(stage))
        async with AsyncExitStack() as stack:
            if outside is not None:
                await stack.enter_async_context(simulation.network.serve(HOST, outside(simulation)))
            if fault is not None:
                getattr(simulation.network, fault)(HOST)
            try:
                return await run(job, there, chosen(there.environ), shown, stop)
            finally:
                if other is not None:
                    await other

    return simulate(main, **options), shown


def ended(result: tuple[Ended | None, Any]) -> tuple[Ended, Any]:
    assert result[0] is not None
    return result[0], result[1]
