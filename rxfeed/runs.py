"""Ticks that come together, from one read of a file or one drain of a socket, travel together between our own stages.

To everybody else a stream of rows is one row at a time. Between two stages of ours the list itself is handed on, which
saves some five calls a tick. It means the same: one tick after another, with no time between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler import CurrentThreadScheduler

from rxfeed.model import Tick

T = TypeVar("T")
Run = list[Tick]
"""Ticks, of that very class, that nobody changes any more."""


class RunObserver(abc.ObserverBase[Any]):
    """An observer that takes elements one at a time or ticks by the run. After the end, or disposed of, it takes nothing."""

    __slots__ = ("_on_completed", "_on_error", "_on_next", "_on_run", "_stopped", "_subscription")

    def __init__(
        self,
        on_next: Callable[[Any], None],
        on_run: Callable[[Run], None],
        on_error: Callable[[Exception], None],
        on_completed: Callable[[], None],
    ) -> None:
        self._on_next, self._on_run, self._on_error, self._on_completed = on_next, on_run, on_error, on_completed
        self._subscription = SingleAssignmentDisposable()
        self._stopped = False

    def on_next(self, value: Any) -> None:
        if not self._stopped:
            self._on_next(value)

    def on_run(self, ticks: Run) -> None:
        """Take ticks that come together."""
        if not self._stopped:
            self._on_run(ticks)

    def on_error(self, error: Exception) -> None:
        if not self._stopped:
            self._stopped = True
            try:
                self._on_error(error)
            finally:
                self._subscription.dispose()

    def on_completed(self) -> None:
        if not self._stopped:
            self._stopped = True
            try:
                self._on_completed()
            finally:
                self._subscription.dispose()

    def to(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Subscribe to a source; to one of ours as it is, and to any other as functions, which reactivex guards alike."""
        if not isinstance(source, RunObservable):
            return source.subscribe(self._on_next, self._on_error, self._on_completed, scheduler=scheduler)

        def connect(*_: object) -> None:
            try:
                self._subscription.disposable = source.start(self, scheduler)
            except Exception as error:
                if self._stopped:
                    raise
                self.on_error(error)

        trampoline = CurrentThreadScheduler.singleton()
        if trampoline.schedule_required():
            trampoline.schedule(connect)
        else:
            connect()
        return Disposable(self._dispose)

    def _dispose(self) -> None:
        self._stopped = True
        self._subscription.dispose()


class RunObservable(Observable[T]):
    """An observable that hands runs to those of its observers that take them."""

    def start(self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Subscribe without what reactivex puts in front of an observer."""
        return self._subscribe_core(observer, scheduler)


def run_into(observer: abc.ObserverBase[Any], *, whole: bool = False) -> Callable[[Run], None]:
    """Return what gives an observer a run: as it is if it can, else tick by tick.

    Args:
        observer: who gets it.
        whole: whether one that raises at a tick gets the rest all the same, and what it raised goes up behind that; else up to
            there and no further, as a source has it.
    """
    if isinstance(observer, RunObserver):
        return observer.on_run
    emit = observer.on_next

    def each(ticks: Run) -> None:
        for tick in ticks:
            emit(tick)

    def all_of(ticks: Run) -> None:
        rest, raised = iter(ticks), list[Exception]()
        while True:
            try:
                for tick in rest:
                    emit(tick)
                break
            except Exception as error:  # noqa: BLE001  # it is raised behind the rest
                raised.append(error)
        if raised:
            raise raised[0] if len(raised) == 1 else ExceptionGroup("a subscriber raised more than once", raised)

    return all_of if whole else each
