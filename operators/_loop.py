"""The asyncio loop that an async boundary runs in, and giving way to the others there."""

from __future__ import annotations

import asyncio
from typing import Final

LONGEST: Final = 0.002
"""Seconds of the loop's time that one of our tasks runs before it gives way, so that sockets are read and timers kept."""
MOST: Final = 4_096
"""Elements likewise: in a simulated loop time stands still while a task runs."""


def running_loop(who: str) -> asyncio.AbstractEventLoop:
    """Return the loop that runs here.

    Raises:
        RuntimeError: none does.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise RuntimeError(f"{who} needs a running asyncio loop: use it in an async function, or at top level of a notebook")


class Fair:
    """How long a task has run: ask `spent` once an element, and then `give_way`.

    An `await` that had nothing to wait for lets nobody else run, so elements that are there already starve the loop.
    """

    __slots__ = ("_left", "_loop", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.begin()

    def begin(self) -> None:
        """Count anew, since the task has really waited."""
        self._left = MOST
        self._until = self._loop.time() + LONGEST

    def spent(self) -> bool:
        """Whether it is the others' turn."""
        self._left -= 1
        return self._left <= 0 or self._loop.time() >= self._until

    async def give_way(self) -> None:
        """Let the loop turn once."""
        await asyncio.sleep(0)
        self.begin()
