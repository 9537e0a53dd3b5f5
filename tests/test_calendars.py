"""Holidays and early closes, against facts of the exchanges."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from rxfeed import sessions
from rxfeed.calendars import with_holidays
from rxfeed.sessions import Session

pytest.importorskip("pandas_market_calendars")
YEAR = date(2024, 1, 1), date(2025, 1, 31)


def hours(session: Session, day: str) -> list[str]:
    return [
        f"{session.local(s.open)[:16]} to {session.local(s.close)[11:16]}" for s in session.trade_spans(date.fromisoformat(day))
    ]


def test_nyse() -> None:
    session = with_holidays("NYSE", *YEAR)
    assert hours(session, "2024-07-02") == ["2024-07-02T09:30 to 16:00"]
    assert hours(session, "2024-07-03") == ["2024-07-03T09:30 to 13:00"]
    assert hours(session, "2024-07-04") == []
    assert hours(session, "2024-11-29") == ["2024-11-29T09:30 to 13:00"]
    assert hours(session, "2024-12-25") == []
    assert hours(session, "2025-01-09") == []  # a national day of mourning
    assert len([day for day in session.holidays if day.year == 2024]) == 10


def test_lse() -> None:
    session = with_holidays("LSE", *YEAR)
    assert hours(session, "2024-12-24") == ["2024-12-24T08:00 to 12:30"]
    assert hours(session, "2024-12-26") == []
    assert hours(session, "2024-07-04") == ["2024-07-04T08:00 to 16:30"]


def test_cme() -> None:
    session = with_holidays("CME", *YEAR)
    assert hours(session, "2024-11-27") == ["2024-11-26T17:00 to 16:00"]
    assert hours(session, "2024-11-28") == ["2024-11-27T17:00 to 12:00"]
    assert hours(session, "2024-11-29") == ["2024-11-28T17:00 to 12:15"]
    assert hours(session, "2024-12-25") == []
    assert hours(session, "2024-12-26") == ["2024-12-25T17:00 to 16:00"]
    assert hours(with_holidays("CME", date(2023, 4, 7), date(2023, 4, 7)), "2023-04-07") == ["2023-04-06T17:00 to 08:15"]
    assert date(2024, 1, 1) in session.holidays


def test_other_calendars_of_one_exchange_close_at_other_minutes() -> None:
    bonds = with_holidays("CME", *YEAR, calendar="CME Globex Fixed Income")
    assert hours(bonds, "2024-07-03") == ["2024-07-02T17:00 to 16:00"]
    assert hours(with_holidays("CME", *YEAR), "2024-07-03") == ["2024-07-02T17:00 to 12:15"]


def test_shorter_hours_of_ones_own_lose_what_the_calendar_closes() -> None:
    own = Session("pit", "America/New_York", {"Mon-Fri": ("9:30", "16:00")}, holidays=["2024-06-03"])
    own = with_holidays(own, *YEAR, calendar="CME Globex Equity")
    assert hours(own, "2024-07-04") == ["2024-07-04T09:30 to 13:00"]
    assert hours(own, "2024-06-03") == []
    late = Session("late", "America/Chicago", {"Mon-Fri": ("13:00", "16:00")})
    assert hours(with_holidays(late, *YEAR, calendar="CME Globex Equity"), "2024-07-04") == []


def test_dates_outside_the_range_are_untouched() -> None:
    session = with_holidays("NYSE", date(2024, 12, 25), date(2024, 12, 25))
    assert session.holidays == {date(2024, 12, 25)}
    assert hours(session, "2023-12-25") == ["2023-12-25T09:30 to 16:00"]
    assert sessions.get("NYSE").holidays == frozenset()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("24x7", *YEAR), r"calendar must be given for session '24x7'; known are those of CME, NYSE, LSE"),
        (("NYSE", *YEAR, "XX"), r"calendar must be one that pandas_market_calendars has, such as NYSE, got 'XX'"),
        (("NYSE", YEAR[1], YEAR[0]), r"end must not be before start, got 2025-01-31 to 2024-01-01"),
    ],
)
def test_what_is_refused(arguments: tuple[str, date, date], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        with_holidays(*arguments)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_market_calendars", None)
    with pytest.raises(ImportError, match=r'pip install "rxfeed\[calendars\]"'):
        with_holidays("NYSE", *YEAR)
