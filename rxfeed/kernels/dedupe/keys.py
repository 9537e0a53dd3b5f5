"""What tells one element from another: fields of it, as Python values for rows and as columns of ints for frames.

Both forms must mean the same: equal is what Python calls equal, but for NaN, which here equals itself, as null does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter
from typing import Any, Final, cast

import numpy as np
import polars as pl

from rxfeed.frame import SCHEMAS, TIME, Array, Frame
from rxfeed.model import Depth, Quote, Tick

KINDS: Final = (Tick, Quote, Depth)
_FLOATS: Final = frozenset({"price", "bid", "ask", "last"})
_NEVER_NULL: Final = frozenset({"time", "seq", "size", "side", "kind", "epoch"})
_NAN: Final = math.nan
_FIELDS: Final = tuple(dict.fromkeys(name for kind in KINDS for name in SCHEMAS[kind] if name != "symbol"))

KeyLike = str | tuple[str, ...] | Callable[[Any], Hashable]


class Key:
    """The key of an element, without its symbol and its kind, which always belong to it.

    Args:
        key: a field's name, several, or a callable from a row to something hashable.

    Raises:
        ValueError: a name that is no field, or none besides the symbol.
        TypeError: neither names nor a callable.
    """

    __slots__ = ("names", "of", "text")

    def __init__(self, key: KeyLike) -> None:
        self.text: Final = repr(key)
        self.names: Final = None if callable(key) else _names(key)
        self.of: Final[Callable[[Any], Hashable]] = key if callable(key) else _getter(self.names or ())

    def check(self, kind: type[Any]) -> None:
        """Refuse a kind of element that lacks a field.

        Raises:
            TypeError: it does.
        """
        for name in self.names or ():
            if name not in SCHEMAS[kind]:
                raise TypeError(f"dedupe by {self.text} takes elements that have {name!r}, got {kind.__name__}")

    def schema(self) -> dict[str, pl.DataType]:
        """Return the columns of keys in a table of what is remembered; there all that is no price is Int64."""
        return {name: pl.Float64() if name in _FLOATS else pl.Int64() for name in self.named()}

    def named(self) -> tuple[str, ...]:
        """Return the fields.

        Raises:
            TypeError: the key is a callable.
        """
        if self.names is None:
            raise TypeError(f"only keys of named fields go into a frame, got the callable {self.text}")
        return self.names

    @property
    def width(self) -> int:
        """How many columns of ints it takes."""
        return sum(1 if name in _NEVER_NULL else 2 for name in self.named())

    def values(self, df: pl.DataFrame) -> list[Hashable]:
        """Return the keys of all rows, as `of` does."""
        columns: list[list[Any]] = []
        for name in self.named():
            series = df[name].cast(pl.Int64) if df[name].dtype == TIME else df[name]
            values = series.to_list()
            columns.append([_NAN if v != v else v for v in values] if name in _FLOATS else values)
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))

    def table(self, keys: Sequence[Hashable]) -> list[pl.Series]:
        """Return keys as the columns of `schema`."""
        names = self.named()
        columns: list[Sequence[Any]] = [keys] if len(names) == 1 else list(zip(*cast("Any", keys), strict=True))
        columns = columns or [()] * len(names)
        return [pl.Series(name, values, dtype) for (name, dtype), values in zip(self.schema().items(), columns, strict=True)]

    def columns(self, frame: Frame[Any]) -> list[Array]:
        """Return the keys of a frame in grouped order, as columns of int64 that are equal where the keys are."""
        found: list[Array] = []
        for name in self.named():
            if name in _NEVER_NULL:
                found.append(frame.grouped(name).astype(np.int64, copy=False))
            else:
                order = frame.groups.order
                found += [column if order is None else column.take(order) for column in _ints(frame.df[name])]
        return found

    def ints(self, df: pl.DataFrame) -> list[Array]:
        """Return the columns of `columns` for a table of `schema`."""
        found: list[Array] = []
        for name in self.named():
            found += [df[name].to_numpy()] if name in _NEVER_NULL else _ints(df[name])
        return found

    def back(self, columns: Sequence[Array]) -> list[pl.Series]:
        """Return columns of ints as those of `schema`."""
        found: list[pl.Series] = []
        rest = iter(columns)
        for name in self.named():
            if name in _NEVER_NULL:
                found.append(pl.Series(name, next(rest), pl.Int64))
                continue
            null, values = next(rest), next(rest)
            series = pl.Series(name, values.view(np.float64) if name in _FLOATS else values)
            found.append(pl.select(pl.when(pl.Series(null == 0)).then(series).alias(name)).to_series())
        return found


def _ints(series: pl.Series) -> list[Array]:
    """Whether a value is null, and the value; of floats their bits, with one zero and one NaN."""
    null = series.is_null().to_numpy().astype(np.int64)
    if series.dtype.is_float():
        values = series.fill_null(0.0).to_numpy() + 0.0
        values[np.isnan(values)] = np.nan
        return [null, values.view(np.int64)]
    return [null, series.cast(pl.Int64).fill_null(0).to_numpy()]


def _names(key: str | tuple[str, ...]) -> tuple[str, ...]:
    names = (key,) if isinstance(key, str) else key
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"key must be a field's name, a tuple of names or a callable, got {key!r}")
    for name in names:
        if name not in (*_FIELDS, "symbol"):
            raise ValueError(f"key must name fields of a tick, quote or depth ({', '.join(_FIELDS)}), got {name!r}")
    names = tuple(name for name in dict.fromkeys(names) if name != "symbol")
    if not names:
        raise ValueError(f"key must name a field besides symbol, which belongs to every key, got {key!r}")
    return names


def _getter(names: tuple[str, ...]) -> Callable[[Any], Hashable]:
    plain: Callable[[Any], Any] = attrgetter(*names)
    if _FLOATS.isdisjoint(names):
        return plain
    if len(names) == 1:
        return lambda element: _NAN if (value := plain(element)) != value else value
    return lambda element: tuple([_NAN if value != value else value for value in plain(element)])
