"""The kernel of `bars(by=...)`: ticks, frames and marks in, bars out. It knows no Rx.

Bars close by the ticks themselves, and time only decides when a tick is let in (`lateness`) and when a session is over. What
has gone into a bar stays there: there are no revisions, and nothing is kept of a bar that has closed but where it started.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import polars as pl

from rxfeed.by import By
from rxfeed.errors import InputError, PartialRefused
from rxfeed.frame import Frame
from rxfeed.instrument import Instruments
from rxfeed.kernels.bars.plan import Tally
from rxfeed.kernels.by.framelane import FrameLane
from rxfeed.kernels.by.gauges import NotionalGauge
from rxfeed.kernels.by.part import Part, part_of
from rxfeed.kernels.by.plan import NEVER, Plan, Symbol
from rxfeed.kernels.by.renko import RenkoGauge
from rxfeed.kernels.by.rowlane import RowLane
from rxfeed.model import Bar, Flag, Reject, Tick
from rxfeed.sessions import Session
from rxfeed.times import FOREVER

FRAME_ROWS = 131_072
"""Larger frames are cut to this, which the sums of the frame lane rely on."""


class ByStats(NamedTuple):
    """Ticks by what became of them: received = closed + open + rejected + outside_session."""

    received: int
    closed: int
    """In bars that have closed: with several measures, in one of each."""
    open: int
    """Held for `lateness`, or in an open bar of any measure."""
    rejected: int
    """Not finite, or behind what has gone in already."""
    outside_session: int
    """The market was closed: no bar."""


class BySnapshot(NamedTuple):
    """A kernel's state as frames: `bars` are open, `gauges` is what else the measures remember, `held` the ticks that wait."""

    bars: pl.DataFrame
    gauges: pl.DataFrame
    held: pl.DataFrame
    marks: pl.DataFrame
    counts: pl.DataFrame


_GAUGES = pl.Schema({
    "symbol": pl.String, "timeframe": pl.String, "last_start": pl.Int64, "flags": pl.Int64, "sum": pl.Int64, "down": pl.Int64,
    "up": pl.Int64,
})  # fmt: skip
_MARKS = pl.Schema({
    "symbol": pl.String, "watermark": pl.Int64, "last_time": pl.Int64, "last_seq": pl.Int64, "until": pl.Int64,
})  # fmt: skip


class ByKernel:
    """State and rules of `bars(by=...)` for all measures and symbols.

    Args:
        kinds: the measures.
        session: when the market trades.
        lateness: how far past a tick its symbol's watermark must be before the tick goes in, ns of event time.
        instruments: by symbol; those with a session of their own use it.
    """

    def __init__(
        self, kinds: tuple[By, ...], *, session: str | Session = "24x7", lateness: int = 0, instruments: Instruments = None
    ) -> None:
        self.plan = Plan(kinds, session, min(lateness, FOREVER), instruments)
        self.tally = Tally()
        self.rows = RowLane(self.plan, self.tally)
        self._frames = FrameLane(self.plan, self.tally, self.rows)
        self.tick = self.rows.tick
        """Take one tick; return the bars it closes; None if it closes none, nothing was rejected and nothing is due sooner."""

    # --- input

    def run(self, ticks: list[Tick], out: list[Bar]) -> None:
        """Take ticks one after another and append what they close to `out`, also when one of them raises."""
        tick = self.tick
        for t in ticks:
            bars = tick(t)
            if bars:
                out += bars

    def partial(self, bar: Bar) -> list[Bar]:
        """Refuse a partial bar.

        Raises:
            PartialRefused: always.
        """
        raise no_partials(bar)

    def frame(self, frame: Frame[Tick]) -> list[Bar]:
        """Take a frame of ticks; return the bars it closes, as rows."""
        out: list[Bar] = []
        for piece in self._cut(frame):
            bars, more = self._frames.frame(piece)
            out += bars
            out += [] if more is None else more.rows()
        return out

    def frame_to_frame(self, frame: Frame[Tick]) -> Frame[Bar] | None:
        """Take a frame of ticks; return the bars it closes as one frame, or None if it closes none."""
        out: list[pl.DataFrame] = []
        for piece in self._cut(frame):
            bars, more = self._frames.frame(piece)
            out += [Frame.of(bars, Bar).df] if bars else []
            out += [] if more is None else [more.df]
        return Frame(pl.concat(out) if len(out) > 1 else out[0], Bar) if out else None

    def mark(self, time: int) -> list[Bar]:
        """Raise the watermark of every symbol that has one to `time`; return what that closes."""
        return self.rows.mark(time)

    def finish(self) -> list[Bar]:
        """Let in what waits and return everything that is open; PARTIAL where the session has not ended by the watermark."""
        return self.rows.finish()

    # --- what is open

    def due(self) -> int | None:
        """The watermark at which something is let in or closed next; None when nothing waits."""
        return self.rows.due()

    def opened_before(self, time: int) -> bool:
        """Whether something that is due before `time` has come since this was last asked."""
        earliest, self.rows.earliest = self.rows.earliest, FOREVER
        return earliest < time

    def watermark(self, symbol: str) -> int | None:
        """One symbol's watermark; None before its first tick."""
        found = self.rows.symbols.get(symbol)
        return None if found is None else found.mark

    def watermarks(self) -> dict[str, int]:
        """The watermark of every symbol that has one."""
        return {name: s.mark for name, s in self.rows.symbols.items()}

    def partials(self) -> list[Bar]:
        """Return every open bar as it is now: revision -1, PARTIAL; by symbol, in the order of the measures."""
        bars = [bar for name in sorted(self.rows.symbols) for bar in _open_bars(self.rows.symbols[name])]
        return [msgspec.structs.replace(bar, revision=-1, flags=bar.flags | Flag.PARTIAL) for bar in bars]

    @property
    def stats(self) -> ByStats:
        """What became of the ticks so far."""
        t, symbols = self.tally, self.rows.symbols.values()
        first = sum(s.base.count + s.gauges[0].part.count for s in symbols)
        inside = sum(s.open_count for s in symbols)
        held = sum(len(s.held) for s in symbols)
        rejected, gone = t.rejected.total(), t.closed + first
        return ByStats(gone + held + rejected + t.outside, gone - inside, inside + held, rejected, t.outside)

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

    def snapshot(self) -> BySnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there."""
        symbols = self.rows.symbols.values()
        opens = [bar for s in symbols for bar in _open_bars(s)]
        t = self.tally
        counts = {"closed": t.closed, "outside": t.outside, "began": t.began}
        counts |= {f"rejected:{rule}": n for rule, n in t.rejected.items()}
        gauges = [
            (
                s.name, g.name, g.last_start, g.flags, g.sum if isinstance(g, NotionalGauge) else None,
                *((g.down, g.up) if isinstance(g, RenkoGauge) else (None, None)),
            )
            for s in symbols for g in s.gauges
        ]  # fmt: skip
        marks = [(s.name, s.watermark, s.base.last_time, s.base.last_seq, s.until) for s in symbols]
        return BySnapshot(
            Frame.of(opens, Bar).df,
            pl.DataFrame(gauges, _GAUGES, orient="row"),
            Frame.of([tick for s in symbols for tick in s.held], Tick).df,
            pl.DataFrame(marks, _MARKS, orient="row"),
            pl.DataFrame({"name": list(counts), "value": list(counts.values())}, {"name": pl.String, "value": pl.Int64}),
        )

    def restore(self, snapshot: BySnapshot) -> None:
        """Take over a state, instead of the present one.

        Raises:
            InputError: it was made with other measures or another session; nothing has changed then.
        """
        symbols: dict[str, Symbol] = {}
        for name, watermark, last_time, last_seq, until in snapshot.marks.iter_rows():
            s = symbols[name] = Symbol(name, self.plan)
            s.watermark, s.until, s.base = watermark, until, Part(last_time, last_seq)
            span = s.session.span_at(last_time)
            if until != NEVER and (span is None or span.close != until):
                raise InputError(f"the snapshot has a session of {name} that {s.session.name} does not have")
            if span is not None:
                s.day = span.trade_date
        known = {(name, g.name): g for name, s in symbols.items() for g in s.gauges}
        kept: list[tuple[str, str]] = snapshot.gauges.select("symbol", "timeframe").rows()
        if kept != list(known):
            raise InputError(f"the snapshot is not of these measures: {', '.join(self.plan.names)}")
        rows = snapshot.gauges.drop("symbol", "timeframe").iter_rows()
        for g, (last_start, flags, total, down, up) in zip(known.values(), rows, strict=True):
            g.last_start, g.flags = last_start, flags
            if isinstance(g, NotionalGauge):
                g.sum = total
            elif isinstance(g, RenkoGauge):
                g.down, g.up = down, up
        for bar in Frame(snapshot.bars, Bar):
            known[bar.symbol, bar.timeframe].part = part_of(bar)
        for tick in Frame(snapshot.held, Tick):
            symbols[tick.symbol].held.append(tick)
        for s in symbols.values():
            s.take_aim()
        counts = dict(snapshot.counts.iter_rows())
        t = self.tally
        t.closed, t.outside, t.began = counts.pop("closed"), counts.pop("outside"), counts.pop("began")
        t.rejected.clear()
        t.rejected.update({name.removeprefix("rejected:"): n for name, n in counts.items()})
        t.rejects.clear()
        self.rows.symbols.clear()
        self.rows.symbols.update(symbols)

    @property
    def most_rows(self) -> int:
        """Larger frames are cut to this."""
        return FRAME_ROWS

    def _cut(self, frame: Frame[Tick]) -> list[Frame[Tick]]:
        rows = len(frame)
        if rows <= FRAME_ROWS:
            return [frame] if rows else []
        return [frame.slice(at, FRAME_ROWS) for at in range(0, rows, FRAME_ROWS)]


def no_partials(got: object) -> PartialRefused:
    """Return the error that says why partial bars are refused."""
    return PartialRefused(
        f"bars(by=...) takes ticks only: a partial bar does not say at which of its ticks a threshold was reached, got {got}"
    )


def _open_bars(s: Symbol) -> list[Bar]:
    s.settle()
    return [g.part.bar(s.name, g.name, g.last_start, s.day, g.flags) for g in s.gauges if g.part.count]
