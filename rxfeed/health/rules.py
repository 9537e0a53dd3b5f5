"""From figures to reasons and from reasons to a state: pure functions, so that every rule can be looked at by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from rxfeed.times import SECOND, Duration, nanoseconds

from .report import Figures, Reason, State

LEAVES: Final = 0.75
"""A reason that holds is left below this part of its limit, so that a figure at the limit does not come and go."""
FEW: Final = 10
"""So many rejects in 10 s are no reason whatever their part is."""
_Above = Callable[[str, float | None, float | None], bool]
_SEVERITY: Final[dict[State, int]] = {"live": 0, "closed": 0, "degraded": 1, "connecting": 2, "stale": 3, "down": 4}


class Bounds(NamedTuple):
    """Limits in seconds; None: the rule is off."""

    unconnected: float | None
    between: float | None
    quiet: float | None
    round_trip: float | None
    late: float | None
    behind: float | None
    rejected: float | None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """From when on a feed is not well. None switches a rule off.

    Args:
        unconnected: without a connection for longer, a feed is down.
        between: without a trade of any symbol for longer, with the market open, it is stale.
        quiet: without any message for longer, pings included, it is degraded. Servers ping every 15 s.
        round_trip: a longer one degrades.
        late: trades that all come later by more than this than the quickest did lately degrade.
        behind: trades that all are in bars later than this after they were received degrade.
        rejected: a greater part of trades that are refused or cannot be read, of 10 s with more than 10 of them, degrades.
        steady: for so long it must have been better before the state gets better; it gets worse at once.

    Raises:
        ValueError: a duration that is none or 0, or `rejected` outside 0 to 1. `steady` may be 0.
    """

    unconnected: Duration | None = "30s"
    between: Duration | None = "1m"
    quiet: Duration | None = "20s"
    round_trip: Duration | None = "2s"
    late: Duration | None = "2s"
    behind: Duration | None = "1s"
    rejected: float | None = 0.01
    steady: Duration = "3s"

    def __post_init__(self) -> None:
        for name in ("unconnected", "between", "quiet", "round_trip", "late", "behind"):
            given: Duration | None = getattr(self, name)
            if given is not None and not nanoseconds(given, name=name):
                raise ValueError(f"{name} must be more than 0 or None, got {given!r}")
        if self.rejected is not None and not 0 <= self.rejected < 1:
            raise ValueError(f"rejected must be a part from 0 to below 1, or None, got {self.rejected!r}")
        nanoseconds(self.steady, name="steady")

    @cached_property
    def bounds(self) -> Bounds:
        """The same in seconds."""
        return Bounds(
            _seconds(self.unconnected), _seconds(self.between), _seconds(self.quiet), _seconds(self.round_trip),
            _seconds(self.late), _seconds(self.behind), self.rejected,
        )  # fmt: skip


def judge(figures: Figures, bounds: Bounds, holds: Collection[str] = ()) -> tuple[Reason, ...]:
    """Return all that is not well, the worst first.

    Args:
        figures: how it is.
        bounds: from when on that is not well.
        holds: names of the reasons that hold already: they are left at `LEAVES` of their limits.
    """

    def above(name: str, value: float | None, limit: float | None) -> bool:
        return value is not None and limit is not None and value > (limit * LEAVES if name in holds else limit)

    found: list[Reason] = []
    if figures.gave_up is not None:
        found.append(Reason("gave-up", "down", f"given up: {figures.gave_up}"))
    if not figures.open:
        found.append(Reason("session", "closed", "the market is closed"))
    if not figures.connected:
        found.append(_unconnected(figures, bounds))
    else:
        found += _wire(figures, bounds, above)
    if figures.gaps:
        found.append(Reason("gap", "degraded", f"{figures.gaps} symbol{'' if figures.gaps == 1 else 's'} in a gap"))
    if above("behind", figures.behind, bounds.behind):
        found.append(Reason("behind", "degraded", f"trades are in bars {figures.behind or 0:.1f} s after they came"))
    # Level and count are both left late, or one of them would make the other flap.
    few = FEW * LEAVES if "rejects" in holds else FEW
    if figures.rejects > few and above("rejects", figures.rejected, bounds.rejected):
        found.append(Reason("rejects", "degraded", f"{figures.rejected:.1%} of trades were refused, {figures.rejects} in 10 s"))
    if figures.rotation is not None:
        found.append(Reason("rotation", "degraded", f"rotation is tried again: {figures.rotation}"))
    if figures.token is not None:
        found.append(Reason("token", "degraded", f"a new token is tried again: {figures.token}"))
    if figures.full:
        found.append(Reason("overflow", "degraded", f"overflowing: {', '.join(figures.full)}"))
    return tuple(sorted(found, key=lambda reason: -_SEVERITY[reason.state]))


def state_of(reasons: Iterable[Reason]) -> State:
    """Return the state that reasons make: the worst of theirs; but a closed market excuses all but having given up."""
    states: dict[str, State] = {reason.name: reason.state for reason in reasons}
    if "gave-up" in states:
        return "down"
    if "session" in states:
        return "closed"
    worst: State = "live"
    for state in states.values():
        worst = state if worse(state, worst) else worst
    return worst


def worse(state: State, than: State) -> bool:
    """Whether a state is worse than another."""
    return _SEVERITY[state] > _SEVERITY[than]


def _unconnected(figures: Figures, bounds: Bounds) -> Reason:
    if not figures.wanted:
        return Reason("unwanted", "connecting", "nobody is subscribed")
    long = bounds.unconnected is not None and figures.unconnected > bounds.unconnected
    state: State = "down" if long else "connecting"
    return Reason("unconnected", state, f"no connection for {figures.unconnected:.0f} s")


def _wire(figures: Figures, bounds: Bounds, above: _Above) -> list[Reason]:
    if not figures.reading:  # then nothing can come, and nothing can be told of the connection
        return [Reason("reading", "degraded", "not reading: a consumer is full")]
    found: list[Reason] = []
    if figures.open and above("idle", figures.idle, bounds.between):
        text = f"no trade for {figures.idle or 0:.0f} s although the market is open"
        found.append(Reason("idle", "stale", text, ("probe", "resubscribe", "reconnect")))
    if above("quiet", figures.quiet, bounds.quiet):
        found.append(Reason("quiet", "degraded", f"nothing has come for {figures.quiet or 0:.0f} s", ("probe",)))
    if above("round-trip", figures.round_trip, bounds.round_trip):
        found.append(Reason("round-trip", "degraded", f"the round trip takes {figures.round_trip or 0:.1f} s", ("probe",)))
    if above("late", figures.late, bounds.late):
        found.append(Reason("late", "degraded", f"trades come {figures.late or 0:.1f} s late", ("probe",)))
    return found


def _seconds(value: Duration | None) -> float | None:
    return None if value is None else nanoseconds(value) / SECOND
