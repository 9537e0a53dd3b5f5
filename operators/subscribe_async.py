"""A handler that awaits (a database, an order, a message) must not hold up the feed, so it gets a backlog of its own. A slow
one slows only itself, and what may wait and what may be lost is decided beforehand.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar, cast

from reactivex import Observable, abc

from rxfeed.breaker import Breaker
from rxfeed.failures import Report, Where, stage_of, tell
from rxfeed.kernels.buffer import BufferStats
from rxfeed.kernels.pressure.backlog import PressureStats
from rxfeed.kernels.pressure.ends import check_end, waiting
from rxfeed.overflow import Overflowing
from rxfeed.scheduler import Timed

from ._guard import Guarded, GuardStats, check_guard, guarded
from ._inbox import Inbox
from ._loop import running_loop
from ._upstream import scheduler_of

T = TypeVar("T")


class AsyncSubscription(abc.DisposableBase):
    """What `subscribe_async` returns: disposable, and awaitable until its end. One task runs the handlers."""

    def __init__(
        self, on_next: Callable[[Any], Awaitable[object]], on_error: Callable[[Exception], object] | None,
        on_completed: Callable[[], object] | None, *, stage: str, report: Report | None, capacity: int,
        overflow: Overflowing, guard: Guarded | None = None,
    ) -> None:  # fmt: skip
        self._guard, on_next = guard, guard.handle_async if guard is not None else on_next
        self._on_next, self._on_error, self._on_completed = on_next, on_error, on_completed
        self._stage, self._report, self._buffer = stage, report, waiting(capacity, overflow)
        self._loop = running_loop("subscribe_async")
        self._inbox = Inbox(self._buffer, "subscribe_async", overflow, capacity)
        self._disposed = self._handling = False
        self._task = self._loop.create_task(self._run(), name=f"rxfeed subscribe_async {stage}")
        self._task.add_done_callback(self._done)

    @property
    def stats(self) -> BufferStats | PressureStats:
        """Elements, or ticks, by what became of them: received = emitted + dropped + pending (and + conflated)."""
        return self._buffer.stats

    @property
    def guarded(self) -> GuardStats | None:
        """What became of the elements that were taken from the backlog, where there is a `guard`."""
        return self._guard.stats if self._guard is not None else None

    @property
    def is_disposed(self) -> bool:
        """Whether it is over: completed, failed or disposed of."""
        return self._disposed or self._task.done()

    def open(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> AsyncSubscription:
        """Subscribe to the source."""
        self._inbox.open(source, scheduler)
        return self

    def dispose(self) -> None:
        """Let go of the source, drop what waits, and cancel the handler, unless it is the handler itself that calls this."""
        self._disposed = True
        self._inbox.close()
        if not self._handling or self._loop.is_closed() or asyncio.current_task(self._loop) is self._task:
            return
        if not self._task.cancelling():  # again would cut short the handler's own clean-up
            self._task.cancel()

    def __await__(self) -> Generator[Any, None, None]:
        return self._task.__await__()

    async def _run(self) -> None:
        error = await self._handled()
        if error is not None:
            raise error

    async def _handled(self) -> Exception | None:
        """Handle elements until the end, and return the error that it was, if any."""
        while True:
            try:
                element = await self._inbox.take()
            except StopAsyncIteration:
                if self._disposed or self._on_completed is None:
                    return None
                return await self._call("on_completed", self._on_completed)
            except Exception as error:
                return await self._end_with(error)
            if wrong := await self._call("on_next", self._on_next, element):
                return wrong

    async def _end_with(self, error: Exception) -> Exception:
        if self._on_error is not None:
            return await self._call("on_error", self._on_error, error) or error
        tell(self._report, self._stage, "source", error)
        return error

    async def _call(self, where: Where, handler: Callable[..., object], *args: Any) -> Exception | None:
        """Call a handler and return what went wrong; only `on_next` must return something to await."""
        self._handling = True
        try:
            result = handler(*args)
            if where == "on_next" or inspect.isawaitable(result):
                await cast("Awaitable[object]", result)
        except asyncio.CancelledError as error:
            if self._disposed:
                return None
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            wrong: Exception = RuntimeError("what the handler awaited was cancelled, but nobody had cancelled the handler")
            wrong.__cause__ = error
        except Exception as error:
            wrong = error
        else:
            return None
        finally:
            self._handling = False
        self._inbox.close()
        if where == "on_error" and wrong is not args[0] and wrong.__context__ is None:
            wrong.__context__ = args[0]  # what it was called for is to be read as well
        tell(self._report, self._stage, where, wrong, args[0] if where == "on_next" else None)
        return wrong

    def _done(self, task: asyncio.Task[None]) -> None:
        self._inbox.close()  # also when it was cancelled before its first step
        if self._guard is not None:
            self._guard.close()
        if not task.cancelled():
            task.exception()  # was told already, so it is no loss if nobody awaits this


def subscribe_async(
    handler: Callable[[T], Awaitable[object]],
    *,
    capacity: int = 1024,
    overflow: Overflowing = "error",
    on_error: Callable[[Exception], object] | None = None,
    on_completed: Callable[[], object] | None = None,
    name: str | None = None,
    report: Report | None = None,
    guard: Breaker | None = None,
    fallback: Callable[[T], object] | None = None,
    scheduler: Timed = None,
) -> Callable[[Observable[T]], AsyncSubscription]:
    """Await a handler for each element, one after another, at the end of a pipeline.

        --a--b--c--|
        subscribe_async(save)
        --a--b--c--|

    A handler that raises ends its own subscription, and nothing goes up into the source, as with `subscribe`. `await` on
    what this returns waits for the end; who is cancelled there cancels the subscription, as with a task.

    Args:
        handler: called with each element, and awaited before the next one.
        capacity: elements that may wait, 1 or more; a frame is one element. A replay without `speed` emits everything before
            the handler runs, so give it a capacity for all of it (nothing is reserved), or a `speed` it keeps up with.
        overflow: what an element meets when `capacity` wait. "error": the backlog is handled, then the stream has failed
            with `Overflow`. "drop_oldest" and "drop_latest" lose the oldest or the new one. "latest": only the newest waits.
            Or "newest" of bars, or `conflate`, `sample` or `block` of `rxfeed.overflow`: then `capacity` counts as that of
            `backpressure` does, and with `conflate` the handler gets partial bars among the ticks.
        on_error: called, and awaited if it can be, with the error that the stream ends with. Without it that is told.
        on_completed: likewise when the stream has completed.
        name: what the failure and the task call this stage; by default the handler's qualified name.
        report: called with the `rxfeed.Failure`; by default it is one error record of loguru.
        guard: a `Breaker`, by default none: a raise is then counted and told, and the subscription goes on; when the breaker
            opens, the handler is cut off, and tried again after the open wait. `guarded` of what this returns counts.
        fallback: called, and awaited if it can be, with the elements for which the handler is cut off; without it they are
            dropped.
        scheduler: handed to the source with the subscription; a clock will do.

    Returns:
        A pipeline's end: from a stream to a disposable with `stats`. Awaiting it raises what ended it: the stream's error or
        the handler's; nothing after completion and `dispose`.

    Raises:
        TypeError: the handler cannot be called; a guard that is no breaker.
        ValueError: a capacity below 1, an unknown policy, or a fallback without a guard.
        RuntimeError: no asyncio loop runs (when it is subscribed).

    Ends: with the source, behind the backlog, or with the first failure that is not guarded against. Disposing cancels the
    handler where it awaits.
    Drops: what overflows, by policy, and the backlog when it is disposed of or the handler fails; `stats` counts both.
    Clock: none; the asyncio loop's own time, to give way to others after 2 ms of elements that were there already.
    """
    check_end(capacity, overflow)
    check_guard(guard, fallback)
    if not callable(handler):
        raise TypeError(f"handler must be an async function, got {type(handler).__name__}")
    stage, given = name if name is not None else stage_of(handler), scheduler_of(scheduler)

    def end(source: Observable[T]) -> AsyncSubscription:
        guards = guarded(handler, guard, fallback, stage=stage, report=report)
        made = AsyncSubscription(
            handler, on_error, on_completed, stage=stage, report=report, capacity=capacity, overflow=overflow, guard=guards
        )
        return made.open(source, given)

    return end
