"""What history is asked about a gap: all windows of one timeframe that it touches, and in bars of which length.

A feed's history lies on UTC's grid, and ours begins with the session. So it is asked for the longest round bars that no edge
of ours cuts, and those are merged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from rxfeed.instrument import Instruments, by_symbol
from rxfeed.model import Gap
from rxfeed.sessions import Session
from rxfeed.times import NANOSECONDS, SECOND
from rxfeed.windows import Grid, Level, Windows

_HOUR: Final = NANOSECONDS["h"]
_ROUND: Final = {
    _HOUR: "1h",
    **{n * NANOSECONDS["m"]: f"{n}m" for n in (30, 15, 10, 5, 1)},
    **{n * SECOND: f"{n}s" for n in (30, 15, 10, 5, 1)},
}
"""What any history has, longest first. Longer than an hour it may well begin where it likes."""


class Stretch(NamedTuple):
    """Whole windows of one timeframe, those that a piece of a gap touches, and what history is asked to learn of them."""

    symbol: str
    timeframe: str
    start: int
    end: int
    asked: str
    """The timeframe of the bars that history is asked for."""
    step: int
    """How long these are, ns."""
    grid: Grid
    first: int
    """The first instant of the gap in it: mostly that of a trade, as is `last`."""
    last: int

    def floor(self, time: int) -> int:
        """Return the start of the window that holds an instant; the instant itself where the market is closed."""
        segment = self.grid.segment(time)
        return time if segment is None else segment.window(time).start

    def ceiling(self, time: int) -> int:
        """Return the same for the first window that begins at an instant or after it."""
        segment = self.grid.segment(time)
        if segment is None:
            return time
        window = segment.window(time)
        return time if window.start == time else window.end

    def beginning(self, start: int) -> Stretch:
        """Return what is left of it from the edge `start` on."""
        return self._replace(start=start)


class RepairPlan:
    """The levels of `Windows`, by symbol, as questions for history.

    Args:
        windows: the timeframes.
        instruments: by symbol; those with a session of their own use it instead of that of `windows`.

    Raises:
        ValueError: no timeframe that history has.
    """

    def __init__(self, windows: Windows, instruments: Instruments = None) -> None:
        if not any(_whole(level) for level in windows.levels):
            names = ", ".join(t.name for t in windows.timeframes)
            raise ValueError(f"history has nothing shorter than a second: one timeframe must be whole seconds, got {names}")
        self.windows = windows
        self._own = {s: windows.with_session(i.session) for s, i in by_symbol(instruments).items() if i.session is not None}

    def session(self, symbol: str) -> Session:
        """When a symbol trades."""
        return self._own.get(symbol, self.windows).session

    def open(self, symbol: str, start: int, end: int) -> bool:
        """Whether the market is open at some time from `start` to `end`, both inclusive."""
        return bool(self.session(symbol).spans(start, end + 1))

    def adjoin(self, symbol: str, a: Gap, b: Gap) -> bool:
        """Whether two gaps touch the same of the finest windows, or those side by side."""
        for level in self.levels(symbol, a.start, a.end):
            one, other = (self.stretch(symbol, level, gap.start, gap.end) for gap in (a, b))
            return one is not None and other is not None and one.start <= other.end and other.start <= one.end
        return False

    def levels(self, symbol: str, start: int, end: int) -> Iterator[int]:
        """Yield the levels at which a piece of a gap can be asked about: finest first, each in longer bars than the last."""
        step = 0
        for level in range(len(self.windows.levels)):
            stretch = self.stretch(symbol, level, start, end)
            if stretch is not None and stretch.step > step:
                step = stretch.step
                yield level

    def stretch(self, symbol: str, level: int, start: int, end: int) -> Stretch | None:
        """Return the windows of a level that `[start, end]` touches; None if there are none, or history cannot tell of them."""
        windows = self._own.get(symbol, self.windows)
        grid = windows.grid(level)
        segments = grid.segments(start, end + 1)
        if not segments or not self.open(symbol, start, end):
            return None
        first, last = segments[0], segments[-1]
        lo, hi = first.window(max(start, first.lo)).start, last.window(min(end, last.hi - 1)).end
        edges = [edge for span in windows.session.spans(lo, hi) for edge in (span.open, span.close)]
        edges += [edge for s in segments for edge in (s.lo, s.hi, s.origin)]
        if grid.timeframe.intraday:
            edges.append(grid.timeframe.step)
        common = math.gcd(_HOUR, *edges)
        step = next((step for step in _ROUND if common % step == 0), None)
        if step is None:
            return None
        return Stretch(symbol, grid.timeframe.name, lo, hi, _ROUND[step], step, grid, start, end)


def _whole(level: Level) -> bool:
    return level.timeframe.step % SECOND == 0
