"""`bars` as an operator: what it emits and when, and how it begins and ends. What the bars hold is the kernel's tests'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

import rxfeed
from rxfeed import operators as ops
from rxfeed.clock import ReplayClock, VirtualClock
from rxfeed.errors import InputError, PartialRefused
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.bars.kernel import FRAME_ROWS
from rxfeed.model import Bar, Flag, Quote, Reject, Tick
from rxfeed.runs import RunObservable
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import (
    HOUR,
    MINUTE,
    T0,
    Recorder,
    bar,
    bar_of,
    frame,
    frame_lane,
    line,
    lines,
    on_completed,
    on_error,
    on_next,
    subscribe,
    tick,
    ticks,
)
from tests.operators.feed import Feed, epoch, untimed

NAN = float("nan")


def many(rows: int, *, every: float = 0.5, symbol: str = "A") -> list[Tick]:
    return [tick(at * every, 100 + at % 7, symbol=symbol, seq=at) for at in range(rows)]


# --- the happy path


def test_makes_all_timeframes_in_one_pass() -> None:
    feed = untimed(ops.bars("1s", "2s"), *ticks((0, 100), (0.5, 101), (1, 102), (2, 103)))
    assert feed.drain() == ["A 1s 0: 100-101 x2 r0", "A 1s 1: 102-102 x1 r0", "A 2s 0: 100-102 x3 r0"]
    feed.source.on_completed()
    assert feed.drain() == ["A 1s 2: 103-103 x1 r0 PARTIAL", "A 2s 2: 103-103 x1 r0 PARTIAL"]
    assert feed.got.completed


def test_a_late_tick_comes_out_as_a_revision() -> None:
    feed = untimed(ops.bars("1s"), *ticks((0, 100), (1, 101), (0.5, 99)))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0", "A 1s 0: 100-99 x2 r1"]


def test_lateness_keeps_windows_open() -> None:
    feed = untimed(ops.bars("1s", lateness="2s"), *ticks((0, 100), (2.9, 101), (0.5, 99)))
    assert feed.drain() == []
    feed.give(tick(3, 102, seq=3))
    assert feed.drain() == ["A 1s 0: 100-99 x2 r0"]


def test_takes_rows_frames_and_partial_bars_alike() -> None:
    rows = ticks((0, 100), (0.4, 101), (0.6, 98), (1.2, 103), (3, 99))
    day = rxfeed.Session("x", "UTC", {"Mon-Fri": ("0:00", "24:00")}).span_at(T0)
    assert day is not None
    parts = [bar_of(t, "1s", T0, T0 + SECOND, day.trade_date) for t in rows]
    runs: list[list[str]] = []
    for elements in (rows, [frame(rows)], parts, [rows[0], frame(rows[1:3]), parts[3], rows[4]]):
        feed = untimed(ops.bars("1s"), *elements)
        feed.source.on_completed()
        runs.append(feed.drain())
    assert runs[0] == [
        "A 1s 0: 100-98 x3 r0", "A 1s 1: 103-103 x1 r0", "A 1s 3: 99-99 x1 r0 PARTIAL",
    ]  # fmt: skip
    assert runs[1:] == [runs[0]] * 3


def test_windows_value_and_instruments() -> None:
    windows = Windows("1h", session="CME")
    operator = ops.bars(windows, instruments=[Instrument("B", session="24x7")])
    assert operator.windows is windows
    weekend = 5 * 86_400.0
    feed = untimed(operator, tick(weekend, symbol="A"), tick(weekend, symbol="B"))
    assert operator.stats == (2, 0, 1, 0, 1)
    feed.source.on_completed()
    assert [b.symbol for b in feed.got.elements] == ["B"]
    by_name = ops.bars("1h", session="CME", instruments={"B": Instrument("B", session="24x7")})
    untimed(by_name, tick(weekend, symbol="A"), tick(weekend, symbol="B"))
    assert by_name.stats == operator.stats._replace(closed=0, open=1)


def test_stats_and_rejects() -> None:
    heard: list[Reject] = []
    operator = ops.bars("1s", horizon="1s", session="CME", rejects=heard.append)
    assert operator.stats == (0, 0, 0, 0, 0)
    rows = [tick(0), tick(5, seq=1), tick(0, seq=2), tick(5, NAN, seq=3), tick(5 * 86_400, seq=4), tick(4.5, seq=5)]
    for elements in (rows, [frame(rows)]):
        heard.clear()
        untimed(operator, *elements)
        assert operator.stats == (6, 2, 1, 2, 1)
        assert operator.rejected == {"late": 1, "finite": 1}
        assert [(r.rule, r.element) for r in heard[:1]] == [("late", rows[2])]
        assert heard[0].reason == (
            "2025-03-10T10:00:00Z is more than the horizon of 1 s behind the watermark 2025-03-10T10:00:05Z"
        )
        assert (heard[1].rule, heard[1].reason) == ("finite", "price must be finite, got nan")


def test_rejects_may_be_an_observer_and_is_never_completed() -> None:
    heard = Recorder()
    feed = untimed(ops.bars("1s", rejects=heard), tick(0, NAN))
    feed.source.on_completed()
    assert [r.rule for r in heard.elements] == ["finite"]
    assert not heard.completed


# --- ends


def test_an_error_emits_nothing_that_was_open() -> None:
    scheduler = TestScheduler()
    late = RuntimeError("feed broke")
    xs = scheduler.create_hot_observable(on_next(210, epoch(210)), on_next(215, epoch(215)), on_error(216, late))
    got = scheduler.start(lambda: xs.pipe(ops.bars("10s", grace=None)))
    assert got.messages == [on_error(216, late)]
    assert xs.subscriptions == [subscribe(200, 216)]


def test_completion_emits_what_is_open_at_the_end() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, epoch(210)), on_next(215, epoch(215)), on_completed(217))
    got = scheduler.start(lambda: xs.pipe(ops.bars("5s", grace=None)))
    notes: list[Any] = got.messages
    assert [(m.time, m.value.kind) for m in notes] == [(215, "N"), (217, "N"), (217, "C")]
    assert [m.value.value.flags for m in notes[:2]] == [0, Flag.PARTIAL]
    assert xs.subscriptions == [subscribe(200, 217)]


def test_dispose_ends_source_and_timers() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, epoch(210)), on_next(250, epoch(250)))
    got = scheduler.start(lambda: xs.pipe(ops.bars("20s", updates="3s", scheduler=scheduler)), disposed=216)
    notes: list[Any] = got.messages
    assert [(m.time, m.value.value.revision) for m in notes] == [(213, -1)]
    assert xs.subscriptions == [subscribe(200, 216)]


@pytest.mark.parametrize("end", ["dispose", "complete", "error", "bad element"])
def test_no_timer_is_left(end: str) -> None:
    feed = Feed(ops.bars("1s", "1m", updates="250ms", fill="previous"))
    feed.give(*ticks((0, 100), (0.2, 101)))
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


def test_a_source_that_fails_when_subscribed_leaves_no_timer() -> None:
    def refuse(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        raise RuntimeError("no such feed")

    clock = VirtualClock(T0)
    got = Recorder().to(ops.bars("1s", updates="1s")(Observable(refuse)), clock.scheduler)
    assert str(got.error) == "no such feed"
    assert clock.next_due is None


def test_what_a_source_says_at_once_is_taken_and_leaves_no_timer() -> None:
    def at_once(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_next(tick(0))
        observer.on_completed()
        return Disposable()

    clock = VirtualClock(T0)
    got = Recorder().to(ops.bars("1s", updates="1s")(Observable(at_once)), clock.scheduler)
    assert got.lines == ["A 1s 0: 100-100 x1 r0 PARTIAL"]
    assert got.completed
    assert clock.next_due is None


def test_each_subscription_is_its_own() -> None:
    operator = ops.bars("1s")
    source: Subject[Any] = Subject()
    bars = operator(source)
    first = Recorder().to(bars)
    source.on_next(tick(0))
    second = Recorder().to(bars)
    assert operator.stats == (0, 0, 0, 0, 0)
    for t in ticks((0.5, 105), (1, 101)):
        source.on_next(t)
    assert first.lines == ["A 1s 0: 100-105 x2 r0"]
    assert second.lines == ["A 1s 0: 105-105 x1 r0 GAP"]
    assert operator.stats == (2, 1, 1, 0, 0)


# --- what raises


def test_a_raising_handler_of_rejects_ends_the_stream() -> None:
    def refuse(reject: Reject) -> None:
        raise RuntimeError(reject.rule)

    feed = Feed(ops.bars("1s", rejects=refuse))
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

    feed = Feed(ops.bars("1s", "5s"), timed=False, react=react)
    feed.give(tick(0))
    with pytest.raises(RuntimeError, match="subscriber"):
        feed.give(tick(1, 101, seq=1) if way == "rows" else frame([tick(1, 101, seq=1)]))
    raising = False
    feed.give(tick(1.5, 102, seq=2), tick(2, 103, seq=3))
    feed.source.on_completed()
    assert feed.drain() == [
        "A 1s 0: 100-100 x1 r0", "A 1s 1: 101-102 x2 r0", "A 1s 2: 103-103 x1 r0 PARTIAL", "A 5s 0: 100-103 x4 r0 PARTIAL",
    ]  # fmt: skip


def test_a_subscriber_that_raises_on_a_mark_does_not_stop_the_clock_s_marks() -> None:
    raising = True

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    feed = Feed(ops.bars("1s"), react=react)
    feed.give(tick(0), tick(1.5, symbol="B"))
    with pytest.raises(RuntimeError, match="subscriber"):
        feed.at(2)
    raising = False
    feed.at(10)
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0", "B 1s 1: 100-100 x1 r0"]


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("text", "bars takes Tick, Frame[Tick] or partial Bar, got str"),
        (Quote("A", T0, bid=1.0), "bars takes Tick, Frame[Tick] or partial Bar, got Quote"),
        (Frame.of([Quote("A", T0, bid=1.0)]), "bars takes Tick, Frame[Tick] or partial Bar, got Frame[Quote]"),
    ],
)
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(element: Any, text: str) -> None:
    feed = untimed(ops.bars("1s"), tick(0), element, tick(5, seq=1))
    assert isinstance(feed.got.error, TypeError)
    assert str(feed.got.error) == text
    assert feed.drain() == []


def test_a_partial_bar_that_does_not_fit_ends_the_stream() -> None:
    bad = bar(last_time=T0 + SECOND)
    feed = untimed(ops.bars("1s"), tick(0), bad)
    assert isinstance(feed.got.error, PartialRefused)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ops.bars(), "timeframes must be 1 to 32, got 0"),
        (lambda: ops.bars("1x"), "timeframe must look like .* got '1x'"),
        (lambda: ops.bars("1s", "1s"), "timeframes must differ, got '1s' twice"),
        (lambda: ops.bars("1s", Windows("1m")), "timeframes must be texts, or one Windows value alone"),
        (lambda: ops.bars(Windows("1m"), session="CME"), "session and anchor belong to the Windows value"),
        (lambda: ops.bars(Windows("1m"), anchor="utc"), "session and anchor belong to the Windows value"),
        (lambda: ops.bars("1s", anchor="moon"), "anchor must be one of session, wall, utc, got 'moon'"),  # type: ignore
        (lambda: ops.bars("1s", fill="zero"), "fill must be \"previous\" or None, got 'zero'"),  # type: ignore
        (lambda: ops.bars("1s", updates=0), "updates must be more than 0, got 0"),
        (lambda: ops.bars("1s", updates="soon"), "updates must look like"),
        (lambda: ops.bars("1s", lateness=-1), "lateness must be from 0 to 292 years, got -1"),
        (lambda: ops.bars("1s", horizon="x"), "horizon must look like"),
        (lambda: ops.bars("1s", grace=-1), "grace must be from 0"),
    ],
)
def test_refuses_bad_arguments(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()


def test_refuses_rejects_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="rejects must be an observer or a callable, got list"):
        ops.bars("1s", rejects=[])  # type: ignore


# --- re-entrance


def test_what_is_given_back_queues_behind() -> None:
    feed = Feed(ops.bars("1s", "2s"), timed=False)
    given: list[str] = []

    def react(element: Bar) -> None:
        given.append(line(element))
        if element.start == T0 and element.timeframe == "1s":
            feed.give(tick(4, 104, seq=9))
            given.append("given")

    feed.got._react = react
    feed.give(tick(0), tick(2, 102, seq=1))
    assert given == [
        "A 1s 0: 100-100 x1 r0", "given", "A 2s 0: 100-100 x1 r0", "A 1s 2: 102-102 x1 r0", "A 2s 2: 102-102 x1 r0",
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["complete", "error"])
def test_an_end_from_within_loses_nothing(end: str) -> None:
    feed = Feed(ops.bars("1s", "2s"))

    def react(element: Any) -> None:
        if len(feed.got.elements) == 1:
            if end == "complete":
                feed.source.on_completed()
            else:
                feed.source.on_error(RuntimeError("enough"))

    feed.got._react = react
    feed.give(tick(0), tick(2, 102, seq=1))
    closed = ["A 1s 0: 100-100 x1 r0", "A 2s 0: 100-100 x1 r0"]
    if end == "complete":
        assert feed.drain() == [*closed, "A 1s 2: 102-102 x1 r0 PARTIAL", "A 2s 2: 102-102 x1 r0 PARTIAL"]
        assert feed.got.completed
    else:
        assert feed.drain() == closed
        assert str(feed.got.error) == "enough"
    assert feed.clock.next_due is None


def test_a_subscriber_may_leave_from_within() -> None:
    feed = Feed(ops.bars("1s", "2s", updates="1s"))
    feed.got._react = lambda _: feed.got.subscription.dispose()
    feed.give(tick(0), tick(2, 102, seq=1))
    feed.at(60)
    assert len(feed.got.elements) == 1
    assert feed.clock.next_due is None
    assert not feed.source.observers


@pytest.mark.parametrize("what", ["complete", "tick"])
def test_the_pieces_of_a_large_frame_come_before_what_is_given_from_within(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxfeed.kernels.bars.kernel.FRAME_ROWS", 4)
    feed = Feed(ops.bars("1s"), timed=False)

    def react(element: Any) -> None:
        if len(feed.got.elements) == 1:
            if what == "complete":
                feed.source.on_completed()
            else:
                feed.give(tick(100, 7, seq=100))

    feed.got._react = react
    feed.give(frame(many(12)))
    found = feed.drain()
    if what == "tick":
        feed.source.on_completed()
        assert feed.drain()[-1:] == ["A 1s 100: 7-7 x1 r0 PARTIAL"]
    plain = untimed(ops.bars("1s"), *many(12))
    if what == "tick":
        plain.give(tick(100, 7, seq=100))
    else:
        plain.source.on_completed()
    assert found == plain.drain()


# --- frames


@pytest.mark.parametrize("kind", ["rows", "frames"])
def test_frames_gives_the_same_bars_in_frames(kind: str) -> None:
    rows = many(40) + [tick(3, 500, seq=90), tick(60, 1, seq=91)]
    plain = untimed(ops.bars("1s", "5s"), *rows)
    elements: list[Any] = rows if kind == "rows" else [frame(rows[:15]), frame(rows[15:])]
    feed = untimed(ops.bars("1s", "5s", frames=True), *elements)
    for each in (plain, feed):
        each.source.on_completed()
    assert all(isinstance(e, Frame) and e.kind is Bar and len(e) for e in feed.got.elements)
    assert feed.drain() == plain.drain()


def test_frames_gives_one_frame_for_an_element_that_closes_any() -> None:
    feed = untimed(ops.bars("1s", frames=True), frame(many(2)), frame(many(2, every=0.6)), frame([tick(9, seq=9)]))
    assert [len(e) for e in feed.got.elements] == [1]
    feed.source.on_completed()
    assert [len(e) for e in feed.got.elements] == [1, 1]


@pytest.mark.parametrize("frames", [False, True])
def test_a_large_frame_is_the_same_as_its_pieces(frames: bool) -> None:
    rows = FRAME_ROWS + 1_000
    df = pl.DataFrame({
        "symbol": ["AB"[i % 2] for i in range(rows)], "time": [T0 + i * SECOND // 200 for i in range(rows)],
        "price": [100.0 + i % 13 for i in range(rows)], "size": [1] * rows, "seq": range(rows),
    })  # fmt: skip
    whole = Frame(df)
    large = untimed(ops.bars("1s", "1m", frames=frames), whole)
    small = untimed(ops.bars("1s", "1m", frames=frames), whole.slice(0, FRAME_ROWS), whole.slice(FRAME_ROWS, rows))
    for feed in (large, small):
        feed.source.on_completed()
    if frames:
        assert [len(e) for e in large.got.elements] == [len(e) for e in small.got.elements]
        assert len(large.got.elements) == 3
    assert sum(b.count for b in flat(large.got.elements) if b.timeframe == "1m") == rows
    assert large.drain() == small.drain()


def flat(elements: list[Any]) -> Iterator[Any]:
    for element in elements:
        yield from element.rows() if isinstance(element, Frame) else [element]


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("within", [False, True])
def test_an_error_in_a_later_piece_comes_after_the_bars_of_the_earlier(
    frames: bool, within: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rxfeed.kernels.bars.kernel.FRAME_ROWS", 4)
    rows = many(12)
    rows[9] = tick(4.5, 100, 1 << 62, seq=9)
    rows[8] = tick(4, 100, 1 << 62, seq=8)
    with frame_lane(1, 4):
        if within:
            feed = Feed(ops.bars("1s", frames=frames), timed=False)
            feed.got._react = lambda _: feed.give(frame(rows)) if len(feed.got.elements) == 1 else None
            feed.give(tick(-2, seq=-2), tick(-1, seq=-1))
            begun = ["A 1s -2: 100-100 x1 r0", "A 1s -1: 100-100 x1 r0"]
        else:
            feed = untimed(ops.bars("1s", frames=frames), frame(rows))
            begun = []
    assert feed.drain() == [*begun, "A 1s 0: 100-101 x2 r0", "A 1s 1: 102-103 x2 r0", "A 1s 2: 104-105 x2 r0"]
    assert isinstance(feed.got.error, InputError)
    assert re.search("volume of a bar is 9.22e\\+18 lots", str(feed.got.error))


# --- updates


def test_updates_by_the_clock_show_each_changed_window_once() -> None:
    feed = Feed(ops.bars("1m", "5m", updates="1s", grace=None))
    feed.give(tick(0), tick(0.1, 101, seq=1))
    assert feed.drain() == []
    feed.at(1)
    snapshots = list(feed.got.elements)
    assert feed.drain() == ["A 1m 0: 100-101 x2 r-1 PARTIAL", "A 5m 0: 100-101 x2 r-1 PARTIAL"]
    assert all(b.revision == -1 and b.flags == Flag.PARTIAL for b in snapshots)
    feed.at(3)
    assert feed.drain() == []
    feed.give(tick(3, 102, symbol="B"))
    feed.at(4)
    assert feed.drain() == ["B 1m 0: 102-102 x1 r-1 PARTIAL", "B 5m 0: 102-102 x1 r-1 PARTIAL"]
    feed.give(tick(61, 103, seq=2))
    assert feed.drain() == ["A 1m 0: 100-101 x2 r0"]
    feed.at(5)
    assert feed.drain() == ["A 1m 60: 103-103 x1 r-1 PARTIAL", "A 5m 0: 100-103 x3 r-1 PARTIAL"]


def test_updates_by_event_time_without_a_clock() -> None:
    feed = Feed(ops.bars("1m", updates="10s"), timed=False)
    feed.give(tick(0))
    assert feed.drain() == ["A 1m 0: 100-100 x1 r-1 PARTIAL"]
    feed.give(tick(9.9, 101, seq=1))
    assert feed.drain() == []
    feed.give(tick(10, 102, seq=2))
    assert feed.drain() == ["A 1m 0: 100-102 x3 r-1 PARTIAL"]
    feed.give(frame([tick(15, 103, seq=3), tick(19, 104, symbol="B")]))
    assert feed.drain() == []
    feed.give(frame([tick(16, 105, seq=4), tick(25, 106, symbol="B", seq=1)]))
    assert feed.drain() == ["A 1m 0: 100-105 x5 r-1 PARTIAL", "B 1m 0: 104-106 x2 r-1 PARTIAL"]
    feed.give(tick(70, 107, seq=5))
    assert feed.drain() == ["A 1m 0: 100-105 x5 r0", "A 1m 60: 107-107 x1 r-1 PARTIAL"]


def test_updates_in_frames() -> None:
    feed = Feed(ops.bars("1m", updates="1s", frames=True))
    feed.give(frame([tick(0), tick(0, symbol="B")]))
    feed.at(1)
    assert [type(e) for e in feed.got.elements] == [Frame]
    assert feed.drain() == ["A 1m 0: 100-100 x1 r-1 PARTIAL", "B 1m 0: 100-100 x1 r-1 PARTIAL"]


# --- the clock


def test_the_clock_closes_quiet_symbols_after_grace() -> None:
    feed = Feed(ops.bars("1s", grace="250ms"))
    feed.give(tick(0.5))
    feed.at(1.249)
    assert feed.drain() == []
    feed.at(1.25)
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0 GAP"]
    assert feed.clock.next_due is None  # nothing is open
    feed.give(tick(1.1, 101, seq=1))
    assert feed.drain() == []
    feed.at(2.25)
    assert feed.drain() == ["A 1s 1: 101-101 x1 r0"]


@pytest.mark.parametrize("way", ["rows", "runs", "frames"])
def test_the_clock_waits_for_ticks_that_come_late_all_of_them(way: str) -> None:
    """As where they wait in the network: else each of them would be a revision of a bar that the clock had closed."""
    feed = Feed(ops.bars("1s", grace="250ms"))
    runs: list[Any] = []
    if way == "runs":
        assert feed.got.subscription is not None
        feed.got.subscription.dispose()
        source = RunObservable[Any](lambda observer, _=None: runs.append(observer) or Disposable())
        feed.got = Recorder().to(ops.bars("1s", grace="250ms")(source), feed.clock.scheduler)
    for n in range(100):
        one = tick(n / 10, 100.0 + n % 7, seq=n)
        feed.at(n / 10 * 3)  # later and later, by 20 s at last
        if runs:
            runs[0].on_run([one])
        else:
            feed.give(frame([one]) if way == "frames" else one)
    feed.at(60)
    bars = feed.drain()
    assert [bar.split(":")[0] for bar in bars] == [f"A 1s {n}" for n in range(10)]
    assert all(" r0" in bar for bar in bars)


def test_who_has_caught_up_is_not_waited_for_any_longer() -> None:
    feed = Feed(ops.bars("1s", grace="250ms"))
    feed.at(8)
    feed.give(tick(0.5))
    assert feed.clock.next_due == T0 + 8 * SECOND + SECOND * 3 // 4  # as if it were 0.5 s now
    feed.at(8.5)
    feed.give(tick(8.4, seq=1))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0 GAP"]
    assert feed.clock.next_due == T0 + 9 * SECOND + SECOND // 4
    feed.at(9.25)
    assert feed.drain() == ["A 1s 8: 100-100 x1 r0"]


def test_a_timer_is_set_anew_when_what_comes_is_less_late() -> None:
    feed = Feed(ops.bars("1m", grace="250ms"))
    feed.at(8)
    feed.give(tick(0.5))
    assert feed.clock.next_due == T0 + 67 * SECOND + SECOND * 3 // 4
    feed.give(tick(7.9, symbol="B"))
    assert feed.clock.next_due == T0 + 60 * SECOND + SECOND // 4
    feed.at(60.25)
    assert len(feed.drain()) == 2


def test_a_tick_that_steps_back_does_not_make_the_clock_wait() -> None:
    feed = Feed(ops.bars("1s", grace="250ms"))
    feed.at(8)
    feed.give(tick(8.0), tick(5.0, symbol="B"))
    feed.at(9.25)
    assert [bar.split(":")[0] for bar in feed.drain()] == ["B 1s 5", "A 1s 8"]


def test_lateness_counts_for_the_clock_too() -> None:
    feed = Feed(ops.bars("1s", grace="250ms", lateness="2s"))
    feed.give(tick(0))
    feed.at(3.2)
    assert feed.drain() == []
    feed.at(3.25)
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0"]


def test_without_grace_the_clock_closes_only_at_the_end() -> None:
    feed = Feed(ops.bars("1s", "1m", grace=None))
    feed.give(tick(0))
    assert feed.clock.next_due is None
    feed.at(5)
    assert feed.drain() == []
    feed.source.on_completed()
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0", "A 1m 0: 100-100 x1 r0 PARTIAL"]


@pytest.mark.parametrize("lane", ["rows", "frames"])
def test_a_window_of_another_session_that_ends_sooner_is_closed_in_time(lane: str) -> None:
    # CME's day ends at 21:00 UTC; London's 24x7 day at midnight.
    instruments = [Instrument("A", session="24x7:Europe/London"), Instrument("B", session="CME")]
    feed = Feed(ops.bars("1d", instruments=instruments))
    first, second = (tick(0), tick(1, symbol="B"))
    if lane == "rows":
        feed.give(first)
        assert feed.clock.next_due == T0 + 14 * HOUR + SECOND
        feed.give(second)
        assert feed.clock.next_due == T0 + 11 * HOUR + SECOND
    else:
        with frame_lane(1):
            feed.give(frame([first]), frame([second]))
    feed.at(11 * 3600)
    assert feed.drain() == []
    feed.at(11 * 3600 + 1)
    assert [b.symbol for b in feed.got.elements] == ["B"]
    feed.drain()
    feed.at(14 * 3600 + 1)
    assert [b.symbol for b in feed.got.elements] == ["A"]


@pytest.mark.parametrize("lane", ["rows", "frames"])
def test_the_clock_closes_every_timeframe(lane: str) -> None:
    feed = Feed(ops.bars("1s", "1m"))
    rows = [tick(0), tick(30, seq=1), tick(30, symbol="B"), tick(45.5, seq=2)]
    if lane == "rows":
        feed.give(*rows)
    else:
        with frame_lane(1):
            feed.give(frame(rows))
    feed.drain()
    feed.at(47)
    assert sorted(feed.drain()) == ["A 1s 45: 100-100 x1 r0", "B 1s 30: 100-100 x1 r0"]
    feed.at(60.9)
    assert feed.drain() == []
    feed.at(61)
    assert feed.drain() == ["A 1m 0: 100-100 x3 r0", "B 1m 0: 100-100 x1 r0"]


def test_fill_by_the_clock_fills_quiet_symbols() -> None:
    feed = Feed(ops.bars("1s", fill="previous", grace="250ms"))
    feed.give(tick(0), tick(0, 200, symbol="B"))
    feed.at(1.25)
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0", "B 1s 0: 200-200 x1 r0"]
    feed.at(2.25)
    assert feed.drain() == ["A 1s 1: 100-100 x0 r0 FILLED", "B 1s 1: 200-200 x0 r0 FILLED"]
    feed.give(tick(3.1, 201, symbol="B", seq=1))
    assert feed.drain() == ["B 1s 2: 200-200 x0 r0 FILLED"]
    feed.at(4.25)
    assert sorted(feed.drain()) == [
        "A 1s 2: 100-100 x0 r0 FILLED", "A 1s 3: 100-100 x0 r0 FILLED", "B 1s 3: 201-201 x1 r0",
    ]  # fmt: skip


def test_fill_without_a_clock_fills_between_ticks() -> None:
    feed = untimed(ops.bars("1s", fill="previous"), tick(0), tick(3, 103, seq=1))
    assert feed.drain() == [
        "A 1s 0: 100-100 x1 r0", "A 1s 1: 100-100 x0 r0 FILLED", "A 1s 2: 100-100 x0 r0 FILLED",
    ]  # fmt: skip
    framed = untimed(ops.bars("1s", fill="previous", frames=True), frame([tick(0), tick(3, 103, seq=1)]))
    assert [len(e) for e in framed.got.elements] == [3]


def test_with_a_replay_s_clock_windows_that_ended_by_it_are_whole() -> None:
    clock = ReplayClock()
    feed = Feed(ops.bars("1s", "1m"), clock=clock)
    for t in (tick(0), tick(0.5, symbol="B"), tick(2, 102, seq=1)):
        clock.move(t.time)
        feed.give(t)
    feed.drain()
    feed.source.on_completed()
    assert feed.drain() == [
        "A 1s 2: 102-102 x1 r0 PARTIAL", "A 1m 0: 100-102 x2 r0 PARTIAL", "B 1m 0: 100-100 x1 r0 PARTIAL",
    ]  # fmt: skip


def test_the_end_is_marked_by_the_clock_before_what_is_open_is_partial() -> None:
    clock = ReplayClock()
    feed = Feed(ops.bars("1s", grace="1h"), clock=clock)
    clock.move(T0)
    feed.give(tick(0), tick(0, symbol="B"))
    clock.move(T0 + SECOND)
    feed.give(tick(1, symbol="B", seq=1))
    feed.source.on_completed()
    assert sorted(feed.drain()) == ["A 1s 0: 100-100 x1 r0", "B 1s 0: 100-100 x1 r0", "B 1s 1: 100-100 x1 r0 PARTIAL"]


def test_a_foreign_scheduler_of_the_subscriber_judges_nothing() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, tick(0)), on_completed(400))
    got: Any = scheduler.start(lambda: xs.pipe(ops.bars("1s")))
    assert [(m.time, m.value.kind) for m in got.messages] == [(400, "N"), (400, "C")]
    assert got.messages[0].value.value.flags == Flag.PARTIAL


def test_a_clock_will_do_as_the_scheduler() -> None:
    clock = VirtualClock(T0)
    feed = Feed(ops.bars("1s", scheduler=clock), timed=False)
    feed.give(tick(0))
    clock.advance(2 * SECOND)
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0"]


def test_its_own_scheduler_comes_before_the_subscriber_s() -> None:
    own = VirtualClock(T0)
    feed = Feed(ops.bars("1s", scheduler=own.scheduler))
    feed.give(tick(0))
    assert feed.clock.next_due is None
    own.advance(2 * SECOND)
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0"]


@pytest.mark.parametrize("operator", [ops.bars("1s"), ops.bars("1s", scheduler=VirtualClock().scheduler)])
def test_the_subscriber_s_scheduler_reaches_the_source(operator: Any) -> None:
    found: list[Any] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        return Disposable()

    scheduler = VirtualClock(T0).scheduler
    Recorder().to(operator(Observable(note)), scheduler)
    assert found == [scheduler]


# --- changes of the zone


@pytest.mark.parametrize("way", ["rows", "frames", "clock", "plain rows"])
def test_a_change_of_the_zone_is_logged_once(way: str, logged: list[str]) -> None:
    change = 1_762_066_800 * SECOND  # 2025-11-02T07:00:00Z, Chicago
    feed = Feed(
        ops.bars("1h", session="24x7:America/Chicago", fill="previous" if way == "rows" else None),
        clock=VirtualClock(change - HOUR), timed=way == "clock",
    )  # fmt: skip
    times = [change - HOUR, change - MINUTE, change + MINUTE, change - MINUTE, change + HOUR, change + 2 * HOUR]
    rows = [Tick("A", time, 1.0, 1, 0, seq) for seq, time in enumerate(times)]
    if way == "clock":
        feed.give(*rows[:2])
        feed.clock.advance(3 * HOUR)
        feed.give(*rows[2:])
    elif way == "frames":
        feed.give(frame(rows[:2]), frame(rows[2:5]), frame(rows[5:]))
    else:
        feed.give(*rows)
    assert logged == ["America/Chicago changed its clock at 2025-11-02T07:00:00Z: UTC-05:00 before, UTC-06:00 from then on"]


def test_a_feed_that_begins_after_a_change_logs_nothing(logged: list[str]) -> None:
    feed = untimed(ops.bars("1h", session="CME"))
    feed.give(tick(0), tick(7200, seq=1))
    assert logged == []
    assert lines(feed.got.elements) == ["A 1h 0: 100-100 x1 r0"]
