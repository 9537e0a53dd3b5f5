"""The loops that take ticks to bars of all timeframes at once, compiled by numba (extra `fast`).

Each symbol has an open bar a level. A tick touches that of the finest; when this ends, it is written out and merged into those
that are made from it, which end in their turn: what the row lane does, on memory that is near.

A bar is a row of 18 words, the fields of `parts` one after another, floats behind ints. `ID` also holds the level.
"""

# pyright: basic
# numba compiles these from types of its own, which no type checker sees.

from __future__ import annotations

import numba as nb
import numpy as np
from numba import types as t

from rxfeed.kernels.bars import parts as p
from rxfeed.kernels.bars.compiled import GAP, INHERITED, NEVER, SHORT
from rxfeed.kernels.look_compiled import CODES, LINE, given

ID, START, END, DATE, FLAGS, VOLUME, COUNT, BUY, SELL = p.ID, p.START, p.END, p.DATE, p.FLAGS, p.VOLUME, p.COUNT, p.BUY, p.SELL
FIRST_TIME, FIRST_SEQ, LAST_TIME, LAST_SEQ = p.FIRST_TIME, p.FIRST_SEQ, p.LAST_TIME, p.LAST_SEQ
OPEN, HIGH, LOW, CLOSE, NOTIONAL = (13 + field for field in (p.OPEN, p.HIGH, p.LOW, p.CLOSE, p.NOTIONAL))
WIDTH, STATE = 18, 22
HERE, PLACE, WRITTEN, NEXT = range(WIDTH, STATE)
"""Of an open bar: the row of its last tick, -1 if that is not in this piece (finest level only); its segment of the grid; the
first row that was written of this symbol and level, or -1; when a coarser bar of the symbol ends (finest level only)."""
LEVEL, NUMBER = 32, (1 << 32) - 1
"""`ID` is the symbol's number, and the level this many bits higher."""
FOREVER = (1 << 63) - 1
OUTSIDE, BEGAN, CLOSED, AT = range(4)
"""What `told` counts: ticks outside the session; the time of the first inside, or FOREVER; ticks in closed bars of the finest
level; and the tick to go on with."""

ROWS = t.Array(t.int64, 2, "C")


@nb.njit(t.void(ROWS, given(t.int64), t.int64), cache=True, nogil=True)
def begin(state, ids, levels):
    """Make the open bars of symbols, `levels` rows for each: none is open."""
    for k in range(len(ids)):
        for level in range(levels):
            at = k * levels + level
            state[at, ID], state[at, END], state[at, HERE] = ids[k] | level << LEVEL, NEVER, -1
            state[at, PLACE], state[at, WRITTEN], state[at, NEXT] = 0, -1, FOREVER


@nb.njit(inline="always")
def _window(state, at, time, segments, low, high, began):
    """Give an open bar the window around a time; return whether there is one. The segments are those from `low` to `high`."""
    place = max(state[at, PLACE], low)
    while place < high and time >= segments[place, 1]:
        place += 1
    if place == high or time < segments[place, 0]:
        return False
    lo, hi, origin, step, date = segments[place]
    start = time - (time - origin) % step
    end = start + step
    flags = 0
    if start < lo:
        start, flags = lo, SHORT
    if end > hi:
        end, flags = hi, SHORT
    if start < began:
        flags |= GAP
    state[at, START], state[at, END], state[at, DATE], state[at, FLAGS], state[at, PLACE] = start, end, date, flags, place
    return True


@nb.njit(inline="always")
def _up(state, value, a, b):
    """Merge bar `b` into bar `a`, whose ticks all came before."""
    value[a, HIGH], value[a, LOW] = max(value[a, HIGH], value[b, HIGH]), min(value[a, LOW], value[b, LOW])
    value[a, CLOSE] = value[b, CLOSE]
    value[a, NOTIONAL] += value[b, NOTIONAL]
    for field in range(VOLUME, SELL + 1):
        state[a, field] += state[b, field]
    state[a, LAST_TIME], state[a, LAST_SEQ] = state[b, LAST_TIME], state[b, LAST_SEQ]
    state[a, FLAGS] |= state[b, FLAGS] & INHERITED


@nb.njit(inline="always")
def _feed(state, value, base, level, sources, segments, tables, began):
    """Merge a symbol's bar of a level into those that are made from it."""
    at = np.uintp(base + level)
    for up in range(level + 1, len(sources)):
        if sources[up] != level:
            continue
        to = np.uintp(base + up)
        if state[to, END] != NEVER:
            _up(state, value, to, at)
            continue
        _window(state, to, state[at, START], segments, tables[up], tables[up + 1], began)
        state[to, FLAGS] |= state[at, FLAGS] & INHERITED
        for field in range(VOLUME, WIDTH):
            state[to, field] = state[at, field]
        state[base, NEXT] = min(state[base, NEXT], state[to, END])


@nb.njit(
    t.int64(ROWS, t.int64, t.int64, given(t.int64), given(t.int64, 2), given(t.int64), ROWS, LINE, t.int64, LINE),
    cache=True, nogil=True,
)  # fmt: skip
def close(state, base, now, sources, segments, tables, rows, tags, out, told):
    """Close the bars of a symbol that end at a time or before, in the order of (end, finer first).

    Args:
        state: open bars; the symbol's begin with row `base`.
        sources: by level, of which one its bars are made.
        segments, tables: the segments of all grids; those of a level are from `tables[level]` to `tables[level + 1]`.
        rows, tags: closed bars go here from `out` on, and their ID a second time.

    Returns:
        How many rows there are now.
    """
    value = state.view(np.float64)
    levels, level = len(sources), 0
    while True:
        at = np.uintp(base + level)
        if state[at, END] <= now and state[at, END] != NEVER:
            o = np.uintp(out)
            for field in range(WIDTH):
                rows[o, field] = state[at, field]
            tags[o] = state[at, ID]
            if state[at, WRITTEN] < 0:
                state[at, WRITTEN] = out
            out += 1
            if level == 0:
                told[CLOSED] += state[at, COUNT]
            _feed(state, value, base, level, sources, segments, tables, told[BEGAN])
            state[at, END] = NEVER
        if state[base, NEXT] > now:
            return out
        least, level = FOREVER, -1
        for one in range(levels):
            end = state[base + one, END]
            if end != NEVER and end < least:
                least, level = end, one
        state[base, NEXT] = least  # nothing of the finest level is open, so this is a coarser one's
        if level < 0:
            state[base, NEXT] = FOREVER
            return out
        if least > now:
            return out


@nb.njit(
    t.int64(
        CODES, given(t.int32), given(t.int64), given(t.int64), given(t.float64), given(t.int64), given(t.int8),
        given(t.int64), given(t.int64, 2), given(t.int64), ROWS, ROWS, LINE, t.int64, LINE,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def run(codes, numbers, time, seq, price, size, side, sources, segments, tables, state, rows, tags, out, told):
    """Take ticks, each symbol's in order and none before its watermark.

    Args:
        codes, time, seq, price, size, side: the ticks, from `told[AT]` on; `numbers[code]` is the symbol's place in `state`.
        state: the open bars of each symbol, one row a level; see `begin`.
        sources, segments, tables, rows, tags, out: as for `close`.

    Returns:
        How many rows there are now. If there may be no room for more, `told[AT]` is less than the number of ticks.
    """
    value, levels = state.view(np.float64), np.uintp(len(sources))
    n_rows, room = np.uintp(len(time)), len(rows) - len(sources)
    up = np.uintp(0)  # the level that alone is made of the finest; 0 if there are more or none
    for level in range(1, len(sources)):
        if sources[level] == 0:
            up = np.uintp(0) if up else np.uintp(level)
            if not up:
                break
    for row in range(np.uintp(told[AT]), n_rows):
        k = np.uintp(numbers[codes[row]]) * levels
        now, p, n, s = time[row], price[row], size[row], side[row]
        if now < state[k, END]:
            state[k, VOLUME] += n
            state[k, COUNT] += 1
            state[k, BUY] += n * (s == 1)
            state[k, SELL] += n * (s == 2)
            high, low = value[k, HIGH], value[k, LOW]
            value[k, HIGH] = p if p > high else high  # noqa: FURB136  # half as many instructions
            value[k, LOW] = p if p < low else low  # noqa: FURB136
            value[k, NOTIONAL] += p * n
            state[k, HERE] = row
            continue
        place = np.uintp(state[k, PLACE])
        while place < tables[1] and now >= segments[place, 1]:
            place += np.uintp(1)
        if place == tables[1] or now < segments[place, 0]:
            told[OUTSIDE] += 1
            continue
        if out > room:
            told[AT] = row
            break
        if state[k, HERE] >= 0:
            last = np.uintp(state[k, HERE])
            state[k, LAST_TIME], state[k, LAST_SEQ], value[k, CLOSE] = time[last], seq[last], price[last]
        if state[k, NEXT] > now and state[k, END] != NEVER and up and state[k + up, END] != NEVER:
            # What nearly always happens: it alone ends, and what it is merged into stays open.
            at = np.uintp(out)
            for field in range(WIDTH):
                rows[at, field] = state[k, field]
            tags[at] = state[k, ID]
            if state[k, WRITTEN] < 0:
                state[k, WRITTEN] = out
            out += 1
            told[CLOSED] += state[k, COUNT]
            _up(state, value, k + up, k)
        elif state[k, END] != NEVER or state[k, NEXT] <= now:
            out = close(state, np.int64(k), now, sources, segments, tables, rows, tags, out, told)
        if told[BEGAN] == FOREVER:
            told[BEGAN] = now
        state[k, PLACE] = place
        _window(state, k, now, segments, tables[0], tables[1], told[BEGAN])
        state[k, VOLUME], state[k, COUNT], state[k, BUY], state[k, SELL] = n, 1, n * (s == 1), n * (s == 2)
        state[k, FIRST_TIME], state[k, FIRST_SEQ] = now, seq[row]
        value[k, OPEN], value[k, HIGH], value[k, LOW], value[k, NOTIONAL] = p, p, p, p * n
        state[k, HERE] = row
    else:
        told[AT] = n_rows
    for k in range(np.uintp(0), np.uintp(len(state)), levels):
        if state[k, HERE] >= 0:
            last = np.uintp(state[k, HERE])
            state[k, LAST_TIME], state[k, LAST_SEQ], value[k, CLOSE] = time[last], seq[last], price[last]
            state[k, HERE] = -1
    return out


@nb.njit(inline="always")
def _front(rows, prices, row, state, value, at):
    """Merge an open bar into another of the same window that has only later ticks."""
    prices[row, HIGH], prices[row, LOW] = max(value[at, HIGH], prices[row, HIGH]), min(value[at, LOW], prices[row, LOW])
    prices[row, OPEN] = value[at, OPEN]
    prices[row, NOTIONAL] = value[at, NOTIONAL] + prices[row, NOTIONAL]
    for field in range(VOLUME, SELL + 1):
        rows[row, field] += state[at, field]
    rows[row, FIRST_TIME], rows[row, FIRST_SEQ] = state[at, FIRST_TIME], state[at, FIRST_SEQ]
    rows[row, FLAGS] |= state[at, FLAGS]


@nb.njit(
    t.int64(ROWS, ROWS, given(t.int64), given(t.int64, 2), given(t.int64), ROWS, LINE, t.int64, ROWS, LINE),
    cache=True, nogil=True,
)  # fmt: skip
def stitch(state, later, sources, segments, tables, rows, tags, out, later_rows, told):
    """Join what was made of two halves of a frame, cut where no bar of the finest level is open.

    Args:
        state, rows, tags, out, told: of the first half; what the second one closes at its beginning goes here.
        later, later_rows: of the second half, in which nothing was open at first. `later` gets what is open after both.

    Returns:
        How many rows the first half has now.
    """
    levels = len(sources)
    value, later_value, prices = state.view(np.float64), later.view(np.float64), later_rows.view(np.float64)
    for base in range(0, len(state), levels):
        if later[base, WRITTEN] >= 0:
            now = later_rows[later[base, WRITTEN], FIRST_TIME]
        elif later[base, END] != NEVER:
            now = later[base, FIRST_TIME]
        else:
            later[base : base + levels] = state[base : base + levels]
            continue
        out = close(state, base, now, sources, segments, tables, rows, tags, out, told)
        least = FOREVER
        for level in range(1, levels):
            at = base + level
            if state[at, END] != NEVER:
                # Its window holds the second half's first tick, and so does the first one that was made there.
                row = later[at, WRITTEN]
                if row >= 0:
                    # It has ended there, and gone upward without what came before.
                    _front(later_rows, prices, row, state, value, at)
                    _feed(state, value, base, level, sources, segments, tables, told[BEGAN])
                elif later[at, END] != NEVER:
                    _front(later, later_value, at, state, value, at)
                else:
                    later[at] = state[at]
            if later[at, END] != NEVER:
                least = min(least, later[at, END])
        later[base, NEXT] = least
    return out
