"""The kernel of `meter`, against lists that are sorted and summed."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxfeed.frame import Frame
from rxfeed.kernels.meter import GATHERED, RELATIVE_ERROR, Distribution, MeterKernel, Pace, Summary
from rxfeed.model import UNKNOWN_TIME, Depth, DepthKind, Gap, Quote
from rxfeed.times import SECOND
from tests.builders import T0, bar, frame, tick

STEP = st.integers(0, SECOND)
LIMIT = (1 << 62) - 1
VALUES = st.lists(
    st.one_of(st.integers(-LIMIT, LIMIT), st.integers(-200, 200), st.integers(0, 62).map(lambda n: (1 << n) - 1)), min_size=1
)


def distribution(values: list[int]) -> Distribution:
    made = Distribution()
    made.add(np.array(values, np.int64))
    return made


def exact(values: list[int], part: float) -> int:
    return sorted(values)[max(1, math.ceil(part * len(values))) - 1]


def near(found: int, wanted: int) -> bool:
    return abs(found - wanted) <= abs(wanted) * RELATIVE_ERROR


class TestDistribution:
    @given(VALUES)
    @example([LIMIT] * 3)
    @example([-LIMIT, 0, LIMIT])
    def test_agrees_with_a_sorted_list(self, values: list[int]) -> None:
        made = distribution(values)
        got = made.summary()
        assert got is not None
        assert got[:5] == (len(values), min(values), sum(values) / len(values), max(values), values[-1])
        for part in (0, 0.25, 0.5, 0.75, 0.99, 1):
            assert near(made.percentile(part), exact(values, part)), part
        assert (got.p50, got.p99) == (made.percentile(0.5), made.percentile(0.99))

    def test_small_values_are_exact(self) -> None:
        made = distribution(list(range(-100, 101)))
        assert [made.percentile((n - 0.5) / 201) for n in range(1, 202)] == list(range(-100, 101))

    def test_the_error_stated_is_the_error_made(self) -> None:
        values = [round(1.01**n) for n in range(1, 4_000)]
        worst = max(
            abs(found - n) / n
            for n in values
            if n < LIMIT and (found := distribution([1, n, LIMIT]).percentile(0.5))
        )  # fmt: skip
        assert RELATIVE_ERROR / 2 < worst <= RELATIVE_ERROR

    @given(VALUES, VALUES)
    def test_two_merge_into_one(self, a: list[int], b: list[int]) -> None:
        both, whole = distribution(a), distribution(a + b)
        both.merge(distribution(b))
        both.merge(Distribution())
        assert both.summary() == whole.summary()
        empty = Distribution()
        empty.merge(whole)
        assert empty.summary() == whole.summary()

    def test_a_time_that_was_not_known_is_none(self) -> None:
        made = distribution([LIMIT + 1, -LIMIT - 1, 7])
        assert made.summary() == Summary(1, 7, 7.0, 7, 7, 7, 7)

    def test_nothing_has_no_figures(self) -> None:
        assert Distribution().summary() is None
        assert distribution([]).summary() is None
        with pytest.raises(ValueError, match="no percentile of no values"):
            Distribution().percentile(0.5)
        with pytest.raises(ValueError, match=r"part must be from 0 to 1, got 1\.5"):
            distribution([1]).percentile(1.5)

    def test_its_memory_is_fixed(self) -> None:
        made = Distribution()
        before = made._buckets
        made.add(np.arange(-(10**6), 10**6) * 10**12)
        assert made._buckets is before
        assert before.nbytes < 65_536


class TestPace:
    @given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), max_size=30), st.integers(0, 300), st.data())
    def test_is_what_came_in_the_last_whole_period(self, steps: list[tuple[int, int]], later: int, data: Any) -> None:
        nows = np.cumsum([step for step, _ in steps], dtype=np.int64) + T0
        counts = np.array([count for _, count in steps], np.int64)
        pace, at = Pace(100), 0
        while at < len(nows):
            size = data.draw(st.integers(1, len(nows) - at))
            pace.add(nows[at : at + size], counts[at : at + size])
            at += size
            if data.draw(st.booleans()):
                pace.per_second(int(nows[at - 1]))
        now = (int(nows[-1]) if steps else T0) + later
        wanted = sum(int(c) for n, c in zip(nows, counts, strict=True) if n // 100 == now // 100 - 1)
        assert pace.per_second(now) == wanted * SECOND / 100

    def test_a_clock_that_was_set_back_begins_anew(self) -> None:
        pace = Pace(10)
        pace.tick(95, 7)
        pace.tick(52, 1)
        assert pace.per_second(60) == SECOND / 10


class TestMeterKernel:
    @given(
        st.lists(
            st.tuples(st.integers(0, SECOND), st.integers(-SECOND, SECOND), st.none() | st.integers(0, SECOND)), max_size=40
        ),
        st.data(),
    )
    def test_any_cut_into_rows_frames_and_readings_gives_the_same(
        self, rows: list[tuple[int, int, int | None]], data: Any
    ) -> None:
        kernel, now = MeterKernel("x", SECOND), T0
        lags: list[int] = []
        latencies: list[int] = []
        nows: list[int] = []
        at = 0
        while at < len(rows):
            now += rows[at][0]
            piece = rows[at : at + data.draw(st.integers(1, 5))] if data.draw(st.booleans()) else rows[at : at + 1]
            made = [
                tick((now - T0 - lag) / SECOND, received=None if latency is None else now - latency)
                for _, lag, latency in piece
            ]
            lags += [now - t.time for t in made]
            latencies += [now - t.received for t in made if t.received is not None]
            nows += [now] * len(made)
            kernel.add(made[0] if len(made) == 1 else frame(made), now)
            at += len(piece)
            if data.draw(st.booleans()):
                kernel.stats(now)
        got = kernel.stats(now)
        assert got.ticks == len(rows)
        assert got.rate == sum(n // SECOND == now // SECOND - 1 for n in nows)
        for summary, values in ((got.lag, lags), (got.latency, latencies)):
            if not values:
                assert summary is None
                continue
            assert summary is not None
            assert summary[:5] == (len(values), min(values), sum(values) / len(values), max(values), values[-1])
            assert near(summary.p50, exact(values, 0.5))
            assert near(summary.p99, exact(values, 0.99))

    def test_a_bar_is_its_ticks_and_as_late_as_its_last(self) -> None:
        rows = [bar(count=5, last_time=T0 + 3), bar(count=None, last_time=None), bar(count=0, last_time=None)]
        kernel, columns = MeterKernel("x", SECOND), MeterKernel("x", SECOND)
        for row in rows:
            kernel.add(row, T0 + 10)
        columns.add(Frame.of(rows), T0 + 10)
        for got, elements in ((kernel.stats(T0 + SECOND), 3), (columns.stats(T0 + SECOND), 1)):
            assert (got.elements, got.ticks, got.rate) == (elements, 5, 5.0)
            assert got.lag == Summary(1, 7, 7.0, 7, 7, 7, 7)
            assert got.latency is None

    def test_other_rows_are_one_tick_each_and_the_last_is_the_last(self) -> None:
        kernel = MeterKernel("x", SECOND)
        quote, level = Quote("A", T0, received=T0 + 1), Depth("A", T0 - 1, DepthKind.RESET)
        for element in (tick(), quote, level, Gap("A", 1, 2, "x"), "text", None):
            kernel.add(element, T0 + 5)
        kernel.add(frame([tick(), tick(received=T0 + 2)]), T0 + 20)
        kernel.add(quote, T0 + 30)
        got = kernel.stats(T0 + 30)
        assert (got.elements, got.ticks) == (8, 9)
        assert got.lag is not None
        assert got.lag[:5] == (6, 5, (5 + 5 + 6 + 20 + 20 + 30) / 6, 30, 30)
        assert got.latency is not None
        assert got.latency[:5] == (3, 4, (4 + 18 + 29) / 3, 29, 29)

    @pytest.mark.parametrize("time", [UNKNOWN_TIME, 1 << 70, None, "soon"])
    def test_a_time_that_is_none_is_counted_and_not_measured(self, time: Any) -> None:
        kernel = MeterKernel("x", SECOND)
        for row in (tick(), Quote("A", time, received=time), tick(-1)):
            kernel.add(row, T0 + 5)
        got = kernel.stats(T0)
        assert got.ticks == 3
        assert got.lag is not None
        assert (got.lag.values, got.lag.last) == (2, SECOND + 5)
        assert got.latency is None

    def test_no_more_rows_are_kept_than_are_folded_at_once(self) -> None:
        kernel = MeterKernel("x", SECOND)
        most = [0]
        for n in range(3 * GATHERED):
            kernel.add(tick(n), T0)
            most.append(len(kernel.rows))
        assert max(most) == GATHERED - 1
        assert all(b - a in (1, 1 - GATHERED) for a, b in pairwise(most))
        assert kernel.stats(T0).ticks == 3 * GATHERED

    def test_without_a_clock_there_are_counts_alone(self) -> None:
        kernel = MeterKernel("clean", SECOND)
        for element in (tick(), frame([tick(), tick()]), bar(count=3)):
            kernel.add(element, None)
        kernel.plain += 1
        assert kernel.stats(None) == ("clean", 4, 7, None, None, None)
        assert kernel.rows == []
