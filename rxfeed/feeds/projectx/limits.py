"""Fewer requests than the gateway refuses: who is too fast waits, first come first served.

A request takes its place when it is sent and gives it back a whole period after it was *answered*. The gateway has seen it in
between, so that whatever the network does to their distances, it never sees more than it allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from rxfeed.times import SECOND, Duration, nanoseconds

BARS: Final = "History/retrieveBars"


class Limit(msgspec.Struct, frozen=True):
    """So many requests in any stretch of time that is so long.

    Args:
        requests: how many.
        period: how long.

    Raises:
        ValueError: fewer than one, or no time.
    """

    requests: int
    period: Duration

    def __post_init__(self) -> None:
        if self.requests < 1:
            raise ValueError(f"requests must be at least 1, got {self.requests}")
        if nanoseconds(self.period, name="period") == 0:
            raise ValueError(f"period must be more than 0, got {self.period!r}")


class LimitStats(msgspec.Struct, frozen=True):
    """What a limiter has done so far."""

    granted: int
    """Requests that were let through."""
    delayed: int
    """Those of them that had to wait."""
    waiting: int
    """Requests that wait now."""
    cancelled: int
    """Requests that no longer wanted to wait."""
    longest_wait: float
    """Seconds."""


class Limiter:
    """Lets requests through no faster than a limit, in the loop's time.

    Args:
        limit: how fast.
    """

    __slots__ = ("_back", "_cancelled", "_delayed", "_free", "_granted", "_held", "_longest", "_period", "_timer", "_waiting")

    def __init__(self, limit: Limit) -> None:
        self._period = nanoseconds(limit.period) / SECOND
        self._free = limit.requests
        self._back: deque[float] = deque()  # when places come back, in order
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._held = 0.0
        self._granted = self._delayed = self._cancelled = 0
        self._longest = 0.0

    @property
    def stats(self) -> LimitStats:
        """What it has done so far."""
        waiting = sum(not future.done() for future in self._waiting)
        return LimitStats(self._granted, self._delayed, waiting, self._cancelled, self._longest)

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None, None]:
        """Wait for a place, and keep it for the request that is sent inside."""
        loop = asyncio.get_running_loop()
        await self._take(loop)
        try:
            yield
        finally:
            self._back.append(loop.time() + self._period)
            self._go_on(loop)

    def hold(self, seconds: float) -> None:
        """Let nobody through for some time: the gateway has said so."""
        loop = asyncio.get_running_loop()
        self._held = max(self._held, loop.time() + seconds)
        self._go_on(loop)

    async def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        self._return(loop.time())
        if not self._waiting and self._free and loop.time() >= self._held:
            self._free -= 1
            self._granted += 1
            return
        since = loop.time()
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        self._go_on(loop)
        try:
            await mine
        except asyncio.CancelledError:
            self._cancelled += 1
            if mine.done() and not mine.cancelled():
                self._granted -= 1  # it was let through and does not go
                self._free += 1
            with suppress(ValueError):
                self._waiting.remove(mine)
            self._go_on(loop)
            raise
        self._delayed += 1
        self._longest = max(self._longest, loop.time() - since)

    def _return(self, now: float) -> None:
        while self._back and self._back[0] <= now:
            self._back.popleft()
            self._free += 1

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let through who may go, and look again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = loop.time()
        self._return(now)
        while self._waiting and self._free and now >= self._held:
            first = self._waiting.popleft()
            if not first.done():
                self._free -= 1
                self._granted += 1
                first.set_result(None)
        if self._waiting and (self._free or self._back):
            at = self._held if self._free else max(self._held, self._back[0])
            self._timer = loop.call_at(at, self._wake, loop)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._go_on(loop)


class Limits:
    """The gateway's limits: one for history, one for everything else together.

    Args:
        bars: for `History/retrieveBars`.
        others: for all other endpoints.
    """

    def __init__(self, bars: Limit = Limit(30, "30s"), others: Limit = Limit(200, "60s")) -> None:  # noqa: B008  # frozen
        self.bars: Final = Limiter(bars)
        self.others: Final = Limiter(others)

    def of(self, endpoint: str) -> Limiter:
        """Return the limiter of an endpoint, such as "Contract/search"."""
        return self.bars if endpoint == BARS else self.others

    def __iter__(self) -> Iterator[Limiter]:
        return iter((self.bars, self.others))
