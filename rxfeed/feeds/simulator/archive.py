"""What the gateway's history shows of what was traded: all of it, unless faults hide bars, hold them back or falsify them.

`history` itself stays true whatever happens here. Which bars are hit is the seed's: the same ones each time they are asked.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import Final

from rxfeed.clock import Clock
from rxfeed.feeds.simulator.faults import Fault
from rxfeed.feeds.simulator.history import SECONDS, Ohlcv, Window
from rxfeed.feeds.simulator.market import Contract
from rxfeed.times import SECOND

_BLANKS: Final = 1_000


class Archive:
    """The history that is shown.

    Args:
        clock: whose time faults last by.
        seed: decides which bars are missing or wrong.
    """

    __slots__ = ("_blanks", "_clock", "_coarse_until", "_holes", "_late", "_seed", "_wrong")

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._seed = seed
        self._holes = self._wrong = 0
        self._late = 0
        self._coarse_until = 0
        self._blanks: deque[tuple[int, int]] = deque(maxlen=_BLANKS)

    def add(self, fault: Fault, now: int) -> None:
        """Take a fault, at the server's time; one that is none of history changes nothing."""
        name, amount = fault.name, fault.amount
        if name == "holes":
            self._holes = amount
        elif name == "wrong":
            self._wrong = amount
        elif name == "late":
            self._late = amount
        elif name == "blank":
            self._blanks.append((now, now + amount))
        elif name == "no-seconds":
            self._coarse_until = self._clock.now + amount

    def bars(
        self, market: Contract, unit: int, number: int, start: int, end: int, limit: int, now: int, *, partial: bool
    ) -> list[tuple[int, Ohlcv]]:
        """Return a contract's bars as `History.bars` does, which has the arguments, as far as they are shown."""
        if unit == SECONDS and self._clock.now < self._coarse_until:
            return []

        def drawn(what: str, at: int, most: int) -> int:
            text = f"{self._seed} {what} {market.listed.id} {unit} {number} {at}"
            return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") % most

        def shown(window: Window) -> bool:
            if any(window.start * SECOND < b and a < window.end * SECOND for a, b in self._blanks):
                return False
            return drawn("holes", window.start, 100) >= self._holes

        everything = not self._blanks and not self._holes
        found = market.history.bars(
            unit, number, start, end, limit, now, partial=partial, late=self._late, shown=None if everything else shown
        )
        if not self._wrong:
            return found
        return [
            (at, _falsified(bar, drawn("how", at, 3)) if drawn("wrong", at, 100) < self._wrong else bar) for at, bar in found
        ]


def _falsified(bar: Ohlcv, how: int) -> Ohlcv:
    """Return a bar that might be one and is not: a tick higher, a tick lower, or of one lot more."""
    result = bar.copy()
    result[(1, 2, 4)[how]] += -1 if how == 1 else 1
    return result
