"""A gateway that sends more than is taken: reading stops before anything is dropped, and what the gateway cuts off is a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from reactivex import operators as rx

import rxfeed
from rxfeed.events import Connected, Event, Gapped, Lost, Overflowed, Pressed
from rxfeed.feeds.projectx.gateway import RECONNECT
from rxfeed.feeds.simulator.line import Timing
from rxfeed.memory import Memory
from rxfeed.model import Bar, Flag, Gap, Tick
from rxfeed.settings import Settings
from rxfeed.times import SECOND
from tests.feeds.projectx.world import World, around, live

TIMEFRAMES = ("1s", "5s")


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  # time is simulated
        await asyncio.sleep(0.25)


class Place:
    """A pipeline of a simulated gateway, and what is heard of it."""

    def __init__(self, world: World, feed: rxfeed.Feed, ticks: list[Tick]) -> None:
        self.world, self.feed, self.ticks = world, feed, ticks
        self.events: list[Event] = []
        self.bars: list[Bar] = []
        self.shut: list[bool] = []
        feed.events.subscribe(self.events.append)
        feed.bars.subscribe(self.bars.append)
        assert world.gateway.valve is not None
        self.valve = world.gateway.valve
        self.valve.watch(self.shut.append, heeds=False)

    def of(self, *kinds: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def dropped(self) -> int:
        source = self.feed.stats.source
        assert source is not None
        return source.dropped

    @property
    def high_water(self) -> int:
        source = self.feed.stats.source
        assert source is not None
        return source.high_water

    def gaps(self, root: str) -> list[Gap]:
        """The gaps of a contract as they were told last."""
        told = {event.gap.start: event.gap for event in self.of(Gapped) if event.gap.symbol == self.world.symbol(root)}
        return list(told.values())

    def right(self) -> int:
        """All bars but the first and those that are open equal the market's, and none says that trades may be missing; return
        how many were mended."""
        mended = 0
        for root in ("MNQ", "MES"):
            for timeframe in TIMEFRAMES:
                mine = {
                    bar.start: bar for bar in self.bars if (bar.symbol, bar.timeframe) == (self.world.symbol(root), timeframe)
                }
                first = min(mine)
                for true in self.world.simulator.bars(root, timeframe):
                    if true.start <= first or true.end > self.world.clock.now - 2 * SECOND:
                        continue
                    bar = mine[true.start]
                    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == true[2:]
                    assert not bar.flags & Flag.GAP
                    mended += bool(bar.flags & Flag.REPAIRED)
        return mended


def play(use: Callable[[Place], Awaitable[None]], *, source: int = 65_536, memory: Any = None, **simulated: Any) -> None:
    async def main(world: World) -> None:
        ticks: list[Tick] = []
        settings = Settings(
            symbols=("MNQ", "MES"), timeframes=TIMEFRAMES, session="24x7", capacities={"source": source},
            features={"limits": memory is not None},
        )  # fmt: skip
        feed = rxfeed.pipeline(
            world.gateway, settings, rules=(), tap=rx.do_action(ticks.append), clock=world.clock,
            random=world.simulation.random, memory=memory,
        )  # fmt: skip
        async with feed:
            await use(Place(world, feed, ticks))

    live(main, gateway={"reconnect": RECONNECT}, limits=False, **simulated)


def test_a_burst_stops_reading_and_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxfeed.operators._boundary.MOST", 256)  # a turn of the loop hands on less than it reads
    source = 8_192

    async def use(place: Place) -> None:
        await asyncio.sleep(2.2)
        place.world.simulator.fault(f"burst={2 * source}")
        await asyncio.sleep(5)
        assert place.shut == [True, False] * (len(place.shut) // 2) != []
        assert source // 2 <= place.high_water <= source // 2 + 4_096
        assert place.dropped == 0
        assert place.of(Gapped, Lost, Overflowed, Pressed) == []
        for root in ("MNQ", "MES"):
            assert place.world.missed(root, [tick for tick in place.ticks if tick.symbol == place.world.symbol(root)]) == []
        assert place.right() == 0

    play(use, source=source, rate=100)


@pytest.mark.parametrize(
    ("simulated", "end"),
    [({}, "too slow: it took nothing for 10 s"), ({"timing": Timing(buffer=1 << 17)}, "too slow")],
    ids=["stuck", "too much"],
)
@pytest.mark.parametrize("longer", [1.0, 40.0])
def test_who_is_cut_off_while_he_does_not_read_has_a_gap_around_all_that_did_not_come(
    simulated: dict[str, Any], end: str, longer: float
) -> None:
    async def use(place: Place) -> None:
        truth = place.world.simulator.truth
        await asyncio.sleep(5.3)
        place.valve.hold(use)
        await until(lambda: any(one.end for one in truth.connections.values()))
        assert place.of(Lost) == []  # nobody reads it yet
        await asyncio.sleep(longer)
        place.valve.release(use)
        await asyncio.sleep(20)
        assert [one.end for one in truth.connections.values()] == [end, None]
        assert [event.cause for event in place.of(Lost)] == ["dropped"]
        assert len(place.of(Connected)) == 2
        assert place.dropped == 0
        for root in ("MNQ", "MES"):
            ticks = [tick for tick in place.ticks if tick.symbol == place.world.symbol(root)]
            missed, gaps = place.world.missed(root, ticks), place.gaps(root)
            assert missed != []
            assert len(gaps) == 1
            around(gaps, missed, ticks)
        assert place.right() > 0

    play(use, rate=400, **simulated)


def test_while_nothing_is_read_a_new_connection_is_made_all_the_same() -> None:
    """The Completions of its Subscribe calls wait where the trades do."""

    async def use(place: Place) -> None:
        await asyncio.sleep(10.3)
        place.world.simulator.fault("drop")
        place.valve.hold(use)
        await asyncio.sleep(45)
        place.valve.release(use)
        await asyncio.sleep(90)  # a second without a trade is believed of history only after a minute
        for root in ("MNQ", "MES"):
            ticks = [tick for tick in place.ticks if tick.symbol == place.world.symbol(root)]
            around(place.gaps(root), place.world.missed(root, ticks), ticks)
        assert place.dropped == 0
        assert place.right() > 0

    play(use, rate=20)


def test_where_memory_is_short_what_a_socket_brings_at_once_still_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxfeed.operators._boundary.MOST", 256)

    class Short:
        def __call__(self) -> Memory:
            return Memory(used=100 << 30, limit=1 << 30)

    async def use(place: Place) -> None:
        await asyncio.sleep(120.2)
        place.world.simulator.fault("burst=30000")
        await asyncio.sleep(5)
        assert place.shut != []
        assert place.high_water < 16_384  # it has shrunk
        assert place.dropped == 0

    play(use, memory=Short(), rate=20)
