"""`validate` as an operator. What its rules say is the kernel's tests'."""

from __future__ import annotations

import math
from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxfeed import operators as ops
from rxfeed import rules
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Depth, DepthKind, Quote, Reject, Tick
from tests.builders import T0, Recorder, bar, frame, on_completed, on_error, on_next, subscribe, tick, ticks

PLAIN = ticks((0, 100), (1, 101), (2, 102), (3, 103))
SUSPECT = tick(4, 200, seq=4)


def test_passes_every_kind_and_counts() -> None:
    heard: list[Reject] = []
    operator = ops.validate(rejects=heard.append)
    assert operator.stats == (0, 0, 0, 0, {})
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source))
    quote, level = Quote("A", T0, bid=1.0, ask=2.0), Depth("A", T0, DepthKind.LEVEL, 1, 1.0, 3)
    crossed, bare = Quote("A", T0, bid=2.0, ask=1.0), Depth("A", T0, DepthKind.LEVEL)
    for element in (PLAIN[0], quote, level, crossed, bare, SUSPECT):
        source.on_next(element)
    assert got.elements == [PLAIN[0], quote, level]
    assert [(r.element, r.rule) for r in heard] == [(crossed, "crossed"), (bare, "empty")]
    assert operator.stats == (6, 3, 2, 1, {"crossed": 1, "empty": 1})


def test_frames_come_as_frames_and_their_rejects_before_them() -> None:
    order: list[Any] = []
    operator = ops.validate(rejects=order.append)
    source: Subject[Any] = Subject()
    got = Recorder(order.append).to(operator(source))
    bad = tick(2, math.nan, seq=9)
    whole = frame(PLAIN)
    for element in (whole, frame([bad]), Frame.of([], Tick), frame([PLAIN[0], bad, PLAIN[1]])):
        source.on_next(element)
    assert got.elements[0] is whole
    assert [f.rows() for f in got.elements] == [PLAIN, PLAIN[:2]]
    assert [type(e) for e in order] == [Frame, Reject, Reject, Frame]
    assert operator.stats == (8, 6, 2, 0, {"finite": 2})


def test_instruments_and_rules_are_taken() -> None:
    operator = ops.validate(rules.OnGrid(), instruments={"A": Instrument("A", tick_size=0.25)})
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source))
    for row in (tick(0, 100.25), tick(1, 100.3, seq=1), tick(2, -1e9, seq=2)):
        source.on_next(row)
    assert [t.price for t in got.elements] == [100.25, -1e9]
    assert operator.stats.by_rule == {"on_grid": 1}


@pytest.mark.parametrize("end", ["complete", "error"])
@pytest.mark.parametrize("way", ["rows", "frames"])
def test_suspects_are_rejected_at_the_end(end: str, way: str) -> None:
    heard: list[Reject] = []
    operator = ops.validate(rejects=heard.append)
    scheduler = TestScheduler()
    wrong = RuntimeError("x")
    last: Any = on_completed(230) if end == "complete" else on_error(230, wrong)
    given = [PLAIN[0], SUSPECT] if way == "rows" else [frame(PLAIN[:1]), frame([SUSPECT])]
    xs = scheduler.create_hot_observable(on_next(210, given[0]), on_next(220, given[1]), last)
    got = scheduler.start(lambda: xs.pipe(operator))
    assert got.messages == [on_next(210, given[0]), last]
    assert xs.subscriptions == [subscribe(200, 230)]
    assert [(r.element, r.rule) for r in heard] == [(SUSPECT, "jump")]
    assert heard[0].reason.endswith("; the stream ended before it was confirmed")
    assert operator.stats == (2, 1, 1, 0, {"jump": 1})


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    operator = ops.validate()
    xs = scheduler.create_hot_observable(on_next(210, PLAIN[0]), on_next(230, PLAIN[1]))
    got = scheduler.start(lambda: xs.pipe(operator), disposed=220)
    assert got.messages == [on_next(210, PLAIN[0])]
    assert xs.subscriptions == [subscribe(200, 220)]
    assert operator.stats.received == 1


def test_each_subscription_is_its_own() -> None:
    operator = ops.validate(rules.Jump())
    source: Subject[Any] = Subject()
    first = Recorder().to(operator(source))
    source.on_next(PLAIN[0])
    second = Recorder().to(operator(source))
    assert operator.stats.received == 0
    source.on_next(SUSPECT)
    assert first.elements == [PLAIN[0]]
    assert second.elements == [SUSPECT]
    assert operator.stats == (1, 1, 0, 0, {})


@pytest.mark.parametrize("when", ["row", "frame", "end"])
def test_a_raising_handler_of_rejects_ends_the_stream(when: str) -> None:
    def refuse(reject: Reject) -> None:
        raise RuntimeError(reject.rule)

    source: Subject[Any] = Subject()
    got = Recorder().to(ops.validate(rejects=refuse)(source))
    bad = tick(1, math.nan, seq=1)
    source.on_next(PLAIN[0])
    match when:
        case "row":
            source.on_next(bad)
        case "frame":
            source.on_next(frame([bad, PLAIN[1]]))
        case _:
            source.on_next(SUSPECT)
            source.on_completed()
    source.on_next(PLAIN[1])
    assert str(got.error) == ("jump" if when == "end" else "finite")
    assert got.elements == PLAIN[:1]
    assert not source.observers


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_a_raising_rule_ends_the_stream(way: str) -> None:
    def check(row: Tick) -> bool:
        raise ZeroDivisionError("mine")

    source: Subject[Any] = Subject()
    got = Recorder().to(ops.validate(rules.where("mine", check))(source))
    source.on_next(PLAIN[0] if way == "rows" else frame(PLAIN))
    assert isinstance(got.error, ZeroDivisionError)
    assert got.elements == []


def test_a_raising_subscriber_leaves_the_state_right() -> None:
    raising = False

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    operator = ops.validate()
    source: Subject[Any] = Subject()
    got = Recorder(react).to(operator(source))
    source.on_next(PLAIN[0])
    raising = True
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(PLAIN[1])
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(frame(PLAIN[2:3]))
    raising = False
    source.on_next(SUSPECT)
    source.on_next(PLAIN[3])
    source.on_completed()
    assert got.elements[:2] == PLAIN[:2]
    assert got.elements[3:] == PLAIN[3:]
    assert got.completed
    assert operator.stats == (5, 4, 1, 0, {"jump": 1})


@pytest.mark.parametrize(
    ("element", "name"), [("text", "str"), (bar(), "Bar"), (Frame.of([bar()]), "Frame"), (None, "NoneType")]
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(element: Any, name: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.validate()(source))
    source.on_next(element)
    assert isinstance(got.error, TypeError)
    assert "validate takes Tick, Quote, Depth or frames of them, got " in str(got.error)
    assert name in str(got.error).rpartition("got ")[2]


def test_refuses_bad_arguments() -> None:
    with pytest.raises(rules.RuleError, match="a rule may be given once, got 'jump' 2 times"):
        ops.validate(rules.Jump(), rules.Jump(0.2))
    with pytest.raises(rules.RuleError, match="CL"):
        ops.validate(instruments={"CL": Instrument("CL", may_be_negative=True)})
    with pytest.raises(TypeError, match="rejects must be an observer or a callable, got int"):
        ops.validate(rejects=1)  # type: ignore


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_is_given_back_queues_behind_and_an_end_loses_nothing(way: str) -> None:
    source: Subject[Any] = Subject()
    heard: list[Reject] = []

    def react(element: Any) -> None:
        if len(got.elements) == 1:
            for row in (PLAIN[2], SUSPECT):
                source.on_next(row if way == "rows" else frame([row]))
            source.on_completed()

    got = Recorder(react)
    got.to(ops.validate(rejects=heard.append)(source))
    source.on_next(PLAIN[0] if way == "rows" else frame(PLAIN[:2]))
    rows = [row for e in got.elements for row in (e.rows() if isinstance(e, Frame) else [e])]
    assert rows == ([PLAIN[0], PLAIN[2]] if way == "rows" else PLAIN[:3])
    assert [r.element for r in heard] == [SUSPECT]
    assert got.completed


def test_released_suspects_come_before_what_is_given_back() -> None:
    source: Subject[Any] = Subject()
    level = [tick(1 + i, 200 + i, seq=1 + i) for i in range(3)]
    after = tick(9, 203, seq=9)

    def react(element: Any) -> None:
        if element == level[0]:
            source.on_next(after)

    got = Recorder(react).to(ops.validate()(source))
    for row in (PLAIN[0], *level):
        source.on_next(row)
    assert got.elements == [PLAIN[0], *level, after]
