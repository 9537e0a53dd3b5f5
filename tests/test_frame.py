"""Frames: rows in columns and back, what they refuse, and how they group."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.errors import InputError
from rxfeed.frame import BAR_SCHEMA, SCHEMAS, TICK_SCHEMA, TIME, Frame, is_frame
from rxfeed.model import Bar, Depth, Quote, Tick
from tests.builders import T0, bar, frame, tick, ticks

INT = st.integers(-(1 << 63) + 1, (1 << 63) - 1)
TINY = st.integers(-128, 127)
FLOAT = st.floats(allow_nan=False)
SYMBOL = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)


def maybe(some: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | some


WORD = st.integers(-(1 << 31), (1 << 31) - 1)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    Tick: st.builds(Tick, SYMBOL, INT, FLOAT, INT, TINY, INT, maybe(INT)),
    Quote: st.builds(
        Quote, SYMBOL, INT, maybe(FLOAT), maybe(FLOAT), maybe(INT), maybe(INT), maybe(FLOAT), maybe(INT), INT, maybe(INT)
    ),
    Depth: st.builds(Depth, SYMBOL, INT, TINY, TINY, maybe(FLOAT), INT, INT, INT, maybe(INT)),
    Bar: st.builds(
        Bar, SYMBOL, SYMBOL, INT, INT, FLOAT, FLOAT, FLOAT, FLOAT, INT, maybe(INT), maybe(INT), maybe(INT), maybe(FLOAT),
        maybe(INT), maybe(INT), maybe(INT), maybe(INT), st.dates(), WORD, WORD,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_rows_come_back_as_they_went_in(kind: Any, data: st.DataObject) -> None:
    rows = data.draw(st.lists(KINDS[kind], max_size=6))
    made = Frame.of(rows, kind)
    assert made.rows() == rows
    assert list(made) == rows
    assert (made.kind, len(made), made.df.schema) == (kind, len(rows), SCHEMAS[kind])
    assert repr(made) == f"Frame[{kind.__name__}] of {len(rows)} rows"
    again: Any = Frame(made.df, kind)
    assert again.rows() == rows


def test_the_kind_of_a_frame_is_that_of_its_rows() -> None:
    assert Frame.of([bar()]).kind is Bar
    assert Frame.of(iter([Quote("A", T0)])).kind is Quote
    assert Frame.of([], Depth).df.schema == SCHEMAS[Depth]
    assert is_frame(frame([]))
    assert not is_frame(frame([]).df)


def test_a_notebook_shows_the_rows() -> None:
    html = Frame.of([bar(open=123.5)])._repr_html_()
    assert html.startswith("<small>Frame[Bar]</small>")
    assert "<td>123.5</td>" in html
    assert all(f"<th>{name}</th>" in html for name in BAR_SCHEMA)


PLAIN = {"symbol": ["A", "B"], "time": [T0, T0 + 1], "price": [1.0, 2.0], "size": [3, 4]}


def test_what_may_be_left_out_is_filled_in() -> None:
    made = Frame(pl.DataFrame(PLAIN))
    assert made.df.schema == TICK_SCHEMA
    assert made.rows() == [Tick("A", T0, 1.0, 3), Tick("B", T0 + 1, 2.0, 4)]


@pytest.mark.parametrize(
    "change",
    [
        {"time": pl.Series([datetime(2025, 3, 10, 10, tzinfo=UTC)] * 2, dtype=pl.Datetime("us", "UTC"))},
        {"time": pl.Series([datetime(2025, 3, 10, 10, tzinfo=UTC)] * 2, dtype=pl.Datetime("ms", "Asia/Tokyo"))},
        {"time": pl.Series([T0] * 2, dtype=pl.UInt64)},
        {"symbol": pl.Series(["A", "B"], dtype=pl.Categorical)},
        {"symbol": pl.Series(["A", "B"], dtype=pl.Enum(["B", "A"]))},
        {"size": pl.Series([3, 4], dtype=pl.UInt8)},
        {"price": pl.Series([1, 2], dtype=pl.Int32)},
        {"price": pl.Series([1, 2], dtype=pl.Float32)},
        {"received": pl.Series([None, None])},
        {"side": pl.Series([0, 0], dtype=pl.Int64)},
    ],
)
def test_other_types_that_can_only_mean_one_thing(change: dict[str, Any]) -> None:
    made = Frame(pl.DataFrame({**PLAIN, "time": [T0, T0], **change}))
    assert made.df.schema == TICK_SCHEMA
    assert made.rows() == [Tick("A", T0, 1.0, 3), Tick("B", T0, 2.0, 4)]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"symbol": None}, "column 'symbol' is missing for Tick; given are time, price, size"),
        ({"time": None}, "column 'time' is missing for Tick; given are symbol, price, size"),
        ({"volume": [1, 2]}, "unknown column 'volume' for Tick; allowed are symbol, time, price, size, side, seq, received"),
        ({"size": [1.5, 2.0]}, "column 'size' must be Int64, got Float64"),
        ({"price": ["1", "2"]}, "column 'price' must be Float64, got String"),
        ({"price": [True, False]}, "column 'price' must be Float64, got Boolean"),
        ({"symbol": [1, 2]}, "column 'symbol' must be Categorical.*, got Int64"),
        ({"time": [1.0, 2.0]}, r"column 'time' must be Datetime.*, got Float64"),
        ({"time": [date(2025, 1, 1)] * 2}, r"column 'time' must be Datetime.*, got Date"),
        ({"time": [datetime(2025, 1, 1)] * 2}, r"column 'time' has no time zone; say which with \.dt\.replace_time_zone"),
        ({"side": [1, 300]}, "column 'side' does not fit Int8: "),
        ({"size": pl.Series([1, 1 << 63], dtype=pl.UInt64)}, "column 'size' does not fit Int64: "),
        ({"time": pl.Series([1, 1 << 63], dtype=pl.UInt64)}, "column 'time' does not fit Datetime"),
    ],
)
def test_refuses_what_cannot_be_meant(change: dict[str, Any], text: str) -> None:
    columns = {name: values for name, values in {**PLAIN, **change}.items() if values is not None}
    with pytest.raises(InputError, match=text):
        Frame(pl.DataFrame(columns))


def test_a_time_that_nanoseconds_cannot_hold_is_not_wrapped() -> None:
    times = pl.Series([datetime(1, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    with pytest.raises(InputError, match="column 'time'"):
        Frame(pl.DataFrame({**PLAIN, "time": times}))


@pytest.mark.parametrize("kind", KINDS)
def test_nulls_are_refused_where_a_row_has_no_none(kind: Any) -> None:
    samples: dict[Any, Any] = {Tick: tick(), Quote: Quote("A", T0), Depth: Depth("A", T0, 1), Bar: bar()}
    df = Frame.of([samples[kind]] * 3, kind).df
    optional = {
        Tick: {"received"},
        Quote: {"bid", "ask", "bid_size", "ask_size", "last", "volume", "received"},
        Depth: {"price", "received"},
        Bar: {"count", "buy_volume", "sell_volume", "notional", "first_time", "first_seq", "last_time", "last_seq"},
    }[kind]
    for name, dtype in SCHEMAS[kind].items():
        holed = df.with_columns(pl.when(pl.int_range(3) == 0).then(pl.col(name)).otherwise(None).cast(dtype).alias(name))
        if name in optional:
            assert [getattr(row, name) for row in Frame(holed, kind).rows()[1:]] == [None, None]
        else:
            with pytest.raises(InputError, match=f"column '{name}' has 2 null values; none are allowed"):
                Frame(holed, kind)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([Tick("A", T0, None, 1)], "column 'price' has 1 null values; none are allowed"),  # type: ignore
        ([Tick("A", T0, 1.0, 1 << 63)], r"size of these rows does not fit Int64 of Frame\[Tick\]: "),
        ([Tick("A", 1 << 64, 1.0, 1)], r"time of these rows does not fit Datetime.* of Frame\[Tick\]: "),
        ([Tick("A", T0, "x", 1)], r"price of these rows does not fit Float64 of Frame\[Tick\]: "),  # type: ignore
        ([Tick("A", T0, 1.0, 1.5)], r"size of these rows does not fit Int64 of Frame\[Tick\]: "),  # type: ignore
        ([Tick("A", T0, 1.0, 1, 200)], r"side of these rows does not fit Int8 of Frame\[Tick\]: "),
        ([tick(), Quote("A", T0)], "a frame of Tick must be made of nothing else, got Quote too"),
        ([tick(), bar()], "a frame of Tick must be made of nothing else, got Bar too"),
    ],
)
def test_rows_that_do_not_fit(rows: list[Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Frame.of(rows)


def test_no_rows_need_a_kind() -> None:
    with pytest.raises(InputError, match=r"a frame of no rows must be told their kind: Frame\.of\(\[\], Tick\)"):
        Frame.of([])


# --- groups


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(0, 9)), max_size=30), st.booleans())
def test_groups_list_rows_symbol_by_symbol(rows: list[tuple[str, int]], together: bool) -> None:
    if together:
        rows = sorted(rows, key=lambda row: row[0])
    made = frame([tick(at, symbol=s, seq=i) for i, (s, at) in enumerate(rows)])
    symbols, order, starts = made.groups
    assert made.groups is made.groups
    assert set(symbols) == {s for s, _ in rows}
    assert len(symbols) == len(set(symbols)) == len(starts) - 1
    places = list(range(len(rows))) if order is None else order.tolist()
    for symbol, a, b in zip(symbols, starts[:-1], starts[1:], strict=True):
        assert places[a:b] == [i for i, (s, _) in enumerate(rows) if s == symbol]
    assert made.grouped("seq").tolist() == places
    assert made.grouped("time").tolist() == [T0 + rows[i][1] * 10**9 for i in places]
    assert made.grouped("time") is made.grouped("time")
    forward = all([at for s, at in rows if s == x] == sorted(at for s, at in rows if s == x) for x in "ABCD")
    assert made.sorted is forward


def test_one_symbol_and_symbols_in_blocks_need_no_order() -> None:
    assert frame(ticks((0, 1), (1, 2))).groups.order is None
    assert frame([*ticks((0, 1), symbol="A"), *ticks((0, 1), symbol="B")]).groups.order is None
    mixed = frame([tick(symbol="A"), tick(symbol="B"), tick(symbol="A")])
    assert mixed.groups.order is not None
    assert mixed.groups.starts.tolist() == [0, 2, 3]


def test_more_symbols_than_a_byte_and_than_two_can_number() -> None:
    for many in (300, 70_000):
        df = pl.DataFrame({"symbol": [f"M{i % many}" for i in range(many + 5)], "time": T0, "price": 1.0, "size": 1})
        symbols, order, starts = Frame(df).groups
        assert order is not None
        assert len(symbols) == many
        by_name = {s: order[a:b].tolist() for s, a, b in zip(symbols, starts[:-1], starts[1:], strict=True)}
        assert by_name["M3"] == [3, many + 3]
        assert by_name["M9"] == [9]


def test_bars_group_by_symbol_too() -> None:
    made = Frame.of([bar(symbol="B"), bar(symbol="A"), bar(symbol="B")])
    assert made.df.schema == BAR_SCHEMA
    assert dict(zip(made.groups.symbols, np.diff(made.groups.starts).tolist(), strict=True)) == {"B": 2, "A": 1}


def test_columns_are_numpy_and_computed_once() -> None:
    made = frame([tick(0, 5.0, received=T0), tick(1, 6.0, received=T0 + 1)])
    assert made.column("time").dtype == np.int64
    assert made.column("time").tolist() == [T0, T0 + 10**9]
    assert made.column("price").tolist() == [5.0, 6.0]
    assert made.column("received").tolist() == [T0, T0 + 1]
    assert made.column("price") is made.column("price")


def test_filter_and_slice_are_new_frames() -> None:
    rows = [tick(i, i + 1.0, symbol="AB"[i % 2], seq=i) for i in range(6)]
    made = frame(rows)
    assert made.groups.symbols == ["A", "B"]
    some = made.filter(np.array([False, True, False, True, True, False]))
    assert some.rows() == [rows[1], rows[3], rows[4]]
    assert dict(zip(some.groups.symbols, np.diff(some.groups.starts).tolist(), strict=True)) == {"A": 1, "B": 2}
    assert some.kind is Tick
    assert made.slice(2, 3).rows() == rows[2:5]
    assert made.slice(4, 99).rows() == rows[4:]
    assert made.slice(3, 1).groups.symbols == ["B"]
    assert made.rows() == rows
    quotes = Frame.of([Quote("A", T0), Quote("B", T0)])
    assert quotes.filter(np.array([False, True])).kind is Quote
    assert quotes.slice(0, 1).df.schema["received"] == TIME
