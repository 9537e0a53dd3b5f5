"""Bars as a table for people: the columns one looks at, as wide as they need to be, a block of rows at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import polars as pl

from rxfeed.model import Flag

_TEXT: Final = frozenset({"symbol", "timeframe", "start", "flags"})
_BLOCK: Final = 10_000


class BarLines:
    """Bars as lines of text; the head once, and columns that may grow from block to block but never shrink.

    Args:
        room: how wide columns are from the start, by name, since what is still to come may be longer.
    """

    def __init__(self, room: Mapping[str, int] | None = None) -> None:
        self._room = room or {}
        self._widths: list[int] | None = None

    def text(self, bars: pl.DataFrame) -> str:
        """Return some bars, one or more, as lines; the first ones with the head."""
        columns = _columns(bars)
        needed = [max(len(name), self._room.get(name, 0), *map(len, cells)) for name, cells in columns]
        names = [name for name, _ in columns]
        head = [names] if self._widths is None else []
        widths = self._widths = [max(pair) for pair in zip(self._widths or needed, needed, strict=True)]
        rows = zip(*(cells for _, cells in columns), strict=True)
        return "".join(_line(names, row, widths) + "\n" for row in (*head, *rows))


def print_table(blocks: Iterable[pl.DataFrame]) -> None:
    """Print bars."""
    lines = BarLines()
    none = True
    for frame in blocks:
        for block in frame.iter_slices(_BLOCK):
            none = False
            # A line at a time: of one large write that is cut short, Python does not say that nobody reads the rest.
            sys.stdout.writelines(lines.text(block).splitlines(keepends=True))
    if none:
        print("no bars")


def print_rows(names: Sequence[str], rows: Sequence[Sequence[str]], right: Iterable[str] = ()) -> None:
    """Print a small table."""
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        cells = zip(names, row, widths, strict=True)
        print("  ".join(cell.rjust(w) if name in right else cell.ljust(w) for name, cell, w in cells).rstrip())


def _line(names: Sequence[str], cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (c.ljust(w) if n in _TEXT else c.rjust(w) for n, c, w in zip(names, cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _columns(bars: pl.DataFrame) -> list[tuple[str, list[str]]]:
    start = bars["start"].dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_list()
    prices = [(name, [f"{price:.10g}" for price in bars[name].to_list()]) for name in ("open", "high", "low", "close")]
    counts = [
        (name, ["" if value is None else str(value) for value in bars[name].to_list()])
        for name in ("volume", "count", "buy_volume", "sell_volume")
    ]
    flags = [flag_names(value) for value in bars["flags"].to_list()]
    return [
        ("symbol", bars["symbol"].to_list()), ("timeframe", bars["timeframe"].to_list()), ("start", start),
        *prices, *counts, ("flags", flags),
    ]  # fmt: skip


def flag_names(flags: int) -> str:
    """Return flags as words."""
    return " ".join(flag.name or "" for flag in Flag(flags))
