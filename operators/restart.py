"""Some feeds complete although the market does not: a server that ends its stream each night, a poll that answers once. They
are to be started again, and no faster than is polite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tenacity
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from rxfeed.retrying import Retries, plain, wait_of
from rxfeed.scheduler import Timed
from rxfeed.times import Duration

from ._again import Again, checked, health
from ._call import call


def restart(
    *,
    wait: WaitBaseT | Duration = tenacity.wait_exponential(multiplier=0.5, max=30),  # noqa: B008  # it has no state
    stop: StopBaseT = tenacity.stop_never,
    reset_on_next: bool | Duration = True,
    told: Callable[[int, float], object] | None = None,
    scheduler: Timed = None,
) -> Again:
    """Subscribe again after completion, as tenacity's policies say.

        --1--|--2--#
        restart(wait=1)
        --1-----2--#

    Errors pass: `retry` is for those.

    Args:
        wait: how long before the next run: a `tenacity.wait_...`, or always the same duration. By default 0.5 s, twice as
            long after each run without an element, and at most 30 s.
        stop: when to let it complete: a `tenacity.stop_...`, which sees the run's number and time; by default never.
        reset_on_next: when the count of runs, and the time that `stop` sees, start anew: with a run that gave an element
            (True), never (False), or with a run that lived for so long after its first element. For a limit on all runs give
            False.
        told: called with each run that is followed by another: its number, and the seconds until the next. What it raises is
            logged. Without it that is one warning of loguru a minute.
        scheduler: the clock, or its scheduler; else the subscriber's if it is one of ours, else the running loop's.

    Returns:
        An operator from anything to the same.

    Raises:
        TypeError, ValueError: a policy that cannot be called or is async, an impossible duration; no clock (when it is
            subscribed).

    Ends: with the source's error; with its completion, if `stop` says so; with what a policy raises, or if it wants no
    possible wait.
    Drops: nothing of its own; what the source says between two runs is for nobody.
    Clock: the scheduler's; one timer, only while it waits. Disposing cancels it.
    """
    text = call(restart, locals())
    retries = Retries(tenacity.retry_always, wait_of(wait), plain("stop", stop))
    hears: Any = checked(told)

    def heard(number: int, _: object, seconds: float) -> None:
        hears(number, seconds)

    return Again(
        "restart", retries, errors=False, reset=health(reset_on_next), told=heard if hears else None, scheduler=scheduler,
        call=text,
    )  # fmt: skip
