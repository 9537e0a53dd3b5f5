"""`meter` as an operator. What its figures are is the kernel's tests'."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

import rxfeed
from rxfeed import operators as ops
from rxfeed.clock import ReplayClock, VirtualClock
from rxfeed.kernels.meter import GATHERED, Summary
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, frame, on_error, on_next, subscribe, tick, ticks


def one(ns: int) -> Summary:
    return Summary(1, ns, float(ns), ns, ns, ns, ns)


def test_measures_by_the_subscriber_s_clock() -> None:
    clock, operator = VirtualClock(T0), ops.meter("clean")
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source), clock.scheduler)
    assert operator.stats == ("clean", 0, 0, 0.0, None, None)
    clock.advance(SECOND // 2)
    row = tick(0.25, received=T0 + SECOND * 3 // 8)
    source.on_next(row)
    stats = operator.stats
    assert stats == ("clean", 1, 1, 0.0, one(SECOND // 4), one(SECOND // 8))
    assert operator.stats == stats
    clock.advance(SECOND)
    rows = frame([tick(1), tick(1)])
    source.on_next(rows)
    assert operator.stats[:4] == ("clean", 2, 3, 1.0)
    clock.advance(SECOND)
    assert operator.stats.rate == 2.0
    clock.advance(SECOND)
    assert operator.stats.rate == 0.0
    assert got.elements == [row, rows]
    assert clock.next_due is None


def test_the_period_of_the_rate_is_chosen() -> None:
    clock = VirtualClock(T0)
    operator = ops.meter("x", period="5s", scheduler=clock)
    source: Subject[Any] = Subject()
    Recorder().to(operator(source), VirtualClock().scheduler)
    for _ in range(20):
        source.on_next(tick())
    clock.advance(5 * SECOND)
    assert operator.stats.rate == 4.0


def test_without_a_clock_it_counts() -> None:
    operator = ops.meter("x")
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source), TestScheduler())
    for element in (tick(), frame([tick(), tick()]), "text"):
        source.on_next(element)
    assert operator.stats == ("x", 3, 4, None, None, None)
    assert len(got.elements) == 3


def test_more_than_is_gathered_at_once() -> None:
    clock = VirtualClock(T0)
    operator = ops.meter("x", scheduler=clock)
    source: Subject[Any] = Subject()
    operator(source).subscribe()
    for n in range(GATHERED + 10):
        source.on_next(tick(-n / SECOND))
    stats = operator.stats
    assert stats.ticks == GATHERED + 10
    assert stats.lag is not None
    assert (stats.lag.values, stats.lag.min, stats.lag.last) == (GATHERED + 10, 0, GATHERED + 9)


def test_in_a_replay_no_row_is_late() -> None:
    clock, operator = ReplayClock(), ops.meter("x")
    rxfeed.replay(ticks((0, 1), (1, 1), (1, 1), (2.5, 1)), clock=clock).pipe(operator).subscribe(scheduler=clock.scheduler)
    stats = operator.stats
    assert stats.lag == Summary(4, 0, 0.0, 0, 0, 0, 0)
    assert stats.rate == 2.0


def test_reads_at_any_moment_even_from_inside() -> None:
    clock = VirtualClock(T0)
    operator = ops.meter("x", scheduler=clock)
    source: Subject[Any] = Subject()
    seen: list[int] = []

    def react(element: Any) -> None:
        seen.append(operator.stats.ticks)
        if element == 1:
            source.on_next(2)

    got = Recorder(react).to(operator(source))
    source.on_next(1)
    source.on_next(tick())
    assert seen == [1, 2, 3]
    assert got.elements == [1, 2, tick()]


def test_a_raising_subscriber_leaves_the_counts_right() -> None:
    operator = ops.meter("x")
    source: Subject[Any] = Subject()

    def react(element: Any) -> None:
        raise RuntimeError("subscriber")

    got = Recorder(react).to(operator(source))
    for row in (tick(), tick()):
        with pytest.raises(RuntimeError, match="subscriber"):
            source.on_next(row)
    source.on_error(ValueError("x"))
    assert operator.stats.ticks == 2
    assert str(got.error) == "x"


def test_dispose_leaves_the_source_and_the_figures_stay() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, tick()), on_next(225, tick()), on_error(300, RuntimeError("x")))
    operator = ops.meter("x")
    got = scheduler.start(lambda: xs.pipe(operator), disposed=215)
    assert got.messages == [on_next(210, tick())]
    assert xs.subscriptions == [subscribe(200, 215)]
    assert operator.stats.ticks == 1


def test_figures_are_of_the_newest_subscription_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []
    observers: list[abc.ObserverBase[Any]] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observers.append(observer)
        return Disposable()

    operator = ops.meter("x")
    metered = operator(Observable(note))
    scheduler = VirtualClock().scheduler
    first, second = Recorder().to(metered, scheduler), Recorder().to(metered)
    observers[0].on_next(tick())
    assert operator.stats == ("x", 0, 0, None, None, None)
    observers[1].on_next(tick())
    observers[1].on_next(tick())
    assert operator.stats.ticks == 2
    assert found == [scheduler, None]
    assert (len(first.elements), len(second.elements)) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("",), ValueError, "name must not be empty, got ''"),
        (("  ",), ValueError, "name must not be empty, got '  '"),
        ((3,), TypeError, "name must be text, got int"),
        ((None,), TypeError, "name must be text, got NoneType"),
    ],
)
def test_refuses_bad_names(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    for operator in (ops.meter, ops.checkpoint):
        with pytest.raises(error) as caught:
            operator(*arguments)
        assert str(caught.value) == text


def test_refuses_bad_periods_and_schedulers() -> None:
    with pytest.raises(ValueError, match="period must be more than 0, got 0"):
        ops.meter("x", period=0)
    with pytest.raises(ValueError, match="period must look like"):
        ops.meter("x", period="soon")
    with pytest.raises(TypeError, match="scheduler must be a clock or a scheduler, got 3"):
        ops.meter("x", scheduler=3)  # pyright: ignore[reportArgumentType]
