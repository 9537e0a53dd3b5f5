"""What is known of a feed's health, as values. Spans of time are seconds, instants ns since the epoch, UTC."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

from rxfeed.kernels.meter import Summary

State = Literal["connecting", "live", "degraded", "stale", "down", "closed"]
Ask = Literal["probe", "resubscribe", "reconnect"]
"""What may help, from the least to the most: is it alive, subscribe again on the same connection, a new connection."""

STATES: Final[tuple[State, ...]] = get_args(State)


class Wire(NamedTuple):
    """The figures of a connection, as whoever holds it knows them."""

    connected: bool
    wanted: bool = True
    """Whether anybody is subscribed: without one there is no connection, and need not be."""
    quiet: float | None = None
    """Seconds since anything came, pings included; 0 while we read nothing by choice."""
    round_trip: float | None = None
    """Seconds from an invocation to its Completion, of the last one."""
    token_age: float | None = None
    """Seconds."""
    token_left: float | None = None
    """Seconds until the token runs out."""
    reading: bool = True
    """Whether what comes is read: not while a consumer is so full that the source was asked to stop."""


class Figures(NamedTuple):
    """What the state follows from, and nothing else does."""

    open: bool = True
    """Whether the session is."""
    wanted: bool = True
    connected: bool = True
    unconnected: float = 0.0
    """Seconds without a connection."""
    gave_up: str | None = None
    """Why nobody tries any more."""
    idle: float | None = None
    """Seconds without a trade of any symbol, connected, with the market open, and with us reading."""
    quiet: float | None = None
    """As `Wire.quiet`."""
    round_trip: float | None = None
    late: float | None = None
    """Seconds that trades take from the exchange, more than the quickest did lately; of the quickest of the last 5 to 10 s."""
    behind: float | None = None
    """Seconds from when trades were received until they were in bars; likewise."""
    rejects: int = 0
    """In the last whole 10 s."""
    rejected: float = 0.0
    """Which part of the trades of that time they are."""
    gaps: int = 0
    """Symbols with a gap that has not ended."""
    rotation: str | None = None
    """Why the connection could not be rotated; it is tried again."""
    token: str | None = None
    """Why the token could not be changed; it is tried again."""
    full: tuple[str, ...] = ()
    """Boundaries that overflow."""
    reading: bool = True
    """As `Wire.reading`."""


class Reason(NamedTuple):
    """One thing that is not well."""

    name: str
    """Which rule says so."""
    state: State
    """What it makes of the feed, if nothing worse is said."""
    text: str
    helps: tuple[Ask, ...] = ()
    """What may help."""


class Totals(NamedTuple):
    """Counts since the health was made."""

    trades: int
    rejects: int
    connections: int
    losses: int
    retries: int
    """Attempts to connect that failed."""
    rotations: int
    gaps: int
    repairs: int
    unrepaired: int


class Report(NamedTuple):
    """How a feed is at one moment."""

    time: int
    state: State
    since: int
    """When it came to that state."""
    reasons: tuple[Reason, ...]
    """Why it is not live; none where it is."""
    figures: Figures
    totals: Totals
    token_age: float | None
    token_left: float | None
    offset: float | None
    """Our clock less the exchange's, and the shortest way from there: only their sum is known. None: no trade lately."""

    @property
    def well(self) -> bool:
        """Whether it does what it can be asked to: live, degraded, or the market is closed."""
        return self.state in ("live", "degraded", "closed")

    def __str__(self) -> str:
        return f"{self.state}: {'; '.join(reason.text for reason in self.reasons)}" if self.reasons else self.state


class Latency(NamedTuple):
    """Of the last whole minute, in ns; None: nothing came."""

    late: Summary | None
    """From the exchange to us, more than the quickest of the last minutes."""
    behind: Summary | None
    """From us into bars."""
