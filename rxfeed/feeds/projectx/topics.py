"""What is subscribed to at a hub: each contract and account once, whoever wants it, and again on each new connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from rxfeed.errors import ConnectionLost, FeedError, InvocationFailed
from rxfeed.feeds.tasks import Tasks

from .kinds import Kind
from .link import Link

AGAIN: Final = (1.0, 2.0, 4.0)
"""Seconds between attempts to get back a subscription that the hub refuses, and had granted before."""


class Topic:
    """A subscription at the hub, with its users."""

    __slots__ = ("epochs", "key", "kind", "arguments", "ready", "users")

    def __init__(self, kind: Kind, key: str, called: Any) -> None:
        self.kind: Final = kind
        self.key: Final = key
        self.arguments: Final[tuple[Any, ...]] = () if called is None else (called,)
        self.users = 1
        self.epochs: set[int] = set()
        """The connections on which it was asked for."""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the hub has granted it for the first time; its error is the hub's refusal."""
        self.ready.add_done_callback(_retrieved)


class Topics:
    """All subscriptions of a hub.

    Args:
        tasks: who asks for them.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._topics: dict[tuple[str, str], Topic] = {}

    def __len__(self) -> int:
        return len(self._topics)

    def __iter__(self) -> Iterator[Topic]:
        return iter(list(self._topics.values()))

    def get(self, kind: Kind, key: str) -> Topic | None:
        """Return a subscription, if somebody has it."""
        return self._topics.get((kind.name, key))

    def join(self, kind: Kind, key: str, called: Any) -> tuple[Topic, bool]:
        """Use a subscription; return it, and whether it was there before."""
        topic = self.get(kind, key)
        if topic is not None:
            topic.users += 1
            return topic, True
        topic = self._topics[kind.name, key] = Topic(kind, key, called)
        return topic, False

    def leave(self, kind: Kind, key: str) -> Topic | None:
        """Use a subscription no more; return it if nobody does any more."""
        topic = self.get(kind, key)
        if topic is None:
            return None
        topic.users -= 1
        if topic.users:
            return None
        del self._topics[kind.name, key]
        topic.ready.cancel()
        return topic

    def drop(self, topic: Topic) -> None:
        """Forget a subscription that the hub refuses."""
        if self._topics.get((topic.kind.name, topic.key)) is topic:
            del self._topics[topic.kind.name, topic.key]

    def clear(self) -> None:
        """Forget all."""
        topics, self._topics = self._topics, {}
        for topic in topics.values():
            topic.ready.cancel()

    def ask(self, topic: Topic, link: Link) -> asyncio.Task[None] | None:
        """Ask a connection for a subscription, once; None where it was asked for already."""
        if link.epoch in topic.epochs:
            return None
        topic.epochs.add(link.epoch)
        return self._tasks.start(_ask(topic, link), f"subscribe {topic.kind.name} {topic.key}", heard=True)

    def leave_at(self, topic: Topic, link: Link) -> None:
        """Ask a connection to bring something no more."""
        if link.epoch in topic.epochs:
            self._tasks.start(_unsubscribe(topic, link), f"unsubscribe {topic.kind.name} {topic.key}")


async def _ask(topic: Topic, link: Link) -> None:
    """Ask for a subscription until it is granted.

    Raises:
        InvocationFailed: the hub refuses it, or does not answer.
        ConnectionLost: the connection is over.
    """
    waits = iter(AGAIN if topic.ready.done() else ())
    while True:
        try:
            await link.subscribe(topic.kind, *topic.arguments)
        except InvocationFailed as error:
            refused = error
        except ConnectionLost:
            topic.epochs.discard(link.epoch)
            raise
        else:
            break
        wait = next(waits, None) if refused.answered else None
        if wait is None:
            raise refused
        del refused
        await asyncio.sleep(wait)
    if not topic.ready.done():
        topic.ready.set_result(None)


async def _unsubscribe(topic: Topic, link: Link) -> None:
    try:
        await link.unsubscribe(topic.kind, *topic.arguments)
    except ConnectionLost:
        pass  # nothing comes any more, which is what was wanted
    except FeedError as error:
        from loguru import logger

        logger.warning("{}", error)


def _retrieved(future: asyncio.Future[None]) -> None:
    # Whoever waited has the error; that nobody waits any more is no reason to complain.
    if not future.cancelled():
        future.exception()
