"""Figures by period, against lists of all that ever came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxfeed.figures import Counted, Measured, RotatingCount, RotatingDistribution
from rxfeed.kernels.meter import GATHERED, Distribution, Summary
from tests.builders import T0

LENGTHS = (10, 60, 240)
PERIODS = tuple(f"{length}ns" for length in LENGTHS)
STEPS = st.lists(st.tuples(st.integers(0, 90), st.integers(-(10**6), 10**6)), max_size=60)


def summary(values: list[int]) -> Summary | None:
    made = Distribution()
    made.add(np.array(values, np.int64))
    return made.summary()


@example([(0, 5), (9, 6), (1, 7), (240, 8)], 0)
@given(STEPS, st.integers(0, 700))
def test_agrees_with_all_that_came(steps: list[tuple[int, int]], later: int) -> None:
    rotating, count = RotatingDistribution(PERIODS), RotatingCount(PERIODS)
    now, came = T0, list[tuple[int, int]]()
    for at, (step, value) in enumerate(steps):
        now += step
        came.append((now, value))
        if at % 3:
            rotating.add(value, now)
        else:
            rotating.take(np.array([value]), now)
        count.add(now, 2)
        if at % 5 == 0:
            rotating.figures(now)
    now += later

    def inside(length: int, ago: int) -> list[int]:
        return [value for at, value in came if at // length == now // length - ago]

    got = rotating.figures(now)
    assert got == tuple(Measured(length, summary(inside(length, 0)), summary(inside(length, 1))) for length in LENGTHS)
    assert got == rotating.figures(now)
    assert count.figures(now) == tuple(
        Counted(length, 2 * len(inside(length, 0)), 2 * len(inside(length, 1))) for length in LENGTHS
    )


def test_a_clock_that_is_set_back_a_little_changes_nothing() -> None:
    count = RotatingCount(PERIODS)
    for now in (95, 101, 99, 102):
        count.add(now)
    assert count.figures(103)[0] == (10, 3, 1)


def test_one_that_is_set_back_far_begins_anew() -> None:
    count = RotatingCount(PERIODS)
    for now in (1_000, 1_010, 505):
        count.add(now)
    assert count.figures(506)[0] == (10, 1, 0)
    assert count.figures(515)[0] == (10, 0, 1)


def test_memory_does_not_grow() -> None:
    rotating = RotatingDistribution()
    for at in range(3 * GATHERED):
        rotating.add(at, T0)
        assert len(rotating._held) < GATHERED
    arrays = [level.inside._buckets.nbytes for level in rotating._levels]
    assert sum(arrays) < 3 * 65_536


def test_what_no_histogram_holds_is_left_out() -> None:
    rotating = RotatingDistribution()
    for value in (1, 1 << 70, -(1 << 62), 3):
        rotating.add(value, T0)
    assert rotating.figures(T0)[0].so_far == Summary(2, 1, 2.0, 3, 3, 1, 3)


@pytest.mark.parametrize("make", [RotatingCount, RotatingDistribution])
@pytest.mark.parametrize(
    ("periods", "text"),
    [
        ([], "periods must be one or more, each more than 0, got"),
        (["0s"], "periods must be one or more, each more than 0, got"),
        (["1m", "90s"], "each period must be a multiple of the one before, got"),
        (["1h", "1m"], "each period must be a multiple"),
        (["1m", "1m"], "each period must be a multiple"),
        (["soon"], "period must look like"),
    ],
)
def test_refuses_periods_that_do_not_fit(make: Callable[..., Any], periods: list[str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make(periods)
