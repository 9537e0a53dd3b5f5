"""tenacity's policies, driven on the loop's time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import tenacity

from rxfeed.errors import (
    AddressRefused,
    FeedError,
    GatewayRefused,
    LoginRefused,
    ProtocolError,
    TlsFailed,
    TokenRefused,
    TooManyRequests,
    UnknownContract,
    Unreachable,
)
from rxfeed.feeds.retrying import Retries, backoff, may_help, patient, retrying
from rxfeed.testing import Simulation, simulate


def attempts(retries: Retries, *outcomes: Any, takes: float = 0.0) -> tuple[list[float], Any, list[Any]]:
    """When it was tried, how it ended, and what was told."""
    at: list[float] = []
    told: list[Any] = []

    async def main(simulation: Simulation) -> Any:
        left = list(outcomes)

        async def attempt() -> Any:
            at.append(simulation.loop.time())
            await asyncio.sleep(takes)
            outcome = left.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        try:
            return await retrying(attempt, retries, lambda *what: told.append(what))
        except FeedError as error:
            return error

    return at, simulate(main), told


def plain(wait: Any, stop: Any = tenacity.stop_never) -> Retries:
    return Retries(tenacity.retry_if_exception(may_help), wait, stop)


def test_what_goes_well_is_not_tried_again() -> None:
    assert attempts(plain(tenacity.wait_fixed(1)), 7) == ([0.0], 7, [])


def test_waits_are_in_the_loops_time() -> None:
    first, second = Unreachable("one"), Unreachable("two")
    at, result, told = attempts(plain(tenacity.wait_incrementing(10, 3_600)), first, second, "well")
    assert (at, result) == ([0.0, 10.0, 3_620.0], "well")
    assert told == [(1, first, 10.0), (2, second, 3_610.0)]


def test_the_last_error_is_the_attempts_own() -> None:
    errors = [Unreachable(str(number)) for number in range(5)]
    at, result, told = attempts(plain(tenacity.wait_fixed(2), tenacity.stop_after_attempt(3)), *errors)
    assert (at, result, len(told)) == ([0.0, 2.0, 4.0], errors[2], 2)
    assert (result.__cause__, result.__context__) == (None, None)


def test_stop_after_delay_is_in_the_loops_time() -> None:
    errors = [Unreachable(str(number)) for number in range(9)]
    at, result, _ = attempts(plain(tenacity.wait_fixed(10), tenacity.stop_after_delay(25)), *errors, takes=1.0)
    assert (at, result) == ([0.0, 11.0, 22.0, 33.0], errors[3])


def test_patience_ends_before_a_wait_that_is_too_long() -> None:
    error = TooManyRequests("no", 3_600.0)
    assert attempts(patient(Random(1)), error) == ([0.0], error, [])
    at, result, _ = attempts(patient(Random(1)), TooManyRequests("no", 100.0), "well")
    assert (at, result) == ([0.0, 100.0], "well")
    at, result, _ = attempts(patient(Random(1)), *[Unreachable("no")] * 9)
    assert len(at) == 5
    assert isinstance(result, Unreachable)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (Unreachable("x"), True), (TooManyRequests("x"), True), (GatewayRefused("x", 503), True),
        (GatewayRefused("x", 500), True),
        (GatewayRefused("x", 404), False), (GatewayRefused("x", 1), False), (TlsFailed("x"), False), (LoginRefused("x"), False),
        (TokenRefused("x"), False), (ProtocolError("x"), False), (AddressRefused("x"), False), (UnknownContract("x"), False),
        (ValueError("x"), False), (TimeoutError("x"), False),
    ],
)  # fmt: skip
def test_what_may_help(error: Exception, helps: bool) -> None:
    assert may_help(error) == helps


def test_what_is_no_exception_passes_at_once() -> None:
    async def main(_: Simulation) -> None:
        calls = 0

        async def attempt() -> None:
            nonlocal calls
            calls += 1
            await asyncio.sleep(5)
            raise Unreachable("no")

        task = asyncio.create_task(
            retrying(attempt, Retries(tenacity.retry_always, tenacity.wait_fixed(100), tenacity.stop_never))
        )
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        task = asyncio.create_task(
            retrying(attempt, Retries(tenacity.retry_always, tenacity.wait_fixed(100), tenacity.stop_never))
        )
        await asyncio.sleep(50)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert calls == 2

    simulate(main)


def test_backoff_doubles_and_its_chance_is_its_own() -> None:
    def waits(seed: int) -> list[float]:
        at, _, _ = attempts(plain(backoff(Random(seed), 1.0, 10.0)), *[Unreachable("no")] * 8, "well")
        return [b - a for a, b in pairwise(at)]

    for ceiling, wait in zip([1, 2, 4, 8, 10, 10, 10, 10], waits(1), strict=True):
        assert ceiling / 2 <= wait <= ceiling
    assert waits(1) == waits(1) != waits(2)
    with pytest.raises(ValueError, match="first must be more than 0 and at most 10 s, got 20"):
        backoff(Random(1), 20.0, 10.0)
