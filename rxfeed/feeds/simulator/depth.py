"""A simulated order book: a few levels a side around the best prices, which move with the trades."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from rxfeed.feeds.simulator.records import Level

ASK, BID, RESET, NEW_BEST_BID, NEW_BEST_ASK = 1, 2, 6, 9, 10
LEVELS: Final = 10


class DepthBook:
    """Absolute sizes by price in whole ticks; every change comes out as the gateway's levels.

    Args:
        random: where sizes come from.
        bid: the best bid, in ticks.
        ask: the best ask, in ticks.
        levels: prices a side.
    """

    __slots__ = ("_levels", "_random", "ask", "asks", "bid", "bids")

    def __init__(self, random: Random, bid: int, ask: int, levels: int = LEVELS) -> None:
        self._random = random
        self._levels = levels
        self.bid, self.ask = bid, ask
        self.bids = {bid - k: self._size() for k in range(levels)}
        self.asks = {ask + k: self._size() for k in range(levels)}

    def _size(self) -> int:
        return self._random.randint(1, 80)

    def snapshot(self) -> list[Level]:
        """Return a reset and every level."""
        bids = (Level(BID, price, size, size) for price, size in self.bids.items())
        asks = (Level(ASK, price, size, size) for price, size in self.asks.items())
        return [Level(RESET, 0, 0), *bids, *asks]

    def move(self, bid: int, ask: int) -> list[Level]:
        """Set the best prices and return what changed: a size at least. The book is never crossed on the way."""
        changes: list[Level] = []
        best = self.bid, self.ask
        self.bid, self.ask = bid, ask
        self._drop(changes, BID, self.bids, lambda price: bid - self._levels < price <= bid)
        self._drop(changes, ASK, self.asks, lambda price: ask <= price < ask + self._levels)
        self._add(changes, BID, self.bids, bid, -1)
        self._add(changes, ASK, self.asks, ask, 1)
        if bid != best[0]:
            changes.append(Level(NEW_BEST_BID, bid, self.bids[bid], self.bids[bid]))
        if ask != best[1]:
            changes.append(Level(NEW_BEST_ASK, ask, self.asks[ask], self.asks[ask]))
        if not changes:
            kind, side, price = (BID, self.bids, bid) if self._random.random() < 0.5 else (ASK, self.asks, ask)
            side[price] = self._size()
            changes.append(Level(kind, price, side[price], side[price]))
        return changes

    @staticmethod
    def _drop(changes: list[Level], kind: int, side: dict[int, int], keeps: Callable[[int], bool]) -> None:
        for price in [price for price in side if not keeps(price)]:
            del side[price]
            changes.append(Level(kind, price, 0))

    def _add(self, changes: list[Level], kind: int, side: dict[int, int], best: int, step: int) -> None:
        for price in range(best, best + step * self._levels, step):
            if price not in side:
                size = side[price] = self._size()
                changes.append(Level(kind, price, size, size))
