"""What a source's columns mean, which of them there are, and where in it a bad value stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

import polars as pl

from rxfeed.errors import InputError
from rxfeed.frame import TICK_SCHEMA

Lot = str | float | int | Decimal
REQUIRED: Final = ("time", "price", "size")
TIME_UNITS: Final = ("ns", "us", "ms", "s")
SCALE: Final = 18
"""Digits behind the point that a size or a lot may have; 38 in all."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a source's columns mean.

    Args:
        map: rxfeed's name -> the source's column; None leaves a column of rxfeed's name unread.
        time_unit: of times that are numbers: "ns", "us", "ms" or "s" since the epoch.
        symbol: of every tick, where there is no symbol column.
        lot: what a size of 1 stands for, in the source's unit; sizes are divided by it.

    Raises:
        InputError: an unknown name or unit, or a lot that is no finite number above 0 with at most 18 decimals.
    """

    map: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    time_unit: str | None = None
    symbol: str | None = None
    lot: Lot | None = None

    def __post_init__(self) -> None:
        for name in self.map:
            if name not in TICK_SCHEMA:
                raise InputError(f"map has no use for {name!r}; allowed are {', '.join(TICK_SCHEMA)}")
        if self.time_unit is not None and self.time_unit not in TIME_UNITS:
            raise InputError(f"time_unit must be one of {', '.join(TIME_UNITS)}, got {self.time_unit!r}")
        if self.symbol is not None and not self.symbol:
            raise InputError("symbol must not be empty")
        _ = self.lot_units

    @property
    def lot_units(self) -> int:
        """The lot in units of 1e-18; 1e18 without one."""
        try:
            units = Decimal(1 if self.lot is None else str(self.lot)).scaleb(SCALE)
        except InvalidOperation:
            units = Decimal("nan")
        if not units.is_finite() or units <= 0 or units != units.to_integral_value():
            raise InputError(f"lot must be a number above 0 with at most {SCALE} decimals, got {self.lot!r}")
        return int(units)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block comes from, for errors: the source's name and how many rows came before."""

    source: str
    before: int = 0

    def refuse(self, column: str, bad: pl.Series, values: pl.Series, why: str) -> NoReturn:
        """Raise for the first row where `bad` is true."""
        index = bad.fill_null(value=False).arg_max() or 0
        raise InputError(f"{self.source}, row {self.before + index + 1}: column {column!r} holds {values[index]!r}, {why}")

    def no_nulls(self, column: str, values: pl.Series) -> None:
        """Raise if there is a null."""
        if nulls := values.null_count():
            first = (values.is_null().arg_max() or 0) + 1
            rows = f"{nulls} of rows {self.before + 1} to {self.before + len(values)}"
            where = f"first in row {self.before + first}"
            raise InputError(f"{self.source}: column {column!r} is null in {rows}, {where}; none may be")

    def wrong(self, column: str, given: pl.DataType, wanted: str) -> NoReturn:
        """Raise for a column of a type that cannot be meant."""
        raise InputError(f"{self.source}: column {column!r} must hold {wanted}, got {given}")


def resolve(available: list[str], layout: Layout, source: str) -> dict[str, str]:
    """Return rxfeed's name -> column for all that the source has.

    Raises:
        InputError: a mapped or a required column is not there, or symbols are given twice or not at all.
    """
    given = ", ".join(available) or "none"
    found: dict[str, str] = {}
    for name in TICK_SCHEMA:
        column = layout.map.get(name, name)
        if column is not None and column in available:
            found[name] = column
        elif column is not None and name in layout.map:
            raise InputError(f"{source}: no column {column!r} for {name}; given are {given}")
        elif name in REQUIRED:
            raise InputError(f"{source}: no column {name!r}; say which with map={{{name!r}: ...}}; given are {given}")
    if "symbol" in found and layout.symbol is not None:
        raise InputError(f"{source}: symbol={layout.symbol!r} is given, but there is a column {found['symbol']!r} too")
    if "symbol" not in found and layout.symbol is None:
        raise InputError(f"{source}: no symbol column; map one, or give symbol= for all rows; given are {given}")
    return found


def stripped(values: pl.Series) -> pl.Series:
    """Return text without spaces around it, null where nothing is left; other types as they are."""
    if values.dtype != pl.String:
        return values
    values = values.str.strip_chars()
    return values.set(values == "", None)


def is_text(dtype: pl.DataType) -> bool:
    """Return whether a column is text of some kind."""
    return isinstance(dtype, (pl.String, pl.Categorical, pl.Enum))
