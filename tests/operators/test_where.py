"""`where`: selection of rows and in frames."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.frame import Frame
from rxfeed.model import Quote, Tick
from tests.builders import T0, Recorder, frame, on_error, on_next, subscribe, ticks

ROWS = ticks((0, 100), (1, 101), (2, 102), (3, 103))


def even(row: Tick) -> bool:
    return row.price % 2 == 0


def test_an_expression_selects_in_frames() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.where(pl.col("price") > 101)(source))
    whole = frame(ROWS[2:])
    for each in (frame(ROWS), whole, frame(ROWS[:2]), Frame.of([], Tick)):
        source.on_next(each)
    source.on_completed()
    assert [f.rows() for f in got.elements] == [ROWS[2:], ROWS[2:]]
    assert got.elements[1] is whole
    assert got.completed


def test_null_counts_as_no() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.where(pl.col("bid") > 0)(source))
    quotes = [Quote("A", T0, bid=1.0), Quote("A", T0)]
    source.on_next(Frame.of(quotes))
    assert [f.rows() for f in got.elements] == [quotes[:1]]
    assert got.elements[0].kind is Quote


def test_an_error_goes_through() -> None:
    scheduler = TestScheduler()
    wrong = RuntimeError("x")
    xs = scheduler.create_hot_observable(on_next(210, 2), on_error(220, wrong))
    got = scheduler.start(lambda: xs.pipe(ops.where(lambda n: n > 1)))
    assert got.messages == [on_next(210, 2), on_error(220, wrong)]
    assert xs.subscriptions == [subscribe(200, 220)]


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, 2), on_next(230, 3))
    got = scheduler.start(lambda: xs.pipe(ops.where(lambda n: n > 1)), disposed=220)
    assert got.messages == [on_next(210, 2)]
    assert xs.subscriptions == [subscribe(200, 220)]


def test_a_raising_condition_ends_the_stream() -> None:
    scheduler = TestScheduler()
    wrong = ZeroDivisionError("one")

    def judge(n: int) -> bool:
        if n == 1:
            raise wrong
        return True

    xs = scheduler.create_hot_observable(on_next(210, 2), on_next(220, 1), on_next(230, 3))
    got = scheduler.start(lambda: xs.pipe(ops.where(judge)))
    assert got.messages == [on_next(210, 2), on_error(220, wrong)]
    assert xs.subscriptions == [subscribe(200, 220)]


def test_an_expression_on_a_column_that_is_not_there_ends_the_stream() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.where(pl.col("bid") > 0)(source))
    source.on_next(frame(ROWS))
    assert isinstance(got.error, pl.exceptions.ColumnNotFoundError)


def test_an_expression_on_rows_says_what_to_do() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.where(pl.col("price") > 0)(source))
    source.on_next(ROWS[0])
    assert isinstance(got.error, TypeError)
    assert str(got.error) == "where with an expression takes frames, got Tick; give a callable for rows"


def test_refuses_what_is_no_condition() -> None:
    with pytest.raises(TypeError, match="condition must be a callable for rows or a polars expression for frames, got 3"):
        ops.where(3)  # type: ignore


def test_what_is_given_back_comes_behind_and_an_end_loses_nothing() -> None:
    source: Subject[Any] = Subject()

    def react(row: Tick) -> None:
        if row == ROWS[0]:
            source.on_next(ROWS[1])
            source.on_next(ROWS[2])
            source.on_completed()

    got = Recorder(react).to(ops.where(even)(source))
    source.on_next(ROWS[0])
    assert got.elements == [ROWS[0], ROWS[2]]
    assert got.completed


def test_a_raising_subscriber_does_not_hold_up_later_rows() -> None:
    source: Subject[Any] = Subject()
    raising = True

    def react(row: Tick) -> None:
        if raising:
            raise RuntimeError("subscriber")

    got = Recorder(react).to(ops.where(even)(source))
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(ROWS[0])
    raising = False
    source.on_next(ROWS[2])
    assert got.elements == [ROWS[0], ROWS[2]]
    assert got.error is None


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observer.on_next(ROWS[len(found) * 2 - 2])
        return Disposable()

    rows = ops.where(even)(Observable(note))
    scheduler = VirtualClock().scheduler
    first, second = Recorder().to(rows, scheduler), Recorder().to(rows)
    assert found == [scheduler, None]
    assert (first.elements, second.elements) == ([ROWS[0]], [ROWS[2]])
