"""Windows: against a clock that is looked at, in every zone; segments against columns; the roll-up plan."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from datetime import date
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed import sessions, zones
from rxfeed.grids import ANCHORS, SPAN, Anchor, Grid, Timeframe, Window
from rxfeed.sessions import Session
from rxfeed.times import NANOSECONDS, SECOND
from rxfeed.windows import Windows
from tests import oracle_windows as oracle

CHUNKS = 8
HOUR = NANOSECONDS["h"]
COMBINATIONS: tuple[tuple[str, Anchor], ...] = (
    ("1d", "session"), ("1h", "session"), ("4h", "session"), ("1h", "utc"), ("4h", "utc"),
    ("15m", "wall"), ("1h", "wall"), ("4h", "wall"), ("7h", "wall"),
)  # fmt: skip
EPOCH = date(1970, 1, 1)


@cache
def every_change() -> list[tuple[oracle.Change, str]]:
    """Each distinct change of offset of all zones, with one zone that has it. Nothing else happens for days around it, so
    windows there follow from it alone."""
    found: dict[oracle.Change, str] = {}
    for name in oracle.zone_names():
        own = oracle.changes(name)
        assert all(b.at - a.at > 6 * oracle.DAY for a, b in pairwise(own)), name
        for change in own:
            found.setdefault(change, name)
    return sorted((change, name) for change, name in found.items())


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_changes_of_offset_are_those_of_the_clock_in_every_zone(chunk: int) -> None:
    for name in oracle.zone_names()[chunk::CHUNKS]:
        found = [
            (t.at // SECOND, t.before // SECOND, t.after // SECOND)
            for t in zones.transitions(name, oracle.FIRST * SECOND, oracle.LAST * SECOND)
        ]
        assert found == oracle.changes(name), name


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_windows_are_those_of_the_clock_around_every_change_in_every_zone(chunk: int) -> None:
    for change, name in every_change()[chunk::CHUNKS]:
        clock = oracle.Clock(name, change.at)
        for opening, hours, combinations in (
            (0, ("0:00", "24:00"), COMBINATIONS),
            (8_100, ("2:15", "+1d 2:15"), COMBINATIONS[:2] + COMBINATIONS[-3:-1]),
        ):
            session = Session(name, name, {"Mon-Sun": hours})
            for step, anchor in combinations:
                timeframe = Timeframe.parse(step)
                expected = clock.windows(anchor, timeframe.step // SECOND, opening)
                assert expected[0].start < change.at < expected[-1].end
                check(Grid(timeframe, session, anchor), expected, f"{name} {change} {hours} {step} {anchor}")


def check(grid: Grid, expected: list[oracle.Window], about: str) -> None:
    assert all(a.end == b.start for a, b in pairwise(expected)), about
    starts = np.array([w.start for w in expected], np.int64) * SECOND
    ends = np.array([w.end for w in expected], np.int64) * SECOND
    short = np.array([w.short for w in expected])
    days = np.array([(w.day - EPOCH).days for w in expected])
    for times in (starts, ends - 1):
        found = grid.windows(times)
        assert found.inside.all(), about
        assert (found.start == starts).all(), about
        assert (found.end == ends).all(), about
        assert (found.short == short).all(), about
        assert (found.trade_date == days).all(), about
    # Where the data begins must not matter: ask another grid, for one instant only.
    i = random.Random(about).randrange(len(expected))
    alone = Grid(grid.timeframe, grid.session, grid.anchor).segment(int(ends[i]) - 1)
    assert alone is not None
    assert alone.window(int(ends[i]) - 1) == Window(int(starts[i]), int(ends[i]), bool(short[i])), about


MARKETS = (
    "CME", "NYSE", "FX", "24x7", "24x7:Australia/Lord_Howe", "24x7:Asia/Kathmandu", "24x7:Pacific/Apia",
    "24x7:America/St_Johns", "24x7:Africa/Casablanca", "24x7:Antarctica/Troll",
)  # fmt: skip


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    session = draw(st.sampled_from([*map(sessions.get, MARKETS), HALTING]))
    name = draw(st.sampled_from(("span", "250ms", "1s", "7m", "1h", "5h", "24h", "1d", "1w", "1mo")))
    timeframe = SPAN if name == "span" else Timeframe.parse(name)
    return Grid(timeframe, session, draw(st.sampled_from(ANCHORS)))


HALTING = Session(
    "halting", "Asia/Tokyo", {"Mon-Fri": ("16:30", "15:45")},
    breaks=[("6:00", "8:45"), ("11:30", "12:30")], holidays=["2011-12-30"], early_closes={"2011-12-29": "12:00"},
)  # fmt: skip
TIMES = st.integers(int(1.2e18), int(1.9e18))
WIDTHS = st.sampled_from([1, SECOND, HOUR, 30 * HOUR, 24 * 30 * HOUR, 24 * 365 * HOUR])


@settings(max_examples=300, deadline=None)
@given(grids(), TIMES, WIDTHS, st.integers(1, 40), st.randoms(use_true_random=False), st.booleans())
def test_columns_and_rows_agree(grid: Grid, start: int, width: int, rows: int, rng: random.Random, ordered: bool) -> None:
    if changes := grid.session.transitions(start, start + 400 * 24 * HOUR):
        start = changes[0].at - width // 2
    times = [start + rng.randrange(width) for _ in range(rows)]
    if ordered:
        times.sort()
    found = grid.windows(np.array(times, np.int64))
    other = Grid(grid.timeframe, grid.session, grid.anchor)
    for i, time in enumerate(times):
        segment = other.segment(time)
        assert found.inside[i] == (segment is not None)
        if segment is None:
            continue
        window = segment.window(time)
        assert window.start <= time < window.end
        assert Window(int(found.start[i]), int(found.end[i]), bool(found.short[i])) == window
        assert int(found.trade_date[i]) == (segment.trade_date - EPOCH).days
        assert segment.lo <= window.start < window.end <= segment.hi
        if grid.timeframe.intraday:
            span = grid.session.span_at(time)
            assert span is not None
            assert span.open <= window.start < window.end <= span.close
            assert span.trade_date == segment.trade_date


@settings(max_examples=100, deadline=None)
@given(TIMES, st.sampled_from(MARKETS), st.sampled_from(ANCHORS), st.data())
def test_finer_windows_add_up_to_their_source(time: int, market: str, anchor: Anchor, data: st.DataObject) -> None:
    names = data.draw(
        st.lists(st.sampled_from(("6m", "9m", "1h", "5h", "10h", "24h", "1d", "1w", "1mo")), min_size=2, unique=True)
    )
    windows = Windows(*names, session=market, anchor=anchor)
    if changes := windows.session.transitions(time, time + 400 * 24 * HOUR):
        time = changes[0].at - data.draw(st.integers(-30 * HOUR, 30 * HOUR))
    for i, level in enumerate(windows.levels):
        if level.source is None:
            assert i == 0
            continue
        assert level.source < i
        assert i in windows.levels[level.source].parents
        fine, coarse = windows.grid(level.source), windows.grid(i)
        for part in fine.segments(time - 40 * HOUR, time + 40 * HOUR):
            for window in (part.window(part.lo), part.window(part.hi - 1)):
                above = coarse.segment(window.start)
                assert above is not None
                whole = above.window(window.start)
                assert whole.start <= window.start < window.end <= whole.end


def lasts(windows: list[Window]) -> list[float]:
    return [(w.end - w.start) / HOUR for w in windows]


def on(session: str, day: str, timeframe: str, anchor: Anchor = "session") -> list[Window]:
    return Windows(timeframe, session=session, anchor=anchor).windows_on(date.fromisoformat(day), timeframe)


def test_wall_windows_on_the_days_of_a_change() -> None:
    assert lasts(on("24x7:America/Chicago", "2025-03-09", "4h", "wall")) == [3, 4, 4, 4, 4, 4]
    assert lasts(on("24x7:America/Chicago", "2025-11-02", "4h", "wall")) == [5, 4, 4, 4, 4, 4]
    assert lasts(on("24x7:America/Chicago", "2025-11-02", "1h", "wall")) == [1] * 25
    assert not any(w.short for w in on("24x7:America/Chicago", "2025-11-02", "4h", "wall"))


def test_the_repeated_hour_is_two_bars_at_two_instants() -> None:
    session = sessions.get("24x7:America/Chicago")
    hours = on("24x7:America/Chicago", "2025-11-02", "1h", "wall")
    assert [session.local(w.start) for w in hours[1:3]] == ["2025-11-02T01:00:00-05:00", "2025-11-02T01:00:00-06:00"]


def test_elapsed_time_is_never_stretched() -> None:
    assert lasts(on("24x7:America/Chicago", "2025-03-09", "4h")) == [4, 4, 4, 4, 4, 3]
    assert lasts(on("24x7:America/Chicago", "2025-11-02", "4h")) == [4, 4, 4, 4, 4, 4, 1]
    assert [w.short for w in on("24x7:America/Chicago", "2025-03-09", "4h")] == [False] * 5 + [True]


def test_lord_howe_makes_no_bar_of_one_and_a_half_hours() -> None:
    assert lasts(on("24x7:Australia/Lord_Howe", "2025-04-06", "1h", "wall")) == [1, 1, 0.5] + [1] * 22
    assert lasts(on("24x7:Australia/Lord_Howe", "2025-10-05", "1h", "wall")) == [1, 1, 0.5] + [1] * 21
    assert lasts(on("24x7:Australia/Lord_Howe", "2025-04-06", "4h", "wall")) == [4.5, 4, 4, 4, 4, 4]
    assert lasts(on("24x7:Australia/Lord_Howe", "2025-04-06", "1d")) == [24.5]


def test_kathmandu_has_its_own_quarter() -> None:
    first = on("24x7:Asia/Kathmandu", "2025-01-15", "1h", "wall")[0]
    assert sessions.get("24x7:Asia/Kathmandu").local(first.start) == "2025-01-15T00:00:00+05:45"
    # Its midnight is 18:15 UTC: the grid of the epoch cuts the first and last hour.
    assert lasts(on("24x7:Asia/Kathmandu", "2025-01-15", "1h", "utc")) == [0.75] + [1] * 23 + [0.25]


def test_two_hour_change_of_troll() -> None:
    assert lasts(on("24x7:Antarctica/Troll", "2025-03-30", "4h", "wall")) == [2, 4, 4, 4, 4, 4]
    assert lasts(on("24x7:Antarctica/Troll", "2025-10-26", "4h", "wall")) == [6, 4, 4, 4, 4, 4]


def test_change_one_minute_after_midnight() -> None:
    # St. John's, 2010-11-07: 00:01 became 23:01 of the day before. The first midnight opens the day.
    day = on("24x7:America/St_Johns", "2010-11-07", "1h", "wall")
    assert [round(60 * hours) for hours in lasts(day)][:3] == [1, 59, 60]
    assert sum(lasts(day)) == 25
    assert sum(lasts(on("24x7:America/St_Johns", "2010-03-14", "1h", "wall"))) == 23


def test_steps_that_do_not_divide_the_day_begin_again_at_midnight() -> None:
    assert lasts(on("24x7:America/Chicago", "2025-06-02", "7h", "wall")) == [7, 7, 7, 3]
    assert not any(w.short for w in on("24x7:America/Chicago", "2025-06-02", "7h", "wall"))


def test_cme_four_hour_windows() -> None:
    session = sessions.get("CME")
    opens = [session.local(w.start)[11:16] for w in on("CME", "2025-03-10", "4h")]
    assert opens == ["17:00", "21:00", "01:00", "05:00", "09:00", "13:00"]
    assert [w.short for w in on("CME", "2025-03-10", "4h")] == [False] * 5 + [True]
    wall = on("CME", "2025-03-10", "4h", "wall")
    assert [session.local(w.start)[11:16] for w in wall] == ["17:00", "20:00", "00:00", "04:00", "08:00", "12:00"]
    assert [w.short for w in wall] == [True] + [False] * 5


def test_calendar_windows() -> None:
    session = sessions.get("CME")
    (week,) = on("CME", "2025-03-12", "1w")
    assert [session.local(t) for t in week[:2]] == ["2025-03-09T17:00:00-05:00", "2025-03-14T16:00:00-05:00"]
    (month,) = on("CME", "2025-03-12", "1mo")
    assert [session.local(t) for t in month[:2]] == ["2025-03-02T17:00:00-06:00", "2025-03-31T16:00:00-05:00"]
    assert on("CME", "2025-03-09", "1d") == []
    grid = Windows("1mo", session="CME").grid(1)
    segment = grid.segment(month.start)
    assert segment is not None
    assert segment.trade_date == date(2025, 3, 3)
    assert grid.segment(month.start - 1) is None
    assert grid.segment(month.end) is None


def test_a_weekend_is_outside() -> None:
    grid = Windows("1m", session="CME").grid(0)
    friday, sunday = (on("CME", day, "1m") for day in ("2025-03-07", "2025-03-10"))
    close, opening = friday[-1].end, sunday[0].start
    found = grid.windows(np.array([close - 1, close, opening - 1, opening], np.int64))
    assert found.inside.tolist() == [True, False, False, True]
    assert not grid.windows(np.array([close, opening - 1], np.int64)).inside.any()
    assert len(grid.windows(np.array([], np.int64)).start) == 0


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("name", ["7m", "5h", "1d"])
def test_one_segment_is_cut_at_both_ends(anchor: Anchor, name: str) -> None:
    grid = Grid(Timeframe.parse(name), sessions.get("NYSE"), anchor)
    windows = grid.on(date(2025, 3, 10))
    for chosen in (windows, windows[:2], windows[-2:], windows[:1]):
        found = grid.windows(np.array([w.start for w in chosen], np.int64))
        assert list(zip(found.start.tolist(), found.end.tolist(), found.short.tolist(), strict=True)) == chosen
    assert all(a.end == b.start for a, b in pairwise(windows))


def test_absurd_instants_are_outside_and_cost_nothing() -> None:
    grid = Windows("1m", session="CME").grid(0)
    here = on("CME", "2025-03-10", "1m")[7]
    times = np.array([-(1 << 63), -1, 0, here.start, (1 << 63) - 1], np.int64)
    found = grid.windows(times)
    assert found.inside.tolist() == [False, True, True, True, False]
    assert (int(found.start[3]), int(found.end[3])) == here[:2]


@pytest.mark.parametrize(
    ("names", "plan"),
    [
        (["1s", "1m", "1h"], [("1s", True, None), ("1m", True, 0), ("1h", True, 1)]),
        (["5m", "2m", "10m"], [("1m", False, None), ("2m", True, 0), ("5m", True, 0), ("10m", True, 2)]),
        (["60s", "1m"], [("60s", True, None), ("1m", True, 0)]),
        (["1d"], [("span", False, None), ("1d", True, 0)]),
        (["1mo", "1w"], [("span", False, None), ("1w", True, 0), ("1mo", True, 0)]),
        (["4h", "1w", "1mo", "1d"], [("4h", True, None), ("1d", True, 0), ("1w", True, 1), ("1mo", True, 1)]),
        (["90s", "1m", "1w"], [("30s", False, None), ("1m", True, 0), ("90s", True, 0), ("1w", True, 2)]),
        (["300ms", "1s"], [("100ms", False, None), ("300ms", True, 0), ("1s", True, 0)]),
    ],
)
def test_roll_up_plan(names: list[str], plan: list[tuple[str, bool, int | None]]) -> None:
    windows = Windows(*names)
    assert [(level.timeframe.name, level.emitted, level.source) for level in windows.levels] == plan
    assert [t.name for t in windows.timeframes] == names


def test_windows_are_values() -> None:
    windows = Windows("1m", "1d", session=HALTING, anchor="wall")
    copy = pickle.loads(pickle.dumps(windows))
    assert copy == windows
    assert hash(copy) == hash(windows)
    assert windows.with_session("CME") == Windows("1m", "1d", session="CME", anchor="wall") != windows
    assert windows.grid(0) is copy.grid(0)
    assert repr(Windows("1m")).startswith("Windows('1m', session=Session('24x7', UTC")
    with pytest.raises(AttributeError, match="never changes"):
        windows.anchor = "utc"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Windows, r"timeframes must be 1 to 32, got 0"),
        (lambda: Windows("2d"), r'timeframe must look like "5s".*at most 24 hours.*1d, 1w or 1mo, got \'2d\''),
        (lambda: Windows("25h"), r"at most 24 hours\) .*got '25h'"),
        (lambda: Windows("0s"), r"got '0s'"),
        (lambda: Windows("span"), r"got 'span'"),
        (lambda: Windows("1m", "5m", "1m"), r"timeframes must differ, got '1m' twice"),
        (lambda: Windows("1m", anchor="local"), r"anchor must be one of session, wall, utc, got 'local'"),  # pyright: ignore[reportArgumentType]
        (lambda: Windows("1m", session="CMEX"), r"session must be one of CME, .*got 'CMEX'; did you mean 'CME'"),
        (lambda: Windows("1m").windows_on(date(2025, 1, 1), "5m"), r"timeframe must be one of 1m, got '5m'"),
    ],
)
def test_what_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
