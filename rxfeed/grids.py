"""One timeframe on one session: which window an instant is in, as two comparisons for a row and arithmetic for a column.

A grid has no table of edges. It cuts time into segments in which windows are `origin + k * step`: one a span, as a rule,
and a few more on the day when a local clock changes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from rxfeed import zones
from rxfeed.sessions import Session, Span
from rxfeed.times import NANOSECONDS

Anchor = Literal["session", "wall", "utc"]
"""Where intraday windows are counted from: the session's open (elapsed time), the local clock's grid, or the epoch."""
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)
Times = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
K = TypeVar("K")
V = TypeVar("V")

_INTRADAY = re.compile(r"([1-9]\d*)(ms|s|m|h)")
_CALENDAR = {"span": 0, "1d": 1, "1w": 2, "1mo": 3}
_DAY = NANOSECONDS["d"]
_CACHED = 1024
_NEAR = 40 * _DAY
_EPOCH_DAY = date(1970, 1, 1)


class Timeframe(NamedTuple):
    """How long windows are. Two names of one length ("60s", "1m") are two timeframes.

    `name` is the text as given. `step` is nanoseconds; 0 for what follows the calendar: "1d" (a trade date), "1w" (the trade
    dates of an ISO week), "1mo" (those of a month), and inside the package "span" (a whole span, one window).
    """

    name: str
    step: int

    @classmethod
    def parse(cls, text: str) -> Timeframe:
        """Read a timeframe such as "250ms", "5s", "1m", "4h", "1d", "1w" or "1mo".

        Raises:
            ValueError: anything else, or an intraday one of more than 24 hours.
        """
        if text in _CALENDAR and text != "span":
            return cls(text, 0)
        match = _INTRADAY.fullmatch(text)
        step = int(match[1]) * NANOSECONDS[match[2]] if match else 0
        if not 0 < step <= _DAY:
            allowed = 'must look like "5s", "1m" or "4h" (units ms s m h, at most 24 hours) or be 1d, 1w or 1mo'
            raise ValueError(f"timeframe {allowed}, got {text!r}")
        return cls(text, step)

    @property
    def intraday(self) -> bool:
        """Whether its windows have a fixed length."""
        return self.step > 0

    @property
    def rank(self) -> tuple[int, int]:
        """Sorts finer before coarser."""
        return (0, self.step) if self.step else (1, _CALENDAR[self.name])

    def divides(self, other: Timeframe) -> bool:
        """Whether every edge of `other` is one of ours, on any session and anchor, so that our windows add up to its."""
        if self.step and other.step:
            return other.step % self.step == 0
        if self.step or self.name == other.name:
            return self.rank <= other.rank
        return self.name in ("span", "1d") and self.rank < other.rank


SPAN = Timeframe("span", 0)


class Segment(NamedTuple):
    """A stretch of regular windows. For `lo <= t < hi` and `k = (t - origin) // step` the window of t is
    `[max(lo, origin + k * step), min(hi, origin + (k + 1) * step))`; it is SHORT if that is less than `step`."""

    lo: int
    hi: int
    origin: int
    step: int
    trade_date: date

    def window(self, time: int) -> Window:
        """Return the window of an instant inside the segment."""
        start = time - (time - self.origin) % self.step
        lo, hi = max(self.lo, start), min(self.hi, start + self.step)
        return Window(lo, hi, hi - lo < self.step)

    def windows(self) -> list[Window]:
        """Return all windows of the segment in order."""
        first = self.lo - (self.lo - self.origin) % self.step
        return [self.window(max(self.lo, start)) for start in range(first, self.hi, self.step)]


class Window(NamedTuple):
    """One window, `[start, end)`; `short` if the session cut it."""

    start: int
    end: int
    short: bool


class Located(NamedTuple):
    """The windows of many instants, row by row. Arrays may be read-only views of one value.

    Where `inside` is false the market is closed and the other columns say nothing.
    """

    start: Times
    end: Times
    short: Bools
    trade_date: npt.NDArray[np.int32]
    """Days since 1970-01-01."""
    inside: Bools


class Grid:
    """The windows of one timeframe on one session.

    An intraday window never reaches over a break or a close. A window of "1d", "1w" or "1mo" goes from the first open to the
    last close of its trade dates and so has breaks and nights inside: there an instant of a closed market is in a window
    too. Ask a finer grid (intraday or "span") first whether the market is open.

    Args:
        timeframe: how long windows are.
        session: when the market trades.
        anchor: where intraday windows are counted from.
    """

    __slots__ = ("_calendar", "_intraday", "anchor", "session", "timeframe")

    def __init__(self, timeframe: Timeframe, session: Session, anchor: Anchor = "session") -> None:
        self.timeframe = timeframe
        self.session = session
        self.anchor: Anchor = anchor
        self._intraday: dict[Span, list[Segment]] = {}
        self._calendar: dict[date, Segment] = {}

    def segment(self, time: int) -> Segment | None:
        """Return the segment of an instant; None when the market is closed then (but see the class about calendar grids)."""
        span = self.session.span_at(time)
        if self._by_span:
            if span is None:
                return None
            segments = self._of_span(span)
            return segments[bisect_right(segments, time, key=_lo) - 1]
        span = span or self.session.span_before(time)
        segment = span and self._of_label(span.trade_date)
        return segment if segment and segment.lo <= time < segment.hi else None

    def segments(self, start: int, end: int) -> list[Segment]:
        """Return the segments that overlap `[start, end)`, in order."""
        spans = self.session.spans(start, end)
        if self._by_span:
            found = (segment for span in spans for segment in self._of_span(span))
            return [s for s in found if s.lo < end and s.hi > start]
        before = self.session.span_before(start)
        spans = [before, *spans] if before else spans
        found = dict.fromkeys(self._of_label(span.trade_date) for span in spans)
        return [s for s in found if s.lo < end and s.hi > start]

    def windows(self, times: Times) -> Located:
        """Return the window of each instant of an int64 array. Much the fastest when all lie in one segment."""
        if not len(times):
            return _in_many(times, [])
        first, last = int(times.min()), int(times.max())
        segment = self.segment(first)
        if segment is not None and last < segment.hi:
            return _in_one(times, segment, first, last)
        segments = self.segments(first, last + 1) if last - first < _NEAR else self._of_days(times)
        return _in_many(times, segments)

    def on(self, day: date) -> list[Window]:
        """Return the windows of a trade date: all intraday ones, or the one that the date belongs to; none on a holiday."""
        spans = self.session.trade_spans(day)
        if self._by_span:
            return [window for span in spans for segment in self._of_span(span) for window in segment.windows()]
        return self._of_label(day).windows() if spans else []

    @property
    def _by_span(self) -> bool:
        return self.timeframe.step > 0 or self.timeframe == SPAN

    def _of_days(self, times: Times) -> list[Segment]:
        """The segments for instants that are far apart, without a walk through all the time between them."""
        found: dict[Segment, None] = {}
        for day in np.unique(times // _DAY).tolist():
            found.update(dict.fromkeys(self.segments(day * _DAY, (day + 1) * _DAY)))
        return list(found)

    def _of_span(self, span: Span) -> list[Segment]:
        return _keep(self._intraday, span, self._cut)

    def _of_label(self, day: date) -> Segment:
        if self.timeframe.name == "1w":
            day -= timedelta(days=day.weekday())
        elif self.timeframe.name == "1mo":
            day = day.replace(day=1)
        return _keep(self._calendar, day, self._unite)

    def _cut(self, span: Span) -> list[Segment]:
        step = self.timeframe.step
        if not step:
            return [Segment(span.open, span.close, span.open, span.close - span.open, span.trade_date)]
        if self.anchor != "wall":
            return [Segment(span.open, span.close, span.open if self.anchor == "session" else 0, step, span.trade_date)]
        return [
            Segment(max(p.lo, span.open), min(p.hi, span.close), p.origin, p.step, span.trade_date)
            for p in zones.clock_grid(self.session.zone, step, span.open, span.close)
        ]

    def _unite(self, label: date) -> Segment:
        """The window whose first possible trade date is `label`; only asked for when a date in it has a session."""
        days = 1 if self.timeframe.name == "1d" else 7 if self.timeframe.name == "1w" else _month_days(label)
        spans = [span for i in range(days) for span in self.session.trade_spans(label + timedelta(days=i))]
        lo, hi = spans[0].open, spans[-1].close
        return Segment(lo, hi, lo, hi - lo, spans[0].trade_date)

    def __repr__(self) -> str:
        return f"Grid({self.timeframe.name!r}, {self.session!r}, anchor={self.anchor!r})"


def _lo(segment: Segment) -> int:
    return segment.lo


def _keep(cache: dict[K, V], key: K, make: Callable[[K], V]) -> V:
    value = cache.get(key)
    if value is None:
        if len(cache) >= _CACHED:
            cache.clear()
        value = cache[key] = make(key)
    return value


@lru_cache(maxsize=1024)
def _month_days(first: date) -> int:
    return ((first + timedelta(days=31)).replace(day=1) - first).days


def _days(day: date) -> int:
    return (day - _EPOCH_DAY).days


def _same(value: int, rows: int) -> Times:
    return np.broadcast_to(np.int64(value), rows)


def _in_one(times: Times, segment: Segment, first: int, last: int) -> Located:
    rows, origin, step = len(times), segment.origin, segment.step
    inside = np.broadcast_to(np.True_, rows)
    day = np.broadcast_to(np.int32(_days(segment.trade_date)), rows)
    left, right = segment.window(first), segment.window(last)
    if left == right:
        return Located(_same(left.start, rows), _same(left.end, rows), np.broadcast_to(np.bool_(left.short), rows), day, inside)
    start = times - origin
    start //= step
    start *= step
    start += origin
    end = start + step
    if left.short:
        np.maximum(start, segment.lo, out=start)
    if right.short:
        np.minimum(end, segment.hi, out=end)
    short = end - start < step if left.short or right.short else np.broadcast_to(np.False_, rows)
    return Located(start, end, short, day, inside)


def _in_many(times: Times, segments: list[Segment]) -> Located:
    rows = len(times)
    if not segments:
        no = np.broadcast_to(np.False_, rows)
        return Located(_same(0, rows), _same(0, rows), no, np.broadcast_to(np.int32(0), rows), no)
    lo, hi, origin, step = (np.array(column, np.int64) for column in list(zip(*segments, strict=True))[:4])
    days = np.array([_days(segment.trade_date) for segment in segments], np.int32)
    at = lo.searchsorted(times, "right")
    at -= 1
    inside = at >= 0
    np.maximum(at, 0, out=at)
    lo, hi, origin = lo[at], hi[at], origin[at]
    inside &= times < hi
    # Division by one number is several times as fast as by a column.
    width = int(step[0]) if step.min() == step.max() else step[at]
    start = times - origin
    start //= width
    start *= width
    start += origin
    end = start + width
    np.maximum(start, lo, out=start)
    np.minimum(end, hi, out=end)
    return Located(start, end, end - start < width, days[at], inside)
