"""One connection, from the attempt to open it to its end."""

from __future__ import annotations

import asyncio
from typing import Final, Generic

from reactivex import Observable

from rxfeed.attempts import Attempt
from rxfeed.errors import ConnectionLost

from .supervised import L


class Over(Exception):
    """The source of connections has completed: its owner is closed."""


class Hold(Generic[L]):
    """One connection: when it opened, how it ended, and what its attempt's policy is told."""

    def __init__(self, source: Observable[L], attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        self._link: asyncio.Future[L] = loop.create_future()
        self.ended: Final[asyncio.Future[Exception | None]] = loop.create_future()
        """Its error; None where its owner was closed."""
        self._attempt: Attempt | None = attempt
        self._subscription = source.subscribe(self._on_next, self._on_error, self._on_completed)

    @property
    def link(self) -> L:
        """The connection, once it is open."""
        return self._link.result()

    @property
    def loss(self) -> ConnectionLost | None:
        """How it was lost, once it has ended; None where its owner was closed."""
        error = self.ended.result()
        if error is None or isinstance(error, ConnectionLost):
            return error
        return ConnectionLost(str(error), "dropped")

    async def opened(self) -> None:
        """Wait until it is open.

        Raises:
            Exception: what it ended with instead; `Over` where its owner was closed.
        """
        await asyncio.wait((self._link, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if not self._link.done():
            raise self.ended.result() or Over

    def succeeded(self) -> None:
        """Note that it is well, whatever becomes of it."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.succeeded()

    def close(self, error: Exception | None = None) -> None:
        """Close it; it has failed if there is an error, unless it had succeeded."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            if error is None:
                attempt.abandoned()
            else:
                attempt.failed(error)
        self._subscription.dispose()

    def _on_next(self, link: L) -> None:
        if not self._link.done():
            self._link.set_result(link)

    def _on_error(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    def _on_completed(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
