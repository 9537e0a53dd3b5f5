"""Bars of many ticks at once: segments of a block reduced to rows of columns, and those as a frame."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl

from rxfeed.frame import TIME, Frame
from rxfeed.kernels.by.gauges import Block, Floats, Ints
from rxfeed.kernels.by.part import Part
from rxfeed.kernels.by.renko import FILLED
from rxfeed.model import Bar

(
    SYMBOL, LEVEL, KEY, DAY, FLAGS, START, END, VOLUME, COUNT, BUY, SELL, FIRST_TIME, FIRST_SEQ, LAST_TIME, LAST_SEQ
) = range(15)  # fmt: skip
OPEN, HIGH, LOW, CLOSE, NOTIONAL = range(5)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Columns(NamedTuple):
    """Bars: `ints[field, row]` and `floats[field, row]`. `KEY` tells in which order one symbol's came out."""

    ints: Ints
    floats: Floats


def reduce(block: Block, heads: Ints) -> Columns:
    """Return the sums, prices and ends of the segments of a block that begin at `heads`."""
    tails = np.append(heads[1:], len(block.time)) - 1
    ints, floats = np.zeros((15, len(heads)), np.int64), np.empty((5, len(heads)))
    np.add.reduceat(block.size, heads, out=ints[VOLUME])
    np.add.reduceat(block.buy, heads, out=ints[BUY])
    np.add.reduceat(block.sell, heads, out=ints[SELL])
    ints[COUNT] = tails - heads + 1
    ints[FIRST_TIME], ints[FIRST_SEQ] = block.time[heads], block.seq[heads]
    ints[LAST_TIME], ints[LAST_SEQ] = block.time[tails], block.seq[tails]
    floats[OPEN], floats[CLOSE] = block.price[heads], block.price[tails]
    np.maximum.reduceat(block.price, heads, out=floats[HIGH])
    np.minimum.reduceat(block.price, heads, out=floats[LOW])
    np.add.reduceat(block.notional, heads, out=floats[NOTIONAL])
    return Columns(ints, floats)


def put_before(part: Part, rows: Columns) -> None:
    """Merge the ticks of `part`, which came before, into the first row."""
    if not part.count:
        return
    i, f = rows.ints[:, 0], rows.floats[:, 0]
    i[VOLUME] += part.volume
    i[COUNT] += part.count
    i[BUY] += part.buy
    i[SELL] += part.sell
    i[FIRST_TIME], i[FIRST_SEQ] = part.first_time, part.first_seq
    f[OPEN], f[HIGH], f[LOW] = part.open, max(part.high, f[HIGH]), min(part.low, f[LOW])
    f[NOTIONAL] += part.notional


def part_at(rows: Columns, row: int) -> Part:
    """Return a row as ticks of an open bar."""
    part = Part()
    part.volume, part.count, part.buy, part.sell = rows.ints[VOLUME : SELL + 1, row].tolist()
    part.first_time, part.first_seq, part.last_time, part.last_seq = rows.ints[FIRST_TIME:, row].tolist()
    part.open, part.high, part.low, part.close, part.notional = rows.floats[:, row].tolist()
    return part


def set_starts(rows: Columns, last: int) -> int:
    """Set start and end: the first tick's time, moved on so that each is after the one before; return the last start."""
    steps = np.arange(rows.ints.shape[1], dtype=np.int64)
    start: Ints = rows.ints[FIRST_TIME] - steps
    start[0] = max(int(start[0]), last + 1)
    rows.ints[START] = np.maximum.accumulate(start) + steps
    rows.ints[END] = np.maximum(rows.ints[LAST_TIME], rows.ints[START]) + 1
    return int(rows.ints[START, -1])


def lay_bricks(rows: Columns, which: Ints, bricks: Sequence[tuple[int, int, int]], size: float) -> Columns:
    """Return the rows with those of `which` as bricks, each followed by the further ones that its last tick completed."""
    if not bricks:
        return rows
    first, way, count = np.array(bricks, np.int64).T
    repeats = np.ones(rows.ints.shape[1], np.int64)
    repeats[which] = count
    of = np.repeat(np.arange(len(repeats)), repeats)
    ints, floats = rows.ints[:, of], rows.floats[:, of]
    places = np.repeat(np.cumsum(repeats)[which] - count, count)
    nth = np.arange(len(places)) - np.repeat(np.cumsum(count) - count, count)
    places += nth
    ways = np.repeat(way, count)
    level = np.repeat(first, count) + ways * nth
    a, b = level * size, (level + ways) * size
    floats[OPEN, places], floats[CLOSE, places] = a, b
    floats[HIGH, places], floats[LOW, places] = np.maximum(a, b), np.minimum(a, b)
    more = places[nth > 0]
    ints[VOLUME : SELL + 1, more] = 0
    floats[NOTIONAL, more] = 0.0
    ints[FLAGS, more] = FILLED
    ints[FIRST_TIME, more] = ints[LAST_TIME, more]  # they start where the tick was that made them
    return Columns(ints, floats)


def to_frame(pieces: Sequence[Columns], symbols: Sequence[str], names: Sequence[str]) -> Frame[Bar]:
    """Return bars by symbol in the order in which they came out, and by level where they came out together."""
    ints = np.concatenate([piece.ints for piece in pieces], axis=1)
    floats = np.concatenate([piece.floats for piece in pieces], axis=1)
    order = np.lexsort((ints[LEVEL], ints[KEY], ints[SYMBOL]))
    i, f = ints[:, order], floats[:, order]
    empty = i[COUNT] == 0
    filled = pl.Series(empty) if empty.any() else None

    def known(name: str, values: Ints, dtype: pl.DataType | type[pl.DataType] = pl.Int64) -> pl.Series:
        series = pl.Series(name, values)
        return (series if filled is None else series.set(filled, None)).cast(dtype)

    return Frame(
        pl.DataFrame([
            pl.Series("symbol", symbols, dtype=pl.String)[i[SYMBOL]],
            pl.Series("timeframe", names, dtype=pl.String)[i[LEVEL]],
            pl.Series("start", i[START]).cast(TIME), pl.Series("end", i[END]).cast(TIME),
            pl.Series("open", f[OPEN]), pl.Series("high", f[HIGH]), pl.Series("low", f[LOW]), pl.Series("close", f[CLOSE]),
            pl.Series("volume", i[VOLUME]), pl.Series("count", i[COUNT]),
            pl.Series("buy_volume", i[BUY]), pl.Series("sell_volume", i[SELL]), pl.Series("notional", f[NOTIONAL]),
            known("first_time", i[FIRST_TIME], TIME), known("first_seq", i[FIRST_SEQ]),
            known("last_time", i[LAST_TIME], TIME), known("last_seq", i[LAST_SEQ]),
            pl.Series("trade_date", i[DAY].astype(np.int32)).cast(pl.Date),
            pl.Series("revision", np.zeros(len(order), np.int32)),
            pl.Series("flags", i[FLAGS].astype(np.int32)),
        ]),
        Bar,
    )  # fmt: skip
