"""duckdb: a GROUP BY a timeframe over a table of its own, six aggregates, no validation; results as Arrow."""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.bench.market import Market
from tests.bench.peers import SHIFT, STEPS, Check, Lane, need

KIND = "frames"
PACKAGES = ("duckdb", "pyarrow")
OWN = None
SIX = """arg_min(price, seq) AS open, max(price) AS high, min(price) AS low, arg_max(price, seq) AS close,
    sum(size)::BIGINT AS volume, count(*) AS count"""


def _query(width: int) -> str:
    # Integers group faster than timestamps; the session opens an hour before the day, and before no other window.
    return f"SELECT symbol, (time + {SHIFT}) // {width} * {width} - {SHIFT} AS start, {SIX} FROM ticks GROUP BY ALL"


def run(database: Any) -> list[Any]:
    return [database.sql(_query(width)).to_arrow_table() for width in STEPS.values()]


def bars(database: Any) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame(made).with_columns(timeframe=pl.lit(name)) for name, made in zip(STEPS, run(database), strict=True)
    )


def lanes() -> list[Lane]:
    duckdb = need("duckdb")
    need("pyarrow")
    threads = pl.thread_pool_size()

    def table(market: Market) -> Any:
        database = duckdb.connect(config={"threads": threads})
        columns = market.df.select("time", "price", "size", "seq", symbol=pl.col("symbol").cast(pl.String))
        ticks = columns.with_columns(pl.col("time").to_physical()).to_arrow()
        database.register("given", ticks)
        kind = ", ".join(f"'{name}'" for name in columns["symbol"].unique().sort())
        database.execute(f"CREATE TYPE symbol AS ENUM ({kind})")
        database.execute("CREATE TABLE ticks AS SELECT symbol::symbol AS symbol, time, price, size, seq FROM given")
        database.unregister("given")
        return database

    return [Lane("duckdb", table, run, (Check(bars),), threads=threads)]
