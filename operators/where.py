"""Selection that is fast on both lanes: a callable judges rows, a polars expression judges frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import polars as pl
from reactivex import Observable, abc

from rxfeed.frame import Frame, is_frame
from rxfeed.model import Bar, Depth, Quote, Tick

from ._degraded import passed_on

T = TypeVar("T")
F = TypeVar("F", Tick, Quote, Depth, Bar)


@overload
def where(condition: pl.Expr) -> Callable[[Observable[Frame[F]]], Observable[Frame[F]]]: ...
@overload
def where(condition: Callable[[T], bool]) -> Callable[[Observable[T]], Observable[T]]: ...
def where(condition: Any) -> Callable[[Observable[Any]], Observable[Any]]:
    """Pass the rows for which the condition holds.

        --1--2--3--4--|
        where(even)
        -----2-----4--|

    Args:
        condition: for rows a callable from a row to whether it passes; for frames a polars expression on their columns
            (null counts as no). A frame of which nothing is left is not emitted.

    Returns:
        An operator from rows to rows, or from frames to frames.

    Raises:
        TypeError: neither a callable nor an expression; or, as the stream's error, an expression on rows.

    Ends: with the source, or with what the condition raises. Nothing is pending.
    Drops: what the condition does not hold for.
    Clock: none.
    """
    if not isinstance(condition, pl.Expr) and not callable(condition):
        raise TypeError(f"condition must be a callable for rows or a polars expression for frames, got {condition!r}")

    def judge(element: Any) -> Any:
        if not isinstance(condition, pl.Expr):
            return element if condition(element) else None
        if not is_frame(element):
            raise TypeError(f"where with an expression takes frames, got {type(element).__name__}; give a callable for rows")
        kept = element.df.filter(condition)
        return None if kept.height == 0 else element if kept.height == len(element) else Frame(kept, element.kind)

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            def on_next(element: Any) -> None:
                try:
                    passed = judge(element)
                except Exception as error:
                    observer.on_error(error)
                else:
                    if passed is not None:
                        observer.on_next(passed)

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return passed_on(Observable(subscribe), source)

    return operator
