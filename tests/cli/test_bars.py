from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

from rxfeed.frame import BAR_SCHEMA
from tests.cli.conftest import Cli

UTC = pl.Datetime("ns", "UTC")
# A Friday before the change of the clock: 15:59:59 in Chicago, the pause, then the evening of Sunday.
FRIDAY, PAUSE, SUNDAY = "2025-03-07T21:59:59Z", "2025-03-07T22:30:00Z", "2025-03-09T22:00:01Z"


def write_ticks(path: Path, rows: list[tuple[str, str, float, int, int]]) -> Path:
    lines = ["symbol,time,price,size,side", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    return write_ticks(
        tmp_path / "ticks.csv",
        [
            ("A", "2025-03-07T15:00:00.000000001Z", 100.0, 1, 1),
            ("A", "2025-03-07T15:00:00.5Z", 101.0, 2, 2),
            ("B", "2025-03-07T15:00:00.7Z", 50.0, 1, 1),
            ("A", "2025-03-07T15:00:03Z", 99.0, 3, 0),
            ("A", "2025-03-07T15:00:00.9Z", 102.0, 4, 1),
            ("A", "2025-03-07T15:00:03.5Z", 100.0, 1, 1),
        ],
    )


def test_one_output_holds_the_last_revision_of_every_bar_in_a_fixed_order(cli: Cli, tmp_path: Path, ticks: Path) -> None:
    ran = cli("bars", ticks, "-t", "1m", "-t", "1s", "-o", "bars.parquet")
    assert (ran.code, ran.out) == (0, "")
    bars = pl.read_parquet(tmp_path / "bars.parquet")
    assert bars.schema == BAR_SCHEMA
    assert bars.select("symbol", "timeframe").rows() == [("A", "1s"), ("A", "1s"), ("A", "1m"), ("B", "1s"), ("B", "1m")]
    first = bars.row(0, named=True)
    assert (first["open"], first["high"], first["low"], first["close"]) == (100.0, 102.0, 100.0, 102.0)
    assert (first["volume"], first["count"], first["buy_volume"], first["sell_volume"]) == (7, 3, 5, 2)
    assert (first["revision"], bars["first_time"].to_physical()[0] % 10**9) == (1, 1)
    assert ran.err.splitlines()[:2] == ["6 ticks read, 6 in bars", "  1 of them late, 1 revision"]
    assert ran.err.splitlines()[2].startswith("5 bars in bars.parquet: 1s 3, 1m 2 (")


@pytest.mark.parametrize("extension", [".parquet", ".csv", ".ndjson", ".jsonl", ".arrow", ".ipc", ".feather"])
def test_every_form_says_the_same(cli: Cli, tmp_path: Path, ticks: Path, extension: str) -> None:
    ran = cli("bars", ticks, "-t", "1s", "-t", "1m", "-o", f"bars{extension}")
    assert ran.code == 0, ran.err
    assert cli("bars", ticks, "-t", "1s", "-t", "1m", "-o", "as.parquet").code == 0
    path = tmp_path / f"bars{extension}"
    if extension == ".parquet":
        bars = pl.read_parquet(path)
    elif extension == ".csv":
        assert "2025-03-07T15:00:00.000000001Z" in path.read_text()
        bars = pl.read_csv(path, schema_overrides={"trade_date": pl.Date})
    elif extension in (".ndjson", ".jsonl"):
        assert list(json.loads(path.read_text().splitlines()[0])) == BAR_SCHEMA.names()
        bars = pl.read_ndjson(path).with_columns(pl.col("trade_date").str.to_date())
    else:
        bars = pl.read_ipc(path)
    times = [name for name, dtype in BAR_SCHEMA.items() if dtype == UTC and bars[name].dtype == pl.String]
    bars = bars.with_columns(pl.col(times).str.strptime(UTC, "%Y-%m-%dT%H:%M:%S%.9fZ"))
    assert bars.columns == BAR_SCHEMA.names()
    assert bars.cast(BAR_SCHEMA).equals(pl.read_parquet(tmp_path / "as.parquet"))


def test_a_dash_prints_a_table_for_people_and_rows_for_programs(cli: Cli, ticks: Path) -> None:
    ran = cli("bars", ticks, "-t", "1m")
    head, first, _ = ran.out.splitlines()
    assert head.split() == ["symbol", "timeframe", "start", "open", "high", "low", "close", "volume", "count", "buy_volume",
                            "sell_volume", "flags"]  # fmt: skip
    assert first.split()[:7] == ["A", "1m", "2025-03-07T15:00:00Z", "100", "102", "99", "100"]
    assert first.split()[-2:] == ["PARTIAL", "GAP"]
    assert ran.err.splitlines()[-1].startswith("2 bars: 1m 2")
    rows = [json.loads(line) for line in cli("bars", ticks, "-t", "1m", "-o", "-", "--json").out.splitlines()]
    assert [row["symbol"] for row in rows] == ["A", "B"]
    assert rows[0]["start"] == "2025-03-07T15:00:00.000000000Z"


def test_only_where_the_data_ends_inside_a_window_a_bar_is_partial(cli: Cli, tmp_path: Path) -> None:
    path = write_ticks(
        tmp_path / "t.csv", [("QUIET", "2025-03-07T15:00:00Z", 1.0, 1, 0), ("LOUD", "2025-03-07T15:05:30Z", 1.0, 1, 0)]
    )
    rows = [json.loads(line) for line in cli("bars", path, "-t", "1m", "--json").out.splitlines()]
    assert {row["symbol"]: row["flags"] & 1 for row in rows} == {"LOUD": 1, "QUIET": 0}


@pytest.mark.parametrize("rules", ["none", "default", "finite,outside_session"])
def test_a_tick_outside_every_session_makes_no_bar_and_is_reported(cli: Cli, tmp_path: Path, rules: str) -> None:
    path = write_ticks(tmp_path / "t.csv", [("A", at, 1.0, 1, 0) for at in (FRIDAY, PAUSE, SUNDAY)])
    options = ("-t", "1h", "-t", "1d", "--session", "CME", "--rules", rules, "-o", "b.parquet")
    counts = cli("bars", path, *options, "--json").json
    assert (counts["read"], counts["in_bars"], counts["outside_session"], counts["rejected"]) == (3, 2, 1, {})
    assert "  1 outside_session: no bar" in cli("bars", path, *options).err
    plain = pl.read_parquet(tmp_path / "b.parquet")
    assert cli("bars", path, *options, "--rejects", "out.csv").code == 0
    out = pl.read_csv(tmp_path / "out.csv")
    assert out.select("time", "rule").rows() == [("2025-03-07T22:30:00.000000000Z", "outside_session")]
    assert pl.read_parquet(tmp_path / "b.parquet").equals(plain)
    daily = plain.filter(pl.col("timeframe") == "1d")
    assert [str(day) for day in daily["trade_date"]] == ["2025-03-07", "2025-03-10"]


@pytest.mark.parametrize("extension", [".csv", ".parquet", ".ndjson"])
def test_rejects_say_rule_and_reason(cli: Cli, tmp_path: Path, extension: str) -> None:
    path = write_ticks(
        tmp_path / "t.csv",
        [
            ("A", "2025-03-07T15:00:00Z", 100.0, 1, 0),
            ("A", "2025-03-07T15:00:01Z", -1.0, 1, 0),
            ("A", "2025-03-07T15:00:02Z", float("nan"), 1, 0),
            ("A", "2025-03-07T15:00:03Z", 100.0, 0, 0),
            ("A", "2025-03-07T15:30:00Z", 900.0, 1, 0),
            ("A", "2025-03-07T15:30:01Z", 100.3, 1, 0),
            ("A", "2025-03-07T15:30:02Z", 100.25, 1, 0),
            ("A", "0001-01-01T00:00:00Z", 100.0, 1, 0),
            ("A", "2025-03-07T15:00:03Z", 100.0, 1, 0),
        ],
    )
    ran = cli("bars", path, "-t", "1m", "--instrument", "A:0.25", "--rejects", f"r{extension}", "-o", "b.parquet", "--json")
    expected = {"finite": 1, "jump": 1, "known_time": 1, "late": 1, "on_grid": 1, "positive": 1, "size": 1}
    assert ran.json["rejected"] == expected
    assert (ran.json["read"], ran.json["in_bars"]) == (9, 2)
    file = tmp_path / f"r{extension}"
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".ndjson": pl.read_ndjson}[extension](file)
    assert read.columns == ["symbol", "time", "price", "size", "side", "seq", "received", "rule", "reason"]
    assert dict(read["rule"].value_counts().iter_rows()) == expected
    assert read["reason"].str.len_chars().min() > 10  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    text = cli("bars", path, "-t", "1m", "--instrument", "A:0.25", "-o", "b.parquet").err
    assert "  7 rejected: finite 1, jump 1, known_time 1, late 1, on_grid 1, positive 1, size 1" in text


def test_rules_can_be_named(cli: Cli, tmp_path: Path) -> None:
    rows = [("A", f"2025-03-07T15:00:0{n}Z", price, 1, 0) for n, price in enumerate((100.0, 104.0, 100.0, -1.0))]
    path = write_ticks(tmp_path / "t.csv", rows)

    def rejected(rules: str) -> dict[str, int]:
        return cli("bars", path, "-t", "1m", "--rules", rules, "-o", "b.csv", "--json").json["rejected"]

    assert rejected("none") == {}
    assert rejected("default") == {"positive": 1}
    assert rejected("jump=0.01") == {"jump": 2}
    assert rejected("default,jump=0.01") == rejected("jump=0.01,default") == {"jump": 1, "positive": 1}
    assert rejected("finite,size") == {}


def test_windows_without_ticks_are_filled_when_asked(cli: Cli, tmp_path: Path, ticks: Path) -> None:
    ran = cli("bars", ticks, "-t", "1s", "--fill", "previous", "-o", "b.parquet", "--json")
    assert ran.json["read"] == ran.json["in_bars"] == 6
    assert ran.json["late"] == 1
    bars = pl.read_parquet(tmp_path / "b.parquet").filter(pl.col("symbol") == "A")
    assert bars.select("count", "close").rows() == [(3, 102.0), (0, 102.0), (0, 102.0), (2, 100.0)]


def test_several_files_are_merged_in_time_or_read_in_the_order_given(cli: Cli, tmp_path: Path) -> None:
    early = write_ticks(
        tmp_path / "1.csv", [("A", "2025-03-07T15:00:00Z", 1.0, 1, 0), ("A", "2025-03-07T15:20:00Z", 1.0, 1, 0)]
    )
    other = write_ticks(tmp_path / "2.csv", [("A", "2025-03-07T15:00:01Z", 1.05, 1, 0)])
    merged = cli("bars", early, other, "-t", "1m", "-o", "b.csv", "--json").json
    given = cli("bars", early, other, "-t", "1m", "--order", "given", "-o", "b.csv", "--json").json
    assert (merged["in_bars"], merged["rejected"]) == (3, {})
    assert (given["in_bars"], given["rejected"]) == (2, {"late": 1})


def test_the_horizon_and_lateness_are_taken(cli: Cli, ticks: Path) -> None:
    def counts(*options: str) -> tuple[int, int]:
        made = cli("bars", ticks, "-t", "1s", "-o", "b.csv", "--json", *options).json
        return made["late"], made["in_bars"]

    assert counts("--horizon", "1s") == (0, 5)
    assert counts("--horizon", "5s") == (1, 6)
    assert counts("--lateness", "5s") == (0, 6)


def test_an_existing_output_is_replaced_only_on_success(cli: Cli, tmp_path: Path, ticks: Path) -> None:
    output = tmp_path / "bars.csv"
    output.write_text("kept")
    bad = tmp_path / "bad.csv"
    bad.write_text(ticks.read_text() + "A,never,1,1,1\n")
    assert cli("bars", bad, "-t", "1m", "-o", output, "--rejects", "r.csv").code == 1
    assert output.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "bars.csv", "ticks.csv"]
    assert cli("bars", ticks, "-t", "1m", "-o", output).code == 0
    assert output.read_text().startswith("symbol,timeframe,start")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "bars.csv", "ticks.csv"]
    assert output.stat().st_mode & 0o777 == 0o666 & ~os.umask(os.umask(0o022))


def test_a_link_to_an_output_stays_a_link(cli: Cli, tmp_path: Path, ticks: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "real" / "bars.csv")
    assert cli("bars", ticks, "-t", "1m", "-o", "link.csv").code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real" / "bars.csv").is_file()


def test_all_ticks_rejected_leaves_a_table_without_rows(cli: Cli, tmp_path: Path) -> None:
    path = write_ticks(tmp_path / "t.csv", [("A", "2025-03-07T15:00:00Z", -1.0, 1, 0)])
    assert cli("bars", path, "-t", "1m", "-o", "b.parquet").code == 0
    assert pl.read_parquet(tmp_path / "b.parquet").schema == BAR_SCHEMA
    assert cli("bars", path, "-t", "1m", "-o", "b.csv").code == 0
    assert (tmp_path / "b.csv").read_text().strip() == ",".join(BAR_SCHEMA)
    assert cli("bars", path, "-t", "1m").out == "no bars\n"
    assert cli("bars", path, "-t", "1m", "--json").out == ""


def test_a_folder_is_read_with_its_subfolders(cli: Cli, tmp_path: Path, ticks: Path) -> None:
    (tmp_path / "all" / "symbol=C").mkdir(parents=True)
    write_ticks(tmp_path / "all" / "1.csv", [("A", "2025-03-07T15:00:00Z", 1.0, 1, 0)])
    (tmp_path / "all" / "symbol=C" / "2.csv").write_text("time,price,size\n2025-03-07T15:00:01Z,2,1\n")
    assert cli("bars", "all", "-t", "1m", "-o", "b.csv", "--json").json["in_bars"] == 2
