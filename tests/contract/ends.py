"""The async boundaries and the ends of pipelines, each with its other half, so that they look like operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed import operators as ops

from .stage import Boom


class Subscribed:
    """`subscribe`, with an observer behind it."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.args, self.more = args, more
        self.told: list[Any] = []

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            end = ops.subscribe(
                observer.on_next, observer.on_error, observer.on_completed, report=self.told.append, scheduler=scheduler
            )
            return end(source)

        return Observable(subscribe)


class Awaited:
    """`subscribe_async`, with an observer behind a handler that gives way."""

    def __init__(self, **more: Any) -> None:
        self.more = more
        self.told: list[Any] = []
        self.newest: Any = None

    @property
    def stats(self) -> Any:
        return self.newest.stats if self.newest is not None else ops.to_async_iter()(Observable()).stats

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            async def handle(element: Any) -> None:
                await asyncio.sleep(0)
                observer.on_next(element)

            end = ops.subscribe_async(
                handle, on_error=observer.on_error, on_completed=observer.on_completed, report=self.told.append,
                scheduler=scheduler, **self.more,
            )  # fmt: skip
            self.newest = end(source)
            return self.newest

        return Observable(subscribe)


class Looped:
    """`to_async_iter`, with a loop that feeds an observer."""

    def __init__(self, **more: Any) -> None:
        self.more = more
        self.told: list[Any] = []
        self.newest: Any = ops.to_async_iter()(Observable())

    @property
    def stats(self) -> Any:
        return self.newest.stats

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            elements = self.newest = ops.to_async_iter(scheduler=scheduler, **self.more)(source)
            task = asyncio.get_running_loop().create_task(self.read(elements, observer))

            def leave() -> None:
                elements.close()
                task.cancel()

            return Disposable(leave)

        return Observable(subscribe)

    async def read(self, elements: Any, observer: abc.ObserverBase[Any]) -> None:
        try:
            async for element in elements:
                observer.on_next(element)
        except Boom as error:
            self.told.append(error)
        except Exception as error:
            observer.on_error(error)
        else:
            observer.on_completed()


def iterated(source: Observable[Any]) -> Observable[Any]:
    """`from_async_iter`, of a generator that is fed by a stream."""

    async def elements() -> AsyncIterator[Any]:
        queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        subscription = source.subscribe(
            lambda element: queue.put_nowait(("next", element)),
            lambda error: queue.put_nowait(("error", error)),
            lambda: queue.put_nowait(("completed", None)),
        )
        try:
            while True:
                kind, value = await queue.get()
                if kind == "completed":
                    return
                if kind == "error":
                    raise value
                yield value
        finally:
            subscription.dispose()

    return ops.from_async_iter(elements)
