"""What windows around a change of a zone's offset ought to be, found by looking at a clock again and again.

Written with `zoneinfo` and `datetime` alone; it shares no code and no method with the package. All numbers are seconds.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAY = 86_400
FIRST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2031, 1, 1, tzinfo=UTC).timestamp())


class Change(NamedTuple):
    at: int
    before: int
    after: int


class Window(NamedTuple):
    start: int
    end: int
    short: bool
    day: date


def zone_names() -> list[str]:
    return sorted(files("tzdata").joinpath("zones").read_text().split())


def offset(zone: ZoneInfo, second: int) -> int:
    found = datetime.fromtimestamp(second, zone).utcoffset()
    assert found is not None
    return found // timedelta(seconds=1)


@cache
def changes(name: str) -> list[Change]:
    """Every change of offset from 2000 to 2030, found by a look every second day and then by halving."""
    zone = ZoneInfo(name)
    found: list[Change] = []
    before = offset(zone, FIRST)
    for noon in range(FIRST, LAST, 2 * DAY):
        if (after := offset(zone, noon)) == before:
            continue
        lo, hi = noon - 2 * DAY, noon
        while hi - lo > 1:
            middle = (lo + hi) // 2
            lo, hi = (middle, hi) if offset(zone, middle) == before else (lo, middle)
        found.append(Change(hi, before, after))
        before = after
    return found


class Clock:
    """The local clock of a zone, read every quarter of an hour (or minute) for two days on either side of an instant."""

    def __init__(self, name: str, around: int) -> None:
        zone = ZoneInfo(name)
        fine = any(number % 900 for number in (around, offset(zone, around), offset(zone, around - 1)))
        self.tick = 60 if fine else 900
        self.read = {
            second: second + offset(zone, second)
            for second in range(around - 2 * DAY - around % DAY, around + 3 * DAY - around % DAY, self.tick)
        }
        self._days: dict[int, list[tuple[int, int, date]]] = {}
        self._edges: dict[int, set[int]] = {}

    def days(self, opening: int) -> list[tuple[int, int, date]]:
        """Days that begin when the clock first shows `opening` seconds after midnight, or first shows more."""
        if opening in self._days:
            return self._days[opening]
        greatest: int | None = None
        starts: list[tuple[int, int]] = []
        for second, shown in self.read.items():
            day = (shown - opening) // DAY
            if greatest is None or day > greatest:
                greatest = day
                starts.append((second, day))
        days = [(lo, hi, date(1970, 1, 1) + timedelta(days=day)) for (lo, day), (hi, _) in pairwise(starts)]
        self._days[opening] = days[1:]
        return days[1:]

    def edges(self, step: int) -> set[int]:
        """Instants at which the clock comes to a multiple of `step` since midnight, or jumps into another one."""
        if step in self._edges:
            return self._edges[step]
        found = self._edges[step] = set[int]()
        for (_, shown), (second, shows) in pairwise(self.read.items()):
            due = shown + self.tick
            comes = due % DAY % step == 0
            jumps = (shows // DAY, shows % DAY // step) != (shown // DAY, shown % DAY // step)
            if comes or jumps:
                found.add(second)
        return found

    def windows(self, anchor: str, step: int, opening: int) -> list[Window]:
        """The windows of all days; a `step` of 0 makes each day one window."""
        found: list[Window] = []
        edges = self.edges(step) if anchor == "wall" and step else set[int]()
        for lo, hi, day in self.days(opening):
            if not step:
                found.append(Window(lo, hi, False, day))
            elif anchor == "session":
                found += [Window(s, min(s + step, hi), s + step > hi, day) for s in range(lo, hi, step)]
            elif anchor == "utc":
                nominal = range(lo // step * step, hi, step)
                found += [Window(max(s, lo), min(s + step, hi), s < lo or s + step > hi, day) for s in nominal]
            else:
                cuts = sorted({lo, hi, *(edge for edge in edges if lo < edge < hi)})
                found += [Window(a, b, a not in edges or b not in edges, day) for a, b in pairwise(cuts)]
        return found
