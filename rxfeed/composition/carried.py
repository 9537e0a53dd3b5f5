"""What is told beside a stream keeps its place in it where the stream waits at a boundary.

A gap that is told at once, while the ticks from before it still wait, would be asked history about too early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from reactivex import Observable, abc

from rxfeed.frame import is_frame
from rxfeed.kernels.pressure.backlog import PressureStats
from rxfeed.model import Gap
from rxfeed.runs import Run, RunObservable, RunObserver, run_into

MOST: Final = 4_096
"""Gaps that wait at most; beyond, the oldest is told early."""


class Carried:
    """Gaps that wait until what had come before them has left a boundary; without one, each is told at once.

    Args:
        tell: hears each gap in its place.
    """

    def __init__(self, tell: Callable[[Gap], None]) -> None:
        self._tell = tell
        self._stats: Callable[[], PressureStats] | None = None
        self._waiting: deque[tuple[int, Gap]] = deque()
        self._out = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def wait_at(self, stats: Callable[[], PressureStats]) -> None:
        """Say which boundary it is, by its counts."""
        self._stats = stats

    def put(self, gap: Gap) -> None:
        """Take a gap: it is told when all that has been received by now has left."""
        if self._stats is None:
            self._tell(gap)
            return
        self._waiting.append((self._stats().received, gap))
        self._due()
        if len(self._waiting) > MOST:
            self._tell(self._waiting.popleft()[1])

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        """Return what comes out of the boundary, the gaps in between."""

        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            run, one = run_into(observer), observer.on_next

            def on_run(ticks: Run) -> None:
                while self._waiting and (cut := max(0, self._waiting[0][0] - self._left())) < len(ticks):
                    if cut:
                        run(ticks[:cut])
                        self._out += cut
                        ticks = ticks[cut:]
                    self._tell(self._waiting.popleft()[1])
                run(ticks)
                self._out += len(ticks)
                self._due()

            def on_next(element: Any) -> None:
                self._due()  # what had to go was before it
                one(element)
                self._out += len(element) if is_frame(element) else 1
                self._due()

            def on_completed() -> None:
                while self._waiting:
                    self._tell(self._waiting.popleft()[1])
                observer.on_completed()

            return RunObserver(on_next, on_run, observer.on_error, on_completed).to(source, scheduler)

        return RunObservable(subscribe)

    def _left(self) -> int:
        """How much has left the boundary: handed on, or dropped."""
        return self._out if self._stats is None else self._out + self._stats().dropped

    def _due(self) -> None:
        if self._waiting:
            left = self._left()
            while self._waiting and self._waiting[0][0] <= left:
                self._tell(self._waiting.popleft()[1])
