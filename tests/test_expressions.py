"""Expressions for frames give what rows have as properties."""

from __future__ import annotations

import math
from datetime import date

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rxfeed import expressions
from rxfeed.frame import Frame
from rxfeed.model import Bar, Quote
from tests.builders import T0, bar

PRICES = st.none() | st.floats(-1e300, 1e300) | st.just(math.nan)


@given(st.lists(st.tuples(PRICES, PRICES), min_size=1, max_size=8))
def test_mid_and_spread_are_those_of_rows(sides: list[tuple[float | None, float | None]]) -> None:
    quotes = [Quote("A", T0, bid, ask) for bid, ask in sides]
    found = Frame.of(quotes).df.select(expressions.mid(), expressions.spread())
    assert found.columns == ["mid", "spread"]
    assert repr(found["mid"].to_list()) == repr([q.mid for q in quotes])
    assert repr(found["spread"].to_list()) == repr([q.spread for q in quotes])


@given(st.lists(st.tuples(st.integers(0, 10**12), st.none() | st.floats(-1e300, 1e300)), min_size=1, max_size=8))
def test_vwap_is_that_of_rows(sums: list[tuple[int, float | None]]) -> None:
    bars = [bar(volume=volume, notional=notional) for volume, notional in sums]
    found = Frame.of(bars).df.select(expressions.vwap())
    assert found.columns == ["vwap"]
    assert repr(found["vwap"].to_list()) == repr([b.vwap for b in bars])


def test_where_they_are_not_defined_they_are_null() -> None:
    quotes = [Quote("A", T0, 1.0), Quote("A", T0, ask=1.0), Quote("A", T0)]
    found = Frame.of(quotes).df.select(expressions.mid(), expressions.spread())
    assert found["mid"].null_count() == found["spread"].null_count() == 3
    bars = Frame.of([bar(volume=0, notional=0.0), bar(notional=None)], Bar).df
    assert bars.select(expressions.vwap())["vwap"].null_count() == 2


def test_mid_and_spread_of_a_quote() -> None:
    quote = Quote("A", T0, 100.0, 100.5)
    assert (quote.mid, quote.spread) == (100.25, 0.5)
    crossed = Quote("A", T0, 101.0, 100.0)
    assert (crossed.mid, crossed.spread) == (100.5, -1.0)


def test_they_work_in_lazy_queries() -> None:
    df = Frame.of([bar(volume=4, notional=10.0, trade_date=date(2025, 3, 10))]).df
    assert df.lazy().with_columns(expressions.vwap()).filter(pl.col("vwap") == 2.5).collect().height == 1
