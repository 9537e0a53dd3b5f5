"""tenacity's policies on the loop's time.

`AsyncRetrying` and `@retry` read the monotonic clock, keep the arguments of the call in what they log, and wrap the error in
one of their own that shows both. So the policy objects are asked here, one after another, and nothing else of tenacity's runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final, NamedTuple, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.retry import RetryBaseT
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT, wait_base

from rxfeed.errors import FeedError, GatewayRefused, TooManyRequests, Unreachable

T = TypeVar("T")
Told = Callable[[int, Exception, float], object]
"""Hears of each failed attempt that is followed by another: its number, its error, and the seconds until the next."""

_BROKEN: Final = 500
_UNUSED: Final = Retrying()


class Retries(NamedTuple):
    """When to try again, how long to wait and when to give up: tenacity's objects."""

    retry: RetryBaseT
    wait: WaitBaseT
    stop: StopBaseT


class backoff(wait_base):  # noqa: N801  # as tenacity's own
    """Wait twice as long each time, a random part of it, and at least as long as the server asked for.

    Args:
        random: where chance comes from; tenacity's own jitter takes the global one.
        first: seconds at most before the second attempt.
        most: seconds at most before any, unless the server asks for more.
    """

    def __init__(self, random: Random, first: float = 0.5, most: float = 30.0) -> None:
        if not 0 < first <= most:
            raise ValueError(f"first must be more than 0 and at most {most:g} s, got {first:g}")
        self._random, self._first, self._most = random, first, most

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds."""
        ceiling = min(self._most, self._first * 2.0 ** min(retry_state.attempt_number - 1, 60))
        wait = ceiling * (0.5 + self._random.random() / 2)
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        asked = error.retry_after if isinstance(error, TooManyRequests) else None
        return max(wait, asked or 0.0)


def may_help(error: BaseException) -> bool:
    """Whether the same request may go well a moment later: the host was not there, was broken, or wanted fewer."""
    if not isinstance(error, FeedError) or error.permanent:
        return False
    if isinstance(error, GatewayRefused):
        return error.code >= _BROKEN
    return isinstance(error, (Unreachable, TooManyRequests))


def patient(random: Random, *, attempts: int = 5, seconds: float = 120.0) -> Retries:
    """Return what REST requests are tried again by: what may help, `attempts` times, begun within `seconds`."""
    return Retries(retry_if_exception(may_help), backoff(random), stop_after_attempt(attempts) | stop_before(seconds))


class stop_before(stop_after_delay):  # noqa: N801  # as tenacity's own
    """Stop where the next attempt would begin later than that many seconds after the first one did."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Return whether to give up."""
        since = retry_state.seconds_since_start
        return since is not None and since + retry_state.upcoming_sleep > self.max_delay


class Steps:
    """Policies asked one failure after another, for whoever does the waiting.

    Args:
        retries: the policies.
    """

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._state: RetryCallState | None = None

    @property
    def failures(self) -> int:
        """How many there were since the start, or since `reset`."""
        return 0 if self._state is None else self._state.attempt_number - 1

    def failed(self, error: Exception, now: float) -> float | None:
        """Return the seconds to wait before the next attempt; None where there shall be none.

        Args:
            error: how the attempt failed.
            now: the loop's time.
        """
        if self._state is None:
            self._state = RetryCallState(_UNUSED, None, (), {})
            self._state.start_time = now
        wait = _next(self._state, self._retries, error, now)
        self._state.outcome = None  # it holds the error, and through its traceback all that was in sight
        return wait

    def reset(self) -> None:
        """Begin anew, as all is well."""
        self._state = None


async def retrying(attempt: Callable[[], Awaitable[T]], retries: Retries, told: Told | None = None) -> T:
    """Return what `attempt` gives, tried again as the policies say.

    Args:
        attempt: called once for each attempt.
        retries: the policies; they are asked on the loop's time.
        told: hears of each attempt that failed.

    Raises:
        Exception: the last attempt's, itself and not wrapped. What is no Exception, such as CancelledError, passes at once.
    """
    loop = asyncio.get_running_loop()
    state = RetryCallState(_UNUSED, None, (), {})
    state.start_time = loop.time()
    while True:
        try:
            return await attempt()
        except Exception as error:  # noqa: BLE001  # the policies judge
            failed = error
        wait = _next(state, retries, failed, loop.time())
        if wait is None:
            raise failed
        if told is not None:
            told(state.attempt_number - 1, failed, wait)
        del failed
        await asyncio.sleep(wait)


def _next(state: RetryCallState, retries: Retries, error: Exception, now: float) -> float | None:
    """Seconds until the next attempt; None when there is none."""
    state.set_exception((type(error), error, error.__traceback__))
    state.outcome_timestamp = now
    policies: Any = retries
    if not policies.retry(state):
        return None
    state.upcoming_sleep = wait = float(policies.wait(state))
    if policies.stop(state):
        return None
    state.idle_for += wait
    state.prepare_for_next_attempt()
    return wait
