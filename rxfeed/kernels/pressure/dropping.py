"""Policies that lose ticks, and the one that would rather end: what each keeps of a backlog that is full."""

from __future__ import annotations

from typing import Any, ClassVar

from rxfeed.frame import Frame
from rxfeed.kernels.pressure.backlog import Backlog
from rxfeed.runs import Run


class Refusing(Backlog):
    """What does not fit ends the stream, behind what waits."""

    __slots__ = ()
    policy = "error"

    def _relieve(self, over: int) -> bool:
        self._drop_newest(over)
        return False


class DroppingOldest(Backlog):
    """The oldest go. A frame is cut."""

    __slots__ = ()
    policy = "drop_oldest"

    def _relieve(self, over: int) -> bool:
        self._drop_oldest(over)
        return True


class DroppingLatest(Backlog):
    """What comes goes, as far as it does not fit. A frame is cut."""

    __slots__ = ()
    policy = "drop_latest"

    def _relieve(self, over: int) -> bool:
        self._drop_newest(over)
        return True


class Latest(Backlog):
    """Never more than the newest element waits: one tick, or one frame, of which the newest rows fit. It knows no pressure."""

    __slots__ = ()
    policy = "latest"
    alerts: ClassVar[bool] = False

    def put(self, element: Any) -> bool:
        if self._blocks:
            self._drop_oldest(self.load)
        if element.__class__ is Frame:
            self._put_frame(element)
            if self.load > self.capacity:
                self._drop_oldest(self.load - self.capacity)
        else:
            self._put_other(element)
        return True

    def run(self, ticks: Run) -> bool:
        if ticks:
            if self._blocks:
                self._drop_oldest(self.load)
            self._blocks.append(ticks)
            self._open = None
            self.received += len(ticks)
            self._drop_oldest(len(ticks) - 1)
        return True

    def _relieve(self, over: int) -> bool:
        self._drop_oldest(over)
        return True
