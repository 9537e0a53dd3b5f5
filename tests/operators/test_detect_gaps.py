"""`detect_gaps` as an operator. What is a gap is the kernel's tests'."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Depth, DepthKind, Gap, Quote, Tick
from tests.builders import HOUR, T0, Recorder, bar, frame, on_completed, on_error, on_next, subscribe, tick

ROWS = [tick(i, seq=seq) for i, seq in enumerate([1, 2, 5, 6])]
GAP = Gap("A", ROWS[1].time, ROWS[2].time, "sequence: 2 missing, 3 to 4")


def test_a_gap_comes_before_what_revealed_it() -> None:
    order: list[Any] = []
    source: Subject[Any] = Subject()
    Recorder(order.append).to(ops.detect_gaps(sequence=True, gaps=order.append)(source))
    for row in ROWS:
        source.on_next(row)
    assert order == [*ROWS[:2], GAP, *ROWS[2:]]


def test_frames_are_passed_as_they_are_and_their_gaps_before_them() -> None:
    order: list[Any] = []
    operator = ops.detect_gaps(sequence=True, silence="30s", gaps=order.append)
    source: Subject[Any] = Subject()
    Recorder(order.append).to(operator(source))
    frames = [frame(ROWS), Frame.of([], Tick), frame([tick(60, seq=7), tick(60, seq=1, symbol="B"), tick(61, seq=9)])]
    for element in frames:
        source.on_next(element)
    silence = Gap("A", ROWS[3].time, tick(60).time, "silence: more than 30 s of open market")
    hole = Gap("A", tick(60).time, tick(61).time, "sequence: 1 missing, 8")
    assert [order[i] for i in (0, 3, 4)] == [GAP, silence, hole]
    assert [order[i] is f for i, f in zip((1, 2, 5), frames, strict=True)] == [True] * 3
    assert operator.stats == (7, 7, {"sequence": 2, "silence": 1}, 3, 0, 0)


@pytest.mark.parametrize("listener", [Recorder(), None])
def test_nobody_or_an_observer_may_listen_and_is_not_completed(listener: Recorder | None) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.detect_gaps(sequence=True, gaps=listener)(source))
    for row in ROWS:
        source.on_next(row)
    source.on_completed()
    assert got.elements == ROWS
    assert got.completed
    if listener is not None:
        assert listener.elements == [GAP]
        assert not listener.completed


@pytest.mark.parametrize("kind", ["quote", "depth"])
def test_every_kind_is_looked_at(kind: str) -> None:
    heard: list[Gap] = []
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.detect_gaps(sequence=True, gaps=heard.append)(source))
    times = [(T0 + i, seq) for i, seq in enumerate([1, 2, 4])]
    rows = [Quote("A", t, seq=n) if kind == "quote" else Depth("A", t, DepthKind.RESET, seq=n) for t, n in times]
    for row in rows:
        source.on_next(row)
    source.on_next(Frame.of([Quote("A", T0 + 9, seq=6)]))
    assert got.elements[:3] == rows
    assert [g.cause for g in heard] == ["sequence: 1 missing, 3", "sequence: 1 missing, 5"]


def test_sessions_and_instruments_are_taken() -> None:
    heard: list[Gap] = []
    source: Subject[Any] = Subject()
    own = {"B": Instrument("B", session="24x7")}
    Recorder().to(ops.detect_gaps(silence="30s", session="CME", instruments=own, gaps=heard.append)(source))
    close = T0 + 11 * HOUR
    for time in (close - 1, close + HOUR):
        for symbol in "AB":
            source.on_next(Tick(symbol, time, 1.0, 1))
    assert heard == [Gap("B", close - 1, close + HOUR, "silence: more than 30 s of open market")]


@pytest.mark.parametrize("end", ["complete", "error"])
def test_ends_with_the_source(end: str) -> None:
    scheduler = TestScheduler()
    last: Any = on_completed(230) if end == "complete" else on_error(230, RuntimeError("x"))
    xs = scheduler.create_hot_observable(on_next(210, ROWS[0]), on_next(220, ROWS[2]), last)
    got = scheduler.start(lambda: xs.pipe(ops.detect_gaps(sequence=True)))
    assert got.messages == [on_next(210, ROWS[0]), on_next(220, ROWS[2]), last]
    assert xs.subscriptions == [subscribe(200, 230)]


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, ROWS[0]), on_next(230, ROWS[2]))
    operator = ops.detect_gaps(sequence=True)
    got = scheduler.start(lambda: xs.pipe(operator), disposed=220)
    assert got.messages == [on_next(210, ROWS[0])]
    assert xs.subscriptions == [subscribe(200, 220)]
    assert operator.stats.received == 1


def test_each_subscription_is_its_own() -> None:
    heard: list[Gap] = []
    operator = ops.detect_gaps(sequence=True, gaps=heard.append)
    source: Subject[Any] = Subject()
    Recorder().to(operator(source))
    source.on_next(ROWS[1])
    Recorder().to(operator(source))
    assert operator.stats.received == 0
    source.on_next(ROWS[2])
    assert heard == [GAP]
    assert operator.stats == (1, 1, {}, 0, 0, 0)


@pytest.mark.parametrize("given", [ROWS[2], frame(ROWS[2:])])
def test_a_raising_listener_ends_the_stream(given: Any) -> None:
    def refuse(gap: Gap) -> None:
        raise RuntimeError(gap.cause)

    source: Subject[Any] = Subject()
    got = Recorder().to(ops.detect_gaps(sequence=True, gaps=refuse)(source))
    for element in (ROWS[0], ROWS[1], given, ROWS[3]):
        source.on_next(element)
    assert str(got.error) == GAP.cause
    assert got.elements == ROWS[:2]
    assert not source.observers


def test_a_raising_subscriber_leaves_the_state_right() -> None:
    raising = False

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    heard: list[Gap] = []
    operator = ops.detect_gaps(sequence=True, gaps=heard.append)
    source: Subject[Any] = Subject()
    got = Recorder(react).to(operator(source))
    source.on_next(ROWS[0])
    raising = True
    for row in ROWS[1:3]:
        with pytest.raises(RuntimeError, match="subscriber"):
            source.on_next(row)
    raising = False
    source.on_next(ROWS[3])
    source.on_completed()
    assert got.elements == ROWS
    assert got.completed
    assert heard == [GAP]
    assert operator.stats.received == 4


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_is_given_back_queues_behind(way: str) -> None:
    def shape(row: Tick) -> Any:
        return row if way == "rows" else frame([row])

    def react(element: Any) -> None:
        order.append(element)
        if len(got.elements) == 1:
            for row in ROWS[1:]:
                source.on_next(shape(row))
            source.on_completed()
            assert len(order) == 1

    order: list[Any] = []
    source: Subject[Any] = Subject()
    got = Recorder(react)
    got.to(ops.detect_gaps(sequence=True, gaps=order.append)(source))
    source.on_next(shape(ROWS[0]))
    assert [e.rows()[0] if isinstance(e, Frame) else e for e in order] == [*ROWS[:2], GAP, *ROWS[2:]]
    assert got.completed


@pytest.mark.parametrize("asked", [{"sequence": True}, {"silence": 1}, {"sequence": True, "silence": 1}])
@pytest.mark.parametrize(
    ("element", "name"), [("text", "str"), (bar(), "Bar"), (Frame.of([bar()]), r"Frame\[Bar\]"), (None, "NoneType")]
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(asked: dict[str, Any], element: Any, name: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.detect_gaps(**asked)(source))
    source.on_next(element)
    assert isinstance(got.error, TypeError)
    with pytest.raises(TypeError, match=f"^detect_gaps takes Tick, Quote, Depth or frames of them, got {name}$"):
        raise got.error


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, ValueError, 'detect_gaps needs sequence=True, a silence such as "30s", or both'),
        ({"sequence": True, "session": "CME"}, ValueError, "session is for silence, which was not given, got 'CME'"),
        ({"silence": 0}, ValueError, "silence must be more than 0, got 0"),
        ({"silence": "soon"}, ValueError, "silence must look like .*, got 'soon'"),
        ({"silence": 1, "session": "CMX"}, ValueError, "session must be one of .*, got 'CMX'.*"),
        ({"silence": 1, "instruments": ["CL"]}, TypeError, "instruments must be Instrument values, got 'CL'"),
        ({"silence": 1, "gaps": 5}, TypeError, "gaps must be an observer or a callable, got int"),
    ],
)
def test_refuses_bad_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        ops.detect_gaps(**arguments)
