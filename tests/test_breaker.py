"""`Breaker`: what opens and closes it, what it says, and what it refuses."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import tenacity
from loguru import logger

from rxfeed.attempts import Always, AttemptPolicy
from rxfeed.breaker import Breaker, BreakerChanged
from rxfeed.clock import VirtualClock
from rxfeed.errors import CircuitOpen, LoginRefused, Unreachable
from rxfeed.retrying import backoff
from rxfeed.times import SECOND
from tests.builders import T0


@pytest.fixture
def logged() -> Iterator[list[str]]:
    said: list[str] = []
    number = logger.add(lambda message: said.append(str(message.record["message"])))
    yield said
    logger.remove(number)


class Boom(Exception):
    pass


class Mine(Exception):
    """Does not count, where that is set."""


class World:
    def __init__(self, **more: Any) -> None:
        self.clock = VirtualClock(T0)
        self.breaker = Breaker("feed", clock=self.clock, **more)
        self.told: list[BreakerChanged] = []
        self.breaker.listen(self.told.append)

    def later(self, seconds: float) -> None:
        self.clock.advance(round(seconds * SECOND))

    def fail(self, times: int = 1, error: Exception | None = None) -> None:
        for _ in range(times):
            self.breaker.attempt().failed(error or Boom())

    def well(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.attempt().succeeded()

    @property
    def story(self) -> list[str]:
        return [f"{event.was} -> {event.state}" for event in self.told]


def test_it_opens_when_too_many_of_enough_have_failed() -> None:
    world = World(window=10, failure_rate=0.5, minimum_calls=4)
    world.fail(2)
    world.well(2)
    assert world.breaker.state == "closed", "half have failed, but the last one that came went well"
    world.fail(1)
    assert world.breaker.state == "open"
    assert world.told[0].reason == "3 of 5 failed, allowed is less than 50%"
    assert str(world.told[0]) == "breaker 'feed' closed -> open: 3 of 5 failed, allowed is less than 50%"
    assert (world.told[0].time, world.told[0].retry_after) == (T0, 30.0)


def test_what_fell_out_of_the_window_is_forgotten() -> None:
    world = World(window=4, failure_rate=0.75, minimum_calls=4)
    world.fail(2)
    world.well(3)
    world.fail(2)
    assert (world.breaker.state, world.breaker.metrics[2:5]) == ("closed", (4, 2, 0))


def test_a_time_window_forgets_by_the_clock() -> None:
    world = World(window="10s", minimum_calls=3)
    world.fail(2)
    world.later(9.9)
    assert world.breaker.metrics.calls == 2
    world.later(0.1)
    assert world.breaker.metrics.calls == 0
    world.fail(2)
    world.later(3_600)
    world.fail(2)
    assert world.breaker.state == "closed"
    world.fail(1)
    assert world.breaker.state == "open"


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    world = World(window="10s", minimum_calls=3)
    world.fail(1)
    world.clock._now -= 5 * SECOND
    world.fail(1)
    world.clock._now += 5 * SECOND
    assert world.breaker.metrics.calls == 2
    world.clock._now -= 3_600 * SECOND
    world.fail(1)
    assert world.breaker.state == "open"


def test_slow_is_a_first_element_that_takes_long_and_a_late_failure() -> None:
    world = World(window=4, minimum_calls=2, slow_call="2s", slow_rate=0.5)
    attempts = [world.breaker.attempt() for _ in range(4)]
    world.later(2)
    attempts[0].succeeded()
    assert world.breaker.metrics.slow == 0
    world.later(0.001)
    attempts[1].succeeded()
    assert world.breaker.state == "open"
    assert world.told[0].reason == "1 of 2 took longer than 2 s, allowed is less than 50%"
    world = World(slow_call="2s", failure_rate=1.0)
    attempt = world.breaker.attempt()
    world.later(3)
    attempt.failed(Boom())
    assert world.breaker.metrics[2:5] == (1, 1, 1)
    assert (world.breaker.metrics.failure_rate, world.breaker.metrics.slow_rate) == (1.0, 1.0)


def test_slow_ones_that_fell_out_of_the_window_are_forgotten() -> None:
    world = World(window=2, minimum_calls=2, slow_call="2s")
    attempt = world.breaker.attempt()
    world.later(3)
    attempt.succeeded()
    world.well(2)
    assert world.breaker.metrics[2:5] == (2, 0, 0)


def test_half_open_does_not_close_while_the_rest_could_be_slow() -> None:
    world = World(minimum_calls=1, open_wait=1, permitted_calls=4, slow_call="2s", slow_rate=0.5, failure_rate=1.0)
    world.fail(1)
    world.later(1)
    attempts = [world.breaker.attempt() for _ in range(4)]
    attempts[0].succeeded()
    assert world.breaker.state == "half_open"
    world.later(3)
    attempts[1].succeeded()
    attempts[2].succeeded()
    assert world.breaker.state == "open"


def test_open_refuses_with_all_that_is_known() -> None:
    world = World(minimum_calls=1, open_wait="20s")
    error = Unreachable("no route")
    world.fail(1, error)
    world.later(5)
    with pytest.raises(CircuitOpen) as caught:
        world.breaker.attempt()
    refused = caught.value
    assert (refused.name, refused.retry_after, refused.last_error) == ("feed", 15.0, error)
    assert str(refused) == "circuit 'feed' is open for 15 s more; its last error was Unreachable: no route"
    assert (world.breaker.delay(), world.breaker.metrics.refused, world.breaker.due) == (15.0, 1, T0 + 20 * SECOND)
    world.breaker.force_open()
    with pytest.raises(CircuitOpen, match="circuit 'feed' is open until it is closed by hand"):
        world.breaker.attempt()


def test_the_text_of_a_foreign_error_is_not_in_it() -> None:
    world = World(minimum_calls=1)
    world.fail(1, Boom("wss://host/?access_token=abc"))
    with pytest.raises(CircuitOpen, match=r"its last error was Boom$"):
        world.breaker.attempt()
    assert "abc" not in repr(world.breaker) + str(world.told) + str(world.breaker.metrics)


def test_half_open_closes_with_the_first_success_of_one_permit() -> None:
    world = World(minimum_calls=1, open_wait="20s")
    world.fail(1)
    world.later(20)
    assert world.breaker.state == "open", "nobody has tried yet"
    attempt = world.breaker.attempt()
    assert (world.breaker.state, world.breaker.metrics.permits) == ("half_open", 0)
    assert world.breaker.delay() == 1.0, "who has the permit may be back at any time"
    attempt.succeeded()
    assert world.story == ["closed -> open", "open -> half_open", "half_open -> closed"]
    assert [event.reason for event in world.told[1:]] == ["its wait is over: 1 may try", "1 of 1 permitted attempts went well"]
    assert world.breaker.last_error is None


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("w", "half_open"), ("ww", "closed"), ("f", "half_open"), ("ff", "open"), ("wf", "half_open"), ("wfw", "closed"),
        ("fwf", "open"),
    ],
)  # fmt: skip
def test_half_open_is_left_as_soon_as_the_rest_cannot_change_it(outcomes: str, state: str) -> None:
    world = World(minimum_calls=1, open_wait=1, permitted_calls=3)
    world.fail(1)
    world.later(1)
    for outcome in outcomes:
        (world.well if outcome == "w" else world.fail)(1)
    assert world.breaker.state == state


@pytest.mark.parametrize(("outcomes", "state"), [("", "open"), ("w", "closed"), ("f", "open")])
def test_what_is_not_back_in_time_has_failed(outcomes: str, state: str) -> None:
    """One of three permits is taken by somebody who hangs; after the longest wait it is decided by what there is."""
    world = World(minimum_calls=1, open_wait=10, permitted_calls=3, half_open_wait=60, failure_rate=0.6)
    world.fail(1)
    world.later(10)
    hangs = world.breaker.attempt()
    for outcome in outcomes:
        (world.well if outcome == "w" else world.fail)(1)
    assert world.breaker.due == T0 + 70 * SECOND
    world.later(60)
    assert world.breaker.state == state
    hangs.succeeded()
    hangs.failed(Boom())
    assert world.breaker.state == state, "what began before says nothing of now"
    assert world.breaker.metrics.since == T0 + 70 * SECOND


def test_a_permit_that_was_abandoned_is_given_again() -> None:
    world = World(minimum_calls=1, open_wait=10, half_open_wait=60, counts=Boom)
    world.fail(1)
    world.later(10)
    for end in (lambda attempt: attempt.abandoned(), lambda attempt: attempt.failed(Mine())):
        end(world.breaker.attempt())
        world.later(600)  # nobody tries: that is no failure
        assert (world.breaker.state, world.breaker.delay(), world.breaker.due) == ("half_open", 0.0, None)
    world.well(1)
    assert world.breaker.state == "closed"


def test_the_open_wait_grows_with_opens_in_a_row_and_begins_anew_when_it_was_closed() -> None:
    world = World(minimum_calls=1, open_wait=tenacity.wait_exponential(multiplier=10, max=35))
    waits: list[float] = []
    for _ in range(4):
        world.fail(1)
        waits.append(world.breaker.delay())
        world.later(waits[-1])
    assert (waits, world.breaker.metrics.consecutive_opens) == ([10.0, 20.0, 35.0, 35.0], 4)
    world.well(1)
    world.fail(1)
    assert world.breaker.delay() == 10.0
    assert (world.breaker.metrics.opens, world.breaker.metrics.consecutive_opens) == (5, 1)


def test_chance_is_handed_in() -> None:
    def wait(seed: int, **more: Any) -> float:
        world = World(minimum_calls=1, **more or {"open_wait": 20, "random": Random(seed)})
        world.fail(1)
        return world.breaker.delay()

    assert wait(1) == wait(1) != wait(2)
    assert all(10 <= wait(seed) <= 20 for seed in range(50))
    assert wait(1, open_wait=backoff(Random(3))) == wait(1, open_wait=backoff(Random(3)))


@pytest.mark.parametrize("wrong", [lambda _: 1 / 0, lambda _: -1, lambda _: math.inf])
def test_a_wait_that_cannot_be_had_is_logged_and_is_half_a_minute(wrong: Any, logged: list[str]) -> None:
    world = World(minimum_calls=1, open_wait=wrong)
    world.fail(1)
    assert world.breaker.delay() == 30.0
    assert logged[0].startswith("breaker 'feed' raised in open_wait; it goes on\n")


def test_which_errors_count(logged: list[str]) -> None:
    for counts in (Unreachable, (Unreachable, OSError), lambda error: isinstance(error, Unreachable)):
        world = World(minimum_calls=1, counts=counts)
        world.fail(9, LoginRefused("x"))
        assert world.breaker.metrics.calls == 0
        world.fail(1, Unreachable("x"))
        assert world.breaker.state == "open"
    world = World(minimum_calls=1, counts=lambda error: 1 / 0)
    world.fail(1)
    assert world.breaker.state == "open"
    assert logged[0].startswith("breaker 'feed' raised in counts; it goes on\n")


def test_by_hand() -> None:
    world = World(minimum_calls=1)
    before = world.breaker.attempt()
    world.breaker.force_open()
    assert (world.breaker.delay(), world.breaker.due) == (math.inf, None)
    world.breaker.disable()
    world.fail(100)
    assert (world.breaker.delay(), world.breaker.metrics.calls) == (0.0, 0)
    world.breaker.reset()
    before.failed(Boom())
    assert (world.breaker.state, world.breaker.metrics.calls) == ("closed", 0)
    world.breaker.reset()
    assert world.story == ["closed -> forced_open", "forced_open -> disabled", "disabled -> closed"]
    during = world.breaker.attempt()
    world.breaker.reset()
    during.failed(Boom())
    assert world.breaker.state == "closed"


def test_an_attempt_ends_once() -> None:
    world = World(minimum_calls=2)
    attempt = world.breaker.attempt()
    for _ in range(9):
        attempt.failed(Boom())
    attempt.succeeded()
    assert world.breaker.metrics[2:5] == (1, 1, 0)


def test_a_listener_that_raises_harms_nobody(logged: list[str]) -> None:
    world = World(minimum_calls=1)
    heard: list[str] = []

    def broken(event: BreakerChanged) -> None:
        raise RuntimeError("mine")

    world.breaker.listen(broken)
    world.breaker.listen(lambda event: heard.append(event.state))
    world.fail(1)
    assert heard == ["open"]
    assert logged[0].startswith("breaker 'feed' raised in listener; it goes on\n")


def test_a_listener_that_comes_back_is_heard_behind_all_others() -> None:
    world = World(minimum_calls=1)
    stories: tuple[list[str], list[str]] = ([], [])
    world.breaker.listen(lambda event: (stories[0].append(event.state), event.state == "open" and world.breaker.reset()))
    world.breaker.listen(lambda event: stories[1].append(event.state))
    world.fail(1)
    assert world.breaker.state == "closed", "it holds at once"
    assert stories == (["open", "closed"], ["open", "closed"])
    world.breaker.force_open()
    world.breaker.reset()
    world.fail(1)
    world.later(30)
    attempt = world.breaker.attempt()
    attempt.failed(Boom())
    assert stories[0] == stories[1]


def test_a_listener_that_resets_inside_attempt_leaves_that_attempt_of_no_account() -> None:
    world = World(minimum_calls=1)
    world.fail(1)
    world.later(30)
    world.breaker.listen(lambda event: event.state == "half_open" and world.breaker.reset())
    attempt = world.breaker.attempt()
    attempt.failed(Boom())
    assert (world.breaker.state, world.breaker.metrics.calls) == ("closed", 0)


def test_listeners_that_cause_each_other_for_ever_are_cut_off(logged: list[str]) -> None:
    world = World(minimum_calls=1)
    world.breaker.listen(lambda event: world.breaker.force_open() if event.state == "closed" else world.breaker.reset())
    world.fail(1)
    assert len(world.told) == 10_000
    assert "listeners cause each other: 10,000 values in one turn, the rest is left out" in logged[0]
    world.told.clear()
    world.breaker.disable()
    assert world.told[0].state == "disabled", "and nothing of before is told later"


def test_who_leaves_hears_no_more() -> None:
    world = World()
    heard: list[str] = []
    leave = world.breaker.listen(lambda event: heard.append("first"))
    world.breaker.listen(lambda event: (heard.append("second"), third()))
    third = world.breaker.listen(lambda event: heard.append("third"))
    leave()
    leave()
    world.breaker.force_open()
    assert heard == ["second"]


def test_events_are_an_observable_that_holds_nothing() -> None:
    world = World()
    seen: list[str] = []
    subscription = world.breaker.events.subscribe(lambda event: seen.append(event.state))
    world.breaker.force_open()
    subscription.dispose()
    world.breaker.reset()
    late: list[Any] = []
    world.breaker.events.subscribe(late.append)
    assert (seen, late) == (["forced_open"], [])


def test_it_is_one_loop_s() -> None:
    breaker = Breaker("feed")
    loops = [asyncio.new_event_loop() for _ in range(2)]

    async def ask() -> float:
        return breaker.delay()

    try:
        breaker.delay()  # before any loop runs, it is nobody's
        loops[0].run_until_complete(ask())
        for use in (ask, _attempt(breaker), _metrics(breaker)):
            with pytest.raises(RuntimeError, match="breaker 'feed' is another asyncio loop's or thread's already"):
                loops[1].run_until_complete(use())
        loops[0].run_until_complete(ask())
        breaker.delay()
        loops[0].close()  # such as asyncio.run, one after the other
        loops[1].run_until_complete(ask())
    finally:
        for loop in loops:
            loop.close()


def _attempt(breaker: Breaker) -> Any:
    async def use() -> None:
        breaker.attempt()

    return use


def _metrics(breaker: Breaker) -> Any:
    async def use() -> None:
        _ = breaker.metrics

    return use


def test_and_one_thread_s() -> None:
    breaker = Breaker("feed")
    breaker.delay()
    raised: list[BaseException] = []

    def use() -> None:
        try:
            breaker.attempt()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert len(raised) == 1


def test_it_is_an_attempt_policy() -> None:
    for policy in (Always(), Breaker("feed", clock=VirtualClock())):
        asked: AttemptPolicy = policy
        assert asked.delay() == 0.0
        attempt = asked.attempt()
        attempt.succeeded()


def test_calls_without_asking_count_alike() -> None:
    for window in (10, "10s"):
        world = World(window=window, minimum_calls=4)
        assert world.breaker.calm
        for _ in range(3):
            world.breaker.went_well()
        world.fail(2)
        assert (world.breaker.state, world.breaker.metrics[2:5]) == ("closed", (5, 2, 0))
        world.fail(1)
        assert (world.breaker.state, world.breaker.calm) == ("open", False)
        world.breaker.went_well()
        assert world.breaker.metrics[2:5] == (6, 3, 0)
    assert not World(slow_call=1).breaker.calm


def test_metrics_are_frozen_and_it_says_what_it_is() -> None:
    world = World()
    with pytest.raises(AttributeError):
        world.breaker.metrics.state = "open"  # pyright: ignore[reportAttributeAccessIssue]
    assert (world.breaker.metrics.failure_rate, world.breaker.metrics.slow_rate) == (None, None)
    assert repr(world.breaker) == "Breaker('feed', closed)"


async def _awaits(error: Exception) -> bool:
    return True


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"name": ""}, "name must be text, and not empty, got ''"),
        ({"name": 3}, "name must be text, and not empty, got 3"),
        ({"window": 0}, "window must be from 1 to 1,000,000, got 0"),
        ({"window": 10_000_000}, "window must be from 1 to 1,000,000, got 10000000"),
        ({"window": 60.0}, 'window must be a number of calls, or a time such as "60s" or a timedelta; got 60.0'),
        ({"window": "0s"}, "window must be calls from 1 to 1,000,000, or a time from 20ns to 7d; got '0s'"),
        ({"window": timedelta(days=8)}, "or a time from 20ns to 7d; got datetime.timedelta"),
        ({"window": "x"}, "window must look like"),
        ({"window": True}, "window must be a whole number from 1 to 1,000,000, got True"),
        ({"window": 4}, "minimum_calls must be at most the window's 4 calls, or it never opens; got 5"),
        ({"minimum_calls": 0}, "minimum_calls must be from 1 to 1,000,000, got 0"),
        ({"minimum_calls": 2.5}, "minimum_calls must be a whole number from 1 to 1,000,000, got 2.5"),
        ({"failure_rate": 50}, r"failure_rate must be more than 0 and at most 1 \(0.5 is half of the calls\), got 50"),
        ({"failure_rate": 0}, "failure_rate must be more than 0 and at most 1"),
        ({"failure_rate": math.nan}, "failure_rate must be more than 0 and at most 1 .*, got nan"),
        ({"failure_rate": "50%"}, "failure_rate must be a number more than 0 and at most 1, got '50%'"),
        ({"slow_call": 0}, "slow_call must be more than 0, got 0"),
        ({"slow_rate": 0.5}, "slow_rate needs slow_call, the time from which a call is slow; got slow_rate=0.5 alone"),
        ({"slow_call": 1, "slow_rate": 2}, "slow_rate must be more than 0 and at most 1"),
        ({"open_wait": 0}, "open_wait must be more than 0, got 0"),
        ({"open_wait": -3}, "open_wait must be from 0 to 292 years, got -3"),
        ({"open_wait": _awaits}, "open_wait must not be async"),
        ({"open_wait": tenacity.wait_none(), "random": Random(1)}, "random is for an open_wait that is a duration"),
        ({"permitted_calls": 0}, "permitted_calls must be from 1 to 1,000,000, got 0"),
        ({"half_open_wait": 0}, "half_open_wait must be more than 0, got 0"),
        ({"healthy_after": 0}, "healthy_after must be more than 0, got 0"),
        ({"healthy_after": 60}, r"healthy_after must be less than half_open_wait \('60s'\), .* got 60"),
        ({"counts": 3}, "counts must be a type of errors, several in a tuple, or a function; got 3"),
        ({"counts": ()}, "counts must be a type of errors"),
        ({"counts": (OSError, 3)}, "counts must be a type of errors"),
        ({"counts": KeyboardInterrupt}, "counts must be a type of errors"),
        ({"counts": _awaits}, "counts must be a type of errors"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused(given: Any, text: str) -> None:
    made: Any = Breaker
    with pytest.raises((ValueError, TypeError), match=text):
        made(**({"name": "feed"} | given))
