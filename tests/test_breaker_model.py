"""`Breaker` against a model that shares no code with it: any sequence of attempts, ends, waits and hands."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tenacity
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxfeed.breaker import Breaker, BreakerAttempt, BreakerChanged
from rxfeed.clock import VirtualClock
from rxfeed.errors import CircuitOpen
from rxfeed.times import SECOND
from tests.builders import T0
from tests.oracle_breaker import Model


class Boom(Exception):
    pass


class Mine(Exception):
    """Does not count."""


class Compared(RuleBasedStateMachine):
    @initialize(
        window=st.sampled_from([1, 3, 10, "10s"]), rate=st.sampled_from([0.3, 0.5, 0.75, 1.0]), minimum=st.integers(1, 4),
        slow=st.sampled_from([None, 2]), slow_rate=st.sampled_from([0.5, 1.0]), permits=st.integers(1, 4),
        wait=st.sampled_from(["fixed", "grows"]), longest=st.sampled_from([3, 20]),
    )  # fmt: skip
    def make(
        self, window: Any, rate: float, minimum: int, slow: int | None, slow_rate: float, permits: int, wait: str, longest: int
    ) -> None:
        calls = window if isinstance(window, int) else None
        minimum = min(minimum, calls or minimum)
        grows = wait == "grows"
        self.clock = VirtualClock(T0)
        self.breaker = Breaker(
            "feed", clock=self.clock,
            window=window, failure_rate=rate, minimum_calls=minimum, slow_call=slow, slow_rate=slow_rate if slow else 1.0,
            permitted_calls=permits, half_open_wait=longest, counts=lambda error: not isinstance(error, Mine),
            open_wait=tenacity.wait_incrementing(2, 3, 9) if grows else 5,
        )  # fmt: skip
        self.model = Model(
            calls=calls, length=None if calls else 10.0, rate=rate, minimum=minimum, slow=slow, slow_rate=slow_rate,
            waits=(lambda row: min(9.0, 2 + 3 * (row - 1))) if grows else (lambda row: 5.0), permits=permits, longest=longest,
        )  # fmt: skip
        self.story: list[str] = []
        self.breaker.listen(self.hear)
        # The model counts time from where the clock's slices begin.
        assert T0 % (10 * SECOND) == 0
        self.attempts: list[tuple[BreakerAttempt, dict[str, Any]]] = []

    def hear(self, event: BreakerChanged) -> None:
        self.story.append(f"{event.was} -> {event.state}")

    @rule(halves=st.integers(1, 50))
    def later(self, halves: int) -> None:
        self.clock.advance(round(halves / 2 * SECOND))
        self.model.now += halves / 2

    @rule()
    def begin(self) -> None:
        if self.model.free():
            self.attempts.append((self.breaker.attempt(), self.model.begin()))
        else:
            assert self.breaker.delay() > 0
            with pytest.raises(CircuitOpen, match="circuit 'feed' is open"):
                self.breaker.attempt()

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), how=st.sampled_from(["well", "failed", "failed", "failed", "abandoned", "mine"]))
    def end(self, data: st.DataObject, how: str) -> None:
        at = data.draw(st.integers(0, len(self.attempts) - 1))
        theirs, model = self.attempts[at]
        if data.draw(st.booleans()):  # else it is ended again later, which must be nothing
            self.attempts.pop(at)
        match how:
            case "well":
                theirs.succeeded()
            case "failed":
                theirs.failed(Boom())
            case "mine":
                theirs.failed(Mine())
            case _:
                theirs.abandoned()
        self.model.end(model, how if how in ("well", "failed") else "nothing")
        model["over"] = True

    @rule(failures=st.integers(1, 12))
    def storm(self, failures: int) -> None:
        for _ in range(failures):
            if self.model.free():
                theirs, model = self.breaker.attempt(), self.model.begin()
                theirs.failed(Boom())
                self.model.end(model, "failed")

    @rule(what=st.sampled_from(["reset", "force_open", "disable"]), sure=st.integers(0, 4))
    def by_hand(self, what: str, sure: int) -> None:
        if not sure:
            getattr(self.breaker, what)()
            self.model.hand({"reset": "closed", "force_open": "forced_open", "disable": "disabled"}[what])

    @invariant()
    def the_same(self) -> None:
        if not hasattr(self, "model"):
            return
        free = self.model.free()
        breaker = self.breaker
        metrics = breaker.metrics
        assert metrics.state == breaker.state == self.model.state
        assert (breaker.delay() == 0) == free
        assert metrics.opens == self.model.opens
        assert self.story == self.model.story
        assert self.clock.next_due is None, "a breaker has no timer"
        match self.model.state:
            case "closed":
                seen = self.model.seen()
                counts = len(seen), sum(f for f, _ in seen), sum(s for _, s in seen)
                assert (metrics.calls, metrics.failed, metrics.slow) == counts
                assert metrics.consecutive_opens == 0
            case "open":
                assert breaker.delay() == max(0.0, self.model.until - self.model.now)
                assert metrics.consecutive_opens == self.model.row
            case "half_open":
                assert metrics.permits == self.model.permits - len(self.model.tried) - len(self.model.running)
            case "forced_open":
                assert breaker.delay() == math.inf
            case _:
                assert breaker.delay() == 0


Compared.TestCase.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)
TestCompared = Compared.TestCase
