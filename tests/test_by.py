"""What bars may be measured by: values with names, and what they refuse."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rxfeed
from rxfeed import by


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (by.ticks(1000), "ticks(1000)"),
        (by.ticks(np.int64(7)), "ticks(7)"),  # type: ignore
        (by.volume(5000), "volume(5000)"),
        (by.notional(1e6), "notional(1000000)"),
        (by.notional(2.5e-5), "notional(2.5e-05)"),
        (by.range(10), "range(10)"),
        (by.range(0.1), "range(0.1)"),
        (by.renko(5.0), "renko(5)"),
        (by.renko(np.float64(0.25)), "renko(0.25)"),
    ],
)
def test_its_timeframe_says_what_it_is(value: by.By, text: str) -> None:
    assert value.timeframe == str(value) == text


def test_they_are_values() -> None:
    assert by.range(10) == by.range(10.0)
    assert len({by.ticks(5), by.ticks(5), by.volume(5), by.renko(5), by.range(5)}) == 4
    assert pickle.loads(pickle.dumps(by.renko(0.1))) == by.renko(0.1)
    with pytest.raises(AttributeError):
        by.ticks(5).size = 6  # type: ignore


@pytest.mark.parametrize("make", [by.ticks, by.volume])
@pytest.mark.parametrize("value", [0, -1, 10**18 + 1, 1.0, True, "5", None])
def test_counts_are_whole_numbers_from_1(make: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__} must be a whole number from 1 to 10\\*\\*18, got {value!r}"):
        make(value)


@pytest.mark.parametrize("make", [by.notional, by.range, by.renko])
@pytest.mark.parametrize("value", [0, -1.5, float("inf"), float("nan"), True, "5", None])
def test_amounts_are_finite_and_more_than_0(make: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__} must be finite and more than 0, got {value!r}"):
        make(value)


def test_several() -> None:
    one = by.ticks(1)
    assert by.several(one) == by.several([one]) == (one,)
    with pytest.raises(ValueError, match="by must be 1 to 32 values, got 0"):
        by.several([])
    with pytest.raises(ValueError, match="by must be 1 to 32 values, got 33"):
        by.several([by.ticks(n) for n in range(1, 34)])
    with pytest.raises(ValueError, match=r"by must differ, got range\(2\) twice"):
        by.several([by.range(2), one, by.range(2.0)])
    with pytest.raises(TypeError, match=r"by must be values of rxfeed.by, such as by.ticks\(1000\), got '1m'"):
        by.several(["1m"])  # type: ignore


def test_it_is_there_when_asked_for_and_light() -> None:
    assert rxfeed.by is by
    code = "import sys\nfrom rxfeed import by\nby.ticks(3)\nassert not {'numpy', 'polars', 'reactivex'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
