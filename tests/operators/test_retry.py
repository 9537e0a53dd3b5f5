"""`retry` and `restart`: when they try again, by whose clock, and how they end."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import reactivex as rx
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.errors import CircuitOpen, LoginRefused, RetriesExhausted, TooManyRequests, Unreachable
from rxfeed.retrying import Retries, Tries, allowed, backoff
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from tests.builders import Recorder, tick


class Boom(Exception):
    pass


class Trials:
    """A source that is subscribed to again and again: each time the next of `scripts` is run.

    A script is a list of `(seconds after the subscription, element or error or None)`; None is completion. At 0 it is done
    inside `subscribe`.
    """

    def __init__(self, *scripts: Sequence[tuple[float, Any]], clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.begun: list[float] = []
        self.released: list[float] = []
        self.scripts = scripts
        self.deepest = 0
        self.source: Observable[Any] = Observable(self._run)

    def _run(self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        script = self.scripts[min(len(self.begun), len(self.scripts) - 1)]
        self.begun.append(self.clock.now / SECOND)
        if len(self.begun) % 1_000 == 0:
            self.deepest = max(self.deepest, len(inspect.stack(0)))
        timers = [
            self.clock.call_at(self.clock.now + round(at * SECOND), lambda step=step: self._do(observer, step))
            for at, step in script
            if at
        ]
        for at, step in script:
            if not at:
                self._do(observer, step)

        def release() -> None:
            self.released.append(self.clock.now / SECOND)
            for timer in timers:
                timer.cancel()

        return Disposable(release)

    def _do(self, observer: abc.ObserverBase[Any], step: Any) -> None:
        if step is None:
            observer.on_completed()
        elif isinstance(step, Exception):
            observer.on_error(step)
        else:
            observer.on_next(step)

    def watch(self, operator: Callable[[Observable[Any]], Observable[Any]]) -> Recorder:
        return Recorder().to(operator(self.source), self.clock.scheduler)

    def run(self, operator: Callable[[Observable[Any]], Observable[Any]], until: float = 1e6) -> Recorder:
        got = self.watch(operator)
        self.clock.advance_to(round(until * SECOND))
        return got


def quiet(*_: object) -> None:
    pass


def test_it_waits_as_the_policy_says_on_the_clock() -> None:
    told: list[Any] = []
    trials = Trials([(1, Boom("a"))], [(0, Boom("b"))], [(2, "x"), (3, None)])
    got = trials.run(ops.retry(wait=tenacity.wait_incrementing(10, 100), told=lambda *what: told.append(what)))
    assert trials.begun == [0.0, 11.0, 121.0]
    assert trials.released == [1.0, 11.0, 124.0]
    assert [(number, str(error), wait) for number, error, wait in told] == [(1, "a", 10.0), (2, "b", 110.0)]
    assert (got.elements, got.completed) == (["x"], True)


def test_a_duration_will_do_for_a_policy_and_the_default_doubles() -> None:
    trials = Trials([(0, Boom())])
    trials.run(ops.retry(wait="250ms", told=quiet), until=1.0)
    assert trials.begun == [0.0, 0.25, 0.5, 0.75, 1.0]
    trials = Trials([(0, Boom())])
    trials.run(ops.retry(told=quiet), until=100)
    assert trials.begun == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]


def test_the_error_that_ends_it_says_what_was_made_and_what_is_allowed() -> None:
    last = Unreachable("no route")
    trials = Trials([(0, Boom())], [(0, Boom())], [(0, last)])
    got = trials.run(ops.retry(wait=2, stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(60), told=quiet))
    error = got.error
    assert isinstance(error, RetriesExhausted)
    assert str(error) == (
        "given up after 3 attempts in 4 s, allowed: 3 attempts or 60 s; the last one ended with Unreachable: no route"
    )
    assert (error.attempts, error.seconds, error.last_error, error.__cause__) == (3, 4.0, last, last)
    assert trials.clock.next_due is None


def test_the_text_of_a_foreign_error_is_nowhere_in_ours(logged: list[str]) -> None:
    trials = Trials([(0, Boom("wss://host/?access_token=abc"))])
    got = trials.run(ops.retry(wait=1, stop=tenacity.stop_after_attempt(3)))
    assert "abc" not in str(got.error)
    assert logged == ["retry: attempt 1 failed: Boom, again in 1 s"]


def test_it_is_logged_once_a_minute(logged: list[str]) -> None:
    trials = Trials([(0, Unreachable("no"))])
    trials.run(ops.retry(wait=25), until=160)
    assert logged == [
        "retry: attempt 1 failed: Unreachable: no, again in 25 s",
        "retry: attempt 4 failed: Unreachable: no, again in 25 s (2 more in between)",
        "retry: attempt 7 failed: Unreachable: no, again in 25 s (2 more in between)",
    ]


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (tenacity.stop_after_attempt(1), "1 attempt"), (tenacity.stop_after_delay(90), "90 s"),
        (tenacity.stop_before_delay(1.5), "1.5 s"),
        (tenacity.stop_after_attempt(5) & tenacity.stop_after_delay(3), "5 attempts and 3 s"),
        (tenacity.stop_never, "what _stop_never allows"), (quiet, "what quiet allows"),
    ],
)  # fmt: skip
def test_what_is_allowed_in_words(stop: Any, text: str) -> None:
    assert allowed(stop) == text


def test_what_is_permanent_is_not_tried_again_and_is_itself_the_end() -> None:
    error = LoginRefused("wrong key")
    trials = Trials([(0, Boom())], [(0, error)])
    got = trials.run(ops.retry(told=quiet))
    assert got.error is error
    assert len(trials.begun) == 2


def test_the_retry_policy_is_tenacity_s() -> None:
    trials = Trials([(0, Boom())], [(0, ValueError("x"))])
    got = trials.run(ops.retry(retry=tenacity.retry_if_exception_type(Boom), told=quiet))
    assert isinstance(got.error, ValueError)


def test_after_an_element_the_count_starts_anew() -> None:
    fails, well = [(0, Boom())], [(0.25, "x"), (1, Boom())]
    operator = ops.retry(wait=tenacity.wait_exponential(), stop=tenacity.stop_after_attempt(3), told=quiet)
    trials = Trials(fails, fails, well, fails, fails)
    got = trials.run(operator)
    # 1 and 2 s of wait, an attempt that gave something, which is a first one again: 1 and 2 s.
    assert trials.begun == [0.0, 1.0, 3.0, 5.0, 7.0]
    assert got.error is not None
    assert "given up after 3 attempts in 3 s" in str(got.error)
    never = ops.retry(wait=1, stop=tenacity.stop_after_attempt(3), reset_on_next=False, told=quiet)
    assert len(Trials(well).run(never).elements) == 3


@pytest.mark.parametrize(("health", "attempts"), [("1s", 1), ("2s", 1), (2.001, 4)])
def test_or_after_so_much_health(health: Any, attempts: int) -> None:
    trials = Trials([(0, Boom())], [(0, Boom())], [(0, Boom())], [(5, "x"), (7, Boom())], [(100, "y")])
    told: list[int] = []
    trials.run(ops.retry(wait=1, reset_on_next=health, told=lambda number, *_: told.append(number)))
    assert told == [1, 2, 3, attempts]


def test_the_time_that_stop_sees_starts_anew_as_well() -> None:
    trials = Trials([(3_600, "x"), (7_200, Boom())], [(0, Boom())])
    got = trials.run(ops.retry(wait=10, stop=tenacity.stop_after_delay(25), told=quiet))
    assert trials.begun == [0.0, 7_210.0, 7_220.0, 7_230.0]
    assert isinstance(got.error, RetriesExhausted)
    assert got.error.seconds == 30.0


def test_ten_thousand_attempts_leave_no_stack() -> None:
    trials = Trials([(0, Boom())])
    got = trials.run(ops.retry(wait=0, stop=tenacity.stop_after_attempt(10_000), told=quiet), until=0)
    assert len(trials.begun) == 10_000
    assert trials.deepest < sys.getrecursionlimit() // 4
    assert isinstance(got.error, RetriesExhausted)


def test_retrying_at_once_lets_others_run_and_can_be_left() -> None:
    async def main(simulation: Simulation) -> int:
        trials = Trials([(0, Boom())])
        got = Recorder().to(ops.retry(wait=0, told=quiet)(trials.source), simulation.clock.scheduler)
        for _ in range(100):
            await asyncio.sleep(0)
        got.subscription.dispose()
        await asyncio.sleep(1)
        return len(trials.begun)

    assert 50 <= simulate(main) <= 101


def test_without_a_clock_it_is_the_loop_s_and_without_a_loop_it_says_so() -> None:
    got = Recorder().to(rx.throw(Boom()).pipe(ops.retry()))
    assert str(got.error) == (
        "retry needs a clock: give it or subscribe() a scheduler, or subscribe where an asyncio loop runs"
    )

    async def main() -> Recorder:
        trials = Trials([(0, Boom())], [(0, "x"), (0, None)])
        got = Recorder().to(ops.retry(wait=0, told=quiet)(trials.source))
        await asyncio.sleep(0.01)
        return got

    assert asyncio.run(main()).elements == ["x"]


def test_disposing_in_a_wait_cancels_it() -> None:
    trials = Trials([(1, Boom())])
    got = trials.watch(ops.retry(wait=10, told=quiet))
    trials.clock.advance_to(5 * SECOND)
    assert trials.clock.next_due == 11 * SECOND
    got.subscription.dispose()
    assert trials.clock.next_due is None
    assert (trials.begun, trials.released) == ([0.0], [1.0])


def test_so_does_who_is_told_and_leaves() -> None:
    trials = Trials([(1, Boom())])
    got = trials.watch(ops.retry(wait=10, told=lambda *_: got.subscription.dispose()))
    trials.clock.advance_to(50 * SECOND)
    assert trials.clock.next_due is None
    assert (len(trials.begun), got.error) == (1, None)


def test_who_is_told_and_raises_is_logged_and_it_goes_on(logged: list[str]) -> None:
    def told(*_: object) -> None:
        raise RuntimeError("mine")

    trials = Trials([(1, Boom())], [(1, "x")])
    got = trials.run(ops.retry(wait=10, told=told))
    assert got.elements == ["x"]
    assert logged[0].startswith("retry raised in told; it goes on\n")


@pytest.mark.parametrize("policy", ["wait", "stop", "retry"])
def test_a_policy_that_raises_is_the_end(policy: Any) -> None:
    def broken(state: Any) -> Any:
        raise RuntimeError("mine")

    first = Boom()
    trials = Trials([(1, first)])
    given: dict[str, Any] = {policy: broken}
    got = trials.run(ops.retry(told=quiet, **given))
    assert isinstance(got.error, RuntimeError)
    assert got.error.__context__ is first
    assert trials.clock.next_due is None


@pytest.mark.parametrize("wait", [-1, float("nan"), float("inf"), None, "1s", True])
def test_a_wait_that_is_none_is_the_end(wait: Any) -> None:
    trials = Trials([(1, Boom())])
    got = trials.run(ops.retry(wait=lambda _: wait, told=quiet))
    assert str(got.error) == f"wait must give seconds, a finite number from 0, got {wait!r}"


def test_an_open_circuit_is_waited_for() -> None:
    trials = Trials([(0, CircuitOpen("md", 42.0))], [(0, CircuitOpen("md", 0.5))], [(0, CircuitOpen("md", float("inf")))])
    trials.run(ops.retry(wait=1, told=quiet), until=45)
    assert trials.begun == [0.0, 42.0, 43.0, 44.0, 45.0]


def test_backoff_takes_its_own_chance_and_listens_to_the_server() -> None:
    def begun(seed: int) -> list[float]:
        trials = Trials([(0, Boom())], [(0, TooManyRequests("no", 60.0))], [(0, Boom())])
        trials.run(ops.retry(wait=backoff(Random(seed)), told=quiet), until=100)
        return trials.begun

    assert begun(1) == begun(1) != begun(2)
    assert begun(1)[2] - begun(1)[1] == 60.0


def test_a_source_that_moves_the_clock_inside_subscribe_does_not_confuse_it() -> None:
    clock = VirtualClock()
    seen: list[str] = []
    subjects: list[Subject[Any]] = []

    def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        if not seen:
            seen.append("first")
            observer.on_error(Boom())
            clock.advance(5 * SECOND)  # in which the second one begins
            return Disposable(lambda: seen.append("first let go"))
        subjects.append(Subject())
        return subjects[-1].subscribe(observer)

    got = Recorder().to(Observable(run).pipe(ops.retry(wait=1, told=quiet)), clock.scheduler)
    assert seen == ["first", "first let go"]
    subjects[0].on_next("x")
    assert got.elements == ["x"]
    got.subscription.dispose()
    assert subjects[0].observers == []


def test_what_a_source_says_after_its_end_is_for_nobody() -> None:
    observers: list[Any] = []

    class Rude(Observable[Any]):
        def subscribe(
            self, on_next: Any = None, on_error: Any = None, on_completed: Any = None, *, scheduler: Any = None
        ) -> Any:
            observers.append(SimpleNamespace(on_next=on_next, on_error=on_error, on_completed=on_completed))
            return Disposable()

    clock = VirtualClock()
    got = Recorder().to(Rude().pipe(ops.retry(wait=1, told=quiet)), clock.scheduler)
    observers[0].on_next("first")
    observers[0].on_error(Boom())
    observers[0].on_next("late")
    observers[0].on_error(Boom())
    clock.advance(SECOND)
    assert len(observers) == 2
    observers[0].on_next("later")
    observers[1].on_next("x")
    assert got.elements == ["first", "x"]
    got.subscription.dispose()
    observers[1].on_next("too late")
    observers[1].on_completed()
    observers[1].on_next("far too late")
    assert (got.elements, got.completed) == (["first", "x"], False)


def test_subscriptions_count_for_themselves() -> None:
    operator = ops.retry(wait=1, stop=tenacity.stop_after_attempt(2), told=quiet)
    trials = Trials([(1, Boom())])
    built = operator(trials.source)
    first = Recorder().to(built, trials.clock.scheduler)
    trials.clock.advance_to(3 * SECOND)
    second = Recorder().to(built, trials.clock.scheduler)
    assert first.error is not None
    trials.clock.advance_to(5 * SECOND)
    assert second.error is None
    trials.clock.advance_to(6 * SECOND)
    assert second.error is not None


@given(
    lives=st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 9)), min_size=1, max_size=12),
    reset=st.sampled_from([True, False, "2s", "5s"]),
    most=st.integers(1, 5),
)
def test_a_model_of_all_of_it(lives: list[tuple[int, int | None]], reset: Any, most: int) -> None:
    """Each life fails after so many seconds, having given an element so many seconds before that, or none."""
    scripts = [[(at + 1, Boom())] if before is None else [(at + 1, "x"), (at + 1 + before, Boom())] for at, before in lives] + [
        [(1, None)]
    ]
    trials = Trials(*scripts)
    trials.run(
        ops.retry(
            wait=tenacity.wait_incrementing(1, 1), stop=tenacity.stop_after_attempt(most), reset_on_next=reset, told=quiet
        )
    )
    expected, now, number = [0.0], 0.0, 0
    for at, before in lives:
        now += at + 1 + (before or 0)
        healthy = before is not None and (reset is True or (isinstance(reset, str) and before >= int(reset[0])))
        number = 1 if healthy else number + 1
        if number >= most:
            break
        now += number
        expected.append(now)
    assert trials.begun == expected


# --- restart


def test_restart_runs_it_again_after_completion() -> None:
    told: list[Any] = []
    trials = Trials([(1, "a"), (2, None)], [(1, None)], [(1, None)], [(1, "b"), (2, Boom())])
    got = trials.run(ops.restart(wait=tenacity.wait_incrementing(10, 10), told=lambda *what: told.append(what)))
    assert trials.begun == [0.0, 12.0, 33.0, 64.0]
    assert told == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert (got.elements, type(got.error)) == (["a", "b"], Boom)


def test_restart_lets_it_complete_at_its_limit(logged: list[str]) -> None:
    trials = Trials([(1, "a"), (2, None)])
    got = trials.run(ops.restart(wait=1, stop=tenacity.stop_after_attempt(3), reset_on_next=False))
    assert (got.elements, got.completed, trials.begun) == (["a"] * 3, True, [0.0, 3.0, 6.0])
    assert trials.clock.next_due is None
    assert logged == ["restart: attempt 1 completed, again in 1 s"]


def test_restart_and_retry_together() -> None:
    trials = Trials([(1, "a"), (2, None)], [(1, "b"), (2, Boom())], [(1, "c")])
    got = trials.run(lambda source: source.pipe(ops.restart(wait=1, told=quiet), ops.retry(wait=5, told=quiet)))
    assert (got.elements, trials.begun) == (["a", "b", "c"], [0.0, 3.0, 10.0])


def test_a_run_of_ticks_passes_as_it_is() -> None:
    # A subscriber that raises amid a run loses none of it; several that raise are told of together.
    rows = [tick(0, 1), tick(0, 2), tick(0, 3)]
    from rxfeed.runs import RunObservable

    held: list[Any] = []
    source: RunObservable[Any] = RunObservable(lambda observer, scheduler=None: held.append(observer) or Disposable())  # type: ignore
    seen: list[Any] = []

    def take(row: Any) -> None:
        seen.append(row.price)
        raise Boom

    ops.retry(scheduler=VirtualClock())(source).subscribe(take)
    with pytest.raises(ExceptionGroup, match="raised 3 times"):
        held[0].on_run(rows)
    assert seen == [1, 2, 3]


def test_tries_know_why_they_ended() -> None:
    tries = Tries(Retries(tenacity.retry_always, tenacity.wait_fixed(1), tenacity.stop_after_attempt(1)), 0.0)
    assert (tries.after(Boom(), 1.0), tries.exhausted) == (None, True)
    tries = Tries(Retries(tenacity.retry_never, tenacity.wait_fixed(1), tenacity.stop_after_attempt(1)), 0.0)
    assert (tries.after(Boom(), 1.0), tries.exhausted) == (None, False)
