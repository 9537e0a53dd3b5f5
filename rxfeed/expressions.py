"""What rows have as properties, for frames: `frame.df.with_columns(mid(), spread())`. Null where a row gives None."""

from __future__ import annotations

import polars as pl


def mid() -> pl.Expr:
    """Return half way between the columns `bid` and `ask`, as `Quote.mid` does; null unless both are known."""
    return ((pl.col("bid") + pl.col("ask")) / 2).alias("mid")


def spread() -> pl.Expr:
    """Return `ask` less `bid`, as `Quote.spread` does: negative where they are crossed, null unless both are known."""
    return (pl.col("ask") - pl.col("bid")).alias("spread")


def vwap() -> pl.Expr:
    """Return `notional` by `volume`, as `Bar.vwap` does; null without volume, or when history did not know."""
    return pl.when(pl.col("volume") != 0).then(pl.col("notional") / pl.col("volume")).alias("vwap")
