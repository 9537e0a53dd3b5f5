"""The gateway's times against arithmetic on the calendar, in every spelling."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.feeds.projectx.stamps import many_nanoseconds_of, nanoseconds_of
from rxfeed.model import UNKNOWN_TIME

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = st.sampled_from(["Z", "z", "", "+00:00", "-00:00", "+02:00", "-0530", "+05:45", "+14:00", "-23:59"])
INSTANTS = st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)).map(lambda when: when.replace(microsecond=0))


def told(when: datetime, digits: str, zone: str, between: str = "T") -> tuple[str, int]:
    """Return a time as text, and what it is in nanoseconds."""
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", zone)
    offset = timedelta()
    if match:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3])) * (-1 if match[1] == "-" else 1)
    since = when.replace(tzinfo=timezone(offset)) - EPOCH
    seconds = since.days * 86_400 + since.seconds
    text = (
        when.strftime("%Y-%m-%d").rjust(10, "0") + between + when.strftime("%H:%M:%S") + (f".{digits}" if digits else "") + zone
    )
    return text, seconds * 10**9 + int(f"{digits}000000000"[:9])


@given(INSTANTS, st.from_regex(r"[0-9]{0,12}", fullmatch=True), ZONES, st.sampled_from(["T", "t"] + [" "]))
def test_every_spelling_is_read_to_the_nanosecond(when: datetime, digits: str, zone: str, between: str) -> None:
    text, expected = told(when, digits, zone, between)
    assert nanoseconds_of(text) == expected
    assert nanoseconds_of(text) == expected  # remembered, it is the same


@given(
    st.lists(st.tuples(INSTANTS, st.from_regex(r"[0-9]{7}", fullmatch=True)), min_size=1, max_size=8),
    ZONES,
    st.sampled_from([1, 5, 40]),
)
def test_many_are_read_as_each_is(whens: list[tuple[datetime, str]], zone: str, times: int) -> None:
    whens = [when for when in whens for _ in range(times)]
    texts, expected = zip(*[told(when, digits, zone) for when, digits in whens], strict=True)
    assert list(many_nanoseconds_of(texts)) == list(expected)


@given(st.lists(st.tuples(INSTANTS, st.from_regex(r"[0-9]{0,9}", fullmatch=True), ZONES), max_size=8))
def test_many_of_mixed_spellings_are_read_as_each_is(whens: list[tuple[datetime, str, str]]) -> None:
    pairs = [told(*when) for when in whens]
    assert list(many_nanoseconds_of([text for text, _ in pairs])) == [time for _, time in pairs]


def test_what_the_gateway_was_seen_to_send() -> None:
    assert nanoseconds_of("2026-05-06T13:36:03.4962794+00:00") == 1_778_074_563_496_279_400
    assert nanoseconds_of("2024-07-21T13:45:00Z") == 1_721_569_500_000_000_000
    assert nanoseconds_of("2024-12-20T14:00:00+00:00") == 1_734_703_200_000_000_000
    assert nanoseconds_of("2024-12-20T14:00:00") == 1_734_703_200_000_000_000


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "1600-01-01T00:00:00Z"]
)
def test_what_does_not_fit_is_unknown(text: str) -> None:
    assert nanoseconds_of(text) == UNKNOWN_TIME
    assert list(many_nanoseconds_of([text, text])) == [UNKNOWN_TIME] * 2


BAD = [
    "", "now", "1721569500", "2024-07-21", "2024-02-30T00:00:00Z", "2024-07-21T24:00:00Z", "2024-07-21T13:45:60Z",
    "2024-07-21T13:45:00.Z", "2024-07-21T13:45:00.12 4567Z", "2024-07-21T13:45:00.+234567Z", "2024-07-21T13:45:00.1_34567Z",
    "2024-07-21T13:45:00+24:00", "2024-07-21T13:45:00ZZ", "2024-07-21T13:45:00.1234567+00:0", "٢٠٢٤-07-21T13:45:00Z",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    nanoseconds_of("2024-07-21T13:45:00.1234567Z")  # its second is remembered
    with pytest.raises(ValueError, match=re.escape(repr(text[:40]))):
        nanoseconds_of(text)
    good = "2024-07-21T13:45:00.1234567Z"
    with pytest.raises(ValueError, match=re.escape(repr(text[:40]))):
        many_nanoseconds_of([good, text])


def test_any_byte_in_place_of_a_right_one_is_refused_or_read_alike() -> None:
    good = "2026-05-06T13:36:03.4962794+00:00"
    for at in range(len(good)):
        for other in "0:+-.TZ é_":
            text = good[:at] + other + good[at + 1 :]
            results: list[object] = []
            for read in (nanoseconds_of, lambda text: many_nanoseconds_of([text, good])[0]):
                try:
                    results.append(read(text))
                except ValueError:
                    results.append(None)
            assert results[0] == results[1], text
