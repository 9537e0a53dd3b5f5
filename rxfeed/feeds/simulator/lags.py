"""Connections that are behind with their trades, each by a time of its own, as where several servers feed them.

A connection is handed what the market does when its lag has passed. So a new one may be sent trades that were done before
it subscribed, and those that an older one gets earlier or later. Answers, quotes and the book are not behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple

from rxfeed.clock import Clock
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.feeds.simulator.records import Record
from rxfeed.times import SECOND

_MOST: Final = 60 * SECOND


class Parted(NamedTuple):
    """A batch: what everybody gets at once, and the trades."""

    now: list[Record]
    later: list[Record]


class Lags:
    """Hands trades on when their time has come.

    Args:
        clock: whose time it is.
        random: draws lags.
        most: the greatest lag of a new connection, in nanoseconds.
        deliver: hands a batch to a connection, as far as it is subscribed then.

    Raises:
        ValueError: more than a minute.
    """

    __slots__ = ("_clock", "_deliver", "_ever", "_random", "_recent", "most")

    def __init__(
        self, clock: Clock, random: Random, most: int, deliver: Callable[[HubConnection, Sequence[Record]], None]
    ) -> None:
        self._clock, self._random, self._deliver = clock, random, deliver
        self._recent: deque[tuple[int, list[Record]]] = deque()
        self._ever = False
        self.most = 0
        self.set(most)

    def set(self, most: int) -> None:
        """Let new connections be behind by up to so much."""
        if most > _MOST:
            raise ValueError(f"lag must be at most {_MOST // SECOND} s, got {most / SECOND:g} s")
        self.most = most
        self._ever = self._ever or most > 0

    def __bool__(self) -> bool:
        return self._ever

    def part(self, batch: list[Record]) -> Parted:
        """Return what of a batch goes out now and what later, and remember that for connections that come meanwhile."""
        parted = Parted([], [])
        for record in batch:
            (parted.later if record.topic[0] == "trades" else parted.now).append(record)
        now, recent = self._clock.now, self._recent
        while recent and recent[0][0] + self.most <= now:
            recent.popleft()
        if parted.later and self.most:
            recent.append((now, parted.later))
        return parted

    def connected(self, one: HubConnection) -> None:
        """Draw a new connection's lag, and let it have what it is not too late for."""
        if not self.most:
            return
        one.lag = self._random.randrange(self.most + 1)
        for at, records in self._recent:
            if at + one.lag > self._clock.now:
                self._put(one, at + one.lag, records)

    def later(self, one: HubConnection, records: list[Record]) -> None:
        """Hand trades to a connection as late as it is."""
        if records:
            self._put(one, self._clock.now + one.lag, records)

    def _put(self, one: HubConnection, when: int, records: list[Record]) -> None:
        one.behind.put(when, lambda: self._deliver(one, records))
