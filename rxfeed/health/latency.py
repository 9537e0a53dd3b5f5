"""How late trades come, by two clocks that need not agree.

What the exchange's clock and ours differ by cannot be told from the way between them. So the quickest trade of the last
minutes is taken as on time, and the others are late by what they took longer. On one connection trades keep their order, so
they cannot get later by more than the time between them: where the exchange's time itself steps back by seconds, a clock was
set, and what was on time is found anew.
"""

from __future__ import annotations

from typing import Final

from rxfeed.times import NANOSECONDS, SECOND

_HALF: Final = 5 * NANOSECONDS["m"]
"""On time is the quickest of this half and the one before."""
_STEP: Final = 5 * SECOND
_PERIOD: Final = 5 * SECOND
_NONE: Final = 1 << 63


class Quickest:
    """The least value of a period and the one before it.

    Args:
        period: its length in ns.
    """

    __slots__ = ("_beat", "_before", "_least", "_period")

    def __init__(self, period: int = _PERIOD) -> None:
        self._period = period
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._beat, self._least, self._before = 0, _NONE, _NONE

    def add(self, value: int, now: int) -> None:
        """Take in a value at a clock's time."""
        if now // self._period != self._beat:
            self._turn(now // self._period)
        if value < self._least:
            self._least = value

    def least(self, now: int) -> int | None:
        """Return the least; None if there was none."""
        if now // self._period != self._beat:
            self._turn(now // self._period)
        least = min(self._least, self._before)
        return None if least == _NONE else least

    def _turn(self, beat: int) -> None:
        self._before = self._least if beat == self._beat + 1 else _NONE
        self._beat, self._least = beat, _NONE


class Way:
    """From the exchange to us."""

    __slots__ = ("_floor", "_lately", "_newest")

    def __init__(self) -> None:
        self._floor, self._lately = Quickest(_HALF), Quickest()
        self._newest = -_NONE

    def saw(self, time: int, received: int) -> int:
        """Take in a trade; return by how much it was late, in ns."""
        took = received - time
        if time < self._newest - _STEP:
            self._floor.clear()
            self._lately.clear()
            self._newest = time
        elif time > self._newest:
            self._newest = time
        self._floor.add(took, received)
        self._lately.add(took, received)
        return took - (self._floor.least(received) or 0)

    def offset(self, now: int) -> int | None:
        """Return what the quickest took: the clocks' difference and the way, in ns; None: no trade in five minutes or more."""
        return self._floor.least(now)

    def late(self, now: int) -> int | None:
        """Return by how much the quickest trade of the last 5 to 10 s was late, in ns; None if there was none."""
        took, floor = self._lately.least(now), self._floor.least(now)
        return None if took is None or floor is None else took - floor
