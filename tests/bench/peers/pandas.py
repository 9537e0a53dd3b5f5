"""pandas: floor the times and group by them, or resample each symbol; six aggregates, no validation."""

from __future__ import annotations

from typing import Any

import polars as pl

from tests.bench.market import Market
from tests.bench.peers import SHIFT, STEPS, Check, Lane, need

KIND = "frames"
PACKAGES = ("pandas",)
OWN = None


def _six(groups: Any) -> Any:
    price, size = groups["price"], groups["size"]
    return {
        "open": price.first(), "high": price.max(), "low": price.min(), "close": price.last(), "volume": size.sum(),
        "count": size.size(),
    }  # fmt: skip


def floor(df: Any) -> list[Any]:
    """The window as an integer, since the session opens an hour before the day that floor knows."""
    frame = need("pandas").DataFrame
    made: list[Any] = []
    for width in STEPS.values():
        start = (df["ns"] + SHIFT) // width * width - SHIFT
        made.append(frame(_six(df.groupby(["symbol", start.rename("start")], observed=True, sort=False))).reset_index())
    return made


def resample(df: Any) -> list[Any]:
    """By symbol and Grouper; empty windows come out too and are dropped, which is part of it."""
    pandas = need("pandas")
    made: list[Any] = []
    for width in STEPS.values():
        grouper = pandas.Grouper(key="time", freq=pandas.Timedelta(width), offset=pandas.Timedelta(-SHIFT))
        bars = pandas.DataFrame(_six(df.groupby(["symbol", grouper], observed=True)))
        made.append(bars[bars["count"] > 0].reset_index())
    return made


def _bars(made: list[Any], start: str) -> pl.DataFrame:
    frames: list[pl.DataFrame] = []
    for name, df in zip(STEPS, made, strict=True):
        columns = {column: df[column].to_numpy() for column in df if column not in ("symbol", start)}
        symbol, at = df["symbol"].astype(str).tolist(), df[start].astype("int64").to_numpy()
        frames.append(pl.DataFrame({"symbol": symbol, "timeframe": name, "start": at, **columns}))
    return pl.concat(frames)


def lanes() -> list[Lane]:
    pandas = need("pandas")

    def prepare(market: Market) -> Any:
        df = market.df
        time = df["time"].to_physical().to_numpy()
        return pandas.DataFrame({
            "symbol": pandas.Categorical(df["symbol"].to_list()), "time": pandas.to_datetime(time, unit="ns", utc=True),
            "ns": time, "price": df["price"].to_numpy(), "size": df["size"].to_numpy(),
        })  # fmt: skip

    return [
        Lane("pandas floor + groupby", prepare, floor, (Check(lambda df: _bars(floor(df), "start")),)),
        Lane("pandas resample", prepare, resample, (Check(lambda df: _bars(resample(df), "time")),)),
    ]
