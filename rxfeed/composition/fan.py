"""One stream to many, each of them on his own: who raises, stops or comes late costs the others nothing."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Generic, TypeVar

from reactivex import abc
from reactivex.disposable import Disposable

from rxfeed.failures import stage_of, tell
from rxfeed.runs import Run, RunObservable, RunObserver, run_into

T = TypeVar("T")


class Fan(Generic[T]):
    """Hands elements, and ticks by the run, to all who are there. It remembers nothing but how it ended.

    Args:
        name: what is handed on, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._takers: dict[object, tuple[abc.ObserverBase[Any], Any]] = {}
        self.ended: Final = asyncio.Event()
        """Whether it has ended, to be waited for."""
        self._error: Exception | None = None
        self.into = RunObserver(self._next, self._run, self._end, self._end)
        """What is to be subscribed with."""
        self.out: RunObservable[T] = RunObservable(lambda observer, _=None: self.join(observer))
        """What came from the subscription on, and the end."""

    def __len__(self) -> int:
        return len(self._takers)

    def join(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Have an observer take what comes from now on, until the disposable is disposed of."""
        if self.ended.is_set():
            _ended(observer, self._error)
            return Disposable()
        place = object()
        self._takers[place] = observer, run_into(observer)
        return Disposable(lambda: self._takers.pop(place, None) and None)

    def _next(self, element: Any) -> None:
        for place, (observer, _) in tuple(self._takers.items()):
            if place in self._takers:
                try:
                    observer.on_next(element)
                except Exception as error:  # noqa: BLE001  # one taker's fault is not the others'
                    self._leave(place, observer, error, element)

    def _run(self, ticks: Run) -> None:
        for place, (observer, run) in tuple(self._takers.items()):
            if place in self._takers:
                try:
                    run(ticks)
                except Exception as error:  # noqa: BLE001  # likewise
                    self._leave(place, observer, error, ticks[-1])

    def _leave(self, place: object, observer: abc.ObserverBase[Any], error: Exception, element: Any) -> None:
        self._takers.pop(place, None)
        tell(None, f"{stage_of(observer)}, which takes {self._name}", "on_next", error, element)
        try:
            observer.on_error(error)
        except Exception as again:  # noqa: BLE001  # it has been let go of
            tell(None, f"{stage_of(observer)}, which took {self._name}", "on_error", again)

    def _end(self, error: Exception | None = None) -> None:
        self._error = error
        self.ended.set()
        takers, self._takers = self._takers, {}
        for observer, _ in takers.values():
            try:
                _ended(observer, error)
            except Exception as raised:  # noqa: BLE001  # likewise
                tell(None, f"{stage_of(observer)}, which took {self._name}", "on_error" if error else "on_completed", raised)

    def complete(self) -> None:
        """Complete it, if it has not ended."""
        if not self.ended.is_set():
            self._end()


def _ended(observer: abc.ObserverBase[Any], error: Exception | None) -> None:
    if error is None:
        observer.on_completed()
    else:
        observer.on_error(error)
