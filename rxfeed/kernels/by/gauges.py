"""When a bar closes: one gauge a symbol and `By`, asked tick by tick or for many at once, with the same answer to the bit.

What a gauge compares is integers, or floats that are only compared and never summed, so the answer cannot depend on the cut.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from datetime import date

import numpy as np
import numpy.typing as npt

from rxfeed.by import By
from rxfeed.kernels.by.part import Part
from rxfeed.model import Bar, Flag
from rxfeed.times import FOREVER

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

GAP = int(Flag.GAP)
SLACK = 2e-6
"""As a part of the size: twice what `Instrument.on_grid` forgives, since two prices meet."""
_UNITS = 44
"""A notional threshold is 2**44 to 2**45 units, so that 131,072 ticks of at most that much each add up in int64."""
_NEAR = 1 - 1e-9


class Block:
    """Ticks of one symbol in order, as columns."""

    __slots__ = ("buy", "notional", "price", "sell", "seq", "side", "size", "time")

    def __init__(self, time: Ints, seq: Ints, price: Floats, size: Ints, side: npt.NDArray[np.int8]) -> None:
        self.time, self.seq, self.price, self.size, self.side = time, seq, price, size, side
        with np.errstate(over="ignore"):
            self.notional: Floats = price * size
        self.buy: Ints = size * (side == 1)
        self.sell: Ints = size * (side == 2)


class Aim:
    """Until where the ordinary path of a symbol may go: below `count` and `volume`, and between `down` and `up`."""

    __slots__ = ("count", "down", "up", "volume")

    def __init__(self) -> None:
        self.count = self.volume = 1 << 62
        self.up, self.down = math.inf, -math.inf


class Gauge(ABC):
    """The open bar of one `By` of one symbol: `part` holds its ticks but for those of the symbol's base."""

    __slots__ = ("flags", "last_start", "name", "part")

    def __init__(self, by: By) -> None:
        self.name = by.timeframe
        self.part = Part()
        self.last_start = -FOREVER
        self.flags = 0
        """What the next bar is flagged with: GAP for the first one after a beginning inside a session."""

    def clone(self) -> Gauge:
        gauge = copy(self)
        gauge.part = self.part.clone()
        return gauge

    def begin(self, gap: bool) -> None:
        """Begin a session."""
        self.flags = GAP if gap else 0

    @abstractmethod
    def reached(self, base: Part, price: float, size: int, notional: float) -> bool:
        """Return whether this tick, which comes after `base`, closes the bar. What it means is settled by `take`."""

    def take(self, price: float, hit: bool) -> None:  # noqa: B027  # most have nothing to settle
        """Settle the tick that `reached` was asked about."""

    def aim(self, aim: Aim) -> None:  # noqa: B027  # `tops` is asked instead where there is none
        """Lower the aims to where this gauge must be asked."""

    def closed(self, symbol: str, day: date, flags: int = 0) -> list[Bar]:
        """Return the bar, or the bricks, that `part` now is, and begin the next."""
        bar = self.part.bar(symbol, self.name, self.last_start, day, flags | self.flags)
        self.last_start, self.flags, self.part = bar.start, 0, Part()
        return [bar]

    @abstractmethod
    def ends(self, block: Block, lo: int, hi: int, part: Part) -> Ints:
        """Return where in `lo` to `hi` bars close: the number of the row after; `part` is what the first one begins with."""


class TicksGauge(Gauge):
    __slots__ = ("size",)

    def __init__(self, by: By) -> None:
        super().__init__(by)
        self.size = int(by.size)

    def reached(self, base: Part, price: float, size: int, notional: float) -> bool:
        return self.part.count + base.count + 1 >= self.size

    def aim(self, aim: Aim) -> None:
        aim.count = min(aim.count, self.size - self.part.count)

    def ends(self, block: Block, lo: int, hi: int, part: Part) -> Ints:
        return np.arange(lo + self.size - part.count, hi + 1, self.size)


class VolumeGauge(Gauge):
    __slots__ = ("size",)

    def __init__(self, by: By) -> None:
        super().__init__(by)
        self.size = int(by.size)

    def reached(self, base: Part, price: float, size: int, notional: float) -> bool:
        return self.part.volume + base.volume + size >= self.size

    def aim(self, aim: Aim) -> None:
        aim.volume = min(aim.volume, self.size - self.part.volume)

    def ends(self, block: Block, lo: int, hi: int, part: Part) -> Ints:
        return lo + sum_ends(np.cumsum(block.size[lo:hi]), self.size - part.volume, self.size)


class NotionalGauge(Gauge):
    """Sums |price| × size in units of a power of two, so that the sum is exact whatever the cut."""

    __slots__ = ("most", "next", "scale", "sum")

    def __init__(self, by: By) -> None:
        super().__init__(by)
        self.scale = 2.0 ** min(_UNITS - math.frexp(by.size)[1] + 1, 1000)
        self.most = max(1, math.ceil(by.size * self.scale * _NEAR))
        """The threshold in units. A tick of more counts as this: it closes a bar by itself."""
        self.sum = 0
        self.next = 0

    def begin(self, gap: bool) -> None:
        super().begin(gap)
        self.sum = 0

    def tops(self, notional: float) -> bool:
        """`reached`, for the ordinary path."""
        units = abs(notional) * self.scale
        self.next = self.sum + (round(units) if units < self.most else self.most)
        return self.next >= self.most

    def reached(self, base: Part, price: float, size: int, notional: float) -> bool:
        return self.tops(notional)

    def take(self, price: float, hit: bool) -> None:
        self.sum = 0 if hit else self.next

    def ends(self, block: Block, lo: int, hi: int, part: Part) -> Ints:
        with np.errstate(over="ignore"):
            units = np.abs(block.notional[lo:hi]) * self.scale
        sums = np.cumsum(np.rint(np.minimum(units, self.most)).astype(np.int64))
        ends = sum_ends(sums, self.most - self.sum, self.most)
        self.sum = int(sums[-1]) + (self.sum if not len(ends) else -int(sums[ends[-1] - 1]))
        return lo + ends


class RangeGauge(Gauge):
    __slots__ = ("size",)

    def __init__(self, by: By) -> None:
        super().__init__(by)
        self.size = by.size

    def reached(self, base: Part, price: float, size: int, notional: float) -> bool:
        high, low = max(self.part.high, base.high, price), min(self.part.low, base.low, price)
        return high - low >= self.size - max(SLACK * self.size, 4 * math.ulp(max(abs(high), abs(low))))

    def aim(self, aim: Aim) -> None:
        aim.up, aim.down = -math.inf, math.inf  # every new extreme

    def ends(self, block: Block, lo: int, hi: int, part: Part) -> Ints:
        ends: list[int] = []
        price, size, slack = block.price, self.size, SLACK * self.size
        high, low, at, stop = part.high, part.low, lo, hi

        def wide(first: int, last: int) -> npt.NDArray[np.bool_]:
            nonlocal high, low
            highs = np.maximum(np.maximum.accumulate(price[first:last]), high)
            lows = np.minimum(np.minimum.accumulate(price[first:last]), low)
            high, low = highs[-1], lows[-1]
            near = np.maximum(slack, 4 * np.spacing(np.maximum(np.abs(highs), np.abs(lows))))
            return highs - lows >= size - near

        while (end := first_true(at, stop, wide)) is not None:
            ends.append(end + 1)
            high, low, at = -math.inf, math.inf, end + 1
        return np.array(ends, np.int64)


def sum_ends(sums: Ints, rest: int, size: int) -> Ints:
    """Return after which of the running `sums`, which never fall, bars close: at `rest`, and at `size` more than the last."""
    rows = len(sums)
    total = int(sums[-1]) if rows else 0
    if rest > total:
        return np.empty(0, np.int64)
    ends: list[int] = []
    at = int(sums.searchsorted(rest))
    if total // size < rows // 64:
        while at < rows:
            ends.append(at + 1)
            at = int(sums.searchsorted(int(sums[at]) + size))
    else:
        after: list[int] = sums.searchsorted(sums + size).tolist()
        while at < rows:
            ends.append(at + 1)
            at = after[at]
    return np.array(ends, np.int64)


def first_true(first: int, stop: int, test: Callable[[int, int], npt.NDArray[np.bool_]]) -> int | None:
    """Return the first row for which `test`, which is asked for growing stretches in order, is true."""
    width = 64
    while first < stop:
        last = min(first + width, stop)
        found = test(first, last)
        at = int(found.argmax())
        if found[at]:
            return first + at
        first, width = last, width * 2
    return None
