"""Between our clocks and reactivex's schedulers, both ways.

reactivex's own schedulers read the wall clock for `now`, whatever time they run in. `ClockScheduler` runs reactivex's
operators on a `Clock`; `clock_of` gives our operators the `Clock` behind whatever scheduler a subscriber handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

from reactivex import abc, typing
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from rxfeed.clock import Clock, Timer
from rxfeed.times import SECOND

TState = TypeVar("TState")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_SECONDS: Final = 1 << 22
"""Below this, a float of seconds tells single nanoseconds apart (48 days)."""


def _delay(value: typing.RelativeTime) -> int:
    if isinstance(value, timedelta):
        return max(0, _whole(value))
    return max(0, round(value * SECOND))


def _instant(value: typing.AbsoluteTime) -> int:
    if not isinstance(value, datetime):
        # Seconds since 1970 as a float are good to a quarter of a microsecond; noise below that is not a time.
        return round(value * SECOND) if abs(value) < _EXACT_SECONDS else round(value * 1e6) * 1_000
    if value.tzinfo is None:
        raise ValueError(f"an absolute time needs a time zone, got {value!r}")
    return _whole(value - _EPOCH)


def _whole(value: timedelta) -> int:
    return (value.days * 86_400 + value.seconds) * SECOND + value.microseconds * 1_000


def _datetime(ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ns // 1_000)


class _Scheduled(abc.DisposableBase):
    """An action to come, or what it returned: one disposable for both."""

    __slots__ = ("_action", "_disposed", "_inner", "_scheduler", "_state", "timer")

    timer: Timer | None

    def __init__(self, scheduler: ClockScheduler, action: abc.ScheduledAction[Any], state: Any) -> None:
        self._scheduler = scheduler
        self._action: abc.ScheduledAction[Any] | None = action
        self._state = state
        self._inner: abc.DisposableBase | None = None
        self._disposed = False
        self.timer = None

    def run(self) -> None:
        action, self._action = self._action, None
        if action is None:
            return
        result = cast("object", action(self._scheduler, self._state))  # people return anything from a lambda
        self._state = None
        if isinstance(result, abc.DisposableBase):
            if self._disposed:
                result.dispose()
            else:
                self._inner = result

    def dispose(self) -> None:
        self._disposed = True
        self._action = self._state = None
        if self.timer is not None:
            self.timer.cancel()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.dispose()


class _Periodic(abc.DisposableBase):
    """An action again and again, on a grid that does not drift."""

    __slots__ = ("_action", "_clock", "_due", "_period", "_state", "_timer")

    def __init__(self, clock: Clock, period: int, action: typing.ScheduledPeriodicAction[Any], state: Any) -> None:
        self._clock = clock
        self._period = period
        self._action: typing.ScheduledPeriodicAction[Any] | None = action
        self._state = state
        self._due = clock.now + period
        self._timer = clock.call_at(self._due, self._run)

    def _run(self) -> None:
        if self._action is None:
            return
        try:
            self._state = self._action(self._state)
        except BaseException:
            self.dispose()
            raise
        if self._action is None:  # pyright: ignore[reportUnnecessaryComparison]  # the action may dispose of this
            return
        late = max(0, self._clock.now - self._due)
        self._due += (late // self._period + 1) * self._period
        self._timer = self._clock.call_at(self._due, self._run)

    def dispose(self) -> None:
        self._action = self._state = None
        self._timer.cancel()


class ClockScheduler(PeriodicScheduler):
    """A reactivex scheduler that runs on a `Clock`, live or virtual; get it as `clock.scheduler`.

    Delays are kept to the nanosecond. `now` is a datetime and so shows whole microseconds, rounded down. On a
    `VirtualClock` nothing runs until the clock is moved, also what is scheduled for at once.

    Args:
        clock: what time it is, and who makes the calls.
    """

    __slots__ = ("clock",)

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock: Final = clock

    def __repr__(self) -> str:
        return f"ClockScheduler({self.clock!r})"

    @property
    def now(self) -> datetime:
        """The clock's time, aware, in UTC, rounded down to microseconds."""
        return _datetime(self.clock.now)

    def schedule(self, action: abc.ScheduledAction[TState], state: TState | None = None) -> abc.DisposableBase:
        """Run `action` as soon as the clock makes calls again; disposing cancels it."""
        return self._at(self.clock.now, action, state)

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: abc.ScheduledAction[TState], state: TState | None = None
    ) -> abc.DisposableBase:
        """Run `action` after a delay: a timedelta, or seconds. A negative delay is none."""
        return self._at(self.clock.now + _delay(duetime), action, state)

    def schedule_absolute(
        self, duetime: typing.AbsoluteTime, action: abc.ScheduledAction[TState], state: TState | None = None
    ) -> abc.DisposableBase:
        """Run `action` at an instant: an aware datetime, or seconds since the epoch. The past means at once.

        Raises:
            ValueError: a datetime without a time zone.
        """
        return self._at(_instant(duetime), action, state)

    def schedule_periodic(
        self, period: typing.RelativeTime, action: typing.ScheduledPeriodicAction[TState], state: TState | None = None
    ) -> abc.DisposableBase:
        """Run `action` every `period`, a timedelta or seconds, handing each call what the one before returned.

        The n-th call is due at start + n × period exactly. Calls that a busy loop missed are left out, not made up for.

        Raises:
            ValueError: the period is not more than 0.
        """
        ns = _delay(period)
        if ns == 0:
            raise ValueError(f"period must be more than 0, got {period}")
        return _Periodic(self.clock, ns, action, state)

    def _at(self, when: int, action: abc.ScheduledAction[TState], state: TState | None) -> abc.DisposableBase:
        item = _Scheduled(self, action, state)
        item.timer = self.clock.call_at(when, item.run)
        return item


class _SchedulerTimer:
    __slots__ = ("_disposable",)

    def __init__(self, disposable: abc.DisposableBase) -> None:
        self._disposable = disposable

    def cancel(self) -> None:
        self._disposable.dispose()


class _SchedulerClock:
    """The clock of a scheduler that is not ours, such as reactivex's `TestScheduler`: exact to a microsecond."""

    __slots__ = ("_own", "_scheduler")

    def __init__(self, scheduler: abc.SchedulerBase) -> None:
        self._scheduler = scheduler
        self._own: ClockScheduler | None = None

    def __repr__(self) -> str:
        return f"clock_of({self._scheduler!r})"

    @property
    def now(self) -> int:
        return _instant(self._scheduler.now)

    def call_at(self, when: int, action: Callable[[], None]) -> Timer:
        def run(scheduler: abc.SchedulerBase, state: object = None) -> None:
            action()

        # Rounded up: at the action's call, `now` must not be before `when`.
        return _SchedulerTimer(self._scheduler.schedule_absolute(_datetime(when + 999), run))

    @property
    def scheduler(self) -> ClockScheduler:
        if self._own is None:
            self._own = ClockScheduler(self)
        return self._own


Timed = abc.SchedulerBase | Clock | None
"""What tells an operator the time: a clock, or a scheduler."""


def clock_of(timed: Timed) -> Clock | None:
    """Return the clock behind a scheduler: its own for ours, and else one that reads and asks the scheduler.

    A clock is returned as it is, and None for None. With a scheduler that is not ours the clock is exact to a microsecond,
    and its `now` is the scheduler's `now`: the wall clock for most, virtual seconds since 1970 for `TestScheduler`.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(timed, ClockScheduler):
        return timed.clock
    if isinstance(timed, abc.SchedulerBase):
        return _SchedulerClock(timed)
    if timed is not None and not hasattr(timed, "call_at"):
        raise TypeError(f"scheduler must be a clock or a scheduler, got {timed!r}")
    return timed


def own_clock(scheduler: abc.SchedulerBase | None) -> Clock | None:
    """Return the clock of a scheduler if it is one of ours, else None."""
    return scheduler.clock if isinstance(scheduler, ClockScheduler) else None
