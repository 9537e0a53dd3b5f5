"""What became of the last calls, in memory that does not grow: a ring of single calls, or of slices of time."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

SLICES: Final = 20
"""A time window moves on by a twentieth of itself."""


class Counts(NamedTuple):
    """Calls by what became of them. One may be both failed and slow."""

    calls: int
    failed: int
    slow: int


class Outcomes(Protocol):
    """The last calls."""

    def add(self, now: int, failed: bool, slow: bool) -> None:
        """Take note of one."""
        ...

    def counts(self, now: int) -> Counts:
        """Return how many there are."""
        ...

    def clear(self) -> None:
        """Forget all."""
        ...


class LastCalls:
    """The last so many calls: one byte each.

    Args:
        size: how many.
    """

    __slots__ = ("_calls", "_failed", "_next", "_ring", "_size", "_slow")

    def __init__(self, size: int) -> None:
        self._size = size
        self._ring = bytearray(size)
        self.clear()

    def clear(self) -> None:
        self._calls = self._failed = self._slow = self._next = 0

    def add(self, now: int, failed: bool, slow: bool) -> None:
        at, ring = self._next, self._ring
        if self._calls == self._size:
            if old := ring[at]:
                self._failed -= old & 1
                self._slow -= old >> 1
        else:
            self._calls += 1
        if failed or slow:
            ring[at] = failed | slow << 1
            self._failed += failed
            self._slow += slow
        else:
            ring[at] = 0
        at += 1
        self._next = 0 if at == self._size else at

    def counts(self, now: int) -> Counts:
        return Counts(self._calls, self._failed, self._slow)


class LastTime:
    """The calls of the last so many nanoseconds, in slices that begin at multiples of their length on the clock.

    Args:
        length: of the window, in ns, `SLICES` or more. What ended in the slice before those is forgotten.
    """

    __slots__ = ("_calls", "_failed", "_length", "_newest", "_slices", "_slow")

    def __init__(self, length: int) -> None:
        self._length = length // SLICES
        self._newest = 0
        self.clear()

    def clear(self) -> None:
        self._slices = [[0, 0, 0] for _ in range(SLICES)]
        self._calls = self._failed = self._slow = 0

    def add(self, now: int, failed: bool, slow: bool) -> None:
        self._move(now)
        mine = self._slices[self._newest % SLICES]
        mine[0] += 1
        self._calls += 1
        if failed:
            mine[1] += 1
            self._failed += 1
        if slow:
            mine[2] += 1
            self._slow += 1

    def counts(self, now: int) -> Counts:
        self._move(now)
        return Counts(self._calls, self._failed, self._slow)

    def _move(self, now: int) -> None:
        newest = now // self._length
        if newest <= self._newest:  # a clock that was set back adds to the newest slice
            return
        for number in range(max(self._newest, newest - SLICES) + 1, newest + 1):
            old = self._slices[number % SLICES]
            self._calls -= old[0]
            self._failed -= old[1]
            self._slow -= old[2]
            old[:] = 0, 0, 0
        self._newest = newest
