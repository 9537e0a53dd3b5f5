"""`latest_quote` as an operator. What it merges is the kernel's tests'."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.frame import Frame
from rxfeed.model import Depth, Quote
from tests.builders import T0, Recorder, bar, on_completed, on_error, on_next, subscribe, tick

BID = Quote("A", T0, bid=99.0, seq=0)
ASK = Quote("A", T0 + 1, ask=101.0, seq=1)
WHOLE = Quote("A", T0 + 1, 99.0, 101.0, seq=1)
NEXT = Quote("A", T0 + 2, bid=100.0, bid_size=4, seq=2, received=7)
MERGED = Quote("A", T0 + 2, 100.0, 101.0, 4, seq=2, received=7)


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_rows_come_as_rows_and_frames_as_frames(way: str) -> None:
    operator = ops.latest_quote()
    assert operator.stats == (0, 0, 0, 0)
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source))
    old = Quote("A", T0, bid=1.0)
    if way == "rows":
        for q in (BID, ASK, old, NEXT):
            source.on_next(q)
    else:
        for part in ([BID], [ASK, old, NEXT], [], [old]):
            source.on_next(Frame.of(part, Quote))
    assert [q for e in got.elements for q in (e.rows() if isinstance(e, Frame) else [e])] == [WHOLE, MERGED]
    assert len(got.elements) == (2 if way == "rows" else 1)
    assert operator.stats == (4, 2, 1, 1) if way == "rows" else (5, 2, 1, 2)


def test_what_is_needed_may_be_said() -> None:
    for need, count in ((("bid", "ask"), 2), ("bid", 3), ((), 3), (["bid_size"], 1), (("volume",), 0)):
        source: Subject[Any] = Subject()
        got = Recorder().to(ops.latest_quote(need=need)(source))
        for q in (BID, ASK, NEXT):
            source.on_next(q)
        assert len(got.elements) == count


@pytest.mark.parametrize(("need", "given"), [(("bid", "price"), "price"), ("seq", "seq"), ((1,), "1")])
def test_refuses_bad_arguments(need: Any, given: str) -> None:
    text = f"need must be names out of bid, ask, bid_size, ask_size, last, volume, got {given!r}".replace("'1'", "1")
    with pytest.raises(ValueError, match=text):
        ops.latest_quote(need=need)


@pytest.mark.parametrize(
    ("element", "name"),
    [(tick(), "Tick"), (bar(), "Bar"), (Depth("A", T0, 2), "Depth"), (Frame.of([tick()]), "Frame[Tick]"), (1, "int")],
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(element: Any, name: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.latest_quote()(source))
    source.on_next(element)
    source.on_next(WHOLE)
    assert isinstance(got.error, TypeError)
    assert str(got.error) == f"latest_quote takes Quote or Frame[Quote], got {name}"
    assert got.elements == []
    assert not source.observers


@pytest.mark.parametrize("end", ["complete", "error"])
def test_an_end_with_an_incomplete_quote_emits_nothing(end: str) -> None:
    scheduler = TestScheduler()
    last: Any = on_completed(230) if end == "complete" else on_error(230, RuntimeError("x"))
    xs = scheduler.create_hot_observable(on_next(210, WHOLE), on_next(220, Quote("B", T0, 1.0)), last)
    got = scheduler.start(lambda: xs.pipe(ops.latest_quote()))
    assert got.messages == [on_next(210, WHOLE), last]
    assert xs.subscriptions == [subscribe(200, 230)]


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, WHOLE), on_next(230, NEXT))
    got = scheduler.start(lambda: xs.pipe(ops.latest_quote()), disposed=220)
    assert got.messages == [on_next(210, WHOLE)]
    assert xs.subscriptions == [subscribe(200, 220)]


def test_each_subscription_is_its_own() -> None:
    operator = ops.latest_quote()
    source: Subject[Any] = Subject()
    first = Recorder().to(operator(source))
    source.on_next(BID)
    second = Recorder().to(operator(source))
    assert operator.stats.received == 0
    source.on_next(ASK)
    assert first.elements == [WHOLE]
    assert second.elements == []
    assert operator.stats == (1, 0, 1, 0)


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_is_given_back_queues_behind_and_an_end_loses_nothing(way: str) -> None:
    source: Subject[Any] = Subject()

    def give(*quotes: Quote) -> None:
        for element in quotes if way == "rows" else [Frame.of(quotes)]:
            source.on_next(element)

    def react(element: Any) -> None:
        if len(got.elements) == 1:
            give(NEXT)
            source.on_completed()
            assert len(got.elements) == 1

    got = Recorder(react)
    got.to(ops.latest_quote()(source))
    give(BID, ASK)
    assert [q for e in got.elements for q in (e.rows() if isinstance(e, Frame) else [e])] == [WHOLE, MERGED]
    assert got.completed


def test_a_raising_subscriber_leaves_the_state_right() -> None:
    raising = True

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    operator = ops.latest_quote()
    source: Subject[Any] = Subject()
    got = Recorder(react).to(operator(source))
    source.on_next(BID)
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(ASK)
    raising = False
    source.on_next(NEXT)
    source.on_completed()
    assert got.elements == [WHOLE, MERGED]
    assert got.completed
    assert operator.stats == (3, 2, 1, 0)


def test_what_cannot_be_compared_is_the_stream_s_error() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.latest_quote()(source))
    source.on_next(WHOLE)
    source.on_next(Quote("A", "noon", 1.0))  # pyright: ignore[reportArgumentType]
    source.on_next(NEXT)
    assert isinstance(got.error, TypeError)
    assert got.elements == [WHOLE]
