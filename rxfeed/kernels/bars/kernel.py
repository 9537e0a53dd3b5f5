"""The kernel of `bars`: ticks, frames, partial bars and marks in; closed bars and revisions out. It knows no Rx.

Two lanes do the work, rows and frames, and mean the same; the kernel chooses by size, moves what is open from one to the
other when the input changes, and holds what they share: the plan, the closed bars within the horizon, and the tally.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import polars as pl

from rxfeed.errors import InputError, PartialRefused
from rxfeed.frame import BAR_SCHEMA, Frame
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels import extra
from rxfeed.kernels.bars import mendframes
from rxfeed.kernels.bars.framelane import FrameLane
from rxfeed.kernels.bars.kept import Kept
from rxfeed.kernels.bars.mend import Mender, MendStats
from rxfeed.kernels.bars.mendframes import MendFrames
from rxfeed.kernels.bars.parts import Closed
from rxfeed.kernels.bars.plan import Plan, Tally
from rxfeed.kernels.bars.rowlane import RowLane
from rxfeed.kernels.bars.spans import Spans
from rxfeed.kernels.bars.symbols import Symbols
from rxfeed.model import Bar, Flag, Gap, Reject, Repair, Tick, merge, sums
from rxfeed.times import FOREVER
from rxfeed.windows import Window, Windows

FRAME_ROWS = 131_072
"""Large frames are cut to this: half of it costs a fifth more a tick, and much more does not fit the cache."""
FAST_ROWS = 1 << 20
"""Compiled loops do not mind the cache; their numbers are sure to fit for so many rows."""
FEW_ROWS = 1_000
"""Frames below this are faster row by row."""
FEWER_ROWS = 100
"""While the frame lane is in use, frames down to this stay in it: changing lanes costs too."""


class BarsStats(NamedTuple):
    """Ticks by what became of them; a partial bar counts its `count`. received = closed + open + rejected + outside_session."""

    received: int
    closed: int
    """In windows that have closed, late ticks included, and those in whose place history's bar is now."""
    open: int
    """In windows that are open."""
    rejected: int
    """Not finite, later than the horizon, or in a window that history has told."""
    outside_session: int
    """The market was closed: no bar."""


class BarsSnapshot(NamedTuple):
    """A kernel's state as frames: `bars` (open and kept ones, with `level` and `kept`), `marks`, `counts`, `mends` (gaps)."""

    bars: pl.DataFrame
    marks: pl.DataFrame
    counts: pl.DataFrame
    mends: MendFrames


class BarsKernel:
    """State and rules of `bars` for all timeframes and symbols.

    Args:
        windows: the timeframes.
        lateness: how long a window stays open after its end, ns of event time.
        horizon: a tick further behind its symbol's watermark is rejected as `late`, ns.
        instruments: by symbol; those with a session of their own use it instead of that of `windows`.
        fast: whether frames are reduced by compiled loops; the bars are the same.
        mends: whether there may be gaps and repairs. What bars are made of is then kept as long as they may change.
    """

    def __init__(
        self, windows: Windows, *, lateness: int = 0, horizon: int = 0, instruments: Instruments = None, fast: bool = False,
        mends: bool = False,
    ) -> None:  # fmt: skip
        sessions = {s: windows.with_session(i.session) for s, i in by_symbol(instruments).items() if i.session is not None}
        self.plan = Plan(windows, sessions, lateness, min(horizon, FOREVER), mends=mends)
        self.tally = Tally()
        self._symbols = Symbols()
        self._kept = Kept(self.plan, self._symbols)
        self._mender = Mender(self.plan, self._kept, self.tally, self.watermark)
        self._rows = RowLane(self.plan, self._kept, self.tally, self._mender, self._to_rows)
        self._frames = (_fast_lane() if fast else FrameLane)(self.plan, self._kept, self.tally, self._symbols, self._mender)
        self._fast = fast
        self._lane: RowLane | FrameLane = self._rows
        self.tick = self._rows.tick
        """Take one tick; return what it closes or revises, or None if nothing can have."""
        self.run = self._rows.run
        """`run(ticks, out)`: take ticks one after another and append what they close or revise, also when one raises."""

    # --- input

    def partial(self, bar: Bar) -> list[Bar]:
        """Merge a partial bar.

        Raises:
            PartialRefused: it reaches over an edge of the finest window, is not of revision 0, or is from history.
        """
        self._to_rows()
        if bar.flags & Flag.FILLED:
            return []
        if bar.revision != 0:
            raise PartialRefused(f"a partial bar must have revision 0, or ticks would count twice, got {bar.revision}: {bar}")
        try:
            known = sums(bar)
        except ValueError as error:
            raise PartialRefused(str(error)) from None
        grid = self.plan.grids(bar.symbol)[0]
        segment = grid.segment(known.first_time)
        if segment is not None:
            end = segment.window(known.first_time).end
        else:  # outside the session, unless it reaches into one
            span = grid.session.span_after(known.first_time)
            end = FOREVER if span is None else span.open
        if known.last_time >= end:
            raise PartialRefused(
                f"a partial bar must lie inside one window of the finest timeframe, {self.plan.names[0]}, got {bar}"
            )
        for price in (bar.open, bar.high, bar.low, bar.close):
            if not math.isfinite(price):
                self.tally.reject(Reject(bar, "finite", f"price must be finite, got {price}"), known.ticks)
                return []
        return self._rows.partial(bar)

    def frame(self, frame: Frame[Tick]) -> list[Bar]:
        """Take a frame of ticks; return what it closes and revises as rows."""
        out: list[Bar] = []
        for piece in self._cut(frame):
            if isinstance(piece, list):
                out += self._rows.ticks(piece)
            else:
                closed, revised = self._frames.frame(piece)
                out += self._mended([*self._as_rows(closed), *revised])
        return out

    def frame_to_frame(self, frame: Frame[Tick]) -> Frame[Bar] | None:
        """Take a frame of ticks; return what it closes and revises as one frame, or None if nothing."""
        out: list[pl.DataFrame] = []
        for piece in self._cut(frame):
            if isinstance(piece, list):
                bars = self._rows.ticks(piece)
                if bars:
                    out.append(Frame.of(bars, Bar).df)
            else:
                closed, revised = self._frames.frame(piece)
                columns = self._as_columns(closed)
                if self._mender.wounds:
                    # Only the symbols that have a wound are taken out, and gone through row by row.
                    here = [df["symbol"].is_in(list(self._mender.wounds)) for df in columns]
                    some = [b for df, at in zip(columns, here, strict=True) for b in Frame.trusted(df.filter(at), Bar).rows()]
                    columns = [left for df, at in zip(columns, here, strict=True) if (left := df.filter(~at)).height]
                    revised = self._mender.through_all([*some, *revised])
                out += columns
                if revised:
                    out.append(Frame.of(revised, Bar).df)
        return Frame.trusted(pl.concat(out) if len(out) > 1 else out[0], Bar) if out else None

    def mark(self, time: int) -> list[Bar]:
        """Raise the watermark of every symbol that has one to `time`; return what closes."""
        return self._mended(self._rows.mark(time) if self._lane is self._rows else self._as_rows(self._frames.mark(time)))

    def finish(self) -> list[Bar]:
        """Return everything that is still open; windows that end after the watermark are PARTIAL."""
        bars = self._rows.finish() if self._lane is self._rows else self._as_rows(self._frames.finish())
        return self._mended(bars, ending=True)

    # --- gaps and history

    def gap(self, gap: Gap) -> list[Bar]:
        """Note that ticks may be missing; return the closed bars that the gap touches as revisions flagged GAP.

        Open ones are flagged when they close. While a gap lasts (`ONGOING`), so is every window that closes, until it comes
        again with its end. Windows that the horizon has left behind stay as they are.

        Raises:
            ValueError: this kernel was not made with `mends`.
            RepairRefused: the gap ends before it starts.
        """
        self._must_mend()
        return self._told(gap.symbol, self._mender.gap(gap))

    def replace(self, repair: Repair) -> list[Bar]:
        """Set the windows of a gap to what history says of them; return the bars that this changes, flagged REPAIRED.

        Bars that contain them are reduced anew, as revisions or when they close. A bar without the flag GAP is never
        replaced; nor is one whose window is not over (`take_rejects` tells): of a symbol that has had no tick, all in a repair
        are over. The repair's gap need not have been told.

        Raises:
            ValueError: this kernel was not made with `mends`.
            RepairRefused: the repair is not of this kernel's windows; nothing has changed then.
        """
        self._must_mend()
        symbol = repair.gap.symbol
        self._mender.check(repair)
        if self._lane.watermark(symbol) is None:  # history of the time before its first tick, which is over
            self._to_rows()
            self._rows.begin(symbol, repair.end)
        return self._told(symbol, self._mender.replace(repair))

    @property
    def mended(self) -> MendStats:
        """What became of gaps and of history's bars."""
        return self._mender.stats

    def pins(self, symbol: str, level: int) -> Spans:
        """Return the stretches of a symbol and level that history may still change."""
        wound = self._mender.wounds.get(symbol)
        return [] if wound is None else wound.pins[level]

    def _must_mend(self) -> None:
        if not self.plan.mends:
            raise ValueError("this kernel was made without mends=True: it does not keep what bars are made of")

    def _told(self, symbol: str, bars: list[Bar]) -> list[Bar]:
        self._rows.settle(symbol)
        return bars

    def _mended(self, bars: list[Bar], *, ending: bool = False) -> list[Bar]:
        return self._mender.through_all(bars, ending=ending) if self._mender.wounds else bars

    # --- what is open

    def due(self) -> int | None:
        """When a mark would next close something, or None when nothing is open."""
        ends = [end for end in (self._lane.due(), self._mender.due()) if end is not None]
        return min(ends) + self.plan.lateness if ends else None

    def opened_before(self, time: int) -> bool:
        """Whether a window that ends before `time` was opened since this was last asked."""
        awaited, self._mender.earliest = self._mender.earliest, FOREVER
        if self._lane is self._frames:
            due = self._frames.due()
            return awaited < time or (due is not None and due < time)
        earliest, self._rows.earliest = self._rows.earliest, FOREVER
        return min(awaited, earliest) < time

    def watermark(self, symbol: str) -> int | None:
        """One symbol's watermark; None before its first tick."""
        return self._lane.watermark(symbol)

    def watermarks(self) -> dict[str, int]:
        """The watermark of every symbol that has one."""
        return self._lane.watermarks()

    def partials(self) -> list[Bar]:
        """Return every open window as it would close now: revision -1, PARTIAL; by symbol, end, finer first."""
        bars: dict[tuple[str, int, int], Bar] = {(bar.symbol, level, bar.start): bar for level, bar in self._lane.open_bars()}
        for level, consumers in enumerate(self.plan.consumers):
            for symbol, _, start in [key for key in bars if key[1] == level]:
                bar = bars[symbol, level, start]
                for consumer in consumers:
                    segment = self.plan.grids(symbol)[consumer].segment(start)
                    assert segment is not None
                    window = segment.window(start)
                    part = msgspec.structs.replace(
                        bar, timeframe=self.plan.names[consumer], start=window.start, end=window.end,
                        trade_date=segment.trade_date, flags=bar.flags & ~Flag.SHORT | self._flags(window),
                    )  # fmt: skip
                    key = symbol, consumer, window.start
                    merged = merge(bars.get(key), part)
                    assert merged is not None
                    bars[key] = merged
        if self._mender.wounds:
            self._mender.partials(bars)
        order = sorted((symbol, bar.end, level) for (symbol, level, _), bar in bars.items() if self.plan.emitted[level])
        by_end = {(symbol, bar.end, level): bar for (symbol, level, _), bar in bars.items()}
        return [msgspec.structs.replace(by_end[o], revision=-1, flags=by_end[o].flags | Flag.PARTIAL) for o in order]

    def _flags(self, window: Window) -> int:
        began = self.tally.began
        return Flag.SHORT * window.short | Flag.GAP * (began is not None and window.start < began)

    @property
    def stats(self) -> BarsStats:
        """What became of the ticks so far."""
        t = self.tally
        rejected = t.rejected.total()
        inside = self._lane.open_count()
        return BarsStats(t.closed + inside + rejected + t.outside, t.closed, inside, rejected, t.outside)

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected ticks by rule."""
        return dict(self.tally.rejected)

    def take_rejects(self) -> list[Reject]:
        """Return the rejects since the last call."""
        rejects = self.tally.rejects[:]
        self.tally.rejects.clear()
        return rejects

    # --- snapshots

    def snapshot(self) -> BarsSnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there."""
        opens = sorted(self._lane.open_bars(), key=lambda item: (item[0], item[1].end, item[1].symbol))
        rows = [(bar, level, False) for level, bar in opens]
        marks = self._lane.watermarks()
        kept = sorted(self._kept.items(marks), key=lambda item: (item[0], item[1].end, item[1].symbol))
        rows += [(bar, level, True) for level, bar in kept]
        bars = Frame.of([row[0] for row in rows], Bar).df.with_columns(
            pl.Series("level", [row[1] for row in rows], dtype=pl.Int32),
            pl.Series("kept", [row[2] for row in rows], dtype=pl.Boolean),
        )
        t = self.tally
        counts = {"closed": t.closed, "outside": t.outside, "began": t.began}
        counts |= {f"rejected:{rule}": n for rule, n in t.rejected.items()}
        counts |= {f"mended:{name}": n for name, n in self.mended._asdict().items()}
        return BarsSnapshot(
            bars,
            pl.DataFrame(
                {"symbol": list(marks), "watermark": list(marks.values())}, {"symbol": pl.String, "watermark": pl.Int64}
            ),
            pl.DataFrame({"name": list(counts), "value": list(counts.values())}, {"name": pl.String, "value": pl.Int64}),
            mendframes.save(self._mender.wounds.values()),
        )

    def restore(self, snapshot: BarsSnapshot) -> None:
        """Take over a state, instead of the present one.

        Raises:
            InputError: it was made with other timeframes or another session; nothing has changed then.
        """
        rows = Frame(snapshot.bars.select(BAR_SCHEMA.names()), Bar).rows()
        levels: list[int] = snapshot.bars["level"].to_list()
        kept: list[bool] = snapshot.bars["kept"].to_list()
        for bar, level in zip(rows, levels, strict=True):
            if level >= len(self.plan.names) or self.plan.names[level] != bar.timeframe:
                raise InputError(f"the snapshot has {bar.timeframe!r} at level {level}, this kernel {self.plan.names}")
            segment = self.plan.grids(bar.symbol)[level].segment(bar.start)
            if segment is None or segment.window(bar.start)[:2] != (bar.start, bar.end):
                raise InputError(f"the snapshot has {bar}, which is no window of this kernel: {self.plan.windows}")
        counts = dict(snapshot.counts.iter_rows())
        t = self.tally
        t.closed, t.outside, t.began = counts.pop("closed"), counts.pop("outside"), counts.pop("began")
        t.rejected.clear()
        self._mender.stats = MendStats(*[counts.pop(f"mended:{name}") for name in MendStats._fields])
        t.rejected.update({name.removeprefix("rejected:"): n for name, n in counts.items()})
        t.rejects.clear()
        self._kept.clear()
        for bar, level, is_kept in zip(rows, levels, kept, strict=True):
            if is_kept:
                self._kept.symbol(bar.symbol).put(level, bar, -FOREVER)
        self._mender.restore(snapshot.mends)
        opens = [(level, bar) for bar, level, is_kept in zip(rows, levels, kept, strict=True) if not is_kept]
        self._rows.load(opens, dict(snapshot.marks.iter_rows()))
        self._lane = self._rows

    @property
    def most_rows(self) -> int:
        """Larger frames are cut to this."""
        return FAST_ROWS if self._fast else FRAME_ROWS

    # --- lanes

    def _to_rows(self) -> None:
        if self._lane is self._frames:
            self._rows.load(self._frames.open_bars(), self._frames.watermarks())
            self._lane = self._rows

    def _to_frames(self) -> None:
        if self._lane is self._rows:
            self._frames.load(self._rows.open_bars(), self._rows.watermarks())
            self._rows.leave()
            self._lane = self._frames

    def _cut(self, frame: Frame[Tick]) -> list[Frame[Tick] | list[Tick]]:
        """Choose the lane and cut the frame for it."""
        rows = len(frame)
        if rows < (FEW_ROWS if self._lane is self._rows else FEWER_ROWS):
            return [frame.rows()]
        self._to_frames()
        most = self.most_rows
        return [frame] if rows <= most else [frame.slice(at, most) for at in range(0, rows, most)]

    def _as_rows(self, closed: Closed) -> list[Bar]:
        return self._frames.rows(closed) if closed else []

    def _as_columns(self, closed: Closed) -> list[pl.DataFrame]:
        return [self._frames.columns(closed)] if closed else []


def _fast_lane() -> type[FrameLane]:
    return extra.fast("rxfeed.kernels.bars.fastlane").FastLane
