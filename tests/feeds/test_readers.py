"""What files say is what ticks say, to the last digit; what cannot be read is refused in one line that names the place."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from rxfeed.errors import InputError
from rxfeed.feeds.readers import Source, read
from rxfeed.frame import TICK_SCHEMA, Frame
from rxfeed.model import UNKNOWN_TIME, Tick

DATA = Path(__file__).parents[3] / "shared" / "data"
TEN = 1_736_175_600_000_000_000


@pytest.fixture
def recorded() -> Path:
    if not DATA.is_dir():
        pytest.skip("no recorded trades beside the repository (../shared/data)")
    return DATA


def ticks(source: Source, **layout: Any) -> list[Tick]:
    return [tick for frame in read(source, **layout) for tick in frame]


def column(name: str, values: list[Any], dtype: Any = None, **layout: Any) -> list[Any]:
    """Read a table in which one column is given and the others are dull."""
    n = len(values)
    table = {"symbol": ["A"] * n, "time": [datetime(2025, 1, 6, tzinfo=UTC)] * n, "price": [1.0] * n, "size": [1] * n}
    df = pl.DataFrame(table).with_columns(pl.Series(name, values, dtype=dtype, strict=False))
    return [getattr(tick, name) for tick in ticks(df, **layout)]


OURS = [
    Tick("MNQ", TEN + 1, 21_500.25, 3, 1, 0, TEN + 5),
    Tick("MES", TEN + 1, 5_900.5, 1, 2, 1, None),
    Tick("CL", TEN + 2_000_000_003, -37.63, 7, 0, 2, TEN + 2_000_000_004),
]


def write(df: pl.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix
    if kind == ".parquet":
        df.write_parquet(path)
    elif kind == ".csv":
        df.write_csv(path)
    elif kind in (".ndjson", ".jsonl"):
        df.write_ndjson(path)
    else:
        df.write_ipc(path)
    return path


KINDS = [".parquet", ".csv", ".ndjson", ".jsonl", ".arrow", ".ipc", ".feather"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_rxfeed_writes_it_reads_back_without_being_told_anything(kind: str, tmp_path: Path) -> None:
    assert ticks(write(Frame.of(OURS).df, tmp_path / f"ticks{kind}")) == OURS


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_columns_are_mapped_and_rows_numbered(kind: str, tmp_path: Path) -> None:
    df = pl.DataFrame({
        "timestamp": [1_570_752_011_620, 1_570_752_011_620], "amount": [23.0, 54.0], "p": [0.001413, 0.001414],
        "id": ["x", "y"], "m": [True, False],
    })  # fmt: skip
    names = {"time": "timestamp", "size": "amount", "price": "p", "side": "m"}
    got = ticks(str(write(df, tmp_path / f"t{kind}")), map=names, time_unit="ms", symbol="XRPETH")
    time = 1_570_752_011_620_000_000
    assert got == [Tick("XRPETH", time, 0.001413, 23, 2, 0), Tick("XRPETH", time, 0.001414, 54, 1, 1)]


def test_tables_queries_and_frames_read_alike() -> None:
    frame = Frame.of(OURS)
    assert ticks(frame) == ticks(frame.df) == ticks(frame.df.lazy()) == OURS
    assert ticks(frame.df.lazy().filter(pl.col("size") > 1)) == [OURS[0], OURS[2]]
    assert all(f.df.schema == TICK_SCHEMA for f in read(frame.df.lazy()))


def test_a_folder_is_read_in_order_of_name_with_its_hive_parts(tmp_path: Path) -> None:
    rows = pl.DataFrame({"time": [datetime(2025, 1, 6, tzinfo=UTC)], "price": [1.0], "size": [1]})
    write(rows, tmp_path / "symbol=B%2FC" / "date=2025-01-06" / "x.parquet")
    write(rows, tmp_path / "symbol=A" / "y.csv")
    write(rows, tmp_path / "symbol=A" / "date=1" / "z.ndjson")
    write(rows, tmp_path / "symbol=A" / "_tmp" / ".hidden.csv")
    (tmp_path / "readme.txt").write_text("not data")
    assert [(t.symbol, t.seq) for t in ticks(tmp_path)] == [("A", 0), ("A", 1), ("B/C", 2)]


def test_a_name_full_of_wildcards_is_a_name(tmp_path: Path) -> None:
    for kind in KINDS:
        assert len(ticks(write(Frame.of(OURS).df, tmp_path / f"a[1]*{kind}"))) == 3


@pytest.mark.parametrize("chunk", [1, 2, 7, 100, 100_000])
@pytest.mark.parametrize("kind", [".parquet", ".csv", ".ndjson", ".arrow"])
def test_the_chunk_changes_no_tick(kind: str, chunk: int, tmp_path: Path) -> None:
    n = 250
    df = pl.DataFrame({"time": range(TEN, TEN + n), "price": np.arange(n) / 4, "size": [2] * n})
    path = write(df, tmp_path / f"t{kind}")
    frames = list(read(path, symbol="A", time_unit="ns", chunk=chunk))
    assert {len(f) for f in frames[:-1]} <= {chunk}
    assert [t for f in frames for t in f] == [Tick("A", TEN + i, i / 4, 2, 0, i) for i in range(n)]


def resident() -> int:
    """Return this process's own memory in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1_024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own memory this way")
def test_memory_stays_flat_over_many_chunks(tmp_path: Path) -> None:
    n = 6_000_000
    path = tmp_path / "t.parquet"
    number = pl.int_range(n, eager=False)
    query = pl.LazyFrame().select(time=number + TEN, price=number % 1_000 / 4, size=number % 7 + 1, seq=number)
    query.sink_parquet(path, row_group_size=65_536)
    before, most, rows = resident(), 0, 0
    for k, frame in enumerate(read(path, symbol="A", time_unit="ns")):
        rows += len(frame)
        most = max(most, resident() - before) if k % 8 == 0 else most
    assert rows == n
    assert most < n * 32 // 2, f"{most:,} bytes more, for a table of {n * 32:,}"


def test_recorded_trades_with_a_lot_and_buyer_is_maker(recorded: Path) -> None:
    names = {"time": "timestamp", "size": "quantity", "side": "buyer_maker", "seq": "trade_id"}
    got = ticks(recorded / "btcusdt-trades.parquet", map=names, symbol="BTCUSDT", lot=0.000001)
    assert len(got) == 2_001
    assert got[1] == Tick("BTCUSDT", 1_610_064_000_310_000_000, 39_439.44, 4_376, 1, 553_287_560)
    assert got[0].side == 2
    df = pl.read_parquet(recorded / "btcusdt-trades.parquet")
    assert [t.size for t in got] == [round(Decimal(q) * 1_000_000) for q in df["quantity"].to_list()]


def test_recorded_trades_in_milliseconds(recorded: Path) -> None:
    path = recorded / "xrp_eth_trades.parquet"
    got = ticks(path, map={"time": "timestamp", "size": "amount"}, symbol="XRPETH", time_unit="ms")
    assert len(got) == 12_477
    assert got[0] == Tick("XRPETH", 1_570_752_011_620_000_000, 0.00141342, 23, 2, 0)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-01-06T15:00:00Z", TEN),
        ("2025-01-06T15:00:00", TEN),
        ("2025-01-06 15:00:00", TEN),
        ("2025-01-06T16:00:00+01:00", TEN),
        ("2025-01-06T16:00:00+0100", TEN),
        ("2025-01-06T14:30:00-00:30", TEN),
        ("2025-01-06T09:15:00-05:45", TEN),
        (" 2025-01-06T15:00:00.1Z ", TEN + 100_000_000),
        ("2025-01-06T15:00:00.123456789Z", TEN + 123_456_789),
        ("2025-01-06T15:00:00,123456789+00:00", TEN + 123_456_789),
        ("1969-12-31T23:59:59.999999999", -1),
        ("0001-01-01T00:00:00", UNKNOWN_TIME),
        ("0001-01-01T00:00:00Z", UNKNOWN_TIME),
        ("0001-01-01T00:00:00+00:00", UNKNOWN_TIME),
        ("1600-06-01T00:00:00.5Z", UNKNOWN_TIME),
        ("9999-12-31T23:59:59.9999999Z", UNKNOWN_TIME),
    ],
)
def test_text_times_are_exact(text: str, time: int) -> None:
    assert column("time", [text]) == [time]
    mixed = ["2025-01-06T15:00:00.000000001Z", text, "2025-01-06 16:00:00.000000002 +01:00"]
    assert column("time", mixed) == [TEN + 1, time, TEN + 2]


@pytest.mark.parametrize(
    ("values", "dtype", "unit", "times"),
    [
        ([TEN + 7], pl.Int64, "ns", [TEN + 7]),
        ([1_736_175_600_000_001], pl.UInt64, "us", [TEN + 1_000]),
        ([-1], pl.Int32, "s", [-1_000_000_000]),
        ([1_736_175_600.0], pl.Float64, "s", [TEN]),
        ([1_736_175_600.620001, 0.1, -0.25], pl.Float64, "s", [TEN + 620_001_000, 100_000_000, -250_000_000]),
        ([1_736_175_600_000.25], pl.Float64, "ms", [TEN + 250_000]),
        ([1_736_175_600_000_000.75], pl.Float64, "us", [TEN + 1_000]),
        ([5.0], pl.Float64, "ns", [5]),
        (["1736175600.620000123"], pl.String, "s", [TEN + 620_000_123]),
        (["1736175600000.5"], pl.String, "ms", [TEN + 500_000]),
        ([str(TEN + 1), "2025-01-06T15:00:00Z"], pl.String, "ns", [TEN + 1, TEN]),
    ],
)
def test_numbers_are_times_in_their_unit(values: list[Any], dtype: Any, unit: str, times: list[int]) -> None:
    assert column("time", values, dtype, time_unit=unit) == times


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetimes_need_no_unit_and_naive_ones_are_utc(unit: Any) -> None:
    when = datetime(2025, 1, 6, 15)
    assert column("time", [when], pl.Datetime(unit)) == [TEN]
    berlin = pl.Series([when]).dt.replace_time_zone("Europe/Berlin").cast(pl.Datetime(unit, "Europe/Berlin"))
    df = pl.DataFrame({"symbol": ["A"], "time": berlin, "price": [1.0], "size": [1]})
    assert ticks(df)[0].time == TEN - 3_600_000_000_000
    if unit != "ns":
        assert column("time", [datetime(1, 1, 1), None, when][::2], pl.Datetime(unit)) == [UNKNOWN_TIME, TEN]


def test_received_is_a_time_too_and_unknown_where_it_does_not_fit() -> None:
    got = column("received", ["2025-01-06T15:00:00.5Z", None, "0001-01-01T00:00:00Z"])
    assert got == [TEN + 500_000_000, None, None]
    assert column("received", [None, None]) == [None, None]


@pytest.mark.parametrize("lot", [0.000001, "0.000001", Decimal("0.000001"), "1e-6"])
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0.004376, 4.799331, 0.000001, 0.3], pl.Float64),
        (["0.004376", "4.799331", "1e-6", "0.300"], pl.String),
        ([Decimal("0.004376"), Decimal("4.799331"), Decimal("0.000001"), Decimal("0.3")], pl.Decimal(20, 8)),
    ],
)
def test_sizes_are_divided_by_the_lot(values: list[Any], dtype: Any, lot: Any) -> None:
    assert column("size", values, dtype, lot=lot) == [4_376, 4_799_331, 1, 300_000]


def test_lots_above_one_and_whole_sizes() -> None:
    assert column("size", [200, 300], lot=100) == [2, 3]
    assert column("size", [2, 3], lot=0.5) == [4, 6]
    assert column("size", [250.0], lot="2.5") == [100]
    assert column("size", [3.0, 2.0**52]) == [3, 2**52]
    assert column("size", ["9007199254740993", " 5 ", "7.0"]) == [9_007_199_254_740_993, 5, 7]
    assert column("size", ["9007199254740.993"], lot="0.001") == [9_007_199_254_740_993]
    assert column("size", [0.5], pl.Float32, lot="0.1") == [5]


@pytest.mark.parametrize(
    ("values", "dtype", "sides"),
    [
        (["buy", "Sell", "B", "s", "", None, " BUY "], pl.String, [1, 2, 1, 2, 0, 0, 1]),
        (["1", "2", "0"], pl.String, [1, 2, 0]),
        (["True", "False", "true"], pl.String, [2, 1, 2]),
        ([True, False, None], pl.Boolean, [2, 1, 0]),
        ([1, 2, 0, None], pl.Int64, [1, 2, 0, 0]),
        ([1.0, 2.0, None, float("nan")], pl.Float64, [1, 2, 0, 0]),
        (["buy", "sell", None], pl.Categorical, [1, 2, 0]),
        ([None, None], pl.Null, [0, 0]),
    ],
)
def test_sides_as_people_write_them(values: list[Any], dtype: Any, sides: list[int]) -> None:
    assert column("side", values, dtype) == sides


def test_prices_are_rounded_once(tmp_path: Path) -> None:
    texts = ["0.1", "39439.44", "1e-8", "-37.63", "123456789.123456789", "nan", "4.35"]
    assert repr(column("price", texts)) == repr([float(t) for t in texts])
    assert column("price", [Decimal("39439.44"), Decimal("4.35")], pl.Decimal(20, 9)) == [39_439.44, 4.35]


def test_json_numbers_may_change_their_kind_halfway(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_text('{"time":1,"price":1,"size":1}\n' * 20_000 + '{"time":1.5,"price":1.25,"size":2.0,"side":"buy"}\n')
    got = ticks(path, symbol="A", time_unit="s")
    assert got[-1] == Tick("A", 1_500_000_000, 1.25, 2, 0, 20_000)


GOOD = {"symbol": "A", "time": datetime(2025, 1, 6, tzinfo=UTC), "price": 1.0, "size": 1}


@pytest.mark.parametrize(
    ("change", "layout", "text"),
    [
        ({"price": None}, {}, r"^table 1: column 'price' is null in 1 of rows 1 to 2, first in row 2; none may be$"),
        ({"time": None}, {}, r"column 'time' is null in 1 of rows 1 to 2, first in row 2"),
        ({"size": None}, {}, r"column 'size' is null"),
        ({"symbol": None}, {}, r"column 'symbol' is null"),
        ({"size": 1.5}, {}, r"^table 1, row 2: column 'size' holds 1.5, which is no whole number; say what one lot is"),
        ({"size": float("inf")}, {}, r"row 2: column 'size' holds inf"),
        ({"size": float("nan")}, {}, r"column 'size' is null"),
        ({"size": 0.0043761}, {"lot": 0.000001}, r"row 2: column 'size' holds 0.0043761, no multiple of lot 1e-06"),
        ({"size": "0.0000015"}, {"lot": "0.000001"}, r"row 2: column 'size' holds '0.0000015', no multiple of lot 0.000001"),
        ({"size": "many"}, {}, r"row 2: column 'size' holds 'many', which is no number"),
        ({"size": 2**63}, {}, r"row 2: column 'size' holds 9223372036854775808, which does not fit int64"),
        ({"size": 2**62}, {"lot": 0.001}, r"row 2: column 'size' holds 4611686018427387904"),
        ({"size": True}, {}, r"^table 1: column 'size' must hold numbers, got Boolean$"),
        ({"price": "12,5"}, {}, r"row 2: column 'price' holds '12,5', which is no number"),
        ({"price": False}, {}, r"column 'price' must hold numbers, got Boolean"),
        ({"symbol": 5}, {}, r"column 'symbol' must hold text, got Int64"),
        ({"side": "hold"}, {}, r"row 2: column 'side' holds 'hold', allowed are 0, 1 \(buy\), 2 \(sell\), buy, "),
        ({"side": -1}, {}, r"row 2: column 'side' holds -1, allowed are"),
        ({"side": [1]}, {}, r"column 'side' must hold sides, got List"),
        ({"seq": "x"}, {}, r"row 2: column 'seq' holds 'x', which is no int64"),
        ({"seq": None}, {}, r"column 'seq' is null"),
        ({"seq": 1.5}, {}, r"column 'seq' must hold integers, got Float64"),
        ({"time": 5}, {}, r"^table 1: column 'time' holds numbers \(Int64\); give time_unit=ns, us, ms, s$"),
        ({"time": 5.0}, {}, r"column 'time' holds numbers \(Float64\); give time_unit="),
        ({"time": "5"}, {}, r"row 2: column 'time' holds '5', a number; give time_unit="),
        ({"time": "soon"}, {}, r"row 2: column 'time' holds 'soon', which is no ISO 8601 time"),
        ({"time": "2025-13-06T00:00:00Z"}, {}, r"which is no ISO 8601 time"),
        ({"time": 2**62}, {"time_unit": "us"}, r"row 2: column 'time' holds 4611686018427387904, which in us does not"),
        ({"time": 1e300}, {"time_unit": "s"}, r"row 2: column 'time' holds 1e\+300, which in s does not fit"),
        ({"time": "99999999999999"}, {"time_unit": "s"}, r"row 2: column 'time' holds '99999999999999', which in s does"),
        ({"time": True}, {}, r"column 'time' must hold times, got Boolean"),
        ({}, {"symbol": "B"}, r"^table 1: symbol='B' is given, but there is a column 'symbol' too$"),
        ({}, {"map": {"symbol": None}}, r"no symbol column; map one, or give symbol= for all rows; given are symbol"),
        ({}, {"map": {"price": "px"}}, r"^table 1: no column 'px' for price; given are symbol, time, price, size$"),
        ({}, {"map": {"price": None}}, r"no column 'price'; say which with map={'price': \.\.\.}; given are"),
        ({}, {"map": {"colour": "px"}}, r"^map has no use for 'colour'; allowed are symbol, time, price, size"),
        ({}, {"time_unit": "h"}, r"^time_unit must be one of ns, us, ms, s, got 'h'$"),
        ({}, {"symbol": ""}, r"^symbol must not be empty$"),
        ({}, {"lot": 0}, r"^lot must be a number above 0 with at most 18 decimals, got 0$"),
        ({}, {"lot": "-1"}, r"lot must be a number above 0"),
        ({}, {"lot": "one"}, r"lot must be a number above 0 with at most 18 decimals, got 'one'"),
        ({}, {"lot": float("nan")}, r"lot must be a number above 0"),
        ({}, {"lot": "1e-19"}, r"lot must be a number above 0"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(change: dict[str, Any], layout: dict[str, Any], text: str) -> None:
    columns: dict[str, list[Any]] = {}
    for name, value in {**GOOD, **change}.items():
        before = value if name in change and value is not None else GOOD.get(name, 1)
        # The first row is fine wherever its type allows it.
        first = {"size": {float: 1.0, int: 1, str: "1"}, "side": {str: "buy", int: 1}, "seq": {str: "1"}}.get(name, {})
        first = first or {str: "2025-01-06T00:00:00Z" if name == "time" else "1", int: 1, float: 1.0}
        columns[name] = [first.get(type(before), before) if name in change and value is not None else before, value]
    with pytest.raises(InputError, match=text) as caught:
        ticks(pl.DataFrame(columns, strict=False), **layout)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def spoil(path: Path, kind: str) -> Path:
    write(Frame.of(OURS * 1_000).df, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 - 9])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no rows":
        write(Frame.of([], Tick).df, path)
    elif kind == "noise":
        path.write_bytes(bytes(range(256)) * 40)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("t.parquet", "truncated", r"t\.parquet cannot be read: "),
        ("t.arrow", "truncated", r"t\.arrow cannot be read: "),
        ("t.ndjson", "truncated", r"t\.ndjson cannot be read: "),
        ("t.parquet", "noise", r"t\.parquet cannot be read: "),
        ("t.csv", "noise", r"t\.csv"),
        ("t.ndjson", "noise", r"t\.ndjson"),
        ("t.csv", "empty", r"t\.csv is empty$"),
        ("t.parquet", "empty", r"t\.parquet is empty$"),
        ("t.parquet", "no rows", r"t\.parquet holds no rows$"),
        ("t.csv", "no rows", r"t\.csv holds no rows$"),
        ("t.json", "empty", r"t\.json has an extension that cannot be read; allowed are \.parquet \.csv"),
    ],
)
def test_a_spoiled_file_is_an_error_of_one_line(name: str, kind: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=text) as caught:
        ticks(spoil(tmp_path / name, kind))
    assert "\n" not in str(caught.value)


def test_a_parquet_file_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    whole = write(Frame.of(OURS * 100).df, tmp_path / "a.parquet").read_bytes()
    path = tmp_path / "b.parquet"
    for length in range(1, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"b\.parquet"):
            ticks(path)


def test_missing_and_empty_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist$"):
        ticks(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r" holds no data files; allowed are \.parquet \.csv"):
        ticks(tmp_path)
    with pytest.raises(InputError, match=r"a list must hold ticks, got str; paths and tables are given one by one"):
        ticks(["a.csv"])  # pyright: ignore[reportArgumentType]
    assert ticks(pl.DataFrame(schema=TICK_SCHEMA)) == []


def test_a_bad_row_is_named_by_its_number_in_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("symbol,time,price,size\n" + "A,2025-01-06T00:00:00Z,1,1\n" * 700 + "A,2025-01-06T00:00:00Z,x,1\n")
    frames = read(path, chunk=100)
    assert [len(next(frames)) for _ in range(7)] == [100] * 7
    with pytest.raises(InputError, match=r"t\.csv, row 701: column 'price' holds 'x', which is no number$"):
        next(frames)


def test_seq_comes_from_all_sources_or_from_none() -> None:
    own, without = Frame.of(OURS).df, Frame.of(OURS).df.drop("seq")
    with pytest.raises(InputError, match=r"^table 1 has a column for seq and table 2 has none; leave it out with map="):
        list(read(own, without))
    got = [t.seq for f in read(own, without, map={"seq": None}) for t in f]
    assert got == [0, 1, 2, 3, 4, 5]


def test_chunk_is_checked_at_once() -> None:
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        read(pl.DataFrame(), chunk=0)
