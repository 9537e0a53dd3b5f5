"""What a hub's connections bring, on its way to those who want it: one stream, whichever connection brings it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from rxfeed.clock import Clock
from rxfeed.kernels.splice import Splice
from rxfeed.times import SECOND

from .chains import Chains
from .interruptions import Interruptions
from .kinds import DEPTH, KINDS, QUOTES, TRADES, Batch, HubName, Kind
from .link import Counters, Link
from .memory import Memory
from .overlap import Overlap
from .stages import DepthStage, EventsStage, QuotesStage, Stage, TradesStage
from .topics import Topic, Topics

MOST_SLACK: Final = 10 * SECOND
"""A tape that once stepped further back, as when the gateway's clock was set, must not make every later change uncertain."""


class Flow:
    """Takes what connections bring: splices it where one follows another, numbers it, and remembers what is not said again.

    Args:
        hub: whose: "market" or "user".
        topics: what is subscribed to.
        gaps: hears of trades, and of what is uncertain.
        counters: of the gateway.
        clock: what time it is.
        deliver: gets what comes, a batch of one kind at a time.
    """

    def __init__(
        self, hub: HubName, topics: Topics, gaps: Interruptions, *, counters: Counters, clock: Clock,
        deliver: Callable[[Kind, Batch], object],
    ) -> None:  # fmt: skip
        self._hub, self._topics, self._gaps, self._counters, self._clock = hub, topics, gaps, counters, clock
        self._deliver = deliver
        self.link: Link | None = None
        """The live connection; None when there is none."""
        self._memory = Memory()
        self._chains = Chains(lambda kind, rows: self._give(kind, kind.batch(rows)), gaps.uncertain)
        self._overlap: Overlap | None = None
        self._slack = SECOND
        self._flows: Callable[[], object] | None = None

    def live(self, link: Link, flows: Callable[[], object]) -> None:
        """Take what a connection brings; `flows` is called when the first has come."""
        self._memory = Memory()
        self.link, self._flows = link, flows
        link.to(partial(self._route, link))

    def stop(self) -> None:
        """Take nothing any more from the live connection."""
        self.link = None

    def lost(self) -> None:
        """Hand on what was held back, since nothing follows from this connection."""
        self._chains.flush()
        self.stop()
        self._memory = Memory()

    def clear(self) -> None:
        """Forget the connection, and what was held back."""
        self.stop()
        self._chains.clear()

    def known(self, kind: Kind, key: str) -> list[Any]:
        """Return what somebody who joins now must be told first."""
        return self._memory.of(kind, key, self._clock.now)

    def forget(self, kind: Kind, key: str) -> None:
        """Forget what is known of something that nobody is subscribed to, and so is not kept up to date."""
        self._memory.forget(kind, key)

    def wanted(self, topic: Topic) -> None:
        """Note that something is subscribed to: at a successor too, where there is one."""
        if self._overlap is not None:
            stage = self._overlap.stages.get(topic.kind.name)
            if stage is not None:
                stage.add(topic.key, self._gaps.last(topic.key) if topic.kind is TRADES else None)
            self._overlap.ask(topic)

    def unwanted(self, topic: Topic) -> None:
        """Note that something is unsubscribed from, likewise."""
        if self._overlap is not None:
            self._overlap.drop(topic)

    async def rotate(
        self, old: Link, new: Link, ended: tuple[asyncio.Future[Any], asyncio.Future[Any]], patience: float
    ) -> tuple[str, ...]:
        """Go over from one connection to its successor; what is wanted meanwhile is asked for on both.

        Returns:
            The symbols of which trades may be missing.

        Raises:
            FeedError: it did not become certain where the two meet; the old one is kept.
        """
        stages = {kind.name: self._stage(kind, new) for kind in KINDS if kind.hub == self._hub}
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
        self.link = new
        uncertain = self._chains.hand_over(stages)
        seen = (stage.slack for stage in stages.values() if isinstance(stage, TradesStage))
        self._slack = min(max(self._slack, *seen, 0), MOST_SLACK)
        return uncertain

    def _route(self, link: Link, kind: Kind, batch: Batch) -> None:
        overlap = self._overlap
        if link is self.link:
            if self._chains.clear_of(kind):
                self._give(kind, batch)
                return
            self._chains.live(kind, batch.rows())
        elif overlap is not None and link is overlap.new:
            overlap.stages[kind.name].shadow(batch.rows())
        if overlap is not None:
            overlap.moved()

    def _give(self, kind: Kind, batch: Batch) -> None:
        if self._flows is not None:
            flows, self._flows = self._flows, None
            flows()
        batch.number(self._counters.of(kind))
        if kind is TRADES:
            self._gaps.saw(batch)
        else:
            self._memory.take(kind, batch)
        self._deliver(kind, batch)

    def _stage(self, kind: Kind, new: Link) -> Stage:
        keys = [topic.key for topic in self._topics if topic.kind is kind]
        if kind is TRADES:
            return TradesStage(Splice(keys, slack=self._slack, since={key: self._gaps.last(key) for key in keys}))
        if kind is QUOTES:
            return QuotesStage()
        if kind is DEPTH:
            return DepthStage(keys, new.epoch, lambda: self._clock.now)
        return EventsStage()
