"""What is remembered of frames: columns of ints, as they came. Nothing is sorted until somebody asks for a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rxfeed.frame import Array

_MANY = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """Keys that were seen: `columns` are the symbol's number and the key."""

    columns: list[Array]
    seen: Array
    """The symbol's watermark at that time."""
    number: Array
    """How many elements had passed before it."""
    ordered: bool
    """Whether the rows are in the order of `columns`, of equal keys the older first."""

    def __len__(self) -> int:
        return len(self.seen)

    def take(self, rows: Array, *, ordered: bool) -> Chunk:
        return Chunk([c[rows] for c in self.columns], self.seen[rows], self.number[rows], ordered)

    def sorted(self) -> Chunk:
        return self if self.ordered else self.take(np.lexsort(self.columns[::-1]), ordered=True)

    def find(self, wanted: Sequence[Array]) -> Array:
        """Return for each key the row where it is, the newest if there are several, or -1. The chunk must be ordered."""
        lo = np.zeros(len(wanted[0]), np.int64)
        if not len(self):
            return lo - 1
        hi = np.full(len(lo), len(self))
        for _ in range(len(self).bit_length()):
            middle = np.minimum((lo + hi) >> 1, len(self) - 1)
            open_ = lo < hi
            above = less(wanted, [c[middle] for c in self.columns])
            hi = np.where(open_ & above, middle, hi)
            lo = np.where(open_ & ~above, middle + 1, lo)
        row = lo - 1
        found = row >= 0
        for column, want in zip(self.columns, wanted, strict=True):
            found &= column[row] == want
        return np.where(found, row, -1)


class Chunks:
    """All chunks, the oldest first; few, as the small ones are put together."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[Chunk] = ()) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def add(self, chunk: Chunk) -> None:
        self.parts.append(chunk)
        if len(self.parts) > _MANY:
            self._join()

    def find(self, wanted: Sequence[Array]) -> tuple[Array, Array]:
        """Return for each key when it was seen last (the watermark), and the number it had; -1 if never."""
        seen, number = np.zeros(len(wanted[0]), np.int64), np.full(len(wanted[0]), -1)
        self._join()
        for place, part in enumerate(self.parts):
            self.parts[place] = chunk = part.sorted()
            row = chunk.find(wanted)
            hit = np.flatnonzero(row >= 0)
            seen[hit], number[hit] = chunk.seen[row[hit]], chunk.number[row[hit]]
        return seen, number

    def _join(self) -> None:
        """Put neighbours together until each is larger than twice the next, so that a key is copied seldom."""
        joined: list[list[Chunk]] = []
        sizes: list[int] = []
        for part in self.parts:
            joined.append([part])
            sizes.append(len(part))
            while len(sizes) > 1 and sizes[-2] <= 2 * sizes[-1]:
                joined[-2:] = [joined[-2] + joined[-1]]
                sizes[-2:] = [sizes[-2] + sizes[-1]]
        self.parts = [_concat(parts) for parts in joined]


def _concat(parts: list[Chunk]) -> Chunk:
    if len(parts) == 1:
        return parts[0]
    columns = [np.concatenate(columns) for columns in zip(*(part.columns for part in parts), strict=True)]
    seen, number = (np.concatenate([getattr(part, name) for part in parts]) for name in ("seen", "number"))
    return Chunk(columns, seen, number, ordered=False)


def less(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """Whether keys are less than others, column by column."""
    result = a[-1] < b[-1]
    for x, y in zip(a[-2::-1], b[-2::-1], strict=True):
        result = (x < y) | ((x == y) & result)
    return result
