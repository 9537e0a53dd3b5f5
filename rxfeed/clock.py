"""All clocks, and the only place that reads the wall clock.

Nothing else in the package asks what time it is: it is handed a `Clock` and asks that.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from rxfeed.times import SECOND, iso
from rxfeed.virtualclock import Action, BaseClock, Clock, ReplayClock, Timer, VirtualClock

__all__ = ["Action", "Clock", "LiveClock", "LoopClock", "ReplayClock", "Timer", "VirtualClock"]

_LOOK_AGAIN: Final = 60 * SECOND
_SET_BACK: Final = SECOND


class LiveClock(BaseClock):
    """The machine's clock, with calls made by an asyncio loop.

    A call comes when the wall clock reads its time. Where the wall clock was set forward or the machine slept, it comes at
    most a minute late; where it was set back, the call comes after the time that was asked for has passed all the same.

    Args:
        loop: who makes the calls; by default the loop that runs when `call_at` is used. Use both in that loop's thread.
    """

    __slots__ = ("_loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()
        self._loop = loop

    def __repr__(self) -> str:
        return "LiveClock()"

    @property
    def now(self) -> int:
        """The wall clock, in nanoseconds since the epoch, UTC."""
        return time.time_ns()

    def call_at(self, when: int, action: Action) -> Timer:
        """Call `action` once when the wall clock reads `when` or later, at the earliest in the loop's next turn.

        Raises:
            RuntimeError: no asyncio loop was given and none is running.
        """
        return _LiveTimer(self._loop or _running_loop(), when, action)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise RuntimeError("LiveClock.call_at needs a running asyncio loop: call it inside one, or pass LiveClock(loop)")


class _LiveTimer:
    __slots__ = ("_action", "_deadline", "_handle", "_loop", "_when")

    def __init__(self, loop: asyncio.AbstractEventLoop, when: int, action: Action) -> None:
        self._loop = loop
        self._when = when
        self._action: Action | None = action
        left = when - time.time_ns()
        self._deadline = loop.time() + left / SECOND
        self._handle: asyncio.Handle = self._wait(left)

    def _wait(self, left: int) -> asyncio.Handle:
        if left <= 0:
            return self._loop.call_soon(self._look)
        return self._loop.call_later(min(left, _LOOK_AGAIN) / SECOND, self._look)

    def _look(self) -> None:
        left = self._when - time.time_ns()
        if left > 0 and not (left > _SET_BACK and self._loop.time() >= self._deadline):
            self._handle = self._wait(left)
            return
        action, self._action = self._action, None
        if action is not None:
            action()

    def cancel(self) -> None:
        self._action = None
        self._handle.cancel()


class LoopClock(BaseClock):
    """The time of an asyncio loop whose own time is simulated: `now` is base + the loop's time, to the nanosecond.

    Exact for loop times up to 48 days, since asyncio counts in float seconds.

    Args:
        loop: the loop; its `time()` starts near 0.
        base_ns: what the clock reads at loop time 0, in nanoseconds since the epoch, UTC.
    """

    __slots__ = ("_base", "_floor", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, base_ns: int = 0) -> None:
        super().__init__()
        self._loop = loop
        self._base = base_ns
        self._floor = base_ns

    def __repr__(self) -> str:
        return f"LoopClock({iso(self.now)})"

    @property
    def now(self) -> int:
        """Base plus the loop's time, in nanoseconds since the epoch, UTC."""
        return max(self._floor, self._base + round(self._loop.time() * SECOND))

    def call_at(self, when: int, action: Action) -> Timer:
        """Call `action` once when this clock reads `when` or later, at the earliest in the loop's next turn."""

        def fire() -> None:
            # asyncio runs a timer up to its clock's resolution early; an action must never see a time before its own.
            self._floor = max(self._floor, when)
            action()

        if when <= self.now:
            return self._loop.call_soon(fire)
        return self._loop.call_at((when - self._base) / SECOND, fire)
