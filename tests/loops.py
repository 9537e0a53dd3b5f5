"""An asyncio loop for tests that notices what is left behind: tasks, timers, open generators, errors that nobody saw."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


async def settle(turns: int = 20) -> None:
    """Let the loop turn a number of times."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(done: Callable[[], object], turns: int = 200_000) -> None:
    """Let the loop turn until something is so, for a bounded number of turns."""
    for _ in range(turns):
        if done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it has not come about")


def tasks() -> list[str]:
    """The names of all tasks but the one that asks."""
    return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def timers() -> list[asyncio.TimerHandle]:
    """The calls that the loop is still to make."""
    loop: Any = asyncio.get_running_loop()
    return [handle for handle in loop._scheduled if not handle.cancelled()]


def opened() -> list[AsyncGenerator[Any, None]]:
    """The async generators that were begun and not ended."""
    loop: Any = asyncio.get_running_loop()
    return [generator for generator in loop._asyncgens if generator.ag_frame is not None]


def run(main: Callable[[], Coroutine[Any, Any, R]], *, told: list[Any] | None = None) -> R:
    """Run in debug mode; nothing may be left, and the loop's exception handler may hear only where `told` collects it."""
    heard: list[Any] = [] if told is None else told

    async def watched() -> R:
        loop: Any = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        result = await main()
        await settle()
        gc.collect()
        await settle()
        assert (tasks(), timers(), opened()) == ([], [], [])
        assert told is not None or heard == []
        return result

    return asyncio.run(watched(), debug=True)
