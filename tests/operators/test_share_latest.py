"""`share_latest`: one connection for all, the newest to who comes late, and nothing of a connection that is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, Subject, abc
from reactivex import operators as rxo
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.model import Quote
from tests.builders import T0, Recorder, frame, tick


class Feed:
    """A source that notes who is connected; `live` is the newest connection's observer."""

    def __init__(self) -> None:
        self.connections = self.open = 0
        self.live: Any = None

        def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            self.connections += 1
            self.open += 1
            self.live = observer
            return Disposable(self._close)

        self.observable: Observable[Any] = Observable(run)

    def _close(self) -> None:
        self.open -= 1

    def emit(self, *elements: Any) -> None:
        for element in elements:
            self.live.on_next(element)


def when(element: Any, act: Callable[[], object]) -> Callable[[Any], None]:
    def react(given: Any) -> None:
        if given == element:
            act()

    return react


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_the_first_connects_and_the_last_one_out_disconnects(feed: Feed) -> None:
    shared = ops.share_latest()(feed.observable)
    assert feed.connections == 0
    first, second = Recorder().to(shared), Recorder().to(shared)
    assert (feed.connections, feed.open) == (1, 1)
    first.subscription.dispose()
    first.subscription.dispose()
    feed.emit(1)
    assert (feed.open, first.elements, second.elements) == (1, [], [1])
    second.subscription.dispose()
    assert feed.open == 0


def test_who_comes_late_gets_the_newest_and_then_the_rest(feed: Feed) -> None:
    shared = ops.share_latest()(feed.observable)
    first = Recorder().to(shared)
    feed.emit(1, 2)
    late = Recorder().to(shared)
    feed.emit(3)
    assert (first.elements, late.elements) == ([1, 2, 3], [2, 3])


@pytest.mark.parametrize("end", ["complete", "error", "disconnect"])
def test_nothing_of_a_connection_outlives_it(feed: Feed, end: str) -> None:
    operator = ops.share_latest()
    shared = operator(feed.observable)
    first, second = Recorder().to(shared), Recorder().to(shared)
    feed.emit(1)
    match end:
        case "complete":
            feed.live.on_completed()
            assert (first.completed, second.completed) == (True, True)
        case "error":
            wrong = RuntimeError("x")
            feed.live.on_error(wrong)
            assert (first.error, second.error) == (wrong, wrong)
        case _:
            first.subscription.dispose()
            second.subscription.dispose()
    assert operator.stats == (1, 0, 0, 0)
    assert feed.open == 0
    afresh = Recorder().to(shared)
    assert (feed.connections, afresh.elements, afresh.error, afresh.completed) == (2, [], None, False)
    feed.emit(2)
    late = Recorder().to(shared)
    assert (afresh.elements, late.elements, feed.connections) == ([2], [2], 2)
    assert operator.stats == (1, 2, 1, 0)


def test_all_who_retry_meet_on_the_next_connection(feed: Feed) -> None:
    shared = ops.share_latest()(feed.observable)
    both = [Recorder().to(shared.pipe(rxo.retry())) for _ in range(2)]
    feed.emit(1)
    feed.live.on_error(RuntimeError("x"))
    feed.emit(2)
    assert (feed.connections, feed.open) == (2, 1)
    assert [got.elements for got in both] == [[1, 2], [1, 2]]


def test_an_old_connection_that_still_speaks_is_not_heard(feed: Feed) -> None:
    shared = ops.share_latest()(feed.observable)
    Recorder().to(shared).subscription.dispose()
    old = feed.live
    got = Recorder().to(shared)
    old.on_next(1)
    old.on_error(RuntimeError("x"))
    assert (got.elements, got.error, feed.open) == ([], None, 1)


class TestSynchronousSources:
    def test_each_subscriber_after_the_end_gets_all(self) -> None:
        shared = rx.of(1, 2, 3).pipe(ops.share_latest())
        for got in (Recorder().to(shared), Recorder().to(shared)):
            assert (got.elements, got.completed) == ([1, 2, 3], True)

    def test_one_that_emits_inside_subscribe(self) -> None:
        def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            for n in (1, 2, 3):
                observer.on_next(n)
            observer.on_completed()
            return Disposable()

        shared = Observable(run).pipe(ops.share_latest())
        inner = Recorder()
        outer = Recorder(when(2, lambda: inner.to(shared))).to(shared)
        assert (outer.elements, outer.completed) == ([1, 2, 3], True)
        assert (inner.elements, inner.completed) == ([2, 3], True)

    def test_one_that_cannot_be_stopped_is_not_kept_after_the_end(self) -> None:
        def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            for n in ("a", 1, "b"):
                observer.on_next(n)
            return Disposable()

        operator = ops.share_latest(key=len)
        got = Recorder().to(Observable(run).pipe(operator))
        assert got.elements == ["a"]
        assert isinstance(got.error, TypeError)
        assert operator.stats == (1, 0, 0, 0)

    def test_what_subscribing_raises_ends_that_connection(self) -> None:
        calls: list[int] = []

        def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            calls.append(1)
            raise RuntimeError("no route")

        shared = Observable(run).pipe(ops.share_latest())
        for _ in range(2):
            assert str(Recorder().to(shared).error) == "no route"
        assert len(calls) == 2

    def test_so_does_what_is_no_error_of_a_stream(self) -> None:
        calls: list[int] = []

        def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            calls.append(1)
            raise KeyboardInterrupt

        shared = Observable(run).pipe(ops.share_latest())
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                Recorder().to(shared)
        assert len(calls) == 2


class TestReEntrant:
    def test_a_subscriber_made_in_on_next_gets_that_element_once(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        late = Recorder()
        first = Recorder(when(1, lambda: late.to(shared))).to(shared)
        other = Recorder().to(shared)
        feed.emit(1, 2)
        assert [got.elements for got in (first, other, late)] == [[1, 2]] * 3

    def test_elements_fed_back_come_in_one_order_for_all(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        late = Recorder()

        def react(n: int) -> None:
            if n == 1:
                feed.emit(2, 3)
                late.to(shared)
                feed.live.on_completed()

        first, second = Recorder(react).to(shared), Recorder().to(shared)
        feed.emit(1)
        assert [got.elements for got in (first, second, late)] == [[1, 2, 3]] * 3
        assert all(got.completed for got in (first, second, late))

    def test_what_comes_while_the_newest_is_given_waits(self, feed: Feed) -> None:
        shared = ops.share_latest(key=lambda n: n % 2)(feed.observable)
        first = Recorder().to(shared)
        feed.emit(1, 2)
        late = Recorder(when(1, lambda: feed.emit(4))).to(shared)
        assert (first.elements, late.elements) == ([1, 2, 4], [1, 2, 4])

    def test_a_subscriber_that_leaves_in_mid_round_gets_no_more(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        first = Recorder(when(2, lambda: last.subscription.dispose())).to(shared)
        middle, last = Recorder().to(shared), Recorder().to(shared)
        feed.emit(1, 2, 3)
        assert [got.elements for got in (first, middle, last)] == [[1, 2, 3], [1, 2, 3], [1]]

    def test_all_may_leave_in_mid_round_and_come_again(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        again = Recorder()

        def react(n: int) -> None:
            first.subscription.dispose()
            second.subscription.dispose()
            again.to(shared)

        first, second = Recorder(react).to(shared), Recorder().to(shared)
        feed.emit(1)
        assert (second.elements, again.elements) == ([], [])
        assert (feed.connections, feed.open) == (2, 1)
        feed.emit(2)
        assert again.elements == [2]

    def test_one_element_is_enough_for_some(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        first = Recorder().to(shared.pipe(rxo.take(1)))
        feed.emit(1)
        assert (first.elements, first.completed, feed.open) == ([1], True, 0)
        stays = Recorder().to(shared)
        feed.emit(2)
        late = Recorder().to(shared.pipe(rxo.take(1)))
        assert (late.elements, late.completed) == ([2], True)
        feed.emit(3)
        assert (stays.elements, feed.open) == ([2, 3], 1)


def refuse(element: Any) -> None:
    raise RuntimeError(f"cannot take {element}")


class TestRaisingSubscribers:
    def test_the_others_get_the_element_and_the_source_hears_of_it(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        bad, good = Recorder(refuse).to(shared), Recorder().to(shared)
        for n in (1, 2):
            with pytest.raises(RuntimeError, match=f"cannot take {n}"):
                feed.emit(n)
        feed.live.on_completed()
        assert (bad.elements, good.elements) == ([1, 2], [1, 2])
        assert (bad.completed, good.completed) == (True, True)

    def test_of_several_it_hears_all(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)
        for _ in range(2):
            Recorder(refuse).to(shared)
        good = Recorder().to(shared)
        with pytest.raises(ExceptionGroup, match="2 subscribers raised") as caught:
            feed.emit(1)
        assert [str(error) for error in caught.value.exceptions] == ["cannot take 1"] * 2
        assert good.elements == [1]

    def test_what_was_fed_back_is_not_lost(self, feed: Feed) -> None:
        shared = ops.share_latest()(feed.observable)

        def react(n: int) -> None:
            if n == 1:
                feed.emit(2)
                refuse(n)

        Recorder(react).to(shared)
        good = Recorder().to(shared)
        with pytest.raises(RuntimeError, match="cannot take 1"):
            feed.emit(1)
        assert good.elements == [1, 2]

    @pytest.mark.parametrize("end", ["complete", "error"])
    def test_at_the_end_too(self, feed: Feed, end: str) -> None:
        shared = ops.share_latest()(feed.observable)
        shared.subscribe(None, refuse, lambda: refuse("the end"))
        good = Recorder().to(shared)
        with pytest.raises(RuntimeError, match="cannot take"):
            feed.live.on_completed() if end == "complete" else feed.live.on_error(ValueError("x"))
        assert good.completed or str(good.error) == "x"
        assert feed.open == 0

    def test_one_that_raises_at_the_newest_is_out_and_the_others_are_not(self, feed: Feed) -> None:
        operator = ops.share_latest()
        shared = operator(feed.observable)
        good = Recorder().to(shared)
        feed.emit(1)
        bad = Recorder(lambda n: (feed.emit(2), refuse(n))).to(shared)  # pyright: ignore[reportArgumentType]
        assert str(bad.error) == "cannot take 1"
        assert (good.elements, operator.stats.subscribers) == ([1, 2], 1)
        good.subscription.dispose()
        assert feed.open == 0


class TestKeys:
    def test_who_comes_late_gets_the_newest_of_each_in_their_order(self, feed: Feed) -> None:
        operator = ops.share_latest(key="symbol")
        shared = operator(feed.observable)
        first = Recorder().to(shared)
        quotes = [Quote(symbol, T0, seq=seq) for seq, symbol in enumerate("ABCA")]
        feed.emit(*quotes)
        late = Recorder().to(shared)
        feed.emit(quotes[1])
        assert first.elements == [*quotes, quotes[1]]
        assert late.elements == [*quotes[1:], quotes[1]]
        assert operator.stats == (5, 2, 3, 0)

    def test_the_one_that_was_silent_for_longest_is_forgotten(self, feed: Feed) -> None:
        operator = ops.share_latest(key=lambda n: n // 10, capacity=2)
        shared = operator(feed.observable)
        Recorder().to(shared)
        feed.emit(10, 20, 11, 30, 31)
        assert Recorder().to(shared).elements == [11, 31]
        assert operator.stats == (5, 2, 2, 1)

    def test_a_raising_key_ends_it_for_all(self, feed: Feed) -> None:
        shared = ops.share_latest(key="symbol")(feed.observable)
        both = [Recorder().to(shared) for _ in range(2)]
        feed.emit(tick())
        feed.emit(3)
        assert [str(got.error) for got in both] == ["'int' object has no attribute 'symbol'"] * 2
        assert feed.open == 0

    @pytest.mark.parametrize(
        ("make", "error", "text"),
        [
            (lambda: ops.share_latest(capacity=0), ValueError, "capacity must be at least 1, got 0"),
            (lambda: ops.share_latest(key=3), TypeError, "key must be the name of a field, or a callable, got int"),  # pyright: ignore
            (lambda: ops.share_latest(key=""), ValueError, "key must be the name of a field, or a callable, got ''"),
        ],
    )
    def test_refuses_bad_arguments(self, make: Callable[[], Any], error: type[Exception], text: str) -> None:
        with pytest.raises(error) as caught:
            make()
        assert str(caught.value) == text


def test_frames_are_elements_like_any(feed: Feed) -> None:
    shared = ops.share_latest()(feed.observable)
    Recorder().to(shared)
    frames = [frame([tick(n)]) for n in range(2)]
    feed.emit(*frames)
    assert Recorder().to(shared).elements == frames[1:]


def test_each_source_has_connections_of_its_own_and_the_first_scheduler_reaches_it() -> None:
    found: list[Any] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        return Disposable()

    operator, scheduler = ops.share_latest(), VirtualClock().scheduler
    other: Subject[Any] = Subject()
    shared, own = operator(Observable(note)), operator(other)
    Recorder().to(shared, scheduler)
    Recorder().to(shared)
    got = Recorder().to(own)
    other.on_next(1)
    assert found == [scheduler]
    assert Recorder().to(shared).elements == []
    assert (got.elements, operator.stats.received) == ([1], 1)


class Model:
    """What should happen, said the plain way: lists, and no sharing."""

    def __init__(self) -> None:
        self.inside: list[list[Any]] = []
        self.newest: dict[int, int] = {}

    def emit(self, n: int) -> None:
        if self.inside:
            self.newest.pop(n % 3, None)
            self.newest[n % 3] = n
            for log in self.inside:
                log.append(n)

    def end(self, text: str) -> None:
        for log in self.inside:
            log.append(text)
        self.inside, self.newest = [], {}

    def join(self, log: list[Any], *, keyed: bool) -> None:
        log += list(self.newest.values())[0 if keyed else -1 :]
        self.inside.append(log)

    def leave(self, log: list[Any]) -> None:
        self.inside = [other for other in self.inside if other is not log]
        if not self.inside:
            self.newest = {}


STEPS = st.lists(st.sampled_from(["emit", "emit", "join", "leave", "error", "complete"]), max_size=40)


@given(STEPS, st.booleans(), st.randoms(use_true_random=False))
def test_any_coming_and_going_is_as_said_the_plain_way(steps: list[str], keyed: bool, random: Any) -> None:
    feed, model = Feed(), Model()
    shared = (ops.share_latest(key=lambda n: n % 3) if keyed else ops.share_latest())(feed.observable)
    got: list[tuple[list[Any], list[Any], abc.DisposableBase]] = []
    for n, step in enumerate(steps):
        match step:
            case "emit" if feed.open:
                feed.emit(n)
                model.emit(n)
            case "error" if feed.open:
                feed.live.on_error(RuntimeError("x"))
                model.end("error")
            case "complete" if feed.open:
                feed.live.on_completed()
                model.end("end")
            case "join":
                log, wanted = list[Any](), list[Any]()
                model.join(wanted, keyed=keyed)
                add = log.append
                taken = shared.subscribe(add, lambda _, add=add: add("error"), lambda add=add: add("end"))
                got.append((log, wanted, taken))
            case "leave" if got:
                _, wanted, taken = random.choice(got)
                taken.dispose()
                model.leave(wanted)
            case _:
                pass
        assert feed.open == bool(model.inside)
        assert [log for log, _, _ in got] == [wanted for _, wanted, _ in got]
