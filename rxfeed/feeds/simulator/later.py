"""What is still to come, one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from rxfeed.clock import Clock, Timer


class Later:
    """Does things at their times, in the order in which they were asked for, with one timer.

    Args:
        clock: whose time it is.
    """

    __slots__ = ("_clock", "_queue", "_timer")

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, when: int, action: Callable[[], None]) -> None:
        """Do something at a time, but not before what was put in earlier."""
        self._queue.append((when, action))
        if self._timer is None:
            self._timer = self._clock.call_at(when, self._due)

    def stop(self) -> None:
        """Forget what is still to come."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        now = self._clock.now
        while self._queue and self._queue[0][0] <= now:
            self._queue.popleft()[1]()
        if self._queue and self._timer is None:
            self._timer = self._clock.call_at(self._queue[0][0], self._due)
