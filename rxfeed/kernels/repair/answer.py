"""How far an answer of history is to be believed.

History may be late, by seconds or a minute, and may not reach back as far as one would like. Where it has no bar, that may mean
that nobody traded, or that it does not know yet, or no longer. So nothing is believed before its first bar or after its last,
nor a window without a bar that has ended only just now, nor the newest bar of a history that is late.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from rxfeed.errors import ProtocolError
from rxfeed.frame import Array, Frame, is_frame, name_of
from rxfeed.model import Bar, Flag
from rxfeed.times import iso

from .plan import Stretch

MOST: Final = 2_000
"""Windows of one piece, so that nobody has to wait long for its end."""


class Piece(NamedTuple):
    """What history says about all windows in `[start, end)`."""

    start: int
    end: int
    bars: list[Bar]


class Answer:
    """Bars that history gave for a stretch.

    Args:
        stretch: what it was asked about.
        frame: what it answered.

    Raises:
        ProtocolError: it is about something else.
    """

    def __init__(self, stretch: Stretch, frame: Frame[Bar]) -> None:
        _check_kind(frame)
        starts = frame.column("start")
        off = (starts % stretch.step).nonzero()[0]
        if len(off):
            asked, found = f"history was asked for bars of {stretch.asked} on UTC's grid", iso(int(starts[off[0]]))
            raise ProtocolError(f"{asked}, and answered one from {found} on")
        if len(starts) > 1 and not (starts[1:] > starts[:-1]).all():
            frame = Frame.trusted(frame.df.unique("start", keep="last", maintain_order=True).sort("start"), Bar)
            starts = frame.column("start")
        self.stretch, self._frame, self._starts = stretch, frame, starts

    @property
    def empty(self) -> bool:
        """Whether it has no bar of the stretch."""
        a, b = self._rows(self.stretch.start, self.stretch.end)
        return a == b

    @property
    def begins_late(self) -> bool:
        """Whether it has no bar where the gap begins or before, which would show that it reaches back so far."""
        stretch, starts = self.stretch, self._starts
        return len(starts) > 0 and int(starts[0]) > max(stretch.start, stretch.first)

    def believed(self, now: int, late: int, *, once: bool = False, again: bool = False) -> tuple[int, int]:
        """Return from when to when it is believed, `[start, end)`; both the same where it is not at all.

        Args:
            now: the exchange's time, as well as it is known.
            late: how late history may be.
            once: whether `now` is no more than what our clock says, so that the newest bar may be growing still.
            again: whether it is known already that history reaches back to the beginning.
        """
        stretch, starts = self.stretch, self._starts
        if not len(starts):
            return stretch.start, stretch.start
        first, newest = int(starts[0]), int(starts[-1])
        if self.begins_late and not (once or again) and max(stretch.start, stretch.first) + stretch.step > now - late:
            return stretch.start, stretch.start  # it may come still
        since = stretch.start if again or not self.begins_late else min(stretch.end, stretch.ceiling(first))
        if newest + stretch.step > stretch.last:
            until = stretch.end
        elif once or newest + stretch.step > now - late:
            until = min(stretch.end, stretch.floor(newest))
        else:
            until = min(stretch.end, stretch.floor(newest + stretch.step))
        missing = self._missing(max(since, now - late - stretch.step + 1), until)
        if missing is not None:
            until = stretch.floor(missing)
        return (since, until) if since < until else (since, since)

    def _missing(self, start: int, end: int) -> int | None:
        """When the first bar that ends after `start` and is not there would begin."""
        stretch, step = self.stretch, self.stretch.step
        if start >= end:
            return None
        for segment in stretch.grid.segments(start, end):
            lo = max(segment.lo, start + (-start % step))
            for span in stretch.grid.session.spans(lo, min(segment.hi, end)):
                slots = np.arange(max(lo, span.open), min(segment.hi, span.close, end), step, dtype=np.int64)
                absent = slots[~np.isin(slots, self._starts)]
                if len(absent):
                    return int(absent[0])
        return None

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield what it says about the windows in `[start, end)`, piece by piece.

        Raises:
            ProtocolError: a bar of another symbol, of another grid, or one that cannot be.
        """
        stretch = self.stretch
        a, b = self._rows(start, end)
        bars: list[Bar] = []
        children: list[Bar] = []
        began = start
        lo = hi = 0
        for at in range(a, b, MOST):
            for row in self._frame.slice(at, min(MOST, b - at)):
                _check(row, stretch)
                if not lo <= row.start < hi:
                    if children:
                        bars.append(_merged(stretch, children))
                        children = []
                        if len(bars) >= MOST:
                            yield Piece(began, hi, bars)
                            began, bars = hi, []
                    segment = stretch.grid.segment(row.start)
                    if segment is None:
                        lo = hi
                        continue  # while the market is closed
                    lo, hi, _ = segment.window(row.start)
                children.append(row)
        if children:
            bars.append(_merged(stretch, children))
        yield Piece(began, end, bars)

    def _rows(self, start: int, end: int) -> tuple[int, int]:
        a, b = self._starts.searchsorted(_both(start, end))
        return int(a), int(b)


def _check_kind(given: object) -> None:
    if not is_frame(given) or given.kind is not Bar:
        raise ProtocolError(f"history must answer a Frame[Bar], got {name_of(given)}")


def _both(start: int, end: int) -> Array:
    return np.array([start, end], np.int64)


def _check(row: Bar, stretch: Stretch) -> None:
    if row.symbol != stretch.symbol:
        raise ProtocolError(f"history was asked about {stretch.symbol}, and answered {row}")
    possible = math.isfinite(row.open + row.high + row.low + row.close) and row.volume >= 0
    if not (possible and row.low <= min(row.open, row.close) and row.high >= max(row.open, row.close)):
        raise ProtocolError(f"history answered a bar that cannot be: {row}")


def _merged(stretch: Stretch, rows: list[Bar]) -> Bar:
    first, last = rows[0], rows[-1]
    segment = stretch.grid.segment(first.start)
    assert segment is not None
    start, end, short = segment.window(first.start)
    high, low, volume = first.high, first.low, first.volume
    for row in rows[1:]:
        high, low, volume = max(high, row.high), min(low, row.low), volume + row.volume
    return Bar(
        stretch.symbol, stretch.timeframe, start, end, first.open, high, low, last.close, volume,
        None, None, None, None, None, None, None, None, segment.trade_date, 0, int(Flag.REPAIRED | Flag.SHORT * short),
    )  # fmt: skip
