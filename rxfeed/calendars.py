"""Holidays and early closes from `pandas_market_calendars`, which the extra `calendars` installs.

A session knows weekly hours; which dates differ from them is somebody else's table, read once here into a plain `Session`.
"""

from __future__ import annotations

import warnings
from datetime import date, timedelta
from importlib import import_module
from typing import Any

from rxfeed import sessions, zones
from rxfeed.sessions import Session
from rxfeed.times import NANOSECONDS

CALENDARS = {"CME": "CME Globex Equity", "NYSE": "NYSE", "LSE": "LSE"}
"""The calendar meant for each of our sessions. At CME each product group has one of its own ("CME Globex Fixed Income",
"CMEGlobex_Energy" …), which agree on holidays but not on the minute of an early close."""


def with_holidays(session: str | Session, start: date, end: date, calendar: str | None = None) -> Session:
    """Return a session with the holidays, early closes and late opens of a calendar, from `start` to `end` inclusive.

    The weekly hours stay the session's own: a calendar can only take away from them. Trade dates are the calendar's: at
    CME the short session of a holiday such as 4 July (the evening before until 12:00) is a trade date by itself there,
    although the exchange clears it with the next day. Its Good Fridays from 2023 on close at 8:15, as they do only in
    years when the employment report comes out on that day: add the others with `session.adding(holidays=…)`.

    Args:
        session: a session or its name.
        start: the first trade date to look up; dates before have no holidays.
        end: the last one; dates after have none either.
        calendar: its name in `pandas_market_calendars`; by default the one of `CALENDARS` for the session's name.

    Raises:
        ImportError: `pandas_market_calendars` is not installed.
        ValueError: no calendar is known for the session or by that name, or `end` is before `start`.
    """
    session = sessions.get(session)
    if end < start:
        raise ValueError(f"end must not be before start, got {start} to {end}")
    name = calendar or CALENDARS.get(session.name)
    if name is None:
        raise ValueError(f"calendar must be given for session {session.name!r}; known are those of {', '.join(CALENDARS)}")
    trading = _hours(name, start, end)
    holidays: list[date] = []
    early: dict[date | str, str] = {}
    late: dict[date | str, str] = {}
    for day in (start + timedelta(days=i) for i in range((end - start).days + 1)):
        spans = session.trade_spans(day)
        if not spans:
            continue
        first, last = spans[0].open, spans[-1].close
        opening, closing = trading.get(day, (last, last))
        if closing <= first or opening >= last:
            holidays.append(day)
            continue
        if closing < last:
            early[day] = _clock(session, closing)
        if opening > first:
            late[day] = _clock(session, opening)
    return session.adding(holidays=holidays, early_closes=early, late_opens=late)


def _clock(session: Session, time: int) -> str:
    seconds = (time + zones.offset(session.zone, time)) % NANOSECONDS["d"] // NANOSECONDS["s"]
    return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _hours(name: str, start: date, end: date) -> dict[date, tuple[int, int]]:
    """Open and close of each trade date that the calendar has, in int nanoseconds UTC."""
    try:
        library: Any = import_module("pandas_market_calendars")
    except ImportError as error:
        raise ImportError('holidays need pandas_market_calendars: pip install "rxfeed[calendars]"') from error
    known: list[str] = library.get_calendar_names()
    if name not in known:
        raise ValueError(f"calendar must be one that pandas_market_calendars has, such as NYSE, got {name!r}")
    with warnings.catch_warnings():
        # The library's own calls to what pandas will drop: nothing that a caller could mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        schedule = library.get_calendar(name).schedule(start.isoformat(), end.isoformat())
    if schedule.empty:
        return {}
    opens, closes = (schedule[column].dt.as_unit("ns").astype("int64").tolist() for column in ("market_open", "market_close"))
    return {day.date(): (opening, closing) for day, opening, closing in zip(schedule.index, opens, closes, strict=True)}
