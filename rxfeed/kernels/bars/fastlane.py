"""The frame lane with compiled inner loops: the same bars, several times as fast. It needs numba, the extra `fast`.

Compiled loops take ticks in the order in which they came, with an open bar a symbol and level, so nothing is grouped, copied
or gone over twice. Whatever is unusual about a frame (late ticks, several sessions) is left to the columns of `FrameLane`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rxfeed.frame import Frame
from rxfeed.kernels import extra
from rxfeed.kernels.bars import parts as p
from rxfeed.kernels.bars.cascade import Cascade, Levels
from rxfeed.kernels.bars.framelane import FrameLane, Output
from rxfeed.kernels.bars.framerows import less
from rxfeed.kernels.bars.parts import Ints, Parts
from rxfeed.kernels.bars.plan import NEVER
from rxfeed.kernels.look import Look, look_at
from rxfeed.model import Tick
from rxfeed.times import FOREVER, NANOSECONDS

compiled = extra.fast("rxfeed.kernels.bars.compiled")

_DAY = NANOSECONDS["d"]
_LONG = 400 * _DAY
"""Frames that span more are rare, and their segments many."""
_HUGE, _LARGE = 1 << 40, 1 << 61
"""Sizes and volumes beyond are left to the checks of the other lane."""
_NONE = (0, -1, np.empty((0, 5), np.int64))


class FastLane(FrameLane):
    """`FrameLane`, with what every ordinary frame goes through compiled."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._tables: list[tuple[int, int, Ints]] = [_NONE for _ in self.plan.names]
        self._cascade = Cascade()

    def _names(self, frame: Frame[Tick]) -> list[str]:
        found = frame.once(look_at)
        return frame.groups.symbols if found is None else found.symbols

    def _frame(self, frame: Frame[Tick], before: Ints) -> Output:
        found = frame.once(look_at)
        if found is None or not self._ordinary(found):
            return super()._frame(frame, before)
        ids = self.symbols.number(found.symbols)
        if not (found.begins[0] >= self.marks[ids]).all():
            return super()._frame(frame, before)
        opens = None if self.plan.lateness else self._opens(found, ids)
        if opens is None:
            return self._close(self._base(found, ids), self._none(), before, [])
        plan = self.plan
        levels = self._levels(found, len(plan.names))
        waiting = [old.take((place < 0).nonzero()[0]) for place, old in opens]
        mine = [(place[place >= 0], old.take((place >= 0).nonzero()[0])) for place, old in opens]
        opened, ticks = self._take(found, ids, levels, mine)
        self.tally.closed += ticks
        self.open = [p.join([old, new]) for old, new in zip(waiting, opened, strict=True)]
        columns, keep = self._cascade.closed(levels, self._done(less(self.marks, plan.back)))
        for level, parts in enumerate(keep):
            if parts.size:
                self.kept.put_chunk(level, parts, less(before, plan.back))
        return columns if columns.size else [], []

    def _done(self, passed: Ints) -> Ints:
        """Return, by level and symbol, until when closed bars need not be kept."""
        names = self.symbols.names
        done = np.stack([self.plan.all_needed(level, passed, names) for level in range(len(self.plan.names))])
        for name, wound in self.mender.wounds.items():
            number = self.symbols.id(name)
            if number < done.shape[1]:
                first = np.array([pins[0][0] - 1 if pins else FOREVER for pins in wound.pins])
                done[:, number] = np.minimum(done[:, number], first)
        return done

    def _span(self, found: Look) -> tuple[int, int]:
        """Return the least and the greatest time that need a window."""
        first, last = found.times
        return int(self.open[0].ints[p.START].min(initial=first)), last

    def _ordinary(self, found: Look) -> bool:
        first, last = self._span(found)
        return (
            self.plan.one_session and found.finite and found.orderly and last - first <= _LONG
            and max(found.sizes[1], -found.sizes[0]) <= _HUGE
        )  # fmt: skip

    def _opens(self, found: Look, ids: Ints) -> list[tuple[Ints, Parts]] | None:
        """Return what is open, and which of a frame's symbols each bar is of, or -1; None if that is unusual."""
        places = np.full(len(self.marks), -1)
        places[ids] = np.arange(len(ids))
        opens = [(places[old.ints[p.ID]], old) for old in self.open]
        for old in self.open:
            if np.bincount(old.ints[p.ID], minlength=1).max() > 1 or np.abs(old.ints[p.VOLUME]).max(initial=0) > _LARGE:
                return None
        place, old = opens[0]
        time, seq = found.begins[:, place]
        again = (time == old.ints[p.LAST_TIME]) & (seq < old.ints[p.LAST_SEQ]) & (place >= 0)
        return None if again.any() else opens

    def _take(self, found: Look, ids: Ints, levels: Levels, opens: list[tuple[Ints, Parts]]) -> tuple[list[Parts], int]:
        """Take the ticks of a frame and note the watermarks; return what is open then, and how many ticks have closed."""
        tally, first = self.tally, found.times[0]
        grid = self.plan.session_grids(0)[0]
        if tally.began is None and found.ordered and grid.segment(first) is not None:
            tally.began = first
        told = np.array([0, FOREVER if tally.began is None else tally.began, 0, 0])
        edge = None
        if tally.began is not None:
            middle = found.pieces[len(found.pieces) // 2].time
            edge = int(middle[len(middle) // 2 if len(found.pieces) == 1 else 0])
            segment = grid.segment(edge)
            edge = edge if segment is None else segment.window(edge).end
        opened = self._cascade.take(found, ids, levels, opens, edge, told)
        outside, began, ticks, _ = told.tolist()
        tally.outside += outside
        if began != FOREVER:
            tally.began = began
        ints = opened[0].ints
        self.marks[ints[p.ID]] = np.maximum(self.marks[ints[p.ID]], ints[p.LAST_TIME])
        return opened, ticks

    def _base(self, found: Look, ids: Ints) -> Parts:
        """Reduce ticks to bars of the finest windows."""
        levels = self._levels(found, 1)
        opened, _ = self._take(found, ids, levels, [])
        _, bars = self._cascade.closed(levels, np.full((1, len(self.marks)), NEVER))
        return p.in_order(p.join([*bars, *opened]))

    def _levels(self, found: Look, depth: int) -> Levels:
        """Return what the loops are told about the first levels."""
        first, last = self._span(found)
        tables = [self._segments(level, first, last) for level in range(depth)]
        ends = np.cumsum([0, *(len(table) for table in tables)])
        plan = self.plan
        sources = np.array([-1, *plan.sources[1:depth]])
        return Levels(sources, np.array(plan.emitted[:depth]), np.concatenate(tables), ends)

    def _split(self, old: Parts, new: Parts, limit: Ints) -> tuple[Parts, Parts]:
        old = old if _ordered(old) else p.in_order(old)
        new = new if _ordered(new) else p.in_order(new)  # columns know symbols in another order
        closed, left = _room(old.size + new.size), _room(old.size + new.size)
        closes, stays = compiled.split(*_columns(old), *_columns(new), limit, *closed, *left)
        if closes < 0:
            return super()._split(old, new, limit)
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
