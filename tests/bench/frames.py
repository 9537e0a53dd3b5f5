"""Frames: validate and bars of five timeframes, all 13 aggregates, against polars' eager group_by of six."""

from __future__ import annotations

from typing import Any

import polars as pl

import rxfeed
from rxfeed import Frame, Tick
from rxfeed import operators as ops
from tests.bench.market import SESSION, TIMEFRAMES, frame
from tests.bench.measure import side_by_side

SIX = [
    pl.col("price").first().alias("open"), pl.col("price").max().alias("high"), pl.col("price").min().alias("low"),
    pl.col("price").last().alias("close"), pl.col("size").sum().alias("volume"), pl.len().alias("count"),
]  # fmt: skip
DAY = (pl.col("time").dt.convert_time_zone("America/Chicago").dt.replace_time_zone(None) + pl.duration(hours=7)).dt.truncate(
    "1d"
)
WINDOW = {"1s": pl.col("time").dt.truncate("1s"), "1m": pl.col("time").dt.truncate("1m"),
          "5m": pl.col("time").dt.truncate("5m"), "1h": pl.col("time").dt.truncate("1h"), "1d": DAY}  # fmt: skip


def eager(df: pl.DataFrame) -> list[pl.DataFrame]:
    """One group_by a timeframe."""
    return [df.group_by("symbol", window.alias("window")).agg(SIX) for window in WINDOW.values()]


def ours(df: pl.DataFrame) -> list[pl.DataFrame]:
    """The pipeline of `rxfeed bars`: replay, validate, bars, as frames."""
    out: list[pl.DataFrame] = []
    source = rxfeed.replay(Frame(df), frames=True)
    source.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION, frames=True)).subscribe(lambda f: out.append(f.df))
    return out


def check(df: pl.DataFrame) -> float:
    """Compare polars' bars with ours; return ticks a 1s bar."""
    mine = pl.concat(ours(df))
    columns = ["symbol", "open", "high", "low", "close", "volume", "count"]
    for timeframe, theirs in zip(TIMEFRAMES, eager(df), strict=True):
        a = mine.filter(pl.col("timeframe") == timeframe).sort("symbol", "start").select(columns)
        b = theirs.with_columns(pl.col("symbol").cast(pl.String)).sort("symbol", "window").select(columns)
        assert a.equals(b.cast(a.schema)), f"polars and rxfeed disagree on {timeframe}"
    return df.height / mine.filter(pl.col("timeframe") == "1s").height


def run(count: int, repeats: int, rate: float) -> dict[str, float]:
    """Return elapsed ns a tick by name, and how many ticks make a 1s bar."""
    ticks: Frame[Tick] = frame(count, rate)
    df: Any = ticks.df
    per_bar = check(df)
    result = side_by_side(
        {"polars eager": lambda: eager(df), "rxfeed, frames": lambda: ours(df)}, count, repeats=repeats, cpu=False
    )
    return {**result, "ticks a 1s bar": per_bar}
