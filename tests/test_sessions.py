"""Sessions: the usual markets, hours of one's own, and clocks that skip or repeat a time."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed import sessions, zones
from rxfeed.sessions import Session, Span
from rxfeed.times import NANOSECONDS, iso

HOUR = NANOSECONDS["h"]
DAY = NANOSECONDS["d"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * NANOSECONDS["s"]


def on(session: Session, day: str) -> list[str]:
    return [f"{session.local(s.open)} {session.local(s.close)}" for s in session.trade_spans(date.fromisoformat(day))]


def hours(session: Session, day: str) -> float:
    return sum(s.close - s.open for s in session.trade_spans(date.fromisoformat(day))) / HOUR


def test_cme_lasts_23_hours_and_the_weekend_absorbs_the_change() -> None:
    cme = sessions.get("CME")
    for monday, weekend in (("2025-03-03", 49), ("2025-03-10", 48), ("2025-11-03", 50)):
        (span,) = cme.trade_spans(date.fromisoformat(monday))
        before = cme.span_before(span.open - 1)
        assert before is not None
        assert (span.open - before.close) / HOUR == weekend
        assert (span.close - span.open) / HOUR == 23
    assert iso(cme.trade_spans(date(2025, 3, 10))[0].open) == "2025-03-09T22:00:00Z"
    assert iso(cme.trade_spans(date(2025, 11, 3))[0].open) == "2025-11-02T23:00:00Z"


def test_sunday_evening_belongs_to_monday() -> None:
    cme = sessions.get("CME")
    span = cme.span_at(at("2025-03-09T17:00:00-05:00"))
    assert span is not None
    assert span.trade_date == date(2025, 3, 10)
    assert cme.trade_spans(date(2025, 3, 9)) == []


def test_spans_are_half_open() -> None:
    cme = sessions.get("CME")
    (span,) = cme.trade_spans(date(2025, 3, 10))
    assert cme.span_at(span.open) == cme.span_at(span.close - 1) == span
    assert cme.span_at(span.open - 1) is None
    assert cme.span_at(span.close) is None
    assert cme.spans(span.close, span.close + HOUR) == []
    assert cme.spans(span.close - 1, span.close + HOUR + 1)[0] == span
    after = cme.span_after(span.open)
    assert after is not None
    assert after.trade_date == date(2025, 3, 11)
    assert cme.span_before(span.open) == cme.span_before(span.close + 1) == span


def test_stock_exchanges() -> None:
    assert on(sessions.get("NYSE"), "2025-03-10") == ["2025-03-10T09:30:00-04:00 2025-03-10T16:00:00-04:00"]
    assert on(sessions.get("LSE"), "2025-03-31") == ["2025-03-31T08:00:00+01:00 2025-03-31T16:30:00+01:00"]
    assert on(sessions.get("LSE"), "2025-03-30") == []


def test_fx_has_no_pause_between_its_days() -> None:
    fx = sessions.get("FX")
    week = fx.spans(at("2025-03-09T00:00:00-05:00"), at("2025-03-15T00:00:00-04:00"))
    assert [s.trade_date.isoformat() for s in week] == [f"2025-03-{day}" for day in range(10, 15)]
    assert all(a.close == b.open for a, b in pairwise(week))
    assert fx.local(week[0].open) == "2025-03-09T17:00:00-04:00"
    assert fx.local(week[-1].close) == "2025-03-14T17:00:00-04:00"


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("America/Chicago", "2025-03-09", 23), ("America/Chicago", "2025-11-02", 25), ("America/Chicago", "2025-06-02", 24),
        ("Australia/Lord_Howe", "2025-04-06", 24.5), ("Australia/Lord_Howe", "2025-10-05", 23.5),
        ("Asia/Kathmandu", "2025-04-06", 24), ("Antarctica/Troll", "2025-03-30", 22), ("Antarctica/Troll", "2025-10-26", 26),
        # Midnight itself is skipped, and repeated.
        ("America/Sao_Paulo", "2018-11-04", 23), ("America/Sao_Paulo", "2018-02-17", 25),
        # 00:01 becomes 23:01 of the day before; 00:01 becomes 01:01.
        ("America/St_Johns", "2010-11-07", 25), ("America/St_Johns", "2010-03-14", 23),
        # The date line: a day that was never there, and one that was there for 47 hours.
        ("Pacific/Apia", "2011-12-29", 24), ("Pacific/Apia", "2011-12-30", 0), ("Pacific/Apia", "2011-12-31", 24),
        ("Pacific/Kwajalein", "1993-08-20", 24), ("Pacific/Kwajalein", "1993-08-21", 0),
        ("Pacific/Kwajalein", "1969-09-30", 47),
        ("Africa/Casablanca", "2025-02-23", 25), ("Africa/Casablanca", "2025-04-06", 23), ("Africa/El_Aaiun", "2026-02-15", 25),
    ],
)  # fmt: skip
def test_a_local_day_lasts_what_it_lasted(zone: str, day: str, length: float) -> None:
    assert hours(sessions.get(f"24x7:{zone}"), day) == length


@pytest.mark.parametrize(
    "zone", ["Europe/London", "Pacific/Apia", "America/St_Johns", "America/Sao_Paulo", "Asia/Gaza", "Pacific/Kwajalein"]
)
def test_local_days_tile_all_time(zone: str) -> None:
    session = sessions.get(f"24x7:{zone}")
    found = session.spans(at("1990-01-01T00:00:00+00:00"), at("2031-01-01T00:00:00+00:00"))
    assert all(a.close == b.open and a.trade_date < b.trade_date for a, b in pairwise(found))


def test_an_open_that_does_not_exist_is_the_first_instant_that_does() -> None:
    odd = Session("odd", "America/Chicago", {"Mon-Sun": ("2:30", "23:00")})
    assert on(odd, "2025-03-09") == ["2025-03-09T03:00:00-05:00 2025-03-09T23:00:00-05:00"]


def test_an_ambiguous_open_or_close_is_the_first() -> None:
    odd = Session("odd", "America/Chicago", {"Mon-Sun": ("1:30", "23:00")})
    assert on(odd, "2025-11-02") == ["2025-11-02T01:30:00-05:00 2025-11-02T23:00:00-06:00"]
    night = Session("night", "America/Chicago", {"Mon-Sun": ("22:00", "1:30")})
    assert on(night, "2025-11-02") == ["2025-11-01T22:00:00-05:00 2025-11-02T01:30:00-05:00"]


def test_a_session_that_the_change_swallows_does_not_exist() -> None:
    odd = Session("odd", "America/Chicago", {"Mon-Sun": ("2:10", "2:50")})
    assert on(odd, "2025-03-09") == []
    assert len(on(odd, "2025-03-08")) == 1


def test_breaks_cut_a_trade_date() -> None:
    tokyo = Session("TSE", "Asia/Tokyo", {"Mon-Fri": ("9:00", "15:30")}, breaks=[("11:30", "12:30")])
    first, second = tokyo.trade_spans(date(2025, 3, 10))
    assert (second.open - first.close) / HOUR == 1
    assert tokyo.span_at(first.close) is None
    assert tokyo.span_after(first.close) == second


def test_hours_that_begin_days_before() -> None:
    osaka = Session(
        "OSE", "Asia/Tokyo", {"Mon": ("-3d 16:30", "15:45"), "Tue-Fri": ("16:30", "15:45")},
        breaks=[("-2d 6:00", "8:45"), ("6:00", "8:45")],
    )  # fmt: skip
    assert [text[:16] for text in on(osaka, "2025-03-10")] == ["2025-03-07T16:30", "2025-03-10T08:45"]
    assert [text[:16] for text in on(osaka, "2025-03-11")] == ["2025-03-10T16:30", "2025-03-11T08:45"]


def test_holidays_early_closes_and_late_opens() -> None:
    cme = sessions.get("CME").adding(
        holidays=["2024-12-25"], early_closes={date(2024, 12, 24): time(12, 15)}, late_opens={"2024-12-26": "19:00"}
    )
    assert cme.trade_spans(date(2024, 12, 25)) == []
    assert on(cme, "2024-12-24") == ["2024-12-23T17:00:00-06:00 2024-12-24T12:15:00-06:00"]
    assert on(cme, "2024-12-26") == ["2024-12-25T19:00:00-06:00 2024-12-26T16:00:00-06:00"]
    assert cme.adding(holidays=[date(2024, 12, 24)]).trade_spans(date(2024, 12, 24)) == []
    assert sessions.get("CME") != cme


def test_an_early_close_ends_before_and_within_a_break() -> None:
    for close, spans in (("11:00", 1), ("12:00", 1), ("13:00", 2)):
        session = Session(
            "TSE", "Asia/Tokyo", {"Mon-Fri": ("9:00", "15:30")}, breaks=[("11:30", "12:30")], early_closes={"2025-03-10": close}
        )
        assert len(session.trade_spans(date(2025, 3, 10))) == spans


def test_a_session_is_a_value() -> None:
    def make() -> Session:
        return Session(
            "x", "Asia/Tokyo", {"Mon-Fri": ("9:00", "15:30")}, holidays=["2025-01-01"], early_closes={"2025-01-02": "12:00"}
        )

    one, other = make(), make()
    one.trade_spans(date(2025, 1, 3))
    copy = pickle.loads(pickle.dumps(one))
    assert one == other == copy
    assert hash(one) == hash(other) == hash(copy)
    assert copy.trade_spans(date(2025, 1, 2)) == one.trade_spans(date(2025, 1, 2))
    assert one != make().adding(holidays=["2025-01-06"])
    assert repr(one) == "Session('x', Asia/Tokyo, Mon Tue Wed Thu Fri 9:00 to 15:30, 1 holidays, 1 early closes)"
    with pytest.raises(AttributeError, match="never changes"):
        one.zone = "UTC"
    one.trade_spans(date(2025, 1, 3)).clear()
    assert len(one.trade_spans(date(2025, 1, 3))) == 1


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from(["CME", "24x7:Pacific/Apia", "NYSE"]))
def test_span_at_agrees_with_spans_and_never_fails(moment: int, name: str) -> None:
    session = sessions.get(name)
    found = session.span_at(moment)
    assert session.spans(moment, moment + 1) == ([found] if found else [])
    before, after = session.span_before(moment), session.span_after(moment)
    assert before is None or before.open <= moment
    assert after is None or after.open > moment
    assert found is None or found == before


def test_transitions_are_exact_and_told_with_both_offsets() -> None:
    found = sessions.get("CME").transitions(at("2025-01-01T00:00:00+00:00"), at("2026-01-01T00:00:00+00:00"))
    assert [(iso(t.at), t.before // HOUR, t.after // HOUR) for t in found] == [
        ("2025-03-09T08:00:00Z", -6, -5),
        ("2025-11-02T07:00:00Z", -5, -6),
    ]
    only = found[0].at
    assert zones.transitions("America/Chicago", only, only + 1) == found[:1]
    assert zones.transitions("America/Chicago", only + 1, only + 2) == ()
    assert zones.transitions("America/Chicago", only, only) == ()


def test_two_changes_a_week_apart_are_both_found() -> None:
    found = zones.transitions("America/Boa_Vista", at("2000-10-01T00:00:00+00:00"), at("2000-11-01T00:00:00+00:00"))
    assert [iso(t.at)[:10] for t in found] == ["2000-10-08", "2000-10-15"]


def test_local_text_has_offset_and_every_digit() -> None:
    session = sessions.get("24x7:Asia/Kathmandu")
    assert session.local(at("2025-01-01T00:00:00+00:00") + 1_500) == "2025-01-01T05:45:00.0000015+05:45"
    assert sessions.get("24x7").local(0) == "1970-01-01T00:00:00+00:00"
    assert sessions.get("24x7:America/New_York").local(-1) == "1969-12-31T18:59:59.999999999-05:00"


WEEK = {"Mon-Fri": ("9:00", "15:30")}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: sessions.get("NYSEE"),
            r'session must be one of CME, NYSE, LSE, FX, 24x7 or "24x7:<IANA zone>", got \'NYSEE\'; did',
        ),
        (
            lambda: sessions.get("24x7:Europe/Lodon"),
            r"zone must be an IANA name .* got 'Europe/Lodon'; close matches: Europe/London",
        ),
        (lambda: Session("x", "../etc", WEEK), r"zone must be an IANA name .* got '../etc'"),
        (lambda: Session("x", "UTC", {}), r"hours must hold at least one day"),
        (lambda: Session("x", "UTC", {"Mo": ("9:00", "10:00")}), r'weekdays must look like "Mon-Fri" or "Mon,Wed", got \'Mo\''),
        (lambda: Session("x", "UTC", {"Mon": ("9", "10:00")}), r'a local time must look like "9:30".* got \'9\''),
        (lambda: Session("x", "UTC", {"Mon": ("9:60", "10:00")}), r"got '9:60'"),
        (lambda: Session("x", "UTC", {"Mon": (time(9, 0, 0, 1), "10:00")}), r"must be whole seconds without a zone"),
        (lambda: Session("x", "UTC", {"Mon": ("0d 9:00", "8:00")}), r"hours must open before they close, got 9:00 to 8:00"),
        (lambda: Session("x", "UTC", {"Mon-Fri": ("9:00", "10:00"), "Wed": ("9:00", "11:00")}), r"hours name Wed twice"),
        (
            lambda: Session("x", "UTC", {"Mon": ("0:00", "24:00"), "Tue": ("-1d 23:00", "9:00")}),
            r"hours of Mon overlap those of Tue",
        ),
        (
            lambda: Session("x", "UTC", WEEK, breaks=[("16:00", "17:00")]),
            r"break 16:00-17:00 lies outside the hours of session 'x'",
        ),
        (
            lambda: Session("x", "UTC", WEEK, early_closes={"2025-03-10": "16:00"}),
            r"early close 16:00 on 2025-03-10 lies outside",
        ),
        (lambda: Session("x", "UTC", WEEK, late_opens={"2025-03-10": "8:00"}), r"late open 8:00 on 2025-03-10 lies outside"),
        (
            lambda: Session("x", "UTC", WEEK, early_closes={"2025-03-09": "12:00"}),
            r"early close on 2025-03-09: session 'x' has no Sun",
        ),
        (
            lambda: Session("x", "UTC", WEEK, holidays=["Christmas"]),
            r'a trade date must look like "2024-12-25", got \'Christmas\'',
        ),
        (lambda: Session("x", "UTC", WEEK, holidays=[datetime(2025, 1, 1, tzinfo=UTC)]), r"must be a date without a time"),
    ],
)
def test_what_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_two_equal_spans_are_one_value() -> None:
    (span,) = sessions.get("24x7").trade_spans(date(1970, 1, 2))
    assert span == Span(DAY, 2 * DAY, date(1970, 1, 1) + timedelta(days=1))
