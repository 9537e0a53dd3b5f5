"""Bars of finer windows, some of them from history, as the bar that contains them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

import msgspec

from rxfeed.grids import Segment, Window
from rxfeed.kernels.bars.acc import INHERITED
from rxfeed.model import Bar, Flag

_START = attrgetter("start")


def reduced(parts: Iterable[Bar], symbol: str, timeframe: str, window: Window, segment: Segment, flags: int) -> Bar | None:
    """Return the bar of a window that is made of `parts`; None if there are none. Sums that one does not know are None."""
    bars = sorted(parts, key=_START)
    if not bars:
        return None
    first, last = bars[0], bars[-1]
    for bar in bars:
        flags |= bar.flags & INHERITED
    counts = [bar.count for bar in bars if bar.count is not None]
    known = len(counts) == len(bars)
    return Bar(
        symbol, timeframe, window.start, window.end,
        first.open, max(bar.high for bar in bars), min(bar.low for bar in bars), last.close, sum(bar.volume for bar in bars),
        sum(counts) if known else None,
        sum(bar.buy_volume or 0 for bar in bars) if known else None,
        sum(bar.sell_volume or 0 for bar in bars) if known else None,
        sum(bar.notional or 0.0 for bar in bars) if known else None,
        first.first_time if known else None, first.first_seq if known else None,
        last.last_time if known else None, last.last_seq if known else None,
        segment.trade_date, 0, flags | Flag.SHORT * window.short,
    )  # fmt: skip


def same(a: Bar, b: Bar) -> bool:
    """Whether two bars say the same, whatever their revisions."""
    return a is b or msgspec.structs.replace(a, revision=b.revision) == b
