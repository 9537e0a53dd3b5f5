"""A source that anybody wrote: its ticks get numbers that rise, and what its interruptions may have cost is a gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import polars as pl
from reactivex import Observable, abc

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, Stale, brief
from rxfeed.events import Connected, Event, Gapped, Lost, Retrying
from rxfeed.frame import Frame, is_frame
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.runs import Run, RunObservable, RunObserver, run_into

MOST_SYMBOLS: Final = 100_000
"""Whose last tick is remembered."""


class Resumed:
    """The stage behind a source that may be subscribed to again and again.

    `(time, seq)` has to be unique for each symbol. A source that counts anew with each connection, or not at all, is numbered
    as its ticks arrive: those numbers that rise stay as they are.

    Args:
        clock: what time it is.
        tell: hears what happens: `Connected` with the first tick of each connection, `Lost`, `Retrying`, `Gapped`.
        number: whether numbers are looked at.
    """

    def __init__(self, clock: Clock, tell: Callable[[Event], None], *, number: bool = True) -> None:
        self._clock, self._tell, self._number = clock, tell, number
        self._last: dict[str, Tick] = {}  # as it was handed on
        self._open: dict[str, Gap] = {}
        self._offset = 0
        self._most = -1  # the highest number of all
        self._epoch, self._failed = 0, 0
        self._new = True

    def lost(self, attempt: int, error: Exception, seconds: float) -> None:
        """Hear, as `retry(told=...)`, that a connection has ended, and when the next attempt is."""
        now = self._clock.now
        cause = _cause(error)
        self._failed += 1
        if not self._new:
            self._new = True
            self._failed = 1
            self._tell(Lost(time=now, hub="market", cause=cause, text=brief(error)))
            for symbol, last in self._last.items():
                if symbol not in self._open:
                    gap = self._open[symbol] = Gap(symbol, last.time, ONGOING, cause)
                    self._tell(Gapped(time=now, gap=gap))
        self._tell(Retrying(time=now, hub="market", attempt=self._failed, wait=seconds, text=brief(error)))

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        """Return the source's ticks, or frames of ticks, with numbers that rise."""

        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            run, one = run_into(observer), observer.on_next

            def on_run(ticks: Run) -> None:
                if self._new and ticks:
                    self._connected()
                run(ticks if not self._open and self._rise(ticks) else [self._take(tick) for tick in ticks])

            def on_next(element: Any) -> None:
                if is_frame(element):
                    element = self._frame(element)
                elif self._new:
                    self._connected()
                one(self._take(element) if element.__class__ is Tick else element)

            return RunObserver(on_next, on_run, observer.on_error, observer.on_completed).to(source, scheduler)

        return RunObservable(subscribe)

    def _connected(self) -> None:
        self._new = False
        self._epoch += 1
        self._tell(Connected(time=self._clock.now, hub="market", epoch=self._epoch, attempts=self._failed + 1))
        self._failed = 0

    def _rise(self, ticks: Run) -> bool:
        """Take ticks whose numbers rise above all that were, as they are; False if they are to be looked at one by one."""
        if self._offset:
            return False
        most, last = self._most, self._last
        for tick in ticks:
            if self._number and tick.seq <= most:
                return False
            most = tick.seq
        for tick in ticks:
            last[tick.symbol] = tick
        self._most = most
        self._forget()
        return True

    def _take(self, tick: Tick) -> Tick:
        symbol, number = tick.symbol, tick.seq + self._offset
        if self._number:
            last = self._last.get(symbol)
            if last is not None and number <= last.seq:
                self._offset += self._most + 1 - number  # above every symbol's, so that each counts on
                number = self._most + 1
            self._most = max(self._most, number)
            if number != tick.seq:
                tick = msgspec.structs.replace(tick, seq=number)
        if self._open and symbol in self._open:
            self._closed(symbol, tick.time)
        self._last[symbol] = tick
        self._forget()
        return tick

    def _forget(self) -> None:
        while len(self._last) > MOST_SYMBOLS:
            del self._last[next(iter(self._last))]

    def _frame(self, frame: Frame[Tick]) -> Frame[Tick]:
        if not len(frame):
            return frame
        if self._new:
            self._connected()
        df = frame.df
        if self._number:
            low = int(df["seq"].min() or 0) + self._offset  # pyright: ignore[reportArgumentType]
            if low <= self._most or df["seq"].n_unique() < df.height:
                df = df.with_columns(pl.int_range(self._most + 1, self._most + 1 + df.height, dtype=pl.Int64).alias("seq"))
                frame = Frame.trusted(df, Tick)
            elif self._offset:
                frame = Frame.trusted(df.with_columns(pl.col("seq") + self._offset), Tick)
            self._most = int(frame.df["seq"].max())  # pyright: ignore[reportArgumentType]
        ends = frame.df.group_by("symbol", maintain_order=True).agg(
            first=pl.col("time").first().cast(pl.Int64), last=pl.col("time").last().cast(pl.Int64), seq=pl.col("seq").max()
        )
        for symbol, first, last, number in ends.iter_rows():
            if symbol in self._open:
                self._closed(symbol, first)
            self._last[symbol] = Tick(symbol, last, 0.0, 0, 0, number)
        return frame

    def _closed(self, symbol: str, time: int) -> None:
        gap = self._open.pop(symbol)
        whole = Gap(symbol, min(gap.start, time), max(gap.start, time), gap.cause)
        self._tell(Gapped(time=self._clock.now, gap=whole))


def _cause(error: Exception) -> str:
    if isinstance(error, ConnectionLost):
        return error.cause
    return "silent" if isinstance(error, Stale) else "dropped"
