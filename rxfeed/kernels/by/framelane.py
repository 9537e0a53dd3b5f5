"""The frame lane of `bars(by=...)`: the ticks of each symbol in one go, with no Python loop over rows.

It works on the row lane's symbols and does what that would. Where a frame is not simply in order, or so nearly that nothing
in it is late, the row lane does it.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from rxfeed.frame import Frame
from rxfeed.grids import SPAN, Grid
from rxfeed.kernels.bars.plan import NEVER, Tally
from rxfeed.kernels.by import columns as c
from rxfeed.kernels.by.columns import Columns
from rxfeed.kernels.by.frameticks import Run, judge, rows_at
from rxfeed.kernels.by.gauges import Block, Gauge, Ints
from rxfeed.kernels.by.part import Part
from rxfeed.kernels.by.plan import Plan, Symbol
from rxfeed.kernels.by.renko import RenkoGauge, check_price
from rxfeed.kernels.by.rowlane import RowLane
from rxfeed.model import Bar, Flag, Reject, Tick
from rxfeed.times import FOREVER

FEW_ROWS = 100
"""Fewer ticks of a symbol than this are faster one by one."""
SHORT = int(Flag.SHORT)


class FrameLane:
    """Frames of ticks, all or none."""

    def __init__(self, plan: Plan, tally: Tally, rows: RowLane) -> None:
        self.plan, self.tally, self.rows = plan, tally, rows
        self._sessions = len(plan.sessions)

    def frame(self, frame: Frame[Tick]) -> tuple[list[Bar], Frame[Bar] | None]:
        """Return the bars that come first, as rows, and those that come after, as a frame."""
        symbols, names = self.rows.symbols, frame.groups.symbols
        before = {name: symbols[name].clone() if name in symbols else None for name in names}
        counted = self.tally.save()
        try:
            return self._frame(frame)
        except BaseException:
            self.tally.restore(counted)
            for name, symbol in before.items():
                if symbol is None:
                    symbols.pop(name, None)
                else:
                    symbols[name] = symbol
            raise

    def _frame(self, frame: Frame[Tick]) -> tuple[list[Bar], Frame[Bar] | None]:
        tally, groups = self.tally, frame.groups
        time, price = frame.grouped("time"), frame.grouped("price")
        finite = np.isfinite(price)
        inside = self._inside(frame)
        good = finite & inside
        kept = np.flatnonzero(good)
        if not self._begins(frame, kept):
            return self._by_row(frame), None
        for size, name in self.plan.bricks:
            if len(kept):
                check_price(size, name, float(np.abs(price[kept]).max()))
        tally.outside += int((finite & ~inside).sum())
        rejects: list[tuple[int, Reject]] = []
        self._not_finite(frame, np.flatnonzero(~finite), rejects)
        bars: list[Bar] = []
        pieces: list[Columns] = []
        starts = groups.starts if len(kept) == len(time) else np.searchsorted(kept, groups.starts)
        for number in range(len(groups.symbols)):
            which = kept[starts[number] : starts[number + 1]]
            if len(which) and not (len(which) >= FEW_ROWS and self._block(number, frame, which, bars, pieces)):
                bars += self._by_tick(frame, which, rejects)
        rejects.sort(key=lambda reject: reject[0])
        tally.rejects += [reject for _, reject in rejects]
        self.rows.earliest = min(self.rows.earliest, self.rows.due() or FOREVER)
        return bars, c.to_frame(pieces, groups.symbols, self.plan.names) if pieces else None

    # --- judging

    def _inside(self, frame: Frame[Tick]) -> npt.NDArray[np.bool_]:
        time, (names, _, starts) = frame.grouped("time"), frame.groups
        if self._sessions == 1:
            return Grid(SPAN, self.plan.sessions[0]).windows(time).inside
        inside = np.empty(len(time), np.bool_)
        for name, lo, hi in zip(names, starts.tolist(), starts[1:].tolist(), strict=False):
            inside[lo:hi] = Grid(SPAN, self.plan.session(name)).windows(time[lo:hi]).inside
        return inside

    def _begins(self, frame: Frame[Tick], kept: Ints) -> bool:
        """Know when the stream began, which GAP asks; False if that changes within the frame: then it goes row by row."""
        if not len(kept):
            return True
        time, order, tally = frame.grouped("time"), frame.groups.order, self.tally
        least = int(time[kept].min())
        if tally.began is None:
            first = int(time[kept[0] if order is None else kept[order[kept].argmin()]])
            if least < first:
                return False
            tally.began = first
        return least >= tally.began

    def _not_finite(self, frame: Frame[Tick], which: Ints, rejects: list[tuple[int, Reject]]) -> None:
        if not len(which):
            return
        self.tally.rejected["finite"] += len(which)
        if self.tally.heard:
            at = rows_at(frame, which)
            for row, tick in zip(at.tolist(), Frame(frame.df[at], Tick).rows(), strict=True):
                rejects.append((row, Reject(tick, "finite", f"price must be finite, got {tick.price}")))

    # --- row by row

    def _by_row(self, frame: Frame[Tick]) -> list[Bar]:
        tick = self.rows.tick
        return [bar for t in frame.rows() for bar in tick(t) or ()]

    def _by_tick(self, frame: Frame[Tick], which: Ints, rejects: list[tuple[int, Reject]]) -> list[Bar]:
        """The same for the ticks of one symbol."""
        out: list[Bar] = []
        tick, heard, at = self.rows.tick, self.tally.rejects, rows_at(frame, which)
        before = len(heard)
        for row, t in zip(at.tolist(), Frame(frame.df[at], Tick).rows(), strict=True):
            out += tick(t) or ()
            if len(heard) > before:
                rejects.append((row, heard.pop()))
        return out

    # --- a symbol's ticks in one go

    def _block(self, number: int, frame: Frame[Tick], which: Ints, bars: list[Bar], pieces: list[Columns]) -> bool:
        """Put a symbol's ticks into its bars; False, and nothing is changed, if they must go one by one."""
        name = frame.groups.symbols[number]
        s = self.rows.symbols.get(name) or Symbol(name, self.plan)
        judged = judge(s, frame, which, self.plan.lateness)
        if judged is None:
            return False
        self.rows.symbols[name] = s
        s.watermark, s.held = judged.mark, deque(judged.waits)
        limit = judged.mark - self.plan.lateness
        if judged.runs:
            if int(judged.block.time[0]) >= s.until:
                bars += self.rows.flush(s, Flag.SHORT)
            self._go_in(s, number, judged.block, judged.runs, limit, pieces)
        if s.until <= limit:
            bars += self.rows.flush(s, Flag.SHORT)
        return True

    def _go_in(self, s: Symbol, number: int, block: Block, runs: list[Run], limit: int, pieces: list[Columns]) -> None:
        s.settle()
        again = int(block.time[0]) < s.until
        over = runs[-1].span.close <= limit
        for level, g in enumerate(s.gauges):
            piece = self._gauge(g, block, runs, again=again, over=over)
            if piece.ints.shape[1]:
                piece.ints[c.SYMBOL], piece.ints[c.LEVEL] = number, level
                pieces.append(piece)
                if level == 0:
                    self.tally.closed += int(piece.ints[c.COUNT].sum())
        s.base = Part(int(block.time[-1]), int(block.seq[-1]))
        s.enter(s.base.last_time)
        if over:
            s.until = NEVER
        s.take_aim()

    def _gauge(self, g: Gauge, block: Block, runs: list[Run], *, again: bool, over: bool) -> Columns:
        """Return the bars of one gauge that close, and leave in it what stays open."""
        began = self.tally.began
        edges: list[Ints] = []
        flags: list[Ints] = []
        keys: list[Ints] = []
        days: list[Ints] = []
        short: list[bool] = []
        for number, (lo, hi, span) in enumerate(runs):
            if number or not again:
                g.begin(began is not None and span.open < began)
            ends = g.ends(block, lo, hi, Part() if number else g.part)
            left = int(ends[-1]) < hi if len(ends) else True
            stays = left and number == len(runs) - 1 and not over
            n = len(ends) + left
            edges.append(np.concatenate(([lo], ends))[:n])
            key = np.concatenate((2 * ends - 1, [2 * hi]))[:n]
            flag = np.zeros(n, np.int64)
            flag[0] = g.flags
            if n > stays:
                g.flags = 0
            if left and not stays:
                flag[-1] |= SHORT
            keys.append(key)
            flags.append(flag)
            days.append(np.full(n, span.trade_date.toordinal() - c.EPOCH_ORDINAL))
            short += [False] * len(ends) + [True] * left
        rows = c.reduce(block, np.concatenate(edges))
        rows.ints[c.KEY], rows.ints[c.FLAGS], rows.ints[c.DAY] = map(np.concatenate, (keys, flags, days))
        c.put_before(g.part, rows)
        g.part = Part()
        if short[-1] and not over:
            g.part = c.part_at(rows, -1)
            rows = Columns(rows.ints[:, :-1], rows.floats[:, :-1])
        if isinstance(g, RenkoGauge):
            bricks, g.bricks = g.bricks, []
            which = np.flatnonzero(~np.array(short[: rows.ints.shape[1]], np.bool_))
            rows = c.lay_bricks(rows, which, bricks, g.size)
        if rows.ints.shape[1]:
            g.last_start = c.set_starts(rows, g.last_start)
        return rows
