"""How a lost connection is got back: policies that users hand to a feed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tenacity import retry_if_exception, stop_never
from tenacity.retry import RetryBaseT
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from rxfeed.attempts import Always, AttemptPolicy, Telling
from rxfeed.errors import FeedError
from rxfeed.events import Event
from rxfeed.retrying import Retries, backoff
from rxfeed.times import SECOND, Duration, nanoseconds


def may_reconnect(error: BaseException) -> bool:
    """Whether another attempt to connect may go well: not after a wrong key, nor after a fault of ours."""
    return isinstance(error, FeedError) and not error.permanent


@dataclass(frozen=True, kw_only=True)
class Reconnect:
    """When a lost connection is tried again, and how its successor is opened.

    Args:
        wait: tenacity's wait between attempts that fail; by default `backoff` from 1 s to 30 s, with jitter.
        stop: tenacity's stop; by default never.
        retry: tenacity's retry: after which errors; by default whatever is not permanent.
        policy: is asked before each attempt, say a circuit breaker.
        attempt: the longest that an attempt may take, login and subscriptions included.
        spacing: no attempt begins sooner than this after the one before.
        quiet: a connection that lived so long makes all that failed before forgotten; what comes next is tried at once.
        healthy_after: a connection that brings nothing for so long counts as well all the same.
        rotation: how long a successor may take until it has replaced a connection that is well.

    Raises:
        ValueError: a duration that is none, or is 0 where it must not be.
    """

    wait: WaitBaseT | None = None
    stop: StopBaseT = stop_never
    retry: RetryBaseT = field(default_factory=lambda: retry_if_exception(may_reconnect))
    policy: AttemptPolicy = field(default_factory=Always)
    attempt: Duration = "30s"
    spacing: Duration = "1s"
    quiet: Duration = "60s"
    healthy_after: Duration = "10s"
    rotation: Duration = "30s"

    def __post_init__(self) -> None:
        for name in ("attempt", "spacing", "quiet", "healthy_after", "rotation"):
            given: Duration = getattr(self, name)
            if not nanoseconds(given, name=name):
                raise ValueError(f"{name} must be more than 0, got {given!r}")

    def retries(self, random: Random) -> Retries:
        """Return the policies."""
        return Retries(self.retry, self.wait or backoff(random, 1.0, 30.0), self.stop)

    def listen(self, listener: Callable[[Event], object]) -> Callable[[], None]:
        """Have a function called with what the policy tells, say that a breaker opens; what is returned ends that."""
        return self.policy.listen(listener) if isinstance(self.policy, Telling) else _nothing

    def seconds(self, name: str) -> float:
        """Return one of the durations in seconds."""
        given: Duration = getattr(self, name)
        return nanoseconds(given, name=name) / SECOND


def _nothing() -> None:
    pass
