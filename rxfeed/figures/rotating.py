"""Figures of the minute, hour and day that are under way, and of the last whole ones.

A value is put in once, into what is gathered for the shortest period. When that is over it is merged into the next longer
one, so a day costs no more than a minute does, and of what is over only the figures are kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np

from rxfeed.frame import Array
from rxfeed.kernels.meter import GATHERED, Distribution, Summary
from rxfeed.times import Duration, nanoseconds

D = TypeVar("D")
F = TypeVar("F")

PERIODS: Final[Sequence[Duration]] = ("1m", "1h", "1d")
_LONGEST: Final = 1 << 62


class Counted(NamedTuple):
    """How many there were."""

    period: int
    """Its length in ns; periods begin at its multiples, UTC."""
    so_far: int
    """In the one that is under way."""
    last: int
    """In the last whole one."""


class Measured(NamedTuple):
    """How long they took."""

    period: int
    """Its length in ns; periods begin at its multiples, UTC."""
    so_far: Summary | None
    """Of the one that is under way; None: nothing yet."""
    last: Summary | None
    """Of the last whole one; None: nothing came in it."""


class _Level(Generic[D, F]):
    """One length of periods."""

    __slots__ = ("beat", "inside", "last", "length")

    def __init__(self, length: int, inside: D, last: F) -> None:
        self.length = length
        self.beat = 0
        self.inside = inside  # of the period under way, but for what shorter ones still hold
        self.last = last


class _Rotating(ABC, Generic[D, F]):
    """Periods that contain each other.

    Args:
        periods: their lengths, each a multiple of the one before and at most 292 years.

    Raises:
        ValueError: there is none, one is 0 or no multiple of the one before or the same.
    """

    __slots__ = ("_end", "_levels", "_start")

    def __init__(self, periods: Sequence[Duration] = PERIODS) -> None:
        lengths = [nanoseconds(period, name="period") for period in periods]
        if not lengths or not lengths[0]:
            raise ValueError(f"periods must be one or more, each more than 0, got {periods!r}")
        for shorter, longer in pairwise(lengths):
            if longer <= shorter or longer % shorter:
                raise ValueError(f"each period must be a multiple of the one before, got {periods!r}")
        self._levels = [_Level(length, self._fresh(), self._figure(self._fresh())) for length in lengths]
        self._start = self._end = 0  # of the shortest period; at first there is none

    @abstractmethod
    def _fresh(self) -> D: ...

    @abstractmethod
    def _merged(self, earlier: D, later: D) -> D:
        """Return both; `earlier` may be changed."""

    @abstractmethod
    def _figure(self, inside: D) -> F: ...

    def _turn(self, now: int) -> None:
        """Begin the periods that are under way now."""
        levels = self._levels
        if not self._end:
            for level in levels:
                level.beat = now // level.length
        elif now // levels[0].length == levels[0].beat - 1:
            return  # the clock was set back a little: what comes is of the period that has begun already
        for at, level in enumerate(levels):
            beat = now // level.length
            if beat == level.beat:
                break
            if at + 1 < len(levels):
                levels[at + 1].inside = self._merged(levels[at + 1].inside, level.inside)
            follows = beat == level.beat + 1
            level.last = self._figure(level.inside if follows else self._fresh())
            level.beat, level.inside = beat, self._fresh()
        self._start = levels[0].beat * levels[0].length
        self._end = self._start + levels[0].length

    def _figures(self) -> list[tuple[int, F, F]]:
        found: list[tuple[int, F, F]] = []
        for at, level in enumerate(self._levels):
            so_far = self._fresh()
            for each in reversed(self._levels[: at + 1]):
                so_far = self._merged(so_far, each.inside)
            found.append((level.length, self._figure(so_far), level.last))
        return found


class RotatingCount(_Rotating[int, int]):
    """How many, in the minute, hour and day that are under way, and in the last whole ones.

    Args:
        periods: lengths of the periods, each a multiple of the one before.

    Raises:
        ValueError: there is none, one is 0, or no multiple of the one before.
    """

    __slots__ = ()

    def add(self, now: int, count: int = 1) -> None:
        """Take in so many at a clock's time."""
        if not self._start <= now < self._end:
            self._turn(now)
        self._levels[0].inside += count

    def figures(self, now: int) -> tuple[Counted, ...]:
        """Return the figures at a clock's time, by period."""
        self._turn(now)
        return tuple(Counted(*figure) for figure in self._figures())

    def _fresh(self) -> int:
        return 0

    def _merged(self, earlier: int, later: int) -> int:
        return earlier + later

    def _figure(self, inside: int) -> int:
        return inside


class RotatingDistribution(_Rotating[Distribution, Summary | None]):
    """How long, in the minute, hour and day that are under way, and in the last whole ones; 64 kB a period.

    Args:
        periods: lengths of the periods, each a multiple of the one before.

    Raises:
        ValueError: there is none, one is 0, or no multiple of the one before.
    """

    __slots__ = ("_held",)

    def __init__(self, periods: Sequence[Duration] = PERIODS) -> None:
        super().__init__(periods)
        self._held: list[int] = []  # what numpy has not seen yet

    def add(self, value: int, now: int) -> None:
        """Take in a value at a clock's time; one of 146 years and more, either way, is left out."""
        if not self._start <= now < self._end:
            self._fold()
            self._turn(now)
        self._held.append(value)
        if len(self._held) >= GATHERED:
            self._fold()

    def take(self, values: Array, now: int) -> None:
        """Take in int64 values that came at one time."""
        self._fold()
        if not self._start <= now < self._end:
            self._turn(now)
        self._levels[0].inside.add(values)

    def figures(self, now: int) -> tuple[Measured, ...]:
        """Return the figures at a clock's time, by period."""
        self._fold()
        self._turn(now)
        return tuple(Measured(*figure) for figure in self._figures())

    def _fold(self) -> None:
        held = self._held
        if held:
            try:
                values = np.array(held, np.int64)
            except OverflowError:
                values = np.array([value for value in held if -_LONGEST < value < _LONGEST], np.int64)
            held.clear()
            self._levels[0].inside.add(values)

    def _fresh(self) -> Distribution:
        return Distribution()

    def _merged(self, earlier: Distribution, later: Distribution) -> Distribution:
        earlier.merge(later)
        return earlier

    def _figure(self, inside: Distribution) -> Summary | None:
        return inside.summary()
