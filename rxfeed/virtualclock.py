"""Time, as something that is handed in: what a clock is, and the ones that are moved by hand.

Whoever needs the time, or wants to be called at a time, asks a `Clock`. Live that is the machine's; in a test or a replay
it is a number that somebody moves, so that two simulated days run in minutes and replay exactly. All times are int
nanoseconds since the epoch, UTC. Import all of it from `rxfeed.clock`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

from rxfeed.times import FOREVER, iso

if TYPE_CHECKING:
    from rxfeed.scheduler import ClockScheduler

Action = Callable[[], None]

_FEW: Final = 64
_NOT_STARTED: Final = -FOREVER


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Do not make the call. Nothing happens when it was made or cancelled before."""
        ...


class Clock(Protocol):
    """What time it is, and a call at a time."""

    @property
    def now(self) -> int:
        """The time, in nanoseconds since the epoch, UTC."""
        ...

    def call_at(self, when: int, action: Action) -> Timer:
        """Call `action` once when this clock reads `when` or later; never from inside this call."""
        ...

    @property
    def scheduler(self) -> ClockScheduler:
        """The reactivex scheduler that runs on this clock; always the same one."""
        ...


class BaseClock(ABC):
    """What our clocks have in common: each makes its scheduler once."""

    __slots__ = ("_scheduler",)

    def __init__(self) -> None:
        self._scheduler: ClockScheduler | None = None

    @property
    @abstractmethod
    def now(self) -> int: ...

    @abstractmethod
    def call_at(self, when: int, action: Action) -> Timer: ...

    @property
    def scheduler(self) -> ClockScheduler:
        """The reactivex scheduler that runs on this clock; always the same one."""
        if self._scheduler is None:
            from rxfeed.scheduler import ClockScheduler  # a clock alone needs no reactivex

            self._scheduler = ClockScheduler(self)
        return self._scheduler


class _VirtualTimer:
    __slots__ = ("action", "clock")

    def __init__(self, clock: VirtualClock, action: Action) -> None:
        self.clock = clock
        self.action: Action | None = action

    def cancel(self) -> None:
        if self.action is not None:
            self.action = None
            self.clock._cancelled += 1  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its own


class VirtualClock(BaseClock):
    """A clock that stands still until it is moved, and fires on its way whatever is due.

    Calls come in order of time, then in the order in which they were asked for, each with `now` at its own time. An action
    may ask for more calls, also for this very instant. When an action raises, the error reaches whoever moved the clock;
    `now` is then that action's time, and what has not fired yet is still due.

    Args:
        start: the time at first, in nanoseconds since the epoch, UTC.
    """

    __slots__ = ("_cancelled", "_count", "_due", "_heap", "_now")

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self._now = start
        self._due = FOREVER  # nothing is due before: the earliest timer, which may be a cancelled one
        self._heap: list[tuple[int, int, _VirtualTimer]] = []
        self._count = 0
        self._cancelled = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({iso(self._now)})"

    @property
    def now(self) -> int:
        """The time it was moved to, in nanoseconds since the epoch, UTC."""
        return self._now

    @property
    def next_due(self) -> int | None:
        """When the next call is due; None when there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def call_at(self, when: int, action: Action) -> Timer:
        """Call `action` once when the clock is moved to `when` or later; a `when` in the past means now."""
        when = max(when, self._now)
        heap = self._heap
        if self._cancelled > _FEW and self._cancelled * 2 > len(heap):
            heap[:] = [entry for entry in heap if entry[2].action is not None]
            heapify(heap)
            self._cancelled = 0
        timer = _VirtualTimer(self, action)
        self._count += 1
        heappush(heap, (when, self._count, timer))
        if when < self._due:
            self._due = when
        return timer

    def advance_to(self, t: int) -> None:
        """Move to `t` and make every call that is due at or before it.

        Raises:
            ValueError: `t` is before `now`.
        """
        if t < self._now:
            raise ValueError(f"a clock does not go back: now is {self._now} ({iso(self._now)}), got {t} ({iso(t)})")
        heap = self._heap
        while heap and heap[0][0] <= t:
            when, _, timer = heappop(heap)
            self._due = heap[0][0] if heap else FOREVER
            action, timer.action = timer.action, None
            if action is None:
                self._cancelled -= 1
                continue
            if when > self._now:
                self._now = when
            action()
        self._due = heap[0][0] if heap else FOREVER
        if t > self._now:
            self._now = t

    def advance(self, by: int) -> None:
        """Move on by a number of nanoseconds, as `advance_to` does."""
        self.advance_to(self._now + by)


class ReplayClock(VirtualClock):
    """A clock that a source moves along with the event times it reads.

    Args:
        start: the time at first, in nanoseconds since the epoch, UTC. Without it the clock reads 0 until the first `move`
            and then starts there: calls asked for before, and due before, were delays, and count from that first time.
    """

    __slots__ = ()

    def __init__(self, start: int | None = None) -> None:
        super().__init__(start or 0)
        if start is None:
            self._due = _NOT_STARTED

    def move(self, t: int) -> None:
        """Move to `t` and make every call due at or before it. Going back is ignored: a late tick turns no clock back."""
        if t < self._due:
            if t > self._now:
                self._now = t
            return
        if self._due == _NOT_STARTED:
            self._start(t)
        self.advance_to(max(t, self._now))

    def _start(self, t: int) -> None:
        # A period of one second, set at 0, would otherwise fire once for each second since 1970.
        self._heap[:] = [(when + t if when < t else when, n, timer) for when, n, timer in self._heap]
        heapify(self._heap)
        self._now = t
