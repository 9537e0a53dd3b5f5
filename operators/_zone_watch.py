"""When a clock change happens inside a running feed, its reader should know, or the first odd bar looks like a fault."""

from __future__ import annotations

from collections.abc import Iterable

from rxfeed.sessions import Session
from rxfeed.times import FOREVER, NANOSECONDS, iso

_AHEAD = 400 * NANOSECONDS["d"]


class ZoneWatch:
    """Logs each change of the sessions' zones once, when the feed's time passes it."""

    __slots__ = ("_seen", "_zones", "next")

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._zones = {session.zone: session for session in sessions}
        self._seen = -FOREVER
        self.next = -FOREVER
        """`see` need not be called before this time."""

    def see(self, time: int) -> None:
        """Take note of the feed's time; it may stand still or go back."""
        if time < self.next:
            return
        if self._seen > -FOREVER:
            self._log(self._seen, time)
        self._seen = time
        changes = [c.at for s in self._zones.values() for c in s.transitions(time + 1, time + _AHEAD)[:1]]
        self.next = min(changes, default=time + _AHEAD)

    def _log(self, after: int, until: int) -> None:
        from loguru import logger  # costs 30 ms, and most feeds never see a change

        for zone, session in self._zones.items():
            for change in session.transitions(after + 1, until + 1):
                logger.info(
                    "{} changed its clock at {}: {} before, {} from then on",
                    zone, iso(change.at), _offset(change.before), _offset(change.after),
                )  # fmt: skip


def _offset(ns: int) -> str:
    minutes, seconds = divmod(abs(ns) // NANOSECONDS["s"], 60)
    hours, minutes = divmod(minutes, 60)
    text = f"UTC{'-' if ns < 0 else '+'}{hours:02d}:{minutes:02d}"
    return f"{text}:{seconds:02d}" if seconds else text
