"""A stage by which a stream is ended from outside, as if its source had completed: what was under way still comes out."""

from __future__ import annotations

from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.runs import RunObservable, RunObserver, run_into


class Ending:
    """Hands elements on, until it is told to end."""

    def __init__(self) -> None:
        self._observer: RunObserver | None = None
        self._ended = False

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        """Return the source's elements, and its end, or ours if that is sooner."""

        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            if self._ended:
                observer.on_completed()
                return Disposable()
            self._observer = RunObserver(observer.on_next, run_into(observer), observer.on_error, observer.on_completed)
            return self._observer.to(source, scheduler)

        return RunObservable(subscribe)

    def end(self) -> None:
        """Let go of the source, and complete."""
        self._ended = True
        if self._observer is not None:
            self._observer.on_completed()
