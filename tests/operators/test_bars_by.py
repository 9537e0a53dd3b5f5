"""`bars(by=...)` as an operator: what it emits and when, how it begins and ends. What the bars hold is the kernel's tests'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

from rxfeed import by
from rxfeed import operators as ops
from rxfeed.clock import ReplayClock, VirtualClock
from rxfeed.errors import InputError, PartialRefused
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.by import framelane
from rxfeed.kernels.by.kernel import FRAME_ROWS
from rxfeed.model import Bar, Flag, Quote, Reject, Tick
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import HOUR, MINUTE, T0, Recorder, bar, frame, line, on_completed, on_error, on_next, subscribe, tick, ticks
from tests.operators.feed import Feed, epoch, untimed

NAN = float("nan")
TWO = by.ticks(2)
unchecked: Any = ops.bars  # the type checker refuses some of what it must refuse when it runs


# --- the happy path


def test_makes_bars_of_every_measure_in_one_pass() -> None:
    feed = untimed(ops.bars(by=[TWO, by.range(2)], session="CME"), *ticks((0, 100), (1, 101), (2, 102.5), (3, 102)))
    assert feed.drain() == [
        "A ticks(2) 0: 100-101 x2 r0 GAP", "A range(2) 0: 100-102.5 x3 r0 GAP", "A ticks(2) 2: 102.5-102 x2 r0",
    ]  # fmt: skip
    feed.source.on_completed()
    assert feed.drain() == ["A range(2) 3: 102-102 x1 r0 PARTIAL"]
    assert feed.got.completed


@pytest.mark.parametrize("few", [1, 100])
def test_rows_and_frames_alike(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framelane, "FEW_ROWS", few)
    rows = [tick(at / 4, 100 + at % 7, 1 + at % 3, symbol="AB"[at % 2], seq=at) for at in range(60)]
    runs: list[list[str]] = []
    for elements in (rows, [frame(rows)], [rows[0], frame(rows[1:30]), *rows[30:40], frame(rows[40:])]):
        for frames in (False, True):
            feed = untimed(ops.bars(by=[by.ticks(7), by.volume(9), by.renko(2)], frames=frames), *elements)
            feed.source.on_completed()
            assert all(isinstance(e, Frame) == frames and (not frames or len(e)) for e in feed.got.elements)
            runs.append(sorted(feed.drain()))
    assert runs[1:] == [runs[0]] * 5


def test_its_value_is_there_for_others_and_so_are_its_counts() -> None:
    heard: list[Reject] = []
    operator = ops.bars(by=TWO, session="CME", rejects=heard.append, instruments=[Instrument("B", session="24x7")])
    assert operator.by == (TWO,)
    assert operator.stats == (0, 0, 0, 0, 0)
    weekend = 5 * 86_400.0
    rows = [
        tick(0),
        tick(1, seq=1),
        tick(2, seq=2),
        tick(1, seq=3),
        tick(3, NAN, seq=4),
        tick(weekend),
        tick(weekend, symbol="B"),
    ]
    for elements in (rows, [frame(rows)]):
        heard.clear()
        untimed(operator, *elements)
        assert operator.stats == (7, 2, 2, 2, 1)
        assert operator.rejected == {"late": 1, "finite": 1}
        assert [(r.rule, r.element.seq) for r in heard if isinstance(r.element, Tick)] == [("late", 3), ("finite", 4)]


def test_rejects_may_be_an_observer_and_is_never_completed() -> None:
    heard = Recorder()
    feed = untimed(ops.bars(by=TWO, rejects=heard), tick(0, NAN))
    feed.source.on_completed()
    assert [r.rule for r in heard.elements] == ["finite"]
    assert not heard.completed


# --- ends


def test_an_error_emits_nothing_that_was_open_or_held() -> None:
    scheduler = TestScheduler()
    broke = RuntimeError("feed broke")
    xs = scheduler.create_hot_observable(on_next(210, epoch(210)), on_next(215, epoch(215)), on_error(216, broke))
    got = scheduler.start(lambda: xs.pipe(ops.bars(by=TWO, lateness="10s", grace=None)))
    assert got.messages == [on_error(216, broke)]
    assert xs.subscriptions == [subscribe(200, 216)]


def test_completion_emits_what_is_open_and_held() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(
        on_next(210, epoch(212, seq=2)), on_next(213, epoch(210)), on_next(215, epoch(211, seq=1)), on_completed(217)
    )
    got = scheduler.start(lambda: xs.pipe(ops.bars(by=TWO, lateness="10s", grace=None)))
    notes: list[Any] = got.messages
    assert [(m.time, m.value.kind) for m in notes] == [(217, "N"), (217, "N"), (217, "C")]
    assert [(m.value.value.count, m.value.value.flags) for m in notes[:2]] == [(2, Flag.GAP), (1, Flag.PARTIAL)]
    assert xs.subscriptions == [subscribe(200, 217)]


def test_dispose_ends_source_and_timers() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, epoch(210)), on_next(250, epoch(250)))
    got = scheduler.start(lambda: xs.pipe(ops.bars(by=by.ticks(9), updates="3s", scheduler=scheduler)), disposed=216)
    notes: list[Any] = got.messages
    assert [(m.time, m.value.value.revision) for m in notes] == [(213, -1)]
    assert xs.subscriptions == [subscribe(200, 216)]


@pytest.mark.parametrize("end", ["dispose", "complete", "error", "bad element"])
@pytest.mark.parametrize("lateness", [0, "1s"])
def test_no_timer_is_left(end: str, lateness: Any) -> None:
    feed = Feed(ops.bars(by=TWO, updates="250ms", lateness=lateness))
    feed.give(tick(0))
    assert feed.clock.next_due is not None
    match end:
        case "dispose":
            feed.got.subscription.dispose()
        case "complete":
            feed.source.on_completed()
        case "error":
            feed.source.on_error(RuntimeError("x"))
        case _:
            feed.give("a text")
    assert feed.clock.next_due is None
    feed.drain()
    feed.at(600)
    assert feed.drain() == []


@pytest.mark.parametrize("last", ["complete", "go on after an error"])
def test_what_a_source_says_at_once_is_taken_and_leaves_no_timer(last: str) -> None:
    def at_once(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_next(tick(0))
        if last == "complete":
            observer.on_completed()
        else:
            observer.on_next("a text")
            observer.on_next(tick(1, seq=1))
        return Disposable()

    clock = VirtualClock(T0)
    got = Recorder().to(ops.bars(by=TWO, updates="1s", lateness="1s")(Observable(at_once)), clock.scheduler)
    assert got.lines == (["A ticks(2) 0: 100-100 x1 r0 PARTIAL GAP"] if last == "complete" else [])
    assert got.completed == (last == "complete")
    assert clock.next_due is None


def test_a_source_that_fails_when_subscribed_leaves_no_timer() -> None:
    def refuse(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        raise RuntimeError("no such feed")

    clock = VirtualClock(T0)
    got = Recorder().to(ops.bars(by=TWO, updates="1s")(Observable(refuse)), clock.scheduler)
    assert str(got.error) == "no such feed"
    assert clock.next_due is None


def test_each_subscription_is_its_own() -> None:
    operator = ops.bars(by=TWO)
    source: Subject[Any] = Subject()
    bars = operator(source)
    first = Recorder().to(bars)
    source.on_next(tick(0))
    second = Recorder().to(bars)
    assert operator.stats == (0, 0, 0, 0, 0)
    for t in ticks((0.5, 105), (1, 101)):
        source.on_next(t)
    assert first.lines == ["A ticks(2) 0: 100-105 x2 r0 GAP"]
    assert second.lines == ["A ticks(2) 0.5: 105-101 x2 r0 GAP"]
    assert operator.stats == (2, 2, 0, 0, 0)


# --- what raises


def test_a_raising_handler_of_rejects_ends_the_stream() -> None:
    def refuse(reject: Reject) -> None:
        raise RuntimeError(reject.rule)

    feed = Feed(ops.bars(by=TWO, rejects=refuse))
    feed.give(tick(0), tick(0.5, NAN, seq=1), tick(3, seq=2))
    assert str(feed.got.error) == "finite"
    assert feed.drain() == []
    assert feed.clock.next_due is None
    assert not feed.source.observers


@pytest.mark.parametrize("way", ["rows", "frame"])
def test_a_raising_subscriber_leaves_the_state_right(way: str) -> None:
    raising = True

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    feed = Feed(ops.bars(by=[TWO, by.volume(2)]), timed=False, react=react)
    feed.give(tick(0))
    with pytest.raises(RuntimeError, match="subscriber"):
        feed.give(tick(1, 101, seq=1) if way == "rows" else frame([tick(1, 101, seq=1)]))
    raising = False
    feed.give(tick(1.5, 102, seq=2))
    feed.source.on_completed()
    assert feed.drain() == [
        "A ticks(2) 0: 100-101 x2 r0 GAP", "A volume(2) 0: 100-101 x2 r0 GAP",
        "A ticks(2) 1.5: 102-102 x1 r0 PARTIAL", "A volume(2) 1.5: 102-102 x1 r0 PARTIAL",
    ]  # fmt: skip


def test_a_subscriber_that_raises_on_a_mark_does_not_stop_the_clock_s_marks() -> None:
    raising = True

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    feed = Feed(ops.bars(by=by.ticks(9), session="CME", instruments=[Instrument("B", session="24x7")]), react=react)
    feed.give(tick(0), tick(0, symbol="B"))
    with pytest.raises(RuntimeError, match="subscriber"):
        feed.at(11 * 3600 + 1)
    raising = False
    feed.at(14 * 3600 + 1)
    assert feed.drain() == ["A ticks(9) 0: 100-100 x1 r0 SHORT GAP", "B ticks(9) 0: 100-100 x1 r0 SHORT GAP"]


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("text", "bars(by=...) takes Tick or Frame[Tick], got str"),
        (Quote("A", T0, bid=1.0), "bars(by=...) takes Tick or Frame[Tick], got Quote"),
        (Frame.of([Quote("A", T0, bid=1.0)]), "bars(by=...) takes Tick or Frame[Tick], got Frame[Quote]"),
    ],
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(element: Any, text: str) -> None:
    feed = untimed(ops.bars(by=TWO), tick(0), element, tick(5, seq=1))
    assert isinstance(feed.got.error, TypeError)
    assert str(feed.got.error) == text
    assert feed.drain() == []


@pytest.mark.parametrize("kind", [by.ticks(2), by.volume(2), by.notional(200), by.range(2), by.renko(2)])
@pytest.mark.parametrize("element", [bar(), Frame.of([bar()]), bar(flags=Flag.FILLED, count=0)])
def test_partial_bars_are_refused(kind: by.By, element: Any) -> None:
    feed = untimed(ops.bars(by=kind), tick(0), element, tick(1, seq=1))
    assert isinstance(feed.got.error, PartialRefused)
    assert "takes ticks only: a partial bar does not say at which of its ticks a threshold was reached, got " in str(
        feed.got.error
    )
    assert feed.drain() == []


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: unchecked("1m", by=TWO), r"timeframes must not be given with by, got \('1m',\): bars are made by time or"),
        (lambda: unchecked(Windows("1m"), by=TWO), "timeframes must not be given with by, got"),
        (lambda: unchecked(by=TWO, anchor="utc"), "anchor must not be given with by, got 'utc': such bars begin with"),
        (lambda: unchecked(by=TWO, fill="previous"), "fill must not be given with by, got 'previous': such bars are"),
        (lambda: unchecked(by=TWO, horizon="10m"), "horizon must not be given with by, got '10m': such bars have no revisions"),
        (lambda: unchecked(by=TWO, horizon=0), "horizon must not be given with by, got 0"),
        (lambda: unchecked(by=None), "timeframes must be 1 to 32, got 0; or give by, such as by.ticks"),
        (lambda: ops.bars(by=[]), "by must be 1 to 32 values, got 0"),
        (lambda: ops.bars(by=[TWO, TWO]), r"by must differ, got ticks\(2\) twice"),
        (lambda: ops.bars(by=TWO, session="moon"), "session must be one of"),
        (lambda: ops.bars(by=TWO, updates=0), "updates must be more than 0, got 0"),
        (lambda: ops.bars(by=TWO, lateness=-1), "lateness must be from 0 to 292 years, got -1"),
        (lambda: ops.bars(by=TWO, grace=-1), "grace must be from 0"),
    ],
)  # fmt: skip
def test_refuses_bad_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_refuses_what_is_not_of_rxfeed_by_and_rejects_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match=r"by must be values of rxfeed.by, such as by.ticks\(1000\), got 1000"):
        ops.bars(by=[1000])  # type: ignore
    with pytest.raises(TypeError, match="rejects must be an observer or a callable, got list"):
        ops.bars(by=TWO, rejects=[])  # type: ignore


# --- re-entrance


def test_what_is_given_back_queues_behind() -> None:
    feed = Feed(ops.bars(by=[TWO, by.volume(2)]), timed=False)
    given: list[str] = []

    def react(element: Bar) -> None:
        given.append(line(element))
        if len(given) == 1:
            feed.give(tick(4, 104, seq=9), tick(5, 105, seq=10))
            given.append("given")

    feed.got._react = react
    feed.give(tick(0), tick(2, 102, seq=1))
    assert given == [
        "A ticks(2) 0: 100-102 x2 r0 GAP", "given", "A volume(2) 0: 100-102 x2 r0 GAP",
        "A ticks(2) 4: 104-105 x2 r0", "A volume(2) 4: 104-105 x2 r0",
    ]  # fmt: skip


def test_a_subscriber_may_leave_from_within() -> None:
    feed = Feed(ops.bars(by=[TWO, by.volume(2)], updates="1s"))
    feed.got._react = lambda _: feed.got.subscription.dispose()
    feed.give(tick(0), tick(2, 102, seq=1))
    feed.at(60)
    assert len(feed.got.elements) == 1
    assert feed.clock.next_due is None
    assert not feed.source.observers


@pytest.mark.parametrize("end", ["complete", "error"])
def test_an_end_from_within_loses_nothing(end: str) -> None:
    feed = Feed(ops.bars(by=[TWO, by.volume(2), by.ticks(9)]))

    def react(element: Any) -> None:
        if len(feed.got.elements) == 1:
            if end == "complete":
                feed.source.on_completed()
            else:
                feed.source.on_error(RuntimeError("enough"))

    feed.got._react = react
    feed.give(tick(0), tick(2, 102, seq=1))
    closed = ["A ticks(2) 0: 100-102 x2 r0 GAP", "A volume(2) 0: 100-102 x2 r0 GAP"]
    if end == "complete":
        assert feed.drain() == [*closed, "A ticks(9) 0: 100-102 x2 r0 PARTIAL GAP"]
        assert feed.got.completed
    else:
        assert feed.drain() == closed
        assert str(feed.got.error) == "enough"
    assert feed.clock.next_due is None


# --- frames


def test_frames_gives_one_frame_for_an_element_that_closes_any() -> None:
    feed = untimed(ops.bars(by=TWO, frames=True), frame([tick(0)]), frame([tick(1, seq=1), tick(2, seq=2), tick(3, seq=3)]))
    feed.give(tick(4, seq=4), frame([]))
    assert [len(e) for e in feed.got.elements] == [2]
    feed.source.on_completed()
    assert [len(e) for e in feed.got.elements] == [2, 1]


@pytest.mark.parametrize("frames", [False, True])
def test_a_large_frame_is_the_same_as_its_pieces(frames: bool) -> None:
    rows = FRAME_ROWS + 1_000
    df = pl.DataFrame({
        "symbol": ["AB"[i % 2] for i in range(rows)], "time": [T0 + i * SECOND // 200 for i in range(rows)],
        "price": [100.0 + i % 13 for i in range(rows)], "size": [1] * rows, "seq": range(rows),
    })  # fmt: skip
    whole = Frame(df)
    large = untimed(ops.bars(by=[by.ticks(700), by.renko(6)], frames=frames), whole)
    small = untimed(
        ops.bars(by=[by.ticks(700), by.renko(6)], frames=frames), whole.slice(0, FRAME_ROWS), whole.slice(FRAME_ROWS, rows)
    )
    for feed in (large, small):
        feed.source.on_completed()
    if frames:
        assert [len(e) for e in large.got.elements] == [len(e) for e in small.got.elements]
        assert len(large.got.elements) == 3
    found = large.drain()
    assert sum(int(text.split(" x")[1].split()[0]) for text in found if "ticks(700)" in text) == rows
    assert found == small.drain()


def test_an_error_in_a_later_piece_comes_after_the_bars_of_the_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxfeed.kernels.by.kernel.FRAME_ROWS", 4)
    rows = [tick(at, 100, seq=at) for at in range(9)]
    rows[7] = tick(7, 1e300, seq=7)
    feed = untimed(ops.bars(by=[TWO, by.renko(5)]), frame(rows))
    assert feed.drain() == ["A ticks(2) 0: 100-100 x2 r0 GAP", "A ticks(2) 2: 100-100 x2 r0"]
    assert isinstance(feed.got.error, InputError)


# --- updates


def test_updates_by_the_clock_show_each_changed_bar_once() -> None:
    feed = Feed(ops.bars(by=[by.ticks(3), by.volume(100)], updates="1s", grace=None))
    feed.give(tick(0), tick(0.1, 101, seq=1))
    assert feed.drain() == []
    feed.at(1)
    snapshots = list(feed.got.elements)
    assert feed.drain() == ["A ticks(3) 0: 100-101 x2 r-1 PARTIAL GAP", "A volume(100) 0: 100-101 x2 r-1 PARTIAL GAP"]
    assert all(b.revision == -1 and b.flags == Flag.PARTIAL | Flag.GAP for b in snapshots)
    feed.at(3)
    assert feed.drain() == []
    feed.give(tick(3, 102, seq=2))
    assert feed.drain() == ["A ticks(3) 0: 100-102 x3 r0 GAP"]
    feed.at(4)
    assert feed.drain() == ["A volume(100) 0: 100-102 x3 r-1 PARTIAL GAP"]


def test_updates_by_event_time_without_a_clock() -> None:
    feed = Feed(ops.bars(by=by.ticks(9), updates="10s"), timed=False)
    feed.give(tick(0))
    assert feed.drain() == ["A ticks(9) 0: 100-100 x1 r-1 PARTIAL GAP"]
    feed.give(tick(9.9, 101, seq=1))
    assert feed.drain() == []
    feed.give(tick(10, 102, seq=2))
    assert feed.drain() == ["A ticks(9) 0: 100-102 x3 r-1 PARTIAL GAP"]
    feed.give(frame([tick(15, 103, seq=3), tick(19, 104, symbol="B")]))
    assert feed.drain() == []
    feed.give(frame([tick(16, 105, seq=4), tick(25, 106, symbol="B", seq=1)]))
    assert feed.drain() == ["A ticks(9) 0: 100-105 x5 r-1 PARTIAL GAP", "B ticks(9) 19: 104-106 x2 r-1 PARTIAL GAP"]


def test_updates_in_frames() -> None:
    feed = Feed(ops.bars(by=TWO, updates="1s", frames=True))
    feed.give(frame([tick(0), tick(0, symbol="B")]))
    feed.at(1)
    assert [type(e) for e in feed.got.elements] == [Frame]
    assert feed.drain() == ["A ticks(2) 0: 100-100 x1 r-1 PARTIAL GAP", "B ticks(2) 0: 100-100 x1 r-1 PARTIAL GAP"]


# --- the clock


@pytest.mark.parametrize("lane", ["rows", "frames"])
def test_the_clock_ends_the_session_after_grace_and_lateness(lane: str) -> None:
    feed = Feed(ops.bars(by=by.ticks(9), session="CME", grace="250ms", lateness="2s"))
    one = tick(11 * 3600 - 1)
    feed.clock.advance_to(one.time)
    feed.give(one if lane == "rows" else frame([one]))
    feed.at(11 * 3600 + 2.249)
    assert feed.drain() == []
    feed.at(11 * 3600 + 2.25)
    assert feed.drain() == ["A ticks(9) 39599: 100-100 x1 r0 SHORT GAP"]
    assert feed.clock.next_due is None


def test_the_clock_ends_each_session() -> None:
    feed = Feed(ops.bars(by=TWO, session="CME"))
    feed.give(*ticks((0, 100), (1, 101)))
    assert feed.drain() == ["A ticks(2) 0: 100-101 x2 r0 GAP"]
    feed.at(11 * 3600 + 1)
    assert feed.clock.next_due is None
    feed.at(12 * 3600)
    feed.give(tick(12 * 3600, 102, seq=2))
    assert feed.clock.next_due == T0 + 35 * HOUR + SECOND
    feed.at(35 * 3600 + 1)
    assert feed.drain() == ["A ticks(2) 43200: 102-102 x1 r0 SHORT"]


def test_the_clock_lets_in_what_a_quiet_symbol_holds() -> None:
    feed = Feed(ops.bars(by=TWO, grace="250ms", lateness="2s"))
    feed.give(tick(0.5, 101, seq=1), tick(0, 100))
    feed.at(2.749)
    assert feed.drain() == []
    feed.at(2.75)
    assert feed.drain() == ["A ticks(2) 0: 100-101 x2 r0 GAP"]
    assert feed.clock.next_due is None
    feed.give(tick(30, symbol="B"), tick(0.6, 102, seq=2), tick(0.7, 103, seq=3))
    feed.at(2.949)
    assert feed.drain() == []
    feed.at(2.95)
    assert feed.drain() == ["A ticks(2) 0.6: 102-103 x2 r0"]


def test_a_tick_that_is_due_sooner_moves_the_clock_s_call() -> None:
    feed = Feed(ops.bars(by=by.ticks(1), grace=0, lateness="5s"))
    feed.give(tick(3))
    assert feed.clock.next_due == T0 + 8 * SECOND
    feed.give(tick(1, symbol="B"))
    assert feed.clock.next_due == T0 + 6 * SECOND
    feed.at(6)
    assert feed.drain() == ["B ticks(1) 1: 100-100 x1 r0 GAP"]
    feed.at(8)
    assert feed.drain() == ["A ticks(1) 3: 100-100 x1 r0 GAP"]


def test_without_grace_the_clock_closes_only_at_the_end() -> None:
    feed = Feed(ops.bars(by=TWO, grace=None, session="CME", lateness="1s"))
    feed.give(tick(0))
    assert feed.clock.next_due is None
    feed.at(12 * 3600)
    assert feed.drain() == []
    feed.source.on_completed()
    assert feed.drain() == ["A ticks(2) 0: 100-100 x1 r0 SHORT GAP"]


def test_with_a_replay_s_clock_a_session_that_ended_by_it_is_whole() -> None:
    clock = ReplayClock()
    feed = Feed(ops.bars(by=by.ticks(9), session="CME", grace="99d"), clock=clock)
    for t in (tick(0), tick(12 * 3600, symbol="B")):
        clock.move(t.time)
        feed.give(t)
    assert feed.drain() == []
    feed.source.on_completed()
    assert feed.drain() == ["A ticks(9) 0: 100-100 x1 r0 SHORT GAP", "B ticks(9) 43200: 100-100 x1 r0 PARTIAL"]


def test_a_foreign_scheduler_of_the_subscriber_judges_nothing() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, tick(0)), on_completed(400))
    got: Any = scheduler.start(lambda: xs.pipe(ops.bars(by=TWO)))
    assert [(m.time, m.value.kind) for m in got.messages] == [(400, "N"), (400, "C")]
    assert got.messages[0].value.value.flags == Flag.PARTIAL | Flag.GAP


def test_its_own_scheduler_comes_before_the_subscriber_s() -> None:
    own = VirtualClock(T0)
    feed = Feed(ops.bars(by=TWO, scheduler=own, lateness="1s"))
    feed.give(tick(0))
    assert feed.clock.next_due is None
    assert own.next_due == T0 + 2 * SECOND


# --- changes of the zone


@pytest.mark.parametrize("way", ["rows", "frames", "clock"])
def test_a_change_of_the_zone_is_logged_once(way: str, logged: list[str]) -> None:
    change = 1_762_066_800 * SECOND  # 2025-11-02T07:00:00Z, Chicago
    clock = VirtualClock(change - HOUR)
    feed = Feed(ops.bars(by=TWO, session="24x7:America/Chicago"), clock=clock, timed=way == "clock")
    times = [change - HOUR, change - MINUTE, change + MINUTE, change + HOUR, change + 24 * HOUR, change + 25 * HOUR]
    rows = [Tick("A", time, 1.0, 1, 0, seq) for seq, time in enumerate(times)]
    if way == "clock":
        feed.give(*rows[:1])
        feed.clock.advance(25 * HOUR)
    elif way == "frames":
        feed.give(frame(rows[:2]), frame(rows[2:5]), frame(rows[5:]))
    else:
        feed.give(*rows)
    assert logged == ["America/Chicago changed its clock at 2025-11-02T07:00:00Z: UTC-05:00 before, UTC-06:00 from then on"]
