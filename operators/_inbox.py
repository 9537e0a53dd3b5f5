"""Where a stream that pushes meets a task that pulls: input only enqueues, and the task takes when it gets its turn."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from reactivex import Observable, abc

from rxfeed.kernels.buffer import Buffer, BufferStats
from rxfeed.kernels.pressure.backlog import PressureStats
from rxfeed.kernels.pressure.ends import OneByOne
from rxfeed.overflow import Blocking, Overflowing

from ._loop import Fair, running_loop
from ._reading import Reading
from ._upstream import Upstream

T = TypeVar("T")


class Inbox(Generic[T]):
    """One subscription's backlog and how it ended. Nothing in it refers to the consumer, so that one can be forgotten.

    Args:
        buffer: what waits.
        who: the operator, for error texts.
        overflow: the policy, which may have the source stop reading.
        capacity: likewise.
    """

    __slots__ = ("_buffer", "_ended", "_error", "_fair", "_loop", "_reading", "_upstream", "_waiter")

    def __init__(self, buffer: Buffer[T] | OneByOne[T], who: str, overflow: Overflowing = "error", capacity: int = 1) -> None:
        self._buffer = buffer
        self._loop = running_loop(who)
        self._reading: Reading | None = None
        if isinstance(overflow, Blocking):
            self._reading = Reading(overflow, capacity, self._loop, lambda: None)
        self._fair = Fair(self._loop)
        self._upstream = Upstream()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None

    @property
    def stats(self) -> BufferStats | PressureStats:
        return self._buffer.stats

    def open(self, source: Observable[T], scheduler: abc.SchedulerBase | None) -> None:
        """Subscribe to the source."""
        self._upstream.open(source, self._on_next, self._end, self._end, scheduler)

    def close(self) -> None:
        """Let go of the source and of what waits; who awaits an element learns that there is none."""
        self._buffer.clear()
        self._error = None
        self._end()
        self._upstream.close()

    async def take(self) -> T:
        """Return the next element, when there is one. One task at a time may wait here.

        Raises:
            StopAsyncIteration: the source has completed, or this was closed.
            Exception: the source's error, behind the backlog.
        """
        if self._fair.spent():
            await self._fair.give_way()
        while not self._buffer:
            if self._ended:
                raise StopAsyncIteration if self._error is None else self._error
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
            self._fair.begin()
        element = self._buffer.take()
        if self._reading is not None:
            self._reading.less(self._load)
        return element

    @property
    def _load(self) -> int:
        return self._buffer.load if isinstance(self._buffer, OneByOne) else len(self._buffer)

    def _on_next(self, element: T) -> None:
        if self._ended:
            return
        try:
            taken = self._buffer.put(element)
        except Exception as error:  # an element that the policy cannot take
            self._end(error)
            self._upstream.close()
            return
        if self._reading is not None:
            self._reading.more(self._load)
        if not taken:
            self._end(self._buffer.error())
            self._upstream.close()
        elif self._waiter is not None:
            self._wake()

    def _end(self, error: Exception | None = None) -> None:
        if not self._ended:
            self._ended = True
            self._error = error
            if self._reading is not None:
                self._reading.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and not self._loop.is_closed():
            self._waiter.set_result(None)
