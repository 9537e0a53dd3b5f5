"""What is written while a feed runs: in a thread, in order, so that a slow disk or reader does not keep us from the socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from rxfeed.cli._errors import Failed

T = TypeVar("T")

MOST: Final = 100_000


class Outbox(Generic[T]):
    """Takes things one by one, and hands all that wait to a function in a thread, again and again.

    Args:
        take: called in a thread with what waits, in order; never twice at once.
        what: what is put in, in words.
        period: seconds between two calls at least, but for the last one.
        most: how many may wait.
    """

    def __init__(self, take: Callable[[list[T]], object], what: str, *, period: float = 0.0, most: int = MOST) -> None:
        self.failed: Final[asyncio.Future[Exception]] = asyncio.get_running_loop().create_future()
        """What went wrong, once it does; from then on nothing is taken."""
        self._take, self._what, self._period, self._most = take, what, period, most
        self._waiting: list[T] = []
        self._came = asyncio.Event()
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"rxfeed writes {what}")

    def put(self, *things: T) -> None:
        """Take something to be written. If there is too much already, that is what went wrong."""
        if self.failed.done() or not things:
            return
        if len(self._waiting) + len(things) > self._most:
            self._fail(Failed(f"{self._most:,} {self._what} wait to be written, and nobody takes them"))
            return
        self._waiting += things
        self._came.set()

    async def close(self) -> None:
        """Write what waits, and end."""
        self._closing.set()
        self._came.set()
        await self._task

    async def _run(self) -> None:
        while not self.failed.done():
            await self._came.wait()
            self._came.clear()
            waiting, self._waiting = self._waiting, []
            try:
                if waiting:
                    await asyncio.to_thread(self._take, waiting)
            except Exception as error:  # noqa: BLE001  # whoever waits for `failed` judges it
                self._fail(error)
            if self._closing.is_set():
                if not self._waiting:
                    return
                self._came.set()
            elif self._period:
                try:
                    async with asyncio.timeout(self._period):
                        await self._closing.wait()
                except TimeoutError:
                    pass

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_result(error)
        self._waiting.clear()
        self._came.set()
