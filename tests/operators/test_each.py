"""`each`: from frames to rows."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.frame import Frame
from rxfeed.model import Quote, Tick
from tests.builders import T0, Recorder, frame, on_error, on_next, subscribe, ticks

ROWS = ticks((0, 100), (1, 101), (2, 102))


def test_empty_frames_and_other_kinds() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.each()(source))
    quotes = [Quote("A", T0, bid=1.0), Quote("B", T0)]
    for element in (Frame.of([], Tick), Frame.of(quotes), frame(ROWS)):
        source.on_next(element)
    assert got.elements == [*quotes, *ROWS]


def test_an_error_goes_through_behind_the_rows() -> None:
    scheduler = TestScheduler()
    wrong = RuntimeError("x")
    xs = scheduler.create_hot_observable(on_next(210, frame(ROWS)), on_error(220, wrong))
    got = scheduler.start(lambda: xs.pipe(ops.each()))
    assert got.messages == [*(on_next(210, row) for row in ROWS), on_error(220, wrong)]
    assert xs.subscriptions == [subscribe(200, 220)]


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, frame(ROWS[:1])), on_next(230, frame(ROWS)))
    got = scheduler.start(lambda: xs.pipe(ops.each()), disposed=220)
    assert got.messages == [on_next(210, ROWS[0])]
    assert xs.subscriptions == [subscribe(200, 220)]


def test_a_subscriber_may_leave_in_the_midst_of_a_frame() -> None:
    source: Subject[Any] = Subject()
    got = Recorder()
    got._react = lambda _: got.subscription.dispose()
    got.to(ops.each()(source))
    source.on_next(frame(ROWS))
    assert got.elements == ROWS[:1]
    assert not source.observers


def test_a_row_is_no_frame() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.each()(source))
    source.on_next(ROWS[0])
    assert isinstance(got.error, TypeError)
    assert str(got.error) == "each takes frames, got Tick"
    assert not source.observers


def test_what_is_given_back_queues_behind_and_an_end_loses_nothing() -> None:
    source: Subject[Any] = Subject()

    def react(row: Tick) -> None:
        if row == ROWS[0]:
            source.on_next(frame(ROWS[2:]))
            source.on_completed()

    got = Recorder(react).to(ops.each()(source))
    source.on_next(frame(ROWS[:2]))
    assert got.elements == ROWS
    assert got.completed


def test_a_raising_subscriber_does_not_hold_up_later_frames() -> None:
    source: Subject[Any] = Subject()
    raising = True

    def react(row: Tick) -> None:
        if raising:
            raise RuntimeError("subscriber")

    got = Recorder(react).to(ops.each()(source))
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(frame(ROWS[:2]))
    raising = False
    source.on_next(frame(ROWS[2:]))
    source.on_completed()
    assert got.elements == ROWS  # what it cut off comes first
    assert got.completed


def test_subscriptions_are_independent() -> None:
    source: Subject[Any] = Subject()
    rows = ops.each()(source)
    first, second = Recorder().to(rows), Recorder().to(rows)
    first.subscription.dispose()
    source.on_next(frame(ROWS))
    assert first.elements == []
    assert second.elements == ROWS
