"""Bricks between the prices k × size. Levels are computed, never summed, so that they are the same wherever data begins."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import numpy.typing as npt

from rxfeed.by import By
from rxfeed.errors import InputError
from rxfeed.kernels.by.gauges import SLACK, Aim, Block, Gauge, Ints, first_true
from rxfeed.kernels.by.part import Part
from rxfeed.model import Bar, Flag

FILLED = int(Flag.FILLED)
MOST_BRICKS = 100_000
"""What one tick may complete; more would be a wrong size or a wrong price, and take all memory."""
_FINEST = 2.0**48
"""Levels are told apart for prices up to so many sizes."""


class RenkoGauge(Gauge):
    """`down` and `up` are the levels that the price must reach for the next brick, as numbers; equal before the first tick."""

    __slots__ = ("bricks", "down", "next", "size", "up")

    def __init__(self, by: By) -> None:
        super().__init__(by)
        self.size = by.size
        self.down = self.up = 0
        self.next = (0, 0, 0)
        self.bricks: list[tuple[int, int, int]] = []
        """What `ends` found: for each bar the level that its first brick begins at, the direction, how many bricks."""

    def clone(self) -> Gauge:
        gauge = super().clone()
        assert isinstance(gauge, RenkoGauge)
        gauge.bricks = []
        return gauge

    def begin(self, gap: bool) -> None:
        super().begin(gap)
        self.down = self.up = 0

    def reached(self, base: Part, price: float, size: int, notional: float) -> bool:
        if self.down == self.up:
            return False
        if price >= self.rises(self.up):
            first, last, way = self.up - 1, self._below(price), 1
        elif price <= self.falls(self.down):
            first, last, way = self.down + 1, self._above(price), -1
        else:
            return False
        count = (last - first) * way
        if count > MOST_BRICKS:
            raise InputError(
                f"the price {price} completes {count} bricks of {self.name} at once; at most {MOST_BRICKS} are made: "
                "is the size right, and the price?"
            )
        self.next = first, way, count
        return True

    def take(self, price: float, hit: bool) -> None:
        if hit:
            first, way, count = self.next
            last = first + way * count
            self.down, self.up = (last - 2, last + 1) if way > 0 else (last - 1, last + 2)
        elif self.down == self.up:
            self.down, self.up = self._above(price) - 1, self._below(price) + 1

    def aim(self, aim: Aim) -> None:
        aim.up, aim.down = min(aim.up, self.rises(self.up)), max(aim.down, self.falls(self.down))

    def rises(self, level: int) -> float:
        """The least price that reaches a level from below."""
        price = level * self.size
        return price - max(SLACK * self.size, 4 * math.ulp(price))

    def falls(self, level: int) -> float:
        """The greatest price that reaches a level from above."""
        price = level * self.size
        return price + max(SLACK * self.size, 4 * math.ulp(price))

    def _below(self, price: float) -> int:
        level = round(price / self.size)
        return level if price >= self.rises(level) else level - 1

    def _above(self, price: float) -> int:
        level = round(price / self.size)
        return level if price <= self.falls(level) else level + 1

    def closed(self, symbol: str, day: date, flags: int = 0) -> list[Bar]:
        if flags:
            return super().closed(symbol, day, flags)
        part, (first, way, count) = self.part, self.next
        time = part.last_time
        part.open, part.close = first * self.size, (first + way) * self.size
        part.high, part.low = max(part.open, part.close), min(part.open, part.close)
        bars = super().closed(symbol, day)
        for brick in range(first + way, first + way * count, way):
            start, a, b = max(time, self.last_start + 1), brick * self.size, (brick + way) * self.size
            bars.append(
                Bar(
                    symbol, self.name, start, start + 1, a, max(a, b), min(a, b), b, 0, 0, 0, 0, 0.0, None, None, None, None,
                    day, 0, FILLED,
                )
            )  # fmt: skip
            self.last_start = start
        return bars

    def ends(self, block: Block, lo: int, hi: int, part: Part) -> Ints:
        ends: list[int] = []
        price, at = block.price, lo
        if self.down == self.up and at < hi:
            self.take(float(price[at]), hit=False)
            at += 1
        up, down = self.rises(self.up), self.falls(self.down)

        def out(first: int, last: int) -> npt.NDArray[np.bool_]:
            here = price[first:last]
            return (here >= up) | (here <= down)

        while (end := first_true(at, hi, out)) is not None:
            value = float(price[end])
            self.reached(part, value, 0, 0.0)
            self.take(value, hit=True)
            self.bricks.append(self.next)
            ends.append(end + 1)
            up, down, at = self.rises(self.up), self.falls(self.down), end + 1
        return np.array(ends, np.int64)


def check_price(size: float, name: str, price: float) -> None:
    """Refuse what no levels can be told apart at.

    Raises:
        InputError: the price is too many bricks.
    """
    if abs(price) >= size * _FINEST:
        raise InputError(f"the price {price} must be less than 2**48 bricks of {name}: is the size right, and the price?")
