"""Medians of runs that take turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def side_by_side(runs: Mapping[str, Callable[[], object]], ticks: int, *, repeats: int, cpu: bool) -> dict[str, float]:
    """Return the median ns a tick of each run; `cpu`: of this thread's processor time, else of elapsed time."""
    clock = time.thread_time if cpu else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            gc.collect()
            begin = clock()
            run()
            taken[name].append((clock() - begin) / ticks * 1e9)
    return {name: statistics.median(values) for name, values in taken.items()}
