"""How much, how fast and how late, in memory that does not grow.

Times are gathered as they come and folded by numpy, since a histogram that is told of each tick would cost more than most
operators do. `Distribution` and `Pace` stand alone: whoever needs windows that rotate keeps several and merges them.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from rxfeed.frame import Array, is_frame
from rxfeed.model import UNKNOWN_TIME, Bar, Depth, Quote, Tick
from rxfeed.times import FOREVER, SECOND

GATHERED: Final = 2_048
"""Rows between two foldings."""
RELATIVE_ERROR: Final = 1 / 128
"""How far a percentile may be from the exact one, as a part of it."""

_BITS: Final = 6  # of a value's binary digits after the first one, those that choose the bucket
_SHIFT: Final = 52 - _BITS
_ONE: Final = (1023 << _BITS) - 1
_WIDEST: Final = 1 << 62  # 146 years: a time further away is one that was not known
_BUCKETS: Final = (62 << _BITS) + 1


class Summary(NamedTuple):
    """What is known of many durations, in nanoseconds. Negative where the clock was behind."""

    values: int
    """How many there were."""
    min: int
    mean: float
    max: int
    last: int
    p50: int
    """Half are at most this, within 0.8 %: `RELATIVE_ERROR`."""
    p99: int
    """99 % are at most this, within 0.8 %."""


class Distribution:
    """A histogram of nanoseconds, of either sign, in 64 kB: buckets are a 64th of a power of two wide."""

    __slots__ = ("_buckets", "_last", "_max", "_min", "_total", "count")

    def __init__(self) -> None:
        self._buckets = np.zeros(2 * _BUCKETS + 1, np.int64)
        self.count = 0
        self._min, self._max, self._last, self._total = FOREVER, -FOREVER, 0, 0

    def add(self, values: Array) -> None:
        """Take in int64 values; those of 146 years and more, either way, are left out."""
        values = values[(values > -_WIDEST) & (values < _WIDEST)]
        if not len(values):
            return
        # A float's bits, cut off after some digits, are a logarithm; and as exact as its digits are.
        size = np.maximum((np.abs(values).astype(np.float64).view(np.int64) >> _SHIFT) - _ONE, 0)
        np.add.at(self._buckets, _BUCKETS + np.where(values < 0, -size, size), 1)
        self.count += len(values)
        self._min, self._max = min(self._min, int(values.min())), max(self._max, int(values.max()))
        self._last = int(values[-1])
        # In halves, as the sum of many may not fit.
        self._total += (int((values >> 32).sum()) << 32) + int((values & 0xFFFF_FFFF).sum())

    def merge(self, later: Distribution) -> None:
        """Add what another has taken in, after what is here."""
        if later.count:
            self._buckets += later._buckets
            self.count += later.count
            self._min, self._max = min(self._min, later._min), max(self._max, later._max)
            self._last = later._last
            self._total += later._total

    def percentile(self, part: float) -> int:
        """Return the smallest value that `part` of all values, from 0 to 1, do not exceed, within `RELATIVE_ERROR`.

        Raises:
            ValueError: there are none, or `part` is out of range.
        """
        if not 0 <= part <= 1:
            raise ValueError(f"part must be from 0 to 1, got {part}")
        if not self.count:
            raise ValueError("there is no percentile of no values")
        rank = max(1, -int(-part * self.count // 1))
        place = int(np.searchsorted(self._buckets.cumsum(), rank)) - _BUCKETS
        return max(self._min, min(_middle(abs(place)) * (-1 if place < 0 else 1), self._max))

    def summary(self) -> Summary | None:
        """Return all figures; None when nothing was taken in."""
        if not self.count:
            return None
        mean = self._total / self.count
        return Summary(self.count, self._min, mean, self._max, self._last, self.percentile(0.5), self.percentile(0.99))


def _middle(place: int) -> int:
    """The middle of a bucket, which for small values is the only one it can hold."""
    if place == 0:
        return 0
    power, step = divmod(place - 1, 1 << _BITS)
    low, above = ((1 << _BITS) + step << power) >> _BITS, ((1 << _BITS) + step + 1 << power) >> _BITS
    return (low + max(above - 1, low)) // 2


class Pace:
    """How many came in the last whole period of a clock; periods begin at multiples of their length.

    Args:
        period: its length in ns.
    """

    __slots__ = ("_before", "_beat", "_inside", "_period")

    def __init__(self, period: int) -> None:
        self._period = period
        self._beat, self._inside, self._before = 0, 0, 0

    def add(self, nows: Array, ticks: Array | None = None) -> None:
        """Take in the times at which elements came, and how many ticks each was; one by default."""
        beats = nows // self._period
        newest = int(beats[-1])
        for beat in (newest - 1, newest):
            same = beats == beat
            count = int(np.count_nonzero(same) if ticks is None else ticks[same].sum())
            if count:
                self.tick(beat * self._period, count)

    def tick(self, now: int, count: int) -> None:
        """Take in so many at one time."""
        self._move(now // self._period)
        self._inside += count

    def per_second(self, now: int) -> float:
        """Return the ticks of the last whole period, a second."""
        self._move(now // self._period)
        return self._before * SECOND / self._period

    def _move(self, beat: int) -> None:
        if beat != self._beat:
            self._before = self._inside if beat == self._beat + 1 else 0
            self._beat, self._inside = beat, 0


class MeterStats(NamedTuple):
    """What passed a stage. All but the two counts need a clock, and are None without one."""

    name: str
    elements: int
    """Rows or frames, as they came."""
    ticks: int
    """One a row, the rows of a frame, the `count` of a bar."""
    rate: float | None
    """Ticks a second in the last whole period of the clock."""
    lag: Summary | None
    """The clock's time less the element's, of each row whose time is known; of a bar, its last tick's."""
    latency: Summary | None
    """The clock's time less `received`, of each row that has it."""


class MeterKernel:
    """The figures of one stage.

    A tick is told by `plain += 1` or, with a clock, by adding it to `rows` and the clock's time to `nows`, and a call of
    `fold` at `GATHERED` of them; anything else by `add`.

    Args:
        name: the stage's.
        period: of the rate, in ns.
    """

    __slots__ = ("_elements", "_lag", "_latency", "_name", "_pace", "_ticks", "nows", "plain", "rows")

    def __init__(self, name: str, period: int) -> None:
        self._name = name
        self._elements = self._ticks = self.plain = 0
        self._lag, self._latency, self._pace = Distribution(), Distribution(), Pace(period)
        self.rows: list[Any] = []
        self.nows: list[int] = []

    def add(self, element: Any, now: int | None) -> None:
        """Take in whatever it is, at the clock's time; None if there is no clock."""
        if now is not None and isinstance(element, (Tick, Quote, Depth, Bar)):
            self.rows.append(element)
            self.nows.append(now)
            if len(self.nows) >= GATHERED:
                self.fold()
            return
        ticks = _ticks_of(element)
        self._elements += 1
        self._ticks += ticks
        if now is None:
            return
        # Not gathered, since it may be large; what came before goes first, for `last`.
        self.fold()
        self._pace.tick(now, ticks)
        if is_frame(element):
            for column, into in (("last_time" if element.kind is Bar else "time", self._lag), ("received", self._latency)):
                if column in element.df.columns:
                    into.add(now - element.df[column].drop_nulls().cast(pl.Int64).to_numpy())

    def stats(self, now: int | None) -> MeterStats:
        """Return the figures, at the clock's time; None if there is no clock."""
        self.fold()
        rate = None if now is None else self._pace.per_second(now)
        elements, ticks = self._elements + self.plain, self._ticks + self.plain
        return MeterStats(self._name, elements, ticks, rate, self._lag.summary(), self._latency.summary())

    def fold(self) -> None:
        """Work out what was gathered."""
        rows, nows = self.rows, self.nows
        if not rows:
            return
        at = _int64(nows)
        ticks = None
        try:
            times = _int64([row.time for row in rows])
            received = _int64([UNKNOWN_TIME if (r := row.received) is None else r for row in rows])
        except (AttributeError, TypeError, ValueError, OverflowError):  # there are bars, or times that are none
            times = _int64([_time_of(row) for row in rows])
            received = _int64([_time(getattr(row, "received", None)) for row in rows])
            ticks = _int64([_ticks_of(row) for row in rows])
        self._elements += len(rows)
        self._ticks += len(rows) if ticks is None else int(ticks.sum())
        rows.clear()
        nows.clear()
        self._pace.add(at, ticks)
        self._lag.add(at - times)
        self._latency.add(at - received)


def _int64(values: list[int]) -> Array:
    return np.fromiter(values, np.int64, len(values))


def _time(value: Any) -> int:
    return value if isinstance(value, int) and UNKNOWN_TIME < value <= FOREVER else UNKNOWN_TIME


def _time_of(row: Any) -> int:
    return _time(row.last_time if isinstance(row, Bar) else row.time)


def _ticks_of(element: Any) -> int:
    if is_frame(element):
        return int(element.df["count"].sum()) if element.kind is Bar else len(element)
    return element.count or 0 if isinstance(element, Bar) else 1
