"""Where ticks lie: files, folders, tables and frames, all read the same way, as frames of a fixed size."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import polars as pl

from rxfeed.errors import InputError
from rxfeed.feeds.layout import Layout, Lot
from rxfeed.feeds.merging import Order, merged
from rxfeed.feeds.progress import Watch
from rxfeed.feeds.tables import SCANS, FrameSource, TableSource, TickSource
from rxfeed.frame import TICK_SCHEMA, TIME, Frame
from rxfeed.model import Tick

CHUNK: Final = 131_072
"""Rows in a block unless told: frames of this size are the fastest."""

Source = str | Path | pl.DataFrame | pl.LazyFrame | Frame[Tick]


def sources(given: Iterable[Source | Iterable[Tick]], layout: Layout) -> list[TickSource]:
    """Return the sources behind paths, folders, tables and frames, in order.

    Raises:
        InputError: a path that is not there, a folder without data files, an extension that cannot be read.
    """
    result: list[TickSource] = []
    for n, source in enumerate(given, 1):
        if isinstance(source, Frame):
            result.append(FrameSource(source, f"frame {n}"))
        elif isinstance(source, pl.DataFrame):
            result.append(TableSource(f"table {n}", layout, source.lazy, table=source))
        elif isinstance(source, pl.LazyFrame):
            result.append(TableSource(f"query {n}", layout, lambda source=source: source))
        elif isinstance(source, (str, Path)):
            result += (_file(path, layout) for path in _paths(Path(source)))
        else:
            result.append(FrameSource(Frame[Tick].of(check_ticks(list(source)), Tick), f"list {n}"))
    return result


def check_ticks(rows: list[Tick]) -> list[Tick]:
    """Return rows, if they are ticks.

    Raises:
        InputError: the first one is something else.
    """
    if rows and not isinstance(rows[0], Tick):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all type-checked
        kind = type(rows[0]).__name__
        raise InputError(f"a list must hold ticks, got {kind}; paths and tables are given one by one: replay(*paths)")
    return rows


def columns_of(frame: Frame[Tick]) -> list[list[Any]]:
    """Return a frame's columns as lists, in the order of the fields of `Tick`."""
    columns = ((frame.df[name], dtype) for name, dtype in TICK_SCHEMA.items())
    return [(column.to_physical() if dtype == TIME else column).to_list() for column, dtype in columns]


def _paths(path: Path) -> list[Path]:
    if path.is_dir():
        files = (p for p in path.rglob("*") if p.suffix.lower() in SCANS and not p.name.startswith((".", "_")))
        found = sorted(p for p in files if p.is_file())
        if not found:
            raise InputError(f"{path} holds no data files; allowed are {' '.join(SCANS)}")
        return found
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if path.suffix.lower() not in SCANS:
        raise InputError(f"{path} has an extension that cannot be read; allowed are {' '.join(SCANS)}")
    return [path]


def _file(path: Path, layout: Layout) -> TableSource:
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    kind = path.suffix.lower()
    # A hive folder is named column=value; for a tick that is the symbol, the other parts are known from the rows.
    constants = {key: unquote(value) for key, eq, value in (part.partition("=") for part in path.parent.parts) if eq}
    return TableSource(str(path), layout, lambda: SCANS[kind](path), kind, constants)


def frames_of(
    given: Iterable[Source | Iterable[Tick]], layout: Layout, *, order: Order, chunk: int, watch: Watch | None = None
) -> Generator[Frame[Tick], None, None]:
    """Return the sources' ticks as frames of `chunk` rows, the last one shorter; `seq` counts rows where no source has it.

    Raises:
        ValueError: `chunk` is less than 1.
        InputError: while iterating: a source that is not there or cannot be read, some with `seq` and some without, or files
            without a row.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    return _frames(given, layout, order, chunk, watch)


def _frames(
    given: Iterable[Source | Iterable[Tick]], layout: Layout, order: Order, chunk: int, watch: Watch | None
) -> Generator[Frame[Tick], None, None]:
    opened = sources(given, layout)
    if watch is None:
        yield from merged(opened, order, chunk)
        return
    counts = [source.rows() for source in opened]
    watch.start(None if None in counts else sum(count or 0 for count in counts))
    try:
        for frame in merged(opened, order, chunk):
            yield frame
            watch.advance(len(frame))
    finally:
        watch.stop()


def read(
    source: Source,
    *more: Source,
    map: Mapping[str, str | None] | None = None,
    time_unit: str | None = None,
    symbol: str | None = None,
    lot: Lot | None = None,
    chunk: int = CHUNK,
) -> Generator[Frame[Tick], None, None]:
    """Read sources one after another and yield frames of `chunk` ticks, the last one shorter. See `replay` for the arguments.

    Raises:
        InputError: something that cannot be read as ticks; at once for bad arguments, else when it is met.
    """
    return frames_of((source, *more), Layout(map or {}, time_unit, symbol, lot), order="given", chunk=chunk)
