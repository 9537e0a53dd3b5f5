"""The frame lane of `bars`: whole frames of ticks, with no Python loop per row or symbol.

Ticks are reduced to partial bars of the finest windows; those merge with what is open; what the watermark closes is output
and merges upward. The watermark is judged row by row, so a frame means exactly what its rows would: only frames whose
times go back need the running maximum, and only late rows cost Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from operator import itemgetter

import numpy as np
import numpy.typing as npt
import polars as pl

from rxfeed.frame import Array, Frame
from rxfeed.kernels.bars import parts as p
from rxfeed.kernels.bars.acc import INHERITED
from rxfeed.kernels.bars.framerows import Late, Rows, less, running_maximum
from rxfeed.kernels.bars.kept import Kept
from rxfeed.kernels.bars.mend import Mender
from rxfeed.kernels.bars.parts import Closed, Ints, Mask, Parts
from rxfeed.kernels.bars.plan import NEVER, Plan, Tally
from rxfeed.kernels.bars.rowlane import already
from rxfeed.kernels.bars.symbols import Symbols
from rxfeed.model import Bar, Flag, Reject, Tick
from rxfeed.times import FOREVER, iso

_EMPTY = Parts.empty()
Output = tuple[Closed, list[Bar]]
"""Closed bars, and revisions."""


class FrameLane:
    """Open windows as columns, one `Parts` a level, and the watermark of every symbol."""

    def __init__(self, plan: Plan, kept: Kept, tally: Tally, symbols: Symbols, mender: Mender) -> None:
        self.plan, self.kept, self.tally, self.symbols, self.mender = plan, kept, tally, symbols, mender
        self.open = [_EMPTY for _ in plan.names]
        self.marks: Ints = np.empty(0, np.int64)

    def frame(self, frame: Frame[Tick]) -> Output:
        """Return the closed bars `(level, rows)`, finest first, and the revisions that late rows made."""
        self._grow(self._names(frame))
        return self._all_or_none(lambda before: self._frame(frame, before))

    def _all_or_none(self, act: Callable[[Ints], Output]) -> Output:
        """If one timeframe fails, every one is as it was. Kept bars change only after all that can fail."""
        before, opens, counted = self.marks.copy(), list(self.open), self.tally.save()
        try:
            return act(before)
        except BaseException:
            self.marks, self.open = before, opens
            self.tally.restore(counted)
            raise

    def _frame(self, frame: Frame[Tick], before: Ints) -> Output:
        tally = self.tally
        rows = Rows(frame, self.symbols.number(frame.groups.symbols))
        self._drop_non_finite(rows, frame)
        late: Late | None = None
        steps = self._steps(rows) if len(rows) and rows.in_order(before[rows.ids]) else None
        if steps is None:
            self._set_windows(rows)
            if not len(rows):
                self._tell(rows)
                return [], []
            if not rows.in_order(before[rows.ids]):
                late = self._disorder(rows, frame)
            steps = rows.start
        if late is None:
            self.marks[rows.ids] = rows.at("time", rows.starts[1:] - 1)
            if tally.began is None:
                tally.began = int(rows.at("time", rows.first()))
        self._tell(rows)
        opens, posts = (self._none(), self._none()) if late is None else self._late(late)
        return self._close(self._reduce(rows, rows.start if late else steps), opens, before, posts)

    def mark(self, time: int) -> Closed:
        """Raise the watermark of every symbol that has one to `time` and return what closes."""

        def act(before: Ints) -> Output:
            self.marks = np.where(before == NEVER, NEVER, np.maximum(before, time))
            return self._close(_EMPTY, self._none(), before, [])

        return self._all_or_none(act)[0]

    def finish(self) -> Closed:
        """Close everything; windows that end after the watermark are PARTIAL."""
        return self._all_or_none(lambda before: self._close(_EMPTY, self._none(), before, [], finish=True))[0]

    def open_bars(self) -> list[tuple[int, Bar]]:
        """As `RowLane.open_bars`."""
        return [
            (level, p.bar_at(parts, row, self.symbols.name(int(parts.ints[p.ID, row])), self.plan.names[level]))
            for level, parts in enumerate(self.open)
            for row in range(parts.size)
        ]

    def open_count(self) -> int:
        """As `RowLane.open_count`."""
        return int(self.open[0].ints[p.COUNT].sum())

    def watermark(self, name: str) -> int | None:
        """As `RowLane.watermark`."""
        number = self.symbols.id(name)
        mark = int(self.marks[number]) if number < len(self.marks) else NEVER
        return None if mark == NEVER else mark

    def due(self) -> int | None:
        """As `RowLane.due`."""
        ends = [int(parts.ints[p.END].min()) for parts in self.open if parts.size]
        return min(ends, default=None)

    def watermarks(self) -> dict[str, int]:
        known = self.symbols.names[: len(self.marks)]
        return {name: mark for name, mark in zip(known, self.marks.tolist(), strict=True) if mark != NEVER}

    def load(self, opens: Iterable[tuple[int, Bar]], watermarks: dict[str, int]) -> None:
        """As `RowLane.load`."""
        levels: list[list[Bar]] = [[] for _ in self.plan.names]
        for level, bar in opens:
            levels[level].append(bar)
        ids = self.symbols.number(list(watermarks))
        self.marks = np.full(len(self.symbols.names), NEVER, np.int64)
        self.marks[ids] = list(watermarks.values())
        self.open = [p.of_bars(bars, self.symbols.number([b.symbol for b in bars]).tolist()) for bars in levels]

    def _none(self) -> list[Parts]:
        return [_EMPTY for _ in self.plan.names]

    def columns(self, closed: Closed) -> pl.DataFrame:
        """Return closed bars as one DataFrame."""
        symbols, timeframes = self.symbols.names, self.plan.names
        if isinstance(closed, list):
            return p.to_columns(closed, symbols, timeframes)
        return p.table(closed, symbols, timeframes)

    def rows(self, closed: Closed) -> list[Bar]:
        """Return closed bars one by one."""
        if isinstance(closed, list):
            return p.to_rows(closed, self.symbols.names, self.plan.names)
        return Frame.trusted(self.columns(closed), Bar).rows()

    # --- accepting

    def _names(self, frame: Frame[Tick]) -> list[str]:
        return frame.groups.symbols

    def _grow(self, names: list[str]) -> None:
        self.symbols.number(names)
        new = len(self.symbols.names) - len(self.marks)
        if new:
            self.marks = np.append(self.marks, np.full(new, NEVER, np.int64))

    def _drop_non_finite(self, rows: Rows, frame: Frame[Tick]) -> None:
        low, high = frame.bounds("price")
        if low > -math.inf and high < math.inf:
            return
        price = rows.column("price")
        finite = np.isfinite(price)

        def reason(row: int) -> tuple[str, str]:
            return "finite", f"price must be finite, got {price[row]}"

        self._reject(frame, rows, np.flatnonzero(~finite), reason)
        rows.keep(np.flatnonzero(finite), rows.blocks()[finite])

    def _steps(self, rows: Rows) -> Array | None:
        """Number the finest windows of rows that are in order and all in one segment, or return None: what nearly all are."""
        frame = rows.whole
        if frame is None or not self.plan.one_session:
            return None
        first, last = frame.bounds("time")
        segment = self.plan.session_grids(0)[0].segment(first)
        if segment is None or last >= segment.hi:
            return None
        numbers = frame.column("time") - segment.origin
        numbers //= segment.step
        if rows.origin is None:
            return numbers
        if (segment.hi - segment.origin) // segment.step < 1 << 31:
            numbers = numbers.astype(np.int32)  # half as much to bring into order
        return numbers.take(rows.origin, mode="wrap")

    def _set_windows(self, rows: Rows) -> None:
        rows.start, rows.end, _, _, inside = self._windows(0, rows.column("time"), rows.ids, rows.starts)
        if inside is None:
            return
        self.tally.outside += len(inside) - int(inside.sum())
        rows.keep(np.flatnonzero(inside), rows.blocks()[inside])

    def _disorder(self, rows: Rows, frame: Frame[Tick]) -> Late:
        """Judge each row by the watermark before it; leave the on-time ones, sorted, in `rows` and return the late ones."""
        plan, block, time, seq = self.plan, rows.blocks(), rows.column("time"), rows.column("seq")
        start = self.marks[rows.ids]
        running = running_maximum(time, start, rows.starts)
        before = np.empty_like(running)
        before[1:] = running[:-1]
        before[rows.starts[:-1]] = start
        self.marks[rows.ids] = running[rows.starts[1:] - 1]
        rejected = time < less(before, plan.horizon)
        late = (rows.end <= less(before, plan.lateness)) & ~rejected

        def reason(row: int) -> tuple[str, str]:
            behind = f"{iso(int(time[row]))} is more than the horizon of {plan.horizon / 1e9:g} s behind"
            return "late", f"{behind} the watermark {iso(int(before[row]))}"

        self._reject(frame, rows, np.flatnonzero(rejected), reason)
        if self.mender.wounds:
            repaired = np.array([row for row in np.flatnonzero(late).tolist() if self._has_all(rows, row, block)], np.int64)
            self._reject(frame, rows, repaired, lambda row: ("repaired", already(int(time[row]), int(rows.start[row]))))
            late[repaired] = False
            rejected[repaired] = True
        result = Late(rows, np.flatnonzero(late), before, block)
        ok = np.flatnonzero(~(late | rejected))
        ok = ok[np.lexsort((seq[ok], time[ok], rows.start[ok], block[ok]))]
        if self.tally.began is None:
            accepted = np.flatnonzero(~rejected)
            origin = accepted if rows.origin is None else rows.origin[accepted]
            self.tally.began = int(time[accepted[origin.argmin()]])
        rows.keep(ok, block[ok])
        return result

    def _has_all(self, rows: Rows, row: int, block: Ints) -> bool:
        name = self.symbols.names[int(rows.ids[block[row]])]
        return self.mender.has_all(name, int(rows.start[row]), int(rows.end[row]))

    def _reject(self, frame: Frame[Tick], rows: Rows, which: Ints, reason: Callable[[int], tuple[str, str]]) -> None:
        if not len(which):
            return
        if not self.tally.heard:
            self.tally.rejected[reason(int(which[0]))[0]] += len(which)
            return
        origin = which if rows.origin is None else rows.origin[which]
        ticks = Frame(frame.df[origin], Tick).rows()
        for row, at, tick in zip(which.tolist(), origin.tolist(), ticks, strict=True):
            rows.rejects.append((at, Reject(tick, *reason(row))))

    def _tell(self, rows: Rows) -> None:
        """Count the rejects in the order of the frame's rows."""
        for _, reject in sorted(rows.rejects, key=itemgetter(0)):
            self.tally.reject(reject, 1)

    # --- windows

    def _windows(
        self, level: int, time: Ints, ids: Ints, starts: Ints | None = None
    ) -> tuple[Ints, Ints, Ints, npt.NDArray[np.int32], Mask | None]:
        """Return start, end, flags, date and which are inside a session (None: all), for rows of symbols `ids`
        (one a row, or one a block when `starts` is given)."""
        plan = self.plan
        if plan.one_session:
            start, end, short, date, inside = plan.session_grids(0)[level].windows(time)
        else:
            row_ids = ids if starts is None else np.repeat(ids, np.diff(starts))
            session = np.array([plan.session_number(name) for name in self.symbols.names])[row_ids]
            start, end = np.zeros_like(time), np.zeros_like(time)
            short, inside = np.zeros(len(time), np.bool_), np.zeros(len(time), np.bool_)
            date = np.zeros(len(time), np.int32)
            for number in np.unique(session).tolist():
                at = np.flatnonzero(session == number)
                grid = plan.session_grids(number)[level]
                start[at], end[at], short[at], date[at], inside[at] = grid.windows(time[at])
        flags = short.astype(np.int64) * int(Flag.SHORT)
        return start, end, flags, date, None if inside.all() else inside

    def _gap(self, start: Ints) -> Ints:
        return (start < (NEVER if self.tally.began is None else self.tally.began)) * np.int64(Flag.GAP)

    def _at(self, level: int, rows: Parts) -> Parts:
        """Return rows of a finer level with the windows of `level` instead of their own."""
        start, end, flags, date, _ = self._windows(level, rows.ints[p.FIRST_TIME], rows.ints[p.ID])
        ints = rows.ints.copy()
        ints[p.START], ints[p.END], ints[p.DATE] = start, end, date
        ints[p.FLAGS] = rows.ints[p.FLAGS] & INHERITED | flags | self._gap(start)
        return Parts(ints, rows.floats)

    # --- merging

    def _reduce(self, rows: Rows, window: Array) -> Parts:
        """Reduce ticks, sorted by (block, window, time, seq), to partial bars of finest windows; `window` tells these apart."""
        n = len(rows)
        if not n:
            return _EMPTY
        head = np.empty(n, np.bool_)
        np.not_equal(window[1:], window[:-1], out=head[1:])
        head[rows.starts[:-1]] = True
        heads = head.nonzero()[0]
        tails = np.append(heads[1:], n) - 1
        size, price, side = rows.column("size"), rows.column("price"), rows.column("side")
        frame = rows.whole
        low, high = (size.min(), size.max()) if frame is None else frame.bounds("size")
        if max(int(high), -int(low)) > p.MANY:
            p.check_volume(size, heads)
        out = Parts(np.empty((13, len(heads)), np.int64), np.empty((5, len(heads))))
        ints, floats = out
        ints[p.ID] = np.repeat(rows.ids, np.diff(np.append(heads.searchsorted(rows.starts[:-1]), len(heads))))
        ints[p.FIRST_TIME], ints[p.FIRST_SEQ] = rows.at("time", heads), rows.at("seq", heads)
        ints[p.LAST_TIME], ints[p.LAST_SEQ] = rows.at("time", tails), rows.at("seq", tails)
        ints[p.START], ints[p.END], flags, ints[p.DATE], _ = self._windows(0, ints[p.FIRST_TIME], ints[p.ID])
        ints[p.FLAGS] = flags | self._gap(ints[p.START])
        np.add.reduceat(size, heads, out=ints[p.VOLUME])
        ints[p.COUNT] = tails - heads + 1
        np.add.reduceat(size * (side == 1), heads, out=ints[p.BUY])
        if side.min() >= 1 and side.max() <= 2:
            np.subtract(ints[p.VOLUME], ints[p.BUY], out=ints[p.SELL])
        else:
            np.add.reduceat(size * (side == 2), heads, out=ints[p.SELL])
        floats[p.OPEN], floats[p.CLOSE] = price[heads], price[tails]
        np.maximum.reduceat(price, heads, out=floats[p.HIGH])
        np.minimum.reduceat(price, heads, out=floats[p.LOW])
        notional = size.astype(np.float64)
        notional *= price
        np.add.reduceat(notional, heads, out=floats[p.NOTIONAL])
        return out

    def _close(self, base: Parts, late: list[Parts], before: Ints, posts: list[Parts], *, finish: bool = False) -> Output:
        """Merge new rows into what is open, level by level, and take out what the watermarks close; then revise.

        At each level there are rows in order, reduced from those that closed one level below, and a few more: what was open,
        and what is late.
        """
        plan, done = self.plan, less(before, self.plan.back)
        limit = np.full(len(self.marks), FOREVER) if finish else less(self.marks, plan.lateness)
        touched = before < self.marks
        for piece in (base, *late):
            touched[piece.ints[p.ID]] = True
        if finish:
            touched[:] = True
        result: list[tuple[int, Parts]] = []
        keep: list[tuple[int, Parts]] = []
        fresh = [base, *self._none()[1:]]
        latest = int(limit.max(initial=NEVER))
        for level, old in enumerate(self.open):
            if not fresh[level].size and not late[level].size and (not old.size or int(old.ints[p.END].min()) > latest):
                continue
            mine = touched[old.ints[p.ID]]
            some, waiting = old, _EMPTY
            if not mine.all():
                some, waiting = old.take(mine.nonzero()[0]), old.take((~mine).nonzero()[0])
            if late[level].size:
                some = p.merged(p.join([some, late[level]]))
            closed, stay = self._split(some, fresh[level], limit)
            self.open[level] = p.join([waiting, stay])
            if not closed.size:
                continue
            if finish:
                closed.ints[p.FLAGS] |= (closed.ints[p.END] > self.marks[closed.ints[p.ID]]) * np.int64(Flag.PARTIAL)
            if level == 0:
                self.tally.closed += int(closed.ints[p.COUNT].sum())
            for consumer in plan.consumers[level]:
                fresh[consumer] = self._roll(consumer, closed)
            keep.append((level, closed))
            if plan.emitted[level]:
                result.append((level, closed))
        revisions = self._late_bars(posts)
        for level, closed in keep:
            self.kept.put_chunk(level, closed, done)
        revised = [
            (number, bar.end, level, self.kept.revise(level, bar, int(before[number]))) for number, level, bar in revisions
        ]
        revised.sort(key=itemgetter(0, 1, 2))
        wounds = self.mender.wounds
        return result, [bar for _, _, level, bar in revised if plan.emitted[level] or bar.symbol in wounds]

    def _split(self, old: Parts, new: Parts, limit: Ints) -> tuple[Parts, Parts]:
        """Merge what was open with what is new; return what ends at its symbol's limit or before, and the others."""
        rows = p.meet(old, new, len(self.marks))
        closes = rows.ints[p.END] <= limit[rows.ints[p.ID]]
        if closes.all():
            return rows, _EMPTY
        return rows.take(closes.nonzero()[0]), rows.take((~closes).nonzero()[0])

    def _roll(self, level: int, rows: Parts) -> Parts:
        """Reduce rows of a finer level to the windows of `level`."""
        start, end, flags, date, _ = self._windows(level, rows.ints[p.START], rows.ints[p.ID])
        heads = p.runs(rows.ints[p.ID], start)
        up = p.merge_runs(rows, heads)
        if up is rows:
            up = Parts(rows.ints.copy(), rows.floats.copy())
        up.ints[p.START], up.ints[p.END], up.ints[p.DATE] = start[heads], end[heads], date[heads]
        up.ints[p.FLAGS] = up.ints[p.FLAGS] & INHERITED | flags[heads] | self._gap(start[heads])
        return up

    def _late(self, late: Late) -> tuple[list[Parts], list[Parts]]:
        """Return late rows by level: those of coarser windows that were open when they came, and those of closed ones."""
        base = self._at(0, late.parts())
        self.tally.closed += base.size
        opens, posts, closed = [_EMPTY], [base], [np.ones(base.size, np.bool_)]
        limit = less(late.before, self.plan.lateness)
        for level in range(1, len(self.open)):
            rows = self._at(level, base)
            closed.append(rows.ints[p.END] <= limit)
            # Where its source is open too, a row comes up from there.
            opens.append(rows.take(np.flatnonzero(~closed[level] & closed[self.plan.sources[level]])))
            posts.append(rows.take(np.flatnonzero(closed[level])))
        return opens, posts

    def _late_bars(self, posts: list[Parts]) -> list[tuple[int, int, Bar]]:
        """Return `(symbol, level, partial bar)` for each closed window that late rows fall into."""
        out: list[tuple[int, int, Bar]] = []
        for level, rows in enumerate(posts):
            if not rows.size:
                continue
            rows = rows.take(np.lexsort((rows.ints[p.START], rows.ints[p.ID])))
            merged = p.merge_runs(rows, p.runs(rows.ints[p.ID], rows.ints[p.START]))
            ids: list[int] = merged.ints[p.ID].tolist()
            for row, number in enumerate(ids):
                bar = p.bar_at(merged, row, self.symbols.names[number], self.plan.names[level])
                out.append((number, level, bar))
        return out
