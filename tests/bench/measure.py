"""Rounds in which all take turns, so that a machine that slows down slows all of them; medians, also of ratios."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping


def spent(run: Callable[[], object], *, cpu: bool) -> float:
    """Return the ns that a run takes: of this thread's processor time, or else elapsed."""
    clock = time.thread_time_ns if cpu else time.perf_counter_ns
    gc.collect()
    begin = clock()
    run()
    return clock() - begin


def take_turns(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return what each run said, round by round."""
    said: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            said[name].append(run())
    return said


def ratio(of: list[float], to: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))
