"""One hub of the gateway as streams: however many subscribe, there is one connection, and one subscription of each contract.

The connection is opened when the first stream is subscribed to, and closed when the last one is not any more. A supervisor
gets it back when it is lost; streams live on meanwhile, and end with an error only when it gives up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, FeedError, InvocationFailed
from rxfeed.events import Event
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.signalr import ConnectionStats
from rxfeed.feeds.supervisor import Request, Supervisor
from rxfeed.feeds.tasks import Tasks
from rxfeed.frame import Frame
from rxfeed.kernels.splice import Splice
from rxfeed.retrying import Tries
from rxfeed.runs import RunObservable
from rxfeed.times import SECOND

from .chains import Chains
from .interruptions import Interruptions
from .kinds import DEPTH, KINDS, QUOTES, TRADES, Batch, HubName, Kind
from .link import Counters, Link
from .memory import Memory
from .outlet import Outlet
from .overlap import Overlap
from .stages import DepthStage, EventsStage, QuotesStage, Stage, TradesStage
from .topics import Topic, Topics

Wanted = Callable[[], Awaitable[list[tuple[str, Any]]]]
"""Finds out what a stream is about: pairs of a key, as elements carry it, and what the hub calls it."""


RESUBSCRIBED: Final = "resubscribed"
"""The cause of a gap that ends when a contract was subscribed to anew on the same connection."""
MOST_SLACK: Final = 10 * SECOND
"""A tape that once stepped further back, as when the gateway's clock was set, must not make every later change uncertain."""


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
        self._title, self._clock, self._tasks, self._counters = title, clock, tasks, counters
        self.outdated: Final = outdated
        self._keep = keep
        self._keeping: abc.DisposableBase | None = None
        self._outlets: dict[Outlet, None] = {}
        self._topics = Topics(tasks)
        self._leaving: list[Topic] = []  # of nobody any more, and still to be unsubscribed from
        self._memory = Memory()
        self._gaps = Interruptions(clock, told)
        self._chains = Chains(lambda kind, rows: self._give(kind, kind.batch(rows)), self._gaps.uncertain)
        self._overlap: Overlap | None = None
        self._slack = SECOND
        self._link: Link | None = None
        self._waiting: asyncio.Future[Link] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fresh = False
        self._closed = False
        self._random = random
        self._supervised = partial(
            Supervisor[Link], name, connect_once, self, clock=clock, random=random, tasks=tasks, told=told
        )
        self.use(reconnect)

    @property
    def stats(self) -> HubStats:
        """What it is doing now."""
        link = self._link
        connection = None if link is None else link.connection.stats
        return HubStats(link is not None, len(self._outlets), len(self._topics), self._supervisor.connections, connection)

    @property
    def link(self) -> Link | None:
        """The open connection; None when there is none."""
        return self._link

    @property
    def used(self) -> bool:
        """Whether it is connected, was, or is about to be."""
        return bool(self._outlets) or self._supervisor.running or self._supervisor.connections > 0

    def use(self, reconnect: Reconnect | None) -> None:
        """Get lost connections back in this way, before it is `used`."""
        self._pace = None if reconnect is None else partial(Tries, reconnect.retries(self._random))
        self._supervisor = self._supervised(reconnect=reconnect)

    def request(self, what: Request, why: str) -> None:
        """Ask for a successor ("rotate"), a new connection ("reconnect"), all subscriptions anew on this one ("resubscribe"),
        or whether it is alive ("probe")."""
        self._supervisor.request(what, why)

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
            found = await self._found(wanted)
            if outlet.over:
                return
            link = await asyncio.shield(self._linked())
            if outlet.over:
                return
            joined = [(key, *self._join(outlet.kind, link, key, called)) for key, called in found]
            outlet.attend(found, everything=everything)
            for key, _, before in joined:
                if before:
                    outlet.replay(self._memory.of(outlet.kind, key, self._clock.now), Frame.of)
            for _, topic, _ in joined:
                await asyncio.shield(topic.ready)
        except asyncio.CancelledError:
            self._left(outlet)
            raise
        except Exception as error:  # noqa: BLE001  # a stream that cannot start says so, whatever it is
            self._fail(outlet, error)

    async def _found(self, wanted: Wanted) -> list[tuple[str, Any]]:
        """Ask what a stream is about, again where the gateway cannot be reached now, as it is for connections."""
        loop = asyncio.get_running_loop()
        tries = None if self._pace is None else self._pace(loop.time())
        while True:
            try:
                return await wanted()
            except FeedError as error:
                failed = error
            wait = None if tries is None else tries.after(failed, loop.time())
            if wait is None:
                raise failed
            del failed
            await asyncio.sleep(wait)

    def _join(self, kind: Kind, link: Link, key: str, called: Any) -> tuple[Topic, bool]:
        """Use a subscription at the hub, which is made by the first; return it, and whether it was there before."""
        topic, before = self._topics.join(kind, key, called)
        if not before:
            self._memory.forget(kind, key)  # what came between the last one's leaving and the hub's knowing of it
            if kind is TRADES:
                self._gaps.subscribed(key)
            self._start(topic, link)
        return topic, before

    def _start(self, topic: Topic, link: Link) -> None:
        asking = self._topics.ask(topic, link)
        if asking is not None:
            asking.add_done_callback(partial(self._asked, topic))
        if self._overlap is not None:
            stage = self._overlap.stages.get(topic.kind.name)
            if stage is not None:
                stage.add(topic.key, self._gaps.last(topic.key) if topic.kind is TRADES else None)
            self._overlap.ask(topic)

    def _asked(self, topic: Topic, asking: asyncio.Task[None]) -> None:
        """End the streams of a subscription that is refused; ask for a new connection where there is no answer."""
        error = None if asking.cancelled() else asking.exception()
        if not isinstance(error, InvocationFailed) or self._topics.get(topic.kind, topic.key) is not topic:
            return
        if not error.answered and self._pace is not None:
            self.request("reconnect", str(error))
            return
        self._topics.drop(topic)
        if topic.kind is TRADES:
            self._gaps.unsubscribed(topic.key)
        if not topic.ready.done():
            topic.ready.set_exception(error)
        for outlet in [outlet for outlet in self._outlets if outlet.kind is topic.kind]:
            if any(key == topic.key for key, _ in outlet.topics):
                self._fail(outlet, error)

    def _linked(self) -> asyncio.Future[Link]:
        """Return the connection that is or will be open; the same for all who ask meanwhile."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            self._waiting.add_done_callback(_retrieved)
            if self._link is not None:
                self._waiting.set_result(self._link)
            self._loop = self._waiting.get_loop()
            self._supervisor.start()
            if self._keeping is None:
                self._keeping = self._keep(lambda: self.request("rotate", "there is a new token"))
        return self._waiting

    def _fail(self, outlet: Outlet, error: Exception) -> None:
        self._left(outlet)
        outlet.error(error)

    def _left(self, outlet: Outlet) -> None:
        """Take an outlet out; unsubscribe from what nobody is subscribed to any more, and disconnect after the last."""
        if outlet not in self._outlets:
            return
        del self._outlets[outlet]
        for key, _ in outlet.topics:
            topic = self._topics.leave(outlet.kind, key)
            if topic is not None:
                self._memory.forget(topic.kind, key)
                if topic.kind is TRADES:
                    self._gaps.unsubscribed(key)
                self._leaving.append(topic)
        if self._outlets:
            self._leave()
        elif self._supervisor.running and self._loop is not None and not self._loop.is_closed():
            # In the loop's next turn, so that whoever goes from one stream to another keeps the connection.
            self._loop.call_soon(self._disconnect)

    def _leave(self) -> None:
        leaving, self._leaving = self._leaving, []
        if self._link is not None:
            for topic in leaving:
                self._topics.leave_at(topic, self._link)
                if self._overlap is not None:
                    self._overlap.drop(topic)

    def _disconnect(self) -> None:
        if self._outlets:
            self._leave()
            return
        self._supervisor.stop()
        self._forget(None)

    def _forget(self, error: Exception | None) -> None:
        """Forget the connection, and all that was about it."""
        waiting, self._waiting = self._waiting, None
        self._link = None
        if self._keeping is not None:
            self._keeping.dispose()
            self._keeping = None
        self._topics.clear()
        self._leaving.clear()
        self._chains.clear()
        self._gaps.clear()
        if waiting is not None and not waiting.done():
            if error is None:
                waiting.cancel()
            else:
                waiting.set_exception(error)

    # What comes

    def _route(self, link: Link, kind: Kind, batch: Batch) -> None:
        overlap = self._overlap
        if link is self._link:
            if self._chains.clear_of(kind):
                self._give(kind, batch)
                return
            self._chains.live(kind, batch.rows())
        elif overlap is not None and link is overlap.new:
            overlap.stages[kind.name].shadow(batch.rows())
        if overlap is not None:
            overlap.moved()

    def _give(self, kind: Kind, batch: Batch) -> None:
        if self._fresh:
            self._fresh = False
            self._supervisor.flows()
        batch.number(self._counters.of(kind))
        if kind is TRADES:
            self._gaps.saw(batch)
        else:
            self._memory.take(kind, batch)
        for outlet in [outlet for outlet in self._outlets if outlet.kind is kind]:
            outlet.give(batch)

    # What the supervisor asks for

    async def opened(self, link: Link) -> None:
        """Subscribe to everything on a new connection; what is refused ends its streams, and not the connection.

        Raises:
            FeedError: the connection was lost, or does not answer.
        """
        self._memory = Memory()
        self._link, self._fresh = link, True
        link.to(partial(self._route, link))
        waiting = self._linked()
        if not waiting.done():
            waiting.set_result(link)
        cause: str | None = "asked"  # by whoever waits no longer
        try:
            await self._ask_all(link)
            cause = None
        except ConnectionLost as error:
            cause = error.cause
            raise
        finally:
            if cause is not None:
                self._waiting = self._link = None
                self._gaps.lost(cause)  # trades may have come already, and with the first a gap has ended
        self._gaps.resumed()

    async def _ask_all(self, link: Link) -> None:
        asked = [(topic, task) for topic in self._topics if (task := self._topics.ask(topic, link)) is not None]
        # All are awaited, whichever fails, so that none is left to fail unheard.
        results = await asyncio.gather(*(task for _, task in asked), return_exceptions=True)
        for (topic, task), result in zip(asked, results, strict=True):
            if isinstance(result, InvocationFailed) and result.answered:
                self._asked(topic, task)
            elif isinstance(result, FeedError):
                raise result

    def lost(self, error: ConnectionLost) -> None:
        """Keep the streams, and say what they may miss."""
        self._chains.flush()
        self._waiting = self._link = None
        self._leaving.clear()
        self._memory = Memory()
        self._gaps.lost(error.cause)

    def ended(self, error: Exception) -> None:
        """End all streams with an error."""
        outlets, self._outlets = self._outlets, {}
        self._forget(error)
        for outlet in outlets:
            outlet.error(error)

    async def probe(self, link: Link) -> None:
        """Make sure that the hub answers.

        Raises:
            FeedError: it does not.
        """
        await link.probe()

    async def resubscribe(self, link: Link) -> int:
        """Unsubscribe from everything, and subscribe again, each topic by itself; gaps tell of what may be missed.

        A hub that is asked twice for the same may bring it twice, and equal trades cannot be told from that; so it is asked
        only when it has granted that it brings nothing any more.

        Returns:
            How many topics it was.

        Raises:
            FeedError: the hub refuses one of them, or does not answer, or the connection was lost.
        """
        topics = [topic for topic in self._topics if topic.ready.done()]  # others are being asked for now
        self._gaps.hold([topic.key for topic in topics if topic.kind is TRADES], RESUBSCRIBED)
        asked = [
            self._tasks.start(self._again(topic, link), f"resubscribe {topic.kind.name} {topic.key}", heard=True)
            for topic in topics
        ]
        for result in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        self._gaps.resumed()
        return len(topics)

    async def _again(self, topic: Topic, link: Link) -> None:
        await link.unsubscribe(topic.kind, *topic.arguments)
        if self._topics.get(topic.kind, topic.key) is not topic:
            return  # nobody wants it any more, or somebody does who has asked for it himself
        await link.subscribe(topic.kind, *topic.arguments)
        if topic.kind is TRADES and self._topics.get(topic.kind, topic.key) is topic:
            self._gaps.release(topic.key)

    async def rotate(
        self, old: Link, new: Link, ended: tuple[asyncio.Future[Any], asyncio.Future[Any]], patience: float
    ) -> tuple[str, ...]:
        """Go over from one connection to its successor; what is subscribed to meanwhile is asked for on both.

        Returns:
            The symbols of which trades may be missing.

        Raises:
            FeedError: it did not become certain where the two meet; the old one is kept.
        """
        stages = {kind.name: self._stage(kind, new) for kind in KINDS if kind.hub == self.name}
        overlap = self._overlap = Overlap(old, new, stages, self._topics, self._chains.late)
        self._chains.begin(stages)
        new.to(partial(self._route, new))
        certain = False
        try:
            await overlap.certain(ended, patience)
            certain = True
        finally:
            self._overlap = None
            if not certain:
                for stage in stages.values():
                    stage.abort()
        self._link, self._waiting = new, None
        uncertain = self._chains.hand_over(stages)
        seen = (stage.slack for stage in stages.values() if isinstance(stage, TradesStage))
        self._slack = min(max(self._slack, *seen, 0), MOST_SLACK)
        return uncertain

    def _stage(self, kind: Kind, new: Link) -> Stage:
        keys = [topic.key for topic in self._topics if topic.kind is kind]
        if kind is TRADES:
            return TradesStage(Splice(keys, slack=self._slack, since={key: self._gaps.last(key) for key in keys}))
        if kind is QUOTES:
            return QuotesStage()
        if kind is DEPTH:
            return DepthStage(keys, new.epoch, lambda: self._clock.now)
        return EventsStage()


def _retrieved(future: asyncio.Future[Link]) -> None:
    # Whoever waited has the error; that nobody waits any more is no reason to complain.
    if not future.cancelled():
        future.exception()
