"""A feed that looks well and is not costs more than one that is down. So one object hears of all that happens to it, knows
how long nothing came, and says in a word how it is, and why.

It keeps figures and no history: its memory does not grow, whatever comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from rxfeed import sessions
from rxfeed.clock import Clock, Timer
from rxfeed.events import (
    Connected,
    Event,
    Gapped,
    GaveUp,
    Lost,
    NotRepaired,
    Overflowed,
    Relieved,
    Repaired,
    Retrying,
    Rotated,
    RotationFailed,
    TokenChanged,
    TokenFailed,
)
from rxfeed.figures import Labels, RotatingDistribution
from rxfeed.kernels.meter import Pace
from rxfeed.listeners import Listeners
from rxfeed.model import UNKNOWN_TIME, Gap
from rxfeed.sessions import Session
from rxfeed.times import SECOND, Duration, nanoseconds

from .latency import Quickest, Way
from .remedy import Remedy, RemedyStats
from .report import Figures, Latency, Reason, Report, State, Totals, Wire
from .rules import Limits, judge, state_of, worse

if TYPE_CHECKING:
    from rxfeed.hot import Hot

MOST_GAPS: Final = 4_096
"""Symbols whose open gaps are told apart."""
_MOST_STAGES: Final = 16
_DAYS: Final = 8
_PACE: Final = 10 * SECOND
_DEFAULT: Final = Limits()


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Health:
    """How one connection of a feed is.

    It is fed by `heard` with the feed's events and by `saw` with its trades, and looks at the rest by itself, once a period
    from `start` to `close`; use it as a `with` block. It belongs to one loop.

    Args:
        clock: what time it is, and when to look.
        session: when the market is open, or its name; those by name know no holidays (`rxfeed.calendars` does).
        limits: from when on it is not well.
        wire: tells the connection's figures, at each look; without it they follow from events, as far as they do.
        remedy: asks for what helps; None: nobody does.
        hub: which connection it is: events of others are left out.
        period: how often to look.
        symbols: so many have counts of their own, the others share one.

    Raises:
        ValueError: an unknown session, a `period` of 0, `symbols` below 1.

    Example:
        >>> from rxfeed.clock import VirtualClock
        >>> from rxfeed.events import Connected, Lost
        >>> clock = VirtualClock()
        >>> health = Health(clock)
        >>> health.heard(Connected(time=0, hub="market", epoch=1, attempts=1))
        >>> str(health.now())
        'live'
        >>> health.heard(Lost(time=0, hub="market", cause="dropped", text="it was cut"))
        >>> clock.advance(31 * 1_000_000_000)
        >>> str(health.now())
        'down: no connection for 31 s'
    """

    def __init__(
        self,
        clock: Clock,
        *,
        session: str | Session = "24x7",
        limits: Limits = _DEFAULT,
        wire: Callable[[], Wire] | None = None,
        remedy: Remedy | None = None,
        hub: str = "market",
        period: Duration = "1s",
        symbols: int = 64,
    ) -> None:
        self._clock, self._session, self._wired, self._remedy, self._hub = clock, sessions.get(session), wire, remedy, hub
        self._bounds, self._steady = limits.bounds, nanoseconds(limits.steady, name="steady")
        self._period = nanoseconds(period, name="period")
        if not self._period:
            raise ValueError(f"period must be more than 0, got {period!r}")
        self._listeners: Listeners[Report] = Listeners(f"health of {hub}")
        self._timer: Timer | None = None
        now = clock.now
        # The connection
        self._wire = Wire(connected=False)
        self._connected = False
        self._unconnected = now  # since when
        self._counting = now  # from when idleness counts, if no trade came later
        self._was_idle = False  # when the connection was lost
        self._looked = now  # at the wire
        self._unread = 0  # ns in which nothing was read, since `_counting` or the last trade
        self._gave_up: str | None = None
        self._rotation: str | None = None
        self._token: str | None = None
        # Trades
        self._last: int | None = None
        self._way, self._work = Way(), Quickest()
        self._late, self._behind = RotatingDistribution(("1m",)), RotatingDistribution(("1m",))
        self._taken, self._refused = Pace(_PACE), Pace(_PACE)
        # What is open
        self._gaps: dict[str, Gap] = {}
        self._full: dict[str, None] = {}
        # Counts
        self._trades = self._rejects = self._connections = self._losses = self._retries = 0
        self._rotations = self._repairs = self._unrepaired = 0
        self._gapped: Labels[Count] = Labels(Count, most=symbols)
        self._gap_count = 0
        # The state
        self._state: State = "connecting"
        self._told: State = self._state
        self._since = now
        self._better: int | None = None  # since when it would be better
        self._begun = False  # whether it was ever anything else than what it began as
        self._reasons: tuple[Reason, ...] = ()

    def __repr__(self) -> str:
        return f"Health({self._hub}, {self._state})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What it is told

    def heard(self, event: Event) -> None:
        """Take note of what happened to the feed."""
        if getattr(event, "hub", self._hub) != self._hub:
            return
        now = self._clock.now
        match event:
            case Connected():
                self._connections += 1
                self._gave_up = None
                self._rotation = None
                self._connect(now)
            case Lost():
                self._losses += 1
                self._disconnect(now)
            case Retrying():
                self._retries += 1
                self._gave_up = None
                self._disconnect(now)
            case GaveUp(text=text):
                self._gave_up = text
                self._disconnect(now)
            case Rotated():
                self._rotations += 1
                self._rotation = None
            case RotationFailed(text=text):
                self._rotation = text
            case TokenChanged():
                self._token = None
            case TokenFailed(text=text):
                self._token = text
            case Gapped(gap=gap):
                self._gap(gap)
            case Repaired():
                self._repairs += 1
            case NotRepaired():
                self._unrepaired += 1
            case Overflowed(stage=stage):
                if len(self._full) < _MOST_STAGES:
                    self._full[stage] = None
            case Relieved(stage=stage):
                self._full.pop(stage, None)
            case _:
                return
        self._look(now)

    def saw(self, count: int, time: int, received: int | None = None) -> None:
        """Take note of trades that came together, before they are handed on.

        Args:
            count: how many.
            time: the last one's own.
            received: when they came; by default now.
        """
        now = self._clock.now
        came = now if received is None else received
        self._trades += count
        self._last = now
        self._unread = 0
        self._taken.tick(now, count)
        if time != UNKNOWN_TIME:
            self._late.add(self._way.saw(time, came), now)

    def made(self, received: int) -> None:
        """Take note that trades which came at `received` are in bars."""
        now = self._clock.now
        took = now - received
        self._work.add(took, now)
        self._behind.add(took, now)

    def rejected(self, count: int = 1) -> None:
        """Take note of trades that were refused, or could not be read."""
        self._rejects += count
        self._refused.tick(self._clock.now, count)

    # What it tells

    def now(self) -> Report:
        """Return how it is."""
        return self.look()

    @property
    def changes(self) -> Hot[Report]:
        """A report at each change of state, from the subscription on. It never ends."""
        return self._listeners.observable

    def on_change(self, listener: Callable[[Report], object]) -> Callable[[], None]:
        """Have a function called at each change of state; what is returned ends that."""
        return self._listeners.add(listener)

    @property
    def latency(self) -> Latency:
        """How late trades were, and how long they took into bars."""
        now = self._clock.now
        return Latency(self._late.figures(now)[0].last, self._behind.figures(now)[0].last)

    @property
    def gaps(self) -> dict[str, int]:
        """How many gaps each symbol had; beyond `symbols` of them together as "other"."""
        return {symbol: count.value for symbol, count in self._gapped.items()}

    @property
    def remedies(self) -> RemedyStats:
        """How often each thing that may help was asked for."""
        return RemedyStats(0, 0, 0) if self._remedy is None else self._remedy.stats

    def start(self) -> None:
        """Look now, and then every period until `close`. Starting twice is no error."""
        if self._timer is None:
            self._turn()

    def close(self) -> None:
        """Look no more by itself. Closing twice is no error."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> Report:
        """Look at the connection, tell of a change and ask for what helps; return how it is."""
        now = self._clock.now
        if self._wired is not None:
            was, wire = self._wire, self._wired()
            self._wire = wire
            if not (wire.reading and was.reading):
                self._unread += max(0, now - max(self._looked, self._last or 0))
            self._looked = now
            if wire.connected and not self._connected:
                self._connect(now)
            elif self._connected and not wire.connected:
                self._disconnect(now)
        report = self._look(now)
        if self._remedy is not None and self._wire.reading:  # else nothing that is asked for could be heard of
            self._remedy.look(report.reasons if report.figures.open else (), now)
        return report

    def _turn(self) -> None:
        self._timer = self._clock.call_at(self._clock.now + self._period, self._turn)
        self.look()

    # The connection

    def _connect(self, now: int) -> None:
        if self._connected:
            return
        self._connected = True
        if not self._was_idle:  # else a new connection that is as silent as the old one would pass for well
            self._counting, self._unread = now, 0
        self._was_idle = False

    def _disconnect(self, now: int) -> None:
        if not self._connected:
            return
        self._connected = False
        self._unconnected = now
        self._was_idle = any(reason.name == "idle" for reason in self._reasons)
        self._rotation = None

    def _gap(self, gap: Gap) -> None:
        if not gap.ongoing:
            if self._gaps.pop(gap.symbol, None) is not None:
                return  # it was counted when it began
        elif gap.symbol in self._gaps:
            return
        elif len(self._gaps) < MOST_GAPS:
            self._gaps[gap.symbol] = gap
        self._gap_count += 1
        self._gapped[gap.symbol].value += 1

    # The state

    def _figures(self, now: int) -> Figures:
        wire, late, behind = self._wire, self._way.late(now), self._work.least(now)
        open, idle = self._open(now)
        rejects = round(self._refused.per_second(now) * _PACE / SECOND)
        trades = max(round(self._taken.per_second(now) * _PACE / SECOND), rejects)
        return Figures(
            open=open, wanted=self._wired is None or wire.wanted, connected=self._connected,
            unconnected=0.0 if self._connected else max(0, now - self._unconnected) / SECOND, gave_up=self._gave_up,
            idle=idle / SECOND if self._connected else None, quiet=wire.quiet, round_trip=wire.round_trip,
            late=None if late is None else late / SECOND, behind=None if behind is None else behind / SECOND, rejects=rejects,
            rejected=rejects / trades if trades else 0.0, gaps=len(self._gaps), rotation=self._rotation, token=self._token,
            full=tuple(self._full), reading=wire.reading,
        )  # fmt: skip

    def _open(self, now: int) -> tuple[bool, int]:
        """Return whether the market is open, and for how long it was while nothing came."""
        span = self._session.span_at(now)
        if span is None:
            self._unread = 0
            return False, 0
        since = self._counting if self._last is None else max(self._last, self._counting)
        begin = span.open
        for _ in range(_DAYS):  # days without a pause between them are one
            if begin <= since:
                break
            before = self._session.span_at(begin - 1)
            if before is None:
                break
            begin = before.open
        return True, max(0, now - max(since, begin) - self._unread)

    def _look(self, now: int) -> Report:
        figures = self._figures(now)
        reasons = judge(figures, self._bounds, {reason.name for reason in self._reasons})
        self._reasons = reasons
        held = self._settle(state_of(reasons), now)
        if held is not None:
            reasons = (*reasons, held)
        wire = self._wire
        offset = self._way.offset(now)
        report = Report(
            now, self._state, self._since, reasons, figures, self._totals(), wire.token_age, wire.token_left,
            None if offset is None else offset / SECOND,
        )  # fmt: skip
        if self._told != self._state:
            self._told = self._state
            self._listeners.tell(report)
        return report

    def _settle(self, state: State, now: int) -> Reason | None:
        """Go over to a state: at once to a worse one, to a better one when that has lasted; until then return why not."""
        was = self._state
        if state == was:
            self._better = None
            return None
        at_once = worse(state, was) or "closed" in (state, was) or not self._begun
        if not at_once:
            if self._better is None or now < self._better:
                self._better = now
            left = self._better + self._steady - now
            if left > 0:
                return Reason("steadying", was, f"better for {(now - self._better) / SECOND:.1f} s")
        self._begun = self._begun or state in ("live", "degraded")
        self._state, self._since, self._better = state, now, None
        return None

    def _totals(self) -> Totals:
        return Totals(
            self._trades, self._rejects, self._connections, self._losses, self._retries, self._rotations, self._gap_count,
            self._repairs, self._unrepaired,
        )  # fmt: skip
