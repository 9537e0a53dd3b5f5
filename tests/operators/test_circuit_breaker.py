"""`circuit_breaker`: attempts that are let through, the fallback in between, and that a healthy stream is left alone."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex as rx
import tenacity
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.breaker import Breaker
from rxfeed.clock import VirtualClock
from rxfeed.errors import CircuitOpen
from rxfeed.runs import Run, RunObservable, RunObserver
from rxfeed.times import SECOND
from tests.builders import Recorder, ticks


class Boom(Exception):
    pass


class Mine(Exception):
    """Does not count, where that is set."""


class Lines:
    """A source whose subscriptions are fed by hand, each by itself."""

    def __init__(self) -> None:
        self.all: list[Subject[Any]] = []
        self.source: Observable[Any] = Observable(self._run)

    def _run(self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.all.append(Subject())
        return self.all[-1].subscribe(observer)

    @property
    def newest(self) -> Subject[Any]:
        return self.all[-1]

    @property
    def live(self) -> int:
        return sum(bool(each.observers) for each in self.all)


class World:
    def __init__(self, **more: Any) -> None:
        self.clock = VirtualClock()
        given: dict[str, Any] = {"minimum_calls": 1, "open_wait": 10} | more
        self.breaker = Breaker("feed", clock=self.clock, **given)
        self.feed, self.spare = Lines(), Lines()

    def watch(self, *, fallback: bool = False, feed: Lines | None = None) -> Recorder:
        operator = ops.circuit_breaker(self.breaker, fallback=self.spare.source if fallback else None)
        return Recorder().to((feed or self.feed).source.pipe(operator))

    def at(self, seconds: float) -> None:
        self.clock.advance_to(round(seconds * SECOND))

    def open(self) -> None:
        """By somebody else."""
        self.breaker.attempt().failed(Boom())

    def over(self) -> bool:
        """Whether nothing is left."""
        return self.clock.next_due is None and not self.feed.live and not self.spare.live


def test_a_success_is_the_first_element_and_an_error_after_it_does_not_count() -> None:
    world = World()
    got = world.watch()
    world.feed.newest.on_next("a")
    assert world.breaker.metrics[2:5] == (1, 0, 0)
    world.feed.newest.on_error(Boom())
    assert world.breaker.metrics[2:5] == (1, 0, 0)
    assert (got.elements, type(got.error)) == (["a"], Boom)
    assert world.over()


def test_an_error_before_it_counts_and_is_passed_on() -> None:
    world = World(minimum_calls=2)
    error = Boom()
    for state in ("closed", "open"):
        got = world.watch()
        world.feed.newest.on_error(error)
        assert (got.error, world.breaker.state) == (error, state)
    got = world.watch()
    assert isinstance(got.error, CircuitOpen)
    assert (got.error.retry_after, got.error.last_error) == (10.0, error)
    assert len(world.feed.all) == 2, "it was not subscribed"
    assert world.over()


def test_completion_is_a_success() -> None:
    world = World()
    got = world.watch()
    world.feed.newest.on_completed()
    assert got.completed
    assert world.breaker.metrics[2:5] == (1, 0, 0)


def test_to_leave_before_is_nothing() -> None:
    world = World(healthy_after="5s")
    world.watch().subscription.dispose()
    assert world.breaker.metrics[2:5] == (0, 0, 0)
    assert world.over()


def test_health_without_an_element_is_a_success() -> None:
    world = World(healthy_after="5s")
    got = world.watch()
    world.at(4.9)
    assert world.breaker.metrics.calls == 0
    world.at(5)
    assert world.breaker.metrics[2:5] == (1, 0, 0)
    world.feed.newest.on_next("a")
    world.feed.newest.on_error(Boom())
    assert world.breaker.metrics[2:5] == (1, 0, 0)
    assert got.elements == ["a"]


def test_the_time_to_the_first_element_may_be_slow() -> None:
    world = World(slow_call="2s", slow_rate=1.0)
    world.watch()
    world.at(3)
    world.feed.newest.on_next("a")
    assert world.breaker.state == "open"


def test_half_open_closes_with_the_first_element() -> None:
    world = World()
    world.open()
    world.at(10)
    got = world.watch()
    assert world.breaker.state == "half_open"
    other = world.watch()
    assert isinstance(other.error, CircuitOpen), "the one permit is taken"
    world.feed.newest.on_next("a")
    assert world.breaker.state == "closed"
    assert got.elements == ["a"]
    assert world.clock.next_due is None


def test_half_open_ends_an_attempt_that_shows_nothing() -> None:
    world = World(half_open_wait="20s")
    world.open()
    world.at(10)
    got = world.watch()
    world.at(29.9)
    assert got.error is None
    world.at(30)
    assert isinstance(got.error, CircuitOpen)
    assert (got.error.retry_after, world.breaker.state) == (10.0, "open")
    assert world.over()


def test_an_attempt_that_was_let_through_by_a_closed_one_is_left_alone() -> None:
    world = World()
    got = world.watch()
    world.open()
    world.breaker.force_open()
    world.at(1_000)
    world.feed.newest.on_next("a")
    assert (got.elements, world.breaker.state) == (["a"], "forced_open")


def test_the_fallback_is_used_while_it_is_open_and_left_at_the_first_element() -> None:
    world = World()
    world.open()
    got = world.watch(fallback=True)
    world.spare.newest.on_next("old")
    assert (len(world.feed.all), world.clock.next_due) == (0, 10 * SECOND)
    world.at(10)
    assert (world.breaker.state, world.feed.live, world.spare.live) == ("half_open", 1, 1)
    world.spare.newest.on_next("older")
    world.feed.newest.on_next("new")
    assert (world.breaker.state, world.feed.live, world.spare.live) == ("closed", 1, 0)
    world.spare.newest.on_next("not heard")
    world.feed.newest.on_next("newer")
    assert got.elements == ["old", "older", "new", "newer"]
    assert world.clock.next_due is None
    assert len(world.breaker._listeners) == 0
    world.feed.newest.on_error(Boom())
    assert type(got.error) is Boom, "it is closed: an error of a stream that ran is the stream's"
    assert world.over()
    assert len(world.breaker._listeners) == 0


def test_the_failure_that_opens_it_goes_to_the_fallback_at_once() -> None:
    world = World()
    got = world.watch(fallback=True)
    world.feed.newest.on_error(Boom())
    assert (world.feed.live, world.spare.live, got.error) == (0, 1, None)
    # It fails again beside the fallback, which goes on.
    world.at(10)
    world.feed.newest.on_error(Boom())
    assert (world.breaker.state, world.feed.live, world.spare.live, got.error) == ("open", 0, 1, None)
    world.at(20)
    world.feed.newest.on_next("new")
    assert got.elements == ["new"]
    assert len(world.spare.all) == 1, "one subscription of the fallback all the time"


def test_so_does_the_end_of_a_healthy_stream_while_it_is_open() -> None:
    world = World()
    got = world.watch(fallback=True)
    world.feed.newest.on_next("a")
    world.open()
    world.feed.newest.on_error(Boom())
    assert (world.spare.live, got.error) == (1, None)


def test_an_attempt_that_hangs_beside_the_fallback_is_ended_and_tried_again() -> None:
    world = World(half_open_wait="20s")
    world.open()
    world.watch(fallback=True)
    world.at(29.9)
    assert world.feed.live == 1
    world.at(30)
    assert (world.feed.live, world.spare.live, world.breaker.state) == (0, 1, "open")
    world.at(40)
    assert (world.feed.live, len(world.feed.all), world.breaker.state) == (1, 2, "half_open")


def test_a_closed_breaker_s_error_is_not_the_fallback_s_business() -> None:
    world = World(minimum_calls=5)
    got = world.watch(fallback=True)
    world.feed.newest.on_error(Boom())
    assert type(got.error) is Boom
    assert world.over()


def test_an_error_that_does_not_count_is_passed_on_even_beside_the_fallback() -> None:
    world = World(counts=Boom)
    world.open()
    got = world.watch(fallback=True)
    world.at(10)
    world.feed.newest.on_error(Mine())
    assert type(got.error) is Mine
    assert world.over()
    assert (world.breaker.state, world.breaker.metrics.permits) == ("half_open", 1)


def test_many_permits_are_not_used_up_in_one_turn() -> None:
    world = World(permitted_calls=100, failure_rate=1.0)
    tried: list[float] = []

    def fail(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        tried.append(world.clock.now / SECOND)
        observer.on_error(Boom())
        return Disposable()

    world.open()
    got = Recorder().to(ops.circuit_breaker(world.breaker, fallback=rx.never())(Observable(fail)))
    world.at(13.5)
    assert tried == [10.0, 11.0, 12.0, 13.0]
    got.subscription.dispose()
    assert world.over()


def test_who_waits_by_hand_is_woken_by_hand() -> None:
    world = World()
    world.breaker.force_open()
    got = world.watch(fallback=True)
    assert world.clock.next_due is None
    world.at(1_000)
    world.breaker.reset()
    assert len(world.feed.all) == 0, "not inside somebody else's call"
    world.at(1_000)
    assert world.feed.live == 1
    world.feed.newest.on_next("a")
    assert (got.elements, world.spare.live) == (["a"], 0)


def test_what_one_stream_learns_holds_for_all() -> None:
    world = World()
    world.open()
    streams = [world.watch(fallback=True) for _ in range(5)]
    world.at(10)
    assert (world.feed.live, world.spare.live) == (1, 5), "one permit, one attempt"
    world.at(12)
    world.feed.newest.on_next("first")
    assert world.spare.live == 4
    world.at(12)
    assert (world.feed.live, world.spare.live) == (5, 4)
    for line in world.feed.all[1:]:
        line.on_next("x")
    assert [got.elements for got in streams] == [["first"], *[["x"]] * 4]
    for got in streams:
        got.subscription.dispose()
    assert world.over()
    assert len(world.breaker._listeners) == 0


@pytest.mark.parametrize("when", ["open", "half_open", "live"])
def test_to_leave_leaves_nothing(when: str) -> None:
    world = World(healthy_after="5s")
    world.open()
    got = world.watch(fallback=True)
    if when != "open":
        world.at(10)
    if when == "live":
        world.feed.newest.on_next("a")
    got.subscription.dispose()
    assert world.over()
    assert len(world.breaker._listeners) == 0
    if when == "half_open":
        assert (world.breaker.metrics.permits, world.breaker.due) == (1, None), "the permit is given back"


def test_the_fallback_s_error_is_the_stream_s_and_its_completion_is_silence() -> None:
    world = World()
    world.open()
    got = world.watch(fallback=True)
    world.spare.newest.on_error(Mine())
    assert type(got.error) is Mine
    assert world.over()
    got = world.watch(fallback=True)
    world.spare.newest.on_next("old")
    world.spare.newest.on_completed()
    assert (got.completed, world.clock.next_due) == (False, 10 * SECOND)
    world.at(10)
    world.feed.newest.on_completed()
    assert (got.elements, got.completed) == (["old"], True)
    assert world.over()


@pytest.mark.parametrize("change", ["half_open", "closed", "open"])
def test_a_listener_may_dispose_of_the_stream_that_it_hears_of(change: str) -> None:
    world, got = World(), Recorder()
    world.open()
    # As a stage of ours subscribes, with nothing in front of the observer that would keep what comes too late from it.
    built = ops.circuit_breaker(world.breaker, fallback=world.spare.source)(world.feed.source)
    subscription = built._subscribe_core(got, None)
    world.breaker.listen(lambda event: event.state == change and subscription.dispose())
    world.at(10)
    if world.feed.all:
        world.feed.newest.on_error(Boom()) if change == "open" else world.feed.newest.on_next("a")
    assert world.over()
    assert len(world.feed.all) == (change != "half_open")
    assert (got.elements, got.error) == ([], None)
    if change == "half_open":
        assert world.breaker.metrics.permits == 1, "given back"


def test_what_happens_to_the_breaker_meanwhile_is_not_a_running_attempt_s_business() -> None:
    world = World(half_open_wait="20s")
    world.open()
    got = world.watch(fallback=True)
    world.at(10)
    world.breaker.reset()
    world.at(10)
    assert len(world.feed.all) == 1, "no other beside it"
    world.at(1_000)
    assert len(world.feed.all) == 1
    assert (world.feed.live, world.spare.live) == (1, 1), "closed, it may take as long as it likes"
    world.feed.newest.on_next("a")
    assert (got.elements, world.spare.live) == (["a"], 0)


def test_with_retry_behind_it() -> None:
    """The feed is down for a minute: the breaker keeps it from being asked, and retry waits for as long as that says."""
    world = World(minimum_calls=3, open_wait=tenacity.wait_exponential(multiplier=20, max=60))
    tried: list[float] = []

    def connect(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        tried.append(world.clock.now / SECOND)
        if world.clock.now < 60 * SECOND:
            observer.on_error(Boom())
        else:
            observer.on_next("up")
        return Disposable()

    told: list[float] = []
    retry = ops.retry(wait=1, told=lambda number, error, wait: told.append(wait), scheduler=world.clock)
    got = Recorder().to(Observable(connect).pipe(ops.circuit_breaker(world.breaker), retry))
    world.at(1_000)
    assert tried == [0.0, 1.0, 2.0, 22.0, 62.0]
    assert told == [1.0, 1.0, 1.0, 19.0, 1.0, 39.0]
    assert got.elements == ["up"]


def test_a_breaker_of_another_loop_is_the_stream_s_error() -> None:
    import asyncio

    breaker = Breaker("feed")
    other = asyncio.new_event_loop()

    async def use() -> Recorder:
        return Recorder().to(rx.of(1).pipe(ops.circuit_breaker(breaker)))

    try:
        assert other.run_until_complete(use()).error is None
        got = asyncio.run(use())
    finally:
        other.close()
    assert "breaker 'feed' is another asyncio loop's or thread's already" in str(got.error)


class Runs(RunObserver):
    def __init__(self) -> None:
        self.runs: list[Any] = []
        super().__init__(self.runs.append, self.runs.append, self.runs.append, lambda: self.runs.append("|"))


def test_after_the_first_element_there_is_nothing_in_between() -> None:
    """Runs pass as they are, and elements reach the next observer's own function."""
    held: list[Any] = []

    def run(observer: Any, scheduler: Any = None) -> abc.DisposableBase:
        held.append(observer)
        return Disposable()

    source: RunObservable[Any] = RunObservable(run)  # type: ignore
    world = World()
    taker = Runs()
    taker.to(ops.circuit_breaker(world.breaker)(source), None)
    first: Run = ticks((0, 1), (1, 2))
    held[0].on_run(first)
    assert taker.runs[0] is first
    assert held[0]._on_next == taker.on_next
    assert held[0]._on_run == taker.on_run
    assert world.breaker.metrics.calls == 1


@pytest.mark.parametrize("run", [False, True])
def test_who_leaves_at_a_first_element_that_came_from_one_of_ours_does_not_get_it(run: bool) -> None:
    held: list[Any] = []
    source: RunObservable[Any] = RunObservable(lambda observer, scheduler=None: held.append(observer) or Disposable())  # type: ignore
    world, got = World(), Recorder()
    world.open()
    world.at(10)
    subscription = ops.circuit_breaker(world.breaker)(source)._subscribe_core(got, None)
    world.breaker.listen(lambda event: subscription.dispose())
    (first,) = ticks((0, 1))
    held[0].on_run([first]) if run else held[0].on_next(first)
    assert (world.breaker.state, got.elements) == ("closed", [])
