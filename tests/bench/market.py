"""The ticks that are measured: eight futures, bursts, many equal times; once dense, once sparse."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from rxfeed import Frame, Tick, synthetic
from tests.bench.peers import Ticks

SYMBOLS = ("MNQ", "MES", "ES", "NQ", "CL", "GC", "MYM", "M2K")
TIMEFRAMES = ("1s", "1m", "5m", "1h", "1d")
SESSION = "CME"
DENSE, SPARSE = 400.0, 40.0
"""Ticks a second, of all symbols together; some 51 and 6 to each 1s bar."""


class Market:
    """The same ticks in the forms that peers take them in."""

    def __init__(self, frame: Frame[Tick]) -> None:
        self.frame = frame

    @classmethod
    def of(cls, count: int, rate: float) -> Market:
        """`count` ticks of all symbols together, at `rate` a second on average."""
        return cls(synthetic(1, symbols=SYMBOLS, rate=rate, n=count, session=SESSION).ticks_frame(count))

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def df(self) -> pl.DataFrame:
        return self.frame.df

    @cached_property
    def rows(self) -> list[Tick]:
        return self.frame.rows()

    @cached_property
    def columns(self) -> Ticks:
        df = self.df
        return Ticks(
            df["symbol"].to_list(), df["time"].to_physical().to_list(), df["price"].to_list(), df["size"].to_list(),
            df["side"].to_list(),
        )  # fmt: skip

    def head(self, count: int) -> Market:
        """The first `count` ticks, for a peer that is too slow for all."""
        return self if count >= len(self) else Market(self.frame.slice(0, count))


def side_by_side(count: int, symbols: int) -> Market:
    """The same ticks whatever the number of symbols: one symbol's, cut into as many pieces, which then run at one time.

    So a bar has as many ticks with a thousand symbols as with one, and nothing else differs.
    """
    one = synthetic(1, symbols=("S0000",), rate=SPARSE / len(SYMBOLS), n=count).ticks_frame(count)
    each = count // symbols
    place = np.arange(count) // each
    place[place >= symbols] = symbols - 1
    time = one.column("time")
    time = time - time[place * each] + time[0]
    order = np.argsort(time, kind="stable")
    names = pl.Series([f"S{number:04}" for number in range(symbols)])
    df = one.df.with_columns(names.gather(place).alias("symbol"), pl.Series("time", time), received=None)
    df = df[order].with_columns(pl.int_range(count, dtype=pl.Int64).alias("seq"))
    return Market(Frame(df))
