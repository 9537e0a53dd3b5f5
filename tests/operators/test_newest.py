"""What holds for `sample_every` and `throttle_latest` alike: clocks, timers, ends, and who raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

import rxfeed
from rxfeed import operators as ops
from rxfeed.clock import ReplayClock, VirtualClock
from rxfeed.frame import is_frame
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, frame, tick
from tests.oracle_newest import expected

BOTH = pytest.mark.parametrize("make", [ops.sample_every, ops.throttle_latest])
EVENTS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 3, 9, 10, 11, 25]), st.sampled_from("AABC")), max_size=40)
KEYS = st.sampled_from([None, "symbol"])
PERIOD = 10 * SECOND
Make = Callable[..., Any]


def rows_of(events: list[tuple[int, str]]) -> list[Any]:
    at = 0
    return [tick(at := at + step, symbol=symbol, seq=seq) for seq, (step, symbol) in enumerate(events)]


def noting(clock: VirtualClock) -> tuple[list[tuple[int, Any]], Callable[[Any], None]]:
    log: list[tuple[int, Any]] = []
    return log, lambda row: log.append((clock.now, row))


@BOTH
@given(EVENTS, KEYS)
def test_on_a_virtual_clock_with_the_timers_first(make: Make, events: list[tuple[int, str]], key: Any) -> None:
    rows, clock = rows_of(events), VirtualClock(T0)
    log, note = noting(clock)
    operator = make("10s", key=key)
    source: Subject[Any] = Subject()
    source.pipe(operator).subscribe(note, scheduler=clock.scheduler)
    for row in rows:
        clock.advance_to(row.time)
        source.on_next(row)
    source.on_completed()
    check(make, log, rows, key, operator)
    assert clock.next_due is None


@BOTH
@given(EVENTS, KEYS)
def test_on_a_virtual_clock_with_the_elements_first(make: Make, events: list[tuple[int, str]], key: Any) -> None:
    rows, clock = rows_of(events), VirtualClock(T0)
    log, note = noting(clock)
    operator = make("10s", key=key)
    source: Subject[Any] = Subject()
    for row in rows:
        clock.call_at(row.time, lambda row=row: source.on_next(row))
    source.pipe(operator).subscribe(note, scheduler=clock.scheduler)
    if rows:
        # Whatever is due at the last time comes before the end.
        clock.advance_to(rows[-1].time)
    source.on_completed()
    check(make, log, rows, key, operator)
    assert clock.next_due is None


@BOTH
@given(EVENTS, KEYS)
def test_on_a_replay_clock_that_moves_with_the_source(make: Make, events: list[tuple[int, str]], key: Any) -> None:
    rows, clock = rows_of(events), ReplayClock()
    log, note = noting(clock)
    operator = make("10s", key=key)
    rxfeed.replay(rows, clock=clock).pipe(operator).subscribe(note, scheduler=clock.scheduler)
    check(make, log, rows, key, operator)
    assert clock.next_due is None


@BOTH
@given(EVENTS, KEYS, st.integers(0, 30))
def test_when_one_subscribes_moves_no_edge(make: Make, events: list[tuple[int, str]], key: Any, before: int) -> None:
    rows = rows_of(events)
    logs: list[list[tuple[int, Any]]] = []
    for start in (T0, T0 - before * SECOND):
        clock = VirtualClock(start)
        log, note = noting(clock)
        source: Subject[Any] = Subject()
        source.pipe(make("10s", key=key, scheduler=clock)).subscribe(note)
        for row in rows:
            clock.advance_to(row.time)
            source.on_next(row)
        logs.append(log)
    assert logs[0] == logs[1]


@BOTH
@given(EVENTS, KEYS)
def test_frames_give_the_same_rows(make: Make, events: list[tuple[int, str]], key: Any) -> None:
    rows, clock = rows_of(events), VirtualClock(T0)
    log, note = noting(clock)
    operator = make("10s", key=key)
    source: Subject[Any] = Subject()
    source.pipe(operator).subscribe(note, scheduler=clock.scheduler)
    for time in sorted({row.time for row in rows}):
        clock.advance_to(time)
        source.on_next(frame([row for row in rows if row.time == time]))
    source.on_completed()
    assert all(is_frame(f) for _, f in log)
    check(make, [(now, row) for now, f in log for row in f.rows()], rows, key, operator)


def check(make: Make, log: list[tuple[int, Any]], rows: list[Any], key: Any, operator: Any) -> None:
    leading = make is ops.throttle_latest
    assert log == expected([r.time for r in rows], rows, keyed=key is not None, leading=leading, period=PERIOD)
    assert operator.stats == (len(rows), len(log), len(rows) - len(log), 0)


def pending(make: Make, clock: VirtualClock, react: Any = None) -> tuple[Subject[Any], Recorder, Any]:
    """A stream with 2 pending; of `throttle_latest` 0 has come out before."""
    operator = make("10s")
    source: Subject[Any] = Subject()
    got = Recorder(react).to(operator(source), clock.scheduler)
    for n in range(3):
        source.on_next(n)
    assert operator.stats.pending == 1
    assert clock.next_due == T0 + PERIOD
    return source, got, operator


@BOTH
@pytest.mark.parametrize("end", ["complete", "error", "dispose", "bad element"])
def test_no_timer_is_left_and_what_was_pending_is_emitted_or_dropped(make: Make, end: str) -> None:
    clock, wrong = VirtualClock(T0), RuntimeError("x")
    operator = make("10s", key=abs)
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source), clock.scheduler)
    for n in (1, 1, 1, 2, 2):
        source.on_next(n)
    before = list(got.elements)
    assert clock.next_due == T0 + PERIOD
    match end:
        case "complete":
            source.on_completed()
            assert got.completed
        case "error":
            source.on_error(wrong)
            assert got.error is wrong
        case "dispose":
            got.subscription.dispose()
        case _:
            source.on_next("x")
            assert isinstance(got.error, TypeError)
    flushed = [1, 2] if end in ("complete", "error") else []
    assert got.elements == before + flushed
    assert operator.stats == (5, len(got.elements), 5 - len(got.elements), 0)
    assert clock.next_due is None
    assert source.observers == []


@BOTH
def test_the_end_of_a_period_without_elements_is_not_waited_for(make: Make) -> None:
    clock = VirtualClock(T0)
    source, got, _ = pending(make, clock)
    clock.advance(PERIOD)
    assert got.elements[-1] == 2
    assert clock.next_due is None
    clock.advance(5 * PERIOD + SECOND)
    source.on_next(3)
    source.on_next(4)
    assert clock.next_due == T0 + 7 * PERIOD


@BOTH
def test_it_needs_a_clock(make: Make) -> None:
    for scheduler in (None, TestScheduler()):
        got = Recorder().to(make("1s")(Subject()), scheduler)
        assert isinstance(got.error, ValueError)
        assert str(got.error) == f"{make.__name__} needs a clock: give it or subscribe() a scheduler"


@BOTH
def test_its_own_clock_comes_before_the_subscriber_s(make: Make) -> None:
    own, other = VirtualClock(T0), VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(make("10s", scheduler=own.scheduler)(source), other.scheduler)
    source.on_next(1)
    source.on_next(2)
    assert (own.next_due, other.next_due) == (T0 + PERIOD, None)
    own.advance(PERIOD)
    assert got.elements[-1] == 2


@BOTH
def test_what_is_fed_back_queues_behind(make: Make) -> None:
    clock = VirtualClock(T0)
    fed = iter([3, 4, 5])
    source: Subject[Any] = Subject()

    def react(element: Any) -> None:
        for n in fed:
            source.on_next(n)
        if element == 2:
            clock.advance(PERIOD)

    operator = make("10s")
    got = Recorder(react).to(operator(source), clock.scheduler)
    source.on_next(2)
    clock.advance(PERIOD)
    clock.advance(PERIOD)
    assert got.elements == [2, 5]
    source.on_completed()
    assert operator.stats == (4, 2, 2, 0)
    assert got.completed
    assert clock.next_due is None


@BOTH
def test_an_end_from_inside_loses_nothing(make: Make) -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()

    def react(element: Any) -> None:
        if element == 1:
            source.on_next(2)
            source.on_completed()

    got = Recorder(react).to(make("10s")(source), clock.scheduler)
    source.on_next(1)
    clock.advance(PERIOD)
    assert (got.elements, got.completed) == ([1, 2], True)
    assert clock.next_due is None


@BOTH
def test_a_raising_subscriber_leaves_the_state_right(make: Make) -> None:
    clock = VirtualClock(T0)
    raising = False

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    source, got, operator = pending(make, clock, react)
    raising = True
    with pytest.raises(RuntimeError, match="subscriber"):
        clock.advance(PERIOD)
    raising = False
    source.on_next(3)
    source.on_next(4)
    clock.advance(PERIOD)
    source.on_next(5)
    source.on_completed()
    assert got.elements == ([2, 4, 5] if make is ops.sample_every else [0, 2, 4, 5])
    assert operator.stats.pending == 0
    assert clock.next_due is None


@BOTH
def test_a_source_that_cannot_be_stopped_starts_no_timer_after_the_end(make: Make) -> None:
    clock = VirtualClock(T0)

    def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        for n in (1, "x", 2, 2):
            observer.on_next(n)
        return Disposable()

    operator = make("10s", key=abs)
    got = Recorder().to(operator(Observable(run)), clock.scheduler)
    assert isinstance(got.error, TypeError)
    assert clock.next_due is None
    assert operator.stats.pending == 0


@BOTH
def test_a_source_that_breaks_inside_subscribe_leaves_no_timer(make: Make) -> None:
    clock = VirtualClock(T0)

    def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_next(1)
        observer.on_next(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recorder().to(make("10s")(Observable(run)), clock.scheduler)
    assert clock.next_due is None


@BOTH
def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source(make: Make) -> None:
    found: list[Any] = []
    observers: list[abc.ObserverBase[Any]] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observers.append(observer)
        return Disposable()

    clock = VirtualClock(T0)
    operator = make("10s")
    sampled = operator(Observable(note))
    first, second = Recorder().to(sampled, clock.scheduler), Recorder().to(sampled, clock.scheduler)
    for n in (1, 2):
        observers[0].on_next(n)
    assert operator.stats == (0, 0, 0, 0)
    observers[1].on_next(7)
    first.subscription.dispose()
    clock.advance(PERIOD)
    assert 2 not in first.elements
    assert second.elements == [7]
    assert operator.stats == (1, 1, 0, 0)
    assert found == [clock.scheduler] * 2


@BOTH
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"period": 0}, ValueError, "period must be more than 0, got 0"),
        ({"period": -1}, ValueError, "period must be from 0 to 292 years, got -1"),
        ({"period": "1s", "key": 3}, TypeError, "key must be the name of a field, or a callable, got int"),
        ({"period": "1s", "key": "a b"}, ValueError, "key must be the name of a field, or a callable, got 'a b'"),
    ],
)
def test_refuses_bad_arguments(make: Make, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        make(**arguments)
    assert str(caught.value) == text


@BOTH
def test_refuses_a_bad_scheduler(make: Make) -> None:
    with pytest.raises(TypeError, match="scheduler must be a clock or a scheduler, got 3"):
        make("1s", scheduler=3)


@BOTH
def test_a_callable_key_on_frames_is_the_stream_s_error(make: Make) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(make("1s", key=lambda row: row.symbol)(source), VirtualClock().scheduler)
    source.on_next(frame([tick()]))
    assert str(got.error) == f"{make.__name__} with a callable key takes rows, got Frame[Tick]; give it the field's name"
