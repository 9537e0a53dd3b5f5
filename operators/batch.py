"""Columns are some twenty times as fast as rows, so what needs no row at a time is better off with frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.clock import Clock, Timer
from rxfeed.frame import Frame
from rxfeed.model import Bar, Depth, Quote, Tick
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.times import Duration, nanoseconds

from ._degraded import refuse_partials
from ._turns import Turns

T = TypeVar("T", Tick, Quote, Depth, Bar)


def batch(
    size: int = 131_072, period: Duration | None = None, *, scheduler: Timed = None
) -> Callable[[Observable[T]], Observable[Frame[T]]]:
    """Gather rows into frames of `size`, or of what came within `period`.

        --a--b--c--d--e--|
        batch(2)
        -----[ab]--[cd]--([e]|)

    Args:
        size: rows a frame, 1 or more.
        period: a frame that has waited this long since its first row goes out as it is. It needs a clock.
        scheduler: the clock that the period goes by, or its scheduler; the subscriber's by default, if it is one of ours.

    Returns:
        An operator from rows of one kind to frames.

    Raises:
        ValueError: `size` below 1, `period` of 0, or a period without a clock (when it is subscribed).

    Ends: what is pending goes out before completion, and before an error too, since it came before it.
    Drops: nothing.
    Clock: the scheduler's, for `period`; one timer at a time.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    wait = None if period is None else nanoseconds(period, name="period")
    if wait == 0:
        raise ValueError(f"period must be more than 0, got {period!r}")

    def operator(source: Observable[T]) -> Observable[Frame[T]]:
        refuse_partials(source, "batch", "a frame holds rows of one kind")

        def subscribe(observer: abc.ObserverBase[Frame[T]], subscriber: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            clock: Clock | None = clock_of(scheduler) or own_clock(subscriber)
            if wait is not None and clock is None:
                raise ValueError("batch with a period needs a clock: give it or subscribe() a scheduler")
            rows: list[T] = []
            timer: Timer | None = None

            def stop() -> None:
                nonlocal timer
                if timer is not None:
                    timer.cancel()
                    timer = None

            turns = Turns(observer, stop)

            def gathered() -> list[Frame[T]]:
                nonlocal rows
                stop()
                ready, rows = rows, []
                return [_frame(ready)] if ready else []

            def flush() -> None:
                turns.take(gathered)

            def add(row: T) -> list[Frame[T]]:
                nonlocal timer
                rows.append(row)
                if len(rows) >= size:
                    return gathered()
                if wait is not None and timer is None and clock is not None:
                    timer = clock.call_at(clock.now + wait, flush)
                return []

            def on_next(row: T) -> None:
                if turns.busy or len(rows) + 1 >= size or (wait is not None and timer is None):
                    turns.take(lambda: add(row))
                else:
                    rows.append(row)

            def on_error(error: Exception) -> None:
                turns.fail(error, gathered)

            def on_completed() -> None:
                turns.complete(gathered)

            return CompositeDisposable(
                source.subscribe(on_next, on_error, on_completed, scheduler=subscriber), Disposable(turns.end)
            )

        return Observable(subscribe)

    return operator


def _frame(rows: list[T]) -> Frame[T]:
    kinds = {type(row).__name__: None for row in rows}
    if len(kinds) > 1 or not kinds.keys() <= {"Tick", "Quote", "Depth", "Bar"}:
        raise TypeError(f"batch takes rows of one kind, Tick, Quote, Depth or Bar, got {', '.join(kinds)}")
    return Frame.of(rows)
