"""`subscribe`: a handler that raises costs nobody but itself, and is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import reactivex as rx
from loguru import logger
from reactivex import Observable, Subject, abc
from reactivex import operators as rxo
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.clock import Clock, LiveClock, LoopClock, VirtualClock
from rxfeed.failures import Failure
from rxfeed.feeds.replay import replay
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, Told, on_completed, on_next, subscribe, tick, ticks
from tests.loops import run, until


@pytest.fixture
def logged() -> Iterator[list[str]]:
    said: list[str] = []
    number = logger.add(lambda message: said.append(str(message)), level="INFO", diagnose=True, backtrace=True)
    yield said
    logger.remove(number)


def fail(_: object = None) -> None:
    raise ZeroDivisionError


def fail_at(element: object, got: list[Any]) -> Callable[[Any], None]:
    def handle(given: Any) -> None:
        got.append(given)
        if given == element:
            raise ZeroDivisionError

    return handle


# --- who raises, and who does not notice


def test_a_raising_handler_ends_its_own_subscription_and_no_other() -> None:
    source: Subject[int] = Subject()
    told, bad, good = Told(), list[int](), list[int]()
    first = source.pipe(ops.subscribe(fail_at(2, bad), name="bad", report=told))
    source.pipe(ops.subscribe(good.append, report=told))
    for element in (1, 2, 3):
        source.on_next(element)
    assert (bad, good) == ([1, 2], [1, 2, 3])
    assert told.brief == [("bad", "on_next", "ZeroDivisionError")]
    assert told.failures[0].element == 2
    assert len(source.observers) == 1
    assert first.is_disposed


def test_the_source_is_let_go_of_before_the_failure_is_told() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 2))
    seen: list[Any] = []
    xs.pipe(ops.subscribe(fail, report=lambda failure: seen.append(list(xs.subscriptions)), scheduler=scheduler))
    scheduler.start()
    assert seen == [[subscribe(0, 210)]]


def test_by_default_it_is_one_record_with_the_stage_the_traceback_and_no_values(logged: list[str]) -> None:
    source: Subject[int] = Subject()

    def place_order(element: int) -> None:
        token = f"Bearer {element}-s3cr3t"
        raise ValueError(len(token))

    source.pipe(ops.subscribe(place_order))
    source.on_next(1)
    source.on_next(2)
    (text,) = logged
    assert f"{__name__}.{place_order.__qualname__} raised in on_next; its subscription has ended" in text
    assert "in place_order\n    raise ValueError(len(token))" in text
    assert "s3cr3t" not in text


def test_a_stream_s_error_that_nobody_asked_for_is_told_once_and_not_raised(logged: list[str]) -> None:
    source: Subject[int] = Subject()
    source.pipe(ops.subscribe(print, name="prices"))
    source.on_error(ValueError("cut off"))
    (text,) = logged
    assert "prices: the stream ended with an error, and no on_error was given" in text
    assert "ValueError: cut off" in text


def test_a_stream_s_error_goes_to_on_error_alone(logged: list[str]) -> None:
    wrong, got, ends = ValueError("x"), list[Exception](), list[str]()
    rx.throw(wrong).pipe(ops.subscribe(print, got.append, lambda: ends.append("|")))
    assert got == [wrong]
    assert (ends, logged) == ([], [])


def test_a_raising_callback_upstream_is_the_stream_s_error() -> None:
    told = Told()
    source: Subject[int] = Subject()
    source.pipe(rxo.map(lambda x: 1 // x), ops.subscribe(print, name="s", report=told))
    source.on_next(0)
    assert told.brief == [("s", "source", "ZeroDivisionError")]
    assert source.observers == []


def test_a_raising_on_error_is_told_with_the_error_it_was_called_for() -> None:
    told, source = Told(), Subject[int]()
    source.pipe(ops.subscribe(print, fail, name="s", report=told))
    source.on_error(ValueError("cut off"))
    assert told.brief == [("s", "on_error", "ZeroDivisionError")]
    assert "ValueError: cut off" in told.failures[0].traceback


def test_an_on_error_that_raises_what_it_got_tells_it_once() -> None:
    told, source = Told(), Subject[int]()

    def again(error: Exception) -> None:
        raise error

    source.pipe(ops.subscribe(print, again, name="s", report=told))
    source.on_error(ValueError("cut off"))
    assert told.brief == [("s", "on_error", "ValueError")]
    assert told.failures[0].traceback.count("ValueError: cut off") == 1


def test_a_raising_on_completed_is_told_and_harms_no_other() -> None:
    told, source, ends = Told(), Subject[int](), list[str]()
    source.pipe(ops.subscribe(print, on_completed=fail, name="s", report=told))
    source.pipe(ops.subscribe(print, on_completed=lambda: ends.append("|"), report=told))
    source.on_completed()
    assert told.brief == [("s", "on_completed", "ZeroDivisionError")]
    assert ends == ["|"]


def test_a_source_that_raises_when_it_is_subscribed_to_or_disposed_of_is_told() -> None:
    told = Told()

    def refuse(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        raise KeyError

    Observable(refuse).pipe(ops.subscribe(print, name="s", report=told))
    assert told.brief == [("s", "source", "KeyError")]

    observers: list[abc.ObserverBase[int]] = []

    def sticky(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observers.append(observer)
        return Disposable(fail)

    Observable(sticky).pipe(ops.subscribe(lambda _: {}[0], name="t", report=told))
    observers[0].on_next(1)
    assert told.brief[1:] == [("t", "dispose", "ZeroDivisionError"), ("t", "on_next", "KeyError")]


def test_a_report_that_raises_harms_nobody(logged: list[str]) -> None:
    source, got = Subject[int](), list[int]()
    source.pipe(ops.subscribe(lambda _: {}[0], report=fail))
    source.pipe(ops.subscribe(got.append))
    source.on_next(1)
    assert got == [1]
    (text,) = logged
    assert "KeyError: 0" in text
    assert "ZeroDivisionError" in text


def test_a_report_that_feeds_the_source_does_not_recurse() -> None:
    source, told, got = Subject[int](), Told(), list[int]()

    def report(failure: Failure) -> None:
        told(failure)
        source.on_next(9)

    source.pipe(ops.subscribe(fail, name="s", report=report))
    source.pipe(ops.subscribe(got.append))
    source.on_next(1)
    assert told.brief == [("s", "on_next", "ZeroDivisionError")]
    assert sorted(got) == [1, 9]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("where", ["on_next", "on_error", "on_completed", "queued"])
def test_what_is_no_error_is_raised_and_ends_it_all_the_same(stop: type[BaseException], where: str) -> None:
    source, told, got = Subject[int](), Told(), list[int]()

    def halt(*_: object) -> None:
        raise stop

    def queue(element: int) -> None:
        got.append(element)
        if element == 1:
            source.on_next(2)
        else:
            raise stop

    handler = {"on_next": halt, "queued": queue}.get(where, print)
    end = source.pipe(ops.subscribe(handler, halt, halt, report=told))
    act = {"on_error": lambda: source.on_error(ValueError()), "on_completed": source.on_completed}
    with pytest.raises(stop):
        act.get(where, lambda: source.on_next(1))()
    assert source.observers == []
    assert end.is_disposed
    assert told.failures == []


# --- an end, from anywhere


def test_after_the_end_nothing_comes_whatever_the_source_does() -> None:
    observers: list[abc.ObserverBase[int]] = []
    got, told, disposed = Recorder(), Told(), list[int]()

    def rude(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        for element in range(3):
            observer.on_next(element)
        observer.on_completed()
        observer.on_next(5)
        observers.append(observer)
        return Disposable(lambda: disposed.append(1))

    Observable(rude).pipe(ops.subscribe(got, report=told))
    assert (got.elements, got.completed) == ([0, 1, 2], True)
    few: list[int] = []
    Observable(rude).pipe(ops.subscribe(fail_at(1, few), name="s", report=told))
    observers[-1].on_next(7)
    assert few == [0, 1]
    assert told.brief == [("s", "on_next", "ZeroDivisionError")]
    assert disposed == [1, 1]


def test_a_replay_is_stopped_and_its_file_closed_while_it_is_being_subscribed_to() -> None:
    read: list[int] = []

    def rows() -> Iterator[Any]:
        for n in range(100_000):
            read.append(n)
            yield tick(n, seq=n)

    told = Told()
    replay(rows()).pipe(ops.subscribe(fail, name="s", report=told))
    assert told.brief == [("s", "on_next", "ZeroDivisionError")]
    assert len(read) <= 512


def test_dispose_lets_go_of_the_source_and_calls_nobody() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, 1), on_next(220, 2), on_completed(230))
    got = Recorder()
    end = xs.pipe(ops.subscribe(got, scheduler=scheduler))
    scheduler.schedule_absolute(215, lambda *_: end.dispose())
    scheduler.start()
    assert (got.elements, got.completed) == ([1], False)
    assert xs.subscriptions == [subscribe(0, 215)]
    end.dispose()


def test_a_handler_may_dispose_of_itself() -> None:
    source, got = Subject[int](), list[int]()

    def handle(element: int) -> None:
        got.append(element)
        source.on_next(element + 1)
        end.dispose()

    end = source.pipe(ops.subscribe(handle, on_completed=lambda: got.append(-1)))
    source.on_next(1)
    source.on_completed()
    assert got == [1]
    assert source.observers == []


def test_what_is_fed_back_waits_its_turn_and_so_does_the_end() -> None:
    source, log = Subject[int](), list[str]()

    def handle(element: int) -> None:
        log.append(f"<{element}")
        if element == 1:
            source.on_next(2)
            source.on_next(3)
            source.on_completed()
        log.append(f"{element}>")

    source.pipe(ops.subscribe(handle, on_completed=lambda: log.append("|")))
    source.on_next(1)
    assert log == ["<1", "1>", "<2", "2>", "<3", "3>", "|"]


def test_an_error_waits_its_turn_too() -> None:
    source, log = Subject[int](), list[Any]()
    wrong = ValueError()

    def handle(element: int) -> None:
        log.append(element)
        if element == 1:
            source.on_next(2)
            source.on_error(wrong)

    source.pipe(ops.subscribe(handle, log.append))
    source.on_next(1)
    assert log == [1, 2, wrong]


@pytest.mark.parametrize("bad", [1, 2])
def test_a_handler_that_raises_drops_what_waits(bad: int) -> None:
    source, got, told = Subject[int](), list[int](), Told()
    raising = fail_at(bad, got)

    def handle(element: int) -> None:
        if element == 1:
            source.on_next(2)
            source.on_next(3)
        raising(element)

    source.pipe(ops.subscribe(handle, report=told))
    source.on_next(1)
    source.on_next(4)
    assert got == list(range(1, bad + 1))
    assert len(told.failures) == 1


def test_a_handler_may_subscribe_others() -> None:
    source, late = Subject[int](), list[int]()
    source.pipe(ops.subscribe(lambda _: source.pipe(ops.subscribe(late.append))))
    for element in (1, 2, 3):
        source.on_next(element)
    assert sorted(late) == [2, 3, 3]


def test_an_observer_s_own_failure_is_told() -> None:
    told = Told()
    source: Subject[int] = Subject()
    source.pipe(ops.subscribe(Recorder(fail), report=told))
    source.on_next(1)
    source.pipe(ops.subscribe(rx.Observer(print), name="s", report=told))
    source.on_error(KeyError("x"))
    assert [brief[1:] for brief in told.brief] == [("on_next", "ZeroDivisionError"), ("on_error", "KeyError")]
    assert told.brief[0][0] == "tests.builders.Recorder"


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []

    def note(observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observer.on_next(len(found))
        return Disposable()

    clock, got, told = VirtualClock(), list[int](), Told()
    end = ops.subscribe(fail_at(1, got), report=told, scheduler=clock)
    for _ in range(2):
        end(Observable(note))
    assert got == [1, 2]
    assert len(told.failures) == 1
    Observable(note).pipe(ops.subscribe(print, scheduler=clock.scheduler))
    Observable(note).pipe(ops.subscribe(print))
    assert found == [clock.scheduler, clock.scheduler, clock.scheduler, None]


# --- in timers


def test_in_a_virtual_clock_s_timer_it_is_told_and_the_clock_goes_on() -> None:
    clock, told, got = VirtualClock(T0), Told(), list[Any]()
    source: Subject[Any] = Subject()
    shared = source.pipe(ops.batch(10, "1s", scheduler=clock), rxo.share())
    shared.pipe(ops.subscribe(fail, name="bad", report=told))
    shared.pipe(ops.subscribe(got.append, report=told))
    for row in ticks((0, 1), (1, 2)):
        source.on_next(row)
        clock.advance(SECOND)
    assert told.brief == [("bad", "on_next", "ZeroDivisionError")]
    assert len(got) == 2


@pytest.mark.parametrize("live", [False, True], ids=["LoopClock", "LiveClock"])
def test_in_an_asyncio_timer_it_is_told_and_nothing_is_left(live: bool) -> None:
    told, got = Told(), list[Any]()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        clock: Clock = LiveClock() if live else LoopClock(loop)
        source: Subject[Any] = Subject()
        shared = source.pipe(ops.batch(10, "1us", scheduler=clock), rxo.share())
        shared.pipe(ops.subscribe(fail, name="bad", report=told))
        source.on_next(tick(0))
        await until(lambda: told.failures)
        assert source.observers == []  # it was the only one, and took the timer and the source with it
        shared.pipe(ops.subscribe(got.append, report=told))
        source.on_next(tick(0))
        await until(lambda: got)
        source.on_completed()

    run(main)
    assert told.brief == [("bad", "on_next", "ZeroDivisionError")]


def test_in_a_bare_call_later_too() -> None:
    told = Told()

    async def main() -> None:
        source: Subject[int] = Subject()
        source.pipe(ops.subscribe(fail, name="bad", report=told))
        asyncio.get_running_loop().call_later(0, source.on_next, 1)
        await until(lambda: told.failures)
        assert source.observers == []

    run(main)
    assert told.brief == [("bad", "on_next", "ZeroDivisionError")]


# --- arguments


async def wait(_: object) -> None: ...


NONE: Any = None
WRONG: Any = 5


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ops.subscribe(NONE), "on_next must be a function or an observer, got NoneType"),
        (lambda: ops.subscribe(wait), "wait is a coroutine function, and nobody would await it: use subscribe_async"),
        (lambda: ops.subscribe(Recorder(), fail), "an observer has an on_error and on_completed of its own; give it alone"),
        (lambda: ops.subscribe(print, scheduler=WRONG), "scheduler must be a clock or a scheduler, got 5"),
    ],
)  # fmt: skip
def test_refuses_bad_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        make()
