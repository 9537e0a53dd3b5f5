"""The order book as it is shown: its best levels on both sides at one moment."""

from __future__ import annotations

import msgspec

Level = tuple[float, int]
"""A price and how much there is at it."""


class Book(msgspec.Struct, frozen=True, gc=False):
    """The best levels of one symbol's book, after the element with this `time`, `seq` and `received`.

    `bids` and `asks` are `(price, size)`, best first; an empty side has none. `epoch` tells which connection's book it is. A
    Book is never crossed (best bid above best ask), but may be locked (both equal).
    """

    symbol: str
    time: int
    seq: int = 0
    received: int | None = None
    epoch: int = 0
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    @property
    def best_bid(self) -> float | None:
        """The highest price that is bid; None without bids."""
        return self.bids[0][0] if self.bids else None

    @property
    def best_ask(self) -> float | None:
        """The lowest price that is asked; None without asks."""
        return self.asks[0][0] if self.asks else None

    @property
    def spread(self) -> float | None:
        """Best ask less best bid; None unless both sides have a level."""
        return self.asks[0][0] - self.bids[0][0] if self.bids and self.asks else None

    @property
    def mid(self) -> float | None:
        """Half way between best bid and best ask; None unless both sides have a level."""
        return (self.bids[0][0] + self.asks[0][0]) / 2 if self.bids and self.asks else None

    @property
    def imbalance(self) -> float | None:
        """(b - a) / (b + a) of the sizes of all shown bids, b, and asks, a: from -1, only asks, to 1; None of an empty book."""
        b, a = sum(size for _, size in self.bids), sum(size for _, size in self.asks)
        return (b - a) / (b + a) if a + b else None
