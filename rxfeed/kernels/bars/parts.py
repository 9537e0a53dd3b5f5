"""Partial bars in columns, and the merge of `model.merge` on whole runs of them.

Integers and floats stand in one 2-D array each, a row a field: taking, joining and reducing then cost a handful of numpy
calls whatever the number of fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from rxfeed.errors import InputError
from rxfeed.frame import TIME
from rxfeed.model import Bar, sums
from rxfeed.times import FOREVER

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

ID, START, END, DATE, FLAGS, VOLUME, COUNT, BUY, SELL, FIRST_TIME, FIRST_SEQ, LAST_TIME, LAST_SEQ = range(13)
OPEN, HIGH, LOW, CLOSE, NOTIONAL = range(5)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
MANY = 1 << 45
"""Volumes up to here cannot overflow int64 in one go: a frame has at most 131,072 rows."""
SUMS = slice(VOLUME, SELL + 1)


class Parts(NamedTuple):
    """Partial bars of one level: `ints[field, row]` and `floats[field, row]`."""

    ints: Ints
    floats: Floats

    @classmethod
    def empty(cls) -> Parts:
        return cls(np.empty((13, 0), np.int64), np.empty((5, 0)))

    @property
    def size(self) -> int:
        return self.ints.shape[1]

    def take(self, rows: npt.NDArray[Any]) -> Parts:
        return Parts(self.ints.take(rows, axis=1), self.floats.take(rows, axis=1))  # twice as fast as by brackets


class Columns(NamedTuple):
    """Closed bars of all levels in columns, by (symbol, end, finer first)."""

    texts: npt.NDArray[np.uint32]
    """The numbers of symbols and levels."""
    ints: Ints
    floats: Floats
    """The fields as in `Parts`, but for symbols, dates and flags."""
    shorts: npt.NDArray[np.int32]
    """Dates and flags."""

    @property
    def size(self) -> int:
        return self.texts.shape[1]


Closed = list[tuple[int, Parts]] | Columns
"""Closed bars; a list has them by level, finest first."""


def join(pieces: list[Parts]) -> Parts:
    """Return the rows of all pieces, one after another."""
    pieces = [p for p in pieces if p.size]
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return Parts.empty()
    return Parts(np.concatenate([p.ints for p in pieces], axis=1), np.concatenate([p.floats for p in pieces], axis=1))


def runs(*keys: npt.NDArray[Any]) -> Ints:
    """Return where each run of equal keys begins."""
    head = np.empty(len(keys[0]), np.bool_)
    head[:1] = True
    np.not_equal(keys[0][1:], keys[0][:-1], out=head[1:])
    for key in keys[1:]:
        head[1:] |= key[1:] != key[:-1]
    return head.nonzero()[0]


def merge_runs(parts: Parts, heads: Ints) -> Parts:
    """Merge each run of rows that share symbol and window into one row; `heads` tells where each run begins."""
    n = parts.size
    if len(heads) == n:
        return parts
    ints, floats = parts
    tails = np.append(heads[1:], n) - 1
    first, last = heads, tails
    if not _ordered(ints, heads):
        run = np.repeat(np.arange(len(heads)), tails - heads + 1)
        first = np.lexsort((ints[FIRST_SEQ], ints[FIRST_TIME], run))[heads]
        last = np.lexsort((ints[LAST_SEQ], ints[LAST_TIME], run))[tails]
    merged = Parts(ints[:, heads], np.empty((5, len(heads))))
    merged.ints[FLAGS] = np.bitwise_or.reduceat(ints[FLAGS], heads)
    merged.ints[SUMS] = np.add.reduceat(ints[SUMS], heads, axis=1)
    merged.ints[FIRST_TIME : FIRST_SEQ + 1] = ints[FIRST_TIME : FIRST_SEQ + 1, first]
    merged.ints[LAST_TIME : LAST_SEQ + 1] = ints[LAST_TIME : LAST_SEQ + 1, last]
    if max(int(ints[VOLUME].max()), -int(ints[VOLUME].min())) > MANY:
        check_volume(ints[VOLUME], heads)
    merged.floats[OPEN] = floats[OPEN, first]
    merged.floats[HIGH] = np.maximum.reduceat(floats[HIGH], heads)
    merged.floats[LOW] = np.minimum.reduceat(floats[LOW], heads)
    merged.floats[CLOSE] = floats[CLOSE, last]
    merged.floats[NOTIONAL] = np.add.reduceat(floats[NOTIONAL], heads)
    return merged


def meet(few: Parts, many: Parts, symbols: int) -> Parts:
    """Merge the rows of `few`, each of another window and in any order, with `many`, which lie symbol by symbol in order.

    As a rule a row of `few` is the first window of its symbol in `many`, and is written to there, or the one before it, and
    is put in front: then nothing is sorted but `few`.
    """
    if not few.size or not many.size:
        return many if many.size else in_order(few)
    heads = runs(many.ints[ID])
    first = np.full(symbols, -1)
    first[many.ints[ID, heads]] = heads
    few = in_order(few)
    at = first[few.ints[ID]]
    known = at >= 0
    start = many.ints[START, at]
    if (known & (few.ints[START] > start)).any():
        return merged(join([few, many]))
    same = known & (few.ints[START] == start)
    if same.any():
        rows = at[same]  # one row a symbol, and in the order of symbols, like what is merged
        both = merged(join([few.take(np.flatnonzero(same)), many.take(rows)]))
        many.ints[:, rows], many.floats[:, rows] = both.ints, both.floats
        if same.all():
            return many
        rest = np.flatnonzero(~same)
        few, at, known = few.take(rest), at[rest], known[rest]
    return _insert(many, np.where(known, at, many.size), few)


def _insert(many: Parts, places: Ints, few: Parts) -> Parts:
    """Put each row of `few` in front of the row of `many` at its place."""
    order = places.argsort(kind="stable")
    places = places[order]
    old = np.arange(many.size)
    old += np.searchsorted(places, old, "right")
    new = places + np.arange(few.size)
    rows = many.size + few.size
    out = Parts(np.empty((13, rows), np.int64), np.empty((5, rows)))
    out.ints[:, old], out.floats[:, old] = many
    out.ints[:, new], out.floats[:, new] = few.ints[:, order], few.floats[:, order]
    return out


def in_order(parts: Parts) -> Parts:
    return parts.take(np.lexsort((parts.ints[START], parts.ints[ID])))


def merged(parts: Parts) -> Parts:
    parts = in_order(parts)
    return merge_runs(parts, runs(parts.ints[ID], parts.ints[START]))


def check_volume(sizes: Ints, heads: Ints) -> None:
    """Refuse volumes that int64 cannot hold; numpy would wrap them in silence.

    Raises:
        InputError: the volume of a window is too large.
    """
    largest = np.abs(np.add.reduceat(sizes.astype(np.float64), heads)).max(initial=0.0)
    if largest >= 2.0**63:
        raise InputError(f"the volume of a bar is {largest:.3g} lots; at most 9.22e18 fit (int64): is the lot right?")


def _ordered(ints: Ints, heads: Ints) -> bool:
    """Whether in every run each row's first tick comes after the last one of the row before."""
    before, after = ints[LAST_TIME, :-1], ints[FIRST_TIME, 1:]
    good = (before < after) | ((before == after) & (ints[LAST_SEQ, :-1] < ints[FIRST_SEQ, 1:]))
    good[heads[1:] - 1] = True
    return bool(good.all())


def bar_at(parts: Parts, row: int, symbol: str, timeframe: str) -> Bar:
    """Return one row as a bar of revision 0."""
    _, start, end, day, flags, volume, count, buy, sell, first_time, first_seq, last_time, last_seq = parts.ints[
        :, row
    ].tolist()
    first, high, low, last, notional = parts.floats[:, row].tolist()
    return Bar(
        symbol, timeframe, start, end, first, high, low, last, volume, count, buy, sell, notional,
        first_time, first_seq, last_time, last_seq, date.fromordinal(day + EPOCH_ORDINAL), 0, flags,
    )  # fmt: skip


def of_bars(bars: Sequence[Bar], ids: Sequence[int]) -> Parts:
    """Return bars as rows; `ids` numbers their symbols."""
    parts = Parts(np.empty((13, len(bars)), np.int64), np.empty((5, len(bars))))
    for row, (bar, number) in enumerate(zip(bars, ids, strict=True)):
        s = sums(bar)
        if abs(bar.volume) > FOREVER:
            raise InputError(f"the volume of a bar is {bar.volume} lots; at most 9.22e18 fit (int64): is the lot right?")
        parts.ints[:, row] = (
            number, bar.start, bar.end, bar.trade_date.toordinal() - EPOCH_ORDINAL, bar.flags,
            bar.volume, s.ticks, s.buy_volume, s.sell_volume, s.first_time, s.first_seq, s.last_time, s.last_seq,
        )  # fmt: skip
        parts.floats[:, row] = bar.open, bar.high, bar.low, bar.close, s.notional
    return parts


def to_columns(closed: Sequence[tuple[int, Parts]], symbols: Sequence[str], timeframes: Sequence[str]) -> pl.DataFrame:
    """Return the bars of several levels as one DataFrame of `BAR_SCHEMA`, by (symbol, end, finer first)."""
    parts, levels, order = joined(closed)
    i, f = parts.ints.take(order, axis=1), parts.floats.take(order, axis=1)
    texts = np.stack([i[ID].astype(np.uint32), levels.take(order).astype(np.uint32)])
    return table(Columns(texts, i, f, i[[DATE, FLAGS]].astype(np.int32)), symbols, timeframes)


def table(columns: Columns, symbols: Sequence[str], timeframes: Sequence[str]) -> pl.DataFrame:
    """Return bars as a DataFrame of `BAR_SCHEMA`."""
    texts, i, f, shorts = columns
    return pl.DataFrame([
        _texts("symbol", symbols, texts[0]), _texts("timeframe", timeframes, texts[1]),
        _time("start", i[START]), _time("end", i[END]),
        pl.Series("open", f[OPEN]), pl.Series("high", f[HIGH]), pl.Series("low", f[LOW]), pl.Series("close", f[CLOSE]),
        pl.Series("volume", i[VOLUME]), pl.Series("count", i[COUNT]),
        pl.Series("buy_volume", i[BUY]), pl.Series("sell_volume", i[SELL]), pl.Series("notional", f[NOTIONAL]),
        _time("first_time", i[FIRST_TIME]), pl.Series("first_seq", i[FIRST_SEQ]),
        _time("last_time", i[LAST_TIME]), pl.Series("last_seq", i[LAST_SEQ]),
        pl.Series("trade_date", shorts[0]).cast(pl.Date),
        pl.Series("revision", np.zeros(columns.size, np.int32)),
        pl.Series("flags", shorts[1]),
    ])  # fmt: skip


def to_rows(closed: Sequence[tuple[int, Parts]], symbols: Sequence[str], timeframes: Sequence[str]) -> list[Bar]:
    """Return the same as `to_columns`, as bars."""
    parts, levels, order = joined(closed)
    ids: list[int] = parts.ints[ID].tolist()
    level: list[int] = levels.tolist()
    places: list[int] = order.tolist()
    return [bar_at(parts, row, symbols[ids[row]], timeframes[level[row]]) for row in places]


def joined(closed: Sequence[tuple[int, Parts]]) -> tuple[Parts, Ints, Ints]:
    """Return the rows of all levels one after another, the level of each, and their order by (symbol, end, finer first)."""
    parts = join([part for _, part in closed])
    levels = np.repeat(np.array([level for level, _ in closed], np.int64), [part.size for _, part in closed])
    ids, end = parts.ints[ID], parts.ints[END]
    if not parts.size:
        return parts, levels, levels
    low, depth = int(end.min()), int(levels.max()) + 1
    span = int(end.max()) - low + 1
    if span * depth * (int(ids.max()) + 1) >= 1 << 62:
        return parts, levels, np.lexsort((levels, end, ids))
    # One key, made of runs that are in order already: sorting it is little more than merging them.
    return parts, levels, (((ids * span) + (end - low)) * depth + levels).argsort(kind="stable")


def _texts(name: str, texts: Sequence[str], numbers: npt.NDArray[np.uint32]) -> pl.Series:
    return pl.Series(name, texts, dtype=pl.String)[pl.Series(numbers)]


def _time(name: str, values: Ints) -> pl.Series:
    return pl.Series(name, values).cast(TIME)
