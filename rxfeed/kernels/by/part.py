"""The ticks of an open bar, as they add up. They come in order, so the first is the first and the last the last."""

from __future__ import annotations

import math
from datetime import date

from rxfeed.model import Bar, sums


class Part:
    """A bar's sums, prices and ends; with count 0 only `last_time` and `last_seq` say anything: where the one before ended."""

    __slots__ = (
        "buy", "close", "count", "first_seq", "first_time", "high", "last_seq", "last_time", "low", "notional", "open", "sell",
        "volume",
    )  # fmt: skip

    def __init__(self, last_time: int = 0, last_seq: int = 0) -> None:
        self.count = self.volume = self.buy = self.sell = self.first_time = self.first_seq = 0
        self.last_time, self.last_seq = last_time, last_seq
        self.open = self.close = self.notional = 0.0
        self.high, self.low = -math.inf, math.inf

    def clone(self) -> Part:
        part = Part()
        part.absorb(self)
        part.last_time, part.last_seq = self.last_time, self.last_seq
        return part

    def add(self, time: int, seq: int, price: float, size: int, side: int, notional: float) -> None:
        """Take the next tick."""
        if not self.count:
            self.open, self.first_time, self.first_seq = price, time, seq
        self.close, self.last_time, self.last_seq = price, time, seq
        if price > self.high:
            self.high = price
        if price < self.low:
            self.low = price
        self.count += 1
        self.volume += size
        self.notional = notional if self.count == 1 else self.notional + notional
        if side == 1:
            self.buy += size
        elif side == 2:
            self.sell += size

    def absorb(self, later: Part) -> None:
        """Take ticks that come after."""
        if not later.count:
            return
        if not self.count:
            self.open, self.first_time, self.first_seq = later.open, later.first_time, later.first_seq
        self.close, self.last_time, self.last_seq = later.close, later.last_time, later.last_seq
        self.high, self.low = max(self.high, later.high), min(self.low, later.low)
        self.notional = self.notional + later.notional if self.count else later.notional
        self.count += later.count
        self.volume += later.volume
        self.buy += later.buy
        self.sell += later.sell

    def bar(self, symbol: str, timeframe: str, after: int, day: date, flags: int) -> Bar:
        """Return a bar of these ticks that starts after `after`."""
        start = max(self.first_time, after + 1)
        return Bar(
            symbol, timeframe, start, max(self.last_time, start) + 1, self.open, self.high, self.low, self.close, self.volume,
            self.count, self.buy, self.sell, self.notional, self.first_time, self.first_seq, self.last_time, self.last_seq,
            day, 0, flags,
        )  # fmt: skip


def part_of(bar: Bar) -> Part:
    """Return the ticks that `Part.bar` made a bar of."""
    part, known = Part(), sums(bar)
    part.open, part.high, part.low, part.close, part.volume = bar.open, bar.high, bar.low, bar.close, bar.volume
    part.count, part.buy, part.sell, part.notional = known[:4]
    part.first_time, part.first_seq, part.last_time, part.last_seq = known[4:]
    return part
