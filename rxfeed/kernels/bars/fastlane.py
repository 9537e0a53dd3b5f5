"""The frame lane with compiled inner loops: the same bars, several times as fast. It needs numba, the extra `fast`.

A compiled loop takes ticks in the order in which they came, with an open bar a symbol, so nothing is grouped, copied or
gone over twice. Whatever is unusual about a frame (late ticks, several sessions) is left to the columns of `FrameLane`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rxfeed.frame import Frame
from rxfeed.kernels import extra
from rxfeed.kernels.bars import parts as p
from rxfeed.kernels.bars.framelane import FrameLane, Output
from rxfeed.kernels.bars.parts import Ints, Parts
from rxfeed.kernels.bars.plan import NEVER
from rxfeed.kernels.codes import codes_of
from rxfeed.model import Tick
from rxfeed.times import NANOSECONDS

compiled = extra.fast("rxfeed.kernels.bars.compiled")

_DAY = NANOSECONDS["d"]
_LONG = 400 * _DAY
"""Frames that span more are rare, and their segments many."""
_NONE = (0, -1, np.empty((0, 5), np.int64))


class FastLane(FrameLane):
    """`FrameLane`, with what every ordinary frame goes through compiled."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._tables: list[tuple[int, int, Ints]] = [_NONE for _ in self.plan.names]
        self._rows = Parts.empty()
        self._order: Ints = np.empty(0, np.int64)
        """What `_base` returned last, a bar after the other in memory, and what brings it into that order."""

    def _names(self, frame: Frame[Tick]) -> list[str]:
        found = frame.once(codes_of)
        return frame.groups.symbols if found is None else found.symbols

    def _frame(self, frame: Frame[Tick], before: Ints) -> Output:
        base = self._base(frame)
        return super()._frame(frame, before) if base is None else self._close(base, self._none(), before, [])

    def _base(self, frame: Frame[Tick]) -> Parts | None:
        """Reduce ticks to bars of the finest windows, or return None, with nothing changed, if they are not ordinary."""
        found = frame.once(codes_of)
        first, last = frame.bounds("time")
        if found is None or not self.plan.one_session or last - first > _LONG:
            return None
        tally, ids = self.tally, self.symbols.number(found.symbols)
        marks = self.marks[ids]
        told = np.array([0, compiled.UNKNOWN if tally.began is None else tally.began])
        rows, prices = np.empty((len(frame), 13), np.int64), np.empty((len(frame), 5))
        bars: int = compiled.reduce(
            found.codes, found.numbers, frame.column("time"), frame.column("seq"), frame.column("price"),
            frame.column("size"), frame.column("side"), ids, marks, self._segments(0, first, last), rows, prices, told,
        )  # fmt: skip
        if bars < 0:
            return None
        self.marks[ids] = marks
        tally.outside += int(told[0])
        if bars:
            tally.began = int(told[1])
        order = np.empty(bars, np.int64)
        compiled.by_symbol(rows, bars, len(self.marks), order)
        self._order = order
        self._rows = Parts(rows[:bars].T, prices[:bars].T)
        return self._rows

    def _split(self, old: Parts, new: Parts, limit: Ints) -> tuple[Parts, Parts]:
        old = old if _ordered(old) else p.in_order(old)
        of_base = new is self._rows
        if not of_base and not _ordered(new):  # of a frame that columns reduced: they know symbols in another order
            new = p.in_order(new)
        order = self._order if of_base else np.arange(new.size)
        closed, left = _room(old.size + new.size), _room(old.size + new.size)
        closes, stays = compiled.split(*_columns(old), *(new if of_base else _columns(new)), order, limit, *closed, *left)
        if closes < 0:
            return super()._split(old, new.take(order), limit)
        return _first(closed, closes), _first(left, stays)

    def _roll(self, level: int, rows: Parts) -> Parts:
        start = rows.ints[p.START]
        first, last = int(start.min()), int(start.max())
        if not self.plan.one_session or last - first > _LONG:
            return super()._roll(level, rows)
        began = NEVER if self.tally.began is None else self.tally.began
        up = _room(rows.size)
        size = compiled.roll(*_columns(rows), self._segments(level, first, last), began, *up)
        return super()._roll(level, rows) if size < 0 else _first(up, size)

    def _segments(self, level: int, first: int, last: int) -> Ints:
        """Return the segments of a grid between two times, and some more: lo, hi, origin, step, date."""
        lo, hi, table = self._tables[level]
        if not lo <= first <= last < hi:
            lo, hi = first - _DAY, last + 10 * _DAY
            found = self.plan.session_grids(0)[level].segments(lo, hi)
            table = np.array(
                [(s.lo, s.hi, s.origin, s.step, s.trade_date.toordinal() - p.EPOCH_ORDINAL) for s in found], np.int64
            )
            self._tables[level] = lo, hi, table.reshape(len(found), 5)
            table = self._tables[level][2]
        return table


def _room(rows: int) -> Parts:
    return Parts(np.empty((13, rows), np.int64), np.empty((5, rows)))


def _ordered(parts: Parts) -> bool:
    """Whether rows are by (symbol, start)."""
    symbol, start = parts.ints[p.ID], parts.ints[p.START]
    good = symbol[1:] > symbol[:-1]
    good |= (symbol[1:] == symbol[:-1]) & (start[1:] > start[:-1])
    return bool(good.all())


def _columns(parts: Parts) -> Parts:
    return Parts(np.ascontiguousarray(parts.ints), np.ascontiguousarray(parts.floats))


def _first(parts: Parts, rows: int) -> Parts:
    """Return the first rows, on their own and in columns without gaps."""
    return parts if rows == parts.size else Parts(parts.ints[:, :rows].copy(), parts.floats[:, :rows].copy())
