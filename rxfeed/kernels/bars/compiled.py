"""The inner loops of the frame lane, compiled by numba (extra `fast`); imported only by `fastlane`.

What is unusual ends a loop with a negative number, and the columns of the other lane deal with the frame from its
beginning: nothing has changed by then.
"""

# pyright: basic
# numba compiles these from the types of its own, which no type checker sees.

from __future__ import annotations

import numba as nb
import numpy as np
from numba import types as t

from rxfeed.kernels.bars.parts import (
    CLOSE,
    DATE,
    END,
    FIRST_SEQ,
    FIRST_TIME,
    FLAGS,
    HIGH,
    ID,
    LAST_SEQ,
    LAST_TIME,
    LOW,
    NOTIONAL,
    OPEN,
    SELL,
    START,
    VOLUME,
)
from rxfeed.model import Flag

SHORT, GAP = int(Flag.SHORT), int(Flag.GAP)
INHERITED = ~(SHORT | int(Flag.PARTIAL))
INTS, FLOATS = 13, 5
NEVER = -(1 << 63)
LARGE = 1 << 62
"""Volumes beyond are left to the checks of the other lane."""


def _given(dtype, dimensions=1):  # what comes from polars may only be read
    return t.Array(dtype, dimensions, "C", readonly=True)


_INTS, _FLOATS = t.Array(t.int64, 2, "C"), t.Array(t.float64, 2, "C")
_ROWS, _PRICES = _given(t.int64, 2), _given(t.float64, 2)


@nb.njit(inline="always")
def _copy(ints, floats, row, from_ints, from_floats, at):
    for field in range(INTS):
        ints[field, row] = from_ints[field, at]
    for field in range(FLOATS):
        floats[field, row] = from_floats[field, at]


@nb.njit(inline="always")
def _merge(ints, floats, a, more_ints, more_floats, b):
    """`model.merge`, row `b` of the one into row `a` of the other; at equal (time, seq) `b` came later."""
    floats[HIGH, a] = max(floats[HIGH, a], more_floats[HIGH, b])
    floats[LOW, a] = min(floats[LOW, a], more_floats[LOW, b])
    time, seq = more_ints[FIRST_TIME, b], more_ints[FIRST_SEQ, b]
    if time < ints[FIRST_TIME, a] or (time == ints[FIRST_TIME, a] and seq < ints[FIRST_SEQ, a]):
        floats[OPEN, a], ints[FIRST_TIME, a], ints[FIRST_SEQ, a] = more_floats[OPEN, b], time, seq
    time, seq = more_ints[LAST_TIME, b], more_ints[LAST_SEQ, b]
    if time > ints[LAST_TIME, a] or (time == ints[LAST_TIME, a] and seq >= ints[LAST_SEQ, a]):
        floats[CLOSE, a], ints[LAST_TIME, a], ints[LAST_SEQ, a] = more_floats[CLOSE, b], time, seq
    for field in range(VOLUME, SELL + 1):
        ints[field, a] += more_ints[field, b]
    floats[NOTIONAL, a] += more_floats[NOTIONAL, b]


_TWO = t.UniTuple(t.int64, 2)


@nb.njit(_TWO(_ROWS, _PRICES, _ROWS, _PRICES, _given(t.int64), _INTS, _FLOATS, _INTS, _FLOATS), cache=True)
def split(old_ints, old_floats, ints, floats, limit, closed_ints, closed_floats, open_ints, open_floats):
    """Merge open windows with new ones, and tell those that end at their symbol's limit or before from the others.

    Args:
        old_ints, old_floats: windows that were open, by (symbol, start).
        ints, floats: new ones, by (symbol, start).
        limit: of each symbol.
        closed_ints, closed_floats: those that close go here, by (symbol, start).
        open_ints, open_floats: the others.

    Returns:
        How many close and how many stay; -1 twice if a volume is too large.
    """
    closed, stay, i, j = 0, 0, 0, 0
    olds, news = old_ints.shape[1], ints.shape[1]
    while i < olds or j < news:
        if i == olds:
            turn = np.int64(1)
        elif j == news:
            turn = np.int64(-1)
        else:
            turn = old_ints[ID, i] - ints[ID, j]
            if turn == 0:
                turn = old_ints[START, i] - ints[START, j]
        if turn > 0:
            symbol, end = ints[ID, j], ints[END, j]
        else:
            symbol, end = old_ints[ID, i], old_ints[END, i]
        if end <= limit[symbol]:
            out_ints, out_floats, row = closed_ints, closed_floats, closed
            closed += 1
        else:
            out_ints, out_floats, row = open_ints, open_floats, stay
            stay += 1
        if turn > 0:
            _copy(out_ints, out_floats, row, ints, floats, j)
            j += 1
            continue
        _copy(out_ints, out_floats, row, old_ints, old_floats, i)
        i += 1
        if turn == 0:
            out_ints[FLAGS, row] |= ints[FLAGS, j]
            _merge(out_ints, out_floats, row, ints, floats, j)
            if abs(out_ints[VOLUME, row]) > LARGE:
                return -1, -1
            j += 1
    return closed, stay


@nb.njit(t.int64(_ROWS, _PRICES, _ROWS, t.int64, _INTS, _FLOATS), cache=True)
def roll(ints, floats, segments, began, up_ints, up_floats):
    """Reduce closed rows, by (symbol, start), to the windows of a coarser grid.

    Returns:
        How many there are; -1 if a volume is too large.
    """
    rows, place, symbol, end = 0, 0, np.int64(-1), np.int64(0)
    for row in range(ints.shape[1]):
        start = ints[START, row]
        if ints[ID, row] == symbol and start < end:
            up_ints[FLAGS, rows - 1] |= ints[FLAGS, row] & INHERITED
            _merge(up_ints, up_floats, rows - 1, ints, floats, row)
            if abs(up_ints[VOLUME, rows - 1]) > LARGE:
                return -1
            continue
        if ints[ID, row] != symbol:
            symbol, place = ints[ID, row], 0
        while place < len(segments) and start >= segments[place, 1]:
            place += 1
        if place == len(segments) or start < segments[place, 0]:
            return -1
        lo, hi, origin, step, date = segments[place]
        begin = start - (start - origin) % step
        end = begin + step
        flags = ints[FLAGS, row] & INHERITED
        if begin < lo:
            begin = lo
            flags |= SHORT
        if end > hi:
            end = hi
            flags |= SHORT
        if begin < began:
            flags |= GAP
        _copy(up_ints, up_floats, rows, ints, floats, row)
        up_ints[START, rows], up_ints[END, rows], up_ints[DATE, rows], up_ints[FLAGS, rows] = begin, end, date, flags
        rows += 1
    return rows
