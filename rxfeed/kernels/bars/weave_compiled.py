"""The loops that take the rows of `cascade` to columns, compiled by numba (extra `fast`)."""

# pyright: basic
# numba compiles these from types of its own, which no type checker sees.

from __future__ import annotations

import numba as nb
import numpy as np
from numba import types as t

from rxfeed.kernels.bars.cascade_compiled import (
    DATE,
    END,
    FLAGS,
    ID,
    LAST_SEQ,
    LEVEL,
    NUMBER,
    OPEN,
    ROWS,
    START,
    VOLUME,
)
from rxfeed.kernels.look_compiled import LINE, given


@nb.njit(t.void(given(t.int64), given(t.int64), t.int64, LINE), cache=True, nogil=True)
def by_symbol(tags, more, symbols, order):
    """Put the numbers of rows, symbol by symbol and otherwise as they are, into `order`; those of `more` go on from `tags`."""
    places = np.zeros(symbols + 1, np.int64)
    for tag in tags:
        places[(tag & NUMBER) + 1] += 1
    for tag in more:
        places[(tag & NUMBER) + 1] += 1
    for symbol in range(symbols):
        places[symbol + 1] += places[symbol]
    for row in range(len(tags)):
        symbol = tags[row] & NUMBER
        order[places[symbol]] = row
        places[symbol] += 1
    for row in range(len(more)):
        symbol = more[row] & NUMBER
        order[places[symbol]] = row + len(tags)
        places[symbol] += 1


@nb.njit(
    t.UniTuple(t.int64, 2)(
        ROWS, t.int64, ROWS, given(t.int64), given(t.boolean), given(t.int64, 2), LINE,
        t.Array(t.int64, 2, "A"), t.Array(t.float64, 2, "A"), t.Array(t.int32, 2, "A"), t.Array(t.uint32, 2, "A"),
    ),
    cache=True, nogil=True,
)  # fmt: skip
def weave(rows, count, more, order, emitted, done, keep, words, values, shorts, texts):
    """Write bars as columns.

    Args:
        rows, count, more: the bars; from `count` on they are those of `more`.
        order: their numbers as they are to come.
        emitted: by level, whether its bars are asked for.
        done: by level and symbol, bars that end at this time or before need not be kept.
        keep: gets the numbers of those that are kept.
        words, values: get the fields, as in `parts`, but for symbols, dates and flags.
        shorts: get dates and flags.
        texts: get the numbers of symbols and levels.

    Returns:
        How many are written and how many kept.
    """
    prices, more_prices = rows.view(np.float64), more.view(np.float64)
    out, kept = np.uintp(0), 0
    for number in order:
        if number < count:
            bars, price, row = rows, prices, np.uintp(number)
        else:
            bars, price, row = more, more_prices, np.uintp(number - count)
        tag, end = bars[row, ID], bars[row, END]
        symbol, level = np.uintp(tag & NUMBER), np.uintp(tag >> LEVEL)
        if end > done[level, symbol]:
            keep[kept] = number
            kept += 1
        if emitted[level]:
            texts[0, out], texts[1, out] = symbol, level
            shorts[0, out], shorts[1, out] = bars[row, DATE], bars[row, FLAGS]
            words[START, out], words[END, out] = bars[row, START], end
            for field in range(VOLUME, LAST_SEQ + 1):
                words[field, out] = bars[row, field]
            for field in range(5):
                values[field, out] = price[row, OPEN + field]
            out += np.uintp(1)
    return np.int64(out), kept
