"""The last step of looking at what happened: all that a stream gave, as one table."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar, cast, overload

import polars as pl
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.errors import Overflow
from rxfeed.frame import SCHEMAS, Frame, is_frame, name_of
from rxfeed.model import Bar, Depth, Quote, Tick

from ._call import Called, call
from ._degraded import refuse_partials
from ._turns import Turns

T = TypeVar("T", Tick, Quote, Depth, Bar)

_PIECE: Final = 131_072
"""Rows are put into a frame as soon as there are so many, since as objects they weigh several times as much."""


class CollectStats(NamedTuple):
    """Rows by what became of them: received = emitted + dropped + pending."""

    received: int
    emitted: int
    dropped: int
    """Those gathered before the stream failed or was left."""
    pending: int


class Collect(Called):
    """What `collect` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, kind: type[Any] | None, limit: int, call: str) -> None:
        super().__init__(call)
        self._kind, self._limit = kind, limit
        self._newest = _Table(kind, limit)

    @property
    def stats(self) -> CollectStats:
        """Rows by what became of them: received = emitted + dropped + pending."""
        return self._newest.stats

    @overload
    def __call__(self, source: Observable[Frame[T]]) -> Observable[Frame[T]]: ...
    @overload
    def __call__(self, source: Observable[T]) -> Observable[Frame[T]]: ...
    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        refuse_partials(source, "collect", "a frame holds rows of one kind")

        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            table = self._newest = _Table(self._kind, self._limit)
            turns = Turns(observer, table.clear)
            rows = table.rows

            def on_next(element: Any) -> None:
                if type(element) is table.kind and len(rows) < table.room:
                    rows.append(element)
                    return
                try:
                    table.add(element)
                except Exception as error:
                    turns.fail(error)

            def on_completed() -> None:
                turns.complete(table.take)

            return CompositeDisposable(
                source.subscribe(on_next, turns.fail, on_completed, scheduler=scheduler), Disposable(turns.end)
            )

        return Observable(subscribe)


def collect(kind: type[Tick | Quote | Depth | Bar] | None = None, *, limit: int = 10_000_000) -> Collect:
    """Gather all rows, or the rows of all frames, into one frame, which comes when the source completes.

        --[ab]----[c]--|
        collect()
        ---------------([abc]|)

    `stream.pipe(collect()).run()` returns the frame of a replay, and `await stream.pipe(collect())` that of a live stream;
    its `df` is the polars DataFrame.

    Args:
        kind: what a row is; need be said only when there may be none.
        limit: the most rows it holds, 1 or more.

    Returns:
        An operator from rows of one kind, or frames of them, to one frame; its `stats` counts rows.

    Raises:
        ValueError: `limit` below 1; or, as the stream's error, a stream of no rows at all whose `kind` was not said.
        Overflow: as the stream's error, more rows than `limit`.

    Ends: with the frame on completion; with nothing but the error on an error.
    Drops: nothing, unless the source fails: then all that was gathered, and `stats` counts it.
    Clock: none.
    """
    text = call(collect, locals())
    if kind is not None and kind not in SCHEMAS:
        raise TypeError(f"kind must be Tick, Quote, Depth or Bar, got {kind!r}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    return Collect(kind, limit, text)


class _Table:
    """What was gathered: whole frames, and rows that are not yet in one. `room` is how long `rows` may get until `add`."""

    __slots__ = ("_dropped", "_emitted", "_frames", "_held", "_limit", "kind", "room", "rows")

    def __init__(self, kind: type[Any] | None, limit: int) -> None:
        self.kind = kind
        self.rows: list[Any] = []
        self._frames: list[Frame[Any]] = []
        self._held = self._emitted = self._dropped = 0
        self._limit = limit
        self.room = min(_PIECE, limit)

    @property
    def stats(self) -> CollectStats:
        pending = self._held + len(self.rows)
        return CollectStats(self._emitted + self._dropped + pending, self._emitted, self._dropped, pending)

    def add(self, element: Any) -> None:
        """Take a row or a frame, after those before have been packed."""
        kind: type[Any] = cast("type[Any]", element.kind if is_frame(element) else type(element))
        if kind not in SCHEMAS or kind is not (self.kind or kind):
            wanted = "Tick, Quote, Depth, Bar" if self.kind is None else self.kind.__name__
            raise TypeError(f"collect takes {wanted} or frames of one kind, got {name_of(element)}")
        self.kind = kind
        self._pack()
        if self._held + (len(element) if is_frame(element) else 1) > self._limit:
            raise Overflow(f"collect holds at most {self._limit:,} rows, and more came; give it a higher limit")
        if is_frame(element):
            self._keep(element)
        else:
            self.rows.append(element)

    def take(self) -> list[Frame[Any]]:
        """Return all as one frame, and be empty."""
        self._pack()
        frames = self._frames or [Frame.of([], self.kind)]
        whole = frames[0] if len(frames) == 1 else Frame(pl.concat([frame.df for frame in frames]), frames[0].kind)
        self._emitted, self._held = len(whole), 0
        self._frames.clear()
        return [whole]

    def clear(self) -> None:
        """Drop what is pending."""
        self._dropped += self._held + len(self.rows)
        self._held = 0
        self._frames.clear()
        self.rows.clear()

    def _pack(self) -> None:
        if self.rows:
            self._keep(Frame.of(self.rows, self.kind))
            self.rows.clear()

    def _keep(self, frame: Frame[Any]) -> None:
        self._frames.append(frame)
        self._held += len(frame)
        self.room = min(_PIECE, self._limit - self._held)
