"""What `retry` and `restart` share: a source that is subscribed to again and again, as policies say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from rxfeed.clock import Clock, LiveClock, Timer
from rxfeed.errors import RetriesExhausted, brief
from rxfeed.failures import tell
from rxfeed.retrying import Retries, Tries, allowed
from rxfeed.runs import RunObservable
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.times import SECOND, Duration, nanoseconds

from ._call import Called
from ._passing import Passing

T = TypeVar("T")
Told = Callable[[int, Exception | None, float], object]

_LOGGED: Final = 60 * SECOND
"""Between two log records of one subscription."""


class Again(Called):
    """An operator that subscribes again.

    Args:
        name: what it is called.
        retries: the policies.
        on: which end of the source is an attempt's; the other one is the stream's.
        reset: after how many nanoseconds of health the count starts anew; None never.
        told: hears of each end that is followed by another attempt.
        scheduler: the clock.
        call: what it was made by.
    """

    def __init__(
        self, name: str, retries: Retries, *, errors: bool, reset: int | None, told: Told | None, scheduler: Timed, call: str
    ) -> None:
        super().__init__(call)
        self.name, self.retries, self.errors, self.reset, self.told = name, retries, errors, reset, told
        self._clock = clock_of(scheduler)

    def __call__(self, source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            clock = self._clock or own_clock(scheduler) or _of_loop(self.name)
            return _Course(self, source, observer, scheduler, clock).open()

        return RunObservable(subscribe)


class _Course(abc.DisposableBase):
    """One subscription: attempt after attempt, and the waits between them."""

    def __init__(
        self, again: Again, source: Observable[Any], observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._again, self._source, self._observer, self._scheduler, self._clock = again, source, observer, scheduler, clock
        self._start = clock.now
        self._series = 0.0  # when the count began, in seconds after the start
        self._tries = Tries(again.retries, 0.0)
        self._upstream = SerialDisposable()
        self._timer: Timer | None = None
        self._first: int | None = None  # when this attempt's first element came
        self._over = False
        self._said: int | None = None
        self._unsaid = 0

    def open(self) -> _Course:
        self._begin()
        return self

    def dispose(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._upstream.dispose()

    def _begin(self) -> None:
        self._timer = self._first = None
        on_error, on_completed = (self._ended, self._complete) if self._again.errors else (self._fail, self._ended)
        # Held before it is subscribed: a source may be through, and the next attempt begun, before `to` returns.
        self._upstream.disposable = held = SingleAssignmentDisposable()
        held.disposable = Passing(self._observer, self._begun, on_error, on_completed).to(self._source, self._scheduler)

    def _begun(self) -> None:
        self._first = self._clock.now

    def _ended(self, error: Exception | None = None) -> None:
        """An attempt has ended: wait for the next one, or end the stream. Never subscribe from here, or a source that fails at
        once would have us in its own call, ever deeper."""
        if self._over:
            return
        again, tries, now = self._again, self._tries, self._clock.now
        at = (now - self._start) / SECOND
        try:
            if again.reset is not None and self._first is not None and now - self._first >= again.reset:
                self._series = at
                tries.anew(at)
            number = tries.attempts
            wait = tries.after(error, at)
        except Exception as wrong:
            if error is not None and wrong is not error and wrong.__context__ is None:
                wrong.__context__ = error
            self._fail(wrong)
            return
        if wait is None:
            self._give_up(error, number, at)
            return
        self._tell(number, error, wait, now)
        if not self._over:  # who is told may have disposed of it
            self._timer = self._clock.call_at(now + round(wait * SECOND), self._begin)

    def _give_up(self, error: Exception | None, number: int, at: float) -> None:
        if error is None:
            self._complete()
        elif self._tries.exhausted:
            self._fail(RetriesExhausted(number, at - self._series, allowed(self._again.retries.stop), error))
        else:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._over:
            self.dispose()
            self._observer.on_error(error)

    def _complete(self) -> None:
        if not self._over:
            self.dispose()
            self._observer.on_completed()

    def _tell(self, number: int, error: Exception | None, wait: float, now: int) -> None:
        again = self._again
        if again.told is not None:
            try:
                again.told(number, error, wait)
            except Exception as wrong:
                tell(None, again.name, "told", wrong, goes_on=True)
            return
        if self._said is not None and now - self._said < _LOGGED:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more in between)" if self._unsaid else ""
        self._said, self._unsaid = now, 0
        what = "completed" if error is None else f"failed: {brief(error)}"
        try:
            from loguru import logger  # costs 30 ms, and most feeds never need it

            logger.warning("{}: attempt {} {}, again in {:.4g} s{}", again.name, number, what, wait, more)
        except Exception:  # a sink that raises must not cost us the next attempt
            return


def health(reset_on_next: bool | Duration) -> int | None:
    """Return after how many nanoseconds of health the count starts anew; None never.

    Raises:
        ValueError: not a duration.
    """
    if isinstance(reset_on_next, bool):
        return 0 if reset_on_next else None
    return nanoseconds(reset_on_next, name="reset_on_next")


def checked(told: Any) -> Any:
    """Return who is told.

    Raises:
        TypeError: it cannot be called.
    """
    if told is not None and not callable(told):
        raise TypeError(f"told must be a function, got {type(told).__name__}")
    return told


def _of_loop(name: str) -> Clock:
    try:
        return LiveClock(asyncio.get_running_loop())
    except RuntimeError:
        pass
    raise ValueError(f"{name} needs a clock: give it or subscribe() a scheduler, or subscribe where an asyncio loop runs")
