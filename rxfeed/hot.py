"""Listeners as an observable."""

from __future__ import annotations

from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.listeners import Listeners

T = TypeVar("T")


class Hot(Observable[T]):
    """What listeners are told, from the subscription on. It holds nothing, and completes when there will be no more.

    Args:
        listeners: among which its observers are.
    """

    def __init__(self, listeners: Listeners[T]) -> None:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            return Disposable(listeners.add(observer.on_next, observer.on_completed))

        super().__init__(subscribe)
