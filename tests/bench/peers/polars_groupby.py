"""polars as one writes it first: a group_by a timeframe, six aggregates, no validation; eager, and lazy all at once."""

from __future__ import annotations

import polars as pl

from tests.bench.market import Market
from tests.bench.peers import Check, Lane

KIND = "frames"
PACKAGES = ("polars",)
OWN = None
NS = pl.Datetime("ns", "UTC")
SIX = [
    pl.col("price").first().alias("open"), pl.col("price").max().alias("high"), pl.col("price").min().alias("low"),
    pl.col("price").last().alias("close"), pl.col("size").sum().alias("volume"), pl.len().alias("count"),
]  # fmt: skip


def day(time: pl.Expr) -> pl.Expr:
    """The session's date, without a zone: seven hours after 17:00 in Chicago is midnight."""
    return (time.dt.convert_time_zone("America/Chicago").dt.replace_time_zone(None) + pl.duration(hours=7)).dt.truncate("1d")


def opened(date: pl.Expr) -> pl.Expr:
    """When the session of that date opened."""
    return date.dt.offset_by("-7h").dt.replace_time_zone("America/Chicago").dt.convert_time_zone("UTC")


def windows(time: pl.Expr) -> dict[str, pl.Expr]:
    """The window of a time, by timeframe."""
    return {**{name: time.dt.truncate(name) for name in ("1s", "1m", "5m", "1h")}, "1d": day(time)}


WINDOWS = windows(pl.col("time"))


def eager(df: pl.DataFrame) -> list[pl.DataFrame]:
    return [df.group_by("symbol", window.alias("window")).agg(SIX) for window in WINDOWS.values()]


def lazy(df: pl.DataFrame) -> list[pl.DataFrame]:
    return pl.collect_all([df.lazy().group_by("symbol", window.alias("window")).agg(SIX) for window in WINDOWS.values()])


def together(made: list[pl.DataFrame]) -> pl.DataFrame:
    """All bars in one frame, as the check takes it."""
    frames: list[pl.DataFrame] = []
    for timeframe, df in zip(WINDOWS, made, strict=True):
        start = pl.col("window") if timeframe != "1d" else opened(pl.col("window"))
        frames.append(df.with_columns(timeframe=pl.lit(timeframe), start=start.cast(NS).to_physical()).drop("window"))
    return pl.concat(frames)


def lanes() -> list[Lane]:
    def df(market: Market) -> pl.DataFrame:
        return market.df

    threads = pl.thread_pool_size()
    return [
        Lane(
            "polars eager",
            df,
            eager,
            (Check(lambda df: together(eager(df))),),
            threads=threads,
            targets={"rxfeed, frames": 5, "rxfeed, frames, fast": 30},
        ),
        Lane("polars lazy, collect_all", df, lazy, (Check(lambda df: together(lazy(df))),), threads=threads),
    ]
