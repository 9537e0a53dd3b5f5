"""The whole of it against the simulator: what a loss costs is mended from its history, and live bars continue it."""

from __future__ import annotations

import asyncio

import rxfeed
from rxfeed import Bar, Settings, Windows
from rxfeed.events import Backfilled, Event, Repaired
from rxfeed.feeds.projectx.gateway import RECONNECT
from rxfeed.model import Flag
from rxfeed.times import SECOND

from .world import World, live


def test_a_loss_is_mended_and_the_start_has_no_seam() -> None:
    async def use(world: World) -> None:
        gateway, clock = world.gateway, world.clock
        await asyncio.sleep(120)
        settings = Settings(symbols="MNQ", backfill="1m", features={"limits": False})
        bars: list[Bar] = []
        events: list[Event] = []
        async with rxfeed.pipeline(gateway, settings, windows=Windows("1s", "10s"), clock=clock) as feed:
            feed.events.subscribe(events.append)
            feed.bars.subscribe(bars.append)
            began = clock.now
            await asyncio.sleep(30)
            world.simulator.fault("drop")
            await asyncio.sleep(120)
            ended = clock.now
        table = {bar.identity: bar for bar in bars}
        since = began - 50 * SECOND
        for timeframe in ("1s", "10s"):
            true = await gateway.history("MNQ", timeframe, since, ended, session="24x7")
            want = {bar.start: (bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in true.rows()}
            got = {
                start: (bar.open, bar.high, bar.low, bar.close, bar.volume)
                for (_, of, start), bar in table.items()
                if of == timeframe and start >= since
            }
            assert len(want) > 15
            last = max(got)
            assert got == {start: bar for start, bar in want.items() if start <= last}
            assert not any(bar.flags & Flag.GAP for bar in table.values() if bar.start >= since and bar.timeframe == timeframe)
        assert {"Backfilled", "Repaired", "Lost", "Connected", "Gapped"} <= {type(event).__name__ for event in events}
        assert sum(isinstance(event, Backfilled) for event in events) == 1
        assert sum(isinstance(event, Repaired) for event in events) >= 3

    live(use, rate=20, gateway={"reconnect": RECONNECT})
