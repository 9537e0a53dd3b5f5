"""Networks fail, and a feed is worth more than a connection. When to try again, how long to wait and when to give up has been
thought through by tenacity; here its objects are asked, on the stream's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tenacity
from tenacity.retry import RetryBaseT
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from rxfeed.retrying import Retries, plain, unless_permanent, wait_of
from rxfeed.scheduler import Timed
from rxfeed.times import Duration

from ._again import Again, checked, health
from ._call import call


def retry(
    *,
    wait: WaitBaseT | Duration = tenacity.wait_exponential(multiplier=0.5, max=30),  # noqa: B008  # it has no state
    stop: StopBaseT = tenacity.stop_never,
    retry: RetryBaseT = unless_permanent,
    reset_on_next: bool | Duration = True,
    told: Callable[[int, Exception, float], object] | None = None,
    scheduler: Timed = None,
) -> Again:
    """Subscribe again after an error, as tenacity's policies say.

        --1--#--2--|
        retry(wait=1)
        --1-----2--|

    The policies see the error and the attempt's number as in tenacity, and time as the clock counts it. After `CircuitOpen`
    it waits for as long as that says, if that is longer. Each attempt begins from the clock, so that a source which fails at
    once neither recurses nor starves the loop.

    Args:
        wait: how long before the next attempt: a `tenacity.wait_...`, or always the same duration. By default 0.5 s, twice
            as long each time, and at most 30 s. tenacity's own jitter takes the global chance:
            `rxfeed.retrying.backoff(random)` takes yours.
        stop: when to give up: a `tenacity.stop_...`; by default never.
        retry: after which errors: a `tenacity.retry_if_...`; by default after all that are not `permanent`.
        reset_on_next: when the count of attempts, and the time that `stop` sees, start anew: with an attempt that gave an
            element (True), never (False), or with an attempt that lived for so long after its first element.
        told: called with each failed attempt that is followed by another: its number, its error, the seconds until the next.
            What it raises is logged. Without it that is one warning of loguru a minute, with the type of a foreign error and
            no more.
        scheduler: the clock, or its scheduler; else the subscriber's if it is one of ours, else the running loop's.

    Returns:
        An operator from anything to the same.

    Raises:
        TypeError, ValueError: a policy that cannot be called or is async, an impossible duration; no clock (when it is
            subscribed).

    Ends: with the source's completion; with its error, if `retry` says no to that; with `RetriesExhausted`, if `stop` says
    so: it has `attempts`, `allowed` and `last_error`; with what a policy raises, or if it wants no possible wait.
    Drops: nothing of its own; what the source says between two attempts is for nobody.
    Clock: the scheduler's; one timer, only while it waits. Disposing cancels it.
    """
    text = call(_self, locals())
    retries = Retries(plain("retry", retry), wait_of(wait), plain("stop", stop))
    given: Any = checked(told)
    return Again("retry", retries, errors=True, reset=health(reset_on_next), told=given, scheduler=scheduler, call=text)


_self = retry  # inside it, that name is tenacity's policy
