"""What a thousand subscribers cost a feed, ten of them stuck in an `await` and ten raising: python -m tests.bench.subscribers

Each round streams the same ticks through `rxfeed.pipeline`, as they would come from a socket, a run each turn of the loop. What
980 subscribers that are well cost is their own; the twenty others must add no more than their share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median
from typing import Any

from loguru import logger
from reactivex import Observable, abc
from reactivex.disposable import Disposable

import rxfeed
from rxfeed import Settings
from rxfeed import operators as ops
from rxfeed.model import Bar, Tick
from rxfeed.runs import RunObservable, RunObserver

START = 1_741_600_800_000_000_000
RUN, RUNS = 50, 800


class Wire:
    """A source that gives runs."""

    def __init__(self) -> None:
        self.into: Any = None
        self.stream: Observable[Tick] = RunObservable(self._subscribe)

    def _subscribe(self, observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.into = observer
        return Disposable()


def tape() -> list[list[Tick]]:
    """40,000 ticks, 2,000 a second: 20 bars of a second for each of two symbols."""
    ticks = [
        Tick("AB"[n % 2], START + n * 500_000, 100.0 + n % 13 / 4, 1 + n % 3, 0, n, START + n * 500_000)
        for n in range(RUN * RUNS)
    ]
    return [ticks[at : at + RUN] for at in range(0, len(ticks), RUN)]


async def streamed(well: int, stuck: int, raising: int) -> tuple[float, int, int]:
    """Return seconds of processor time, how many bars each got who is well (the least), and how many there were."""
    wire = Wire()
    features = {"limits": False, "health": False}
    feed = rxfeed.pipeline(wire.stream, Settings(session="24x7", timeframes="1s", grace=None, features=features), rules=())
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    got = [0] * well

    async def waits(_: Bar) -> None:
        await never

    def raises(_: Bar) -> None:
        raise ValueError("mine")

    def counts(place: int) -> Any:
        def take(_: Bar) -> None:
            got[place] += 1

        return take

    ends: list[Any] = []
    async with feed:
        total: list[Bar] = []
        feed.bars.subscribe(total.append)
        ends += [feed.bars.pipe(ops.subscribe(counts(place))) for place in range(well)]
        ends += [feed.bars.pipe(ops.subscribe_async(waits, overflow="newest", capacity=64)) for _ in range(stuck)]
        ends += [feed.bars.pipe(ops.subscribe(raises, report=lambda _: None)) for _ in range(raising)]
        runs = tape()
        begin = time.process_time()
        for run in runs:
            wire.into.on_run(run) if isinstance(wire.into, RunObserver) else [wire.into.on_next(tick) for tick in run]
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        spent = time.process_time() - begin
        least, count = min(got, default=len(total)), len(total)
        never.cancel()
        for end in ends:
            end.dispose()
        await asyncio.sleep(0)
    return spent, least, count


async def main() -> None:
    """Print a table."""
    logger.remove()
    kinds = {"nobody but one": (0, 0, 0), "980": (980, 0, 0), "980, 10 stuck, 10 raising": (980, 10, 10)}
    rounds: dict[str, list[tuple[float, int, int]]] = {name: [] for name in kinds}
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 7):
        for name, kind in kinds.items():
            rounds[name].append(await streamed(*kind))
    alone = median(spent for spent, *_ in rounds["nobody but one"])
    print("| subscribers | µs a tick | more than alone, µs a tick | bars that each got, of |\n|---|---:|---:|---:|")
    for name, found in rounds.items():
        spent = median(each for each, *_ in found)
        per = 1e6 / (RUN * RUNS)
        least, count = min(each for _, each, _ in found), max(each for *_, each in found)
        print(f"| {name} | {spent * per:.2f} | {(spent - alone) * per:.2f} | {least} of {count} |")


if __name__ == "__main__":
    asyncio.run(main())
