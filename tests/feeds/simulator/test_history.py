from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.feeds.simulator.history import MOST, History
from rxfeed.feeds.simulator.records import Deals
from rxfeed.times import SECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGIN = 1_767_623_400
YEAR = 366 * 86_400


def window(unit: int, number: int, second: int) -> tuple[int, int]:
    """The window of a second, counted out on the calendar and not by arithmetic."""
    at = EPOCH + timedelta(seconds=second)
    if unit == 6:
        months = (at.year - 1970) * 12 + at.month - 1
        a, b = (months // number * number + extra for extra in (0, number))
        start, end = (datetime(1970 + m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in (a, b))
    elif unit == 5:
        monday = at.replace(hour=0, minute=0, second=0) - timedelta(days=at.weekday())
        since = (monday - datetime(1970, 1, 5, tzinfo=UTC)).days // 7
        start = monday - timedelta(weeks=since % number)
        end = start + timedelta(weeks=number)
    else:
        length = timedelta(**{["", "seconds", "minutes", "hours", "days"][unit]: number})
        start = EPOCH + (at - EPOCH) // length * length
        end = start + length
    return int((start - EPOCH).total_seconds()), int((end - EPOCH).total_seconds())


def plain(trades: list[tuple[int, int, int, int]], unit: int, number: int, start: int, end: int, now: int, partial: bool):
    bars: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for time, ticks, size, _ in trades:
        bars.setdefault(window(unit, number, time // SECOND), []).append((ticks, size))
    return [
        (at[0], [p[0][0], max(t for t, _ in p), min(t for t, _ in p), p[-1][0], sum(s for _, s in p)])
        for at, p in sorted(bars.items(), reverse=True)
        if start <= at[0] * SECOND <= end and (partial or at[1] * SECOND <= now)
    ]


@st.composite
def tapes(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    gap = st.one_of(st.just(0), st.integers(1, 3 * SECOND), st.integers(1, 400 * SECOND), st.integers(1, 40 * 86_400 * SECOND))
    time = BEGIN * SECOND
    rows: list[tuple[int, int, int, int]] = []
    for step, ticks, size in draw(st.lists(st.tuples(gap, st.integers(-5, 5), st.integers(1, 9)), max_size=40)):
        time += step
        rows.append((time, ticks, size, 1))
    return rows


@given(
    tapes(), st.integers(1, 6), st.integers(1, 5), st.booleans(), st.lists(st.integers(1, 12), min_size=1),
    st.integers(-5, YEAR), st.integers(-5, 4 * YEAR),
)  # fmt: skip
def test_bars_equal_an_independent_aggregation(
    trades: list[tuple[int, int, int, int]], unit: int, number: int, partial: bool, cuts: list[int], first: int, last: int
) -> None:
    history = History()
    left, n = trades, 0
    while left:
        some, left = left[: cuts[n % len(cuts)]], left[cuts[n % len(cuts)] :]
        history.add(Deals.of(some))
        n += 1
    now = trades[-1][0] if trades else 0
    start, end = (BEGIN + first) * SECOND, (BEGIN + last) * SECOND
    expected = plain(trades, unit, number, start, end, now, partial)
    assert history.bars(unit, number, start, end, MOST, now, partial=partial) == expected
    assert history.bars(unit, number, start, end, 3, now, partial=partial) == expected[:3]
    assert history.bars(unit, number, 0, now + YEAR * SECOND, MOST, now, partial=True) == plain(
        trades, unit, number, 0, now + YEAR * SECOND, now, True
    )


@given(tapes(), st.lists(st.integers(0, 3 * SECOND), min_size=40, max_size=40), st.integers(1, 3))
def test_open_and_close_are_by_time_then_by_order(trades: list[tuple[int, int, int, int]], back: list[int], unit: int) -> None:
    moved = [(time - step, *rest) for (time, *rest), step in zip(trades, back, strict=False)]
    history = History()
    for trade in moved:
        history.add(Deals.of([trade]))  # type: ignore[list-item]
    now = trades[-1][0] + YEAR * SECOND if trades else 0
    ordered: Any = sorted(moved, key=lambda trade: trade[0])  # a stable sort: equal times stay in order
    assert history.bars(unit, 1, 0, now, MOST, now, partial=True) == plain(ordered, unit, 1, 0, now, now, True)


def test_at_most_20000_bars_and_paging_backward_has_them_all() -> None:
    history = History()
    history.add(Deals.of([((BEGIN + n) * SECOND, n, 1, 1) for n in range(25_000)]))
    end, pages, seen = (BEGIN + 60_000) * SECOND, 0, set[int]()
    while bars := history.bars(1, 1, 0, end, 100_000, end, partial=True):
        assert len(bars) <= 20_000
        assert [at for at, _ in bars] == sorted((at for at, _ in bars), reverse=True)
        seen |= {at for at, _ in bars}
        end = bars[-1][0] * SECOND - 1
        pages += 1
    assert (pages, seen) == (2, {BEGIN + n for n in range(25_000)})


def test_it_is_bounded_and_minutes_outlive_seconds() -> None:
    history = History(seconds=100, minutes=10)
    history.add(Deals.of([((BEGIN + n) * SECOND, n, 1, 1) for n in range(3_600)]))
    everything = (0, (BEGIN + 7_200) * SECOND, MOST, (BEGIN + 7_200) * SECOND)
    assert len(history.bars(1, 1, *everything, partial=True)) == 100
    minutes = history.bars(2, 1, *everything, partial=True)
    assert [bar[4] for _, bar in minutes] == [60] * 10


def test_a_clock_that_was_set_back_leaves_bars_in_order() -> None:
    history = History()
    history.add(Deals.of([((BEGIN + 10) * SECOND, 5, 1, 1)]))
    history.add(Deals.of([(BEGIN * SECOND, 3, 2, 1)]))
    history.add(Deals.of([((BEGIN + 10) * SECOND, 7, 4, 1)]))
    bars = history.bars(1, 1, 0, (BEGIN + 99) * SECOND, MOST, (BEGIN + 99) * SECOND, partial=True)
    assert bars == [(BEGIN + 10, [5, 7, 5, 7, 5]), (BEGIN, [3, 3, 3, 3, 2])]


def test_a_bar_is_whole_from_the_very_end_of_its_window_on() -> None:
    history = History()
    history.add(Deals.of([(BEGIN * SECOND, 1, 1, 1)]))
    end = (BEGIN + 1) * SECOND
    assert history.bars(1, 1, 0, end, 9, end - 1, partial=False) == []
    assert len(history.bars(1, 1, 0, end, 9, end, partial=False)) == 1


@pytest.mark.parametrize("unit", [5, 6])
def test_weeks_begin_on_mondays_and_months_on_the_first(unit: int) -> None:
    history = History()
    history.add(Deals.of([(BEGIN * SECOND, 1, 1, 1)]))
    ((at, _),) = history.bars(unit, 1, 0, BEGIN * SECOND, 9, (BEGIN + YEAR) * SECOND, partial=True)
    assert EPOCH + timedelta(seconds=at) == datetime(2026, 1, 5 if unit == 5 else 1, tzinfo=UTC)
