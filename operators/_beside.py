"""Streams that come beside an operator's source: they end with it, and what is wrong with them does not end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable, abc

from rxfeed.errors import RxfeedError

from ._upstream import Upstream

_MOST = 10
"""So many refusals are logged in one subscription."""


class Beside:
    """The streams beside one subscription.

    Args:
        stage: what the operator is called in the log.
    """

    __slots__ = ("_open", "_refusals", "_stage")

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._open: list[Upstream] = []
        self._refusals = 0

    def open(
        self, name: str, source: Observable[Any], on_next: Callable[[Any], None], scheduler: abc.SchedulerBase | None
    ) -> None:
        """Subscribe. An error is logged, and nothing more comes from there; completion changes nothing."""

        def on_error(error: Exception) -> None:
            text = f": {error}" if isinstance(error, RxfeedError) else ""  # others may say more than a log should hold
            self._log(f"{name} ended with an error, and it goes on without: {type(error).__name__}{text}")

        upstream = Upstream()
        self._open.append(upstream)
        upstream.open(source, on_next, on_error, lambda: None, scheduler)

    def refused(self, error: Exception) -> None:
        """Log an element that was refused."""
        self._refusals += 1
        if self._refusals <= _MOST:
            self._log(f"{error}{'; more of these are not logged' if self._refusals == _MOST else ''}")

    def close(self) -> None:
        """End them; again is nothing."""
        for upstream in self._open:
            upstream.close()

    def _log(self, text: str) -> None:
        from loguru import logger  # costs 30 ms, and most feeds never need it

        logger.error("{}: {}", self._stage, text)
