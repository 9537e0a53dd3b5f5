"""One hub of the gateway as streams: however many subscribe, there is one connection, and one subscription of each contract.

The connection is opened when the first stream is subscribed to, and closed when the last one is not any more. A supervisor
gets it back when it is lost; streams live on meanwhile, and end with an error only when it gives up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.clock import Clock
from rxfeed.errors import InvocationFailed
from rxfeed.events import Event
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.signalr import ConnectionStats
from rxfeed.feeds.supervisor import Request
from rxfeed.feeds.tasks import Tasks
from rxfeed.frame import Frame
from rxfeed.retrying import Tries
from rxfeed.runs import RunObservable

from .flow import Flow
from .interruptions import Interruptions
from .kinds import Batch, HubName, Kind
from .link import Counters, Link
from .outlet import Outlet
from .subscriptions import Subscriptions
from .topics import Topic, Topics
from .upkeep import Upkeep
from .wanted import Wanted, found


class HubStats(NamedTuple):
    """What a hub is doing."""

    connected: bool
    streams: int
    """Subscribers."""
    topics: int
    """Subscriptions at the hub: contracts and accounts, by kind."""
    connections: int
    """How many were opened so far."""
    connection: ConnectionStats | None = None
    """Of the one that is open."""


class Hub:
    """One hub.

    Args:
        name: "market" or "user".
        title: what it is called in errors.
        connect_once: an observable of one open connection, which errors when that is lost.
        outdated: whether a connection was made with a token that is no longer the newest.
        keep: has the token refreshed ahead of its end, and calls when there is a new one, until disposed of.
        reconnect: how a lost connection is got back; None not at all.
        clock: what time it is.
        random: where jitter comes from.
        counters: of the gateway.
        tasks: of the gateway.
        told: hears of what happens.
    """

    def __init__(
        self, name: HubName, title: str, connect_once: Observable[Link], *, outdated: Callable[[Link], bool],
        keep: Callable[[Callable[[], object]], abc.DisposableBase], reconnect: Reconnect | None, clock: Clock,
        random: Random, counters: Counters, tasks: Tasks, told: Callable[[Event], object],
    ) -> None:  # fmt: skip
        self.name: Final = name
        self._title, self._tasks, self._random = title, tasks, random
        self._outlets: dict[Outlet, None] = {}
        self._closed = False
        topics, gaps = Topics(tasks), Interruptions(clock, told)
        self._flow = Flow(name, topics, gaps, counters=counters, clock=clock, deliver=self._deliver)
        self._subscriptions = Subscriptions(topics, gaps, self._flow, tasks=tasks, failed=self._failed)
        self._upkeep = Upkeep(
            name, connect_once, self._flow, self._subscriptions, gaps, outdated=outdated, keep=keep, reconnect=reconnect,
            clock=clock, random=random, tasks=tasks, told=told, ended=self._ended,
        )  # fmt: skip
        self._pace = self._paced(reconnect)

    @property
    def stats(self) -> HubStats:
        """What it is doing now."""
        link = self._flow.link
        connection = None if link is None else link.connection.stats
        return HubStats(link is not None, len(self._outlets), len(self._subscriptions), self._upkeep.connections, connection)

    @property
    def link(self) -> Link | None:
        """The open connection; None when there is none."""
        return self._flow.link

    @property
    def used(self) -> bool:
        """Whether it is connected, was, or is about to be."""
        return bool(self._outlets) or self._upkeep.running or self._upkeep.connections > 0

    def use(self, reconnect: Reconnect | None) -> None:
        """Get lost connections back in this way, before it is `used`."""
        self._pace = self._paced(reconnect)
        self._upkeep.use(reconnect)

    def request(self, what: Request, why: str) -> None:
        """Ask for a successor ("rotate"), a new connection ("reconnect"), all subscriptions anew on this one ("resubscribe"),
        or whether it is alive ("probe")."""
        self._upkeep.request(what, why)

    def stream(self, kind: Kind, wanted: Wanted, name: str, *, frames: bool, everything: bool = False) -> Observable[Any]:
        """Return a stream of the hub.

        Args:
            kind: of what.
            wanted: finds out what it is about, when it is subscribed to.
            name: what it is called, in the names of tasks.
            frames: whether its elements are frames.
            everything: whether all of its kind is taken, and not only what is about its topics.
        """

        def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            outlet = Outlet(kind, observer, frames=frames, on_end=self._left)
            if self._closed:
                raise RuntimeError(f"{self._title} is closed")
            attaching = self._tasks.start(self._attach(outlet, wanted, everything=everything), name)
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

    # Streams that come and go

    async def _attach(self, outlet: Outlet, wanted: Wanted, *, everything: bool) -> None:
        """Find out what an outlet is about, connect, and subscribe to what nobody is subscribed to yet."""
        try:
            about = await found(wanted, self._pace)
            if outlet.over:
                return
            link = await asyncio.shield(self._upkeep.linked())
            if outlet.over:
                return
            joined = [(key, *self._subscriptions.join(outlet.kind, link, key, called)) for key, called in about]
            outlet.attend(about, everything=everything)
            for key, _, before in joined:
                if before:
                    outlet.replay(self._flow.known(outlet.kind, key), Frame.of)
            for _, topic, _ in joined:
                await asyncio.shield(topic.ready)
        except asyncio.CancelledError:
            self._left(outlet)
            raise
        except Exception as error:  # noqa: BLE001  # a stream that cannot start says so, whatever it is
            self._fail(outlet, error)

    def _failed(self, topic: Topic, error: InvocationFailed) -> None:
        """End the streams of a subscription that is refused; ask for a new connection where there is no answer."""
        if not error.answered and self._pace is not None:
            self.request("reconnect", str(error))
            return
        self._subscriptions.refuse(topic, error)
        for outlet in [outlet for outlet in self._outlets if outlet.kind is topic.kind]:
            if any(key == topic.key for key, _ in outlet.topics):
                self._fail(outlet, error)

    def _paced(self, reconnect: Reconnect | None) -> Callable[[float], Tries] | None:
        return None if reconnect is None else partial(Tries, reconnect.retries(self._random))

    def _fail(self, outlet: Outlet, error: Exception) -> None:
        self._left(outlet)
        outlet.error(error)

    def _left(self, outlet: Outlet) -> None:
        """Take an outlet out; unsubscribe from what nobody is subscribed to any more, and disconnect after the last."""
        if outlet not in self._outlets:
            return
        del self._outlets[outlet]
        for key, _ in outlet.topics:
            self._subscriptions.leave(outlet.kind, key)
        if self._outlets:
            self._subscriptions.unsubscribe()
        else:
            # In the loop's next turn, so that whoever goes from one stream to another keeps the connection.
            self._upkeep.soon(self._disconnect)

    def _disconnect(self) -> None:
        if self._outlets:
            self._subscriptions.unsubscribe()
        else:
            self._upkeep.stop()

    def _deliver(self, kind: Kind, batch: Batch) -> None:
        for outlet in [outlet for outlet in self._outlets if outlet.kind is kind]:
            outlet.give(batch)

    def _ended(self, error: Exception) -> None:
        outlets, self._outlets = self._outlets, {}
        for outlet in outlets:
            outlet.error(error)
