"""One piece of work for all who want what comes of it."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from rxfeed.errors import FeedError

T = TypeVar("T")


class Flight(Generic[T]):
    """A task that several wait for: it ends with the last of them, and not before.

    Args:
        task: the work. What it raises reaches whoever waits.
        name: what it is called in the error that `give_up` ends it with.
    """

    __slots__ = ("_aboard", "_given_up", "_left", "_task", "name")

    def __init__(self, task: asyncio.Task[T], name: str) -> None:
        self._task = task
        self.name = name
        self._aboard = 0
        self._left = self._given_up = False

    @property
    def open(self) -> bool:
        """Whether one may still join it."""
        return not self._left and not self._task.done()

    async def join(self) -> T:
        """Wait for it. Who is cancelled does not stop it for the others.

        Raises:
            FeedError: it was given up.
            Exception: what the work raised.
        """
        self._aboard += 1
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._given_up or (task is not None and task.cancelling()):
                raise
        finally:
            self._aboard -= 1
            if not self._aboard:
                self._left = True
                self._task.cancel()
        raise FeedError(f"the {self.name} was given up, as its owner was closed")

    def give_up(self) -> None:
        """End it; whoever waits is told."""
        self._given_up = True
        self._task.cancel()
