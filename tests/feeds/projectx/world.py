"""A gateway and its simulator in one simulated world."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from reactivex import Observable

from rxfeed.feeds.projectx import Credentials, Gateway, deployment
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.ledger import Trade
from rxfeed.feeds.simulator.listing import Listed
from rxfeed.model import Gap, Tick
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND

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

    def missed(self, root: str, ticks: list[Tick]) -> list[Trade]:
        """Return the market's trades that did not come, from the first that did on: all others came once, and in order."""
        listed = self.simulator.contract(root)
        traded = self.simulator.truth.trades(listed.id)
        assert traded[0].number == 0, "the simulator has not kept them all"
        at = first = next(n for n, trade in enumerate(traded) if as_tick(trade, listed) == as_got(ticks[0]))
        missed: list[Trade] = []
        for tick in ticks:
            while at < len(traded) and as_tick(traded[at], listed) != as_got(tick):
                missed.append(traded[at])
                at += 1
            assert at < len(traded), f"{tick} was not traded, or came twice or out of order"
            at += 1
        missed += traded[at:]
        assert len(ticks) + len(missed) == len(traded) - first
        return missed


def as_tick(trade: Trade, listed: Listed) -> tuple[object, ...]:
    return listed.symbol, trade.time, trade.ticks * listed.tick_size, trade.size, trade.side


def as_got(tick: Tick) -> tuple[object, ...]:
    return tick.symbol, tick.time, tick.price, tick.size, tick.side


def around(gaps: list[Gap], missed: list[Trade], ticks: list[Tick]) -> None:
    """What is missed lies inside gaps that have ended; each begins and ends with a trade that came, and none in between, but
    where it is not certain how two connections meet: there a gap is a second wider on either side."""
    times = [tick.time for tick in ticks]
    for gap in gaps:
        if gap.cause == "overlap_uncertain":
            assert gap.end - gap.start < 2.5 * SECOND
            continue
        assert gap.start in times
        assert gap.end in times
        assert not any(gap.start < time < gap.end for time in times)
    outside = [trade for trade in missed if not any(gap.start <= trade.time <= gap.end for gap in gaps)]
    assert outside == []


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
        options: dict[str, Any] = {
            "contracts": ("MNQ", "MES"), "rate": 0, "users": {"somebody": KEY}, "seed": seed, "keep_trades": 1 << 17,
        } | simulated  # fmt: skip
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
