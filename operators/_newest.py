"""One subscription of `sample_every` or `throttle_latest`: the kernel between a source, a clock and an observer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.clock import Clock, Timer
from rxfeed.kernels.keys import Key
from rxfeed.kernels.newest import NewestKernel, NewestStats
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.times import FOREVER, Duration, nanoseconds

from ._call import Called
from ._degraded import passed_on
from ._turns import Turns

T = TypeVar("T")

_NEVER: Final = -FOREVER


class Newest(Called):
    """What they return: an operator, and the counts of its newest subscription."""

    def __init__(self, name: str, period: Duration, key: Key, scheduler: Timed, call: str, *, leading: bool) -> None:
        super().__init__(call)
        length = nanoseconds(period, name="period")
        if length == 0:
            raise ValueError(f"period must be more than 0, got {period!r}")
        self._name, self._clock = name, clock_of(scheduler)
        self._make: Callable[[], NewestKernel] = lambda: NewestKernel(name, length, key, leading=leading)
        self._newest = self._make()

    @property
    def stats(self) -> NewestStats:
        """Rows by what became of them: received = emitted + dropped + pending."""
        return self._newest.stats

    def __call__(self, source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            clock = self._clock or own_clock(scheduler)
            if clock is None:
                raise ValueError(f"{self._name} needs a clock: give it or subscribe() a scheduler")
            kernel = self._newest = self._make()
            return _subscribe(source, observer, scheduler, kernel, clock)

        return passed_on(Observable(subscribe), source)


def _subscribe(
    source: Observable[T],
    observer: abc.ObserverBase[T],
    scheduler: abc.SchedulerBase | None,
    kernel: NewestKernel,
    clock: Clock,
) -> abc.DisposableBase:
    timer: Timer | None = None
    due = _NEVER
    add, emit = kernel.add, observer.on_next

    def cancel() -> None:
        nonlocal timer, due
        if timer is not None:
            timer.cancel()
            timer, due = None, _NEVER

    def stop() -> None:
        cancel()
        kernel.clear()

    turns = Turns(observer, stop)

    def arm() -> None:
        """Have the clock wake us at the period's end if something waits for that, and else not."""
        nonlocal timer, due
        if timer is not None:
            cancel()
        if kernel.waiting:
            due = kernel.end
            timer = clock.call_at(due, wake)

    def wake() -> None:
        nonlocal timer, due
        end, now = due, clock.now
        timer, due = None, _NEVER
        # What was in the queue before may have ended the period itself.
        turns.take(lambda: kernel.turn(now) if kernel.end == end else ())

    def taken(element: T, now: int) -> Iterable[Any]:
        out = add(element, now)
        if due != kernel.end:
            arm()
        return out

    def on_next(element: T) -> None:
        if turns.busy:
            now = clock.now
            turns.take(lambda: taken(element, now))
        elif not turns.ended:
            try:
                out = add(element, clock.now)
                if due != kernel.end:
                    arm()
            except Exception as error:
                turns.fail(error)
                return
            if len(out) == 1:
                turns.busy = True
                try:
                    emit(out[0])
                except BaseException:
                    turns.rest()
                    raise
                turns.busy = False
                if turns.waiting:
                    turns.go()
            elif out:
                turns.emit(out)

    def on_error(error: Exception) -> None:
        turns.fail(error, kernel.flush)

    def on_completed() -> None:
        turns.complete(kernel.flush)

    try:
        upstream = source.subscribe(on_next, on_error, on_completed, scheduler=scheduler)
    except BaseException:
        turns.end()
        raise
    return CompositeDisposable(upstream, Disposable(turns.end))
