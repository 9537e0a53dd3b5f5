"""Ten million ticks, in a process of their own so that nothing else is counted: `python -m tests.bench.long rows 10000000`.

They are made piece by piece, with the clock stopped, and let go; so are the bars. So what grows is the pipeline. Then a
hundredth and a tenth of them are run again and again, since a short run by itself says little.
"""

from __future__ import annotations

import ctypes
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from reactivex.subject import Subject

import rxfeed
from rxfeed import Tick
from rxfeed import operators as ops
from tests.bench.market import DENSE, SESSION, SYMBOLS, TIMEFRAMES
from tests.bench.peers import nothing

PIECE = 50_000
SHORT, MIDDLE = 9, 3
"""How often the hundredth and the tenth are run."""


class Watch:
    """A clock that is stopped while ticks are made."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock, self.ns, self._begin = clock, 0, 0

    def go(self) -> None:
        self._begin = self._clock()

    def stop(self) -> None:
        self.ns += self._clock() - self._begin


def rows(ticks: int, seen: Callable[[int], None]) -> float:
    """Return ns of processor time a tick, from our own source."""
    watch = Watch(time.thread_time_ns)

    def source() -> Iterator[Tick]:
        watch.stop()
        done = 0
        for frame in _market(ticks).frames(PIECE):
            made = frame.rows()
            watch.go()
            yield from made
            watch.stop()
            done += len(made)
            del made
            seen(done)
        watch.go()

    watch.go()
    rxfeed.replay(source()).pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION)).subscribe(nothing)
    watch.stop()
    return watch.ns / ticks


def frames(ticks: int, seen: Callable[[int], None]) -> float:
    """Return elapsed ns a tick."""
    watch = Watch(time.perf_counter_ns)
    source: Subject[Any] = Subject()
    source.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION, frames=True)).subscribe(nothing)
    done = 0
    for frame in _market(ticks).frames():
        watch.go()
        source.on_next(frame)
        watch.stop()
        done += len(frame)
        seen(done)
    watch.go()
    source.on_completed()
    watch.stop()
    return watch.ns / ticks


LANES = {"rows": rows, "frames": frames}


def _market(ticks: int) -> Any:
    return rxfeed.synthetic(1, symbols=SYMBOLS, rate=DENSE, n=ticks, session=SESSION)


def resident() -> float:
    """Resident memory in MB, after giving back what is free."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def run(lane: str, ticks: int) -> dict[str, dict[str, float]]:
    """Return ns a tick, and MB, at a hundredth, a tenth and all of the ticks."""
    sizes = [ticks // 100, ticks // 10, ticks]
    megabytes: dict[str, float] = {}

    def seen(done: int) -> None:
        while len(megabytes) < len(sizes) and done >= sizes[len(megabytes)]:
            megabytes[str(sizes[len(megabytes)])] = resident()

    whole = LANES[lane](ticks, seen)
    short = [
        [LANES[lane](size, lambda _: None) for _ in range(often)] for size, often in zip(sizes, (SHORT, MIDDLE), strict=False)
    ]
    ns = [*map(statistics.median, short), whole]
    return {"ns a tick": dict(zip(map(str, sizes), ns, strict=True)), "MB": megabytes}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
