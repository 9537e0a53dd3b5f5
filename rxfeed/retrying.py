"""tenacity's policies on a clock that is handed in: the core of whatever tries again.

`AsyncRetrying` and `@retry` read the monotonic clock, keep the arguments of the call in what they log, and wrap the error in
one of their own that shows both. So the policy objects are asked here, one after another, and nothing else of tenacity's runs.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple, cast

from tenacity import (
    Future,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_all,
    stop_any,
    stop_before_delay,
    wait_fixed,
)
from tenacity.retry import RetryBaseT
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT, wait_base

from rxfeed.errors import CircuitOpen, TooManyRequests
from rxfeed.times import SECOND, Duration, nanoseconds

Told = Callable[[int, Exception, float], object]
"""Hears of each failed attempt that is followed by another: its number, its error, and the seconds until the next."""

_UNUSED: Final = Retrying()


class Retries(NamedTuple):
    """When to try again, how long to wait and when to give up: tenacity's objects."""

    retry: RetryBaseT
    wait: WaitBaseT
    stop: StopBaseT


def helps(error: BaseException) -> bool:
    """Whether trying the same again can help, for all that the error says: it is not `permanent`."""
    return isinstance(error, Exception) and getattr(error, "permanent", False) is not True


unless_permanent: Final[RetryBaseT] = retry_if_exception(helps)
"""Try again after every error but those that say of themselves that it is of no use."""


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


class stop_before(stop_after_delay):  # noqa: N801  # as tenacity's own
    """Stop where the next attempt would begin later than that many seconds after the first one did."""

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Return whether to give up."""
        since = retry_state.seconds_since_start
        return since is not None and since + retry_state.upcoming_sleep > self.max_delay


class _State(RetryCallState):
    """What policies look at. tenacity's own asks the machine what time it is, and holds what was called, and with what."""

    def __init__(self, now: float) -> None:
        self.start_time = now
        self.retry_object, self.fn, self.args, self.kwargs = _UNUSED, None, (), {}
        self.attempt_number = 1
        self.outcome = self.outcome_timestamp = self.next_action = None
        self.idle_for = self.upcoming_sleep = 0.0

    def ends(self, error: Exception | None, now: float) -> None:
        """Take note of an attempt's outcome."""
        self.outcome, self.outcome_timestamp = Future(self.attempt_number), now
        if error is None:
            self.outcome.set_result(None)
        else:
            self.outcome.set_exception(error)


class Tries:
    """Attempts at one thing, counted, and the policies that say how they go on.

    Args:
        retries: the policies.
        now: when the first attempt begins, in seconds of any clock.
    """

    __slots__ = ("_retries", "_state", "exhausted")

    def __init__(self, retries: Retries, now: float) -> None:
        self._retries = retries
        self.exhausted = False
        """Whether there is no next attempt because `stop` said so; `retry` would have had one."""
        self.anew(now)

    def anew(self, now: float) -> None:
        """Count from one again: what ends now, or later, is the first attempt."""
        self._state = _State(now)

    @property
    def attempts(self) -> int:
        """The number of the attempt that runs, or of the last one."""
        return self._state.attempt_number

    def after(self, error: Exception | None, now: float) -> float | None:
        """Take note that an attempt has ended, and say how many seconds the next one is to wait; None if there is none.

        Args:
            error: what it ended with; None if it completed.
            now: when, in seconds of the same clock.

        Raises:
            ValueError: the policy wants to wait for what is no number of seconds.
            Exception: whatever a policy raises.
        """
        state, policies = self._state, cast("Any", self._retries)
        state.ends(error, now)
        if not policies.retry(state):
            return None
        wait = seconds(policies.wait(state))
        if isinstance(error, CircuitOpen) and math.isfinite(error.retry_after):
            wait = max(wait, error.retry_after)  # earlier it would only be refused again, and use up an attempt
        state.upcoming_sleep = wait
        if policies.stop(state):
            self.exhausted = True
            return None
        state.idle_for += wait
        state.prepare_for_next_attempt()
        return wait


def asked(wait: WaitBaseT, times: int, error: Exception | None) -> float:
    """Ask a wait policy how long to wait after so many failures in a row, the last with this error.

    Raises:
        ValueError: for what is no number of seconds.
        Exception: whatever it raises.
    """
    state = _State(0.0)
    state.attempt_number = times
    state.ends(error, 0.0)
    return seconds(cast("Any", wait)(state))


def seconds(wait: Any) -> float:
    """Return what a wait policy said.

    Raises:
        ValueError: it is no finite number from 0.
    """
    if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not 0 <= wait < math.inf:
        raise ValueError(f"wait must give seconds, a finite number from 0, got {wait!r}")
    return float(wait)


def wait_of(wait: WaitBaseT | Duration, name: str = "wait") -> WaitBaseT:
    """Return a wait policy as it is, and a duration as the policy that always waits for it.

    Raises:
        ValueError, TypeError: it is neither.
    """
    if callable(wait):
        return cast("WaitBaseT", plain(name, wait))
    return wait_fixed(nanoseconds(wait, name=name) / SECOND)


def plain(name: str, policy: Any) -> Any:
    """Return a policy.

    Raises:
        TypeError: it cannot be called, or would have to be awaited.
    """
    if not callable(policy) or isinstance(policy, type):
        raise TypeError(f"{name} must be one of tenacity's {name}_... objects or a function, got {policy!r}")
    if inspect.iscoroutinefunction(policy) or inspect.iscoroutinefunction(type(policy).__call__):
        raise TypeError(f"{name} must not be async: it is asked between two attempts, and nobody would await it")
    return policy


def allowed(stop: StopBaseT) -> str:
    """Return what a stop policy allows, in words."""
    match stop:
        case stop_after_attempt():
            return f"{stop.max_attempt_number} attempt{'' if stop.max_attempt_number == 1 else 's'}"
        case stop_after_delay() | stop_before_delay():
            return f"{stop.max_delay:g} s"
        case stop_any():
            return " or ".join(map(allowed, stop.stops))
        case stop_all():
            return " and ".join(map(allowed, stop.stops))
        case _:
            return f"what {getattr(stop, '__name__', type(stop).__name__)} allows"
