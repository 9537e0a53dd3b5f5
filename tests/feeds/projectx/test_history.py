"""`History`: pages backward, seams, order, and bars that are equal to ours."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rxfeed.errors import FeedError, GatewayRefused, ProtocolError
from rxfeed.feeds.projectx.contracts import Contract
from rxfeed.feeds.projectx.history import MOST, History, unit_of
from rxfeed.frame import Frame
from rxfeed.model import Bar, Flag, replace
from rxfeed.times import SECOND, iso
from tests.builders import HOUR, MINUTE
from tests.feeds.projectx.gateway import Gateway, World, asking
from tests.feeds.projectx.test_rest import log  # noqa: F401

MNQ = Contract("CON.F.US.MNQ.H26", "MNQH26", "MNQH6", "", 0.25, 0.5, True)
OPEN = 1_767_657_600 * SECOND  # 2026-01-06T00:00Z, a Tuesday, in the session of the 6th


def raw(time: int, price: float = 100.0, volume: Any = 7, form: str = "+00:00") -> dict[str, Any]:
    return {"t": iso(time).removesuffix("Z") + form, "o": price, "h": price + 1, "l": price - 1, "c": price + 0.5, "v": volume}


class Kept:
    """What a gateway keeps: a bar for each step, given newest first, no more than its cap at a time."""

    def __init__(self, step: int, start: int, count: int, *, cap: int = MOST, inclusive: bool = True) -> None:
        self.bars = {start + n * step: raw(start + n * step, 100.0 + n % 50, n % 9) for n in range(count)}
        self.cap, self.inclusive = cap, inclusive
        self.asked: list[dict[str, Any]] = []

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        start, end = (at(body[name]) for name in ("startTime", "endTime"))
        inside = [time for time in self.bars if start <= time < end or (self.inclusive and time == end)]
        newest = sorted(inside, reverse=True)[: min(self.cap, body["limit"])]
        return {"bars": [self.bars[time] for time in newest]}


def at(text: str) -> int:
    from rxfeed.feeds.projectx.stamps import nanoseconds_of

    return nanoseconds_of(text)


def history(answer: Any, timeframe: str = "1m", start: int = OPEN, end: int = OPEN + HOUR, **more: Any) -> Any:
    async def use(world: World) -> Any:
        try:
            return await History(world.login, **more).bars(MNQ, timeframe, start, end)
        except FeedError as error:
            return error

    return asking(Gateway({"History/retrieveBars": answer}), use)


@pytest.mark.parametrize(
    ("timeframe", "unit"),
    [("1s", (1, 1)), ("90s", (1, 90)), ("1m", (2, 1)), ("60s", (2, 1)), ("90m", (2, 90)), ("1h", (3, 1)), ("4h", (3, 4))],
)
def test_units(timeframe: str, unit: tuple[int, int]) -> None:
    assert unit_of(timeframe) == unit


@pytest.mark.parametrize("timeframe", ["250ms", "1500ms", "24h", "1d", "1w", "1mo", "x", ""])
def test_what_the_gateway_has_no_bars_of(timeframe: str) -> None:
    with pytest.raises(ValueError, match=r"history comes in whole seconds|timeframe must look like"):
        unit_of(timeframe)


def test_a_page() -> None:
    kept = Kept(MINUTE, OPEN - HOUR, 200)
    frame = history(kept)
    assert isinstance(frame, Frame)
    bars = frame.rows()
    assert [bar.start for bar in bars] == [OPEN + n * MINUTE for n in range(60)]
    assert kept.asked == [
        {
            "contractId": "CON.F.US.MNQ.H26", "live": False, "startTime": "2026-01-06T00:00:00Z",
            "endTime": "2026-01-06T01:00:00Z", "unit": 2, "unitNumber": 1, "limit": 20_000, "includePartialBar": False,
        }
    ]  # fmt: skip
    n = 60
    assert bars[0] == Bar(
        "MNQH26", "1m", OPEN, OPEN + MINUTE, 100.0 + n % 50, 101.0 + n % 50, 99.0 + n % 50, 100.5 + n % 50, n % 9,
        None, None, None, None, None, None, None, None, date(2026, 1, 6), 0, Flag.REPAIRED,
    )  # fmt: skip
    # What replaces says the same.
    assert replace(None, bars[0]) == bars[0]


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("cap", [1000, 1500, MOST])
def test_pages_backward_lose_nothing_and_repeat_nothing(cap: int, inclusive: bool) -> None:
    count = 4000
    kept = Kept(SECOND, OPEN - 10 * SECOND, count + 20, cap=cap, inclusive=inclusive)
    bars = history(kept, "1s", OPEN, OPEN + count * SECOND).rows()
    assert [bar.start for bar in bars] == [OPEN + n * SECOND for n in range(count)]
    assert [bar.close for bar in bars[:3]] == [100.5 + n % 50 for n in (10, 11, 12)]
    assert len(kept.asked) == (1 if cap == MOST else -(-count // (cap - inclusive)))


def test_history_that_begins_later_than_it_is_asked_for_ends() -> None:
    kept = Kept(SECOND, OPEN, 2500, cap=1000)
    assert len(history(kept, "1s", OPEN - HOUR, OPEN + HOUR)) == 2500
    assert len(kept.asked) == 3
    # A full last page asks once more, and finds nothing.
    kept = Kept(SECOND, OPEN, 2000, cap=1000, inclusive=False)
    assert len(history(kept, "1s", OPEN - HOUR, OPEN + HOUR)) == 2000
    assert len(kept.asked) == 3


def test_the_same_page_for_ever_ends() -> None:
    asked: list[Any] = []

    def stuck(body: Any) -> dict[str, Any]:
        asked.append(body)
        return {"bars": [raw(OPEN + n * SECOND) for n in range(1000)]}

    assert len(history(stuck, "1s", OPEN - HOUR, OPEN + HOUR)) == 1000
    assert len(asked) == 2


@pytest.mark.parametrize("form", ["", "Z", "+00:00", ".0000000+00:00", ".000Z", "+0000"])
@pytest.mark.parametrize("turned", [True, False])
def test_all_forms_of_time_and_any_order(form: str, turned: bool) -> None:
    rows = [raw(OPEN + n * MINUTE, 100.0 + n, form=form) for n in range(5)]
    bars = history({"bars": rows[::-1] if turned else rows}).rows()
    assert [(bar.start, bar.open) for bar in bars] == [(OPEN + n * MINUTE, 100.0 + n) for n in range(5)]


@pytest.mark.parametrize("answer", [{"bars": []}, {"bars": None}, {}])
def test_no_bars(answer: Any) -> None:
    frame = history(answer)
    assert (len(frame), frame.kind) == (0, Bar)


def test_windows_that_the_session_cuts_are_short() -> None:
    close = OPEN + 22 * HOUR  # 16:00 in Chicago
    bars = history({"bars": [raw(close - 3 * HOUR), raw(close - 7 * HOUR)]}, "4h", close - 8 * HOUR, close).rows()
    assert [(bar.start, bar.end, bar.flags) for bar in bars] == [
        (close - 7 * HOUR, close - 3 * HOUR, Flag.REPAIRED),
        (close - 3 * HOUR, close, Flag.REPAIRED | Flag.SHORT),
    ]


def test_trade_dates_are_the_sessions() -> None:
    evening = OPEN + 23 * HOUR  # 17:00 in Chicago: the next trade date
    bars = history({"bars": [raw(evening), raw(evening - 2 * HOUR)]}, "1h", OPEN, OPEN + 24 * HOUR).rows()
    assert [bar.trade_date for bar in bars] == [date(2026, 1, 6), date(2026, 1, 7)]


def test_bars_while_the_session_is_closed_are_left_out_and_told(log: list[str]) -> None:  # noqa: F811
    halt = OPEN + 22 * HOUR
    bars = history({"bars": [raw(halt - MINUTE), raw(halt), raw(halt + MINUTE)]}, "1m", OPEN, OPEN + 24 * HOUR)
    assert [bar.start for bar in bars] == [halt - MINUTE]
    assert len(log) == 1
    assert log[0] == (
        "History/retrieveBars: 2 bars of MNQH26 are left out, as the session is closed then; "
        "the first is of 2026-01-06T22:00:00Z"
    )
    assert len(history({"bars": [raw(halt - MINUTE), raw(halt)]}, "1m", OPEN, OPEN + 24 * HOUR, session="24x7")) == 2


def test_bars_on_another_grid_are_refused() -> None:
    error = history({"bars": [raw(OPEN), raw(OPEN + 4 * HOUR)]}, "4h", OPEN, OPEN + 12 * HOUR)
    assert type(error) is ProtocolError
    assert str(error) == (
        "History/retrieveBars answered a bar of 4h that begins at 2026-01-06T00:00:00Z, where ours begins at "
        "2026-01-05T23:00:00Z: ask for finer ones, and merge them"
    )


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({**raw(OPEN), "t": "yesterday"}, "a bar of no time: 'yesterday'"),
        ({**raw(OPEN), "t": "0001-01-01T00:00:00"}, "a bar of no time: '0001-01-01T00:00:00'"),
        ({**raw(OPEN), "h": 99.0}, "a bar that cannot be: 2026-01-06T00:00:00Z O 100.0 H 99.0 L 99.0 C 100.5"),
        ({**raw(OPEN), "l": 100.4}, "a bar that cannot be"),
        ({**raw(OPEN), "v": -1}, "a bar of volume -1.0 at 2026-01-06T00:00:00Z"),
        ({**raw(OPEN), "v": 1.5}, "a bar of volume 1.5"),
        ({**raw(OPEN), "v": None}, "Expected `float`, got `null` - at `$.bars[0].v`"),
        ({"t": iso(OPEN)}, "Object missing required field `o`"),
        (7, "Expected `object`, got `int`"),
    ],
)
def test_bars_that_make_no_sense(row: Any, text: str) -> None:
    error = history({"bars": [row]})
    assert type(error) is ProtocolError
    assert str(error).startswith("History/retrieveBars answered ")
    assert text in str(error)


@pytest.mark.parametrize(("volume", "size"), [(7, 7), (7.0, 7), ("7", 7), (0, 0)])
def test_volumes(volume: Any, size: int) -> None:
    assert history({"bars": [raw(OPEN, volume=volume)]}).rows()[0].volume == size


def test_a_refusal() -> None:
    error = history({"success": False, "errorCode": 1, "bars": None})
    assert (type(error), error.code) == (GatewayRefused, 1)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="start must be before end, got 2026-01-06T00:00:00Z and 2026-01-06T00:00:00Z"):
        history({}, "1m", OPEN, OPEN)


def test_live() -> None:
    kept = Kept(MINUTE, OPEN, 1)
    history(kept, live=True)
    assert kept.asked[0]["live"] is True
