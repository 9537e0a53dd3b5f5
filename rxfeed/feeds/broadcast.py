"""A hot stream of news: whoever listens hears what is told from then on, and one who raises costs the others nothing."""

from __future__ import annotations

from typing import Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.failures import stage_of, tell

T = TypeVar("T")


class Broadcast(Generic[T]):
    """Tells everybody who listens.

    Args:
        name: what is told, for texts.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._observers: dict[int, abc.ObserverBase[T]] = {}
        self._next = 0
        self._completed = False
        self.stream: Observable[T] = Observable(self._subscribe)
        """What is told from the subscription on; it completes with its owner."""

    def _subscribe(self, observer: abc.ObserverBase[T], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        if self._completed:
            observer.on_completed()
            return Disposable()
        key = self._next = self._next + 1
        self._observers[key] = observer

        def dispose() -> None:
            self._observers.pop(key, None)

        return Disposable(dispose)

    def tell(self, news: T) -> None:
        """Tell everybody. One who raises is told of in the log, and hears no more."""
        for key, observer in list(self._observers.items()):
            if key not in self._observers:
                continue  # another's handler has ended it
            try:
                observer.on_next(news)
            except Exception as error:  # noqa: BLE001  # one listener's fault is not the others'
                self._observers.pop(key, None)
                tell(None, f"{stage_of(observer)}, a subscriber of {self._name}", "on_next", error, news)

    def complete(self) -> None:
        """Tell everybody that there will be no more."""
        self._completed = True
        observers, self._observers = self._observers, {}
        for observer in observers.values():
            try:
                observer.on_completed()
            except Exception as error:  # noqa: BLE001
                tell(None, f"{stage_of(observer)}, a subscriber of {self._name}", "on_completed", error)
