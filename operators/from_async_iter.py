"""Much of what a feed could come from is an async iterator: a socket's messages, a paged download, somebody's generator.
As a source it needs an owner, since an iteration that nobody ends leaves a task and an open generator behind.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import AsyncGeneratorType
from typing import Any, Final, TypeVar, cast

from reactivex import Observable, abc

from ._loop import Fair, running_loop

T = TypeVar("T")

_NAME: Final = "rxfeed from_async_iter"


class _Iteration(abc.DisposableBase):
    """One subscription and its task."""

    __slots__ = ("_closing", "_disposed", "_emitting", "_loop", "_make", "_observer", "_task")

    def __init__(self, make: Callable[[], object], observer: abc.ObserverBase[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._make, self._observer, self._loop = make, observer, loop
        self._disposed = self._emitting = self._closing = False
        self._task = loop.create_task(self._run(), name=_NAME)

    def dispose(self) -> None:
        self._disposed = True
        # Inside an element the task sees it by itself, and where it is ending already, to cancel it (again) would only cut
        # short the generator's own clean-up.
        if not (self._emitting or self._closing or self._task.cancelling() or self._loop.is_closed()):
            self._task.cancel()

    async def _run(self) -> None:
        error = await self._iterate()
        if self._disposed:
            return
        if error is None:
            self._emit(self._observer.on_completed)
        else:
            self._emit(self._observer.on_error, error)

    async def _iterate(self) -> Exception | None:
        """Emit until the end, and return the error that it was, if any. The iterator is closed then."""
        iterator: AsyncIterator[Any] | None = None
        try:
            iterator = aiter(_iterable(self._make()))
            step, emit, fair = iterator.__anext__, self._observer.on_next, Fair(self._loop)
            while not self._disposed:
                try:
                    element = await step()
                except StopAsyncIteration:
                    break
                self._emit(emit, element)  # to nobody, if the generator has caught its cancellation and gone on
                if fair.spent():
                    await fair.give_way()
        except asyncio.CancelledError as error:
            if self._disposed:
                return None
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            cancelled = RuntimeError("from_async_iter: the iterator raised CancelledError, but nobody had cancelled it")
            cancelled.__cause__ = error
            return cancelled
        except Exception as error:
            return error
        finally:
            self._closing = True
            await self._close(iterator)
        return None

    def _emit(self, call: Callable[..., None], *args: Any) -> None:
        self._emitting = True
        try:
            call(*args)
        except (Exception, asyncio.CancelledError) as error:
            self._disposed = True
            self._wrong("a subscriber raised, which ends its subscription", error)
        finally:
            self._emitting = False

    async def _close(self, iterator: AsyncIterator[Any] | None) -> None:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            try:
                await aclose()
            except Exception as error:
                self._wrong("the iterator raised while it was closed", error)

    def _wrong(self, text: str, error: BaseException) -> None:
        """There is nobody above a task to raise to."""
        self._loop.call_exception_handler({"message": f"{_NAME}: {text}", "exception": error})


def from_async_iter(source: AsyncIterable[T] | Callable[[], AsyncIterable[T]]) -> Observable[T]:
    """Emit what an async iterable yields; each subscription iterates by itself, in one task.

        --a--b--c--|
        from_async_iter()
        --a--b--c--|

    Args:
        source: an async iterable, or a function that makes one. What can be iterated only once, such as an async generator
            that was called already, can be subscribed to only once: give the function instead, `from_async_iter(messages)`.

    Returns:
        A source, to be subscribed to where an asyncio loop runs.

    Raises:
        TypeError: `source` is neither.
        RuntimeError: to `on_error`: no loop runs, or it is the second subscription to what can be iterated once.

    Ends: with the iterable, completion or error, after its iterator was closed. Disposing cancels the task and closes the
        iterator, so that its `finally` runs; so does a subscriber that raises, which the loop's exception handler hears of.
        Cancellation from outside, as when the loop ends, closes it likewise and emits nothing.
    Drops: nothing.
    Clock: none; the asyncio loop's own time, to give way to others after 2 ms of elements that were there already.
    """
    make = _maker(source)
    once, used = isinstance(source, AsyncIterator), False

    def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        nonlocal used
        loop = running_loop("from_async_iter")
        if used or _is_over(source):
            raise RuntimeError(
                f"from_async_iter: this {type(source).__name__} was iterated already, and can be only once; "
                "give the function that makes it instead"
            )
        used = once
        return _Iteration(make, observer, loop)

    return Observable(subscribe)


def _maker(source: object) -> Callable[[], object]:
    if isinstance(source, AsyncIterable):
        iterable = cast("object", source)
        return lambda: iterable
    if callable(source):
        return source
    raise TypeError(f"from_async_iter takes an async iterable or a function that makes one, got {type(source).__name__}")


def _is_over(source: object) -> bool:
    return isinstance(source, AsyncGeneratorType) and source.ag_frame is None


def _iterable(made: object) -> AsyncIterable[Any]:
    if isinstance(made, AsyncIterable):
        return made  # pyright: ignore[reportUnknownVariableType]
    if inspect.iscoroutine(made):
        made.close()
    raise TypeError(f"from_async_iter: the function must return an async iterable, got {type(made).__name__}")
