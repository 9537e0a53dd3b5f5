"""The main job on real recorded trades, against group_by and zoneinfo, which know nothing of rxfeed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.cli.conftest import Cli

DATA = Path(__file__).parents[2].parent / "shared" / "data"
UTC = pl.Datetime("ns", "UTC")
CHICAGO = ZoneInfo("America/Chicago")


class Recorded(NamedTuple):
    file: str
    options: list[str]
    ticks: pl.Expr
    """Sizes in lots."""
    time: pl.Expr
    buy: pl.Expr


XRP = Recorded(
    "xrp_eth_trades.parquet",
    ["--map", "time=timestamp,size=amount", "--time-unit", "ms", "--symbol", "XRPETH"],
    pl.col("amount").round().cast(pl.Int64),
    pl.from_epoch("timestamp", "ms").dt.replace_time_zone("UTC").cast(UTC),
    pl.col("side").cast(pl.String) == "buy",
)
BTC = Recorded(
    "btcusdt-trades.parquet",
    ["--map", "time=timestamp,size=quantity,side=buyer_maker", "--lot", "0.000001", "--symbol", "BTCUSDT"],
    (pl.col("quantity").cast(pl.Float64) * 1e6).round().cast(pl.Int64),
    pl.col("timestamp").cast(UTC),
    pl.col("buyer_maker") == "False",
)


@pytest.fixture(params=[XRP, BTC], ids=["xrp", "btc"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    if not (DATA / request.param.file).is_file():
        pytest.skip(f"there are no recorded trades in {DATA}")
    return request.param


def trades(recorded: Recorded) -> pl.DataFrame:
    """Time order, equal times as they stand in the file."""
    return (
        pl.read_parquet(DATA / recorded.file)
        .select(
            time=recorded.time,
            price=pl.col("price").cast(pl.Float64),
            size=recorded.ticks,
            buy=recorded.buy,
        )
        .with_row_index("seq")
        .with_columns(pl.col("seq").cast(pl.Int64))
        .sort("time", "seq")
    )


def grouped(ticks: pl.DataFrame, *by: str) -> pl.DataFrame:
    """What a bar says, of ticks that know their `start` and `end`."""
    return (
        ticks.group_by(*by)
        .agg(
            open=pl.col("price").first(), high=pl.col("price").max(), low=pl.col("price").min(), close=pl.col("price").last(),
            volume=pl.col("size").sum(), count=pl.len().cast(pl.Int64),
            buy_volume=pl.col("size").filter("buy").sum(), sell_volume=pl.col("size").filter(~pl.col("buy")).sum(),
            notional=(pl.col("price") * pl.col("size")).sum(),
            first_time=pl.col("time").first(), first_seq=pl.col("seq").first(),
            last_time=pl.col("time").last(), last_seq=pl.col("seq").last(),
        )
        .sort("start")
    )  # fmt: skip


def compare(bars: pl.DataFrame, timeframe: str, expected: pl.DataFrame) -> None:
    mine = bars.filter(pl.col("timeframe") == timeframe).select(expected.columns)
    assert expected.height > 0
    assert_frame_equal(mine.drop("notional"), expected.drop("notional"))
    error = ((mine["notional"] - expected["notional"]) / expected["notional"]).abs().max()
    assert isinstance(error, float)
    assert error <= 1e-12


def test_the_bars_of_recorded_trades_are_those_of_group_by(cli: Cli, tmp_path: Path, recorded: Recorded) -> None:
    steps = {"1s": "1s", "1m": "1m", "1h": "1h", "1d": "1d"}
    wanted = [option for timeframe in steps for option in ("-t", timeframe)]
    ran = cli("bars", DATA / recorded.file, *wanted, "--session", "24x7", *recorded.options, "-o", "bars.parquet", "--json")
    assert (ran.code, ran.err) == (0, "")
    bars = pl.read_parquet(tmp_path / "bars.parquet")
    ticks = trades(recorded)
    assert ran.json["read"] == ran.json["in_bars"] == ticks.height
    assert ran.json["rejected"] == {}
    assert ran.json["outside_session"] == 0
    for timeframe, step in steps.items():
        start = pl.col("time").dt.truncate(step)
        windows = ticks.with_columns(start=start, end=start.dt.offset_by(step), trade_date=pl.col("time").dt.date())
        compare(bars, timeframe, grouped(windows, "start", "end", "trade_date"))
    assert bars.height == sum(ran.json["bars"].values())
    assert bars.select("symbol", "timeframe", "start").is_duplicated().sum() == 0


def cme(time: datetime) -> tuple[date, datetime, datetime] | None:
    """Trade date, open and close, by zoneinfo alone."""
    local = time.astimezone(CHICAGO)
    day = (local + timedelta(hours=7)).date() if local.hour >= 17 else local.date()
    if day.weekday() > 4 or local.hour == 16:
        return None
    before = day - timedelta(days=1)
    opening = datetime(before.year, before.month, before.day, 17, tzinfo=CHICAGO)
    return day, opening, datetime(day.year, day.month, day.day, 16, tzinfo=CHICAGO)


def test_trade_dates_of_recorded_trades_are_those_of_zoneinfo(cli: Cli, tmp_path: Path, recorded: Recorded) -> None:
    options = ["-t", "1m", "-t", "1d", "--session", "CME", *recorded.options, "-o", "bars.parquet", "--json"]
    ran = cli("bars", DATA / recorded.file, *options, "--rules", "none", "--rejects", "out.csv")
    assert (ran.code, ran.err) == (0, "")
    bars = pl.read_parquet(tmp_path / "bars.parquet")
    ticks = trades(recorded)
    of_time = [cme(time) for time in ticks["time"].dt.cast_time_unit("us").to_list()]
    inside = pl.Series([found is not None for found in of_time])
    dates = pl.DataFrame(
        [found for found in of_time if found], ["trade_date", "open_at", "close_at"], orient="row",
    ).with_columns(pl.col("open_at", "close_at").cast(pl.Datetime("us", "UTC")).cast(UTC))  # fmt: skip
    kept = ticks.filter(inside).hstack(dates)
    assert ran.json["outside_session"] == ticks.height - kept.height
    assert ran.json["read"] == ran.json["in_bars"] + ran.json["outside_session"]
    days = kept.rename({"open_at": "start", "close_at": "end"})
    compare(bars, "1d", grouped(days, "start", "end", "trade_date"))
    start = pl.col("time").dt.truncate("1m")
    minutes = kept.with_columns(start=start, end=start.dt.offset_by("1m"))
    compare(bars, "1m", grouped(minutes, "start", "end", "trade_date"))
    out = pl.read_csv(tmp_path / "out.csv")
    assert out["seq"].to_list() == ticks.filter(~inside)["seq"].to_list()
    assert set(out["rule"]) <= {"outside_session"}
