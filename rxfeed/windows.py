"""Which bars are wanted: timeframes on a session, and the plan by which each is rolled up from a finer one.

One `Windows` value goes to every operator that must agree on windows, so that what one merges another can take.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from rxfeed import sessions
from rxfeed.grids import ANCHORS, SPAN, Anchor, Grid, Located, Segment, Timeframe, Window
from rxfeed.sessions import Session
from rxfeed.times import NANOSECONDS

__all__ = ["ANCHORS", "SPAN", "Anchor", "Grid", "Level", "Located", "Segment", "Timeframe", "Window", "Windows"]

MOST_TIMEFRAMES = 32
_MANY = 100
_LENGTHS = {"1d": NANOSECONDS["d"], "1w": 7 * NANOSECONDS["d"], "1mo": 31 * NANOSECONDS["d"]}


class Level(NamedTuple):
    """One step of the plan."""

    timeframe: Timeframe
    emitted: bool
    """Whether it was asked for; a hidden base was not."""
    source: int | None
    """Index of the level that its bars are merged from; None for the base, which takes ticks."""
    parents: tuple[int, ...]
    """Indices of the levels that are merged from this one."""


class Windows:
    """Timeframes on a session: an immutable value that is equal, hashes and pickles by what it was made from.

    Args:
        timeframes: one or more, such as "5s", "1m", "4h" (units ms s m h, up to 24 hours), "1d" (trade dates), "1w" (ISO
            weeks of trade dates) or "1mo" (months of trade dates); none twice.
        session: when the market trades, or its name (`sessions.get`).
        anchor: where intraday windows are counted from. "session": elapsed time from the open of each span, so that none
            is ever stretched by a change of the clock. "wall": the local clock's grid; on the day of a change a 4h window
            may last 3 or 5 hours. "utc": the epoch. All are cut to the session.

    Raises:
        ValueError: no timeframe, more than 32, one twice, or something unknown.
    """

    __slots__ = ("anchor", "levels", "session", "timeframes")

    timeframes: tuple[Timeframe, ...]
    """In the order given."""
    session: Session
    anchor: Anchor
    levels: tuple[Level, ...]
    """Finest first. Level 0 divides all others: it is hidden if no timeframe asked for does."""

    def __init__(self, *timeframes: str | Timeframe, session: str | Session = "24x7", anchor: Anchor = "session") -> None:
        if not 1 <= len(timeframes) <= MOST_TIMEFRAMES:
            raise ValueError(f"timeframes must be 1 to {MOST_TIMEFRAMES}, got {len(timeframes)}")
        if anchor not in ANCHORS:
            raise ValueError(f"anchor must be one of {', '.join(ANCHORS)}, got {anchor!r}")
        parsed = tuple(Timeframe.parse(t) if isinstance(t, str) else Timeframe.parse(t.name) for t in timeframes)
        if twice := [t.name for i, t in enumerate(parsed) if t in parsed[:i]]:
            raise ValueError(f"timeframes must differ, got {twice[0]!r} twice")
        for slot, value in (
            ("timeframes", parsed),
            ("session", sessions.get(session)),
            ("anchor", anchor),
            ("levels", _plan(parsed)),
        ):
            object.__setattr__(self, slot, value)

    def grid(self, level: int) -> Grid:
        """Return the grid of a level. Equal windows share it, with what it has computed."""
        return _grid(self.levels[level].timeframe, self.session, self.anchor)

    def grid_of(self, timeframe: Timeframe) -> Grid:
        """Return the grid of any timeframe on this session and anchor."""
        return _grid(timeframe, self.session, self.anchor)

    def close_levels(self) -> tuple[Level, ...]:
        """Return the levels with hidden ones between, so that no window is made of more than about a hundred finer ones.

        Whoever must keep what a window is made of until that is over (a day of seconds) then keeps little.
        """
        shown = {level.timeframe for level in self.levels if level.emitted}
        timeframes = [level.timeframe for level in self.levels]
        found = True
        while found:
            made = _linked(sorted(timeframes, key=lambda t: t.rank), shown)
            pairs = ((made[level.source].timeframe, level.timeframe) for level in made if level.source is not None)
            found = next((between for pair in pairs if (between := _between(*pair)) is not None), None)
            if found:
                timeframes.append(found)
        return _linked(sorted(timeframes, key=lambda t: t.rank), shown)

    def with_session(self, session: str | Session) -> Windows:
        """Return the same timeframes and anchor on another session."""
        return Windows(*self.timeframes, session=session, anchor=self.anchor)

    def windows_on(self, day: date, timeframe: str) -> list[Window]:
        """Return the windows `(start, end, short)` of a trade date in one of the timeframes; none if it has no session.

        For "1w" and "1mo" it is the one window that the date belongs to.

        Raises:
            ValueError: not one of the timeframes.
        """
        for level in self.levels:
            if level.emitted and level.timeframe.name == timeframe:
                return _grid(level.timeframe, self.session, self.anchor).on(day)
        raise ValueError(f"timeframe must be one of {', '.join(t.name for t in self.timeframes)}, got {timeframe!r}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Windows never changes; make another one to set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Windows never changes; {name!r} stays")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Windows) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, self._values()

    def __repr__(self) -> str:
        names = ", ".join(repr(t.name) for t in self.timeframes)
        return f"Windows({names}, session={self.session!r}, anchor={self.anchor!r})"

    def _values(self) -> tuple[tuple[Timeframe, ...], Session, Anchor]:
        return self.timeframes, self.session, self.anchor


def _restore(timeframes: tuple[Timeframe, ...], session: Session, anchor: Anchor) -> Windows:
    return Windows(*timeframes, session=session, anchor=anchor)


@lru_cache(maxsize=256)
def _grid(timeframe: Timeframe, session: Session, anchor: Anchor) -> Grid:
    return Grid(timeframe, session, anchor)


def _plan(timeframes: Sequence[Timeframe]) -> tuple[Level, ...]:
    order = sorted(timeframes, key=lambda t: t.rank)
    hidden = not (order[0].intraday and all(order[0].divides(t) for t in order))
    if hidden:
        common = math.gcd(*(t.step for t in order))
        order.insert(0, Timeframe.parse(_text(common)) if common else SPAN)
    return _linked(order, set(timeframes))


def _linked(order: Sequence[Timeframe], shown: Collection[Timeframe]) -> tuple[Level, ...]:
    sources = [max((j for j in range(i) if order[j].divides(order[i])), default=None) for i in range(len(order))]
    return tuple(
        Level(t, t in shown, sources[i], tuple(j for j, source in enumerate(sources) if source == i))
        for i, t in enumerate(order)
    )


def _between(fine: Timeframe, coarse: Timeframe) -> Timeframe | None:
    """Return a timeframe between two of which one is made of too many of the other, or None."""
    if not fine.step:
        return None  # of days there are at most 31
    if coarse.step:
        ratio = coarse.step // fine.step
        times = 1 if ratio <= _MANY else max(k for k in range(1, _MANY + 1) if ratio % k == 0)
        return None if times == 1 else Timeframe.parse(_text(fine.step * times))
    length = _LENGTHS[coarse.name]
    if length // fine.step <= _MANY:
        return None
    if fine.step * 60 <= _LENGTHS["1d"]:
        return Timeframe.parse(_text(fine.step * 60))
    return Timeframe.parse("1d") if coarse.name != "1d" else None


def _text(step: int) -> str:
    unit = next(unit for unit in ("h", "m", "s", "ms") if step % NANOSECONDS[unit] == 0)
    return f"{step // NANOSECONDS[unit]}{unit}"
