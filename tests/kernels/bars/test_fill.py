"""Filled bars: which windows are empty, what they say, and what becomes of them when something late comes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed.kernels.bars.fill import Filler
from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.model import Bar, Flag, Tick
from rxfeed.sessions import Session
from rxfeed.times import SECOND
from tests.builders import HOUR, MINUTE, T0, frame, frame_lane, kernel, lines, tick

DAY = 24 * HOUR
LUNCH = Session("lunch", "UTC", {"Mon-Fri": ("9:00", "15:00")}, breaks=[("11:00", "12:00")])


class Filled:
    """A kernel and a filler behind it, as the shell of `bars` couples them."""

    def __init__(self, *timeframes: str, **more: Any) -> None:
        self.kernel: BarsKernel = kernel(*timeframes, **more)
        self.filler = Filler(self.kernel.plan)

    def tick(self, *ticks: Tick) -> list[Bar]:
        out: list[Bar] = []
        for t in ticks:
            mark = {}
            bars = self.kernel.tick(t) or []
            if (at := self.kernel.watermark(t.symbol)) is not None:
                mark = {t.symbol: at}
            out += self.filler.through(bars, mark)
        return out

    def frame(self, ticks: list[Tick]) -> list[Bar]:
        return self.filler.through(self.kernel.frame(frame(ticks)), self.kernel.watermarks())

    def mark(self, time: int) -> list[Bar]:
        return self.filler.through(self.kernel.mark(time), self.kernel.watermarks())

    def finish(self) -> list[Bar]:
        return self.filler.through(self.kernel.finish(), {})


def starts(bars: Iterable[Bar], timeframe: str) -> list[float]:
    return [(b.start - T0) / HOUR for b in bars if b.timeframe == timeframe]


def test_empty_windows_come_between() -> None:
    f = Filled("1s", "2s")
    assert lines(f.tick(tick(0), tick(0.5, 101, seq=1), tick(5, 105, seq=2))) == [
        "A 1s 0: 100-101 x2 r0", "A 1s 1: 101-101 x0 r0 FILLED", "A 2s 0: 100-101 x2 r0",
        "A 1s 2: 101-101 x0 r0 FILLED", "A 1s 3: 101-101 x0 r0 FILLED", "A 2s 2: 101-101 x0 r0 FILLED",
        "A 1s 4: 101-101 x0 r0 FILLED",
    ]  # fmt: skip


def test_what_a_filled_bar_says() -> None:
    f = Filled("1s")
    first, filled = f.tick(tick(0, 100, 5, side=1), tick(0.5, 101, 2, side=2, seq=1), tick(2, 1, seq=2))
    assert filled == Bar(
        "A", "1s", T0 + SECOND, T0 + 2 * SECOND, 101.0, 101.0, 101.0, 101.0, 0, 0, 0, 0, 0.0, None, None, None, None,
        first.trade_date, 0, Flag.FILLED,
    )  # fmt: skip
    assert filled.vwap is None


def test_nothing_is_filled_before_the_first_bar_nor_after_the_watermark() -> None:
    f = Filled("1s")
    assert f.tick(tick(10)) == []
    assert f.mark(T0 + 10 * SECOND) == []
    assert lines(f.mark(T0 + 12 * SECOND)) == ["A 1s 10: 100-100 x1 r0", "A 1s 11: 100-100 x0 r0 FILLED"]
    assert f.mark(T0 + 13 * SECOND - 1) == []
    assert lines(f.mark(T0 + 13 * SECOND)) == ["A 1s 12: 100-100 x0 r0 FILLED"]
    assert f.finish() == []


def test_lateness_holds_filled_bars_back_too() -> None:
    f = Filled("1s", lateness=2 * SECOND)
    assert lines(f.tick(tick(0), tick(4, seq=1))) == ["A 1s 0: 100-100 x1 r0", "A 1s 1: 100-100 x0 r0 FILLED"]
    assert lines(f.tick(tick(2.5, 99, seq=2), tick(6.1, seq=3))) == ["A 1s 2: 99-99 x1 r0", "A 1s 3: 99-99 x0 r0 FILLED"]


def test_no_window_of_a_closed_market_is_filled() -> None:
    # CME: from Friday 20:00 UTC over the weekend to Sunday 23:30; it closes at 21:00 and opens at 22:00.
    friday, sunday = 4 * DAY + 10 * HOUR, 6 * DAY + 13 * HOUR + HOUR // 2
    f = Filled("1h", "4h", session="CME", horizon=DAY)
    got = f.tick(tick(friday / SECOND), tick(sunday / SECOND, seq=1))
    days = [d / HOUR for d in (friday, 6 * DAY + 12 * HOUR)]
    assert starts(got, "1h") == days
    assert [b.flags for b in got if b.timeframe == "1h"] == [Flag(0), Flag.FILLED]
    assert [b.trade_date for b in got if b.timeframe == "1h"] == [date(2025, 3, 14), date(2025, 3, 17)]


def test_a_session_s_close_cuts_a_filled_bar() -> None:
    f = Filled("4h", session="CME", horizon=3 * DAY)
    got = f.tick(tick(0), tick(DAY / SECOND, seq=1))
    # 22:00, 2:00, 6:00, 10:00, 14:00, 18:00 to 21:00 UTC.
    assert starts(got, "4h") == [0, 4, 8, 12, 16, 20]
    assert [Flag(b.flags) for b in got[1:]] == [Flag.FILLED, Flag.FILLED | Flag.SHORT, *[Flag.FILLED] * 3]
    assert [b.end - b.start for b in got[2:4]] == [3 * HOUR, 4 * HOUR]


def test_breaks_are_not_filled() -> None:
    f = Filled("30m", session=LUNCH, horizon=DAY)
    got = f.tick(tick(0), tick(2.5 * 3600, seq=1))
    assert starts(got, "30m") == [0, 0.5, 2]
    assert [b.flags & Flag.FILLED for b in got] == [0, Flag.FILLED, Flag.FILLED]


@pytest.mark.parametrize(("timeframe", "days"), [("1d", [0, 1, 2, 5, 6]), ("1w", [0, 7])])
def test_days_and_weeks(timeframe: str, days: list[int]) -> None:
    # From Wednesday the 12th; weekends have no day.
    f = Filled(timeframe, session=LUNCH, horizon=60 * DAY)
    wednesday, then = T0 + 2 * DAY, T0 + (9 if timeframe == "1d" else 16) * DAY
    got = f.tick(Tick("A", wednesday, 7.0, 1), Tick("A", then, 9.0, 1, 0, 1))
    base = date(2025, 3, 12) if timeframe == "1d" else date(2025, 3, 10)
    assert [(b.trade_date - base).days for b in got] == days
    assert [b.flags & Flag.FILLED for b in got] == [0, *[Flag.FILLED] * (len(days) - 1)]
    assert all(b.close == 7.0 for b in got)


def test_a_filled_bar_is_revised_with_the_close_that_it_copies() -> None:
    f = Filled("1s")
    f.tick(tick(0), tick(0.6, 101, seq=1), tick(4, 104, seq=2))
    # Another close: the bar, then the filled ones behind it.
    assert lines(f.tick(tick(0.9, 99, seq=3))) == [
        "A 1s 0: 100-99 x3 r1", "A 1s 1: 99-99 x0 r1 FILLED", "A 1s 2: 99-99 x0 r1 FILLED", "A 1s 3: 99-99 x0 r1 FILLED",
    ]  # fmt: skip
    # The same close: the bar alone.
    assert lines(f.tick(tick(0.2, 120, seq=4))) == ["A 1s 0: 100-99 x4 r2"]
    assert lines(f.tick(tick(0.95, 98, seq=5)))[1] == "A 1s 1: 98-98 x0 r2 FILLED"


def test_a_real_bar_takes_the_place_of_a_filled_one() -> None:
    f = Filled("1s")
    f.tick(tick(0), tick(4, 104, seq=1))
    assert lines(f.tick(tick(2.5, 90, seq=2))) == ["A 1s 2: 90-90 x1 r1", "A 1s 3: 90-90 x0 r1 FILLED"]
    # What was before it stays; a change there ends at it.
    assert lines(f.tick(tick(0.5, 80, seq=3))) == ["A 1s 0: 100-80 x2 r1", "A 1s 1: 80-80 x0 r1 FILLED"]
    assert lines(f.tick(tick(2.6, 91, seq=4))) == ["A 1s 2: 90-91 x2 r2", "A 1s 3: 91-91 x0 r2 FILLED"]


def test_revisions_of_the_real_bar_go_on_above_the_filled_one() -> None:
    f = Filled("1s")
    f.tick(tick(0), tick(4, 104, seq=1))
    f.tick(tick(0.5, 101, seq=2), tick(0.6, 102, seq=3), tick(0.7, 103, seq=4))  # the filled ones are at revision 3
    assert lines(f.tick(tick(1.5, 90, seq=5)))[0] == "A 1s 1: 90-90 x1 r4"
    assert lines(f.tick(tick(1.6, 91, seq=6)))[0] == "A 1s 1: 90-91 x2 r5"


def test_what_is_filled_next_copies_the_revised_close() -> None:
    f = Filled("1s")
    f.tick(tick(0))
    f.mark(T0 + 2 * SECOND)
    f.tick(tick(0.5, 101, seq=1))
    assert lines(f.mark(T0 + 3 * SECOND)) == ["A 1s 2: 101-101 x0 r0 FILLED"]


def test_symbols_and_timeframes_are_apart() -> None:
    f = Filled("1s", "2s")
    got = f.tick(tick(0, symbol="A"), tick(0, 200, symbol="B"), tick(2, symbol="A", seq=1))
    assert {b.symbol for b in got} == {"A"}
    assert [(b.symbol, b.close) for b in f.mark(T0 + 3 * SECOND) if b.symbol == "B"] == [("B", 200.0)] * 4


@pytest.mark.parametrize("silent", [False, True])
def test_memory_is_bounded(silent: bool) -> None:
    f = Filled("1s", "1m", horizon=10 * SECOND)
    f.tick(tick(0, symbol="S"))
    for i in range(1, 600):
        f.tick(tick(i * 2, seq=i))
        if not silent:
            f.mark(T0 + i * 2 * SECOND)
    sizes = [len(lane.bars) for lanes in f.filler._lanes.values() for lane in lanes.values()]
    assert len(sizes) == (2 if silent else 4)
    assert max(sizes) <= 14


ROWS = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 900), st.sampled_from((0, 0, 0, 1, 7, 40)), st.integers(1, 5)),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=80)
@given(
    ROWS,
    st.lists(st.integers(1, 8), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from((0, SECOND)),
    st.sampled_from(("CME", LUNCH)),
    st.sampled_from((("1s", "5s"), ("1m", "1h"), ("1h", "1d"), ("4h", "1w"))),
)
def test_frames_and_rows_fill_alike(
    rows: list[Any], cuts: list[int], lane: bool, lateness: int, session: Any, timeframes: tuple[str, ...]
) -> None:
    step = SECOND // 50 if timeframes[0] == "1s" else SECOND if timeframes[0] == "1m" else MINUTE * 2
    at, ticks = T0, list[Tick]()
    for seq, (symbol, wait, back, price) in enumerate(rows):
        at += wait * step
        ticks.append(Tick(symbol, at - back * step * 20, float(price), 1, 0, seq))
    tables: list[dict[Any, Any]] = []
    for way in ("rows", "frames"):
        f = Filled(*timeframes, session=session, lateness=lateness, horizon=90 * DAY)
        out: list[Bar] = []
        if way == "rows":
            out += f.tick(*ticks)
        else:
            with frame_lane(1 if lane else 1_000):
                left, turn = ticks, 0
                while left:
                    size = cuts[turn % len(cuts)]
                    out += f.frame(left[:size])
                    left, turn = left[size:], turn + 1
        out += f.mark(max(t.time for t in ticks) + 100 * step)
        out += f.finish()
        table: dict[Any, Bar] = {}
        for b in out:
            old = table.get(b.identity)
            assert b.revision > (-1 if old is None else old.revision)
            table[b.identity] = b
        tables.append({key: content(b) for key, b in table.items()})
        holes(table, f)
    assert tables[0] == tables[1]


def content(b: Bar) -> Bar:
    return msgspec.structs.replace(b, revision=0, flags=b.flags & Flag.FILLED, notional=None)


def holes(table: dict[Any, Bar], f: Filled) -> None:
    """Between its first and its last bar a symbol has one in every window, and a filled one copies the close before."""
    plan = f.kernel.plan
    for symbol, timeframe in {(b.symbol, b.timeframe) for b in table.values()}:
        bars = sorted((b for b in table.values() if (b.symbol, b.timeframe) == (symbol, timeframe)), key=lambda b: b.start)
        grid = plan.grids(symbol)[plan.names.index(timeframe)]
        expected: list[tuple[int, int]] = []
        for segment in grid.segments(bars[0].start, bars[-1].end):
            at = max(segment.lo, bars[0].start)
            while at < min(segment.hi, bars[-1].end):
                expected.append((at, segment.window(at).end))
                at = expected[-1][1]
        real = [b.start for b in bars if not b.flags & Flag.FILLED]
        from_first = [(s, e) for s, e in expected if s >= real[0]]
        assert [(b.start, b.end) for b in bars if b.start >= real[0]] == from_first
        for before, after in pairwise(bars):
            if after.flags & Flag.FILLED:
                assert after.close == before.close
