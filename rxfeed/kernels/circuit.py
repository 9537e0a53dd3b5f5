"""The state of a circuit breaker, at times that are handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from rxfeed.failures import tell
from rxfeed.times import SECOND

from .circuit_settings import Settings
from .outcomes import Counts

State = Literal["closed", "open", "half_open", "forced_open", "disabled"]
How = Literal["well", "failed", "nothing"]
"""How an attempt ended; "nothing" is as if it had not been."""
Changed = Callable[[State, State, str], None]

_ASK_AGAIN: Final = SECOND
"""When all permits are taken: who has one may be back at any time."""
_IF_ALL_FAILS: Final = 30.0
"""Seconds of open wait where the policy raised."""


class Circuit:
    """Closed, open, half open, forced open or disabled. There is no timer: `settle` makes what time alone has changed.

    Args:
        name: whose it is, for the log.
        settings: what it is set to.
        changed: called with the state before, the one now and the reason, when all is done.
        now: in nanoseconds, as everywhere here.
    """

    def __init__(self, name: str, settings: Settings, changed: Changed, now: int) -> None:
        self._name, self._is, self._changed = name, settings, changed
        self.window = settings.window()
        self.state: State = "closed"
        self.since = now
        self.era = 0
        """Changes with the state: what is said of an attempt of another era is not listened to."""
        self.until = 0
        """When the open wait is over."""
        self.deadline: int | None = None
        """When those that were permitted have failed; None while none of them has begun."""
        self.opens = self.consecutive = 0
        self.last_error: Exception | None = None
        self._calls = self._failed = self._slow = 0
        self._out = 0  # permitted ones that are not back
        self._opened_by = Counts(0, 0, 0)

    # --- what it says

    @property
    def permits(self) -> int:
        """Attempts that may begin, when it is half open."""
        return self._is.permitted_calls - self._calls - self._out if self.state == "half_open" else 0

    def counts(self, now: int) -> Counts:
        """Return what the state rests on: the window, the permitted calls, or what opened it."""
        if self.state == "closed":
            return self.window.counts(now)
        return Counts(self._calls, self._failed, self._slow) if self.state == "half_open" else self._opened_by

    def left(self, now: int) -> int | None:
        """Return the nanoseconds until an attempt may begin; None if none may."""
        match self.state:
            case "closed" | "disabled":
                return 0
            case "forced_open":
                return None
            case "open":
                return max(0, self.until - now)
            case "half_open":
                return 0 if self.permits > 0 or self.deadline is None else min(_ASK_AGAIN, self.deadline - now)

    # --- what happens

    def settle(self, now: int) -> None:
        """Make what time alone has changed, as if it had been looked at then: permitted ones that are not back have failed."""
        at = self.deadline
        if at is None or now < at:
            return
        self._calls += self._out
        self._failed += self._out
        self._out, self.deadline = 0, None
        self._decide(at, self._calls)

    def begin(self, now: int) -> int:
        """Begin an attempt, where `left` is 0, and return its era."""
        if self.state in ("closed", "disabled"):
            return self.era
        was = self.state
        if was == "open":
            self._calls = self._failed = self._slow = self._out = 0
            self._be("half_open", now)
        self._out += 1
        if self.deadline is None:
            self.deadline = now + self._is.half_open_wait
        era = self.era
        if was == "open":
            self._changed(was, "half_open", f"its wait is over: {self._is.permitted_calls} may try")
        return era

    def end(self, era: int, begun: int, now: int, how: How, error: Exception | None) -> None:
        """Take note of how an attempt ended."""
        if era != self.era or self.state == "disabled":
            return
        half = self.state == "half_open"
        self._out -= half
        if how == "nothing":
            if half and not self._out and not self._calls:
                self.deadline = None  # as if nobody had tried yet
            return
        failed, slow = how == "failed", self._is.slow_call is not None and now - begun > self._is.slow_call
        if failed:
            self.last_error = error
        if half:
            self._calls += 1
            self._failed += failed
            self._slow += slow
            self._decide(now, self._is.permitted_calls)
            return
        self.window.add(now, failed, slow)
        if failed or slow:
            counts = self.window.counts(now)
            if counts.calls >= self._is.minimum_calls and (why := self._too_many(*counts)):
                self._opened_by = counts
                self._open(now, why)

    def by_hand(self, state: Literal["closed", "forced_open", "disabled"], now: int) -> None:
        """Come to a state because somebody wants it."""
        was = self.state
        if state == "closed":
            self._forget()
        self._opened_by = Counts(0, 0, 0)
        self._be(state, self.since if was == state else now)
        if was != state:
            self._changed(was, state, "by hand")

    def _decide(self, at: int, of: int) -> None:
        """Leave half open, if calls that are still to come cannot change where to."""
        if why := self._too_many(of, self._failed, self._slow):
            self._opened_by = Counts(self._calls, self._failed, self._slow)
            self._open(at, why)
            return
        rest = of - self._calls
        if not self._too_many(of, self._failed + rest, self._slow + rest):
            well = self._calls - self._failed
            self._forget()
            self._be("closed", at)
            self._changed("half_open", "closed", f"{well} of {of} permitted attempts went well")

    def _too_many(self, calls: int, failed: int, slow: int) -> str | None:
        if failed / calls >= self._is.failure_rate:
            return f"{failed} of {calls} failed, allowed is less than {self._is.failure_rate:.0%}"
        if self._is.slow_call is not None and slow / calls >= self._is.slow_rate:
            limit = self._is.slow_call / SECOND
            return f"{slow} of {calls} took longer than {limit:g} s, allowed is less than {self._is.slow_rate:.0%}"
        return None

    def _open(self, at: int, why: str) -> None:
        try:
            wait = self._is.open_wait(self.consecutive + 1, self.last_error)
        except Exception as wrong:  # noqa: BLE001  # theirs; and whoever tells of an outcome is not to blame
            tell(None, f"breaker {self._name!r}", "open_wait", wrong, goes_on=True)
            wait = _IF_ALL_FAILS
        self.opens += 1
        self.consecutive += 1
        self.until = at + round(wait * SECOND)
        was = self.state
        self._be("open", at)
        self._changed(was, "open", why)

    def _forget(self) -> None:
        self.window.clear()
        self.consecutive = 0
        self.last_error = None

    def _be(self, state: State, at: int) -> None:
        self.state, self.since, self.deadline = state, at, None
        self.era += 1
