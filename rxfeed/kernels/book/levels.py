"""One side of an order book: thousands of levels, of which the best few are looked at all the time."""

from __future__ import annotations

from bisect import bisect_left

from rxfeed.book import Level


class Levels:
    """Sizes by price, and the prices in order.

    A change costs one search and one move of memory; the best levels are at the end of the list, where most changes are.

    Args:
        sign: 1 for bids and -1 for asks: the best level is the one whose price times this is the greatest.
        depth: how many levels are shown.
        most: how many are kept; over it the worst is let go.
    """

    __slots__ = ("_depth", "_levels", "_most", "_sign", "_top", "cut", "keys")

    def __init__(self, sign: int, depth: int, most: int) -> None:
        self._sign, self._depth, self._most = sign, depth, most
        self.keys: list[float] = []
        """Prices times the sign, the best one last."""
        self._levels: dict[float, Level] = {}
        self._top: tuple[Level, ...] | None = ()
        self.cut = 0
        """How many levels were let go."""

    def put(self, price: float, size: int) -> bool:
        """Set the size at a price, 0 to remove the level; return whether what is shown is now different."""
        key = self._sign * price
        keys, levels, depth = self.keys, self._levels, self._depth
        before = levels.get(key)
        if before is not None and size:
            if before[1] == size:
                return False
            levels[key] = price, size
            if len(keys) > depth and key < keys[-depth]:
                return False
        elif before is not None:
            place = bisect_left(keys, key)
            del levels[key]
            del keys[place]
            if len(keys) - place >= depth:
                return False
        elif size:
            place = bisect_left(keys, key)
            levels[key] = price, size
            keys.insert(place, key)
            if len(keys) > self._most:
                del levels[keys.pop(0)]
                self.cut += 1
                place -= 1
            if len(keys) - place > depth:
                return False
        else:
            return False
        self._top = None
        return True

    def clear(self) -> None:
        """Remove all levels."""
        self.keys.clear()
        self._levels.clear()
        self._top = ()

    def best(self) -> float | None:
        """Return the best price; None without levels."""
        return self._levels[self.keys[-1]][0] if self.keys else None

    def top(self) -> tuple[Level, ...]:
        """Return the levels that are shown, best first."""
        top = self._top
        if top is None:
            top = self._top = tuple(map(self._levels.__getitem__, self.keys[: -self._depth - 1 : -1]))
        return top

    def all(self) -> list[Level]:
        """Return every level, worst first."""
        return [self._levels[key] for key in self.keys]
