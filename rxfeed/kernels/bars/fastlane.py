"""The frame lane with compiled inner loops: the same bars, several times as fast. It needs numba, the extra `fast`.

Compiled loops take ticks in the order in which they came, with an open bar a symbol, so nothing is grouped, copied or
gone over twice. Whatever is unusual about a frame (late ticks, several sessions) is left to the columns of `FrameLane`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from rxfeed.frame import Frame
from rxfeed.kernels import extra
from rxfeed.kernels.bars import parts as p
from rxfeed.kernels.bars.base import Base
from rxfeed.kernels.bars.framelane import FrameLane, Output
from rxfeed.kernels.bars.framerows import less
from rxfeed.kernels.bars.parts import Closed, Ints, Parts, Picked
from rxfeed.kernels.bars.plan import NEVER
from rxfeed.kernels.look import Look, look_at
from rxfeed.model import Tick
from rxfeed.times import NANOSECONDS

compiled = extra.fast("rxfeed.kernels.bars.compiled")

_DAY = NANOSECONDS["d"]
_LONG = 400 * _DAY
"""Frames that span more are rare, and their segments many."""
_HUGE = 1 << 40
"""Sizes beyond are left to the checks of the other lane."""
_UNKNOWN = (1 << 63) - 1
_NONE = (0, -1, np.empty((0, 5), np.int64))


class FastLane(FrameLane):
    """`FrameLane`, with what every ordinary frame goes through compiled."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._tables: list[tuple[int, int, Ints]] = [_NONE for _ in self.plan.names]
        self._base = Base()

    def columns(self, closed: Closed) -> pl.DataFrame:
        if not isinstance(closed[0][1], Picked):
            return super().columns(closed)
        found = self._base.columns(closed[0][1], *p.joined(closed[1:]))
        return p.table(*found, self.symbols.names, self.plan.names)

    def _names(self, frame: Frame[Tick]) -> list[str]:
        found = frame.once(look_at)
        return frame.groups.symbols if found is None else found.symbols

    def _frame(self, frame: Frame[Tick], before: Ints) -> Output:
        found = frame.once(look_at)
        if found is None or not self._reduce_all(found):
            return super()._frame(frame, before)
        plan = self.plan
        limit, done = less(self.marks, plan.lateness), less(self.marks, plan.horizon)
        old = self.open[0]
        arranged = self._base.arrange(old if _ordered(old) else p.in_order(old), limit, done)
        if arranged is None:
            return self._close(self._base.parts(), self._none(), before, [])
        closed, self.open[0], keep, ticks = arranged
        self.tally.closed += ticks
        fresh = self._none()
        if closed.size:
            for consumer in plan.consumers[0]:
                fresh[consumer] = self._rolled(consumer, closed)
        touched = before < self.marks
        touched[self.symbols.number(found.symbols)] = True
        coarser = self._climb(fresh, fresh[:1] * len(fresh), limit, touched, begin=1)
        for level, parts in (0, keep), *coarser:
            if parts.size:
                self.kept.put_chunk(level, parts, less(before, plan.horizon))
        return [(level, bars) for level, bars in ((0, closed), *coarser) if bars.size and plan.emitted[level]], []

    def _reduce_all(self, found: Look) -> bool:
        """Reduce ticks to bars of the finest windows; return False, with nothing changed, if they are not ordinary."""
        first, last = found.times
        if not (self.plan.one_session and found.finite and found.orderly and last - first <= _LONG):
            return False
        if max(found.sizes[1], -found.sizes[0]) > _HUGE:
            return False
        tally, ids, segments = self.tally, self.symbols.number(found.symbols), self._segments(0, first, last)
        told = np.array([0, _UNKNOWN if tally.began is None else tally.began])
        marks = self._base.reduce(found, ids, self.marks[ids], segments, self._edge(found), told)
        if marks is None:
            return False
        self.marks[ids] = marks
        tally.outside += int(told[0])
        if told[1] != _UNKNOWN:
            tally.began = int(told[1])
        return True

    def _edge(self, found: Look) -> int:
        """Return a time near the middle row's that no window reaches over."""
        piece = found.pieces[len(found.pieces) // 2]
        middle = int(piece.time[len(piece.time) // 2 if len(found.pieces) == 1 else 0])
        segment = self.plan.session_grids(0)[0].segment(middle)
        return middle if segment is None else segment.window(middle).end

    def _split(self, old: Parts, new: Parts, limit: Ints) -> tuple[Parts, Parts]:
        old = old if _ordered(old) else p.in_order(old)
        new = new if _ordered(new) else p.in_order(new)  # columns know symbols in another order
        closed, left = _room(old.size + new.size), _room(old.size + new.size)
        closes, stays = compiled.split(*_columns(old), *_columns(new), limit, *closed, *left)
        if closes < 0:
            return super()._split(old, new, limit)
        return _first(closed, closes), _first(left, stays)

    def _roll(self, level: int, rows: Parts) -> Parts:
        return self._rolled(level, rows)

    def _rolled(self, level: int, rows: Parts | Picked) -> Parts:
        if isinstance(rows, Picked):
            order, (first, last) = rows.order, rows.starts
        else:
            start = rows.ints[p.START]
            order, first, last = np.arange(rows.size), int(start.min()), int(start.max())
        if self.plan.one_session and last - first <= _LONG:
            began = NEVER if self.tally.began is None else self.tally.began
            up = _room(rows.size)
            size = compiled.roll(rows.ints, rows.floats, order, self._segments(level, first, last), began, *up)
            if size >= 0:
                return _first(up, size)
        return super()._roll(level, rows if isinstance(rows, Parts) else rows.parts())

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
