"""What happens to a feed, told as values: connections that open and end, tokens that change, gaps and their repair.

All of it is one observable, `Gateway.events`. Each event says when it was told (`time`, nanoseconds since the epoch, UTC) and
has a text for people.
"""

from __future__ import annotations

from math import inf
from typing import Final, Literal, NamedTuple

import msgspec

from rxfeed.model import Bar, Gap, Repair
from rxfeed.times import iso

_MIB: Final = 1 << 20

Hub = str
"""Which connection of a feed it is about: "market" or "user" at a ProjectX gateway."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what happens to a feed."""

    time: int
    """When it was told, in nanoseconds since the epoch, UTC."""


class Connected(Event, frozen=True, kw_only=True):
    """A connection is open, and all that was subscribed to is subscribed to again."""

    hub: Hub
    epoch: int
    """Which connection it is: the first of a gateway is 1."""
    attempts: int
    """How many it took since the one before was lost; 1 for the first."""

    def __str__(self) -> str:
        return f"{self.hub} connected (connection {self.epoch}, attempt {self.attempts})"


class Lost(Event, frozen=True, kw_only=True):
    """A connection is lost; it will be tried again."""

    hub: Hub
    cause: str
    """As `ConnectionLost.cause`."""
    text: str

    def __str__(self) -> str:
        return f"{self.hub} lost ({self.cause}): {self.text}"


class Retrying(Event, frozen=True, kw_only=True):
    """An attempt to connect has failed; another follows."""

    hub: Hub
    attempt: int
    wait: float
    """Seconds until the next, unless somebody lets it begin sooner; `inf` if it may not begin before that."""
    text: str

    def __str__(self) -> str:
        again = "again when it may" if self.wait == inf else f"again in {self.wait:.1f} s"
        return f"{self.hub} attempt {self.attempt} failed, {again}: {self.text}"


class GaveUp(Event, frozen=True, kw_only=True):
    """It is tried no more: every stream of this connection ends with the error."""

    hub: Hub
    text: str

    def __str__(self) -> str:
        return f"{self.hub} given up: {self.text}"


class TokenChanged(Event, frozen=True, kw_only=True):
    """There is a new token."""

    how: Literal["login", "validate"]
    life: float
    """Seconds that it lives."""

    def __str__(self) -> str:
        return f"new token by {self.how}, good for {self.life:.0f} s"


class TokenFailed(Event, frozen=True, kw_only=True):
    """The token could not be changed ahead of its end; the old one is kept, and another attempt follows."""

    text: str
    left: float
    """Seconds that the old one still lives."""

    def __str__(self) -> str:
        return f"the token could not be changed ({self.left:.0f} s left): {self.text}"


class ClockOff(Event, frozen=True, kw_only=True):
    """This machine's clock and the gateway's differ so much that event times cannot be judged by ours."""

    seconds: float
    """Ours less theirs."""

    def __str__(self) -> str:
        return f"this machine's clock is {abs(self.seconds):.0f} s {'ahead of' if self.seconds > 0 else 'behind'} the gateway's"


class Rotated(Event, frozen=True, kw_only=True):
    """The feed goes on over a new connection, with nothing lost between the two but what `uncertain` names."""

    hub: Hub
    epoch: int
    seconds: float
    """From the request to the end of the old connection."""
    uncertain: tuple[str, ...] = ()
    """Symbols whose trades could not be matched; a Gap tells of each."""

    def __str__(self) -> str:
        how = f", uncertain: {' '.join(self.uncertain)}" if self.uncertain else ", nothing lost"
        return f"{self.hub} rotated to connection {self.epoch} in {self.seconds:.2f} s{how}"


class RotationFailed(Event, frozen=True, kw_only=True):
    """The old connection and its subscriptions are kept; it is tried again."""

    hub: Hub
    text: str

    def __str__(self) -> str:
        return f"{self.hub} not rotated, the old connection is kept: {self.text}"


class Resubscribed(Event, frozen=True, kw_only=True):
    """All was subscribed to again on the same connection; what may be missed by that, a Gap tells of."""

    hub: Hub
    topics: int
    """Subscriptions at the hub: contracts and accounts, by kind."""
    seconds: float

    def __str__(self) -> str:
        return f"{self.hub} subscribed to {self.topics} anew in {self.seconds:.2f} s"


class SingleSession(Event, frozen=True, kw_only=True):
    """The gateway allows one session: from now on the old connection is closed before the new one is opened."""

    hub: Hub

    def __str__(self) -> str:
        return f"{self.hub}: the gateway allows one session; a token changes by break before make"


class Gapped(Event, frozen=True, kw_only=True):
    """Trades may be missing. An ongoing gap comes again with its end."""

    gap: Gap

    def __str__(self) -> str:
        end = "…" if self.gap.ongoing else iso(self.gap.end)
        return f"{self.gap.symbol} gap ({self.gap.cause}) {iso(self.gap.start)} to {end}"


class Repaired(Event, frozen=True, kw_only=True):
    """History was asked about a gap; the bars inside come out again."""

    repair: Repair

    def __str__(self) -> str:
        return f"{self.repair.gap.symbol} repaired by {len(self.repair.bars)} bars of {self.repair.timeframe}"


class NotRepaired(Event, frozen=True, kw_only=True):
    """A gap could not be mended; its bars stay flagged GAP."""

    gap: Gap
    text: str

    def __str__(self) -> str:
        return f"{self.gap.symbol} gap from {iso(self.gap.start)} not repaired: {self.text}"


class Backfilled(Event, frozen=True, kw_only=True):
    """What history had of the time before the start has come out; what is new from then on comes with the first trade."""

    gap: Gap
    until: int
    """So far history reached."""

    def __str__(self) -> str:
        return f"{self.gap.symbol} backfilled from {iso(self.gap.start)} to {iso(self.until)}"


class Disagreed(Event, frozen=True, kw_only=True):
    """History says something else than live trades that were whole; or it came for a window that it could not be put into."""

    bar: Bar
    """History's."""
    text: str

    def __str__(self) -> str:
        return f"history's {self.bar} is not taken: {self.text}"


class CapacityChange(NamedTuple):
    """What became of one capacity."""

    name: str
    before: int
    now: int


class LimitsChanged(Event, frozen=True, kw_only=True):
    """Capacities follow the process' memory: they are lowered, or raised again."""

    used: int
    """Bytes that the process holds."""
    target: int
    """Bytes that it is meant to stay below."""
    capacities: tuple[CapacityChange, ...]
    """Those that changed."""

    def __str__(self) -> str:
        told = ", ".join(f"{each.name} {each.before:,} to {each.now:,}" for each in self.capacities)
        how = "lowered" if any(each.now < each.before for each in self.capacities) else "raised"
        return f"limits {how}, as {self.used / _MIB:,.0f} of {self.target / _MIB:,.0f} MiB are used: {told}"


class LimitsFixed(Event, frozen=True, kw_only=True):
    """Memory cannot be looked at: capacities stay what they are until it can. It is told once."""

    text: str

    def __str__(self) -> str:
        return f"limits stay as they are, since memory cannot be looked at: {self.text}"


class Pressed(Event, frozen=True, kw_only=True):
    """A boundary is nearly full: its consumer takes less than comes."""

    stage: str
    """What the boundary is called."""
    pending: int
    """What waits, of `capacity`."""
    capacity: int

    def __str__(self) -> str:
        return f"{self.stage} is nearly full: {self.pending:,} of {self.capacity:,} wait"


class Overflowed(Event, frozen=True, kw_only=True):
    """A boundary was full and has begun to do what its policy says. Told once, until it is `Relieved`."""

    stage: str
    policy: str
    text: str

    def __str__(self) -> str:
        return f"{self.stage} is full ({self.policy}): {self.text}"


class Relieved(Event, frozen=True, kw_only=True):
    """A boundary that was nearly full, or full, has room again."""

    stage: str
    conflated: int
    """Ticks that went out merged since it was `Pressed`."""
    dropped: int
    """Ticks that were lost since then."""

    def __str__(self) -> str:
        lost = f"{self.dropped:,} ticks were lost" if self.dropped else "nothing was lost"
        merged = f", {self.conflated:,} went out merged" if self.conflated else ""
        return f"{self.stage} has room again: {lost}{merged}"
