"""The ticks of one symbol in a frame, judged by what it holds and has let in: which go in now, in order, and which wait."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rxfeed.frame import Array, Frame
from rxfeed.kernels.bars.plan import NEVER
from rxfeed.kernels.by.gauges import Block, Ints
from rxfeed.kernels.by.plan import Symbol
from rxfeed.model import Tick
from rxfeed.sessions import Span

MANY = 1 << 45
"""Sizes up to here cannot overflow int64 in one frame, of at most 131,072 rows; the row lane has no such limit."""
_FIELDS = ("time", "seq", "price", "size", "side")


class Run(NamedTuple):
    """Ticks `lo` to `hi` of a block that lie in one session."""

    lo: int
    hi: int
    span: Span


class Judged(NamedTuple):
    """What goes in, by session, the watermark after it and what waits."""

    block: Block
    runs: list[Run]
    mark: int
    waits: list[Tick]


def judge(s: Symbol, frame: Frame[Tick], which: Ints, lateness: int) -> Judged | None:
    """Return what becomes of the ticks of `s` at places `which` of the frame's groups; None where they must go one by one:
    some may be late, or they are too large or of too many sessions for columns. Nothing is changed."""
    columns: list[Array] = [frame.grouped(field)[which] for field in _FIELDS]
    time, seq, size = columns[0], columns[1], columns[3]
    mark, held = s.mark, list(s.held)
    sizes = (int(size.min()), int(size.max()), *(t.size for t in held))
    if min(sizes) < 0 or max(sizes) > MANY or any(abs(part.volume) > 1 << 61 for part in s.parts):
        return None
    first = int(time[0]), int(seq[0])
    good = time[1:] > time[:-1]
    good |= (time[1:] == time[:-1]) & (seq[1:] >= seq[:-1])
    rises = bool(good.all()) and (not held or (held[-1].time, held[-1].seq) <= first)
    if not rises or first[0] < mark:
        running = np.maximum(np.maximum.accumulate(time), mark)
        before = np.concatenate(([mark], running[:-1]))
        if (time <= np.maximum(before, NEVER + lateness) - lateness).any():
            return None
    elif first < (s.base.last_time, s.base.last_seq):
        return None
    if held:
        for place, field in enumerate(_FIELDS):
            before = np.array([getattr(t, field) for t in held], columns[place].dtype)
            columns[place] = np.concatenate((before, columns[place]))
    order = None if rises else np.lexsort((columns[1], columns[0]))
    if order is not None:
        columns = [column[order] for column in columns]
    time = columns[0]
    mark = max(mark, int(time[-1]))
    count = int(time.searchsorted(mark - lateness, "right"))
    runs = _runs(s, time[:count])
    if len(runs) * 16 > max(count, 32):
        return None
    rest = np.arange(count, len(time)) if order is None else order[count:]
    return Judged(Block(*(column[:count] for column in columns)), runs, mark, _ticks(frame, which, held, rest))


def rows_at(frame: Frame[Tick], which: Ints) -> Ints:
    """Return the rows of a frame that stand at places of its groups."""
    order = frame.groups.order
    return which if order is None else order[which]


def _ticks(frame: Frame[Tick], which: Ints, held: list[Tick], rest: Ints) -> list[Tick]:
    """Return ticks by their place among those held and, behind them, those at `which`."""
    if not len(rest):
        return []
    new = rest[rest >= len(held)] - len(held)
    fresh = iter(Frame(frame.df[rows_at(frame, which[new])], Tick).rows())
    return [held[at] if at < len(held) else next(fresh) for at in rest.tolist()]


def _runs(s: Symbol, time: Ints) -> list[Run]:
    """Cut times in order, all inside sessions, by their sessions."""
    runs: list[Run] = []
    lo = 0
    while lo < len(time):
        span = s.session.span_at(int(time[lo]))
        assert span is not None, "it was judged to be inside"
        hi = len(time) if int(time[-1]) < span.close else int(time.searchsorted(span.close))
        runs.append(Run(lo, hi, span))
        lo = hi
    return runs
