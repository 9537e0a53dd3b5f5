"""Ticks of a whole frame to the bars of all timeframes that they close, by compiled loops, in memory that is used again.

Memory that is new costs more than all that is computed here, since the system hands it out page by page.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rxfeed.kernels import extra
from rxfeed.kernels.bars.parts import Columns, Ints, Mask, Parts
from rxfeed.kernels.halves import both, worth
from rxfeed.kernels.look import Look, Piece

compiled, weaving = (extra.fast(f"rxfeed.kernels.bars.{name}_compiled") for name in ("cascade", "weave"))

_ROOM = 1 << 14
_PAGE, _PAD = 512, 512 + 8 * 17
"""Words from column to column: at distances of whole pages they would push each other out of the cache."""


class Levels(NamedTuple):
    """What the loops are told about timeframes; see `cascade_compiled`."""

    sources: Ints
    emitted: Mask
    segments: Ints
    tables: Ints


class Half:
    """The open bars of a frame's symbols, and the rows that ticks close: of all of it, or of what one thread does."""

    def __init__(self) -> None:
        self.rows: Ints = np.empty((_ROOM, compiled.WIDTH), np.int64)
        self.tags: Ints = np.empty(_ROOM, np.int64)
        self.state: Ints = np.empty((0, compiled.STATE), np.int64)
        self.count = 0

    def begin(self, ids: Ints, levels: int) -> None:
        self.state = np.empty((len(ids) * levels, compiled.STATE), np.int64)
        self.count = 0
        compiled.begin(self.state, ids, levels)

    def seed(self, level: int, levels: int, places: Ints, bars: Parts) -> None:
        """Go on with open bars of a level, one a symbol; `places` tells which symbols they are of."""
        at = places * levels + level
        self.state[at, 1:13] = bars.ints[1:].T  # all but the symbol
        self.state.view(np.float64)[at, 13:18] = bars.floats.T
        if level:
            base = places * levels
            self.state[base, compiled.NEXT] = np.minimum(self.state[base, compiled.NEXT], bars.ints[compiled.END])

    def run(self, pieces: list[Piece], numbers: Ints, levels: Levels, told: Ints) -> None:
        """Take ticks."""
        sources, _, segments, tables = levels
        self.room(sum(len(piece.codes) for piece in pieces) // 4)  # what is not written to costs nothing
        for codes, time, seq, price, size, side, _ in pieces:
            told[compiled.AT] = 0
            while True:
                self.count = compiled.run(
                    codes, numbers, time, seq, price, size, side, sources, segments, tables, self.state, self.rows, self.tags,
                    self.count, told,
                )  # fmt: skip
                if told[compiled.AT] == len(codes):
                    break
                self.room(len(self.tags))

    def room(self, rows: int) -> None:
        """See that there is room for so many rows more."""
        most = self.count + rows
        if most > len(self.tags):
            more = most + most // 2
            for name in ("rows", "tags"):
                old = getattr(self, name)
                new = np.empty((more, *old.shape[1:]), np.int64)
                new[: self.count] = old[: self.count]
                setattr(self, name, new)

    def open(self, level: int, levels: int) -> Parts:
        """Return the open bars of a level."""
        rows = self.state[level::levels]
        rows = rows[rows[:, compiled.END] != compiled.NEVER]
        return _parts(rows)


class Cascade:
    """The rows of one frame at a time."""

    def __init__(self) -> None:
        self._first, self._second = Half(), Half()
        self._order: Ints = np.empty(0, np.int64)
        self._keep: Ints = np.empty(0, np.int64)
        self._two = False

    def take(
        self, found: Look, ids: Ints, levels: Levels, opens: list[tuple[Ints, Parts]], edge: int | None, told: Ints
    ) -> list[Parts]:
        """Take the ticks of a frame; return what is open then, level by level.

        Args:
            found: the frame; no tick of it is before its symbol's watermark or its last tick before.
            ids: the numbers of its symbols.
            levels: the timeframes.
            opens: by level, what is open: one bar a symbol, and which of the frame's symbols these are.
            edge: a time near the middle of the frame that no window reaches over, if it is known when the stream began.
            told: see `cascade_compiled`; changed.
        """
        depth, first, second = len(levels.sources), self._first, self._second
        first.begin(ids, depth)
        for level, (places, bars) in enumerate(opens):
            first.seed(level, depth, places, bars)
        pieces, later = found.pieces, list[Piece]()
        if edge is not None and found.ordered and worth(sum(len(piece.codes) for piece in pieces)):
            pieces, later = _cut(pieces, edge)
        self._two = bool(later)
        second.begin(ids[: len(ids) if later else 0], depth)
        if not later:
            first.run(pieces, found.numbers, levels, told)
            return [first.open(level, depth) for level in range(depth)]
        more = told.copy()
        both(
            lambda: first.run(pieces, found.numbers, levels, told),
            lambda: second.run(later, found.numbers, levels, more),
        )
        first.room(len(ids) * depth)
        first.count = compiled.stitch(
            first.state, second.state, levels.sources, levels.segments, levels.tables, first.rows, first.tags, first.count,
            second.rows, told,
        )  # fmt: skip
        told[[compiled.OUTSIDE, compiled.CLOSED]] += more[[compiled.OUTSIDE, compiled.CLOSED]]
        return [second.open(level, depth) for level in range(depth)]

    def closed(self, levels: Levels, done: Ints) -> tuple[Columns, list[Parts]]:
        """Return the bars that closed and are emitted, by (symbol, end, finer first), and by level those to keep.

        Args:
            levels: the timeframes.
            done: by level and symbol, bars that end at this time or before need not be kept.
        """
        first, second = self._first, self._second
        bars = first.count + second.count
        if bars > len(self._order):
            self._order, self._keep = np.empty((2, bars + bars // 2), np.int64)
        order, keep = self._order[:bars], self._keep[:bars]
        weaving.by_symbol(first.tags[: first.count], second.tags[: second.count], done.shape[1], order)
        room = bars - bars % _PAGE + _PAD
        texts, shorts = np.empty((2, bars), np.uint32), np.empty((2, bars), np.int32)
        ints, floats = np.empty((13, room), np.int64), np.empty((5, room))

        def write(begin: int, end: int) -> tuple[int, int]:
            at = slice(begin, end)
            return weaving.weave(
                first.rows, first.count, second.rows, order[at], levels.emitted, done, keep[at],
                ints[:, at], floats[:, at], shorts[:, at], texts[:, at],
            )  # fmt: skip

        middle = bars // 2 if self._two and levels.emitted.all() else 0
        if middle:
            (_, few), (size, more) = both(lambda: write(0, middle), lambda: write(middle, bars))
            size += middle
            kept = np.concatenate([keep[:few], keep[middle : middle + more]])
        else:
            size, few = write(0, bars)
            kept = keep[:few]
        rows = np.concatenate([
            first.rows[kept[kept < first.count]], second.rows[kept[kept >= first.count] - first.count]
        ])  # fmt: skip
        level = rows[:, compiled.ID] >> compiled.LEVEL
        parts = [_parts(rows[level == number]) for number in range(len(levels.sources))]
        return Columns(texts[:, :size], ints[:, :size], floats[:, :size], shorts[:, :size]), parts


def _parts(rows: Ints) -> Parts:
    parts = Parts(rows.T[:13].copy(), rows.view(np.float64).T[13:18].copy())
    parts.ints[compiled.ID] &= compiled.NUMBER
    return parts


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
