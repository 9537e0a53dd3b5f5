"""Bars of what the market traded, as the gateway's history answers them: exact, bounded, newest first.

Seconds are kept for `seconds` trading seconds a contract, minutes for `minutes`; coarser bars are made of minutes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from rxfeed.feeds.simulator.listing import Listed
from rxfeed.feeds.simulator.records import Deals
from rxfeed.feeds.simulator.stamps import Stamps
from rxfeed.times import SECOND

MOST: Final = 20_000
MINUTE: Final = 60
DAY: Final = 86_400
_MONDAY: Final = 4 * DAY
"""The first Monday after the epoch, in seconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECONDS, MINUTES, HOURS, DAYS, WEEKS, MONTHS = 1, 2, 3, 4, 5, 6

Ohlcv = list[int]
"""Open, high, low, close and volume; prices in whole ticks."""
Dated = list[int]
"""The same, and the times of the first and the last trade."""


class Window(NamedTuple):
    """`[start, end)` in seconds since the epoch."""

    start: int
    end: int


def windows(unit: int, number: int) -> Callable[[int], Window]:
    """Return what tells the window of a second: UTC's grid for seconds to days, Mondays for weeks, months from January 1970."""
    if unit in (SECONDS, MINUTES, HOURS, DAYS):
        step = {SECONDS: 1, MINUTES: MINUTE, HOURS: 3_600, DAYS: DAY}[unit] * number
        return lambda second: Window(second - second % step, second - second % step + step)
    if unit == WEEKS:
        week = 7 * DAY * number

        def weekly(second: int) -> Window:
            start = second - (second - _MONDAY) % week
            return Window(start, start + week)

        return weekly

    def monthly(second: int) -> Window:
        day = _EPOCH + timedelta(seconds=second)
        months = (day.year - 1970) * 12 + day.month - 1
        first = months - months % number
        return Window(_month(first), _month(first + number))

    return monthly


def _month(months: int) -> int:
    return int((datetime(1970 + months // 12, months % 12 + 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())


class History:
    """One contract's history.

    Args:
        seconds: how many seconds with trades are kept as such.
        minutes: how many minutes with trades are kept.
    """

    __slots__ = ("_minutes", "_most_minutes", "_most_seconds", "_seconds", "_since")

    def __init__(self, seconds: int = 2 * DAY, minutes: int = 366 * 1_440) -> None:
        self._most_seconds, self._most_minutes = seconds, minutes
        self._seconds: dict[int, Dated] = {}
        self._minutes: dict[int, Dated] = {}
        self._since = {1: 0, MINUTE: 0}
        """From when on all seconds and all minutes are kept."""

    def add(self, deals: Deals) -> None:
        """Take trades in the order in which they were done; their times never fall, but may be earlier than those before.

        Open and close are by time, and by order where times are equal.
        """
        times, ticks, sizes, _ = deals
        a, count = 0, len(times)
        while a < count:
            second = times[a] // SECOND
            b = count if times[-1] // SECOND == second else bisect_left(times, (second + 1) * SECOND, a)
            prices = ticks[a:b]
            new = [prices[0], max(prices), min(prices), prices[-1], sum(sizes[a:b]), times[a], times[b - 1]]
            self._put(self._seconds, second, new, self._most_seconds, 1)
            self._put(self._minutes, second // MINUTE * MINUTE, new, self._most_minutes, MINUTE)
            a = b

    def kept(self, *, minutes: bool = False) -> tuple[list[tuple[int, Dated]], int]:
        """Return all seconds or minutes by their starts, and from when on all are kept, in nanoseconds since the epoch."""
        source = self._minutes if minutes else self._seconds
        return [(at * SECOND, bar) for at, bar in source.items()], self._since[MINUTE if minutes else 1] * SECOND

    def _put(self, bars: dict[int, Dated], at: int, new: Dated, most: int, length: int) -> None:
        bar = bars.get(at)
        if bar is None:
            bars[at] = new.copy()
            if len(bars) > most:
                gone = next(iter(bars))
                del bars[gone]
                self._since[length] = max(self._since[length], gone + length)
            return
        bar[1], bar[2] = max(bar[1], new[1]), min(bar[2], new[2])
        bar[4] += new[4]
        if new[5] < bar[5]:
            bar[0], bar[5] = new[0], new[5]
        if new[6] >= bar[6]:
            bar[3], bar[6] = new[3], new[6]

    def bars(
        self, unit: int, number: int, start: int, end: int, limit: int, now: int, *, partial: bool, late: int = 0,
        shown: Callable[[Window], bool] | None = None,
    ) -> list[tuple[int, Ohlcv]]:  # fmt: skip
        """Return the newest bars that begin in `[start, end]`, newest first, each with its start in seconds.

        Args:
            unit: 1 to 6: seconds, minutes, hours, days, weeks, months.
            number: of units in a bar.
            start: nanoseconds since the epoch, as `end` and `now` are.
            end: inclusive.
            limit: how many at most; never more than 20,000.
            now: a bar whose window ends later is partial.
            partial: whether that one is included.
            late: how long after its end a bar, or what a partial one is made of, is there.
            shown: which bars are there at all; by default all.
        """
        span = windows(unit, number)
        limit = min(limit, MOST)
        result: list[tuple[int, Ohlcv]] = []
        source, length = (self._seconds, 1) if unit == SECONDS else (self._minutes, MINUTE)
        children: list[Dated] = []
        current: Window | None = None
        hidden = False
        for second, bar in _backwards(source):
            if late and (second + length) * SECOND + late > now:
                continue
            window = span(second)
            if window != current:
                if current is not None and children:
                    result.append((current.start, _merged(children)))
                    if len(result) == limit:
                        return result
                current, children = window, []
                hidden = shown is not None and not shown(window)
            at = window.start * SECOND
            if at < start:
                break
            if at <= end and not hidden and (partial or window.end * SECOND + late <= now):
                children.append(bar)
        if current is not None and children:
            result.append((current.start, _merged(children)))
        return result[:limit]


def _backwards(source: dict[int, Dated]) -> Iterator[tuple[int, Dated]]:
    """Yield bars from the newest; they lie in order of time unless times went back in between."""
    keys = list(source)
    if any(a > b for a, b in pairwise(keys)):
        keys.sort()
    return ((key, source[key]) for key in reversed(keys))


def _merged(children: list[Dated]) -> Ohlcv:
    return [
        children[-1][0], max(c[1] for c in children), min(c[2] for c in children), children[0][3], sum(c[4] for c in children)
    ]  # fmt: skip


def rows(bars: Iterable[tuple[int, Ohlcv]], listed: Listed) -> list[dict[str, Any]]:
    """Return bars as the gateway's JSON has them."""
    stamps, price = Stamps(), listed.price
    return [
        {"t": stamps.plain(at * SECOND), "o": price(o), "h": price(h), "l": price(low), "c": price(c), "v": v}
        for at, (o, h, low, c, v) in bars
    ]
