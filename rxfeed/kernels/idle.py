"""The kernel of `timeout_idle`: since when nothing came, and until when that is allowed, while the market is open.

An element costs one assignment, of the clock's time to `Watch.last`. What that means is worked out only when somebody is
due to look, which is at most once an allowed time.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Final

from rxfeed.errors import Stale
from rxfeed.sessions import Session, Span
from rxfeed.times import FOREVER, SECOND, iso

MOST: Final = 4_096
"""Symbols that are watched one by one."""
OTHER: Final = "other"
"""What those that come after so many are called; they are watched as if they were one."""
_NEVER: Final[int] = -FOREVER


class Watch:
    """One stream, or one symbol of it."""

    __slots__ = ("_base", "_left_out", "_quiet", "_seen", "_session", "_symbol", "_word", "allowed", "last")

    def __init__(self, symbol: str | None, session: Session, allowed: int, now: int, word: str = "") -> None:
        self._symbol, self._session, self._word = symbol, session, word
        self.allowed = allowed
        """In ns."""
        self.last = now
        """The clock's time when the newest element came, or when it was begun to wait for one."""
        self._base = now  # from where it is counted: that, or an open after it, or when it was told of
        self._seen: int = now  # `last`, as it was when that was worked out
        self._quiet: int | None = None  # the beginning of a silence that was told of already
        self._left_out = 0  # what is not counted of the time since `_base`

    def look(self, now: int) -> tuple[Stale | None, int | None]:
        """Return the error if it is too late, and when to look again; None: never, as the market opens no more."""
        due = self._due(now, now)
        return (None, due) if due is None or due > now else (self._stale(now), now + self.allowed)

    def leave_out(self, since: int, now: int) -> None:
        """Do not count the time from `since` until now."""
        self._due(now, since)
        self._left_out += max(0, now - max(since, self._base))

    def _due(self, now: int, shut: int) -> int | None:
        """Return when it is too late, where the time from `shut` until now is not counted; or when it opens, if that is still
        to come. None: never."""
        if self.last > now or self._base > now:  # the clock was set back
            self.last = min(self.last, now)
            self._seen = _NEVER
        if self.last != self._seen:
            self._base = self._seen = self.last
            self._quiet, self._left_out = None, 0
        span = self._session.span_at(self._base)
        if span is None:
            span = self._session.span_after(self._base)
            self._quiet = None
        while span is not None:
            begin = max(self._base, span.open)
            if begin > now:
                return begin
            if begin != self._base:
                self._base, self._left_out = begin, 0
            due = begin + self.allowed + self._left_out + max(0, now - max(shut, begin))
            close, after = self._stretch(span, due)
            if due < close:
                return due
            # It closes before; at the open everything begins anew.
            span, self._quiet = after, None
        return None

    def _stretch(self, span: Span, due: int) -> tuple[int, Span | None]:
        """Return when it closes, if that is not after `due`, and the span that is next. Days that follow each other without
        a pause are one stretch."""
        while True:
            after = self._session.span_after(span.open)
            if span.close > due or after is None or after.open > span.close:
                return span.close, after
            span = after

    def _stale(self, now: int) -> Stale:
        if self._quiet is None:
            self._quiet = self._base
        self._base, self._left_out = now, 0  # from here on for the next time
        who = "" if self._symbol is None else f"{self._symbol}: "
        text = (
            f"{who}no {self._word}element for {(now - self._quiet) / SECOND:.10g} s although {self._session.name} is open "
            f"(since {iso(self._quiet)}); {self.allowed / SECOND:.10g} s are allowed"
        )
        return Stale(text, since=self._quiet, allowed=self.allowed, symbol=self._symbol)


class IdleKernel:
    """What is watched, and when somebody must look.

    Args:
        first: how long the first element may take, in ns; None: for ever.
        between: how long the next one may; None: for ever.
        session: when the market is open.
        own: sessions of single symbols.
        now: the clock's time.
    """

    __slots__ = ("_between", "_count", "_due", "_own", "_session", "_watches")

    def __init__(self, first: int | None, between: int | None, session: Session, own: Mapping[str, Session], now: int) -> None:
        self._between, self._session, self._own = between, session, own
        self._watches: dict[str, Watch] = {}
        self._due: list[tuple[int, int, Watch]] = []
        self._count = 0
        if first is not None:
            self._look(Watch(None, session, first, now, "first "), now)

    @property
    def due(self) -> int | None:
        """When to look next."""
        return self._due[0][0] if self._due else None

    @property
    def watches(self) -> Mapping[str, Watch]:
        """By symbol: of those that are in here, `last` may be set; any other goes to `add`."""
        return self._watches

    def begin(self, now: int, *, per_symbol: bool) -> Watch | None:
        """Note the first element of all; return what to note the next ones at, if symbols are not told apart."""
        self.clear()
        if self._between is None or per_symbol:
            return None
        whole = Watch(None, self._session, self._between, now)
        self._look(whole, now)
        return whole

    def clear(self) -> None:
        """Watch nothing any more."""
        self._due.clear()
        self._watches.clear()

    def add(self, symbol: str, now: int) -> None:
        """Note the first element of a symbol, or any of one that is not watched by itself."""
        name = symbol if len(self._watches) < MOST else OTHER
        found = self._watches.get(name)
        if found is not None:
            found.last = now
        elif self._between is not None:
            watch = self._watches[name] = Watch(name, self._own.get(name, self._session), self._between, now)
            self._look(watch, now)

    def leave_out(self, since: int, now: int) -> None:
        """Do not count the time from `since` until now, in which nothing could come. Somebody must look then."""
        watches = [watch for _, _, watch in sorted(self._due, key=lambda due: due[1])]
        self._due.clear()
        for watch in watches:
            watch.leave_out(since, now)
            self._push(watch, now)

    def look(self, now: int) -> list[Stale]:
        """Return whatever is too late, and have each begin anew. To be called when the time of `due` has passed."""
        found: list[Stale] = []
        if self._due and self._due[0][0] > now:  # and yet it has not: the clock was set back
            watches = [watch for _, _, watch in sorted(self._due, key=lambda due: due[1])]
            self._due.clear()
            for watch in watches:
                self._look(watch, now)
        while self._due and self._due[0][0] <= now:
            stale = self._look(heappop(self._due)[2], now)
            if stale is not None:
                found.append(stale)
        return found

    def _look(self, watch: Watch, now: int) -> Stale | None:
        stale, due = watch.look(now)
        if due is not None:
            self._push(watch, due)
        return stale

    def _push(self, watch: Watch, due: int) -> None:
        self._count += 1
        heappush(self._due, (due, self._count, watch))
