"""A handler that raises now and then need not end its subscription; one that always raises need not be called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

from rxfeed.breaker import Breaker, BreakerAttempt
from rxfeed.errors import CircuitOpen
from rxfeed.failures import Failure, Report, tell
from rxfeed.logs import RateLimitedLog


class GuardStats(NamedTuple):
    """Elements by what became of them: received = handled + failed + diverted + dropped, but for one that is being handled."""

    received: int
    handled: int
    failed: int
    """The handler raised."""
    diverted: int
    """Given to the fallback, since the handler was cut off."""
    dropped: int
    """Likewise, where there is no fallback."""


class Guarded:
    """A handler behind a breaker: each element is a call, a raise is a failure, and nothing of it goes up.

    Args:
        on_next: the handler.
        breaker: who counts.
        fallback: gets elements while the handler is cut off.
        stage: what the handler is called.
        report: hears of each raise; without it the first three of a minute are logged, and how many more there were.
    """

    def __init__(
        self, on_next: Callable[[Any], Any], breaker: Breaker, fallback: Callable[[Any], Any] | None, *, stage: str,
        report: Report | None,
    ) -> None:  # fmt: skip
        self._on_next, self._breaker, self._fallback = on_next, breaker, fallback
        self._stage, self._report = stage, report
        self._handled = self._failed = self._diverted = self._dropped = 0
        self._received = 0
        self._log = RateLimitedLog(breaker.clock)
        breaker.delay()  # is it of this loop?

    @property
    def stats(self) -> GuardStats:
        return GuardStats(self._received, self._handled, self._failed, self._diverted, self._dropped)

    def close(self) -> None:
        """Log how many raises were not, and leave no timer."""
        self._log.close()

    def handle(self, element: Any) -> None:
        """Call the handler, or the fallback."""
        self._received += 1
        breaker = self._breaker
        if breaker.calm:
            try:
                self._on_next(element)
            except Exception as error:
                self._wrong(self._attempt(), error, element)
            else:
                self._handled += 1
                breaker.went_well()
            return
        attempt = self._attempt()
        if attempt is None:
            self._divert(element)
            return
        try:
            self._on_next(element)
        except Exception as error:
            self._wrong(attempt, error, element)
        except BaseException:
            attempt.abandoned()
            raise
        else:
            self._handled += 1
            attempt.succeeded()

    async def handle_async(self, element: Any) -> None:
        """Await the handler, or the fallback."""
        self._received += 1
        attempt = self._attempt()
        if attempt is None:
            result = self._divert(element)
            if inspect.isawaitable(result):
                await result
            return
        try:
            await cast("Awaitable[object]", self._on_next(element))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                attempt.abandoned()
                raise
            wrong = RuntimeError("what the handler awaited was cancelled, but nobody had cancelled the handler")
            wrong.__cause__ = error
            self._wrong(attempt, wrong, element)
        except Exception as error:
            self._wrong(attempt, error, element)
        except BaseException:
            attempt.abandoned()
            raise
        else:
            self._handled += 1
            attempt.succeeded()

    def _attempt(self) -> BreakerAttempt | None:
        try:
            return self._breaker.attempt()
        except CircuitOpen:
            return None

    def _wrong(self, attempt: BreakerAttempt | None, error: Exception, element: Any) -> None:
        self._failed += 1
        if self._report is not None:
            tell(self._report, self._stage, "on_next", error, element, goes_on=True)
        else:
            self._log.say(f"{self._stage} raised in on_next", "{}", _Raised(self._stage, error), level="ERROR")
        if attempt is not None:
            attempt.failed(error)

    def _divert(self, element: Any) -> Any:
        if self._fallback is None:
            self._dropped += 1
            return None
        self._diverted += 1
        return self._fallback(element)


class _Raised:
    """What is logged of a raise: its traceback costs more than the raise, so it is made only for what is written."""

    def __init__(self, stage: str, error: Exception) -> None:
        self._stage, self._error = stage, error

    def __str__(self) -> str:
        told: list[Failure] = []
        tell(told.append, self._stage, "on_next", self._error, goes_on=True)
        return f"{told[0]}\n{told[0].traceback.rstrip()}"


def guarded(
    on_next: Callable[[Any], Any], guard: Breaker | None, fallback: Callable[[Any], Any] | None, *, stage: str,
    report: Report | None,
) -> Guarded | None:  # fmt: skip
    """Return a handler behind its guard; None if there is none."""
    return None if guard is None else Guarded(on_next, guard, fallback, stage=stage, report=report)


def check_guard(guard: Any, fallback: Any) -> None:
    """See whether these can be a guard and its fallback.

    Raises:
        TypeError: no breaker, or no function.
        ValueError: a fallback without a guard.
    """
    if guard is not None and not isinstance(guard, Breaker):
        raise TypeError(f"guard must be a Breaker, got {type(guard).__name__}")
    if fallback is not None and not callable(fallback):
        raise TypeError(f"fallback must be a function, got {type(fallback).__name__}")
    if fallback is not None and guard is None:
        raise ValueError("fallback is for what comes while a guard has cut off the handler: give guard=Breaker(...) too")
