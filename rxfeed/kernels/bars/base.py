"""Bars of the finest windows from the ticks of a frame, by compiled loops, in memory that the next frame uses again.

Memory that is new costs more than all that is computed here, since the system hands it out page by page.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rxfeed.kernels import extra
from rxfeed.kernels.bars.parts import ID, Floats, Ints, Parts, Picked
from rxfeed.kernels.halves import both, worth
from rxfeed.kernels.look import Look, Piece

compiled = extra.fast("rxfeed.kernels.bars.base_compiled")

_PAGE, _PAD = 512, 512 + 8 * 17
"""Words from column to column: at distances of whole pages they would push each other out of the cache."""


class Arranged(NamedTuple):
    """What `Base.arrange` finds: the bars that close, those that stay open, those that are kept, and the ticks that close."""

    closed: Picked
    stay: Parts
    keep: Parts
    ticks: int


class Base:
    """The bars of one frame, each a row; `None` from a method means that the frame is left to columns."""

    def __init__(self) -> None:
        self._rows: Ints = np.empty((0, compiled.WIDTH), np.int64)
        self._numbers: Ints = np.empty((3, 0), np.int64)
        self._spans: list[tuple[int, int]] = []

    def reduce(self, found: Look, ids: Ints, marks: Ints, segments: Ints, edge: int | None, told: Ints) -> Ints | None:
        """Reduce ticks to bars of the finest windows, which stay here; return the watermarks after it.

        Args:
            found: the frame.
            ids: of its symbols.
            marks: of its symbols, before.
            segments: of the finest grid.
            edge: a time near the middle that no window reaches over, if there is one.
            told: as in `base_compiled.reduce`.
        """
        total = sum(len(piece.codes) for piece in found.pieces)
        self._room(total + 2 * len(ids))
        first, second = found.pieces, list[Piece]()
        if edge is not None and told[1] != compiled.UNKNOWN and found.ordered and worth(total):
            first, second = _cut(found.pieces, edge)
        middle = sum(len(piece.codes) for piece in first) + len(ids)
        told_too = np.array([0, told[1]])
        here = _Half(self._rows, found.numbers, ids, marks, segments)
        there = _Half(self._rows, found.numbers, ids, marks, segments)
        if second:
            ends = both(lambda: here.run(first, 0, told), lambda: there.run(second, middle, told_too))
        else:
            ends = here.run(first, 0, told), middle
        if min(ends) < 0:
            return None
        told[0] += told_too[0]
        self._spans = [(0, ends[0]), (middle, ends[1])]
        return np.maximum(here.marks(), there.marks())

    def arrange(self, olds: Parts, limit: Ints, done: Ints) -> Arranged | None:
        """Merge bars that were open before, by (symbol, start), with those of the frame, and tell which of them close.

        Args:
            olds: as they are, they are not changed.
            limit: by symbol, what ends at this time or before closes.
            done: by symbol, what ends at this time or before need not be kept.
        """
        end = self._spans[-1][1]
        bars = olds.size + sum(last - first for first, last in self._spans)
        self._room(end + olds.size, bars)
        rows, numbers = self._rows, self._numbers
        rows[end : end + olds.size, : ID + 13] = olds.ints.T
        rows.view(np.float64)[end : end + olds.size, 13:] = olds.floats.T
        spans = np.array([(end, end + olds.size), *self._spans])
        closes, stays, keeps, ticks, *starts = compiled.arrange(rows, spans, limit, done, *numbers)
        if closes < 0:
            return None
        closed, stay, keep = (
            Picked(rows, numbers[n, :size], (starts[0], starts[1])) for n, size in enumerate((closes, stays, keeps))
        )
        return Arranged(closed, stay.parts(), keep.parts(), ticks)

    def parts(self) -> Parts:
        """Return the bars of the frame, by (symbol, start)."""
        rows = np.concatenate([self._rows[first:last] for first, last in self._spans])
        return Picked(rows, rows[:, ID].argsort(kind="stable"), (0, 0)).parts()

    @staticmethod
    def columns(
        closed: Picked, others: Parts, levels: Ints, order: Ints
    ) -> tuple[npt.NDArray[np.uint32], Ints, Floats, npt.NDArray[np.int32]]:
        """Return bars by (symbol, end, finer first): numbers of symbols and levels, the fields, and dates and flags apart."""
        size = closed.size + others.size
        room = size - size % _PAGE + _PAD
        words, values = np.empty((13, room), np.int64)[:, :size], np.empty((5, room))[:, :size]
        shorts, texts = np.empty((2, size), np.int32), np.empty((2, size), np.uint32)
        few = np.ascontiguousarray(others.ints), np.ascontiguousarray(others.floats)
        compiled.weave(closed.rows, closed.order, *few, levels, order, words, values, shorts, texts)
        return texts, words, values, shorts

    def _room(self, rows: int, bars: int = 0) -> None:
        if rows > len(self._rows):
            old = self._rows
            self._rows = np.empty((rows, compiled.WIDTH), np.int64)
            if self._spans:
                self._rows[: len(old)] = old
        if bars > self._numbers.shape[1]:
            self._numbers = np.empty((3, bars + bars // 2), np.int64)


class _Half:
    """The open bars of symbols while ticks are reduced: of all of a frame, or of what one thread does."""

    def __init__(self, rows: Ints, numbers: Ints, ids: Ints, marks: Ints, segments: Ints) -> None:
        self._given = rows, numbers, marks, segments
        self._state = np.empty((len(ids), compiled.STATE), np.int64)
        compiled.begin(self._state, ids)

    def run(self, pieces: list[Piece], bars: int, told: Ints) -> int:
        """Reduce pieces to rows from `bars` on; return where they end, or -1."""
        rows, numbers, marks, segments = self._given
        for codes, time, seq, price, size, side, _ in pieces:
            bars = compiled.reduce(
                codes, numbers, time, seq, price, size, side, marks, segments, self._state, rows, bars, told
            )  # fmt: skip
            if bars < 0:
                return -1
        return compiled.end(self._state, rows, bars)

    def marks(self) -> Ints:
        """The last time of every symbol, or its watermark before where there is none."""
        state, marks = self._state, self._given[2]
        return np.where(state[:, compiled.END] == compiled.NEVER, marks, state[:, compiled.LAST_TIME])


def _cut(pieces: list[Piece], edge: int) -> tuple[list[Piece], list[Piece]]:
    """Return the rows before a time and those from it on, if neither is far more than the other; else all first."""
    last = next((n for n, piece in enumerate(pieces) if piece.time[-1] >= edge), None)
    if last is None:
        return pieces, []
    at = int(pieces[last].time.searchsorted(edge))
    first = [*pieces[:last], Piece(*(column[:at] for column in pieces[last]))]
    second = [Piece(*(column[at:] for column in pieces[last])), *pieces[last + 1 :]]
    one, other = (sum(len(piece.codes) for piece in half) for half in (first, second))
    return (first, second) if 4 * min(one, other) > max(one, other) else (pieces, [])
