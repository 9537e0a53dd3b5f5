"""Coroutines that are tried again, by tenacity's policies on the loop's time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

from tenacity import retry_if_exception, stop_after_attempt

from rxfeed.errors import FeedError, GatewayRefused, TooManyRequests, Unreachable
from rxfeed.retrying import Retries, Told, Tries, backoff, stop_before

__all__ = ["Retries", "Told", "backoff", "may_help", "patient", "retrying", "stop_before"]

T = TypeVar("T")

_BROKEN: Final = 500


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
    tries = Tries(retries, loop.time())
    while True:
        try:
            return await attempt()
        except Exception as error:  # noqa: BLE001  # the policies judge
            failed = error
        number = tries.attempts
        wait = tries.after(failed, loop.time())
        if wait is None:
            raise failed
        if told is not None:
            told(number, failed, wait)
        del failed
        await asyncio.sleep(wait)
