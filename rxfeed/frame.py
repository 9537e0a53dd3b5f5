"""Many elements in columns: `Frame[Tick]` is to a burst what a `Tick` is to a trade, and means exactly the same.

A frame wraps a polars DataFrame with a fixed schema and remembers, once computed, its numpy columns and how its rows
group by symbol, so that each operator after the first gets both for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeGuard, TypeVar, cast, get_args, overload

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from rxfeed.errors import InputError
from rxfeed.model import Bar, Depth, Quote, Tick

T = TypeVar("T", Tick, Quote, Depth, Bar)
R = TypeVar("R", Tick, Quote, Depth, Bar)
V = TypeVar("V")
Array = npt.NDArray[Any]

TIME: Final = pl.Datetime("ns", "UTC")
SYMBOL: Final = pl.Categorical()

TICK_SCHEMA: Final = pl.Schema({
    "symbol": SYMBOL, "time": TIME, "price": pl.Float64, "size": pl.Int64, "side": pl.Int8, "seq": pl.Int64, "received": TIME,
})  # fmt: skip
QUOTE_SCHEMA: Final = pl.Schema({
    "symbol": SYMBOL, "time": TIME, "bid": pl.Float64, "ask": pl.Float64, "bid_size": pl.Int64, "ask_size": pl.Int64,
    "last": pl.Float64, "volume": pl.Int64, "seq": pl.Int64, "received": TIME,
})  # fmt: skip
DEPTH_SCHEMA: Final = pl.Schema({
    "symbol": SYMBOL, "time": TIME, "kind": pl.Int8, "side": pl.Int8, "price": pl.Float64, "size": pl.Int64,
    "epoch": pl.Int64, "seq": pl.Int64, "received": TIME,
})  # fmt: skip
BAR_SCHEMA: Final = pl.Schema({
    "symbol": pl.String, "timeframe": pl.String, "start": TIME, "end": TIME,
    "open": pl.Float64, "high": pl.Float64, "low": pl.Float64, "close": pl.Float64,
    "volume": pl.Int64, "count": pl.Int64, "buy_volume": pl.Int64, "sell_volume": pl.Int64, "notional": pl.Float64,
    "first_time": TIME, "first_seq": pl.Int64, "last_time": TIME, "last_seq": pl.Int64,
    "trade_date": pl.Date, "revision": pl.Int32, "flags": pl.Int32,
})  # fmt: skip
SCHEMAS: Final[Mapping[type[Any], pl.Schema]] = {
    Tick: TICK_SCHEMA, Quote: QUOTE_SCHEMA, Depth: DEPTH_SCHEMA, Bar: BAR_SCHEMA,
}  # fmt: skip


_NEVER_NULL: Final[Mapping[type[Any], tuple[str, ...]]] = {
    kind: tuple(f.encode_name for f in msgspec.structs.fields(kind) if type(None) not in get_args(f.type)) for kind in SCHEMAS
}


_FEW: Final = 32
"""So many symbols are asked for one by one; more in one query."""


class Groups(NamedTuple):
    """Rows of a frame by symbol: `order` lists row numbers symbol by symbol (stable; None when they already are),
    block i is `order[starts[i]:starts[i + 1]]` and belongs to `symbols[i]`."""

    symbols: list[str]
    order: Array | None
    starts: Array


class Frame(Generic[T]):
    """An immutable batch of ticks, quotes, depth or bars, in the order in which they came.

    Args:
        df: the rows. Columns and types are those of `SCHEMAS[kind]`; symbols may also be String or Enum, times may be
            int64 nanoseconds, and optional columns (`side`, `seq`, `received` …) may be left out.
        kind: what a row is.

    Raises:
        InputError: a column is missing, unknown, or of another type.
    """

    __slots__ = ("_bounds", "_columns", "_found", "_grouped", "_groups", "df", "kind")

    df: pl.DataFrame
    kind: type[T]

    @overload
    def __init__(self: Frame[Tick], df: pl.DataFrame) -> None: ...
    @overload
    def __init__(self, df: pl.DataFrame, kind: type[T]) -> None: ...
    def __init__(self, df: pl.DataFrame, kind: type[Any] = Tick) -> None:
        df = df if df.schema == SCHEMAS[kind] else conform(df, kind)
        for name in _NEVER_NULL[kind]:
            if df[name].null_count():
                raise InputError(f"column {name!r} has {df[name].null_count()} null values; none are allowed")
        self._take(df, kind)

    @staticmethod
    def trusted(df: pl.DataFrame, kind: type[R]) -> Frame[R]:
        """Return `df` as a frame without a look at it: for what was just made, or cut from a frame."""
        frame = cast("Frame[R]", Frame.__new__(Frame))
        frame._take(df, kind)  # noqa: SLF001  # its own
        return frame

    def _take(self, df: pl.DataFrame, kind: type[T]) -> None:
        self.df, self.kind = df, kind
        self._columns: dict[str, Array] = {}
        self._grouped: dict[str, Array] = {}
        self._bounds: dict[str, tuple[Any, Any]] = {}
        self._found: dict[Callable[..., Any], Any] = {}
        self._groups: Groups | None = None

    @staticmethod
    def of(rows: Iterable[R], kind: type[R] | None = None) -> Frame[R]:
        """Return rows of one kind as a frame; `kind` need be said only when there may be none.

        Raises:
            InputError: no row and no kind, or a value that does not fit its column: None for a price, an int beyond 64 bits.
        """
        rows = list(rows)
        if kind is None:
            if not rows:
                raise InputError("a frame of no rows must be told their kind: Frame.of([], Tick)")
            kind = type(rows[0])
        if others := {type(row).__name__ for row in rows if type(row) is not kind}:
            raise InputError(f"a frame of {kind.__name__} must be made of nothing else, got {', '.join(sorted(others))} too")
        schema = SCHEMAS[kind]
        columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True)) or [() for _ in schema]
        series: list[pl.Series] = []
        for (name, dtype), values in zip(schema.items(), columns, strict=True):
            try:
                series.append(pl.Series(name, values, dtype=pl.Int64 if dtype == TIME else dtype, strict=True))
            except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
                text = str(error).splitlines()[0]
                raise InputError(f"{name} of these rows does not fit {dtype} of Frame[{kind.__name__}]: {text}") from None
        return Frame(conform(pl.DataFrame(series), kind), kind)

    def __len__(self) -> int:
        return self.df.height

    def __repr__(self) -> str:
        return f"Frame[{self.kind.__name__}] of {self.df.height} rows"

    def _repr_html_(self) -> str:
        # What notebooks show.
        return f"<small>Frame[{self.kind.__name__}]</small>{cast('Any', self.df)._repr_html_()}"

    def rows(self) -> list[T]:
        """Return the rows as structs."""
        columns = [self.df[name].to_physical() if dtype == TIME else self.df[name] for name, dtype in self.df.schema.items()]
        return list(map(self.kind, *(c.to_list() for c in columns)))

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows())

    def column(self, name: str) -> Array:
        """Return a column as a numpy array: times as int64 nanoseconds, symbols not at all."""
        array = self._columns.get(name)
        if array is None:
            series = self.df[name]
            # A cast is a view here, and to_physical() a query of its own.
            array = self._columns[name] = (series.cast(pl.Int64) if series.dtype == TIME else series).to_numpy()
        return array

    def once(self, find: Callable[[Frame[T]], V]) -> V:
        """Return `find(self)`, which is asked for once and then remembered."""
        if find not in self._found:
            self._found[find] = find(self)
        return self._found[find]

    def bounds(self, name: str) -> tuple[Any, Any]:
        """Return the least and the greatest value of a numeric column; both NaN if a NaN is among them. Computed once."""
        bounds = self._bounds.get(name)
        if bounds is None:
            column = self.column(name)
            bounds = self._bounds[name] = column.min().item(), column.max().item()
        return bounds

    def note(self, name: str, least: Any, greatest: Any) -> None:
        """Keep the bounds of a column, which somebody has found."""
        self._bounds[name] = least, greatest

    @property
    def ordered(self) -> bool:
        """Whether neither `time` nor `seq` ever goes back, over all symbols together."""
        return all(bool((column[1:] >= column[:-1]).all()) for column in (self.column("time"), self.column("seq")))

    @property
    def groups(self) -> Groups:
        """How the rows group by symbol; computed once."""
        if self._groups is None:
            self._groups = _group(self.df["symbol"])
        return self._groups

    def grouped(self, name: str) -> Array:
        """Return a column in the order of `groups`."""
        order = self.groups.order
        if order is None:
            return self.column(name)
        array = self._grouped.get(name)
        if array is None:
            # The rows are known to be there, and "wrap" is the quickest to believe it.
            array = self._grouped[name] = self.column(name).take(order, mode="wrap")
        return array

    @property
    def sorted(self) -> bool:
        """Whether each symbol's times never go back."""
        time, starts = self.grouped("time"), self.groups.starts
        if len(time) < 2:
            return True
        ok = time[1:] >= time[:-1]
        ok[starts[1:-1] - 1] = True
        return bool(ok.all())

    def filter(self, keep: Array) -> Frame[T]:
        """Return the rows where `keep` is true, as a new frame."""
        return Frame.trusted(self.df.filter(pl.Series(keep)), self.kind)

    def slice(self, offset: int, length: int) -> Frame[T]:
        """Return `length` rows from `offset`, as a new frame."""
        return Frame.trusted(self.df.slice(offset, length), self.kind)


def is_frame(element: object) -> TypeGuard[Frame[Any]]:
    """Whether an element of a stream is a frame."""
    return isinstance(element, Frame)


def name_of(element: object) -> str:
    """Return what an element is called in error texts: its type, and of a frame its kind."""
    return f"Frame[{element.kind.__name__}]" if is_frame(element) else type(element).__name__


def _group(symbols: pl.Series) -> Groups:
    if symbols.dtype != SYMBOL:
        symbols = symbols.cast(SYMBOL)
    codes = symbols.to_physical().to_numpy()
    n = len(codes)
    if n == 0:
        return Groups([], None, np.zeros(1, np.int64))
    highest = int(codes.max())
    if highest >= 1 << 16:
        codes = np.unique(codes, return_inverse=True)[1]
        highest = int(codes.max())
    # Sorting is by radix, and fast, for small numbers only.
    local = codes.astype(np.uint8 if highest < 1 << 8 else np.uint16 if highest < 1 << 16 else np.int64)
    order = None if (local[1:] >= local[:-1]).all() else np.argsort(local, kind="stable")
    grouped = local if order is None else local.take(order)
    starts = np.concatenate(([0], (grouped[1:] != grouped[:-1]).nonzero()[0] + 1, [n]))
    first = starts[:-1] if order is None else order[starts[:-1]]
    if len(first) <= _FEW:
        return Groups([symbols[row] for row in first.tolist()], order, starts)
    return Groups(cast("list[str]", symbols[first].cast(pl.String).to_list()), order, starts)


def conform(df: pl.DataFrame, kind: type[Any]) -> pl.DataFrame:
    """Return `df` with exactly the columns, types and order of `SCHEMAS[kind]`.

    Raises:
        InputError: a column is missing, unknown, or of a type that cannot be meant.
    """
    schema = SCHEMAS[kind]
    defaults = {f.encode_name: f.default for f in msgspec.structs.fields(kind) if f.default is not msgspec.NODEFAULT}
    unknown = [name for name in df.columns if name not in schema]
    if unknown:
        raise InputError(f"unknown column {unknown[0]!r} for {kind.__name__}; allowed are {', '.join(schema)}")
    series: list[pl.Series] = []
    for name, dtype in schema.items():
        if name not in df.columns:
            if name not in defaults:
                raise InputError(f"column {name!r} is missing for {kind.__name__}; given are {', '.join(df.columns)}")
            series.append(pl.repeat(defaults[name], df.height, dtype=dtype, eager=True).alias(name))
            continue
        series.append(_as(df[name], dtype))
    return pl.DataFrame(series)


def _as(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    given = series.dtype
    if dtype == TIME:
        fits = given.is_integer() or isinstance(given, pl.Datetime)
    elif dtype in (SYMBOL, pl.String):
        fits = isinstance(given, (pl.String, pl.Categorical, pl.Enum))
    elif dtype == pl.Date:
        fits = given == pl.Date
    else:
        fits = given.is_numeric() and (dtype.is_float() or given.is_integer())
    if not fits and given != pl.Null:
        raise InputError(f"column {series.name!r} must be {dtype}, got {given}")
    if isinstance(given, pl.Datetime) and given.time_zone != "UTC":
        if given.time_zone is None:
            raise InputError(f"column {series.name!r} has no time zone; say which with .dt.replace_time_zone(...)")
        series = series.dt.convert_time_zone("UTC")
    try:
        return series if given == dtype else series.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"column {series.name!r} does not fit {dtype}: {str(error).splitlines()[0]}") from None
