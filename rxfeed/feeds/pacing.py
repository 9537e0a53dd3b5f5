"""Elements emitted when they are due: event time divided by a speed, on a clock that waits."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from reactivex import abc

from rxfeed.clock import Clock, ReplayClock, Timer
from rxfeed.frame import Frame
from rxfeed.model import UNKNOWN_TIME, Tick

Pieces = Generator[list[Any], None, None]
"""Ticks, some hundred at a time, or frames one at a time."""

_END: Final[list[Any]] = []
_TURN: Final = 1_024
"""Elements in one turn of a loop, so that a replay that is behind does not stall it."""


class Paced(abc.DisposableBase):
    """A replay under way at a pace; disposing of it cancels the timer and closes the source.

    The first element is due when it starts, and each at the greatest time so far: a row that goes back, or whose time is
    unknown, is due with the one before it.

    Args:
        pieces: what to emit; closed at the end.
        observer: whom to emit to.
        pace: who waits.
        speed: seconds of event time a second.
        clock: moved to the greatest time at the end.
        moving: the same clock, if it is to move with each element.
        frames: whether the elements are frames, due when their last row is.
    """

    __slots__ = (
        "_at", "_clock", "_frames", "_latest", "_moving", "_observer", "_pace", "_piece", "_pieces", "_running",
        "_speed", "_start", "_stopped", "_timer", "_zero",
    )  # fmt: skip

    def __init__(
        self, pieces: Pieces, observer: abc.ObserverBase[Any], pace: Clock, *,
        speed: float, clock: ReplayClock | None, moving: ReplayClock | None, frames: bool,
    ) -> None:  # fmt: skip
        self._pieces, self._observer, self._pace = pieces, observer, pace
        self._speed, self._clock, self._moving, self._frames = speed, clock, moving, frames
        self._piece: list[Any] = []
        self._at = 0
        self._latest = UNKNOWN_TIME
        self._zero = UNKNOWN_TIME
        self._start = 0
        self._stopped = self._running = False
        self._timer: Timer = pace.call_at(pace.now, self._turn)

    def dispose(self) -> None:
        self._stopped = True
        self._timer.cancel()
        if not self._running:
            self._pieces.close()

    def _turn(self) -> None:
        self._running = True
        try:
            self._emit()
        except BaseException:
            self._stopped = True
            raise
        finally:
            self._running = False
            if self._stopped:
                self._pieces.close()

    def _emit(self) -> None:
        for _ in range(_TURN):
            if self._stopped:
                return
            if self._at == len(self._piece):
                self._at = 0
                try:
                    self._piece = next(self._pieces, _END)
                except Exception as error:  # noqa: BLE001  # whatever reading raises is the stream's error
                    self._stopped = True
                    self._observer.on_error(error)
                    return
                if not self._piece:
                    self._stopped = True
                    finish(self._observer, self._clock, self._latest)
                    return
            element = self._piece[self._at]
            due = self._due(element)
            if due > self._pace.now:
                self._timer = self._pace.call_at(due, self._turn)
                return
            self._at += 1
            if self._moving is not None and not self._frames and self._latest > self._moving.now:
                self._moving.move(self._latest)
            self._observer.on_next(element)
            if self._moving is not None and self._frames and not self._stopped and self._latest > self._moving.now:
                self._moving.move(self._latest)
        self._timer = self._pace.call_at(self._pace.now, self._turn)

    def _due(self, element: Tick | Frame[Tick]) -> int:
        first = last = element.time if isinstance(element, Tick) else 0
        if isinstance(element, Frame):
            times = element.column("time")
            first, last = int(times[0]), int(times.max())
        self._latest = max(self._latest, last)
        if self._zero == UNKNOWN_TIME:
            if self._latest == UNKNOWN_TIME:
                return self._pace.now
            self._zero = self._latest if first == UNKNOWN_TIME else first
            self._start = self._pace.now
        return self._start + round(max(self._latest - self._zero, 0) / self._speed)


def finish(observer: abc.ObserverBase[Any], clock: ReplayClock | None, latest: int) -> None:
    """Move the clock to the greatest time that was seen, and complete."""
    if clock is not None and latest > UNKNOWN_TIME:
        clock.move(latest)
    observer.on_completed()
