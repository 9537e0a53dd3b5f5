"""A gateway and its simulator in one simulated world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from reactivex import Observable

from rxfeed.feeds.projectx import Credentials, Gateway, deployment
from rxfeed.feeds.simulator import Simulator
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate

T = TypeVar("T")

HOST = "sim.test"
KEY = "kV-not-a-word-7Q"


class World:
    """What a test of the gateway is handed."""

    def __init__(self, simulation: Simulation, simulator: Simulator, gateway: Gateway) -> None:
        self.simulation, self.simulator, self.gateway = simulation, simulator, gateway
        self.network, self.clock = simulation.network, simulation.clock

    def id(self, root: str) -> str:
        return self.simulator.contract(root).id

    def symbol(self, root: str) -> str:
        return self.simulator.contract(root).symbol

    def subscriptions(self) -> list[str]:
        """What the hub says that it is asked for, over all connections."""
        connections = self.simulator.connections.values()
        return sorted(f"{kind} {name}".strip() for one in connections for kind, name in one.subscriptions)


class Heard(Generic[T]):
    """What a subscriber got."""

    def __init__(self, source: Observable[T]) -> None:
        self.items: list[T] = []
        self.error: Exception | None = None
        self.completed = False
        self.over = asyncio.Event()
        self.subscription = source.subscribe(self.items.append, self._error, self._completed)

    def _error(self, error: Exception) -> None:
        self.error = error
        self.over.set()

    def _completed(self) -> None:
        self.completed = True
        self.over.set()

    def dispose(self) -> None:
        self.subscription.dispose()


def live(use: Callable[[World], Awaitable[T]], *, gateway: dict[str, Any] | None = None, seed: int = 0, **simulated: Any) -> T:
    """Return what `use(world)` returns; nothing may be left over."""

    async def main(simulation: Simulation) -> T:
        options: dict[str, Any] = {"contracts": ("MNQ", "MES"), "rate": 0, "users": {"somebody": KEY}, "seed": seed} | simulated
        simulator = Simulator(clock=simulation.clock, **options)
        async with simulation.network.serve(HOST, simulator.app()):
            simulator.start()
            given: dict[str, Any] = {
                "credentials": Credentials("somebody", Secret(KEY)), "deployment": deployment(f"http://{HOST}"),
                "session": simulation.network.session, "clock": simulation.clock, "random": simulation.random,
                "reconnect": None,  # the first error ends the streams, unless a test says otherwise
            }  # fmt: skip
            try:
                async with Gateway(**(given | (gateway or {}))) as opened:
                    return await use(World(simulation, simulator, opened))
            finally:
                simulator.stop()

    return simulate(main, seed=seed)
