"""Empty windows as bars, for those who want no hole: count 0, every price the close before, flagged FILLED.

It stands behind the lanes and sees what they emit. A filled bar lives as long as a real one: when the close it copies is
revised, it comes out again, and when a late tick falls into it, the real bar takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter

import msgspec

from rxfeed.kernels.bars.plan import Plan
from rxfeed.kernels.bars.spans import Spans, touches
from rxfeed.model import Bar, Flag
from rxfeed.windows import Grid, Segment, Window

_MOST = 20_000
"""So many bars of one symbol and level wait for history at most."""
_START = attrgetter("start")


class _Lane:
    """One symbol and level: the bars within the horizon, filled or real, by start and in order."""

    __slots__ = ("bars", "end", "forgot", "latest")

    def __init__(self, first: Bar) -> None:
        self.bars: dict[int, Bar] = {first.start: first}
        self.end = first.end
        self.forgot = False
        """Whether there were bars before these."""
        self.latest = first


class Filler:
    """Puts the empty windows between, per symbol and timeframe, as far as the watermark has come.

    Args:
        plan: the timeframes.
        pins: of a symbol and a level, the stretches that history may still change.
    """

    def __init__(self, plan: Plan, pins: Callable[[str, int], Spans] | None = None) -> None:
        self.plan, self._pins = plan, pins
        self._level = {name: level for level, name in enumerate(plan.names)}
        self._lanes: dict[str, dict[int, _Lane]] = {}

    def through(self, bars: Iterable[Bar], watermarks: Mapping[str, int]) -> list[Bar]:
        """Return `bars` with the empty windows before each, and up to the watermarks of the symbols named; per symbol by
        (end, finer first), then what is revised."""
        closed: list[tuple[str, int, int, Bar]] = []
        revised: list[Bar] = []
        for bar in bars:
            level = self._level[bar.timeframe]
            lanes = self._lanes.setdefault(bar.symbol, {})
            lane = lanes.get(level)
            if lane is None:
                lanes[level] = _Lane(bar)
                closed.append((bar.symbol, bar.end, level, bar))
            elif bar.start >= lane.end:
                closed += [(bar.symbol, b.end, level, b) for b in self._fill(lane, bar.symbol, level, bar.start)]
                self._add(lane, bar)
                closed.append((bar.symbol, bar.end, level, bar))
            else:
                revised += self._revise(lane, bar)
        for symbol, mark in watermarks.items():
            for level, lane in self._lanes.get(symbol, {}).items():
                closed += [(symbol, b.end, level, b) for b in self._fill(lane, symbol, level, mark - self.plan.lateness)]
                pins = [] if self._pins is None else self._pins(symbol, level)
                self._forget(lane, mark - self.plan.horizon, pins)
        closed.sort(key=lambda item: item[:3])
        return [bar for *_, bar in closed] + revised

    def mended(self, bars: Iterable[Bar]) -> list[Bar]:
        """Return bars that a gap or history has changed, and the filled ones whose close they change; by end, finer first."""
        found: list[tuple[str, int, int, Bar]] = []
        rest: list[Bar] = []
        # From the last to the first, so that each fills no further than to the next: history may bring thousands.
        for bar in sorted(bars, key=_START, reverse=True):
            level = self._level[bar.timeframe]
            lane = self._lanes.get(bar.symbol, {}).get(level)
            if lane is None or bar.start >= lane.end:
                rest.append(bar)
            else:
                found += [(b.symbol, b.end, level, b) for b in self._revise(lane, bar)]
        found += [(b.symbol, b.end, self._level[b.timeframe], b) for b in self.through(reversed(rest), {})]
        found.sort(key=lambda item: item[:3])
        return [bar for *_, bar in found]

    def due(self) -> int | None:
        """When the next empty window may end, or None before the first bar."""
        ends = [
            window.end
            for symbol, lanes in self._lanes.items()
            for level, lane in lanes.items()
            if (window := _next(self.plan.grids(symbol)[level], lane.end)) is not None
        ]
        return min(ends, default=None)

    def _add(self, lane: _Lane, bar: Bar) -> None:
        lane.bars[bar.start] = lane.latest = bar
        lane.end = bar.end

    def _fill(self, lane: _Lane, symbol: str, level: int, until: int) -> list[Bar]:
        """Add filled bars for the windows from the last one that end at or before `until`."""
        out: list[Bar] = []
        if lane.end >= until:
            return out
        for window, segment in _windows(self.plan.grids(symbol)[level], lane.end, until):
            if window.end > until:
                break
            bar = _filled(lane.latest, window, segment)
            self._add(lane, bar)
            out.append(bar)
        return out

    def _revise(self, lane: _Lane, bar: Bar) -> Iterator[Bar]:
        """Yield a late bar, and the filled ones after it whose close it changes."""
        old = lane.bars.get(bar.start)
        if old is not None and bar.revision <= old.revision:
            bar = msgspec.structs.replace(bar, revision=old.revision + 1)
        first = next(iter(lane.bars))
        if bar.start < first and lane.forgot:
            yield bar
            return
        if bar.start < first:
            # Before the first bar of all there was nothing to fill from. Now there is, late as it is.
            grid = self.plan.grids(bar.symbol)[self._level[bar.timeframe]]
            holes = [_filled(bar, *place, revision=1) for place in _windows(grid, bar.end, first) if place[0].end <= first]
            lane.bars = {bar.start: bar, **{hole.start: hole for hole in holes}, **lane.bars}
            yield from (bar, *holes)
            return
        lane.bars[bar.start] = bar
        yield bar
        starts = sorted(start for start in lane.bars if start >= bar.start)
        before = bar
        for start in starts[1:]:
            after = lane.bars[start]
            if not after.flags & Flag.FILLED:
                break
            if after.close != bar.close:
                close = bar.close
                after = msgspec.structs.replace(
                    after, open=close, high=close, low=close, close=close, revision=after.revision + 1
                )
                lane.bars[start] = after
                yield after
            before = after
        if before.end == lane.end:
            lane.latest = before

    def _forget(self, lane: _Lane, done: int, pins: Spans) -> None:
        while len(lane.bars) > 1:
            start = next(iter(lane.bars))
            end = lane.bars[start].end
            if end > done or (pins and len(lane.bars) <= _MOST and touches(pins, start, end - 1)):
                return
            del lane.bars[start]
            lane.forgot = True


def _windows(grid: Grid, time: int, until: int) -> Iterator[tuple[Window, Segment]]:
    """Yield the windows from `time` on, over breaks, nights and holidays, while they begin before `until`."""
    for segment in grid.segments(time, until):
        at = max(time, segment.lo)
        while at < segment.hi:
            window = segment.window(at)
            yield window, segment
            at = window.end


def _next(grid: Grid, time: int) -> Window | None:
    """Return the first window that begins at or after `time`."""
    segment = grid.segment(time)
    if segment is not None:
        return segment.window(time)
    span = grid.session.span_after(time)
    segment = span and grid.segment(span.open)
    return segment and span and segment.window(span.open)


def _filled(before: Bar, window: Window, segment: Segment, revision: int = 0) -> Bar:
    close = before.close
    return Bar(
        before.symbol, before.timeframe, window.start, window.end, close, close, close, close, 0, 0, 0, 0, 0.0,
        None, None, None, None, segment.trade_date, revision, Flag.FILLED | Flag.SHORT * window.short,
    )  # fmt: skip
