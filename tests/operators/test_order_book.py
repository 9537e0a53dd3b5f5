"""`order_book` as an operator. What is shown when is the kernel's tests'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import TestScheduler

import rxfeed
from rxfeed import operators as ops
from rxfeed.book import Book
from rxfeed.clock import ReplayClock, VirtualClock
from rxfeed.frame import Frame
from rxfeed.model import Depth, Quote, Reject
from rxfeed.times import NANOSECONDS, SECOND
from tests.builders import T0, Recorder, bar, on_next, subscribe, tick
from tests.oracle_book import depth, group, shown

MS = NANOSECONDS["ms"]
READY = [*group("R b99 a101", 0), depth("b98", 1)]
WRONG = Depth("A", T0, 7)


def feed(source: Subject[Any], rows: list[Depth]) -> None:
    for d in rows:
        source.on_next(d)


def drawn_books(got: Recorder) -> list[str]:
    return [shown(book) for book in got.elements]


@pytest.mark.parametrize("way", ["rows", "frames", "one frame"])
def test_rows_and_frames_give_the_same_books(way: str) -> None:
    rows: list[Depth] = []
    rxfeed.synthetic(5, n=3_000).depth().subscribe(rows.append)
    heard: list[Reject] = []
    operator = ops.order_book(3, faults=heard.append)
    expected: list[Book] = []
    rxfeed.synthetic(5, n=3_000).depth().pipe(ops.order_book(3)).subscribe(expected.append)
    source: Subject[Any] = Subject()
    got = Recorder().to(operator(source))
    rows.append(WRONG)
    step = {"rows": 1, "frames": 700, "one frame": len(rows)}[way]
    assert len(rows) > 4_096  # so that one frame is cut
    for at in range(0, len(rows), step):
        source.on_next(rows[at] if way == "rows" else Frame.of(rows[at : at + step]))
    source.on_completed()
    assert got.elements == expected
    assert len(expected) > 1_000
    assert [fault.rule for fault in heard] == ["kind"]
    assert operator.stats[:6] == (len(rows), len(rows) - 1, 1, 0, 0, len(expected))


def test_faults_come_before_the_books_after_them() -> None:
    order: list[Any] = []
    operator = ops.order_book(faults=order.append)
    assert operator.stats == (0, 0, 0, 0, 0, 0, 0, 0, {})
    source: Subject[Any] = Subject()
    Recorder(order.append).to(operator(source))
    crosser = depth("b102", 2)
    feed(source, [*READY, crosser, WRONG, *group("R b100 a101", 3), depth("b97", 4)])
    assert [shown(e) if isinstance(e, Book) else e.rule for e in order] == [
        "99 / 101", "99 98 / 101", "kind", "crossed", "100 / 101", "100 97 / 101",
    ]  # fmt: skip
    assert operator.stats == (10, 9, 1, 0, 0, 4, 1, 0, {"kind": 1})


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_is_held_comes_at_the_end(way: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book()(source))
    feed(source, READY[:3]) if way == "rows" else source.on_next(Frame.of(READY[:3]))
    assert got.elements == []
    source.on_completed()
    assert drawn_books(got) == ["99 / 101"]
    assert got.completed


def test_what_is_crossed_at_the_end_is_a_fault() -> None:
    heard: list[Reject] = []
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(faults=heard.append)(source))
    feed(source, [*READY, depth("b102", 2)])
    assert heard == []
    source.on_completed()
    assert drawn_books(got) == ["99 / 101", "99 98 / 101"]
    assert [fault.rule for fault in heard] == ["crossed"]


def test_before_an_error_comes_what_waits_for_its_period_but_nothing_that_may_be_half() -> None:
    heard: list[Reject] = []
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(every="10s", faults=heard.append)(source))
    feed(source, [*READY, *group("R b9", symbol="B"), *group("R b99 a98", symbol="C")])
    wrong = RuntimeError("x")
    source.on_error(wrong)
    assert drawn_books(got) == ["99 98 / 101"]
    assert got.error is wrong
    assert heard == []


# --- the clock


def test_at_most_one_book_a_period_of_the_clock() -> None:
    clock = VirtualClock(T0 + 30 * MS)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(every="100ms")(source), clock.scheduler)
    feed(source, READY)
    assert clock.next_due == T0 + 100 * MS
    feed(source, [depth("b97", 2), *group("R b9 a11", symbol="B"), depth("b8", 1, symbol="B")])
    clock.advance_to(T0 + 100 * MS - 1)
    assert got.elements == []
    clock.advance(1)
    assert drawn_books(got) == ["99 98 97 / 101", "9 8 / 11"]
    clock.advance(SECOND)
    assert clock.next_due is None
    feed(source, [depth("b97x2", 3)])
    assert clock.next_due == T0 + 1200 * MS
    feed(source, [depth("b97", 4)])
    clock.advance(SECOND)
    assert len(got.elements) == 2
    feed(source, [depth("b97x3", 5)])
    source.on_completed()
    assert drawn_books(got)[2:] == ["99 98 97x3 / 101"]
    assert clock.next_due is None


def test_the_clock_ends_a_group() -> None:
    clock = VirtualClock(T0)
    heard: list[Reject] = []
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(faults=heard.append)(source), clock.scheduler)
    feed(source, READY[:3])
    assert clock.next_due == T0 + 100 * MS
    clock.advance(100 * MS)
    assert drawn_books(got) == ["99 / 101"]
    clock.advance(100 * MS)
    assert clock.next_due is None
    feed(source, [depth("b102", 3)])
    clock.advance(100 * MS)
    assert [fault.rule for fault in heard] == ["crossed"]
    assert len(got.elements) == 1


def test_the_earlier_of_group_and_period_wakes_it() -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(every="5s")(source), clock.scheduler)
    feed(source, READY)
    assert clock.next_due == T0 + 100 * MS  # of the snapshot, though it is over
    clock.advance(SECOND)
    assert clock.next_due == T0 + 5 * SECOND
    feed(source, group("R b9 a11", 2, symbol="B"))
    assert clock.next_due == T0 + 1100 * MS
    clock.advance(4 * SECOND)
    assert drawn_books(got) == ["99 98 / 101", "9 / 11"]
    assert clock.next_due is None


def test_its_own_scheduler_comes_before_the_subscriber_s_and_a_foreign_one_is_none() -> None:
    own, other = VirtualClock(T0), VirtualClock(T0)
    source: Subject[Any] = Subject()
    Recorder().to(ops.order_book(scheduler=own)(source), other.scheduler)
    feed(source, READY[:3])
    assert (own.next_due, other.next_due) == (T0 + 100 * MS, None)
    by_event = Recorder().to(ops.order_book(every="1s")(source), TestScheduler())
    feed(source, [*READY, depth("b97", 2)])
    assert drawn_books(by_event) == ["99 / 101", "99 98 / 101"]


def test_a_replay_by_a_clock_shows_the_same_books() -> None:
    def books(**more: Any) -> list[Book]:
        found: list[Book] = []
        rxfeed.synthetic(2, n=500).depth(**more).pipe(ops.order_book(2, scheduler=more.get("clock"))).subscribe(found.append)
        return sorted(found, key=lambda book: (book.symbol, book.seq))

    assert books(clock=ReplayClock()) == books()
    assert len(books()) > 100


@pytest.mark.parametrize("end", ["dispose", "complete", "error", "bad element", "raising faults"])
@pytest.mark.parametrize("every", [None, "10s"])
def test_no_timer_is_left(end: str, every: str | None) -> None:
    def refuse(fault: Reject) -> None:
        raise RuntimeError(fault.rule)

    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(every=every, faults=refuse)(source), clock.scheduler)
    feed(source, READY[:3])
    if every:
        clock.advance(SECOND)
    assert clock.next_due == (T0 + 10 * SECOND if every else T0 + 100 * MS)
    match end:
        case "dispose":
            got.subscription.dispose()
        case "complete":
            source.on_completed()
        case "error":
            source.on_error(RuntimeError("x"))
        case "bad element":
            source.on_next(1)
        case _:
            source.on_next(WRONG)
            assert str(got.error) == "kind"
    assert clock.next_due is None
    assert not source.observers
    count = len(got.elements)
    clock.advance(20 * SECOND)
    assert len(got.elements) == count == (1 if end == "complete" or (end == "error" and every) else 0)


# --- what every operator keeps


def test_dispose_leaves_the_source() -> None:
    scheduler = TestScheduler()
    xs = scheduler.create_hot_observable(on_next(210, READY[0]), on_next(230, READY[1]))
    got = scheduler.start(lambda: xs.pipe(ops.order_book()), disposed=220)
    assert got.messages == []
    assert xs.subscriptions == [subscribe(200, 220)]


def test_each_subscription_is_its_own() -> None:
    operator = ops.order_book()
    source: Subject[Any] = Subject()
    first = Recorder().to(operator(source))
    feed(source, READY[:3])
    second = Recorder().to(operator(source))
    assert operator.stats.received == 0
    feed(source, READY[3:])
    assert drawn_books(first) == ["99 / 101", "99 98 / 101"]
    assert second.elements == []
    assert operator.stats.unready == 1


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_a_raising_handler_of_faults_ends_the_stream(way: str) -> None:
    def refuse(fault: Reject) -> None:
        raise RuntimeError(fault.rule)

    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(faults=refuse)(source))
    feed(source, READY)
    source.on_next(WRONG if way == "rows" else Frame.of([WRONG]))
    feed(source, [depth("b97", 2)])
    assert str(got.error) == "kind"
    assert len(got.elements) == 2
    assert not source.observers


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_is_given_back_queues_behind_and_an_end_loses_nothing(way: str) -> None:
    source: Subject[Any] = Subject()

    def react(book: Book) -> None:
        if len(got.elements) == 1:
            more = [depth("b97", 2), depth("b102", 3), depth("a101x0", 3), depth("a103", 3)]
            feed(source, more) if way == "rows" else source.on_next(Frame.of(more))
            source.on_completed()
            assert len(got.elements) == 1

    got = Recorder(react)
    got.to(ops.order_book()(source))
    feed(source, READY) if way == "rows" else source.on_next(Frame.of(READY))
    assert drawn_books(got) == ["99 / 101", "99 98 / 101", "99 98 97 / 101", "102 99 98 97 /", "102 99 98 97 / 103"]
    assert got.completed


def test_what_is_given_back_by_a_book_of_its_own_comes_next() -> None:
    source: Subject[Any] = Subject()

    def react(book: Book) -> None:
        if len(got.elements) == 3:
            source.on_next(depth("b96", 3))

    got = Recorder(react)
    got.to(ops.order_book()(source))
    feed(source, [*READY, depth("b97", 2)])
    assert drawn_books(got)[2:] == ["99 98 97 / 101", "99 98 97 96 / 101"]


def test_a_fault_that_feeds_the_source_queues_behind() -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book(faults=lambda _: source.on_next(depth("b97", 2)))(source))
    feed(source, [*READY[:3], WRONG, READY[3]])
    assert drawn_books(got) == ["99 / 101", "99 97 / 101", "99 98 97 / 101"]


def test_a_raising_subscriber_leaves_the_state_right() -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    raising = True

    def react(element: Any) -> None:
        if raising:
            raise RuntimeError("subscriber")

    got = Recorder(react).to(ops.order_book()(source), clock.scheduler)
    feed(source, READY[:3])
    with pytest.raises(RuntimeError, match="subscriber"):
        clock.advance(100 * MS)
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(READY[3])
    raising = False
    feed(source, [depth("b97", 2)])
    source.on_completed()
    assert drawn_books(got) == ["99 / 101", "99 98 / 101", "99 98 97 / 101"]
    assert clock.next_due is None


def test_two_books_at_once_reach_a_subscriber_that_raised() -> None:
    source: Subject[Any] = Subject()

    def react(element: Any) -> None:
        if len(got.elements) == 1:
            raise RuntimeError("subscriber")

    got = Recorder(react)
    got.to(ops.order_book()(source))
    with pytest.raises(RuntimeError, match="subscriber"):
        feed(source, READY)
    source.on_completed()
    assert drawn_books(got) == ["99 / 101", "99 98 / 101"]


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (tick(), "Tick"), (Quote("A", T0), "Quote"), (bar(), "Bar"), (Frame.of([tick()]), "Frame[Tick]"),
        (Frame.of([bar()]), "Frame[Bar]"), (None, "NoneType"),
    ],
)  # fmt: skip
def test_a_wrong_element_ends_the_stream_and_says_what_it_is(element: Any, name: str) -> None:
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.order_book()(source))
    source.on_next(element)
    feed(source, READY)
    assert isinstance(got.error, TypeError)
    assert str(got.error) == f"order_book takes Depth or Frame[Depth], got {name}"
    assert got.elements == []


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ops.order_book(0), ValueError, "depth must be at least 1, got 0"),
        (lambda: ops.order_book(5, levels=4), ValueError, "levels must be at least depth, which is 5, got 4"),
        (lambda: ops.order_book(every=0), ValueError, "every must be more than 0, got 0"),
        (lambda: ops.order_book(every="x"), ValueError, "every must look like"),
        (lambda: ops.order_book(faults=1), TypeError, "faults must be an observer or a callable, got int"),  # type: ignore
        (lambda: ops.order_book(scheduler=1), TypeError, "scheduler must be a clock or a scheduler, got 1"),  # type: ignore
    ],
)
def test_refuses_bad_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
