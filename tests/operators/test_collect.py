"""`collect`: everything as one frame."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

import rxfeed
from rxfeed import operators as ops
from rxfeed.errors import InputError, Overflow
from rxfeed.frame import BAR_SCHEMA, Frame
from rxfeed.model import Bar, Quote, Tick
from tests.builders import T0, Recorder, bar, frame, on_error, on_next, subscribe, tick, ticks

ROWS = ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104))


@pytest.mark.parametrize("rows", [ROWS, [Quote("A", T0), Quote("B", T0)], [bar(), bar(volume=3)]])
def test_takes_every_kind_in_rows_in_frames_and_in_both(rows: list[Any]) -> None:
    for given in (rows, [Frame.of(rows[:1]), Frame.of(rows[1:])], [rows[0], Frame.of(rows[1:-1], type(rows[0])), rows[-1]]):
        source: Subject[Any] = Subject()
        collected = ops.collect()
        got = Recorder().to(collected(source))
        for element in given:
            source.on_next(element)
        n = sum(len(e) if isinstance(e, Frame) else 1 for e in given)
        assert collected.stats == (n, 0, 0, n)
        source.on_completed()
        assert [f.rows() for f in got.elements] == [[r for e in given for r in (e.rows() if isinstance(e, Frame) else [e])]]
        assert got.elements[0].kind is type(rows[0])
        assert got.completed
        assert collected.stats == (n, n, 0, 0)


def test_many_rows_are_packed_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["rxfeed.operators.collect"], "_PIECE", 7)  # the name is the function's
    market = rxfeed.synthetic(3, n=100)
    made = market.trades().pipe(ops.collect()).run()
    assert made.df.equals(market.ticks_frame(100).df)
    assert market.trades(frames=True, chunk=9).pipe(ops.collect()).run().df.equals(made.df)


def test_the_bars_of_a_replay_in_one_line_in_rows_as_in_frames() -> None:
    ticks = rxfeed.synthetic(3, n=2_000).ticks_frame(2_000)
    rows = rxfeed.replay(ticks).pipe(ops.bars("1m"), ops.collect()).run()
    frames = rxfeed.replay(ticks, frames=True).pipe(ops.bars("1m", frames=True), ops.collect()).run()
    keys = ["symbol", "start"]
    assert rows.kind is frames.kind is Bar
    assert rows.df.height > 1
    assert rows.df.drop("notional").sort(keys).equals(frames.df.drop("notional").sort(keys))


def test_nothing_at_all_must_be_told_its_kind() -> None:
    source: Subject[Any] = Subject()
    got, told = Recorder().to(ops.collect()(source)), Recorder().to(ops.collect(Bar)(source))
    source.on_completed()
    assert isinstance(got.error, InputError)
    assert str(got.error) == "a frame of no rows must be told their kind: Frame.of([], Tick)"
    assert told.elements[0].df.equals(pl.DataFrame(schema=BAR_SCHEMA))
    assert told.completed


def test_an_error_comes_alone_and_what_it_drops_is_counted() -> None:
    scheduler = TestScheduler()
    wrong = RuntimeError("x")
    notes: list[Any] = [on_next(210, ROWS[0]), on_next(220, frame(ROWS[1:])), on_error(230, wrong)]
    xs: Any = scheduler.create_hot_observable(notes)
    collected = ops.collect()
    got = scheduler.start(lambda: xs.pipe(collected))
    assert got.messages == [on_error(230, wrong)]
    assert xs.subscriptions == [subscribe(200, 230)]
    assert collected.stats == (5, 0, 5, 0)


def test_dispose_leaves_the_source_and_lets_go_of_the_rows() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, ROWS[0]), on_next(225, ROWS[1]))
    collected = ops.collect()
    got = scheduler.start(lambda: xs.pipe(collected), disposed=215)
    assert got.messages == []
    assert xs.subscriptions == [subscribe(200, 215)]
    assert collected.stats == (1, 0, 1, 0)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([1], "collect takes Tick, Quote, Depth, Bar or frames of one kind, got int"),
        ([ROWS[0], Quote("A", T0)], "collect takes Tick or frames of one kind, got Quote"),
        ([frame(ROWS), Frame.of([bar()])], "collect takes Tick or frames of one kind, got Frame[Bar]"),
    ],
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(given: list[Any], text: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.collect()(source))
    for element in given:
        source.on_next(element)
    assert isinstance(got.error, TypeError)
    assert str(got.error) == text
    assert not source.observers


def test_the_kind_that_was_said_is_held_to() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.collect(Bar)(source))
    source.on_next(ROWS[0])
    assert str(got.error) == "collect takes Bar or frames of one kind, got Tick"


@pytest.mark.parametrize("more", [ROWS[4], frame(ROWS[4:])])
def test_it_holds_as_many_rows_as_allowed_and_not_one_more(more: Any) -> None:
    for first in (ROWS[:4], [frame(ROWS[:4])], [frame(ROWS[:3]), ROWS[3]], [ROWS[0], frame(ROWS[1:4])]):
        source: Subject[Any] = Subject()
        full, over = Recorder().to(ops.collect(limit=5)(source)), Recorder().to(ops.collect(limit=4)(source))
        for element in (*first, more):
            source.on_next(element)
        source.on_completed()
        assert [f.rows() for f in full.elements] == [ROWS]
        assert over.elements == []
        assert isinstance(over.error, Overflow)
        assert str(over.error) == "collect holds at most 4 rows, and more came; give it a higher limit"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ops.collect(limit=0), ValueError, "limit must be at least 1, got 0"),
        (lambda: ops.collect(int), TypeError, "kind must be Tick, Quote, Depth or Bar, got <class 'int'>"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_refuses_bad_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_rows_that_make_no_frame_are_the_stream_s_error() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.collect()(source))
    source.on_next(tick(price=None))  # pyright: ignore[reportArgumentType]
    source.on_completed()
    assert isinstance(got.error, InputError)
    assert got.elements == []


def test_a_raising_subscriber_and_one_that_leaves() -> None:
    source: Subject[Any] = Subject()

    def react(_: Frame[Tick]) -> None:
        raise RuntimeError("subscriber")

    Recorder(react).to(ops.collect()(source))
    source.on_next(ROWS[0])
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_completed()
    again: Subject[Any] = Subject()
    got = Recorder()
    got._react = lambda _: got.subscription.dispose()
    got.to(ops.collect()(again))
    again.on_next(ROWS[0])
    again.on_completed()
    assert len(got.elements) == 1
    assert not got.completed


def test_what_is_given_back_after_the_end_is_not_heard() -> None:
    source: Subject[Any] = Subject()
    got = Recorder(lambda _: source.on_next(ROWS[1])).to(ops.collect()(source))
    source.on_next(ROWS[0])
    source.on_completed()
    assert [f.rows() for f in got.elements] == [ROWS[:1]]
    assert got.completed


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []
    observers: list[abc.ObserverBase[Any]] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observers.append(observer)
        return Disposable()

    collected: Any = ops.collect()(Observable(note))
    scheduler = rxfeed.VirtualClock().scheduler
    first, second = Recorder().to(collected, scheduler), Recorder().to(collected)
    observers[0].on_next(ROWS[0])
    observers[1].on_next(ROWS[1])
    observers[1].on_completed()
    assert found == [scheduler, None]
    assert (first.elements, [f.rows() for f in second.elements]) == ([], [[ROWS[1]]])
