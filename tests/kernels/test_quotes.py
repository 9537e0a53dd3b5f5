"""The kernel of `latest_quote`: rows against an oracle that looks at everything before, frames against rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.frame import Frame
from rxfeed.kernels import quotes as module
from rxfeed.kernels.quotes import FIELDS, QuotesKernel
from rxfeed.model import Quote
from tests.builders import T0

BIG = (1 << 53) + 1
"""A volume that a float cannot hold."""
PRICES = st.sampled_from([None, None, 99.0, 100.0, 101.5, -0.0])
SIZES = st.sampled_from([None, None, 0, 1, BIG])
NEEDS = st.lists(st.sampled_from(FIELDS), max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> list[Quote]:
    count = draw(st.integers(0, 30))
    return [
        Quote(
            draw(st.sampled_from("ABC")), T0 + draw(st.integers(0, 6)), draw(PRICES), draw(PRICES), draw(SIZES), draw(SIZES),
            draw(PRICES), draw(SIZES), seq, draw(st.sampled_from([None, T0])),
        )
        for seq in range(count)
    ]  # fmt: skip


def oracle(rows: list[Quote], need: list[str]) -> tuple[list[Quote], int, int]:
    """Return what comes out, and how many are incomplete and stale."""
    out: list[Quote] = []
    incomplete = stale = 0
    for place, q in enumerate(rows):
        same = [other for other in rows[:place] if other.symbol == q.symbol]
        if any(other.time > q.time for other in same):
            stale += 1
            continue
        # Of those before, what came in order: none before it had a later time.
        told = [o for n, o in enumerate(same) if all(other.time <= o.time for other in same[:n])] + [q]
        said = {name: [v for o in told if (v := getattr(o, name)) is not None] for name in FIELDS}
        if any(not said[name] for name in need):
            incomplete += 1
            continue
        values: dict[str, Any] = {name: found[-1] if found else None for name, found in said.items()}
        out.append(msgspec.structs.replace(q, **values))
    return out, incomplete, stale


@contextmanager
def columns() -> Iterator[None]:
    """Send every frame by columns."""
    saved, module.FEW_ROWS = module.FEW_ROWS, 1
    try:
        yield
    finally:
        module.FEW_ROWS = saved


@given(streams(), NEEDS)
def test_rows_are_what_was_last_said(rows: list[Quote], need: list[str]) -> None:
    kernel = QuotesKernel(need)
    out = [whole for q in rows if (whole := kernel.quote(q)) is not None]
    expected, incomplete, stale = oracle(rows, need)
    assert repr(out) == repr(expected)  # as text, which tells -0.0 from 0.0
    assert kernel.stats == (len(rows), len(out), incomplete, stale)


@given(streams(), NEEDS, st.data())
def test_frames_are_rows_and_a_restored_kernel_goes_on(rows: list[Quote], need: list[str], data: st.DataObject) -> None:
    plain, framed = QuotesKernel(need), QuotesKernel(need)
    expected = [whole for q in rows if (whole := plain.quote(q)) is not None]
    out: list[Quote] = []
    left = rows
    while left:
        n = data.draw(st.integers((len(left) + 2) // 3, len(left)))
        given, left = Frame.of(left[:n]), left[n:]
        if data.draw(st.booleans()):
            with columns():
                passed = framed.frame(given)
        else:
            passed = framed.frame(given)
        out += passed.rows() if passed is not None else []
        restored = QuotesKernel(need)
        restored.restore(framed.snapshot())
        assert restored.stats == framed.stats
        framed = restored
    assert repr(out) == repr(expected)
    assert framed.stats == plain.stats
    assert framed.snapshot().quotes.sort("symbol").to_dicts() == plain.snapshot().quotes.sort("symbol").to_dicts()


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_nan_is_something_said(way: str) -> None:
    rows = [Quote("A", T0, 1.0, 2.0), Quote("A", T0, math.nan), Quote("A", T0, ask=3.0)]
    kernel = QuotesKernel()
    if way == "rows":
        out = [kernel.quote(q) for q in rows]
    else:
        with columns():
            frame = kernel.frame(Frame.of(rows))
        assert frame is not None
        out = frame.rows()
    assert repr([(q.bid, q.ask) for q in out if q is not None]) == "[(1.0, 2.0), (nan, 2.0), (nan, 3.0)]"


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_an_older_quote_never_overwrites(way: str) -> None:
    kernel = QuotesKernel()

    def give(*quotes: Quote) -> list[tuple[float | None, float | None]]:
        if way == "rows":
            whole = [kernel.quote(q) for q in quotes]
        else:
            with columns():
                frame = kernel.frame(Frame.of(quotes))
            whole = [] if frame is None else frame.rows()
        return [(q.bid, q.ask) for q in whole if q is not None]

    assert give(Quote("A", T0 + 2, bid=1.0)) == []
    assert give(Quote("A", T0 + 1, ask=9.0), Quote("A", T0 + 3, ask=2.0)) == [(1.0, 2.0)]
    assert give(Quote("A", T0 + 5, bid=1.5), Quote("A", T0 + 4, ask=9.0), Quote("A", T0 + 5, ask=3.0)) == [
        (1.5, 2.0),
        (1.5, 3.0),
    ]
    assert give(Quote("A", T0 + 4, bid=9.0)) == []
    assert give(Quote("A", T0 + 5, bid=1.6)) == [(1.6, 3.0)]
    assert kernel.stats == (8, 4, 1, 3)
    assert kernel.snapshot().quotes.height == 1


def test_an_empty_frame_is_nothing() -> None:
    with columns():
        assert QuotesKernel().frame(Frame.of([], Quote)) is None


def test_a_restored_kernel_forgets_what_it_knew() -> None:
    kernel, other = QuotesKernel(), QuotesKernel()
    other.quote(Quote("B", T0, 1.0))
    kernel.quote(Quote("A", T0, 1.0, 2.0))
    kernel.quote(Quote("B", T0, ask=2.0))
    kernel.restore(other.snapshot())
    assert kernel.stats == (1, 0, 1, 0)
    assert kernel.quote(Quote("A", T0, 3.0)) is None
    assert kernel.quote(Quote("B", T0, ask=4.0)) == Quote("B", T0, 1.0, 4.0)
    assert kernel.stats == (3, 1, 2, 0)


def test_a_snapshot_is_frames() -> None:
    kernel = QuotesKernel()
    kernel.quote(Quote("A", T0, 1.0, seq=3, received=9))
    snapshot = kernel.snapshot()
    assert all(isinstance(part, pl.DataFrame) for part in snapshot)
    assert Frame(snapshot.quotes, Quote).rows() == [Quote("A", T0, 1.0)]
