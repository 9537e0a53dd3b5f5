"""The traceback of an error that came down a stream shows reactivex's frames and no stage. A checkpoint writes on the error
where in the pipeline it passed, and after how much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc

from ._degraded import passed_on
from ._names import checked

T = TypeVar("T")


def checkpoint(name: str) -> Callable[[Observable[T]], Observable[T]]:
    """Note on errors that pass which stage they came through: `in stage 'clean', after 1,204 elements`.

        --1--2--#
        checkpoint("clean")
        --1--2--#

    Args:
        name: of the stage. An error that passes it again, in another subscription or after a retry, is noted once.

    Returns:
        An operator from anything to the same.

    Raises:
        TypeError, ValueError: the name is not text, or empty.

    Ends: with the source. Nothing is pending. What a subscriber raises is not this stage's error, and is not noted.
    Drops: nothing.
    Clock: none.
    """
    stage = f"in stage {checked(name)!r}, after "

    def operator(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            emit = observer.on_next
            count = 0
            below: BaseException | None = None

            def on_next(element: T) -> None:
                nonlocal count, below
                count += 1
                try:
                    emit(element)
                except BaseException as error:
                    # Some sources catch it and send it down as their own.
                    below = error
                    raise

            def end(call: Callable[..., None], *args: Exception) -> None:
                nonlocal below
                try:
                    call(*args)
                except BaseException as error:
                    below = error
                    raise

            def note(error: BaseException) -> None:
                if error is not below and not any(text.startswith(stage) for text in getattr(error, "__notes__", ())):
                    error.add_note(f"{stage}{count:,} element{'' if count == 1 else 's'}")

            def on_error(error: Exception) -> None:
                note(error)
                end(observer.on_error, error)

            def on_completed() -> None:
                end(observer.on_completed)

            try:
                return source.subscribe(on_next, on_error, on_completed, scheduler=scheduler)
            except Exception as error:
                note(error)
                raise

        return passed_on(Observable(subscribe), source)

    return operator
