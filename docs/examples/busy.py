"""A consumer of `rxfeed run` that is too slow for a while: `rxfeed run --consumer docs/examples/busy.py:busy`.

From 15 s after the start until 18 s it takes 5 ms for each tick, ten times as long as there is at 2,000 trades a second. What
waits for it meanwhile is merged into partial bars, so that the bars it makes are exact all the same.
"""

from __future__ import annotations

import time
from typing import Any

from reactivex import Observable
from reactivex import operators as rx

import rxfeed
from rxfeed import operators as ops
from rxfeed import overflow

BEGIN, END, WORK = 15.0, 18.0, 0.005


def busy(feed: rxfeed.Feed) -> Observable[Any]:
    """Make bars of the feed's ticks, with far too much work for each."""
    started = time.monotonic()

    def work(_: object) -> None:
        if BEGIN <= time.monotonic() - started < END:
            done = time.perf_counter() + WORK
            while time.perf_counter() < done:
                pass

    return feed.ticks(overflow.conflate(feed.windows)).pipe(rx.do_action(work), ops.bars(feed.windows))
