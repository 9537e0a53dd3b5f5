"""A boundary's hand on the valve: the source stops reading while half of the capacity waits, until a quarter does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rxfeed.overflow import Blocking
from rxfeed.times import SECOND


class Reading:
    """Whether the source may read, for one subscription.

    Args:
        block: the policy.
        capacity: of the boundary.
        loop: whose time it goes by.
        gave_up: called when nothing was read for as long as is allowed, and the source reads again.
    """

    __slots__ = ("_block", "_gave_up", "_given_up", "_loop", "_over", "_relief", "_shut", "_timer")

    def __init__(self, block: Blocking, capacity: int, loop: asyncio.AbstractEventLoop, gave_up: Callable[[], object]) -> None:
        self._block, self._loop, self._gave_up = block, loop, gave_up
        self.resize(capacity)
        self._timer: asyncio.TimerHandle | None = None
        self._given_up = self._over = False

    def resize(self, capacity: int) -> None:
        """The boundary may hold so many from now on."""
        self._shut, self._relief = max(1, capacity // 2), capacity // 4

    def more(self, load: int) -> None:
        """Look whether what waits is too much."""
        if load >= self._shut and self._timer is None and not self._given_up and not self._over:
            self._timer = self._loop.call_later(self._block.longest / SECOND, self._late)
            self._block.valve.hold(self)

    def less(self, load: int) -> None:
        """Look whether there is room again."""
        if load <= self._relief:
            self._given_up = False
            self._release()

    def close(self) -> None:
        """Let the source read, for good."""
        self._over = True
        self._release()

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._block.valve.release(self)

    def _late(self) -> None:
        self._given_up = True  # until there is room again
        self._release()
        self._gave_up()
