"""Two connections of a hub, while one takes over from the other: opened before the old one is closed, and spliced exactly.

Nothing pauses: the old connection's elements pass until it is certain where the two meet. Whatever goes wrong before that, the
old connection is kept, and its streams do not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from rxfeed.errors import ProtocolError

from .kinds import Kind
from .link import Link
from .stages import Stage
from .topics import Topic, Topics

ASK: Final = 1.0
"""Seconds between questions whose answers may make it certain."""


class Overlap:
    """A change of connection.

    Args:
        old: the connection that is live.
        new: its successor.
        stages: by kind, what matches the two.
        topics: what is subscribed to.
        late: called with what a stage lets out by itself.
    """

    def __init__(
        self, old: Link, new: Link, stages: dict[str, Stage], topics: Topics, late: Callable[[Kind, list[Any]], object]
    ) -> None:
        self.old, self.new, self.stages = old, new, stages
        self._topics, self._late = topics, late
        self._asked: dict[Topic, asyncio.Task[None]] = {}
        self._moved = asyncio.Event()

    @property
    def pending(self) -> frozenset[str]:
        """What a handover now would be uncertain about."""
        return frozenset[str]().union(*(stage.pending for stage in self.stages.values()))

    def moved(self) -> None:
        """Note that something came, which may have made it certain."""
        if not self._moved.is_set() and not self.pending:
            self._moved.set()

    def ask(self, topic: Topic) -> None:
        """Subscribe to something on the successor."""
        asking = self._topics.ask(topic, self.new)
        if asking is not None:
            self._asked[topic] = asking
            asking.add_done_callback(lambda task: self._granted(topic, task))

    def drop(self, topic: Topic) -> None:
        """Unsubscribe from something on the successor."""
        self._asked.pop(topic, None)
        self._topics.leave_at(topic, self.new)
        stage = self.stages.get(topic.kind.name)
        if stage is not None:
            stage.drop(topic.key)

    async def certain(self, ended: Iterable[asyncio.Future[Any]], patience: float) -> None:
        """Return when a handover loses and doubles nothing, or when the old connection has ended: then it is now or never.

        Args:
            ended: done when the old, and when the new connection has ended.
            patience: seconds.

        Raises:
            FeedError: it did not become certain in time, or the successor ended.
        """
        old_ended, new_ended = ended
        start = asyncio.get_running_loop().create_task
        work = start(self._certain(old_ended, patience), name="rxfeed overlap")
        try:
            await asyncio.wait((work, new_ended), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ProtocolError("the new connection ended before it could take over")
            work.result()
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _certain(self, old_ended: asyncio.Future[Any], patience: float) -> None:
        for topic in self._topics:
            self.ask(topic)
        late = False
        try:
            async with asyncio.timeout(patience):
                await self._all_granted()
                while self.pending and not old_ended.done():
                    await self._question(old_ended)
        except TimeoutError:
            late = True
        if late and not old_ended.done():
            names = " ".join(sorted(self.pending)) or "its subscriptions"
            raise ProtocolError(f"the new connection did not show in {patience:g} s where it meets the old one: {names}")

    async def _all_granted(self) -> None:
        while True:
            waiting = [task for task in self._asked.values() if not task.done()]
            if not waiting:
                break
            await asyncio.wait(waiting)
        for task in self._asked.values():
            if not task.cancelled():
                task.result()

    async def _question(self, old_ended: asyncio.Future[Any]) -> None:
        """Ask both something; its answer comes behind whatever was said before."""
        self._moved.clear()
        self.moved()
        marks = {name: stage.mark() for name, stage in self.stages.items()}
        start = asyncio.get_running_loop().create_task
        questions = [start(link.probe(), name="rxfeed overlap asks") for link in (self.old, self.new)]
        try:
            while not old_ended.done() and (waiting := [each for each in questions if not each.done()]):
                await asyncio.wait((old_ended, *waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in questions:
                each.cancel()
            await asyncio.wait(questions)
        if any(each.cancelled() or isinstance(each.exception(), Exception) for each in questions):
            return
        for name, stage in self.stages.items():
            rows = stage.answered(marks[name])
            if rows:
                self._late(_kind(name), rows)
        self.moved()
        moved = start(self._moved.wait(), name="rxfeed overlap waits")
        try:
            await asyncio.wait((moved, old_ended), timeout=ASK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            moved.cancel()
            await asyncio.wait([moved])

    def _granted(self, topic: Topic, task: asyncio.Task[None]) -> None:
        stage = self.stages.get(topic.kind.name)
        if stage is not None and not task.cancelled() and task.exception() is None:
            stage.subscribed(topic.key)
            self.moved()


def _kind(name: str) -> Kind:
    from .kinds import KINDS

    return next(kind for kind in KINDS if kind.name == name)
