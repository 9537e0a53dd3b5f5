"""One compiled pass that tells whether every tick of a frame is ordinary (extra `fast`): then the frame passes as it is.

What it finds odd is only handed on: the columns of `frames` judge such a frame from its beginning.
"""

# pyright: basic
# numba compiles this from types of its own, which no type checker sees.

from __future__ import annotations

import numba as nb
import numpy as np
from numba import types as t

_INT, _FLOAT = t.Array(t.int64, 1, "C", readonly=True), t.Array(t.float64, 1, "C", readonly=True)
_LINE = t.Array(t.float64, 1, "C")


@nb.njit(
    t.boolean(
        t.Array(t.uint32, 1, "C", readonly=True), t.Array(t.int32, 1, "C", readonly=True), _INT, _INT, _FLOAT, _INT,
        _INT, _FLOAT, _FLOAT, _LINE, _LINE, _LINE,
    ),
    cache=True,
)  # fmt: skip
def ordinary(codes, numbers, time, received, price, size, bounds, floor, step, low, high, last):
    """Return whether every tick is ordinary, and the least, greatest and last price of each symbol.

    Args:
        codes: the symbol of each tick; `numbers[code]` is its place in the arrays by symbol.
        received: empty if not known.
        bounds: least and greatest size, least and greatest lag, least time.
        floor: by symbol, prices must be above; NaN where any price will do.
        step: by symbol, the grid of prices, or NaN.
        low, high, last: by symbol, to be filled.
    """
    least, most, soonest, longest, earliest = bounds
    heard = len(received) > 0
    for row in range(len(time)):
        k = numbers[codes[row]]
        p, n, now = price[row], size[row], time[row]
        if not (-np.inf < p < np.inf) or p <= floor[k] or n < least or n > most or now <= earliest:
            return False
        if heard:
            lag = received[row] - now
            if lag < soonest or lag > longest:
                return False
        grid = step[k]
        if abs(np.rint(p / grid) * grid - p) > 1e-6 * grid:
            return False
        if p < low[k]:
            low[k] = p
        if p > high[k]:
            high[k] = p
        last[k] = p
    return True
