"""Foreign columns turned into ours, a block at a time: times to int nanoseconds, sizes to whole lots, sides to 0, 1, 2.

Sizes in text or decimals are divided by the lot exactly. What cannot be read is refused with the row and the value, so
that a bad file is found and not averaged in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from rxfeed.feeds.instants import int_times
from rxfeed.feeds.layout import SCALE, Layout, Place, is_text, stripped
from rxfeed.frame import SYMBOL, TICK_SCHEMA, TIME
from rxfeed.model import UNKNOWN_TIME

_SIDES: Final[Mapping[str, int]] = {
    "buy": 1, "b": 1, "1": 1, "sell": 2, "s": 2, "2": 2, "": 0, "0": 0, "none": 0, "unknown": 0, "true": 2, "false": 1,
}  # fmt: skip
_NUMBERS: Final = ([0, 1, 2], [0.0, 1.0, 2.0])
_SIDES_TEXT: Final = "0, 1 (buy), 2 (sell), buy, sell, b, s, or true and false for buyer is maker"


def tick_columns(df: pl.DataFrame, found: Mapping[str, str], layout: Layout, place: Place) -> pl.DataFrame:
    """Return a block with the columns and types of `TICK_SCHEMA`; `seq` is null where the source has none.

    Args:
        df: rows with at least the columns of `found`.
        found: from `resolve`.

    Raises:
        InputError: a null, a wrong type, or a value that cannot be read.
    """
    result: dict[str, pl.Series] = {}
    for name, dtype in TICK_SCHEMA.items():
        column = found.get(name)
        if column is None:
            value = layout.symbol if name == "symbol" else 0 if name == "side" else None
            result[name] = pl.repeat(value, df.height, dtype=pl.String if name == "symbol" else dtype, eager=True).cast(dtype)
            continue
        given = df[column]
        if given.dtype == pl.Null and name != "side":
            values = given.cast(pl.Int64 if dtype == TIME else dtype)
        else:
            values = _READ[name](given, column, layout, place)
        if name not in ("side", "received"):
            place.no_nulls(column, values)
        if name == "received":
            values = values.set(values == UNKNOWN_TIME, None)
        result[name] = values.cast(dtype)
    return pl.DataFrame(result)


def _symbols(values: pl.Series, column: str, layout: Layout, place: Place) -> pl.Series:
    if not is_text(values.dtype):
        place.wrong(column, values.dtype, "text")
    return values.cast(SYMBOL)


def _prices(values: pl.Series, column: str, layout: Layout, place: Place) -> pl.Series:
    if values.dtype != pl.String and not values.dtype.is_numeric():
        place.wrong(column, values.dtype, "numbers")
    return _number(values, pl.Float64(), column, place, "which is no number")


def _seqs(values: pl.Series, column: str, layout: Layout, place: Place) -> pl.Series:
    if values.dtype != pl.String and not values.dtype.is_integer():
        place.wrong(column, values.dtype, "integers")
    return _number(values, pl.Int64(), column, place, "which is no int64")


def _number(values: pl.Series, dtype: pl.DataType, column: str, place: Place, why: str) -> pl.Series:
    given = stripped(values)
    result = given.cast(dtype, strict=False)
    if result.null_count() > given.null_count():
        place.refuse(column, result.is_null() & given.is_not_null(), values, why)
    return result


def _sides(values: pl.Series, column: str, layout: Layout, place: Place) -> pl.Series:
    given = values.dtype
    if given == pl.Null:
        return pl.repeat(0, len(values), dtype=pl.Int8, eager=True)
    if given == pl.Boolean:
        text = values.cast(pl.String)
    elif is_text(given):
        text = values.cast(pl.String).str.strip_chars().str.to_lowercase()
    elif given.is_integer() or given.is_float():
        number = (values.fill_nan(None) if given.is_float() else values).fill_null(0)
        bad = ~number.is_in(_NUMBERS[given.is_float()])
        if bad.any():
            place.refuse(column, bad, values, f"allowed are {_SIDES_TEXT}")
        return number.cast(pl.Int8)
    else:
        place.wrong(column, given, "sides")
    result = text.fill_null("").replace_strict(dict(_SIDES), default=None, return_dtype=pl.Int8)
    if result.null_count():
        place.refuse(column, result.is_null(), values, f"allowed are {_SIDES_TEXT}")
    return result


def _sizes(values: pl.Series, column: str, layout: Layout, place: Place) -> pl.Series:
    given = values.dtype
    lot = layout.lot_units
    one = lot == 10**SCALE
    values = stripped(values)
    lots = f"no multiple of lot {layout.lot}"
    whole = lots if layout.lot is not None else "which is no whole number; say what one lot is with lot="
    if given.is_integer() and one:
        return _number(values, pl.Int64(), column, place, "which does not fit int64")
    if given.is_float():
        number = values.fill_nan(None).cast(pl.Float64)
        quotient = number * 10.0**SCALE / lot if lot < 10**SCALE else number / (lot / 10**SCALE)
        near = quotient.round()
        slack = 1e-6 + quotient.abs() * (2.0**-22 if given == pl.Float32 else 2.0**-50)
        off = (quotient - near).abs() > (slack.clip(upper_bound=0.25) if layout.lot is not None else 0.0)
        bad = off | (near.abs() >= 2.0**53) | near.is_infinite()
        if bad.any():
            place.refuse(column, bad, values, whole)
        return near.cast(pl.Int64)
    if given != pl.String and not given.is_decimal() and not given.is_integer():
        place.wrong(column, given, "numbers")
    units = _number(values, pl.Decimal(38, SCALE), column, place, "which is no number").to_physical().alias("u")
    count = pl.col("u") // pl.lit(lot, pl.Int128)
    parts = units.to_frame().select(k=count.cast(pl.Int64, strict=False), r=pl.col("u") - count * pl.lit(lot, pl.Int128))
    bad = (parts["r"] != 0) | (parts["k"].is_null() & units.is_not_null())
    if bad.any():
        place.refuse(column, bad, values, whole)
    return parts["k"]


_READ: Final[Mapping[str, Callable[[pl.Series, str, Layout, Place], pl.Series]]] = {
    "symbol": _symbols, "time": int_times, "price": _prices, "size": _sizes, "side": _sides, "seq": _seqs,
    "received": int_times,
}  # fmt: skip
