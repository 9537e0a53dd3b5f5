"""What may have been missed: of each contract whose trades somebody wants, from when until when there was no connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from rxfeed.clock import Clock
from rxfeed.events import Event, Gapped
from rxfeed.model import ONGOING, Gap
from rxfeed.times import SECOND

from .decode import Drained
from .kinds import Batch

QUIET: Final = 5.0
"""Seconds after which the gap of a contract that does not trade ends without a first trade."""


class Interruptions:
    """Notes when each contract was last heard of, and tells of gaps.

    A gap is told when it begins, and again with its end: the first trade after it, or for a contract that does not trade the
    time at which it was subscribed to again. Both bounds are event times and belong to it.

    Args:
        clock: what time it is, where no trade says.
        told: hears of gaps.
    """

    def __init__(self, clock: Clock, told: Callable[[Event], object]) -> None:
        self._clock, self._told = clock, told
        self._last: dict[str, Drained[Any]] = {}
        self._since: dict[str, int] = {}
        self._open: dict[str, Gap] = {}
        self._held: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def open(self) -> frozenset[str]:
        """The symbols whose gaps have not ended."""
        return frozenset(self._open)

    def subscribed(self, symbol: str) -> None:
        """Note that a contract's trades are wanted from now on."""
        self._since.setdefault(symbol, self.now)

    def unsubscribed(self, symbol: str) -> None:
        """Note that nobody wants a contract's trades any more."""
        self._end(symbol, self.now)
        self._held.pop(symbol, None)
        self._since.pop(symbol, None)
        self._last.pop(symbol, None)

    def saw(self, batch: Batch) -> None:
        """Note trades, before anybody gets them: what was open ends with the first."""
        trades = cast("Drained[Any]", batch)
        for symbol in batch.of:
            if symbol in self._open and symbol not in self._held:
                self._end(symbol, _bounds(trades, symbol)[0])
            self._last[symbol] = trades

    def last(self, symbol: str) -> int:
        """Return the time of a contract's last trade; when it was subscribed to, if there was none."""
        trades = self._last.get(symbol)
        return self._since.get(symbol, self.now) if trades is None else _bounds(trades, symbol)[1]

    def lost(self, cause: str) -> None:
        """Open a gap for each contract that has none open."""
        self.stop()
        self._held.clear()
        for symbol in self._since:
            self._begin(symbol, cause)

    def hold(self, symbols: Iterable[str], cause: str) -> None:
        """Open the gaps of contracts that are about to be subscribed to anew. Trades on their way end none until `release`."""
        self.stop()
        for symbol in symbols:
            self._held[symbol] = None
            self._begin(symbol, cause)

    def release(self, symbol: str) -> None:
        """Note that a contract is subscribed to anew: its next trade ends its gap."""
        self._held.pop(symbol, None)

    def resumed(self) -> None:
        """Note that everything is subscribed to again; contracts that do not trade for a while have missed nothing since."""
        self.stop()
        if self._open:
            until = self.now
            self._timer = asyncio.get_running_loop().call_later(QUIET, self._quiet, tuple(self._open), until)

    def uncertain(self, gaps: Iterable[Gap]) -> None:
        """Tell of what may have been missed between two connections."""
        for gap in gaps:
            self._tell(gap)

    def stop(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def clear(self) -> None:
        """Forget everything, since nobody is subscribed any more."""
        self.stop()
        self._open.clear()
        self._held.clear()
        self._since.clear()
        self._last.clear()

    @property
    def now(self) -> int:
        """The exchange's time as well as we know it: our clock, or ahead of it where trades are."""
        now = self._clock.now
        ahead = 0
        for trades in self._last.values():
            received = trades.received
            if received is not None:
                ahead = max(ahead, int(trades.times[-1]) - received)
        return now + ahead + (SECOND if ahead else 0)

    def _quiet(self, symbols: tuple[str, ...], until: int) -> None:
        self._timer = None
        for symbol in symbols:
            self._end(symbol, until)

    def _begin(self, symbol: str, cause: str) -> None:
        if symbol in self._since and symbol not in self._open:
            gap = self._open[symbol] = Gap(symbol, self.last(symbol), ONGOING, cause)
            self._tell(gap)

    def _end(self, symbol: str, end: int) -> None:
        gap = self._open.pop(symbol, None)
        if gap is not None:
            self._tell(Gap(symbol, gap.start, max(gap.start, end), gap.cause))

    def _tell(self, gap: Gap) -> None:
        self._told(Gapped(time=self._clock.now, gap=gap))


def _bounds(trades: Drained[Any], symbol: str) -> tuple[int, int]:
    """Return the first and the greatest time of a contract's trades."""
    times = [int(time) for key, time in zip(trades.keys, trades.times, strict=True) if key == symbol]
    return times[0], max(times)
