"""The tasks of one owner: none runs on when the owner is closed, and none fails unheard."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from rxfeed.failures import tell


class Tasks:
    """Starts tasks and ends them.

    Args:
        owner: whom they belong to, for their names.
    """

    __slots__ = ("_owner", "_running")

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._running: dict[asyncio.Task[Any], None] = {}  # in the order of their start, which a set has not

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Any], name: str, *, heard: bool = False) -> asyncio.Task[Any]:
        """Start a task.

        Args:
            work: what it does.
            name: what it is called, after its owner; never with a token in it.
            heard: somebody waits for it, and hears what it raises; else that is told once, by the log.

        Raises:
            RuntimeError: no asyncio loop is running.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            work.close()
            raise RuntimeError(f"{self._owner} needs a running asyncio loop: subscribe inside one") from None
        task = loop.create_task(work, name=f"rxfeed {self._owner}: {name}")
        self._running[task] = None
        task.add_done_callback(partial(self._done, heard))
        return task

    def _done(self, heard: bool, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if not heard and isinstance(error, Exception):
            tell(None, task.get_name(), "source", error)

    async def settled(self) -> None:
        """Wait until all have ended by themselves, those too that are started meanwhile."""
        while waiting := [task for task in self._running if task is not asyncio.current_task()]:
            await asyncio.wait(waiting)

    async def cancelled(self) -> None:
        """Cancel all and wait until they have ended."""
        while waiting := [task for task in self._running if task is not asyncio.current_task()]:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
