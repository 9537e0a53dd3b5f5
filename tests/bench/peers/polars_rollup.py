"""polars as well as it can be used for this: the same validation as filters, the same 13 aggregates, 1s bars and then upward.

Window and symbol are one integer, which groups faster than two columns. Whether a price jumps is first asked of each symbol's
extremes; only if they are far apart is each price compared with the one before.
"""

from __future__ import annotations

import polars as pl

from tests.bench.market import Market
from tests.bench.peers import SECOND, Check, Lane
from tests.bench.peers.polars_groupby import NS, day, opened

KIND = "frames"
PACKAGES = ("polars",)
OWN = None
UNKNOWN = -(1 << 63) + 1
CODES = 1 << 24
"""More than there are symbols."""
STEPS = {"1m": 60, "5m": 300, "1h": 3600}

price, size, time = pl.col("price"), pl.col("size"), pl.col("time")
GOOD = price.is_finite() & (price > 0) & size.is_between(1, 10**12) & (time.to_physical() > UNKNOWN)
NEAR = price.max() <= price.min() * 1.1
BEFORE = price.shift().over("symbol")
NO_JUMP = ((price - BEFORE).abs() <= 0.1 * BEFORE).fill_null(value=True)
FIRSTS = [
    pl.col("symbol").first(),
    price.first().alias("open"), price.max().alias("high"), price.min().alias("low"), price.last().alias("close"),
    size.sum().alias("volume"), pl.len().cast(pl.Int64).alias("count"),
    pl.col("bought").sum().alias("buy_volume"), pl.col("sold").sum().alias("sell_volume"), pl.col("notional").sum(),
    time.first().alias("first_time"), pl.col("seq").first().alias("first_seq"),
    time.last().alias("last_time"), pl.col("seq").last().alias("last_seq"),
]  # fmt: skip
UPWARD = [
    pl.col("symbol", "open", "first_time", "first_seq").first(), pl.col("high").max(), pl.col("low").min(),
    pl.col("close", "last_time", "last_seq").last(),
    pl.col("volume", "count", "buy_volume", "sell_volume", "notional").sum(),
]  # fmt: skip


def validated(df: pl.DataFrame) -> pl.LazyFrame:
    """Filters; they cost nothing more where all rows pass."""
    if not df.select(GOOD.all()).item():
        df = df.filter(GOOD)
    if not df.group_by("symbol").agg(NEAR.alias("near"))["near"].all():
        df = df.filter(NO_JUMP)
    return df.lazy()


def roll_up(df: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Bars by timeframe, `second` their window's start."""
    key = time.to_physical() // SECOND * CODES + pl.col("symbol").to_physical().cast(pl.Int64)
    side = pl.col("side")
    ticks = validated(df).with_columns(
        notional=price * size, bought=size * (side == 1), sold=size * (side == 2), key=key
    )  # fmt: skip
    made = {"1s": ticks.group_by("key").agg(FIRSTS).sort("key").collect()}
    finer = made["1s"].with_columns(second=pl.col("key") // CODES)
    made["1s"] = finer
    for timeframe, step in STEPS.items():
        start = pl.col("second") // step * step
        key = start * CODES + pl.col("key") % CODES
        finer = finer.group_by(key.alias("key"), maintain_order=True).agg(UPWARD).with_columns(second=pl.col("key") // CODES)
        made[timeframe] = finer
    date = day((pl.col("second") * SECOND).cast(NS))
    made["1d"] = finer.group_by(date.alias("date"), pl.col("symbol").alias("of"), maintain_order=True).agg(UPWARD)
    return made


def bars(df: pl.DataFrame) -> pl.DataFrame:
    frames: list[pl.DataFrame] = []
    for timeframe, made in roll_up(df).items():
        start = opened(pl.col("date")).cast(NS).to_physical() if timeframe == "1d" else pl.col("second") * SECOND
        plain = made.with_columns(start=start, timeframe=pl.lit(timeframe))
        frames.append(plain.drop("key", "second", "date", "of", strict=False))
    return pl.concat(frames, how="diagonal")


def lanes() -> list[Lane]:
    def df(market: Market) -> pl.DataFrame:
        return market.df

    return [
        Lane(
            "polars roll-up, same 13 and validation",
            df,
            roll_up,
            (Check(bars),),
            threads=pl.thread_pool_size(),
            targets={"rxfeed, frames": 1},
        )
    ]
