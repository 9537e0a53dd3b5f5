"""A state over time: worse at once, better when that has lasted."""

from __future__ import annotations

from rxfeed.times import SECOND

from .report import Reason, State
from .rules import worse


class Standing:
    """The state that a feed is in, and since when.

    Args:
        steady: ns that a better state must last.
        now: when it begins.
    """

    __slots__ = ("_begun", "_better", "_steady", "since", "state")

    def __init__(self, steady: int, now: int) -> None:
        self._steady = steady
        self.state: State = "connecting"
        self.since = now
        """When it came to that state."""
        self._better: int | None = None  # since when it would be better
        self._begun = False  # whether it was ever anything else than what it began as

    def settle(self, state: State, now: int) -> Reason | None:
        """Go over to a state: at once to a worse one, to a better one when that has lasted; until then return why not."""
        was = self.state
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
        self.state, self.since, self._better = state, now, None
        return None
