"""Whether there is a connection, and for how long nothing came over it while the market was open."""

from __future__ import annotations

from typing import Final

from rxfeed.sessions import Session

from .report import Wire

_DAYS: Final = 8


class Contact:
    """The connection, and trades as a sign of life.

    Args:
        session: when the market is open.
        now: when it begins, without a connection.
    """

    __slots__ = ("_counting", "_looked", "_session", "_unconnected", "_was_idle", "connected", "last", "unread", "wire")

    def __init__(self, session: Session, now: int) -> None:
        self._session = session
        self.wire = Wire(connected=False)
        """Its figures, as they were looked at last."""
        self.connected = False
        self._unconnected = now  # since when
        self._counting = now  # from when idleness counts, if no trade came later
        self._was_idle = False  # when the connection was lost
        self._looked = now  # at the wire
        self.unread = 0
        """ns in which nothing was read, since the last trade or, if none came, since idleness counts."""
        self.last: int | None = None
        """When a trade came last. Whoever sees one sets it, and `unread` to 0."""

    def connect(self, now: int) -> None:
        """Note that there is a connection."""
        if self.connected:
            return
        self.connected = True
        if not self._was_idle:  # else a new connection that is as silent as the old one would pass for well
            self._counting, self.unread = now, 0
        self._was_idle = False

    def disconnect(self, now: int, *, idle: bool) -> bool:
        """Note that there is none; return whether there was.

        Args:
            now: when.
            idle: whether it was said of the connection that nothing came.
        """
        if not self.connected:
            return False
        self.connected = False
        self._unconnected = now
        self._was_idle = idle
        return True

    def look(self, wire: Wire, now: int) -> None:
        """Take note of the connection's figures."""
        was, self.wire = self.wire, wire
        if not (wire.reading and was.reading):
            self.unread += max(0, now - max(self._looked, self.last or 0))
        self._looked = now

    def unconnected(self, now: int) -> int:
        """Return for how many ns there has been no connection."""
        return 0 if self.connected else max(0, now - self._unconnected)

    def idle(self, now: int) -> tuple[bool, int]:
        """Return whether the market is open, and for how long it was while nothing came."""
        span = self._session.span_at(now)
        if span is None:
            self.unread = 0
            return False, 0
        since = self._counting if self.last is None else max(self.last, self._counting)
        begin = span.open
        for _ in range(_DAYS):  # days without a pause between them are one
            if begin <= since:
                break
            before = self._session.span_at(begin - 1)
            if before is None:
                break
            begin = before.open
        return True, max(0, now - max(since, begin) - self.unread)
