"""Memory: how much the process grows between the first million ticks and the last of ten, with the output let go.

Run as a program of its own (`python -m tests.bench.memory rows`), so that nothing else is counted.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

from reactivex.subject import Subject

from rxfeed import Frame, Tick, synthetic
from rxfeed import operators as ops
from tests.bench.market import SESSION, SYMBOLS, TIMEFRAMES


def resident() -> float:
    """Resident memory in MB, after giving back what is free."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def grow(lane: str, ticks: int, rate: float) -> float:
    """Return the growth in MB from the first tenth to the end."""
    source: Subject[Tick | Frame[Tick]] = Subject()
    checked = source.pipe(ops.validate())
    if lane == "frames":
        checked.pipe(ops.bars(*TIMEFRAMES, session=SESSION, frames=True)).subscribe(_let_go)
    else:
        checked.pipe(ops.bars(*TIMEFRAMES, session=SESSION)).subscribe(_let_go)
    market: Iterator[Frame[Tick]] = synthetic(1, symbols=SYMBOLS, rate=rate, n=ticks, session=SESSION).frames()
    early, seen = 0.0, 0
    for frame in market:
        for element in [frame] if lane == "frames" else frame.rows():
            source.on_next(element)
        seen += len(frame)
        if not early and seen >= ticks // 10:
            early = resident()
    return resident() - early


def _let_go(_: object) -> None:
    pass


if __name__ == "__main__":
    print(grow(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
