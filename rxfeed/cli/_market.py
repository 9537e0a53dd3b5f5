"""Whether the market is open, for people who look at a feed that is silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from rxfeed.clock import Clock
from rxfeed.sessions import Session
from rxfeed.times import SECOND

SILENCE: Final = 30 * SECOND


class MarketHours:
    """Says when a market opens and closes, and when it is silent though it is open.

    Args:
        session: the market's.
        clock: what time it is.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session, self._clock = session, clock
        self._was_open: bool | None = None
        self._since = clock.now
        self._silent = False

    def news(self, newest: int | None) -> str | None:
        """Return what has changed since the last call, if anything.

        Args:
            newest: when the last trade came.
        """
        now, was_open = self._clock.now, self._was_open
        is_open = self._was_open = self._session.span_at(now) is not None
        if is_open != was_open:
            self._since = now
            self._silent = False
            if not is_open:
                return self.state()
            return None if was_open is None else f"{self._session.name} has opened"
        quiet = is_open and now - max(self._since, newest or 0) >= SILENCE
        if quiet == self._silent:
            return None
        self._silent = quiet
        return f"no trade for {SILENCE // SECOND} s, though {self._session.name} is open" if quiet else "trades come again"

    def state(self) -> str | None:
        """Return that it is closed, and when it opens; None when it is open."""
        now = self._clock.now
        if self._session.span_at(now) is not None:
            return None
        name, following = self._session.name, self._session.span_after(now)
        if following is None:
            return f"{name} is closed"
        day = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=following.open // SECOND)
        return f"{name} is closed and opens at {self._session.local(following.open)}, {day:%A} {day:%H:%M} UTC"
