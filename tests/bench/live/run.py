"""Three questions: what a trade costs the client, whether the whole path keeps up, and how long a trade takes to its bar."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import numpy as np

import rxfeed
from rxfeed import operators as ops
from rxfeed.feeds.projectx import Credentials, Gateway, deployment
from rxfeed.model import Tick
from rxfeed.secret import Secret
from tests.bench.live.floor import floor
from tests.bench.live.served import served
from tests.bench.measure import ratio, take_turns

TIMEFRAMES = ("1s", "1m", "5m", "1h", "1d")
MS = 1e6


class Plan(NamedTuple):
    """How much is measured."""

    trades: int
    """For what a trade costs, in each round."""
    rounds: int
    sustained: int
    """Trades a second of the whole path, for so many seconds."""
    seconds: float
    slow: int
    """Trades a second when it is watched how long each takes, for so many seconds."""
    watched: float


FULL = Plan(trades=500_000, rounds=5, sustained=100_000, seconds=20, slow=10_000, watched=60)
QUICK = Plan(trades=100_000, rounds=3, sustained=100_000, seconds=3, slow=10_000, watched=3)
TINY = Plan(trades=300, rounds=1, sustained=2_000, seconds=0.2, slow=1_000, watched=0.2)


def _gateway(url: str) -> Gateway:
    return Gateway(Credentials("simulator", Secret("simulator")), deployment=deployment(url))


async def _ours(url: str, trades: int, *, frames: bool) -> float:
    """Return the ns of processor time a trade, until each is with a subscriber."""
    done = asyncio.Event()
    seen = begin = end = 0

    def take(element: Any) -> None:
        nonlocal seen, begin, end
        if not begin:
            begin = time.thread_time_ns()
            return
        seen += len(element) if frames else 1
        if seen >= trades and not end:
            end = time.thread_time_ns()
            done.set()

    async with _gateway(url) as gateway:
        stream: Any = gateway.trades("MNQ", frames=True) if frames else gateway.trades("MNQ")
        with stream.subscribe(take):
            await done.wait()
    return (end - begin) / trades


def cost(plan: Plan) -> dict[str, Any]:
    """Return what a trade costs, beside what no client can do without."""
    with served("max") as url:
        lanes: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
            "aiohttp + msgspec": lambda: floor(url, plan.trades),
            "rxfeed, rows": lambda: _ours(url, plan.trades, frames=False),
            "rxfeed, frames": lambda: _ours(url, plan.trades, frames=True),
        }
        said = take_turns({name: lambda lane=lane: asyncio.run(lane()) for name, lane in lanes.items()}, plan.rounds)
    least = said["aiohttp + msgspec"]
    targets = {"rxfeed, rows": 3.5, "rxfeed, frames": 2.0}
    return {
        name: {"ns a trade": statistics.median(got), "times the floor": ratio(got, least), "at most": targets.get(name)}
        for name, got in said.items()
    }


class _Watched(NamedTuple):
    ticks: int
    bars: int
    lost: int
    cores: float
    received: list[float]
    """ms from the socket to the bar, of a tick of each drain."""
    traded: list[float]
    """ms from the trade to the bar."""


async def _path(url: str, seconds: float) -> _Watched:
    """Run socket, validate and bars of five timeframes for so long; look at each drain when its bars have been updated."""
    clock = rxfeed.LiveClock()
    received: list[float] = []
    traded: list[float] = []
    got: list[Tick] = []
    bars = ops.bars(*TIMEFRAMES, session="CME", scheduler=clock.scheduler)
    counted = 0

    def count(_: rxfeed.Bar) -> None:
        nonlocal counted
        counted += 1

    last: int | None = None
    first = asyncio.Event()

    def look(tick: Tick) -> None:
        nonlocal last
        got.append(tick)
        if tick.received != last and tick.received is not None:
            last = tick.received
            first.set()
            now = clock.now
            received.append((now - tick.received) / MS)
            traded.append((now - tick.time) / MS)

    async with _gateway(url) as gateway:
        ticks = gateway.trades("MNQ")
        # Who subscribes first is given each drain first, so that the second sees it when its bars are done.
        with ticks.pipe(ops.validate(), bars).subscribe(count), ticks.subscribe(look):
            await first.wait()
            begin, used = clock.now, time.process_time()
            await asyncio.sleep(seconds)
            cores = (time.process_time() - used) / ((clock.now - begin) / 1e9)
            stats = bars.stats
            seen = len(got)
    accounted = stats.closed + stats.open + stats.rejected + stats.outside_session
    gaps = int((np.diff([tick.seq for tick in got]) != 1).sum())
    return _Watched(seen, counted, abs(seen - accounted) + gaps, cores, received, traded)


def path(rate: int, seconds: float) -> dict[str, Any]:
    """Return how the whole path does at a rate."""
    with served(str(rate)) as url:
        watched = asyncio.run(_path(url, seconds))
    third = len(watched.received) // 3
    return {
        "rate": rate,
        "seconds": seconds,
        "ticks a second": watched.ticks / seconds,
        "lost": watched.lost,
        "cores": watched.cores,
        "ms from socket to bar": _percentiles(watched.received),
        "ms from trade to bar": _percentiles(watched.traded),
        "growth": _percentiles(watched.traded[-third:])["p50"] - _percentiles(watched.traded[:third])["p50"],
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    return dict(zip(("p50", "p99", "p99.9"), map(float, np.percentile(values, [50, 99, 99.9])), strict=True))


def run(plan: Plan) -> dict[str, Any]:
    """Measure all three."""
    return {"cost": cost(plan), "sustained": path(plan.sustained, plan.seconds), "slow": path(plan.slow, plan.watched)}
