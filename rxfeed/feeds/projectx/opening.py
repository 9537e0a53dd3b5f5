"""One connection of a hub as an observable: the life of a connection is the life of one task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.errors import ConnectionLost
from rxfeed.feeds.tasks import Tasks

from .link import Link

OnLost = Callable[[ConnectionLost], object]
Open = Callable[[OnLost], Awaitable[Link]]


def once(open: Open, *, name: str, tasks: Tasks, held: Callable[[], AbstractAsyncContextManager[object]]) -> Observable[Link]:
    """Return an observable that connects when it is subscribed to, emits the open link, and errors when that is lost.

    It never completes and never tries again. Disposing of it closes the connection.

    Args:
        open: connects; is given who must be told of the loss.
        name: what is connected to, for texts.
        tasks: who runs it.
        held: what the connection needs as long as it lives.
    """

    def subscribe(observer: abc.ObserverBase[Link], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        life = tasks.start(_life(observer, open, name, held), f"connection to {name}")
        disposed = False

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() and not disposed:
                observer.on_error(
                    ConnectionLost(f"the connection to {name} was given up, as its task was cancelled", "dropped")
                )

        def dispose() -> None:
            nonlocal disposed
            if not disposed:
                disposed = True
                life.cancel()

        life.add_done_callback(ended)
        return Disposable(dispose)

    return Observable(subscribe)


async def _life(
    observer: abc.ObserverBase[Link], open: Open, name: str, held: Callable[[], AbstractAsyncContextManager[object]]
) -> None:
    from loguru import logger

    async with held():
        link: Link | None = None
        lost: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()

        def on_lost(error: ConnectionLost) -> None:
            if not lost.done():
                lost.set_result(error)

        try:
            link = await open(on_lost)
            logger.info("connected to {}", name)
            observer.on_next(link)
            error: Exception = await lost
            logger.warning("{}", error)
        except Exception as wrong:  # noqa: BLE001  # whatever keeps us from connecting is the stream's error
            told = str(wrong)
            logger.warning("{}", told if name in told else f"no connection to {name}: {told}")
            error = wrong
        finally:
            if link is not None:
                await link.close()
        observer.on_error(error)
