"""`retry` and `circuit_breaker` care for how an attempt begins and how it ends. In between lies every tick of the day, and
those must cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.runs import Run, RunObservable, RunObserver


def _ignore(_: Any) -> None:
    pass


class Passing(RunObserver):
    """One attempt's observer: it says when the first element comes, and from then on hands elements on as they are.

    Args:
        observer: who gets them.
        begun: called before the first one is handed on; it may dispose of this.
        on_error: called with the error.
        on_completed: called at completion.
    """

    __slots__ = ("_begun", "_observer")

    def __init__(
        self,
        observer: abc.ObserverBase[Any],
        begun: Callable[[], None],
        on_error: Callable[[Exception], None],
        on_completed: Callable[[], None],
    ) -> None:
        super().__init__(self._first, self._first_run, on_error, on_completed)
        self._observer, self._begun = observer, begun

    def to(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Subscribe to a source."""
        if isinstance(source, RunObservable):
            return super().to(source, scheduler)
        emit = self._observer.on_next

        def first(value: Any) -> None:
            nonlocal forward
            forward = emit
            if not self._stopped:
                self._begun()
            if not self._stopped:
                emit(value)

        # One variable that changes is all that an element meets, and a method would cost twice that.
        forward = first

        def on_next(value: Any) -> None:
            forward(value)

        def on_error(error: Exception) -> None:
            nonlocal forward
            forward = _ignore
            self.on_error(error)

        def on_completed() -> None:
            nonlocal forward
            forward = _ignore
            self.on_completed()

        def leave() -> None:
            nonlocal forward
            forward = _ignore
            self._dispose()

        self._subscription.disposable = source.subscribe(on_next, on_error, on_completed, scheduler=scheduler)
        return Disposable(leave)

    def _pass(self) -> None:
        observer = self._observer
        self._on_next = observer.on_next
        self._on_run = observer.on_run if isinstance(observer, RunObserver) else self._each
        self._begun()

    def _first(self, value: Any) -> None:
        self._pass()
        if not self._stopped:
            self._on_next(value)

    def _first_run(self, ticks: Run) -> None:
        self._pass()
        if not self._stopped:
            self._on_run(ticks)

    def _each(self, ticks: Run) -> None:
        emit = self._observer.on_next
        raised: list[Exception] = []
        for tick in ticks:
            try:
                emit(tick)
            except Exception as error:  # a subscriber's: the rest of the run is not lost by it
                raised.append(error)
        if raised:
            raise raised[0] if len(raised) == 1 else ExceptionGroup(f"a subscriber raised {len(raised)} times", raised)
