"""`batch`: from rows to frames, by size and by time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.frame import Frame
from rxfeed.model import Quote, Tick
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, bar, frame, on_error, on_next, subscribe, ticks

ROWS = ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104))


def sizes(got: Recorder) -> list[list[int]]:
    return [[row.seq for row in f.rows()] for f in got.elements]


def test_takes_every_kind_of_row() -> None:
    for rows in (ROWS, [Quote("A", T0), Quote("B", T0)], [bar(), bar(volume=3)]):
        source: Subject[Any] = Subject()
        got = Recorder().to(ops.batch(len(rows))(source))
        for row in rows:
            source.on_next(row)
        assert [f.rows() for f in got.elements] == [rows]
        assert got.elements[0].kind is type(rows[0])


def test_a_frame_goes_out_when_its_first_row_has_waited() -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.batch(3, "2s")(source), clock.scheduler)
    source.on_next(ROWS[0])
    clock.advance(2 * SECOND - 1)
    source.on_next(ROWS[1])
    assert sizes(got) == []
    clock.advance(1)
    assert sizes(got) == [[0, 1]]
    assert clock.next_due is None
    clock.advance(SECOND)
    source.on_next(ROWS[2])
    assert clock.next_due == clock.now + 2 * SECOND
    source.on_next(ROWS[3])
    source.on_next(ROWS[4])
    assert sizes(got) == [[0, 1], [2, 3, 4]]
    assert clock.next_due is None


def test_a_clock_will_do_and_a_foreign_scheduler_of_the_subscriber_will_not() -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.batch(3, "2s", scheduler=clock)(source))
    source.on_next(ROWS[0])
    clock.advance(2 * SECOND)
    assert sizes(got) == [[0]]
    refused = Recorder().to(ops.batch(3, "2s")(source), TestScheduler())
    assert "batch with a period needs a clock" in str(refused.error)


def test_its_own_scheduler_comes_before_the_subscriber_s() -> None:
    own, other = VirtualClock(T0), VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.batch(3, "2s", scheduler=own.scheduler)(source), other.scheduler)
    source.on_next(ROWS[0])
    assert other.next_due is None
    own.advance(2 * SECOND)
    assert sizes(got) == [[0]]


def test_what_is_pending_comes_before_an_error() -> None:
    scheduler = TestScheduler()
    wrong = RuntimeError("x")
    xs = scheduler.create_hot_observable(on_next(210, ROWS[0]), on_error(220, wrong))
    got: Any = scheduler.start(lambda: xs.pipe(ops.batch(3, "30s", scheduler=scheduler)))
    assert [(m.time, m.value.kind) for m in got.messages] == [(220, "N"), (220, "E")]
    assert got.messages[0].value.value.rows() == ROWS[:1]
    assert got.messages[1].value.exception is wrong
    assert xs.subscriptions == [subscribe(200, 220)]


def test_dispose_leaves_source_and_timer() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, ROWS[0]), on_next(225, ROWS[1]))
    got = scheduler.start(lambda: xs.pipe(ops.batch(3, "10s", scheduler=scheduler)), disposed=215)
    assert got.messages == []
    assert xs.subscriptions == [subscribe(200, 215)]


@pytest.mark.parametrize("end", ["dispose", "complete", "error", "bad row"])
def test_no_timer_is_left(end: str) -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.batch(2, "10s")(source), clock.scheduler)
    source.on_next(ROWS[0])
    assert clock.next_due == T0 + 10 * SECOND
    match end:
        case "dispose":
            got.subscription.dispose()
        case "complete":
            source.on_completed()
        case "error":
            source.on_error(RuntimeError("x"))
        case _:
            source.on_next(Quote("A", T0))
    assert clock.next_due is None
    assert sizes(got) == ([[0]] if end in ("complete", "error") else [])


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([ROWS[0], Quote("A", T0)], "batch takes rows of one kind, Tick, Quote, Depth or Bar, got Tick, Quote"),
        ([1, 2], "batch takes rows of one kind, Tick, Quote, Depth or Bar, got int"),
        ([frame(ROWS), frame(ROWS)], "batch takes rows of one kind, Tick, Quote, Depth or Bar, got Frame"),
    ],
)
def test_a_wrong_row_ends_the_stream_and_says_what_it_is(rows: list[Any], text: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.batch(2)(source))
    for row in rows:
        source.on_next(row)
    assert isinstance(got.error, TypeError)
    assert str(got.error) == text
    assert got.elements == []


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ops.batch(0), "size must be at least 1, got 0"),
        (lambda: ops.batch(2, 0), "period must be more than 0, got 0"),
        (lambda: ops.batch(2, "x"), "period must look like"),
    ],
)
def test_refuses_bad_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_a_period_needs_a_clock() -> None:
    got = Recorder().to(ops.batch(2, "1s")(Subject()))
    assert str(got.error) == "batch with a period needs a clock: give it or subscribe() a scheduler"


def test_what_is_given_back_queues_behind_and_an_end_loses_nothing() -> None:
    source: Subject[Any] = Subject()

    def react(element: Frame[Tick]) -> None:
        if element.rows()[0] == ROWS[0]:
            for row in ROWS[2:]:
                source.on_next(row)
            source.on_completed()

    got = Recorder(react).to(ops.batch(2)(source))
    source.on_next(ROWS[0])
    source.on_next(ROWS[1])
    assert sizes(got) == [[0, 1], [2, 3], [4]]
    assert got.completed


def test_a_raising_subscriber_leaves_the_state_right() -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    raising = True

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    got = Recorder(react).to(ops.batch(2, "1s")(source), clock.scheduler)
    source.on_next(ROWS[0])
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(ROWS[1])
    source.on_next(ROWS[2])
    with pytest.raises(RuntimeError, match="subscriber"):
        clock.advance(SECOND)
    raising = False
    source.on_next(ROWS[3])
    clock.advance(SECOND)
    source.on_next(ROWS[4])
    source.on_completed()
    assert sizes(got) == [[0, 1], [2], [3], [4]]
    assert clock.next_due is None


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []
    observers: list[abc.ObserverBase[Any]] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observers.append(observer)
        return Disposable()

    frames = ops.batch(2)(Observable(note))
    scheduler = VirtualClock().scheduler
    first, second = Recorder().to(frames, scheduler), Recorder().to(frames)
    observers[0].on_next(ROWS[0])
    observers[1].on_next(ROWS[1])
    observers[1].on_next(ROWS[2])
    assert found == [scheduler, None]
    assert (sizes(first), sizes(second)) == ([], [[1, 2]])
