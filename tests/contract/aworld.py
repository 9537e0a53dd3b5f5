"""A world with an asyncio loop, whose time is the clock's: nothing in it waits for the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from rxfeed.times import SECOND
from tests.builders import T0

from .specimen import World

T = TypeVar("T")
TURNS = 30
"""Of the loop, until all is quiet."""


class AsyncWorld(World):
    """Everything is done inside the loop, which stands still in between."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.SelectorEventLoop()
        self.loop.time = lambda: (self.clock.now - T0) / SECOND
        self.loop.set_exception_handler(lambda _, context: self.told.append(context))

    def call(self, act: Callable[..., T], *args: Any, **more: Any) -> T:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None:
            return act(*args, **more)

        async def run() -> T:
            return act(*args, **more)

        return self.loop.run_until_complete(run())

    def pump(self) -> None:
        async def turn() -> None:
            for _ in range(TURNS):
                await asyncio.sleep(0)

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.loop.run_until_complete(turn())

    def left(self) -> list[str]:
        loop: Any = self.loop
        return [
            *super().left(),
            *(f"the task {task.get_name()}" for task in asyncio.all_tasks(self.loop)),
            *(f"a timer of the loop, {each!r}" for each in loop._scheduled if not each.cancelled()),
            *(f"an open generator, {each!r}" for each in loop._asyncgens if each.ag_frame is not None),
        ]

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.pump()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
