"""The last revision of every bar, sorted, in bounded memory.

Bars come in the order of time with revisions in between, and there may be as many as there were ticks. They are kept as
sorted runs on disk; at the end a range of keys at a time is read from all runs, which the runs' statistics make cheap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from rxfeed.frame import BAR_SCHEMA, TIME

RUN_ROWS: Final = 262_144
RANGE_ROWS: Final = 262_144
_KEY: Final = ("symbol", "_level", "start")


class LastRows:
    """Takes bars in the order in which they came out, gives the last one of each identity.

    Args:
        timeframes: those asked for, finest first.
        folder: where runs are kept.
        run: rows of a run.
        most: rows of a range that is sorted in memory, about.
    """

    def __init__(self, timeframes: Sequence[str], folder: Path, *, run: int = RUN_ROWS, most: int = RANGE_ROWS) -> None:
        self.revisions = 0
        """Bars that came out again."""
        self.late = 0
        """Ticks that came after their bar of the finest timeframe had closed; known when all rows have been given."""
        self.bars = dict.fromkeys(timeframes, 0)
        """How many bars there are by timeframe; known when all rows have been given."""
        self._levels = {name: level for level, name in enumerate(timeframes)}
        self._folder, self._run, self._most = folder, run, most
        self._runs: list[Path] = []
        self._index: list[pl.DataFrame] = []
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0
        self._count = 0

    def add(self, bars: pl.DataFrame) -> None:
        """Take bars; a later one replaces an earlier one of the same symbol, timeframe and start."""
        self.revisions += int((bars["revision"] > 0).sum())
        self._held.append(bars)
        self._held_rows += bars.height
        if self._held_rows >= self._run:
            self._spill()

    def _sorted(self) -> pl.DataFrame:
        rows = pl.concat(self._held) if self._held else pl.DataFrame(schema=BAR_SCHEMA)
        order = pl.int_range(self._count, self._count + rows.height, dtype=pl.Int64)
        level = pl.col("timeframe").replace_strict(self._levels, return_dtype=pl.UInt8)
        self._count += rows.height
        self._held, self._held_rows = [], 0
        return rows.with_columns(level.alias("_level"), order.alias("_order")).sort(*_KEY, "_order")

    def _spill(self) -> None:
        rows = self._sorted()
        path = self._folder / f"run{len(self._runs):06d}.parquet"
        rows.write_parquet(path, compression="lz4", row_group_size=16_384)
        self._runs.append(path)
        self._index.append(rows.group_by("symbol", "_level").agg(pl.len().alias("n"), pl.col("start").min().to_physical()))

    def rows(self) -> Iterator[pl.DataFrame]:
        """Yield the last revisions by symbol, timeframe (finer first) and start."""
        if not self._runs:
            yield self._last(self._sorted())
            return
        self._spill()
        stored = pl.scan_parquet(self._runs, glob=False, hive_partitioning=False)
        for wanted in self._ranges():
            yield self._last(stored.filter(wanted).sort(*_KEY, "_order").collect())

    def _ranges(self) -> Iterator[pl.Expr]:
        """Yield conditions for ranges of keys, in order, that together are all."""
        index = pl.concat(self._index)
        symbols = index.group_by("symbol").agg(pl.col("n").sum()).sort("symbol")
        group: list[str] = []
        rows = 0
        for symbol, n in symbols.iter_rows():
            if group and rows + n > self._most:
                yield pl.col("symbol").is_between(pl.lit(group[0]), pl.lit(group[-1]))
                group, rows = [], 0
            if n <= self._most:
                group.append(symbol)
                rows += n
                continue
            of_symbol = index.filter(pl.col("symbol") == symbol)
            for level in sorted(of_symbol["_level"].unique().to_list()):
                here = (pl.col("symbol") == symbol) & (pl.col("_level") == level)
                for between in _cuts(of_symbol.filter(pl.col("_level") == level), self._most):
                    yield here & between
        if group:
            yield pl.col("symbol").is_between(pl.lit(group[0]), pl.lit(group[-1]))

    def _last(self, rows: pl.DataFrame) -> pl.DataFrame:
        if not rows.height:
            return rows.select(BAR_SCHEMA.names())
        key = pl.struct(_KEY)
        last = rows.select((key != key.shift(-1)).fill_null(value=True)).to_series()
        if not last.all():
            finest = rows.filter((pl.col("_level") == 0) & (~last | (pl.col("revision") > 0)))
            at_last = finest.group_by(_KEY).agg(pl.col("count").last() - pl.col("count").filter(pl.col("revision") == 0).sum())
            self.late += int(at_last["count"].sum())
            rows = rows.filter(last)
        else:
            self.late += int(rows.filter((pl.col("_level") == 0) & (pl.col("revision") > 0))["count"].sum())
        for timeframe, n in rows.group_by("timeframe").len().iter_rows():
            self.bars[timeframe] += n
        return rows.select(BAR_SCHEMA.names())


def _cuts(runs: pl.DataFrame, most: int) -> Iterator[pl.Expr]:
    """Yield conditions on `start` that cut one symbol and timeframe into ranges of about `most` rows.

    Time moves on from run to run, so where a run begins is a good place to cut.
    """
    start = pl.col("start")
    edges: list[int] = []
    rows = 0
    for n, first in runs.sort("start").select("n", "start").iter_rows():
        if rows and rows + n > most:
            edges.append(first)
            rows = 0
        rows += n
    low: int | None = None
    for edge in [*edges, None]:
        condition = pl.lit(value=True)
        if low is not None:
            condition &= start >= pl.lit(low).cast(TIME)
        if edge is not None:
            condition &= start < pl.lit(edge).cast(TIME)
        yield condition
        low = edge
