"""Local clocks as arithmetic: when a zone's offset changes, which instant a local time is, and where a clock's grid has edges.

Everything outside works on int nanoseconds, UTC. A zone is read here once, as stretches of constant offset (`Stretch`);
after that, a local time is an addition and no question about folds is left. The definitions are the instants at which a
clock on the wall gets somewhere: `instant` is the first one at which it reads a local time or has jumped over it.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from rxfeed.times import NANOSECONDS, SECOND

DAY = NANOSECONDS["d"]
EARLIEST = -9_000_000_000 * SECOND
"""Instants before (1684) and from `LATEST` on (2255) have no local time here: int64 nanoseconds end soon after."""
LATEST = 9_000_000_000 * SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK = 400 * 86_400
# In the whole zone database (IANA 2026f, up to 2100) no two changes are closer than 6.9 days, so no change is stepped over.
_SAMPLE = 5 * 86_400


class Transition(NamedTuple):
    """A change of a zone's offset at the instant `at`; offsets in nanoseconds east of UTC."""

    at: int
    before: int
    after: int


class Stretch(NamedTuple):
    """From `start` to `end` (instants) the local clock reads the instant plus `offset`."""

    start: int
    end: int
    offset: int


def check(zone: str) -> str:
    """Return `zone` when the zone database has it.

    Raises:
        ValueError: it has not; the text names close matches.
    """
    try:
        _zone(zone)
    except (KeyError, ValueError, OSError):
        close = difflib.get_close_matches(zone, sorted(available_timezones()), n=3)
        hint = f"; close matches: {', '.join(close)}" if close else ""
        raise ValueError(f'zone must be an IANA name such as "America/Chicago", got {zone!r}{hint}') from None
    return zone


def offset(zone: str, time: int) -> int:
    """Return the zone's offset at an instant, in nanoseconds east of UTC."""
    return _offset(_zone(zone), time // SECOND) * SECOND


def transitions(zone: str, start: int, end: int) -> tuple[Transition, ...]:
    """Return the zone's changes of offset with `start <= at < end`, in order.

    Where only the name or the "is summer time" mark changes and the offset does not, nothing is reported.
    """
    start, end = max(start, EARLIEST), min(end, LATEST)
    if start >= end:
        return ()
    first, last = start // SECOND // _BLOCK, (end - 1) // SECOND // _BLOCK
    return tuple(t for block in range(first, last + 1) for t in _block(zone, block) if start <= t.at < end)


def stretches(zone: str, start: int, end: int) -> list[Stretch]:
    """Return the stretches of constant offset that together are `[start, end)`."""
    changes = transitions(zone, start, end)
    edges = [start, *(t.at for t in changes if t.at > start), end]
    return [Stretch(lo, hi, offset(zone, lo)) for lo, hi in pairwise(edges)]


def instant(zone: str, local: int) -> int:
    """Return the first instant at which the zone's clock reads `local` or has passed it.

    `local` is in nanoseconds since 1970-01-01 00:00 on that clock. A local time that does not exist gives the instant of
    the change that skips it; one that occurs twice gives the first. So a later local time never gives an earlier instant.
    """
    around = stretches(zone, local - DAY, local + DAY)  # no offset is a day or more
    return next(max(s.start, local - s.offset) for s in around if s.end + s.offset > local)


def local(zone: str, time: int) -> str:
    """Return an instant as ISO 8601 text on the zone's clock, offset included, with no digit lost."""
    seconds, fraction = divmod(time, SECOND)
    moment = (_EPOCH + timedelta(seconds=seconds)).astimezone(_zone(zone))
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    text = moment.isoformat()
    return text[:19] + digits + text[19:]


class Pattern(NamedTuple):
    """Windows `origin + k * step` for `lo <= t < hi`; `lo` and `hi` are edges."""

    lo: int
    hi: int
    origin: int
    step: int


def clock_grid(zone: str, step: int, start: int, end: int) -> list[Pattern]:
    """Return the grid of a zone's clock over `[start, end)`, in order and without gap; the ends may lie in mid-pattern.

    An edge is every instant at which the clock reaches a multiple of `step` counted from local midnight (which always is
    one), also when it is turned back at that very moment, and every jump that leads into another multiple. Next to a
    change of offset each window is a pattern of its own, with the duration that it really has as its step. So is what a
    `step` that does not divide the day leaves over before midnight.
    """
    parts = stretches(zone, start - 3 * DAY, end + 3 * DAY)  # windows last a day at most, plus what a change adds
    found: list[Pattern] = []
    previous: int | None = None
    for i, part in enumerate(parts):
        if i and _jump_is_edge(part.start + parts[i - 1].offset, part.start + part.offset, step):
            if previous is not None:
                found.append(Pattern(previous, part.start, previous, part.start - previous))
            previous = part.start
        first, last = _first_edge(part, step), _last_edge(part, step)
        if first is None or last is None:
            continue
        if previous is not None:
            found.append(Pattern(previous, first, previous, first - previous))
        if first < last:
            found.extend(_regular(part, step, first, last))
        previous = last
    return [p for p in found if p.lo < end and p.hi > start]


def _regular(part: Stretch, step: int, first: int, last: int) -> list[Pattern]:
    """The patterns between two edges of one stretch."""
    if DAY % step == 0:
        return [Pattern(first, last, first, step)]
    found: list[Pattern] = []
    whole = DAY // step * step
    midnight = (first + part.offset) // DAY * DAY - part.offset
    while midnight < last:
        for lo, hi, width in ((midnight, midnight + whole, step), (midnight + whole, midnight + DAY, DAY - whole)):
            if max(lo, first) < min(hi, last):
                found.append(Pattern(max(lo, first), min(hi, last), lo, width))
        midnight += DAY
    return found


def _jump_is_edge(before: int, after: int, step: int) -> bool:
    """Whether the jump of a clock that was about to read `before` and now reads `after` is an edge."""
    return before % DAY % step == 0 or _floor(before, step) != _floor(after, step)


def _floor(local: int, step: int) -> int:
    return local - local % DAY % step


def _ceil(local: int, step: int) -> int:
    midnight = local - local % DAY
    return min(midnight - (midnight - local) // step * step, midnight + DAY)


def _first_edge(part: Stretch, step: int) -> int | None:
    """The first edge inside a stretch, its start not counted."""
    edge = _ceil(part.start + part.offset + 1, step) - part.offset
    return edge if edge < part.end else None


def _last_edge(part: Stretch, step: int) -> int | None:
    edge = _floor(part.end + part.offset - 1, step) - part.offset
    return edge if edge > part.start else None


@lru_cache(maxsize=1024)
def _zone(zone: str) -> ZoneInfo:
    return ZoneInfo(zone)


def _offset(zone: ZoneInfo, seconds: int) -> int:
    delta = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset()
    assert delta is not None
    return delta.days * 86_400 + delta.seconds


@lru_cache(maxsize=8192)
def _block(zone: str, block: int) -> tuple[Transition, ...]:
    """The changes with `block <= at / _BLOCK < block + 1`; an offset is compared with that of the second before."""
    info = _zone(zone)
    found: list[Transition] = []

    def changes(lo: int, hi: int, before: int, after: int) -> None:
        if before == after:
            return
        # Bisection over seconds: offsets in the zone database change at whole ones.
        at = lo + 1 + bisect_left(range(lo + 1, hi), True, key=lambda second: _offset(info, second) != before)
        now = _offset(info, at)
        found.append(Transition(at * SECOND, before * SECOND, now * SECOND))
        changes(at, hi, now, after)

    lo = block * _BLOCK - 1
    before = _offset(info, lo)
    while lo < (block + 1) * _BLOCK - 1:
        hi = min(lo + _SAMPLE, (block + 1) * _BLOCK - 1)
        after = _offset(info, hi)
        changes(lo, hi, before, after)
        lo, before = hi, after
    return tuple(found)
