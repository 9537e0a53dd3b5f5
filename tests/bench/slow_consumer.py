"""A consumer for `rxfeed run` that takes ten times its share for a minute, and what that does to everybody else.

    rxfeed run MNQ MES -t 1s -t 5s --rate 2000 --for 80s --consumer tests/bench/slow_consumer.py:slow

At the end it prints the longest turn of the loop, how late bars came to others, the memory, and when its own backlog was gone.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

import psutil
from reactivex import Observable
from reactivex import operators as rx

import rxfeed
from rxfeed import operators as ops
from rxfeed import overflow
from rxfeed.model import Bar

BEGIN = float(os.environ.get("SLOW_FROM", "10"))
LASTS = float(os.environ.get("SLOW_FOR", "60"))
WORK = float(os.environ.get("SLOW_WORK", "0.005"))
PROBE = 0.002


class Probe:
    """Looks at the loop, at memory and at the backlog all the time."""

    def __init__(self, feed: rxfeed.Feed) -> None:
        self.feed, self.started = feed, time.perf_counter()
        self.process = psutil.Process()
        self.stalls: dict[str, list[float]] = {"before": [], "slow": [], "after": []}
        self.late: dict[str, list[float]] = {"before": [], "slow": [], "after": []}
        self.memory: dict[str, int] = {}
        self.most = 0
        self.relieved: float | None = None
        self.due = asyncio.get_running_loop().time() + PROBE
        self.timer = asyncio.get_running_loop().call_at(self.due, self.look)
        self.looked = 0

    @property
    def phase(self) -> str:
        """Before, while or after it is slow."""
        since = time.perf_counter() - self.started
        return "before" if since < BEGIN else "slow" if since < BEGIN + LASTS else "after"

    def look(self) -> None:
        """Note by how much the loop is late."""
        loop = asyncio.get_running_loop()
        phase = self.phase
        self.stalls[phase].append(loop.time() - self.due)
        self.due = loop.time() + PROBE
        self.timer = loop.call_at(self.due, self.look)
        self.looked += 1
        if self.looked % 100 == 0:
            rss = self.process.memory_info().rss
            self.memory[phase] = max(self.memory.get(phase, 0), rss)
        pending = sum(stats.pending for name, stats in self.feed.stats.consumers.items() if name.startswith("ticks"))
        if phase != "after":
            self.most = max(self.most, pending)
        elif self.relieved is None and pending < 100:
            self.relieved = time.perf_counter() - self.started - BEGIN - LASTS

    def on_time(self, bar: Bar) -> None:
        """Note how long after its last tick a bar of another consumer came."""
        if bar.revision == 0 and bar.timeframe == "1s" and bar.last_time is not None:
            self.late[self.phase].append((time.time_ns() - bar.end) / 1e9)

    def say(self) -> None:
        """Tell what was seen."""
        self.timer.cancel()
        for phase in ("before", "slow", "after"):
            stalls, late = sorted(self.stalls[phase]), sorted(self.late[phase])
            if not stalls or not late:
                continue
            rare = stalls[int(0.999 * len(stalls))]
            print(
                f"{phase:>6}: loop late by at most {stalls[-1] * 1e3:.1f} ms (99.9 %: {rare * 1e3:.1f}); "
                f"bars of others after their end: half {late[len(late) // 2] * 1e3:.0f} ms, at most {late[-1] * 1e3:.0f} ms; "
                f"memory {self.memory.get(phase, 0) >> 20} MiB",
                file=sys.stderr,
            )  # fmt: skip
        recovered = "not" if self.relieved is None else f"{self.relieved * 1e3:.0f} ms after it was slow"
        print(f"most that waited: {self.most:,} ticks (merged); backlog gone: {recovered}", file=sys.stderr)


def slow(feed: rxfeed.Feed) -> Observable[Any]:
    """Make bars of ticks, with ten times the work there is time for."""
    probe = Probe(feed)
    feed.bars.subscribe(probe.on_time)

    def work(_: object) -> None:
        if probe.phase == "slow":
            done = time.perf_counter() + WORK
            while time.perf_counter() < done:
                pass

    ticks = feed.ticks(overflow.conflate(feed.windows))
    return ticks.pipe(rx.do_action(work), ops.bars(feed.windows), rx.finally_action(probe.say))
