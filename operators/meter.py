"""When bars come late, somebody must know whether the feed was late, or we were, and at which stage. A meter between any two
stages tells, and costs little enough to stay there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc

from rxfeed.clock import Clock
from rxfeed.kernels.meter import GATHERED, MeterKernel, MeterStats
from rxfeed.model import Tick
from rxfeed.runs import Run, RunObservable, RunObserver, run_into
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.times import Duration, nanoseconds

from ._call import Called, call
from ._degraded import passed_on
from ._names import checked

T = TypeVar("T")


class Meter(Called):
    """What `meter` returns: an operator, and the figures of its newest subscription."""

    def __init__(self, make: Callable[[], MeterKernel], clock: Clock | None, call: str) -> None:
        super().__init__(call)
        self._make = make
        self._own = self._clock = clock
        self._newest = make()

    @property
    def stats(self) -> MeterStats:
        """The figures until now; reading them changes none."""
        return self._newest.stats(None if self._clock is None else self._clock.now)

    def __call__(self, source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._make()
            clock = self._clock = self._own or own_clock(scheduler)
            into = RunObserver(
                _on_next(kernel, clock, observer), _on_run(kernel, clock, observer), observer.on_error, observer.on_completed
            )
            return into.to(source, scheduler)

        return passed_on(RunObservable(subscribe), source)


def _on_run(kernel: MeterKernel, clock: Clock | None, observer: abc.ObserverBase[T]) -> Callable[[Run], None]:
    """Ticks that come together have come at one instant."""
    run, rows, nows = run_into(observer, whole=True), kernel.rows, kernel.nows

    def untimed(ticks: Run) -> None:
        kernel.plain += len(ticks)
        run(ticks)

    if clock is None:
        return untimed

    def timed(ticks: Run) -> None:
        now = clock.now
        for begin in range(0, len(ticks), GATHERED):
            piece = ticks[begin : begin + GATHERED]
            rows.extend(piece)
            nows.extend([now] * len(piece))
            if len(nows) >= GATHERED:
                kernel.fold()
        run(ticks)

    return timed


def _on_next(kernel: MeterKernel, clock: Clock | None, observer: abc.ObserverBase[T]) -> Callable[[T], None]:
    emit, add, fold = observer.on_next, kernel.add, kernel.fold
    add_row, add_now, nows = kernel.rows.append, kernel.nows.append, kernel.nows

    def untimed(element: T) -> None:
        if type(element) is Tick:
            kernel.plain += 1
        else:
            add(element, None)
        emit(element)

    if clock is None:
        return untimed

    def timed(element: T) -> None:
        if type(element) is Tick:
            add_row(element)
            add_now(clock.now)
            if len(nows) >= GATHERED:
                fold()
        else:
            add(element, clock.now)
        emit(element)

    return timed


def meter(name: str, *, period: Duration = "1s", scheduler: Timed = None) -> Meter:
    """Measure what passes: how many ticks, how many a second, how late they are, and how long we have had them.

        --1--2-----3--|
        meter("clean")
        --1--2-----3--|

    Args:
        name: of the stage; it stands in the figures.
        period: the rate is that of the clock's last whole period; periods begin at its multiples.
        scheduler: the clock, or its scheduler; the subscriber's by default, if it is one of ours.

    Returns:
        An operator from anything to the same; its `stats` holds number, rate, lag (the clock's time less the element's) and
        latency (less `received`), each with min, mean, max, last and percentiles, which are within 0.8 %. A row is a tick, a
        frame as many as it has rows, a bar its `count`, and late by its last tick's time; anything else is only counted.

    Raises:
        TypeError, ValueError: the name is not text, or empty; a period of 0.

    Ends: with the source. Nothing is pending.
    Drops: nothing.
    Clock: the scheduler's, read once an element; without one there are counts alone. No timer. It takes 130 kB, and keeps
    the last 2,047 ticks at most.
    """
    text = call(meter, locals())
    label, length = checked(name), nanoseconds(period, name="period")
    if length == 0:
        raise ValueError(f"period must be more than 0, got {period!r}")
    return Meter(lambda: MeterKernel(label, length), clock_of(scheduler), text)
