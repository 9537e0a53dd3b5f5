"""A pipeline from an async generator to a consumer, ended in every way at any moment: what is left of it?

`python -X dev -W error -m tests.ends` tries them all, and prints only what should not be.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import product
from typing import Any, Final

from reactivex import Observable

from rxfeed import operators as ops
from rxfeed.clock import LoopClock
from rxfeed.failures import Failure
from rxfeed.frame import Frame
from rxfeed.model import Tick
from tests.builders import tick
from tests.loops import opened, settle, tasks, timers, until

CONSUMERS: Final = ("loop", "async with", "handler", "subscribe", "plain subscribe")
ENDS: Final = ("leave", "cancel", "raise", "source fails", "source ends", "source is cancelled", "loop ends")


class Broken(Exception):
    """What is raised on purpose."""


class Scenario:
    """One run.

    Args:
        consumer: one of CONSUMERS.
        end: one of ENDS.
        moment: turns of the loop before it.
        waits: turns that each element takes; with 0 the generator never waits.
    """

    def __init__(self, consumer: str, end: str, moment: int, waits: int) -> None:
        self.consumer, self.end, self.moment, self.waits = consumer, end, moment, waits
        self.begun = self.ended = 0
        self.now = False
        self.failures: list[Failure] = []
        self.contexts: list[dict[str, Any]] = []

    async def ticks(self) -> AsyncIterator[Tick]:
        self.begun += 1
        try:
            for n in range(10_000_000):
                for _ in range(self.waits):
                    await asyncio.sleep(0)
                if self.now and self.end == "source fails":
                    raise Broken
                if self.now and self.end == "source ends":
                    return
                yield tick(n, seq=n)
        finally:
            await asyncio.sleep(0)
            self.ended += 1

    def take(self, _: Frame[Tick]) -> None:
        if self.now and self.end == "raise":
            raise Broken

    async def take_slowly(self, frame: Frame[Tick]) -> None:
        await asyncio.sleep(0)
        self.take(frame)

    def consume(self, frames: Observable[Frame[Tick]]) -> tuple[Callable[[], object], Callable[[], object]]:
        """How to leave, and how to cancel the consumer."""
        match self.consumer:
            case "subscribe":
                dispose = frames.pipe(ops.subscribe(self.take, report=self.failures.append)).dispose
                return dispose, dispose
            case "plain subscribe":
                dispose = frames.subscribe(self.take).dispose
                return dispose, dispose
            case "handler":
                handle = frames.pipe(ops.subscribe_async(self.take_slowly, overflow="latest", report=self.failures.append))
                return handle.dispose, asyncio.create_task(self.wait(handle)).cancel
            case _:
                elements = frames.pipe(ops.to_async_iter(4, "drop_oldest"))
                return elements.close, asyncio.create_task(self.read(elements)).cancel

    async def read(self, elements: Any) -> None:
        with suppress(Broken):
            if self.consumer == "loop":
                async for frame in elements:
                    await self.take_slowly(frame)
            else:
                async with elements:
                    async for frame in elements:
                        await self.take_slowly(frame)

    async def wait(self, handle: Any) -> None:
        with suppress(Broken):
            await handle

    async def main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 60
        loop.set_exception_handler(lambda _, context: self.contexts.append(context))
        frames = ops.from_async_iter(self.ticks).pipe(ops.batch(2, "1h", scheduler=LoopClock(loop)))
        leave, cancel = self.consume(frames)
        await settle(self.moment)
        self.now = True
        match self.end:
            case "loop ends":
                return
            case "leave" | "cancel":
                await settle(1)  # a task that was not begun has asked for nothing yet
                (leave if self.end == "leave" else cancel)()
            case "source is cancelled":
                for other in asyncio.all_tasks():
                    if other.get_name() == "rxfeed from_async_iter":
                        other.cancel()
                await settle()
                leave()  # a cancelled task is no end of a stream, so nobody has heard of it
            case _:
                pass
        with suppress(AssertionError):  # said better by the next line
            await until(lambda: not tasks(), turns=60)
        assert (tasks(), timers(), opened()) == ([], [], [])

    def run(self) -> Scenario:
        asyncio.run(self.main(), debug=True)
        return self

    def check(self) -> None:
        """What was begun has ended, and what went wrong was told once. To be asked after a garbage collection."""
        assert self.begun == self.ended
        wrong = self.end in ("raise", "source fails")
        assert len(self.failures) == (1 if wrong and self.consumer in ("handler", "subscribe") else 0)
        assert len(self.contexts) == (1 if wrong and self.consumer == "plain subscribe" else 0)


if __name__ == "__main__":
    done = [Scenario(*how).run() for how in product(CONSUMERS, ENDS, (0, 1, 6), (0, 1))]
    gc.collect()
    for scenario in done:
        scenario.check()
