"""Asking for what helps: the least first, each no oftener than its own limit allows, however long it lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rxfeed.failures import stage_of, tell
from rxfeed.times import Duration, nanoseconds

from .report import Ask, Reason

Request = Callable[[Ask, str], object]
_MOST_DOUBLINGS: Final = 40


class Step(NamedTuple):
    """One thing that is asked for, and how often it may be."""

    what: Ask
    after: Duration
    """How long to wait for what was asked for before to help; of the first: how long the trouble must have lasted."""
    again: Duration
    """The least time until it is asked for again, twice that the next time, and so on."""
    longest: Duration
    """But never more than this."""


STEPS: Final = (
    Step("probe", 0, "15s", "10m"),
    Step("resubscribe", "30s", "2m", "1h"),
    Step("reconnect", "90s", "5m", "1h"),
)
"""Asked for by default. A market may be that quiet, and whatever follows the probe costs a gap: so it comes late and seldom."""


class RemedyStats(NamedTuple):
    """How often each was asked for."""

    probe: int
    resubscribe: int
    reconnect: int


class _Rung:
    __slots__ = ("after", "again", "last", "longest", "used", "what")

    def __init__(self, step: Step) -> None:
        self.what: Ask = step.what
        self.after = nanoseconds(step.after, name="after")
        self.again = nanoseconds(step.again, name="again")
        self.longest = nanoseconds(step.longest, name="longest")
        self.last: int | None = None
        self.used = 0

    def may(self, now: int) -> bool:
        if self.last is None or now < self.last:  # or the clock was set back
            return True
        return now - self.last >= min(self.again << min(max(self.used - 1, 0), _MOST_DOUBLINGS), self.longest)


class Remedy:
    """Asks for what helps.

    Args:
        request: is asked: what, and why in words. If it raises, that is told of, and it is asked again in its time.
        steps: in this order; what no reason names is left out.
        calm: after so long without trouble, limits are again what they were at first.

    Raises:
        ValueError: no step, one that comes twice, `again` of 0 or above `longest`.
    """

    __slots__ = ("_asked", "_calm", "_counts", "_done", "_request", "_rungs", "_since", "_well")

    def __init__(self, request: Request, *, steps: Sequence[Step] = STEPS, calm: Duration = "10m") -> None:
        self._rungs = [_Rung(step) for step in steps]
        names = [rung.what for rung in self._rungs]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"steps must be one or more, each another one, got {', '.join(names) or 'none'}")
        for rung, step in zip(self._rungs, steps, strict=True):
            if not 0 < rung.again <= rung.longest:
                raise ValueError(f"step {rung.what} needs 0 < again <= longest, got {step.again!r} and {step.longest!r}")
        self._request = request
        self._calm = nanoseconds(calm, name="calm")
        self._since: int | None = None  # when the trouble began
        self._asked: int | None = None  # when something was asked for last in this trouble
        self._well: int | None = None  # since when all is well
        self._done: set[Ask] = set()
        self._counts: dict[Ask, int] = {"probe": 0, "resubscribe": 0, "reconnect": 0}

    @property
    def stats(self) -> RemedyStats:
        """How often each was asked for."""
        return RemedyStats(**self._counts)

    def look(self, reasons: Sequence[Reason], now: int) -> None:
        """Ask for what is due, if anything is; at most one thing a call."""
        rungs = [rung for rung in self._rungs if any(rung.what in reason.helps for reason in reasons)]
        if not rungs:
            if self._since is not None or self._well is None or now < self._well:
                self._well = now
            self._since = self._asked = None
            self._done.clear()
            return
        since = self._since if self._since is not None and self._since <= now else self._begin(now)
        before = since if self._asked is None or now < self._asked else self._asked
        left = [rung for rung in rungs if rung.what not in self._done]
        rung = (left or rungs)[0]
        # All that helps was asked for: what came last must have had time before the first is asked for again.
        wait = rung.after if left else max(rung.after, rung.again)
        if now - before >= wait and rung.may(now):
            if not left:
                self._done.clear()
            self._ask(rung, next(reason.text for reason in reasons if rung.what in reason.helps), now)

    def _begin(self, now: int) -> int:
        self._since, self._asked = now, None
        self._done.clear()
        if self._well is not None and now - self._well >= self._calm:
            for rung in self._rungs:
                rung.used = 0
        return now

    def _ask(self, rung: _Rung, why: str, now: int) -> None:
        rung.last = self._asked = now
        rung.used += 1
        self._done.add(rung.what)
        self._counts[rung.what] += 1
        try:
            self._request(rung.what, why)
        except Exception as error:  # noqa: BLE001  # a feed that is not well must not be harmed by who looks after it
            tell(None, f"{stage_of(self._request)}, asked for {rung.what}", "told", error, goes_on=True)
