"""One subscription of `circuit_breaker`: attempts that the breaker lets through, and what fills the time in between."""

from __future__ import annotations

from math import inf
from typing import Any, Final

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from rxfeed.breaker import Breaker, BreakerAttempt, BreakerChanged
from rxfeed.clock import Timer
from rxfeed.errors import CircuitOpen
from rxfeed.runs import RunObserver, run_into
from rxfeed.times import SECOND

from ._passing import Passing

_PAUSE: Final = SECOND
"""Between two attempts while the fallback runs, however soon the breaker would let the next one through."""


class CircuitSubscription(abc.DisposableBase):
    """A source's attempt, a fallback, or both: while the fallback runs, an attempt that has not succeeded runs beside it."""

    def __init__(
        self, breaker: Breaker, source: Observable[Any], fallback: Observable[Any] | None, observer: abc.ObserverBase[Any],
        scheduler: abc.SchedulerBase | None,
    ) -> None:  # fmt: skip
        self._breaker, self._source, self._fallback = breaker, source, fallback
        self._observer, self._scheduler = observer, scheduler
        self._attempt: BreakerAttempt | None = None
        self._main, self._spare = SerialDisposable(), SerialDisposable()
        self._falling = self._over = False
        self._look: Timer | None = None  # at what the breaker allows, or at an attempt that it no longer waits for
        self._healthy: Timer | None = None
        self._leave = _nothing

    def open(self) -> CircuitSubscription:
        """Try, or fall back."""
        try:
            attempt = self._breaker.attempt()
        except CircuitOpen as error:
            refused = error
        else:
            self._begin(attempt)
            return self
        if self._fallback is None:
            self._fail(refused)
        else:
            self._fall_back(self._fallback)
        return self

    def dispose(self) -> None:
        if self._over:
            return
        self._over = True
        self._stop_timers()
        self._leave()
        attempt, self._attempt = self._attempt, None
        self._main.dispose()
        self._spare.dispose()
        if attempt is not None:
            attempt.abandoned()

    # --- an attempt

    def _begin(self, attempt: BreakerAttempt) -> None:
        if self._over:  # a listener of the breaker has disposed of it
            attempt.abandoned()
            return
        self._stop_timers()  # the breaker has told us too that one may try, and so we wait
        breaker, clock = self._breaker, self._breaker.clock
        self._attempt = attempt
        if breaker.healthy_after is not None:
            self._healthy = clock.call_at(clock.now + breaker.healthy_after, self._succeed)
        if (due := breaker.due) is not None:
            self._look = clock.call_at(due, self._hangs)
        self._main.disposable = held = SingleAssignmentDisposable()
        held.disposable = Passing(self._observer, self._succeed, self._failed, self._completed).to(
            self._source, self._scheduler
        )

    def _succeed(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        self._stop_timers()
        self._falling = False
        self._leave()
        self._spare.disposable = _none()
        attempt.succeeded()

    def _failed(self, error: Exception) -> None:
        if self._over:
            return
        attempt, self._attempt = self._attempt, None
        self._stop_timers()
        if attempt is not None:
            attempt.failed(error)
        if self._over:  # a listener may have disposed of it
            return
        if self._fallback is None or not self._breaker.counts(error):
            self._fail(error)
        elif self._falling:
            self._wait(_PAUSE)
        elif self._breaker.delay() > 0:
            self._fall_back(self._fallback)
        else:
            self._fail(error)

    def _hangs(self) -> None:
        """The time of the permitted attempts is over: if ours is still one of them, it has failed."""
        self._look = None
        breaker = self._breaker
        left = breaker.delay()
        if self._attempt is None or self._over or breaker.state not in ("open", "forced_open"):
            return
        self._attempt = None
        self._stop_timers()
        self._main.disposable = _none()
        if self._falling:
            self._wait(_PAUSE)
        else:
            self._fail(CircuitOpen(breaker.name, left, breaker.last_error))

    def _completed(self) -> None:
        if not self._over:
            self._succeed()
        if not self._over:
            self.dispose()
            self._observer.on_completed()

    # --- the fallback

    def _fall_back(self, fallback: Observable[Any]) -> None:
        self._falling = True
        self._leave = self._breaker.listen(self._changed)
        self._wait()
        self._spare.disposable = held = SingleAssignmentDisposable()
        observer = self._observer
        # If it completes there is silence, until the breaker lets the next attempt through.
        spare = RunObserver(observer.on_next, run_into(observer), self._fail, _nothing)
        held.disposable = spare.to(fallback, self._scheduler)

    def _changed(self, _: BreakerChanged) -> None:
        if self._falling and self._attempt is None and not self._over:
            self._wait()

    def _wait(self, least: int = 0) -> None:
        """Have the clock wake us when the breaker may let an attempt through; never try from here, inside another's call."""
        self._stop_timers()
        breaker, clock = self._breaker, self._breaker.clock
        left = breaker.delay()
        if left < inf:
            due = breaker.due if left > 0 else None
            self._look = clock.call_at(max(due or 0, clock.now + least), self._wake)

    def _wake(self) -> None:
        self._look = None
        if self._breaker.delay() > 0:
            self._wait()
            return
        try:
            attempt = self._breaker.attempt()
        except CircuitOpen:  # a listener was faster
            self._wait()
            return
        self._begin(attempt)

    # --- the end

    def _fail(self, error: Exception) -> None:
        if not self._over:
            self.dispose()
            self._observer.on_error(error)

    def _stop_timers(self) -> None:
        for timer in (self._look, self._healthy):
            if timer is not None:
                timer.cancel()
        self._look = self._healthy = None


def _nothing() -> None:
    pass


def _none() -> abc.DisposableBase:
    held = SingleAssignmentDisposable()
    held.dispose()
    return held
