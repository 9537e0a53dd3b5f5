"""The trades of one contract as they were done, whether anybody saw them or not: the newest ones, in bounded memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from rxfeed.feeds.simulator.records import Deals


class Trade(NamedTuple):
    """A trade: its number from 0, its time as it was sent, its price in whole ticks, and who began it: 1 bought, 2 sold."""

    number: int
    time: int
    ticks: int
    size: int
    side: int


class Ledger:
    """Keeps trades.

    Args:
        most: how many at least, if there were so many; up to twice as many are kept.
    """

    __slots__ = ("_columns", "_most", "first")

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._columns = tuple(array("q") for _ in range(4))
        self.first = 0
        """The number of the oldest one that is kept."""

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Trade]:
        return self.of([(self.first, self.first + len(self) - 1)])

    def add(self, deals: Deals) -> None:
        """Take the next trades."""
        if not self._most:
            self.first += len(deals.time)
            return
        for column, new in zip(self._columns, deals, strict=True):
            column.extend(new)
        gone = len(self) - self._most
        if gone >= self._most:
            self.first += gone
            for column in self._columns:
                del column[:gone]

    def of(self, stretches: Iterable[tuple[int, int]]) -> Iterator[Trade]:
        """Yield the trades of these numbers, each stretch from its first to its last; those not kept are left out."""
        times, ticks, sizes, sides = self._columns
        for first, last in stretches:
            for at in range(max(0, first - self.first), min(last + 1 - self.first, len(times))):
                yield Trade(self.first + at, times[at], ticks[at], sizes[at], sides[at])
