"""In a notebook or an async function a stream is easiest to use with `async for`. The source pushes and the loop pulls, so
what the loop has not taken yet waits in between: bounded, counted, and with a say in what happens when it is too much.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from reactivex import Observable, abc

from rxfeed.kernels.buffer import Buffer, BufferStats
from rxfeed.kernels.pressure.backlog import PressureStats
from rxfeed.kernels.pressure.ends import OneByOne, check_end, waiting
from rxfeed.model import Bar, Tick
from rxfeed.overflow import Block, BlockThenConflate, Conflate, Overflowing, Sample, Simple
from rxfeed.scheduler import Timed

from ._inbox import Inbox
from ._upstream import scheduler_of

T = TypeVar("T")


class AsyncIter(AsyncIterable[T], Generic[T]):
    """What `to_async_iter` returns: one subscription, made when it is first asked for an element or entered."""

    def __init__(
        self, source: Observable[Any], capacity: int, overflow: Overflowing, scheduler: abc.SchedulerBase | None
    ) -> None:
        self._source = source
        self._buffer: Buffer[T] | OneByOne[T] = waiting(capacity, overflow)
        self._capacity = capacity
        self._overflow: Overflowing = overflow
        self._scheduler = scheduler
        self._inbox: Inbox[T] | None = None
        self._entered = self._looping = self._waiting = self._closed = False

    @property
    def stats(self) -> BufferStats | PressureStats:
        """Elements, or ticks, by what became of them: received = emitted + dropped + pending (and + conflated)."""
        return self._buffer.stats

    def __aiter__(self) -> AsyncIterator[T]:
        if self._entered:
            return self
        if self._closed or self._looping:
            state = "is over, and its subscription with it" if self._closed else "has a loop already"
            raise RuntimeError(f"this to_async_iter {state}; pipe the source again, or keep it open over loops by async with")
        self._looping = True
        return _Loop(self)

    async def __anext__(self) -> T:
        if self._closed:
            raise StopAsyncIteration
        if self._waiting:
            raise RuntimeError("to_async_iter serves one task at a time, and another one is waiting for the next element")
        self._waiting = True
        try:
            return await (self._inbox or self._open()).take()
        except asyncio.CancelledError:
            if not self._entered:  # else the block decides, so that a wait may have a timeout
                self.close()
            raise
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = False

    async def __aenter__(self) -> Self:
        if self._closed:
            raise RuntimeError("this to_async_iter is over, and its subscription with it; pipe the source again")
        self._entered = True
        if self._inbox is None:
            self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered = False
        self.close()

    async def aclose(self) -> None:
        """Let go of the source, and drop what waits. Again is nothing."""
        self.close()

    def close(self) -> None:
        """Do what `aclose` does; it waits for nothing."""
        self._closed = True
        if self._inbox is not None:
            self._inbox.close()

    def __del__(self) -> None:
        if self._inbox is not None and not self._closed:
            text = f"unclosed {self!r}: use async for, async with or aclose()"
            warnings.warn(text, ResourceWarning, stacklevel=2, source=self)
            self.close()

    def _open(self) -> Inbox[T]:
        inbox = self._inbox = Inbox(self._buffer, "to_async_iter", self._overflow, self._capacity)
        inbox.open(self._source, self._scheduler)
        return inbox


class _Loop(AsyncIterator[T], Generic[T]):
    """One `async for`. Python tells nobody that a loop was left by `break`, but it does let go of this."""

    __slots__ = ("_of",)

    def __init__(self, of: AsyncIter[T]) -> None:
        self._of = of

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._of.__anext__()

    def __del__(self) -> None:
        self._of.close()


@overload
def to_async_iter(
    capacity: int, overflow: Conflate | BlockThenConflate, *, scheduler: Timed = ...
) -> Callable[[Observable[Tick]], AsyncIter[Tick | Bar]]: ...
@overload
def to_async_iter(
    *, overflow: Conflate | BlockThenConflate, scheduler: Timed = ...
) -> Callable[[Observable[Tick]], AsyncIter[Tick | Bar]]: ...
@overload
def to_async_iter(
    capacity: int = ..., overflow: Simple | Sample | Block = ..., *, scheduler: Timed = ...
) -> Callable[[Observable[T]], AsyncIter[T]]: ...
def to_async_iter(
    capacity: int = 1024, overflow: Overflowing = "error", *, scheduler: Timed = None
) -> Callable[[Observable[Any]], AsyncIter[Any]]:
    """Turn the stream into an async iterator, at the end of a pipeline: `async for bar in ticks.pipe(..., to_async_iter())`.

        --a--b--c--|
        to_async_iter()
        --a--b--c--|

    It subscribes when the first element is asked for, or at `async with`. The loop that is left, also by `break` or
    cancellation, lets go of the source; inside `async with` the block does, and one loop goes on where the one before
    stopped. A second loop without `async with` is an error.

    Args:
        capacity: elements that may wait, 1 or more; a frame is one element. A replay without `speed` emits everything before
            the loop takes anything, so give it a capacity for all of it (nothing is reserved), or a `speed` it keeps up with.
        overflow: what an element meets when `capacity` wait. "error": the backlog still comes, then `Overflow`. "drop_oldest"
            and "drop_latest" lose the oldest or the new one. "latest": only the newest ever waits. Or "newest" of bars, or
            `conflate`, `sample` or `block` of `rxfeed.overflow`: then `capacity` counts as that of `backpressure` does.
        scheduler: handed to the source with the subscription; a clock will do.

    Returns:
        A pipeline's end: from a stream to an async iterator with `aclose()`, `async with` and `stats`.

    Raises:
        ValueError: a capacity below 1, or an unknown policy.
        RuntimeError: no asyncio loop runs (when it is iterated).
        Overflow: in the loop that iterates.

    Ends: with the source, behind the backlog; its error is raised in the loop.
    Drops: what overflows, by policy, and the backlog when the loop is left; `stats` counts both.
    Clock: none; the asyncio loop's own time, to give way to others after 2 ms of elements that were there already.
    """
    check_end(capacity, overflow)
    given = scheduler_of(scheduler)
    return lambda source: AsyncIter(source, capacity, overflow, given)
