"""What a circuit breaker is set to, refused at once where it could never do what it is for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, Final, NamedTuple, cast

from tenacity.wait import WaitBaseT

from rxfeed.retrying import asked, wait_of
from rxfeed.times import NANOSECONDS, SECOND, Duration, nanoseconds

from .outcomes import SLICES, LastCalls, LastTime, Outcomes

Counts = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which errors count: types, or a function that says."""

_CALLS: Final = 1_000_000
_DAY: Final = NANOSECONDS["d"]


class Settings(NamedTuple):
    """What does not change. Times are in nanoseconds."""

    window: Callable[[], Outcomes]
    timed: bool
    """Whether the window is one of time."""
    failure_rate: float
    minimum_calls: int
    slow_call: int | None
    slow_rate: float
    open_wait: Callable[[int, Exception | None], float]
    """Seconds, by opens in a row and the last error."""
    permitted_calls: int
    half_open_wait: int
    counted: Callable[[Exception], bool]
    healthy_after: int | None


def settings(
    *, window: int | timedelta | str, failure_rate: float, minimum_calls: int, slow_call: Duration | None, slow_rate: float,
    open_wait: WaitBaseT | Duration, permitted_calls: int, half_open_wait: Duration, counts: Counts,
    healthy_after: Duration | None, random: Random | None,
) -> Settings:  # fmt: skip
    """Return settings that are possible.

    Raises:
        ValueError, TypeError: they are not; the text says what is allowed.
    """
    minimum = _count("minimum_calls", minimum_calls, 1, _CALLS)
    make, timed = _window(window, minimum)
    slow = None if slow_call is None else _positive("slow_call", slow_call)
    if slow is None and slow_rate != 1:
        raise ValueError(f"slow_rate needs slow_call, the time from which a call is slow; got slow_rate={slow_rate!r} alone")
    half_open = _positive("half_open_wait", half_open_wait)
    healthy = None if healthy_after is None else _positive("healthy_after", healthy_after)
    if healthy is not None and healthy >= half_open:
        raise ValueError(
            f"healthy_after must be less than half_open_wait ({half_open_wait!r}), or a silent feed never counts as healthy; "
            f"got {healthy_after!r}"
        )
    return Settings(
        make, timed, _share("failure_rate", failure_rate), minimum, slow, _share("slow_rate", slow_rate),
        _waits(open_wait, random), _count("permitted_calls", permitted_calls, 1, _CALLS), half_open, _counted(counts), healthy,
    )  # fmt: skip


def _window(window: Any, minimum: int) -> tuple[Callable[[], Outcomes], bool]:
    if isinstance(window, int):
        size = _count("window", window, 1, _CALLS)
        if minimum > size:
            raise ValueError(f"minimum_calls must be at most the window's {size} calls, or it never opens; got {minimum}")
        return lambda: LastCalls(size), False
    if not isinstance(window, (str, timedelta)):
        raise TypeError(f'window must be a number of calls, or a time such as "60s" or a timedelta; got {window!r}')
    length = nanoseconds(window, name="window")
    if not SLICES <= length <= 7 * _DAY:
        raise ValueError(f"window must be calls from 1 to {_CALLS:,}, or a time from 20ns to 7d; got {window!r}")
    return lambda: LastTime(length), True


def _count(name: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number from {least} to {most:,}, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most:,}, got {value}")
    return value


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number more than 0 and at most 1, got {value!r}")
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be more than 0 and at most 1 (0.5 is half of the calls), got {value}")
    return float(value)


def _positive(name: str, value: Duration) -> int:
    length = nanoseconds(value, name=name)
    if length == 0:
        raise ValueError(f"{name} must be more than 0, got {value!r}")
    return length


def _waits(open_wait: WaitBaseT | Duration, random: Random | None) -> Callable[[int, Exception | None], float]:
    if callable(open_wait):
        if random is not None:
            raise ValueError("random is for an open_wait that is a duration; a policy has its own: backoff(random)")
        policy = wait_of(open_wait, "open_wait")
        return lambda times, error: asked(policy, times, error)
    fixed = _positive("open_wait", open_wait) / SECOND
    if random is None:
        return lambda times, error: fixed
    return lambda times, error: fixed * (0.5 + random.random() / 2)


def _counted(counts: Any) -> Callable[[Exception], bool]:
    kinds = cast("tuple[Any, ...]", counts if isinstance(counts, tuple) else (counts,))
    if kinds and all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        return lambda error: isinstance(error, kinds)
    if isinstance(counts, (tuple, type)) or not callable(counts) or inspect.iscoroutinefunction(counts):
        raise TypeError(f"counts must be a type of errors, several in a tuple, or a function; got {counts!r}")
    return cast("Callable[[Exception], bool]", counts)
