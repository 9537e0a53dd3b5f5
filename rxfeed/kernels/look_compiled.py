"""The loops of `look`, compiled by numba (extra `fast`). They go over a frame piece by piece, as it lies in memory."""

# pyright: basic
# numba compiles these from types of its own, which no type checker sees.

from __future__ import annotations

import numba as nb
import numpy as np
from numba import types as t


def given(dtype, dimensions=1):  # what comes from polars may only be read
    return t.Array(dtype, dimensions, "C", readonly=True)


CODES, LINE = given(t.uint32), t.Array(t.int64, 1, "C")
NOT_FINITE, NOT_IN_ORDER = 1, 2
FLAGS, LEAST, MOST, SOONEST, LATEST, FIRST, LAST, TIME, SEQ = range(9)
"""What `told` holds: flags, extremes of size, of lag and of time, and the last row's time and seq."""
_BLOCK = 2_048  # rows that every loop goes over while they are in the nearest cache


@nb.njit(
    t.boolean(
        CODES, given(t.int64), given(t.int64), given(t.float64), given(t.int64), given(t.int64),
        t.int64, LINE, t.Array(t.float64, 2, "C"), LINE,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def look(codes, time, seq, price, size, received, at, rows, prices, told):
    """Find what there is in a piece: each loop is so simple that it takes several rows at a time.

    Args:
        received: empty if not known.
        at: which row of the frame the piece begins with.
        rows: by code, a row of it, or -1.
        prices: by code, the least, greatest and last price so far.
        told: see above.

    Returns:
        Whether `rows` has room for all codes.
    """
    room, n = len(rows), np.uintp(len(time))
    heard = len(received) > 0
    flags, least, most, soonest, latest, first, last = told[0], told[1], told[2], told[3], told[4], told[5], told[6]
    if n and (time[0] < told[TIME] or seq[0] < told[SEQ]):
        flags |= NOT_IN_ORDER
    low = np.uintp(0)
    while low < n:
        high = min(low + np.uintp(_BLOCK), n)
        back = False
        for row in range(max(low, np.uintp(1)), high):
            back |= (time[row] < time[row - np.uintp(1)]) | (seq[row] < seq[row - np.uintp(1)])
        if back:
            flags |= NOT_IN_ORDER
            for row in range(low, high):
                first, last = min(first, time[row]), max(last, time[row])
        else:
            first, last = min(first, time[low]), max(last, time[high - np.uintp(1)])
        for row in range(low, high):
            least, most = min(least, size[row]), max(most, size[row])
        if heard:
            for row in range(low, high):
                lag = received[row] - time[row]
                soonest, latest = min(soonest, lag), max(latest, lag)
        odd = False
        for row in range(low, high):
            odd |= price[row] - price[row] != 0.0
        if odd:
            flags |= NOT_FINITE
        for row in range(low, high):
            code = np.uintp(codes[row])
            if code >= room:
                return False
            p = price[row]
            if rows[code] < 0:
                rows[code] = at + row
            if p < prices[code, 0]:
                prices[code, 0] = p
            if p > prices[code, 1]:
                prices[code, 1] = p
            prices[code, 2] = p
        low = high
    told[0], told[1], told[2], told[3], told[4], told[5], told[6] = flags, least, most, soonest, latest, first, last
    if n:
        told[TIME], told[SEQ] = time[n - np.uintp(1)], seq[n - np.uintp(1)]
    return True


@nb.njit(t.boolean(CODES, given(t.int32), given(t.int64), given(t.int64), LINE, LINE), cache=True, nogil=True)
def in_order(codes, numbers, time, seq, times, seqs):
    """Return whether each symbol's rows are in the order of (time, seq); `times` and `seqs` are those of its row before."""
    for row in range(np.uintp(len(time))):
        k = np.uintp(numbers[codes[row]])
        if time[row] < times[k] or (time[row] == times[k] and seq[row] < seqs[k]):
            return False
        times[k], seqs[k] = time[row], seq[row]
    return True


@nb.njit(t.boolean(CODES, given(t.int32), given(t.float64), given(t.float64)), cache=True, nogil=True)
def on_grid(codes, numbers, price, step):
    """Return whether every price is on its symbol's grid; NaN where there is none."""
    for row in range(np.uintp(len(price))):
        grid = step[np.uintp(numbers[codes[row]])]
        if abs(np.rint(price[row] / grid) * grid - price[row]) > 1e-6 * grid:
            return False
    return True
