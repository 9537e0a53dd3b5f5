"""What a hub is asked for, of whichever connection there is: once for all who want it, and again on the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rxfeed.errors import FeedError, InvocationFailed
from rxfeed.feeds.tasks import Tasks

from .flow import Flow
from .interruptions import Interruptions
from .kinds import TRADES, Kind
from .link import Link
from .topics import Topic, Topics

RESUBSCRIBED: Final = "resubscribed"
"""The cause of a gap that ends when a contract was subscribed to anew on the same connection."""


class Subscriptions:
    """Subscribes at the hub to what somebody wants, and unsubscribes from what nobody wants any more.

    Args:
        topics: where they are kept.
        gaps: hears of contracts whose trades are wanted.
        flow: what they bring.
        tasks: who asks for them.
        failed: called where the hub refuses one, or does not answer.
    """

    def __init__(
        self, topics: Topics, gaps: Interruptions, flow: Flow, *, tasks: Tasks,
        failed: Callable[[Topic, InvocationFailed], object],
    ) -> None:  # fmt: skip
        self._topics, self._gaps, self._flow, self._tasks, self._failed = topics, gaps, flow, tasks, failed
        self._leaving: list[Topic] = []  # of nobody any more, and still to be unsubscribed from

    def __len__(self) -> int:
        return len(self._topics)

    def join(self, kind: Kind, link: Link, key: str, called: Any) -> tuple[Topic, bool]:
        """Use a subscription at the hub, which is made by the first; return it, and whether it was there before."""
        topic, before = self._topics.join(kind, key, called)
        if not before:
            self._flow.forget(kind, key)  # what came between the last one's leaving and the hub's knowing of it
            if kind is TRADES:
                self._gaps.subscribed(key)
            self._start(topic, link)
        return topic, before

    def leave(self, kind: Kind, key: str) -> None:
        """Use a subscription no more; after the last one it is to be unsubscribed from."""
        topic = self._topics.leave(kind, key)
        if topic is not None:
            self._flow.forget(topic.kind, key)
            if topic.kind is TRADES:
                self._gaps.unsubscribed(key)
            self._leaving.append(topic)

    def unsubscribe(self) -> None:
        """Unsubscribe from what nobody uses any more."""
        leaving, self._leaving = self._leaving, []
        link = self._flow.link
        if link is not None:
            for topic in leaving:
                self._topics.leave_at(topic, link)
                self._flow.unwanted(topic)

    def refuse(self, topic: Topic, error: InvocationFailed) -> None:
        """Forget a subscription that the hub refuses; whoever waits for it gets the error."""
        self._topics.drop(topic)
        if topic.kind is TRADES:
            self._gaps.unsubscribed(topic.key)
        if not topic.ready.done():
            topic.ready.set_exception(error)

    def lost(self) -> None:
        """Note that there is no connection any more to unsubscribe at."""
        self._leaving.clear()

    def clear(self) -> None:
        """Forget all."""
        self._topics.clear()
        self._leaving.clear()

    async def ask(self, link: Link) -> None:
        """Ask a connection for everything; what is refused has failed.

        Raises:
            FeedError: the connection was lost, or does not answer.
        """
        asked = [(topic, task) for topic in self._topics if (task := self._topics.ask(topic, link)) is not None]
        # All are awaited, whichever fails, so that none is left to fail unheard.
        results = await asyncio.gather(*(task for _, task in asked), return_exceptions=True)
        for (topic, task), result in zip(asked, results, strict=True):
            if isinstance(result, InvocationFailed) and result.answered:
                self._asked(topic, task)
            elif isinstance(result, FeedError):
                raise result

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

    def _start(self, topic: Topic, link: Link) -> None:
        asking = self._topics.ask(topic, link)
        if asking is not None:
            asking.add_done_callback(partial(self._asked, topic))
        self._flow.wanted(topic)

    def _asked(self, topic: Topic, asking: asyncio.Task[None]) -> None:
        error = None if asking.cancelled() else asking.exception()
        if isinstance(error, InvocationFailed) and self._topics.get(topic.kind, topic.key) is topic:
            self._failed(topic, error)

    async def _again(self, topic: Topic, link: Link) -> None:
        await link.unsubscribe(topic.kind, *topic.arguments)
        if self._topics.get(topic.kind, topic.key) is not topic:
            return  # nobody wants it any more, or somebody does who has asked for it himself
        await link.subscribe(topic.kind, *topic.arguments)
        if topic.kind is TRADES and self._topics.get(topic.kind, topic.key) is topic:
            self._gaps.release(topic.key)
