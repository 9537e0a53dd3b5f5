"""`dedupe` as an operator. What counts as seen, and for how long, is the kernel's tests'."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.frame import Frame
from rxfeed.model import Depth, DepthKind, Quote, Tick
from tests.builders import T0, Recorder, bar, frame, on_completed, on_error, on_next, subscribe, ticks

PLAIN = ticks((0, 100), (1, 101), (2, 102), (3, 103))


def test_passes_every_kind_and_counts() -> None:
    heard: list[Any] = []
    operator = ops.dedupe("seq", duplicates=heard.append)
    assert operator.stats == (0, 0, 0, 0, 0, 0)
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source))
    kinds = [PLAIN[0], Quote("A", T0), Depth("A", T0, DepthKind.RESET)]
    for element in [*kinds, *kinds]:
        source.on_next(element)
    assert got.elements == heard == kinds
    assert operator.stats == (6, 3, 3, 3, 0, 0)


def test_frames_come_as_frames_and_their_duplicates_before_them() -> None:
    order: list[Any] = []
    operator = ops.dedupe(("time", "seq"), duplicates=order.append)
    source: Subject[Any] = Subject()
    got = Recorder(order.append).to(operator(source))
    whole = frame(PLAIN[:2])
    for element in (whole, Frame.of([], Tick), frame(PLAIN[:2]), frame(PLAIN[1:])):
        source.on_next(element)
    assert got.elements[0] is whole
    assert [f.rows() for f in got.elements] == [PLAIN[:2], PLAIN[2:]]
    assert order == [whole, PLAIN[0], PLAIN[1], PLAIN[1], got.elements[1]]
    assert operator.stats == (7, 4, 3, 4, 0, 0)


@pytest.mark.parametrize("listener", [Recorder(), None])
def test_nobody_or_an_observer_may_listen_and_is_not_completed(listener: Recorder | None) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.dedupe("seq", duplicates=listener)(source))
    for element in (PLAIN[0], PLAIN[0], frame(PLAIN[:2])):
        source.on_next(element)
    source.on_completed()
    assert [type(e) for e in got.elements] == [Tick, Frame]
    assert got.completed
    if listener is not None:
        assert listener.elements == [PLAIN[0], PLAIN[0]]
        assert not listener.completed


@pytest.mark.parametrize("end", ["complete", "error"])
@pytest.mark.parametrize("way", ["rows", "frames"])
def test_ends_with_the_source(end: str, way: str) -> None:
    scheduler = TestScheduler()
    last: Any = on_completed(230) if end == "complete" else on_error(230, RuntimeError("x"))
    given = PLAIN[0] if way == "rows" else frame(PLAIN[:1])
    xs = scheduler.create_hot_observable(on_next(210, given), on_next(220, given), last)
    got = scheduler.start(lambda: xs.pipe(ops.dedupe("seq")))
    assert got.messages == [on_next(210, given), last]
    assert xs.subscriptions == [subscribe(200, 230)]


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, PLAIN[0]), on_next(230, PLAIN[1]))
    operator = ops.dedupe("seq")
    got = scheduler.start(lambda: xs.pipe(operator), disposed=220)
    assert got.messages == [on_next(210, PLAIN[0])]
    assert xs.subscriptions == [subscribe(200, 220)]
    assert operator.stats.received == 1


def test_each_subscription_is_its_own() -> None:
    operator = ops.dedupe("seq")
    source: Subject[Any] = Subject()
    first = Recorder().to(operator(source))
    source.on_next(PLAIN[0])
    second = Recorder().to(operator(source))
    assert operator.stats.received == 0
    source.on_next(PLAIN[0])
    assert first.elements == second.elements == PLAIN[:1]
    assert operator.stats == (1, 1, 0, 1, 0, 0)


@pytest.mark.parametrize("given", [PLAIN[0], frame(PLAIN[:1])])
def test_a_raising_listener_ends_the_stream(given: Any) -> None:
    def refuse(element: Any) -> None:
        raise RuntimeError("mine")

    source: Subject[Any] = Subject()
    got = Recorder().to(ops.dedupe("seq", duplicates=refuse)(source))
    for element in (PLAIN[0], given, PLAIN[1]):
        source.on_next(element)
    assert str(got.error) == "mine"
    assert got.elements == PLAIN[:1]
    assert not source.observers


def test_a_raising_key_ends_the_stream() -> None:
    def key(element: Tick) -> int:
        return 6 // element.seq

    source: Subject[Any] = Subject()
    got = Recorder().to(ops.dedupe(key)(source))
    for element in (PLAIN[1], PLAIN[2], PLAIN[0], PLAIN[3]):
        source.on_next(element)
    assert isinstance(got.error, ZeroDivisionError)
    assert got.elements == PLAIN[1:3]


def test_a_raising_subscriber_leaves_the_state_right() -> None:
    raising = False

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    operator = ops.dedupe("seq")
    source: Subject[Any] = Subject()
    got = Recorder(react).to(operator(source))
    source.on_next(PLAIN[0])
    raising = True
    for element in (PLAIN[1], frame(PLAIN[2:3])):
        with pytest.raises(RuntimeError, match="subscriber"):
            source.on_next(element)
    raising = False
    for element in PLAIN:
        source.on_next(element)
    source.on_completed()
    assert [got.elements[0], got.elements[1], got.elements[-1]] == [PLAIN[0], PLAIN[1], PLAIN[3]]
    assert got.completed
    assert operator.stats == (7, 4, 3, 4, 0, 0)


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_is_given_back_queues_behind(way: str) -> None:
    def shape(row: Tick) -> Any:
        return row if way == "rows" else frame([row])

    def react(element: Any) -> None:
        if len(got.elements) == 1:
            for row in (PLAIN[1], PLAIN[0], PLAIN[1], PLAIN[2]):
                source.on_next(shape(row))
            source.on_completed()
            assert len(got.elements) == 1

    source: Subject[Any] = Subject()
    got = Recorder(react)
    got.to(ops.dedupe("seq")(source))
    source.on_next(shape(PLAIN[0]))
    assert [row for e in got.elements for row in (e.rows() if isinstance(e, Frame) else [e])] == PLAIN[:3]
    assert got.completed


@pytest.mark.parametrize(
    ("element", "name"), [("text", "str"), (bar(), "Bar"), (Frame.of([bar()]), r"Frame\[Bar\]"), (None, "NoneType")]
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(element: Any, name: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.dedupe("seq")(source))
    source.on_next(element)
    assert isinstance(got.error, TypeError)
    with pytest.raises(TypeError, match=f"^dedupe takes Tick, Quote, Depth or frames of them, got {name}$"):
        raise got.error


def test_a_callable_on_frames_is_the_stream_s_error() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.dedupe(lambda tick: tick.seq)(source))
    source.on_next(frame(PLAIN))
    assert str(got.error) == "dedupe with a callable key takes rows, got Frame[Tick]; name fields instead"


def test_refuses_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"key must name fields of a tick, quote or depth .*, got 'id'"):
        ops.dedupe("id")
    with pytest.raises(ValueError, match="horizon must be at least 1us, got 0"):
        ops.dedupe("seq", 0)
    with pytest.raises(ValueError, match="capacity must be at least 1, got -5"):
        ops.dedupe("seq", capacity=-5)
    with pytest.raises(TypeError, match="duplicates must be an observer or a callable, got int"):
        ops.dedupe("seq", duplicates=1)  # type: ignore
