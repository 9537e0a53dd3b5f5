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
UNKNOWN, NEVER = (1 << 63) - 1, -(1 << 63)
LARGE, HUGE = 1 << 62, 1 << 40
"""Volumes and sizes beyond are left to the checks of the other lane."""


def _given(dtype, dimensions=1):  # what comes from polars may only be read
    return t.Array(dtype, dimensions, "C", readonly=True)


_INTS, _FLOATS = t.Array(t.int64, 2, "C"), t.Array(t.float64, 2, "C")
_ROWS, _PRICES = _given(t.int64, 2), _given(t.float64, 2)
_LINE = t.Array(t.int64, 1, "C")


@nb.njit(t.int64(_given(t.uint32), t.Array(t.int32, 1, "C"), _LINE), cache=True)
def find(codes, numbers, first):
    """Number the codes as they first come: `numbers[code]`, all -1 before, and `first[number]`, a row of each; return how many.

    If there are more than `first` has room for, return -1.
    """
    count = 0
    for row in range(len(codes)):
        code = codes[row]
        if numbers[code] < 0:
            if count == len(first):
                return -1
            numbers[code] = count
            first[count] = row
            count += 1
    return count


@nb.njit(inline="always")
def _finish(ints, floats, bar, sums, prices, k, time, seq, price, last):
    for field in range(4):
        ints[bar, VOLUME + field] = sums[k, field]
    ints[bar, LAST_TIME], ints[bar, LAST_SEQ] = time[last], seq[last]
    floats[bar, HIGH], floats[bar, LOW], floats[bar, NOTIONAL] = prices[k, 0], prices[k, 1], prices[k, 2]
    floats[bar, CLOSE] = price[last]


@nb.njit(
    t.int64(
        _given(t.uint32), _given(t.int32), _given(t.int64), _given(t.int64), _given(t.float64), _given(t.int64), _given(t.int8),
        _given(t.int64), _LINE, _ROWS, _INTS, _FLOATS, _LINE,
    ),
    cache=True,
)  # fmt: skip
def reduce(codes, numbers, time, seq, price, size, side, ids, marks, segments, ints, floats, told):
    """Reduce ticks in the order in which they came to bars of the finest windows, one after another as they begin.

    Args:
        codes: the symbol of each tick; `numbers[code]` is its place in `ids` (which symbol) and in `marks` (its watermark).
        time, seq, price, size, side: the ticks.
        segments: `lo, hi, origin, step, date` of each segment of the grid, in order.
        ints, floats: the bars go here, each in a row: `ints[bar, field]`, the fields as in `parts`.
        told: gets the ticks outside the session, and the time of the first inside if that is still UNKNOWN.

    Returns:
        How many bars; -1 if a tick is unusual: late, not finite, huge.
    """
    symbols = len(ids)
    current = np.zeros(symbols, np.uintp)
    latest = np.zeros(symbols, np.uintp)
    at = np.zeros(symbols, np.int64)
    ends = np.full(symbols, NEVER, np.int64)
    sums = np.zeros((symbols, 4), np.int64)
    prices = np.zeros((symbols, 3), np.float64)
    bars, outside, began = np.uintp(0), 0, told[1]
    for row in range(np.uintp(len(time))):
        k = np.uintp(numbers[codes[row]])
        now, p, n, s = time[row], price[row], size[row], side[row]
        if not (-np.inf < p < np.inf) or n > HUGE or n < -HUGE:
            return -1
        if now < ends[k]:
            last = latest[k]
            if now < time[last] or (now == time[last] and seq[row] < seq[last]):
                return -1
            latest[k] = row
            sums[k, 0] += n
            sums[k, 1] += 1
            sums[k, 2] += n * (s == 1)
            sums[k, 3] += n * (s == 2)
            if p > prices[k, 0]:
                prices[k, 0] = p
            if p < prices[k, 1]:
                prices[k, 1] = p
            prices[k, 2] += p * n
            continue
        place = at[k]
        while place < len(segments) and now >= segments[place, 1]:
            place += 1
        if place == len(segments) or now < segments[place, 0]:
            outside += 1
            continue
        if now < marks[k]:
            return -1
        at[k] = place
        if ends[k] != NEVER:
            _finish(ints, floats, current[k], sums, prices, k, time, seq, price, latest[k])
        lo, hi, origin, step, date = segments[place]
        start = now - (now - origin) % step
        end = start + step
        flags = 0
        if start < lo:
            start, flags = lo, SHORT
        if end > hi:
            end, flags = hi, SHORT
        if began == UNKNOWN:
            began = now
        if start < began:
            flags |= GAP
        ints[bars, ID], ints[bars, START], ints[bars, END], ints[bars, DATE], ints[bars, FLAGS] = (
            ids[k],
            start,
            end,
            date,
            flags,
        )
        ints[bars, FIRST_TIME], ints[bars, FIRST_SEQ] = now, seq[row]
        floats[bars, OPEN] = p
        sums[k, 0], sums[k, 1], sums[k, 2], sums[k, 3] = n, 1, n * (s == 1), n * (s == 2)
        prices[k, 0], prices[k, 1], prices[k, 2] = p, p, p * n
        current[k], latest[k], ends[k] = bars, row, end
        bars += np.uintp(1)
    for k in range(symbols):
        if ends[k] != NEVER:
            _finish(ints, floats, current[k], sums, prices, k, time, seq, price, latest[k])
            marks[k] = time[latest[k]]
    told[0], told[1] = outside, began
    return np.int64(bars)


@nb.njit(t.void(_ROWS, t.int64, t.int64, _LINE), cache=True)
def by_symbol(rows, bars, symbols, order):
    """Put the numbers of the first `bars` rows, symbol by symbol and otherwise as they are, into `order`."""
    places = np.zeros(symbols + 1, np.int64)
    for bar in range(bars):
        places[rows[bar, ID] + 1] += 1
    for symbol in range(symbols):
        places[symbol + 1] += places[symbol]
    for bar in range(bars):
        symbol = rows[bar, ID]
        order[places[symbol]] = bar
        places[symbol] += 1


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
_BY_ROWS, _PRICES_BY_ROWS = t.Array(t.int64, 2, "F", readonly=True), t.Array(t.float64, 2, "F", readonly=True)


@nb.njit(
    [
        _TWO(_ROWS, _PRICES, _ROWS, _PRICES, _given(t.int64), _given(t.int64), _INTS, _FLOATS, _INTS, _FLOATS),
        _TWO(_ROWS, _PRICES, _BY_ROWS, _PRICES_BY_ROWS, _given(t.int64), _given(t.int64), _INTS, _FLOATS, _INTS, _FLOATS),
    ],
    cache=True,
)  # fmt: skip
def split(old_ints, old_floats, ints, floats, order, limit, closed_ints, closed_floats, open_ints, open_floats):
    """Merge open windows with new ones, and tell those that end at their symbol's limit or before from the others.

    Args:
        old_ints, old_floats: windows that were open, by (symbol, start).
        ints, floats: new ones, which `order` brings into order by (symbol, start).
        limit: of each symbol.
        closed_ints, closed_floats: those that close go here, by (symbol, start).
        open_ints, open_floats: the others.

    Returns:
        How many close and how many stay; -1 twice if a volume is too large.
    """
    closed, stay, i, j = 0, 0, 0, 0
    olds, news = old_ints.shape[1], len(order)
    while i < olds or j < news:
        new = order[j] if j < news else np.int64(0)
        if i == olds:
            turn = np.int64(1)
        elif j == news:
            turn = np.int64(-1)
        else:
            turn = old_ints[ID, i] - ints[ID, new]
            if turn == 0:
                turn = old_ints[START, i] - ints[START, new]
        if turn > 0:
            symbol, end = ints[ID, new], ints[END, new]
        else:
            symbol, end = old_ints[ID, i], old_ints[END, i]
        if end <= limit[symbol]:
            out_ints, out_floats, row = closed_ints, closed_floats, closed
            closed += 1
        else:
            out_ints, out_floats, row = open_ints, open_floats, stay
            stay += 1
        if turn > 0:
            _copy(out_ints, out_floats, row, ints, floats, new)
            j += 1
            continue
        _copy(out_ints, out_floats, row, old_ints, old_floats, i)
        i += 1
        if turn == 0:
            out_ints[FLAGS, row] |= ints[FLAGS, new]
            _merge(out_ints, out_floats, row, ints, floats, new)
            if abs(out_ints[VOLUME, row]) > LARGE:
                return -1, -1
            j += 1
    return closed, stay


@nb.njit(t.int64(_ROWS, _PRICES, _ROWS, t.int64, _INTS, _FLOATS), cache=True)
def roll(ints, floats, segments, began, up_ints, up_floats):
    """Reduce closed rows, by (symbol, start), to the windows of a coarser grid; return how many, or -1 (a large volume)."""
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
