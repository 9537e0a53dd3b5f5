"""The loops that take ticks to bars of the finest windows and these to columns, compiled by numba (extra `fast`).

A bar is a row of 18 words here, the fields of `parts` one after another, floats behind ints: it is written once and read
twice, and what lies together costs one look at the memory. The rows are of one frame, in the order in which bars ended.
"""

# pyright: basic
# numba compiles these from types of its own, which no type checker sees.

from __future__ import annotations

import numba as nb
import numpy as np
from numba import types as t

from rxfeed.kernels.bars import parts as p
from rxfeed.kernels.bars.compiled import GAP, LARGE, NEVER, SHORT
from rxfeed.kernels.look_compiled import CODES, LINE, given

WIDTH, STATE = 18, 20
ID, START, END, DATE, FLAGS, VOLUME, COUNT, BUY, SELL = p.ID, p.START, p.END, p.DATE, p.FLAGS, p.VOLUME, p.COUNT, p.BUY, p.SELL
FIRST_TIME, FIRST_SEQ, LAST_TIME, LAST_SEQ = p.FIRST_TIME, p.FIRST_SEQ, p.LAST_TIME, p.LAST_SEQ
OPEN, HIGH, LOW, CLOSE, NOTIONAL = (13 + field for field in (p.OPEN, p.HIGH, p.LOW, p.CLOSE, p.NOTIONAL))
HERE, PLACE = 18, 19
"""Of a symbol's open bar: the row of its last tick, -1 if that is not in this piece; the segment of the grid."""
UNKNOWN = (1 << 63) - 1

_ROWS = t.Array(t.int64, 2, "C")


@nb.njit(t.void(_ROWS, given(t.int64)), cache=True, nogil=True)
def begin(state, ids):
    """Make the open bars of symbols: none is open."""
    for k in range(len(ids)):
        state[k, ID], state[k, END], state[k, HERE], state[k, PLACE] = ids[k], NEVER, -1, 0


@nb.njit(inline="always")
def _put(rows, at, state, k):
    for field in range(WIDTH):
        rows[at, field] = state[k, field]


@nb.njit(
    t.int64(
        CODES, given(t.int32), given(t.int64), given(t.int64), given(t.float64), given(t.int64), given(t.int8),
        given(t.int64), given(t.int64, 2), _ROWS, _ROWS, t.int64, LINE,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def reduce(codes, numbers, time, seq, price, size, side, marks, segments, state, rows, bars, told):
    """Reduce ticks, each symbol's in order, to bars of the finest windows.

    Args:
        codes, time, seq, price, size, side: the ticks; `numbers[code]` is the symbol's place in `marks` and `state`.
        marks: by symbol, its watermark.
        segments: `lo, hi, origin, step, date` of each segment of the grid, in order.
        state: by symbol, its open bar; see `begin`.
        rows: bars that have ended go here, from row `bars` on.
        told: ticks outside the session are counted, and the time of the first inside is put, if that is still UNKNOWN.

    Returns:
        How many rows there are now; -1 if a tick is late.
    """
    value, out = state.view(np.float64), np.uintp(bars)
    prices = rows.view(np.float64)
    for row in range(np.uintp(len(time))):
        k = np.uintp(numbers[codes[row]])
        now, p, n, s = time[row], price[row], size[row], side[row]
        if now < state[k, END]:
            state[k, VOLUME] += n
            state[k, COUNT] += 1
            state[k, BUY] += n * (s == 1)
            state[k, SELL] += n * (s == 2)
            high, low = value[k, HIGH], value[k, LOW]
            value[k, HIGH] = p if p > high else high
            value[k, LOW] = p if p < low else low
            value[k, NOTIONAL] += p * n
            state[k, HERE] = row
            continue
        place = np.uintp(state[k, PLACE])
        while place < len(segments) and now >= segments[place, 1]:
            place += np.uintp(1)
        if place == len(segments) or now < segments[place, 0]:
            told[0] += 1
            continue
        if now < marks[k]:
            return -1
        if state[k, END] != NEVER:
            _put(rows, out, state, k)
            if state[k, HERE] >= 0:
                last = np.uintp(state[k, HERE])
                rows[out, LAST_TIME], rows[out, LAST_SEQ], prices[out, CLOSE] = time[last], seq[last], price[last]
            out += np.uintp(1)
        lo, hi, origin, step, date = segments[place]
        start = now - (now - origin) % step
        end = start + step
        flags = 0
        if start < lo:
            start, flags = lo, SHORT
        if end > hi:
            end, flags = hi, SHORT
        if told[1] == UNKNOWN:
            told[1] = now
        if start < told[1]:
            flags |= GAP
        state[k, START], state[k, END], state[k, DATE], state[k, FLAGS] = start, end, date, flags
        state[k, VOLUME], state[k, COUNT], state[k, BUY], state[k, SELL] = n, 1, n * (s == 1), n * (s == 2)
        state[k, FIRST_TIME], state[k, FIRST_SEQ] = now, seq[row]
        value[k, OPEN], value[k, HIGH], value[k, LOW], value[k, NOTIONAL] = p, p, p, p * n
        state[k, HERE], state[k, PLACE] = row, place
    for k in range(len(state)):
        if state[k, HERE] >= 0:
            last = np.uintp(state[k, HERE])
            state[k, LAST_TIME], state[k, LAST_SEQ], value[k, CLOSE] = time[last], seq[last], price[last]
            state[k, HERE] = -1
    return np.int64(out)


@nb.njit(t.int64(_ROWS, _ROWS, t.int64), cache=True, nogil=True)
def end(state, rows, bars):
    """Put the bars that are open still behind the others; return how many rows there are."""
    for k in range(len(state)):
        if state[k, END] != NEVER:
            _put(rows, bars, state, k)
            bars += 1
    return bars


@nb.njit(inline="always")
def _merge(rows, value, a, b):
    """`model.merge`, row `b` into row `a`; at equal (time, seq) `b` came later."""
    value[a, HIGH], value[a, LOW] = max(value[a, HIGH], value[b, HIGH]), min(value[a, LOW], value[b, LOW])
    time, seq = rows[b, FIRST_TIME], rows[b, FIRST_SEQ]
    if time < rows[a, FIRST_TIME] or (time == rows[a, FIRST_TIME] and seq < rows[a, FIRST_SEQ]):
        value[a, OPEN], rows[a, FIRST_TIME], rows[a, FIRST_SEQ] = value[b, OPEN], time, seq
    time, seq = rows[b, LAST_TIME], rows[b, LAST_SEQ]
    if time > rows[a, LAST_TIME] or (time == rows[a, LAST_TIME] and seq >= rows[a, LAST_SEQ]):
        value[a, CLOSE], rows[a, LAST_TIME], rows[a, LAST_SEQ] = value[b, CLOSE], time, seq
    for field in range(VOLUME, SELL + 1):
        rows[a, field] += rows[b, field]
    value[a, NOTIONAL] += value[b, NOTIONAL]
    rows[a, FLAGS] |= rows[b, FLAGS]


@nb.njit(
    t.UniTuple(t.int64, 6)(_ROWS, given(t.int64, 2), given(t.int64), given(t.int64), LINE, LINE, LINE), cache=True, nogil=True
)
def arrange(rows, spans, limit, done, closed, stay, keep):
    """Bring rows into order by (symbol, start), merge those of one window, and tell those that close from the others.

    Args:
        rows: bars; where a symbol has two of one window, the later ones are merged into the first.
        spans: from where to where in `rows` they lie, what came first in front.
        limit: by symbol, what ends at this time or before closes.
        done: by symbol, what ends at this time or before need not be kept.
        closed, stay, keep: get the numbers of the rows that close, of the others, and of those of `closed` that are kept.

    Returns:
        How many there are of each, and of those that close the ticks and the least and greatest start; -1 first if this is left to columns: a symbol's rows
        are not in order, or a volume is too large.
    """
    value = rows.view(np.float64)
    symbols = len(limit)
    places = np.zeros(symbols + 1, np.int64)
    total = 0
    for span in range(len(spans)):
        total += spans[span, 1] - spans[span, 0]
        for row in range(spans[span, 0], spans[span, 1]):
            places[rows[row, ID] + 1] += 1
    for symbol in range(symbols):
        places[symbol + 1] += places[symbol]
    for span in range(len(spans)):
        for row in range(spans[span, 0], spans[span, 1]):
            symbol = rows[row, ID]
            closed[places[symbol]] = row
            places[symbol] += 1
    closes, stays, keeps, ticks, before = 0, 0, 0, 0, np.int64(-1)
    first, last = UNKNOWN, NEVER
    for at in range(total):
        row = closed[at]
        symbol = rows[row, ID]
        if before >= 0 and rows[before, ID] == symbol and rows[row, START] <= rows[before, START]:
            if rows[row, START] < rows[before, START]:
                return -1, 0, 0, 0, 0, 0
            # The one before was open when the frame came.
            ticks += rows[row, COUNT] if rows[row, END] <= limit[symbol] else 0
            _merge(rows, value, before, row)
            if abs(rows[before, VOLUME]) > LARGE:
                return -1, 0, 0, 0, 0, 0
            continue
        if rows[row, END] <= limit[symbol]:
            ticks += rows[row, COUNT]
            closed[closes] = row
            closes += 1
            first, last = min(first, rows[row, START]), max(last, rows[row, START])
            if rows[row, END] > done[symbol]:
                keep[keeps] = row
                keeps += 1
        else:
            stay[stays] = row
            stays += 1
        before = row
    return closes, stays, keeps, ticks, first, last


@nb.njit(
    t.void(
        _ROWS, given(t.int64), given(t.int64, 2), given(t.float64, 2), given(t.int64), given(t.int64),
        t.Array(t.int64, 2, "A"), t.Array(t.float64, 2, "A"), t.Array(t.int32, 2, "C"), t.Array(t.uint32, 2, "C"),
    ),
    cache=True, nogil=True,
)  # fmt: skip
def weave(rows, closed, ints, floats, levels, order, words, values, shorts, texts):
    """Write bars as columns, by (symbol, end, finer first).

    Args:
        rows, closed: bars of the finest windows, and which of them, by (symbol, start).
        ints, floats, levels, order: those of the other levels, as in `parts`, the level of each, and their order.
        words, values: get the fields, as `ints` and `floats`, but for symbols, dates and flags.
        shorts: get dates and flags.
        texts: get the numbers of symbols and of levels.
    """
    i, j = np.uintp(0), 0
    prices = rows.view(np.float64)
    for out in range(np.uintp(len(closed) + len(order))):
        fine = i < len(closed)
        if fine and j < len(order):
            row, other = closed[i], order[j]
            symbol = rows[row, ID]
            fine = symbol < ints[ID, other] or (symbol == ints[ID, other] and rows[row, END] <= ints[END, other])
        if fine:
            row = np.uintp(closed[i])
            i += np.uintp(1)
            texts[0, out], texts[1, out] = rows[row, ID], 0
            shorts[0, out], shorts[1, out] = rows[row, DATE], rows[row, FLAGS]
            words[START, out], words[END, out] = rows[row, START], rows[row, END]
            for field in range(VOLUME, LAST_SEQ + 1):
                words[field, out] = rows[row, field]
            for field in range(5):
                values[field, out] = prices[row, OPEN + field]
        else:
            other = order[j]
            j += 1
            texts[0, out], texts[1, out] = ints[ID, other], levels[other]
            shorts[0, out], shorts[1, out] = ints[DATE, other], ints[FLAGS, other]
            words[START, out], words[END, out] = ints[START, other], ints[END, other]
            for field in range(VOLUME, LAST_SEQ + 1):
                words[field, out] = ints[field, other]
            for field in range(5):
                values[field, out] = floats[field, other]
