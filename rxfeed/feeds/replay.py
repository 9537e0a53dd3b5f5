"""Recorded ticks played again: as fast as they can be read, or at the pace at which they happened.

A replay is synchronous. Nothing waits between the file and the last operator, so a bar is exact and a run repeats; the
clock that is handed in moves with the ticks, so that timers fire in event time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeGuard, overload

import polars as pl
from reactivex import Observable

from rxfeed.clock import Clock, ReplayClock
from rxfeed.feeds.layout import Layout, Lot
from rxfeed.feeds.merging import Order
from rxfeed.feeds.pacing import Pieces
from rxfeed.feeds.playing import PIECE, made, play
from rxfeed.feeds.progress import watch
from rxfeed.feeds.readers import CHUNK, Source, check_ticks, frames_of
from rxfeed.frame import Frame
from rxfeed.model import Tick

Rows = Iterable[Tick]


@overload
def replay(
    source: Source | Rows, *more: Source | Rows, frames: Literal[False] = False,
    map: Mapping[str, str | None] | None = None, time_unit: str | None = None,
    symbol: str | None = None, lot: Lot | None = None, order: Order = "time", chunk: int = CHUNK, speed: float | None = None,
    clock: ReplayClock | None = None, pace: Clock | None = None, progress: bool | None = None,
) -> Observable[Tick]: ...  # fmt: skip
@overload
def replay(
    source: Source | Rows, *more: Source | Rows, frames: Literal[True],
    map: Mapping[str, str | None] | None = None, time_unit: str | None = None,
    symbol: str | None = None, lot: Lot | None = None, order: Order = "time", chunk: int = CHUNK, speed: float | None = None,
    clock: ReplayClock | None = None, pace: Clock | None = None, progress: bool | None = None,
) -> Observable[Frame[Tick]]: ...  # fmt: skip
def replay(
    source: Source | Rows, *more: Source | Rows, frames: bool = False,
    map: Mapping[str, str | None] | None = None, time_unit: str | None = None,
    symbol: str | None = None, lot: Lot | None = None, order: Order = "time", chunk: int = CHUNK, speed: float | None = None,
    clock: ReplayClock | None = None, pace: Clock | None = None, progress: bool | None = None,
) -> Observable[Any]:  # fmt: skip
    """Emit the ticks of files, folders, tables, frames or lists, read anew for each subscriber.

    Args:
        source: a path of Parquet, CSV, NDJSON or Arrow IPC; a folder of them (with its subfolders, in order of name); a
            DataFrame, LazyFrame or `Frame[Tick]`; or an iterable of ticks. Frames and ticks are in rxfeed's own form, and
            `map`, `time_unit`, `symbol` and `lot` do not concern them.
        more: further sources.
        frames: emit frames of `chunk` ticks, the last one shorter, instead of ticks.
        map: rxfeed's name -> the file's column, for those that differ: `{"time": "timestamp", "size": "amount"}`; None
            leaves a column unread. Without `seq`, rows are numbered in the order in which they come out.
        time_unit: "ns", "us", "ms" or "s", for times that are numbers. Float times are read to the microsecond, text and
            integers exactly. A time without a zone is UTC; one that does not fit int64 nanoseconds is UNKNOWN_TIME.
        symbol: of all rows, where there is no symbol column.
        lot: one lot in the file's unit, such as 0.000001; sizes are divided by it and must come out whole.
        order: "time" merges several sources by time, stable in their order; a row that goes back stays where it is among its
            own source's rows. "given" plays one after another.
        chunk: rows that are read at a time, at least 1. It changes no tick.
        speed: seconds of event time a second: 1 is real time, 60 an hour a minute; None is as fast as possible. An element is
            emitted when it is due (a frame: when its last row is), counted from the first one.
        clock: moved to each tick's time before the tick is emitted, and to a frame's greatest time after the frame; with
            order "given" only at the end. Always at the greatest time seen when the stream completes.
        pace: who waits, if there is a speed; by default the machine's clock in the running asyncio loop.
        progress: a bar on stderr; None shows it if that is a terminal.

    Returns:
        An observable that runs inside `subscribe` if there is no speed, else in the calls of `pace`.

    Raises:
        ValueError: a speed that is not more than 0, a chunk less than 1, an unknown order.
        InputError: a bad `map`, `time_unit`, `symbol` or `lot`. What is wrong with a source itself goes to `on_error`.

    Ends: after the last row. When a source cannot be read on, with `on_error`; rows less than a chunk before may be missing.
    Drops: nothing. What cannot be read is an error that names row and value.
    Clock: event time; `pace` for the waits.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if order not in ("time", "given"):
        raise ValueError(f'order must be "time" or "given", got {order!r}')
    layout = Layout(map or {}, time_unit, symbol, lot)
    given = (source, *more)

    def pieces() -> Pieces:
        if not frames and not more and _is_rows(source):
            return _as_they_are(source)
        read = frames_of(given, layout, order=order, chunk=chunk, watch=watch(progress))
        return ([frame] for frame in read) if frames else made(read)

    return play(pieces, frames=frames, speed=speed, clock=clock, moving=order == "time", pace=pace)


def _is_rows(source: Source | Rows) -> TypeGuard[Rows]:
    return not isinstance(source, (str, Path, pl.DataFrame, pl.LazyFrame, Frame))


def _as_they_are(rows: Rows) -> Pieces:
    """Yield ticks by the piece, the very same objects."""
    given = iter(rows)
    while piece := list(islice(given, PIECE)):
        yield check_ticks(piece)
