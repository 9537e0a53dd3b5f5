"""Elements take turns: an operator decides, changes its state, and only then emits; what comes in meanwhile waits behind.

Without this a subscriber that feeds the source from its own `on_next` would see elements out of order, or lose some.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from reactivex import abc

from rxfeed.runs import Run, RunObserver

Act = Callable[[], Iterable[Any]]

_COMPLETED: Final[list[Any]] = []


class Turns:
    """The queue in front of one observer.

    Args:
        observer: who gets what acts return.
        stop: called once, when it is over: completed, failed or disposed of.
    """

    __slots__ = ("_closing", "_stop", "busy", "cut", "ended", "observer", "waiting")

    def __init__(self, observer: abc.ObserverBase[Any], stop: Callable[[], None] | None = None) -> None:
        self.observer = observer
        self.waiting: deque[Act] = deque()
        self.busy = False
        """Whether what comes now must wait its turn: something is being emitted, or was cut off by a subscriber that raised."""
        self.cut = False
        """Whether it is the latter: the next to come takes up what waits."""
        self.ended = False
        self._closing = False
        self._stop = stop

    def take(self, *acts: Act) -> None:
        """Run acts and emit what they return, now or when those before are done. If one raises, the stream ends with that."""
        self.waiting.extend(acts)
        if self.cut or not self.busy:
            self.go()

    def emit(self, elements: Iterable[Any]) -> None:
        """Emit what was decided already; to be called only when not `busy`."""
        self.waiting.appendleft(lambda: elements)
        self.go()

    def emit_run(self, ticks: Run) -> None:
        """Emit ticks that come together, at once where the observer takes them so; to be called only when not `busy`."""
        if not isinstance(self.observer, RunObserver):
            self.emit(ticks)
            return
        self.busy = True
        try:
            self.observer.on_run(ticks)
        except BaseException:
            self.rest()
            raise
        self.busy = False
        if self.waiting:
            self.go()

    def go(self) -> None:
        """Run what waits."""
        self.busy, self.cut = True, False
        emit = self.observer.on_next
        raised: list[Exception] = []
        try:
            while self.waiting and not self.ended:
                try:
                    out = self.waiting.popleft()()
                except Exception as error:
                    self.end()
                    self.observer.on_error(error)
                    break
                if out is _COMPLETED:
                    self.end()
                    self.observer.on_completed()
                    break
                rest = iter(out)
                try:
                    for element in rest:
                        emit(element)
                except BaseException as error:
                    # A subscriber raised. If the stream goes on all the same, the others must not miss what it cut off,
                    # nor get it behind what comes next. If nothing comes next, there is only now.
                    self.waiting.appendleft(lambda rest=rest: rest)
                    if not self._closing or not isinstance(error, Exception):
                        raise
                    raised.append(error)
        finally:
            self.busy = self.cut = bool(self.waiting)
        if raised:
            raise raised[0] if len(raised) == 1 else ExceptionGroup("a subscriber raised while the stream ended", raised)

    def keep(self, *acts: Act) -> None:
        """Have acts go behind what waits, with the next to come: a subscriber raised before it was their turn."""
        if not self.ended:
            self.waiting.extend(acts)
            self.rest()

    def rest(self) -> None:
        """Let the next one in; behind what waits, if a subscriber raised."""
        self.busy = self.cut = bool(self.waiting)
        if self.cut and self._closing and isinstance(sys.exception(), Exception):
            self.go()

    def complete(self, *acts: Act) -> None:
        """Complete, behind what waits and what these last acts return, whether or not a subscriber raises meanwhile."""
        self._closing = True
        self.take(*acts, lambda: _COMPLETED)

    def fail(self, error: Exception, *acts: Act) -> None:
        """End with an error, likewise."""

        def act() -> Iterable[Any]:
            raise error

        self._closing = True
        self.take(*acts, act)

    def end(self) -> None:
        """Nothing more: drop what waits, and stop."""
        if not self.ended:
            self.ended = True
            self.waiting.clear()
            if self._stop is not None:
                self._stop()
