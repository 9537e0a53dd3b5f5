"""A frame is right for speed, a row for a user's lambda. This is the way from frames to rows; `batch` is the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc

from rxfeed.frame import Frame, is_frame
from rxfeed.model import Bar, Depth, Quote, Tick

from ._turns import Turns

T = TypeVar("T", Tick, Quote, Depth, Bar)


def each() -> Callable[[Observable[Frame[T]]], Observable[T]]:
    """Emit the rows of each frame, one by one.

        --[ab]----[c]--|
        each()
        --ab------c----|

    Returns:
        An operator from frames to rows.

    Ends: with the source. Nothing is pending.
    Drops: nothing.
    Clock: none.
    """

    def operator(source: Observable[Frame[T]]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            turns = Turns(observer)

            def rows(frame: Any) -> list[T]:
                if not is_frame(frame):
                    raise TypeError(f"each takes frames, got {type(frame).__name__}")
                return frame.rows()

            def on_next(frame: Frame[T]) -> None:
                turns.take(lambda: rows(frame))

            return source.subscribe(on_next, turns.fail, turns.complete, scheduler=scheduler)

        return Observable(subscribe)

    return operator
