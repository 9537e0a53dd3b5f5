"""What each of two joined connections has still to say.

Once it is known that two sequences are the same, whoever says a trade first is followed, and the other one owes it. Each is
first-in-first-out, so only one of them owes at a time, and counting is exact: it need not be known which print is which.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from .alignment import Key

OLD: Final = 1
NEW: Final = -1


class Owed:
    """Counts of trades: above 0 new owes them, below 0 old does."""

    __slots__ = ("_counts", "left")

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self.left = 0
        """How many are owed by the one that is left, once it is `alone`."""

    def said(self, key: Key, by: int) -> bool:
        """Take that OLD or NEW has said a trade; return whether it is the first to do so."""
        count = self._counts.get(key, 0)
        if count + by:
            self._counts[key] = count + by
        else:
            del self._counts[key]
        return count * by >= 0

    def alone(self, by: int) -> None:
        """Take that OLD or NEW has ended: only what the other one owes to it is of interest."""
        self._counts = {key: abs(count) for key, count in self._counts.items() if count * by > 0}
        self.left = sum(self._counts.values())

    def instead(self, said: Iterable[Key]) -> None:
        """Take it that what the one that has ended `said` is owed by the other."""
        self._counts = {}
        keys = deque(said)
        for key in keys:
            self.said(key, OLD)
        self.left = len(keys)

    def paid(self, key: Key) -> bool:
        """Take that the one that is left has said a trade; return whether it was owed."""
        count = self._counts.get(key, 0)
        if count:
            self._counts[key] = count - 1
            self.left -= 1
        return count > 0
