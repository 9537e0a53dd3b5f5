"""What a subscriber did wrong, and how it is told: once, with where it happened, and without anybody's local variables."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from traceback import format_exception
from typing import Any, Literal

import msgspec

Where = Literal[
    "subscribe", "on_next", "on_error", "on_completed", "source", "stream", "dispose", "told", "listener", "counts", "open_wait"
]
"""Which call raised; "source" is a stream that ended with an error nobody had asked for, "stream" one that a consumer made.
Behind "told", "listener", "counts" and "open_wait" are callables that a retry or a circuit breaker was given."""


class Failure(msgspec.Struct, frozen=True):
    """What a subscriber, or a callable that was given, did wrong."""

    stage: str
    """The name it was given, else the handler's."""
    where: Where
    error: Exception
    traceback: str
    """As Python prints it: source lines, but no values of variables."""
    element: Any = None
    """What was being handled, in `on_next`."""
    goes_on: bool = False
    """Whether the subscription is kept all the same."""

    def __str__(self) -> str:
        if self.where == "source":
            return f"{self.stage}: the stream ended with an error, and no on_error was given"
        if self.where == "stream":
            return f"{self.stage}: its stream ended with an error"
        return f"{self.stage} raised in {self.where}; {'it goes on' if self.goes_on else 'its subscription has ended'}"


Report = Callable[[Failure], object]


def tell(
    report: Report | None, stage: str, where: Where, error: Exception, element: object = None, *, goes_on: bool = False
) -> None:
    """Tell of a failure, by `report` or else by one log record. Nothing is raised, whatever goes wrong here."""
    failure = Failure(stage, where, error, _text(error), element, goes_on)
    if report is None:
        _log(failure)
        return
    try:
        report(failure)
    except Exception as wrong:  # noqa: BLE001  # a report that fails must not cost us what it was to tell
        _log(failure, f"\nand report raised too:\n{_text(wrong, chain=False)}")


def _log(failure: Failure, more: str = "") -> None:
    try:
        from loguru import logger  # costs 30 ms, and most feeds never need it

        # As text: loguru would print every local variable of the traceback along with it, tokens among them.
        logger.error("{}\n{}{}", failure, failure.traceback.rstrip(), more.rstrip())
    except Exception:  # noqa: BLE001  # a sink that raises
        with suppress(Exception):
            sys.stderr.write(f"{failure}\n{failure.traceback}{more}")


def _text(error: Exception, *, chain: bool = True) -> str:
    try:
        return "".join(format_exception(error, chain=chain))
    except Exception as wrong:  # noqa: BLE001  # an error whose own text cannot be had
        return f"{type(error).__name__} (its traceback cannot be printed: {type(wrong).__name__})\n"


def stage_of(handler: object) -> str:
    """Return what a handler is called: its qualified name, or that of its type."""
    inner = getattr(handler, "func", handler)  # of a functools.partial
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return name if module in ("builtins", None) else f"{module}.{name}"
