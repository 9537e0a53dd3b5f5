"""What came and could not be read: counted, logged now and then, and handed to whoever wants it."""

from __future__ import annotations

from collections.abc import Callable

from rxfeed.clock import Clock
from rxfeed.failures import stage_of, tell
from rxfeed.logs import RateLimitedLog
from rxfeed.model import Undecoded


class Rejects:
    """Takes what cannot be read.

    Args:
        clock: what time it is.
        to: called with each, until it raises.
    """

    def __init__(self, clock: Clock, to: Callable[[Undecoded], object] | None) -> None:
        self._to, self._log = to, RateLimitedLog(clock)
        self.count = 0
        """How many there were."""

    def take(self, undecoded: Undecoded) -> None:
        """Take one."""
        self.count += 1
        what = f"{undecoded.source} of {undecoded.symbol}" if undecoded.symbol else undecoded.source
        self._log.say(f"{what} cannot be read", "{} cannot be read: {}", what, undecoded.reason)
        if self._to is None:
            return
        try:
            self._to(undecoded)
        except Exception as error:  # noqa: BLE001  # what can be read must not be lost with what cannot
            rejects, self._to = self._to, None
            tell(None, f"{stage_of(rejects)}, which takes rejects", "on_next", error)

    def close(self) -> None:
        """Log how many were only counted."""
        self._log.close()
