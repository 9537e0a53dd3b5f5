"""A subscriber that raises must cost nobody but itself. In plain reactivex its error goes up into the source: it stops the
feed or the other subscribers, or ends in an asyncio timer, where the stream falls silent and nobody hears why.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

from reactivex import Observable, abc

from rxfeed.breaker import Breaker
from rxfeed.failures import Report, Where, stage_of, tell
from rxfeed.scheduler import Timed

from ._guard import Guarded, GuardStats, check_guard, guarded
from ._upstream import Upstream, scheduler_of

T = TypeVar("T")
Call = Callable[..., object]


class Subscription(abc.DisposableBase):
    """What `subscribe` returns: it stands between a source and handlers that may raise."""

    __slots__ = (
        "_busy", "_ended", "_guard", "_on_completed", "_on_error", "_on_next", "_report", "_stage", "_upstream", "_waiting",
    )  # fmt: skip

    def __init__(
        self, on_next: Call, on_error: Call | None, on_completed: Call | None, stage: str, report: Report | None,
        guard: Guarded | None = None,
    ) -> None:  # fmt: skip
        self._on_next, self._on_error, self._on_completed = guard.handle if guard else on_next, on_error, on_completed
        self._guard = guard
        self._stage, self._report = stage, report
        self._upstream = Upstream()
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = self._ended = False

    @property
    def is_disposed(self) -> bool:
        """Whether it is over: completed, failed or disposed of."""
        return self._ended

    @property
    def guarded(self) -> GuardStats | None:
        """What became of the elements, where there is a `guard`."""
        return self._guard.stats if self._guard is not None else None

    def dispose(self) -> None:
        """End it, from anywhere; what waits is dropped, and no handler is called again."""
        self._ended = self._busy = True
        self._waiting.clear()
        if self._guard is not None:
            self._guard.close()
        self._upstream.close()

    def open(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> Subscription:
        """Subscribe to the source."""
        self._upstream.open(source, self._next, self._error, self._complete, scheduler)
        return self

    def _next(self, element: Any) -> None:
        if self._busy:  # also when it has ended
            if not self._ended:
                self._waiting.append(lambda: self._handle(element))
            return
        self._busy = True
        try:
            self._on_next(element)
        except BaseException as error:
            self._failed("on_next", error, element)
        self._busy = self._ended
        if self._waiting:
            self._go()

    def _error(self, error: Exception) -> None:
        self._waiting.append(lambda: self._end_with(error))
        self._go()

    def _complete(self) -> None:
        self._waiting.append(self._end)
        self._go()

    def _go(self) -> None:
        if self._busy:
            return
        self._busy = True
        while self._waiting and not self._ended:
            self._waiting.popleft()()
        self._busy = self._ended

    def _handle(self, element: Any) -> None:
        try:
            self._on_next(element)
        except BaseException as error:
            self._failed("on_next", error, element)

    def _end_with(self, error: Exception) -> None:
        self._release()
        if self._on_error is None:
            tell(self._report, self._stage, "source", error)
            return
        try:
            self._on_error(error)
        except BaseException as wrong:
            if wrong is not error and wrong.__context__ is None:
                wrong.__context__ = error  # what it was called for is to be read as well
            self._failed("on_error", wrong)

    def _end(self) -> None:
        self._release()
        if self._on_completed is not None:
            try:
                self._on_completed()
            except BaseException as error:
                self._failed("on_completed", error)

    def _failed(self, where: Where, error: BaseException, element: object = None) -> None:
        self._release()
        if not isinstance(error, Exception):
            raise error
        tell(self._report, self._stage, where, error, element)

    def _release(self) -> None:
        try:
            self.dispose()
        except Exception as error:
            tell(self._report, self._stage, "dispose", error)


def subscribe(
    on_next: Callable[[T], object] | abc.ObserverBase[T],
    on_error: Callable[[Exception], object] | None = None,
    on_completed: Callable[[], object] | None = None,
    *,
    name: str | None = None,
    report: Report | None = None,
    guard: Breaker | None = None,
    fallback: Callable[[T], object] | None = None,
    scheduler: Timed = None,
) -> Callable[[Observable[T]], Subscription]:
    """Hand each element to a handler, at the end of a pipeline: `ticks.pipe(ops.bars("1m"), ops.subscribe(print))`.

        --a--b--c--|
        subscribe(print)
        --a--b--c--|

    A handler that raises ends its own subscription: the source is let go of first, then the failure is told once, with
    its traceback. Nothing goes up into the source, so other subscribers and the feed go on. `KeyboardInterrupt`,
    `SystemExit` and `CancelledError` end it too, and are raised.

    With a guard each element is a call that the breaker counts. A raise is told, and the subscription goes on; when the breaker
    opens, the handler is cut off, and tried again after the open wait.

    Args:
        on_next: called with each element; or an observer.
        on_error: called with the error that the stream ends with. Without it that is told like a handler's own failure.
        on_completed: called when the stream has completed.
        name: what the failure calls this stage; by default the handler's qualified name.
        report: called with the `rxfeed.Failure`: stage, error, traceback as text, element. By default it is one error record
            of loguru, without values of variables. If it raises, that record says so. With a guard it hears of each raise,
            and without it the first three of a minute are logged.
        guard: a `Breaker`, by default none; who shares one is cut off together. `guarded` of what this returns counts.
        fallback: called with the elements for which the handler is cut off; without it they are dropped.
        scheduler: handed to the source with the subscription; a clock will do.

    Returns:
        A pipeline's end: from a stream to a disposable.

    Raises:
        TypeError: `on_next` is no function or observer, or a coroutine function; an observer with handlers beside it; a guard
            that is no breaker.
        ValueError: a fallback without a guard.

    Ends: with the source, or with the first failure that is not guarded against, the fallback's for one; the source is let go
    of before any handler hears of the end.
    Drops: nothing without a guard, and with one what comes while the handler is cut off, if there is no fallback. Elements that
    a handler itself feeds back wait until it has returned, and are dropped if it raises and has no guard.
    Clock: none; a guard has its own.
    """
    check_guard(guard, fallback)
    stage, given = name if name is not None else stage_of(on_next), scheduler_of(scheduler)
    handlers = _handlers(on_next, on_error, on_completed)

    def end(source: Observable[T]) -> Subscription:
        guards = guarded(handlers[0], guard, fallback, stage=stage, report=report)
        return Subscription(*handlers, stage, report, guards).open(source, given)

    return end


def _handlers(on_next: Any, on_error: Call | None, on_completed: Call | None) -> tuple[Call, Call | None, Call | None]:
    if isinstance(on_next, abc.ObserverBase):
        if on_error is not None or on_completed is not None:
            raise TypeError("an observer has an on_error and on_completed of its own; give it alone")
        observer = cast("abc.ObserverBase[Any]", on_next)
        return observer.on_next, observer.on_error, observer.on_completed
    if not callable(on_next):
        raise TypeError(f"on_next must be a function or an observer, got {type(on_next).__name__}")
    if inspect.iscoroutinefunction(on_next):
        raise TypeError(f"{stage_of(on_next)} is a coroutine function, and nobody would await it: use subscribe_async")
    return on_next, on_error, on_completed
