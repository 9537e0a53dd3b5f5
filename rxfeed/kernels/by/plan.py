"""What the lanes of `bars(by=...)` are told, and what they know of one symbol."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import date

from rxfeed import sessions
from rxfeed.by import By, Kind
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.by.gauges import Aim, Gauge, NotionalGauge, RangeGauge, TicksGauge, VolumeGauge
from rxfeed.kernels.by.part import Part
from rxfeed.kernels.by.renko import RenkoGauge
from rxfeed.model import Bar, Flag, Tick
from rxfeed.sessions import Session, Span
from rxfeed.times import FOREVER

NEVER = -FOREVER
"""A watermark before any time, and the close of a session that is over."""


_GAUGES: Mapping[Kind, type[Gauge]] = {
    "ticks": TicksGauge, "volume": VolumeGauge, "notional": NotionalGauge, "range": RangeGauge, "renko": RenkoGauge,
}  # fmt: skip


class Plan:
    """The measures, the sessions and the lateness."""

    def __init__(self, kinds: tuple[By, ...], session: str | Session, lateness: int, instruments: Instruments) -> None:
        self.kinds = kinds
        self.lateness = lateness
        self.names = tuple(kind.timeframe for kind in kinds)
        self.bricks = tuple((kind.size, kind.timeframe) for kind in kinds if kind.kind == "renko")
        self._session = sessions.get(session)
        own = by_symbol(instruments).items()
        self._own = {symbol: sessions.get(i.session) for symbol, i in own if i.session is not None}
        self.sessions = tuple(dict.fromkeys((self._session, *self._own.values())))

    def session(self, symbol: str) -> Session:
        """When a symbol trades."""
        return self._own.get(symbol, self._session)


class Symbol:
    """One symbol: its open bars, its watermark and what waits.

    The ticks since any bar closed are in `base`, and those before it in the gauges' parts, so that an ordinary tick costs the
    same for one measure or many. `until` is the close of the session of the last tick that went in, or NEVER when that is
    over. The watermark is the greater of `watermark` and the base's last time.
    """

    __slots__ = ("aim", "base", "day", "gauges", "held", "money", "name", "session", "until", "watermark")

    def __init__(self, name: str, plan: Plan) -> None:
        self.name = name
        self.session = plan.session(name)
        self.until = self.watermark = NEVER
        self.day = date.min
        self.held: deque[Tick] = deque()
        self.base = Part(NEVER)
        self._have(tuple(_GAUGES[kind.kind](kind) for kind in plan.kinds))

    def _have(self, gauges: tuple[Gauge, ...]) -> None:
        self.gauges = gauges
        self.money = tuple(g for g in gauges if isinstance(g, NotionalGauge))
        self.take_aim()

    def clone(self) -> Symbol:
        symbol: Symbol = object.__new__(Symbol)
        symbol.name, symbol.session, symbol.until, symbol.watermark = self.name, self.session, self.until, self.watermark
        symbol.day, symbol.held, symbol.base = self.day, self.held.copy(), self.base.clone()
        symbol._have(tuple(g.clone() for g in self.gauges))
        return symbol

    def take_aim(self) -> None:
        """Find until where the ordinary path may go."""
        aim = self.aim = Aim()
        for g in self.gauges:
            g.aim(aim)
        if not self.base.count:
            aim.up, aim.down = -1.0, 1.0  # the next tick has something to begin

    def settle(self) -> None:
        """Move what is in the base to the gauges."""
        base = self.base
        if base.count:
            for g in self.gauges:
                g.part.absorb(base)
            self.base = Part(base.last_time, base.last_seq)
            self.take_aim()

    @property
    def parts(self) -> list[Part]:
        """All that is open, in pieces."""
        return [self.base, *(g.part for g in self.gauges)]

    @property
    def mark(self) -> int:
        """The watermark."""
        return max(self.watermark, self.base.last_time)

    @property
    def has_open(self) -> bool:
        """Whether a bar is open."""
        return any(part.count for part in self.parts)

    @property
    def open_count(self) -> int:
        """Ticks in open bars: those of the longest, since the others' are among them."""
        return self.base.count + max(g.part.count for g in self.gauges)

    def enter(self, time: int) -> Span:
        """Enter the session of `time`, and return it; the gauges begin it apart."""
        span = self.session.span_at(time)
        assert span is not None, "it was judged to be inside"
        self.until, self.day = span.close, span.trade_date
        return span

    def flush(self, flag: Flag) -> list[Bar]:
        """Close what is open, and the session."""
        out: list[Bar] = []
        self.until = NEVER
        self.settle()
        for g in self.gauges:
            if g.part.count:
                out += g.closed(self.name, self.day, int(flag))
        return out
