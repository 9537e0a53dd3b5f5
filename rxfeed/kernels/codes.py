"""Which symbols a frame holds, for compiled loops: they look each up by its code instead of grouping rows. Needs numba."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rxfeed.frame import Array, Frame
from rxfeed.kernels import extra

compiled = extra.fast("rxfeed.kernels.bars.compiled")

_CODES, _SYMBOLS = 1 << 22, 1 << 16


class Codes(NamedTuple):
    """`codes[row]` is polars' number of the symbol, `numbers[code]` its place in `symbols`."""

    codes: Array
    numbers: Array
    symbols: list[str]


def codes_of(frame: Frame[Any]) -> Codes | None:
    """Return the symbols of a frame in the order of their codes, like `frame.groups`; None if there are too many."""
    series = frame.df["symbol"]
    codes = series.to_physical().to_numpy().astype(np.uint32, copy=False)
    highest = int(codes.max(initial=0))
    if highest >= _CODES:
        return None
    numbers, first = np.full(highest + 1, -1, np.int32), np.empty(_SYMBOLS, np.int64)
    count = compiled.find(codes, numbers, first)
    if count < 0:
        return None
    present = (numbers >= 0).nonzero()[0]
    rows = first[numbers[present]]
    numbers[present] = np.arange(count)
    return Codes(codes, numbers, [series[row] for row in rows.tolist()])
