"""What a compiled loop finds in one look at a frame: all that `validate` and `bars` ask before they trust it. Needs numba.

The frame is taken in the pieces in which it lies in memory; to copy them into one would cost more than the look.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from rxfeed.frame import Array, Frame
from rxfeed.kernels import extra
from rxfeed.kernels.halves import both, worth
from rxfeed.model import Tick
from rxfeed.times import FOREVER

compiled = extra.fast("rxfeed.kernels.look_compiled")

_ROOM, _MOST = 1 << 10, 1 << 16
_FEW, _SHORT = 32, 1 << 13
"""So many symbols are asked for one by one; pieces shorter than that, on average, are joined."""


class Piece(NamedTuple):
    """Columns of rows that follow each other in memory; `received` is empty if any is not known."""

    codes: Array
    time: Array
    seq: Array
    price: Array
    size: Array
    side: Array
    received: Array


class Look(NamedTuple):
    """What is in a frame. By symbol, in the order of `symbols`: the least, greatest and last price."""

    pieces: list[Piece]
    numbers: Array
    """`numbers[code]` is the place of a symbol."""
    symbols: list[str]
    low: Array
    high: Array
    last: Array
    begins: Array
    """By symbol, time and seq of the first tick."""
    finite: bool
    ordered: bool
    """Whether neither time nor seq ever goes back, over all symbols together."""
    orderly: bool
    """Whether each symbol's ticks are in the order of (time, seq)."""
    sizes: tuple[int, int]
    lags: tuple[int, int] | None
    times: tuple[int, int]


def look_at(frame: Frame[Tick]) -> Look | None:
    """Look at a frame, which is not empty; return None if it has very many symbols. Use `frame.once(look_at)`."""
    pieces = _pieces(frame.df)
    series = frame.df["symbol"]
    found = _found(pieces, _ROOM) or _found(pieces, _MOST)
    if found is None:
        return None
    rows, prices, told = found
    present = (rows >= 0).nonzero()[0]
    numbers = np.full(int(present[-1]) + 1, -1, np.int32)
    numbers[present] = np.arange(len(present))
    at = rows[present]
    if len(at) <= _FEW:
        symbols = [series[row] for row in at.tolist()]
    else:
        symbols = series.gather(at).cast(pl.String).to_list()
    low, high, last = prices[present].T.copy()
    begins = _begins(pieces, at)
    flags, least, most, soonest, latest, first, final, _, _ = told.tolist()
    frame.note("time", first, final)
    ordered = not flags & compiled.NOT_IN_ORDER
    return Look(
        pieces, numbers, symbols, low, high, last, begins, not flags & compiled.NOT_FINITE,
        ordered, ordered or _orderly(pieces, numbers, len(symbols)),
        (least, most), (soonest, latest) if len(pieces[0].received) else None, (first, final),
    )  # fmt: skip


def _pieces(df: pl.DataFrame) -> list[Piece]:
    columns = [df["symbol"].to_physical(), *(df[name].cast(pl.Int64) for name in ("time", "seq")), df["price"], df["size"]]
    columns += [df["side"], df["received"].cast(pl.Int64)]
    if df.n_chunks() > max(1, df.height // _SHORT) or len({tuple(column.chunk_lengths()) for column in columns}) > 1:
        columns = [column.rechunk() for column in columns]
    if columns[-1].null_count():
        columns.pop()
    lines = [[chunk.to_numpy() for chunk in column.get_chunks()] for column in columns]
    lines[0] = [codes.astype(np.uint32, copy=False) for codes in lines[0]]
    if len(lines) < len(Piece._fields):
        lines.append([np.empty(0, np.int64)] * len(lines[0]))
    return [Piece(*piece) for piece in zip(*lines, strict=True) if len(piece[0])]


def _begins(pieces: list[Piece], rows: Array) -> Array:
    """Return time and seq of some rows."""
    out = np.empty((2, len(rows)), np.int64)
    begin = 0
    for piece in pieces:
        here = ((rows >= begin) & (rows < begin + len(piece.codes))).nonzero()[0]
        if len(here):
            out[0, here], out[1, here] = piece.time[rows[here] - begin], piece.seq[rows[here] - begin]
        begin += len(piece.codes)
    return out


def _found(pieces: list[Piece], room: int) -> tuple[Array, Array, Array] | None:
    """Return a row of each code, least, greatest and last price of each, and `told`; None if there is no room for all codes."""
    total = sum(len(piece.codes) for piece in pieces)
    middle, rows = 0, 0
    if worth(total):
        while middle < len(pieces) - 1 and rows + len(pieces[middle].codes) // 2 < total // 2:
            rows += len(pieces[middle].codes)
            middle += 1
    if not middle:
        return _half(pieces, 0, room)
    first, second = both(lambda: _half(pieces[:middle], 0, room), lambda: _half(pieces[middle:], rows, room))
    if first is None or second is None:
        return None
    (at, prices, told), (at_too, more, say) = first, second
    c = compiled
    begin = pieces[middle]
    back = begin.time[0] < told[c.TIME] or begin.seq[0] < told[c.SEQ]
    new = at < 0
    at[new] = at_too[new]
    prices[:, 0], prices[:, 1] = np.fmin(prices[:, 0], more[:, 0]), np.fmax(prices[:, 1], more[:, 1])
    seen = at_too >= 0
    prices[seen, 2] = more[seen, 2]
    least, most = np.minimum(told, say), np.maximum(told, say)
    merged = np.array([
        told[c.FLAGS] | say[c.FLAGS] | (c.NOT_IN_ORDER if back else 0), least[c.LEAST], most[c.MOST], least[c.SOONEST],
        most[c.LATEST], least[c.FIRST], most[c.LAST], say[c.TIME], say[c.SEQ],
    ])  # fmt: skip
    return at, prices, merged


def _half(pieces: list[Piece], begin: int, room: int) -> tuple[Array, Array, Array] | None:
    rows, prices = np.full(room, -1, np.int64), np.empty((room, 3))
    prices[:] = np.inf, -np.inf, np.nan
    told = np.array([0, *(FOREVER, -FOREVER) * 3, -FOREVER, -FOREVER])
    for piece in pieces:
        codes, time, seq, price, size, _, received = piece
        if not compiled.look(codes, time, seq, price, size, received, begin, rows, prices, told):
            return None
        begin += len(codes)
    return rows, prices, told


def _orderly(pieces: list[Piece], numbers: Array, symbols: int) -> bool:
    times, seqs = np.full((2, symbols), -FOREVER)
    return all(compiled.in_order(p.codes, numbers, p.time, p.seq, times, seqs) for p in pieces)
