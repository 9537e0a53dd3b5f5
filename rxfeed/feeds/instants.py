"""Times of foreign columns as int64 nanoseconds since the epoch: datetimes, numbers of a unit, or ISO 8601 text.

Text is never read as a float on the way to an integer: `1570752011.620000001` keeps each digit. A datetime or a text that
does not fit int64 nanoseconds, such as year 1, .NET's default, becomes `UNKNOWN_TIME`, which validation rejects; without
a zone it is UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import polars as pl

from rxfeed.errors import InputError
from rxfeed.feeds.layout import TIME_UNITS, Layout, Place, is_text, stripped
from rxfeed.model import UNKNOWN_TIME
from rxfeed.times import FOREVER, NANOSECONDS

_FLOAT_TICKS: Final[Mapping[str, int]] = {"s": 1_000_000, "ms": 1_000, "us": 1}
_LAST_SECOND: Final = FOREVER // NANOSECONDS["s"] - 1
_ISO: Final = r"^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:[.,](\d+))? ?(?:[Zz]|UTC|([+-]\d{2}):?(\d{2}))?$"
_NUMBER: Final = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$"


def int_times(values: pl.Series, column: str, layout: Layout, place: Place) -> pl.Series:
    """Return a column of times as int64 nanoseconds, null where it is null.

    Raises:
        InputError: a wrong type, numbers without a unit, or a value that cannot be read or does not fit.
    """
    given, unit = values.dtype, layout.time_unit
    if isinstance(given, pl.Datetime):
        factor = NANOSECONDS[given.time_unit]
        number = values.to_physical()
        inside = number.abs() <= FOREVER // factor
        return _known(number * factor, inside)
    if is_text(given):
        return _text_times(stripped(values.cast(pl.String)), unit, column, place)
    if not (given.is_integer() or given.is_float()):
        place.wrong(column, given, "times")
    if unit is None:
        raise InputError(f"{place.source}: column {column!r} holds numbers ({given}); give time_unit={', '.join(TIME_UNITS)}")
    if given.is_float():
        values = values.fill_nan(None)
    factor = NANOSECONDS[unit]
    # FOREVER as a float is 2 ** 63, which no longer fits.
    bad = values.cast(pl.Float64).abs() >= float(FOREVER // factor) if given.is_float() else _beyond(values, FOREVER // factor)
    if bad.any():
        place.refuse(column, bad, values, f"which in {unit} does not fit int64 nanoseconds")
    if given.is_integer():
        return values.cast(pl.Int64) * factor
    values = values.cast(pl.Float64)
    if unit == "ns":
        return values.round().cast(pl.Int64)
    # A double holds a time of today to a quarter of a microsecond, so the nearest one is what its author meant.
    ticks = _FLOAT_TICKS[unit]
    floor = values.floor()
    return floor.cast(pl.Int64) * factor + ((values - floor) * ticks).round().cast(pl.Int64) * (factor // ticks)


def _beyond(values: pl.Series, limit: int) -> pl.Series:
    least, most = cast("tuple[int | None, int | None]", (values.min(), values.max()))
    if least is None or most is None or (-limit <= least and most <= limit):
        return pl.repeat(False, len(values), dtype=pl.Boolean, eager=True)
    return values.cast(pl.Int128).to_frame("v").select(pl.col("v").abs() > pl.lit(limit, pl.Int128)).to_series()


def _text_times(text: pl.Series, unit: str | None, column: str, place: Place) -> pl.Series:
    numbers = text.str.contains(_NUMBER)
    if unit is None or not numbers.any():
        result = _iso_times(text)
    else:
        scale = len(str(NANOSECONDS[unit])) - 1
        wide = text.cast(pl.Decimal(38, scale), strict=False).to_physical()
        result = wide.cast(pl.Int64, strict=False)
        if (result.is_null() & numbers).any():
            place.refuse(column, result.is_null() & numbers, text, f"which in {unit} does not fit int64 nanoseconds")
        if result.null_count() > text.null_count():
            result = result.zip_with(result.is_not_null(), _iso_times(text))
    if result.null_count() > text.null_count():
        bad = result.is_null() & text.is_not_null()
        units = ", ".join(TIME_UNITS)
        number = unit is None and bool(numbers[bad.arg_max() or 0])
        place.refuse(column, bad, text, f"a number; give time_unit={units}" if number else "which is no ISO 8601 time")
    return result


def _iso_times(text: pl.Series) -> pl.Series:
    """Return ISO 8601 text as int64 nanoseconds; null where it is none, UNKNOWN_TIME where it does not fit."""
    index = text.is_not_null().arg_max()
    sample = str(text[index]) if index is not None and len(text) else ""
    zone = "Z" if sample.endswith("Z") else "%z" if sample[-6:-5] in ("+", "-") or sample[-5:-4] in ("+", "-") else ""
    form = f"%Y-%m-%d{'T' if 'T' in sample else ' '}%H:%M:%S%.f{zone}"
    micro = text.str.to_datetime(form, time_unit="us", strict=False).to_physical()
    if micro.null_count() == text.null_count():
        inside = (micro // 1_000_000).abs() < _LAST_SECOND
        nano = text.str.to_datetime(form, time_unit="ns", strict=False).to_physical()  # wraps where it does not fit
        return _known(nano, inside)
    parts = text.str.extract_groups(_ISO).struct.unnest()
    day = (parts["1"] + " " + parts["2"]).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
    hours, minutes = parts["4"].cast(pl.Int64), parts["5"].cast(pl.Int64)
    minutes = minutes.zip_with(~parts["4"].str.starts_with("-").fill_null(value=False), -minutes)
    offset = (hours * 3_600 + minutes * 60).fill_null(0)
    seconds = day.to_physical() // 1_000_000 - offset
    fraction = parts["3"].str.slice(0, 9).str.pad_end(9, "0").cast(pl.Int64).fill_null(0)
    inside = seconds.abs() < _LAST_SECOND
    return _known(seconds * NANOSECONDS["s"] + fraction, inside)


def _known(nanoseconds: pl.Series, inside: pl.Series) -> pl.Series:
    unknown = pl.repeat(UNKNOWN_TIME, len(nanoseconds), dtype=pl.Int64, eager=True)
    return nanoseconds.zip_with(inside.fill_null(value=True), unknown)
