"""`resubscribe_on`: the change of a connection, its failures, and who hears of it. The splice itself is the kernel's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable
from reactivex.subject import BehaviorSubject

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.events import Event, Gapped, Rotated, RotationFailed
from rxfeed.frame import Frame
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, tick


def tape(start: float, end: float, symbol: str = "ES") -> list[Tick]:
    """Ten trades a second, each with a price of its own."""
    return [tick(place / 10, 100.0 + place, symbol=symbol) for place in range(round(start * 10), round(end * 10))]


class Feed:
    """A cold source, whose connections are moved by hand, and one subscription."""

    def __init__(self, react: Callable[[Any], None] | None = None, **more: Any) -> None:
        self.clock = VirtualClock(T0)
        self.lines: list[Subject[Any]] = []
        self.open: list[int] = []
        self.fails = 0
        self.first: dict[int, list[Any]] = {}
        """What a connection says while it is being subscribed to."""
        self.tokens: Subject[Any] = Subject()
        self.events: list[Event] = []
        operator = ops.resubscribe_on(self.tokens, events=self.events.append, **more)
        self.got = Recorder(react).to(operator(Observable(self._subscribe)), self.clock.scheduler)

    def _subscribe(self, observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no way through")
        line: Subject[Any] = Subject()
        number = len(self.lines)
        self.lines.append(line)
        self.open.append(number)
        subscription = line.subscribe(observer)
        for element in self.first.get(number, []):
            line.on_next(element)

        def dispose() -> None:
            subscription.dispose()
            if number in self.open:
                self.open.remove(number)

        return Disposable(dispose)

    def give(self, line: int, *elements: Any) -> None:
        for element in elements:
            self.lines[line].on_next(element)

    def wait(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))

    def drain(self) -> list[Any]:
        found = self.got.elements[:]
        self.got.elements.clear()
        return found


def changing() -> tuple[Feed, list[Tick]]:
    """New is two trades ahead."""
    feed, trades = Feed(), tape(0, 6)
    feed.give(0, *trades[:10])
    feed.tokens.on_next("token 2")
    assert feed.open == [0, 1]
    feed.give(1, *trades[10:12])
    assert feed.drain() == trades[:10]
    return feed, trades


def test_the_new_connection_is_opened_before_the_old_one_is_closed_and_nothing_is_lost() -> None:
    feed, trades = changing()
    feed.give(0, *trades[10:24])
    assert feed.open == [0, 1]
    feed.wait(0.5)
    feed.give(1, *trades[12:24])
    assert feed.open == [1]
    assert feed.events == [Rotated(time=T0 + SECOND // 2, hub="feed", epoch=2, seconds=0.5)]
    feed.give(1, *trades[24:])
    assert feed.drain() == trades[10:]
    assert feed.clock.next_due is None
    feed.lines[1].on_completed()
    assert feed.got.completed


def test_the_new_connection_may_be_behind_when_the_old_one_is_closed() -> None:
    feed, trades = changing()
    feed.give(0, *trades[10:40])
    feed.give(1, *trades[12:22])
    assert feed.open == [1]
    # The next change begins while this one is not over.
    feed.tokens.on_next("token 3")
    feed.give(2, *trades[42:56])
    feed.give(1, *trades[22:55])
    assert feed.open == [2]
    feed.give(2, *trades[56:])
    assert feed.drain() == trades[10:]


def test_a_quiet_symbol_is_cut_by_two_looks() -> None:
    feed, trades = changing()
    slow = tick(2.4, symbol="NQ")
    feed.give(0, slow, *trades[10:24])
    feed.give(1, *trades[12:24])
    assert feed.open == [0, 1]
    feed.give(1, slow)
    feed.wait(5)
    feed.wait(4.9)
    assert feed.open == [0, 1]
    feed.wait(0.1)
    assert feed.open == [1]
    assert feed.drain() == [slow, *trades[10:24]]
    assert feed.events == [Rotated(time=T0 + 10 * SECOND, hub="feed", epoch=2, seconds=10.0)]


def test_a_new_connection_that_says_nothing_is_given_up() -> None:
    feed, trades = Feed(timeout="6s"), tape(0, 2)
    feed.give(0, *trades[:5])
    feed.tokens.on_next(2)
    feed.wait(5.9)
    assert feed.open == [0, 1]
    feed.wait(0.1)
    assert feed.open == [0]
    feed.give(0, *trades[5:])
    assert feed.drain() == trades
    (event,) = feed.events
    assert isinstance(event, RotationFailed)
    assert event.text == "the new connection said nothing in 6 s"
    assert feed.clock.next_due is None


def test_a_new_connection_that_says_what_the_old_one_does_not_is_given_up() -> None:
    feed, trades = Feed(), tape(0, 30)
    feed.give(0, *trades[:5])
    feed.tokens.on_next(2)
    for place in range(5, 300):
        feed.give(0, trades[place])
        feed.give(1, tick(trades[place].time / SECOND - T0 / SECOND, 1.0, symbol="ES"))
        feed.wait(0.1)
    feed.wait(5)
    assert feed.open == [0]
    assert feed.drain() == trades
    (event,) = feed.events
    assert isinstance(event, RotationFailed)
    assert event.text == "the new connection's trades differ from the old connection's: ES"


def test_a_new_connection_that_fails_is_given_up_and_the_next_token_is_another_occasion() -> None:
    feed, trades = changing()
    feed.lines[1].on_error(RuntimeError("refused"))
    assert feed.open == [0]
    feed.tokens.on_next("token 3")
    assert feed.open == [0, 2]
    feed.lines[2].on_completed()
    feed.fails = 1
    feed.tokens.on_next("token 4")
    assert feed.open == [0]
    feed.tokens.on_next("token 5")
    feed.give(3, *trades[11:25])
    feed.give(0, *trades[10:25])
    assert feed.open == [3]
    feed.give(3, *trades[25:])
    assert feed.drain() == trades[10:]
    assert [event.text if isinstance(event, RotationFailed) else "" for event in feed.events] == [
        "the new connection failed: refused", "the new connection ended", "the new connection failed: no way through", "",
    ]  # fmt: skip


@pytest.mark.parametrize("error", [RuntimeError("reset"), None])
def test_an_old_connection_that_ends_first_leaves_a_gap(error: Exception | None) -> None:
    feed, trades = changing()
    if error is None:
        feed.lines[0].on_completed()
    else:
        feed.lines[0].on_error(error)
    feed.give(1, *trades[12:])
    assert feed.drain() == trades[10:]
    assert feed.open == [1]
    assert feed.got.error is None


def test_what_is_told_when_the_old_connection_ends_first() -> None:
    feed, _ = changing()
    feed.lines[0].on_error(RuntimeError("reset"))
    gap = Gap("ES", T0 - SECOND // 10, T0 + 2 * SECOND, "overlap_uncertain")
    assert feed.events == [
        Gapped(time=T0, gap=gap),
        Rotated(time=T0, hub="feed", epoch=2, seconds=0.0, uncertain=("ES",)),
    ]
    feed.lines[1].on_error(RuntimeError("again"))
    assert str(feed.got.error) == "again"


def test_an_old_connection_ends_before_the_new_one_has_said_anything() -> None:
    feed, trades = Feed(), tape(0, 3)
    feed.give(0, *trades[:10])
    feed.tokens.on_next(2)
    feed.lines[0].on_completed()
    start = T0 - SECOND // 10  # the last trade, less the step back that is to be expected
    assert feed.events[0] == Gapped(time=T0, gap=Gap("ES", start, ONGOING, "overlap_uncertain"))
    feed.give(1, *trades[12:])
    assert feed.drain() == trades[:10] + trades[12:]
    (_, _, closed) = feed.events
    assert closed == Gapped(time=T0, gap=Gap("ES", start, trades[22].time, "overlap_uncertain"))


def test_what_a_dead_connection_said_is_kept_for_the_case_that_the_old_one_ends_too() -> None:
    feed, trades = changing()
    feed.lines[1].on_error(RuntimeError("refused"))
    feed.tokens.on_next("token 3")
    feed.give(2, *trades[11:14])
    feed.lines[0].on_error(RuntimeError("reset"))
    feed.give(2, *trades[14:])
    assert feed.drain() == trades[10:]


def test_what_is_asked_for_during_a_change_is_done_after_it_once() -> None:
    feed, trades = changing()
    feed.tokens.on_next("token 3")
    feed.tokens.on_next("token 4")
    assert feed.open == [0, 1]
    feed.give(0, *trades[10:24])
    feed.give(1, *trades[12:24])
    assert feed.open == [1, 2]
    assert len(feed.lines) == 3


def test_frames_come_out_as_frames() -> None:
    feed, trades = Feed(), tape(0, 6)
    whole = Frame.of(trades[:10])
    feed.give(0, whole)
    assert feed.drain() == [whole]
    feed.tokens.on_next(2)
    feed.give(1, Frame.of(trades[12:30]))
    feed.give(0, Frame.of(trades[10:25]))
    feed.give(1, Frame.of(trades[30:]))
    out = feed.drain()
    assert [tick for frame in out for tick in frame.rows()] == trades[10:]
    assert feed.open == [1]


def test_a_source_that_emits_while_it_is_subscribed_to() -> None:
    feed, trades = Feed(), tape(0, 3)
    feed.first[1] = trades[5:20]
    feed.give(0, *trades[:5])
    feed.tokens.on_next(2)
    feed.give(0, *trades[5:20])
    feed.give(1, *trades[20:])
    assert feed.drain() == trades
    assert feed.open == [1]


def test_a_token_that_a_subscriber_asks_for_takes_its_turn() -> None:
    trades = tape(0, 3)
    feed: Feed

    def react(element: Tick) -> None:
        if element == trades[3]:
            feed.tokens.on_next(2)
            feed.give(0, trades[4])

    feed = Feed(react)
    feed.give(0, *trades[:4])
    assert feed.drain() == trades[:5]
    assert feed.open == [0, 1]


def test_everything_is_let_go_of_on_disposal_in_the_middle() -> None:
    feed, _ = changing()
    feed.got.subscription.dispose()
    assert feed.open == []
    assert feed.clock.next_due is None
    assert feed.tokens.observers == []


def test_tokens_may_end_but_not_fail() -> None:
    feed, trades = changing()
    feed.tokens.on_completed()
    feed.give(0, *trades[10:24])
    feed.give(1, *trades[12:24])
    assert feed.open == [1]
    other, _ = changing()
    other.tokens.on_error(RuntimeError("no token"))
    assert str(other.got.error) == "no token"
    assert other.open == []


def test_a_token_that_is_replayed_is_a_change_at_once() -> None:
    clock, opened = VirtualClock(T0), list[int]()

    def subscribe(_: abc.ObserverBase[Any], __: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        opened.append(1)
        return Disposable()

    Recorder().to(ops.resubscribe_on(BehaviorSubject(1))(Observable(subscribe)), clock.scheduler).subscription.dispose()
    assert len(opened) == 2
    assert clock.next_due is None


def test_another_element_is_an_error() -> None:
    feed = Feed()
    feed.give(0, 3)
    assert isinstance(feed.got.error, TypeError)
    assert "resubscribe_on takes Tick or Frame[Tick], got int" in str(feed.got.error)


def test_a_callback_that_raises_ends_the_stream() -> None:
    feed = Feed()
    feed.events = []
    tokens: Subject[Any] = Subject()

    def told(_: Event) -> None:
        raise RuntimeError("deaf")

    lines: list[Subject[Any]] = []

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        lines.append(Subject())
        return lines[-1].subscribe(observer)

    got = Recorder().to(ops.resubscribe_on(tokens, events=told)(Observable(subscribe)), feed.clock.scheduler)
    tokens.on_next(1)
    lines[1].on_completed()
    assert str(got.error) == "deaf"


def test_it_needs_a_clock() -> None:
    with pytest.raises(ValueError, match="resubscribe_on needs a clock"):
        ops.resubscribe_on(Subject())(Subject()).subscribe()
