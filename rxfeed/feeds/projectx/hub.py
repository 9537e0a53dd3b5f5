"""One hub of the gateway as streams: however many subscribe, there is one connection, and one subscription of each contract.

The connection is opened when the first stream is subscribed to, and closed when the last one is not any more. When it is lost
every stream ends with that error: whether and when to try again is for whoever stands above.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.clock import Clock
from rxfeed.errors import FeedError
from rxfeed.feeds.tasks import Tasks
from rxfeed.frame import Frame
from rxfeed.runs import RunObservable

from .kinds import Batch, Kind
from .link import Link
from .memory import Memory
from .outlet import Outlet

Topics = Callable[[], Awaitable[list[tuple[str, Any]]]]
"""Finds out what a stream is about: pairs of a key, as elements carry it, and what the hub calls it."""


class HubStats(NamedTuple):
    """What a hub is doing."""

    connected: bool
    streams: int
    """Subscribers."""
    topics: int
    """Subscriptions at the hub: contracts and accounts, by kind."""
    connections: int
    """How many were opened so far."""


class _Topic:
    """A subscription at the hub, with its users."""

    __slots__ = ("arguments", "asked", "users")

    def __init__(self, arguments: tuple[Any, ...], asked: asyncio.Task[None]) -> None:
        self.arguments, self.asked = arguments, asked
        self.users = 1


class Hub:
    """One hub.

    Args:
        name: what it is called.
        connect_once: an observable of one open connection, which errors when that is lost.
        clock: what time it is.
        tasks: of the gateway.
    """

    def __init__(self, name: str, connect_once: Observable[Link], *, clock: Clock, tasks: Tasks) -> None:
        self.name: Final = name
        self._connect_once, self._clock, self._tasks = connect_once, clock, tasks
        self._outlets: dict[Outlet, None] = {}
        self._topics: dict[tuple[str, str], _Topic] = {}
        self._leaving: list[tuple[Kind, str, _Topic]] = []  # of nobody any more, and still to be unsubscribed from
        self._memory = Memory()
        self._connection: abc.DisposableBase | None = None
        self._opened: asyncio.Future[Link] | None = None
        self._connections = 0
        self._closed = False

    @property
    def stats(self) -> HubStats:
        """What it is doing now."""
        connected = self._opened is not None and self._opened.done()
        return HubStats(connected, len(self._outlets), len(self._topics), self._connections)

    @property
    def link(self) -> Link | None:
        """The open connection; None when there is none."""
        return self._opened.result() if self._opened is not None and self._opened.done() else None

    def stream(self, kind: Kind, topics: Topics, name: str, *, frames: bool, everything: bool = False) -> Observable[Any]:
        """Return a stream of the hub.

        Args:
            kind: of what.
            topics: finds out what it is about, when it is subscribed to.
            name: what it is called, in the names of tasks.
            frames: whether its elements are frames.
            everything: whether all of its kind is taken, and not only what is about its topics.
        """

        def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            outlet = Outlet(kind, observer, frames=frames, on_end=self._left)
            if self._closed:
                raise RuntimeError(f"{self.name} is closed")
            attaching = self._tasks.start(self._attach(outlet, topics, everything=everything), name)
            self._outlets[outlet] = None

            def dispose() -> None:
                outlet.close()
                attaching.cancel()
                self._left(outlet)

            return Disposable(dispose)

        return RunObservable(subscribe)

    def close(self) -> None:
        """Complete all streams and disconnect."""
        self._closed = True
        outlets, self._outlets = self._outlets, {}
        self._disconnect()
        for outlet in outlets:
            outlet.complete()

    async def _attach(self, outlet: Outlet, topics: Topics, *, everything: bool) -> None:
        """Find out what an outlet is about, connect, and subscribe to what nobody is subscribed to yet."""
        try:
            found = await topics()
            link = await asyncio.shield(self._linked())
            if outlet.over:
                return
            joined = [self._join(outlet.kind, link, key, called) for key, called in found]
            outlet.attend(found, everything=everything)
            for (key, _), (_, before) in zip(found, joined, strict=True):
                if before:
                    outlet.replay(self._memory.of(outlet.kind, key, self._clock.now), Frame.of)
            # All are awaited, whichever fails, so that none is left to fail unheard.
            results = await asyncio.gather(*(asyncio.shield(asked) for asked, _ in joined), return_exceptions=True)
            failed = next((result for result in results if isinstance(result, BaseException)), None)
            if failed is not None:
                raise failed
        except asyncio.CancelledError:
            self._left(outlet)
            raise
        except Exception as error:  # noqa: BLE001  # a stream that cannot start says so, whatever it is
            self._fail(outlet, error)

    def _join(self, kind: Kind, link: Link, key: str, called: Any) -> tuple[asyncio.Task[None], bool]:
        """Use a subscription at the hub, which is made by the first; return its making, and whether it was there before."""
        topic = self._topics.get((kind.name, key))
        if topic is not None:
            topic.users += 1
            return topic.asked, True
        self._memory.forget(kind, key)  # what came between the last one's leaving and the hub's knowing of it
        arguments = () if called is None else (called,)
        asked = self._tasks.start(link.subscribe(kind, *arguments), f"subscribe {kind.name} {key}", heard=True)
        self._topics[kind.name, key] = _Topic(arguments, asked)
        return asked, False

    def _linked(self) -> asyncio.Future[Link]:
        """Return the connection that is or will be open; the same for all who ask meanwhile."""
        if self._opened is not None:
            return self._opened
        opened = self._opened = asyncio.get_running_loop().create_future()
        opened.add_done_callback(_retrieved)

        def on_next(link: Link) -> None:
            self._connections += 1
            self._memory = Memory()
            link.to(self._route)
            if not opened.done():
                opened.set_result(link)

        def on_error(error: Exception) -> None:
            if not opened.done():
                opened.set_exception(error)
            if self._opened is opened:
                self._lost(error)

        self._connection = self._connect_once.subscribe(on_next, on_error)
        return opened

    def _route(self, kind: Kind, batch: Batch) -> None:
        self._memory.take(kind, batch)
        for outlet in [outlet for outlet in self._outlets if outlet.kind is kind]:
            outlet.give(batch)

    def _lost(self, error: Exception) -> None:
        self._opened = self._connection = None
        self._topics.clear()
        self._leaving.clear()
        outlets, self._outlets = self._outlets, {}
        for outlet in outlets:
            outlet.error(error)

    def _fail(self, outlet: Outlet, error: Exception) -> None:
        self._left(outlet)
        outlet.error(error)

    def _left(self, outlet: Outlet) -> None:
        """Take an outlet out; unsubscribe from what nobody is subscribed to any more, and disconnect after the last."""
        if outlet not in self._outlets:
            return
        del self._outlets[outlet]
        for key, _ in outlet.topics:
            topic = self._topics.get((outlet.kind.name, key))
            if topic is None:
                continue
            topic.users -= 1
            if topic.users == 0:
                del self._topics[outlet.kind.name, key]
                self._memory.forget(outlet.kind, key)
                self._leaving.append((outlet.kind, key, topic))
        if self._outlets:
            self._leave()
        elif self._opened is not None:
            # In the loop's next turn, so that whoever goes from one stream to another keeps the connection.
            loop = self._opened.get_loop()
            if not loop.is_closed():
                loop.call_soon(self._disconnect)

    def _leave(self) -> None:
        leaving, self._leaving = self._leaving, []
        link = self.link
        if link is not None:
            for kind, key, topic in leaving:
                self._tasks.start(self._unsubscribe(link, kind, topic), f"unsubscribe {kind.name} {key}")

    async def _unsubscribe(self, link: Link, kind: Kind, topic: _Topic) -> None:
        try:
            await link.unsubscribe(kind, *topic.arguments)
        except FeedError as error:
            from loguru import logger

            logger.warning("{}", error)

    def _disconnect(self) -> None:
        if self._outlets:
            self._leave()
            return
        if self._connection is None:
            return
        opened, connection = self._opened, self._connection
        self._opened = self._connection = None
        self._topics.clear()
        self._leaving.clear()
        if opened is not None:
            opened.cancel()
        connection.dispose()


def _retrieved(future: asyncio.Future[Link]) -> None:
    # Whoever waited has the error; that nobody waits any more is no reason to complain.
    if not future.cancelled():
        future.exception()
