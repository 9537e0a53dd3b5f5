"""Sets of whole numbers that mostly lie side by side, such as the numbers of the trades that somebody was sent."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, Self

_MOST: Final = 100_000


class Spans:
    """Numbers from 0 on, as the stretches in which they lie; iterating gives each stretch's first and last.

    At most 100,000 stretches are kept: beyond, the oldest half is forgotten, and `since` says from where on it is known what
    is in the set.
    """

    __slots__ = ("_ends", "_starts", "since")
    __hash__ = None  # pyright: ignore[reportAssignmentType]  # it changes

    def __init__(self, *stretches: tuple[int, int]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.since = 0
        for first, last in stretches:
            self.add(first, last)

    def __repr__(self) -> str:
        shown = [f"{a}-{b}" for a, b in zip(self._starts[:10], self._ends, strict=False)]
        return f"Spans({', '.join(shown)}{', ...' if len(self._starts) > len(shown) else ''})"

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        return sum(self._ends) - sum(self._starts) + len(self._starts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and (self._starts, self._ends) == (other._starts, other._ends)

    def __or__(self, other: Spans) -> Spans:
        result = self.copy()
        result.update(other)
        return result

    def __sub__(self, other: Spans) -> Spans:
        result = Spans()
        result.since = max(self.since, other.since)
        for first, last in self:
            first = max(first, result.since)
            at = bisect_left(other._ends, first)
            while at < len(other._starts) and other._starts[at] <= last:
                if first < other._starts[at]:
                    result.add(first, other._starts[at] - 1)
                first = other._ends[at] + 1
                at += 1
            if first <= last:
                result.add(first, last)
        return result

    def copy(self) -> Self:
        """Return a set of its own with the same numbers."""
        result = type(self)()
        result.update(self)
        return result

    def update(self, other: Spans) -> None:
        """Add another's numbers."""
        self.since = max(self.since, other.since)
        if not self._starts:
            self._starts, self._ends = other._starts.copy(), other._ends.copy()
            return
        for first, last in other:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add the numbers from `first` to `last`; nothing if there are none."""
        starts, ends = self._starts, self._ends
        if ends and first == ends[-1] + 1 <= last:  # what mostly happens
            ends[-1] = last
            return
        if first > last:
            return
        # All stretches that overlap or touch become one.
        a, b = bisect_left(ends, first - 1), bisect_right(starts, last + 1)
        if a < b:
            first, last = min(first, starts[a]), max(last, ends[b - 1])
        starts[a:b], ends[a:b] = [first], [last]
        if len(starts) > _MOST:
            half = len(starts) // 2
            self.since = ends[half - 1] + 1
            del starts[:half], ends[:half]
