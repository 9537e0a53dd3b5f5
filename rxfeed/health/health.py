"""A feed that looks well and is not costs more than one that is down. So one object hears of all that happens to it, knows
how long nothing came, and says in a word how it is, and why.

It keeps figures and no history: its memory does not grow, whatever comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from rxfeed import sessions
from rxfeed.clock import Clock, Timer
from rxfeed.events import Connected, Event, GaveUp, Lost, Retrying
from rxfeed.figures import RotatingDistribution
from rxfeed.kernels.meter import Pace
from rxfeed.listeners import Listeners
from rxfeed.model import UNKNOWN_TIME
from rxfeed.sessions import Session
from rxfeed.times import SECOND, Duration, nanoseconds

from .contact import Contact
from .latency import Quickest, Way
from .remedy import Remedy, RemedyStats
from .report import Figures, Latency, Reason, Report, State, Totals, Wire
from .rules import Limits, judge, state_of
from .standing import Standing
from .tally import Tally

if TYPE_CHECKING:
    from rxfeed.hot import Hot

_PACE: Final = 10 * SECOND
_DEFAULT: Final = Limits()


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
        self._clock, self._wired, self._remedy, self._hub = clock, wire, remedy, hub
        self._bounds = limits.bounds
        self._period = nanoseconds(period, name="period")
        if not self._period:
            raise ValueError(f"period must be more than 0, got {period!r}")
        self._listeners: Listeners[Report] = Listeners(f"health of {hub}")
        self._timer: Timer | None = None
        now = clock.now
        self._tally, self._contact = Tally(symbols), Contact(sessions.get(session), now)
        self._standing = Standing(nanoseconds(limits.steady, name="steady"), now)
        self._way, self._work = Way(), Quickest()
        self._late, self._behind = RotatingDistribution(("1m",)), RotatingDistribution(("1m",))
        self._taken, self._refused = Pace(_PACE), Pace(_PACE)
        self._trades = self._rejects = 0
        self._told: State = self._standing.state
        self._reasons: tuple[Reason, ...] = ()

    def __repr__(self) -> str:
        return f"Health({self._hub}, {self._standing.state})"

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
        if not self._tally.heard(event):
            return
        match event:
            case Connected():
                self._contact.connect(now)
            case Lost() | Retrying() | GaveUp():
                self._disconnect(now)
            case _:
                pass
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
        self._contact.last = now
        self._contact.unread = 0
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
        return self._tally.gapped

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
            wire = self._wired()
            self._contact.look(wire, now)
            if wire.connected:
                self._contact.connect(now)
            else:
                self._disconnect(now)
        report = self._look(now)
        if self._remedy is not None and self._contact.wire.reading:  # else nothing that is asked for could be heard of
            self._remedy.look(report.reasons if report.figures.open else (), now)
        return report

    def _turn(self) -> None:
        self._timer = self._clock.call_at(self._clock.now + self._period, self._turn)
        self.look()

    def _disconnect(self, now: int) -> None:
        if self._contact.disconnect(now, idle=any(reason.name == "idle" for reason in self._reasons)):
            self._tally.rotation = None

    # The state

    def _figures(self, now: int) -> Figures:
        wire, contact, tally = self._contact.wire, self._contact, self._tally
        late, behind = self._way.late(now), self._work.least(now)
        open, idle = contact.idle(now)
        rejects = round(self._refused.per_second(now) * _PACE / SECOND)
        trades = max(round(self._taken.per_second(now) * _PACE / SECOND), rejects)
        return Figures(
            open=open, wanted=self._wired is None or wire.wanted, connected=contact.connected,
            unconnected=contact.unconnected(now) / SECOND, gave_up=tally.gave_up,
            idle=idle / SECOND if contact.connected else None, quiet=wire.quiet, round_trip=wire.round_trip,
            late=None if late is None else late / SECOND, behind=None if behind is None else behind / SECOND, rejects=rejects,
            rejected=rejects / trades if trades else 0.0, gaps=tally.open, rotation=tally.rotation, token=tally.token,
            full=tally.full, reading=wire.reading,
        )  # fmt: skip

    def _look(self, now: int) -> Report:
        figures = self._figures(now)
        reasons = judge(figures, self._bounds, {reason.name for reason in self._reasons})
        self._reasons = reasons
        held = self._standing.settle(state_of(reasons), now)
        if held is not None:
            reasons = (*reasons, held)
        wire, standing = self._contact.wire, self._standing
        offset = self._way.offset(now)
        report = Report(
            now, standing.state, standing.since, reasons, figures, self._totals(), wire.token_age, wire.token_left,
            None if offset is None else offset / SECOND,
        )  # fmt: skip
        if self._told != standing.state:
            self._told = standing.state
            self._listeners.tell(report)
        return report

    def _totals(self) -> Totals:
        tally = self._tally
        return Totals(
            self._trades, self._rejects, tally.connections, tally.losses, tally.retries, tally.rotations, tally.gaps,
            tally.repairs, tally.unrepaired,
        )  # fmt: skip
