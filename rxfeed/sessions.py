"""When a market trades: weekly hours on a local clock, with breaks, holidays and early closes, as spans of instants.

With `zones` this is the only place that knows time zones; windows and kernels see ints. Each trade date's spans are
computed when first asked for and kept in the session's own bounded cache, so a result never depends on where data begins.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from rxfeed import hours as texts
from rxfeed import zones
from rxfeed.hours import WEEKDAYS, LocalTime, Week, clock_text, date_of, seconds_of
from rxfeed.times import SECOND
from rxfeed.zones import DAY, EARLIEST, LATEST, Transition

Dates = Iterable[date | str]
Times = Mapping[date | str, LocalTime]

_ORDINAL_1970 = date(1970, 1, 1).toordinal()
_CACHED_DATES = 4096
_FAR = 400
_FIELDS = ("name", "zone", "hours", "breaks", "holidays", "early_closes", "late_opens")


class Span(NamedTuple):
    """One stretch of trading, `[open, close)` in int nanoseconds UTC, and the trade date it belongs to."""

    open: int
    close: int
    trade_date: date


class Session:
    """When one market trades. An immutable value: equal sessions are equal, hash equal and can be pickled.

    Args:
        name: how it is called in texts.
        zone: IANA name of the zone of its clock, such as "America/Chicago".
        hours: trade dates by weekday, each with its open and close on the local clock: `{"Mon-Fri": ("9:30", "16:00")}`,
            `{"Mon-Thu,Sat": …}`. An open that is not before the close is on the day before: `("17:00", "16:00")`. Other
            days are said outright: `("-3d 16:30", "15:45")`. "24:00" is the midnight that ends the day.
        breaks: pairs of local times between which trading halts, on each trade date in whose hours they lie. Each starts at
            the first such time after the open; one that is given a day ("-2d 6:00") starts and ends just there.
        holidays: trade dates (or ISO text) without a session.
        early_closes: trade date → local time of its close: the last such time that is not after the regular close.
        late_opens: trade date → local time of its open: the first such time that is not before the regular open.

    A local time that a change of offset skips becomes the instant of the change; one that occurs twice is the first.
    A span that is left with no time at all does not exist.

    Raises:
        ValueError: an unknown zone, a time or weekday that cannot be read, hours that overlap, a break, early close or late
            open outside the hours.
    """

    __slots__ = (*_FIELDS, "_by_date", "_by_day", "_hash")

    name: str
    zone: str
    hours: Week
    """By weekday, Monday first: open and close in seconds from the trade date's local midnight; None without a session."""
    breaks: tuple[tuple[int, int], ...]
    """Start and end in seconds, as given."""
    holidays: frozenset[date]
    early_closes: Mapping[date, int]
    """Seconds of the local day."""
    late_opens: Mapping[date, int]
    _hash: int
    _by_date: dict[date, tuple[Span, ...]]
    _by_day: dict[int, list[Span]]

    def __init__(
        self,
        name: str,
        zone: str,
        hours: Mapping[str, tuple[LocalTime, LocalTime]],
        *,
        breaks: Iterable[tuple[LocalTime, LocalTime]] = (),
        holidays: Dates = (),
        early_closes: Times | None = None,
        late_opens: Times | None = None,
    ) -> None:
        self._set(
            name,
            zones.check(zone),
            texts.week_of(hours),
            tuple(map(texts.break_of, breaks)),
            frozenset(map(date_of, holidays)),
            {date_of(day): seconds_of(at) for day, at in (early_closes or {}).items()},
            {date_of(day): seconds_of(at) for day, at in (late_opens or {}).items()},
        )

    def _set(
        self,
        name: str,
        zone: str,
        hours: Week,
        breaks: tuple[tuple[int, int], ...],
        holidays: frozenset[date],
        early_closes: dict[date, int],
        late_opens: dict[date, int],
    ) -> None:
        values = (name, zone, hours, breaks, holidays, early_closes, late_opens)
        for slot, value in zip(_FIELDS, values, strict=True):
            object.__setattr__(self, slot, MappingProxyType(value) if isinstance(value, dict) else value)
        key = (name, zone, hours, breaks, holidays, frozenset(early_closes.items()), frozenset(late_opens.items()))
        object.__setattr__(self, "_hash", hash(key))
        object.__setattr__(self, "_by_date", dict[date, tuple[Span, ...]]())
        object.__setattr__(self, "_by_day", dict[int, list[Span]]())
        self._check()

    def _check(self) -> None:
        opening = [pair for pair in self.hours if pair]
        for start, end in self.breaks:
            if not any(texts.halts(pair, ((start, end),)) for pair in opening):
                raise ValueError(f"break {clock_text(start)}-{clock_text(end)} lies outside the hours of session {self.name!r}")
        for what, table in (("early close", self.early_closes), ("late open", self.late_opens)):
            for day, at in table.items():
                if (pair := self.hours[day.weekday()]) is None:
                    raise ValueError(f"{what} on {day}: session {self.name!r} has no {WEEKDAYS[day.weekday()]}")
                moved = texts.not_after(at, pair[1]) if what == "early close" else texts.not_before(at, pair[0])
                if not pair[0] <= moved <= pair[1]:
                    raise ValueError(f"{what} {clock_text(at)} on {day} lies outside the hours of session {self.name!r}")

    def trade_spans(self, day: date) -> list[Span]:
        """Return the spans of one trade date in order: none on a holiday, several if it has breaks."""
        return list(self._of(day))

    def _of(self, day: date) -> tuple[Span, ...]:
        found = self._by_date.get(day)
        if found is None:
            if len(self._by_date) >= _CACHED_DATES:
                self._by_date.clear()
            found = self._by_date[day] = self._compute(day)
        return found

    def _compute(self, day: date) -> tuple[Span, ...]:
        pair = self.hours[day.weekday()]
        if pair is None or day in self.holidays:
            return ()
        opening, closing = pair
        if (at := self.late_opens.get(day)) is not None:
            opening = texts.not_before(at, opening)
        if (at := self.early_closes.get(day)) is not None:
            closing = texts.not_after(at, closing)
        edges = [opening]
        for start, end in texts.halts(pair, self.breaks):
            edges += [max(opening, min(start, closing)), max(opening, min(end, closing))]
        edges.append(closing)
        midnight = (day.toordinal() - _ORDINAL_1970) * 86_400
        instants = [zones.instant(self.zone, (midnight + seconds) * SECOND) for seconds in edges]
        return tuple(Span(lo, hi, day) for lo, hi in zip(instants[::2], instants[1::2], strict=True) if lo < hi)

    def spans(self, start: int, end: int) -> list[Span]:
        """Return all spans that overlap `[start, end)`, in order. Instants before 1684 or from 2255 have none."""
        start, end = max(start, EARLIEST), min(end, LATEST)
        if start >= end:
            return []
        first, last = self._candidates(start)[0], self._candidates(end - 1)[1]
        days = (date.fromordinal(ordinal) for ordinal in range(first, last + 1))
        return [span for day in days for span in self._of(day) if span.open < end and span.close > start]

    def span_at(self, time: int) -> Span | None:
        """Return the span that holds an instant; None when the market is closed then."""
        if not EARLIEST <= time < LATEST:
            return None
        day = time // DAY
        found = self._by_day.get(day)
        if found is None:
            if len(self._by_day) >= _CACHED_DATES:
                self._by_day.clear()
            found = self._by_day[day] = self.spans(day * DAY, (day + 1) * DAY)
        at = bisect_right(found, time, key=_open) - 1
        return found[at] if at >= 0 and time < found[at].close else None

    def span_after(self, time: int) -> Span | None:
        """Return the first span that opens after an instant; None if none opens within 400 days."""
        if not EARLIEST <= time < LATEST:
            return None
        first = self._candidates(time)[0]
        days = (date.fromordinal(ordinal) for ordinal in range(first, first + _FAR))
        return next((span for day in days for span in self._of(day) if span.open > time), None)

    def span_before(self, time: int) -> Span | None:
        """Return the last span that opened at an instant or before; None if none did within 400 days."""
        if not EARLIEST <= time < LATEST:
            return None
        last = self._candidates(time)[1]
        days = (date.fromordinal(ordinal) for ordinal in range(last, last - _FAR, -1))
        return next((span for day in days for span in reversed(self._of(day)) if span.open <= time), None)

    def transitions(self, start: int, end: int) -> tuple[Transition, ...]:
        """Return the changes of the zone's offset in `[start, end)`: instant, offset before, offset after (nanoseconds)."""
        return zones.transitions(self.zone, start, end)

    def local(self, time: int) -> str:
        """Return an instant as ISO 8601 text on the session's clock, with its offset: `2025-11-02T01:30:00-06:00`."""
        return zones.local(self.zone, time)

    def adding(self, *, holidays: Dates = (), early_closes: Times | None = None, late_opens: Times | None = None) -> Session:
        """Return this session with more holidays, early closes and late opens; a date given before is replaced.

        Raises:
            ValueError: as the constructor does.
        """
        early = {**self.early_closes, **{date_of(day): seconds_of(at) for day, at in (early_closes or {}).items()}}
        late = {**self.late_opens, **{date_of(day): seconds_of(at) for day, at in (late_opens or {}).items()}}
        days = self.holidays.union(map(date_of, holidays))
        return _restore(self.name, self.zone, self.hours, self.breaks, days, early, late)

    def _candidates(self, time: int) -> tuple[int, int]:
        """First and last trade date (as ordinals) whose hours can hold an instant, a day to spare on either side."""
        today = _ORDINAL_1970 + (time + zones.offset(self.zone, time)) // DAY
        pairs = [pair for pair in self.hours if pair]
        return today - max(close for _, close in pairs) // 86_400 - 1, today - min(open for open, _ in pairs) // 86_400 + 1

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, field) for field in _FIELDS)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Session never changes; make another one to set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Session never changes; {name!r} stays")

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Session) and self._hash == other._hash and self._values() == other._values())

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        values = (self.name, self.zone, self.hours, self.breaks, self.holidays)
        return _restore, (*values, dict(self.early_closes), dict(self.late_opens))

    def __repr__(self) -> str:
        days: dict[str, list[str]] = {}
        for weekday, pair in zip(WEEKDAYS, self.hours, strict=True):
            if pair:
                days.setdefault(f"{clock_text(pair[0])} to {clock_text(pair[1])}", []).append(weekday)
        parts = [f"{self.name!r}, {self.zone}", *(f"{' '.join(names)} {text}" for text, names in days.items())]
        parts += [f"break {clock_text(start)} to {clock_text(end)}" for start, end in self.breaks]
        for what, table in (("holidays", self.holidays), ("early closes", self.early_closes), ("late opens", self.late_opens)):
            parts += [f"{len(table)} {what}"] if table else []
        return f"Session({', '.join(parts)})"


@lru_cache(maxsize=1024)
def get(name: str | Session) -> Session:
    """Return a session by its name; a `Session` is returned as it is.

    "CME" (17:00 of the day before to 16:00, Chicago, Mon-Fri), "NYSE" (9:30 to 16:00, New York), "LSE" (8:00 to 16:30,
    London), "FX" (17:00 to 17:00, New York, Mon-Fri, without a pause in between), "24x7" (days in UTC) or
    "24x7:Europe/London" (local days in any IANA zone). Holidays are not in these: see `rxfeed.calendars`.

    Raises:
        ValueError: an unknown name or zone.
    """
    if isinstance(name, Session):
        return name
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"session must be a Session or its name, got {name!r}")
    if name in _KNOWN:
        zone, days, opening, closing = _KNOWN[name]
        return Session(name, zone, {days: (opening, closing)})
    if name.startswith("24x7:"):
        return Session(name, name.removeprefix("24x7:"), {"Mon-Sun": ("0:00", "24:00")})
    close = difflib.get_close_matches(name.upper(), _KNOWN, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f'session must be one of {", ".join(_KNOWN)} or "24x7:<IANA zone>", got {name!r}{hint}')


_KNOWN = {
    "CME": ("America/Chicago", "Mon-Fri", "17:00", "16:00"),
    "NYSE": ("America/New_York", "Mon-Fri", "9:30", "16:00"),
    "LSE": ("Europe/London", "Mon-Fri", "8:00", "16:30"),
    "FX": ("America/New_York", "Mon-Fri", "17:00", "17:00"),
    "24x7": ("UTC", "Mon-Sun", "0:00", "24:00"),
}


def _open(span: Span) -> int:
    return span.open


def _restore(
    name: str,
    zone: str,
    hours: Week,
    breaks: tuple[tuple[int, int], ...],
    holidays: frozenset[date],
    early_closes: Mapping[date, int],
    late_opens: Mapping[date, int],
) -> Session:
    session = object.__new__(Session)
    session._set(name, zone, hours, breaks, holidays, dict(early_closes), dict(late_opens))  # pyright: ignore[reportPrivateUsage]
    return session
