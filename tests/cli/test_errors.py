"""Each thing that can be wrong is one clear line, with an exit code, and nothing is written."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from rxfeed.cli import _job as job
from tests.cli.conftest import Cli

OK = {"symbol": ["A"], "time": ["2025-03-07T15:00:00Z"], "price": [1.0], "size": [1]}


def refused(cli: Cli, code: int, *args: object) -> str:
    """Run what must fail; return its one line."""
    before = sorted(path.name for path in Path.cwd().iterdir())
    ran = cli(*args)
    assert (ran.code, ran.out) == (code, ""), ran
    assert ran.err.startswith("rxfeed: ")
    assert ran.err.count("\n") == 1
    assert ran.err.endswith("\n")
    assert sorted(path.name for path in Path.cwd().iterdir()) == before
    return ran.err.removeprefix("rxfeed: ").strip()


@pytest.fixture
def good(cli: Cli) -> Path:
    pl.DataFrame(OK).write_parquet("good.parquet")
    return Path("good.parquet")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-t", "7x"], "timeframe must look like"),
        (["-t", "1m", "-t", "1m"], "'1m' twice"),
        (["-t", "1m", "--session", "CMEE"], "session must be one of CME, NYSE"),
        (["-t", "1m", "--session", "24x7:Europe/Londn"], "Europe/London"),
        (["-t", "1m", "--anchor", "sun"], "--anchor must be one of session, wall, utc, got 'sun'"),
        (["-t", "1m", "--time-unit", "min"], "--time-unit must be one of ns, us, ms, s, got 'min'"),
        (["-t", "1m", "--map", "tme=x"], "--map has no use for 'tme'; allowed are symbol, time"),
        (["-t", "1m", "--map", "time"], "--map must look like time=timestamp,size=amount, got 'time'"),
        (["-t", "1m", "--map", "time=a,time=b"], "--map gives time twice"),
        (["-t", "1m", "--lot", "0"], "lot must be a number above 0"),
        (["-t", "1m", "--lateness", "2 s"], "lateness must look like"),
        (["-t", "1m", "--horizon", "long"], "horizon must look like"),
        (["-t", "1m", "--rules", "finte"], "--rules must be none, default or a list of known_time, finite"),
        (["-t", "1m", "--rules", "stale"], "stale=1m"),
        (["-t", "1m", "--rules", "jump=2"], "rule jump takes a fraction"),
        (["-t", "1m", "--rules", "size=3"], "rule size takes no value"),
        (["-t", "1m", "--order", "random"], "--order must be time or given, got 'random'"),
        (["-t", "1m", "--fill", "next"], "--fill must be previous or none, got 'next'"),
        (["-t", "1m", "--instrument", "MNQ"], "--instrument must look like MNQ:0.25"),
        (["-t", "1m", "--instrument", "MNQ:0"], "tick_size of MNQ must be finite and more than 0"),
        (["-t", "1m", "--instrument", "A:1", "--instrument", "A:2"], "--instrument gives A twice"),
        (["-t", "1m", "-o", "bars.xlsx"], "-o must end in one of .parquet .csv"),
        (["-t", "1m", "--rejects", "r.txt"], "--rejects must end in one of"),
        (["-t", "1m", "-o", "good.parquet"], "-o good.parquet is an input"),
        (["-t", "1m", "-o", "b.csv", "--rejects", "b.csv"], "-o and --rejects must be two files, got b.csv"),
        (["-t", "1m", "-o", "."], "-o must end in"),
        (["-t", "1m", "--nonsense"], "--nonsense"),
        ([], "Missing option '-t'"),
    ],
)
def test_bad_usage_is_exit_code_2(cli: Cli, good: Path, options: list[str], says: str) -> None:
    assert says in refused(cli, 2, "bars", good, *options)


def test_other_bad_usage(cli: Cli) -> None:
    assert "Missing argument 'INPUT...'" in refused(cli, 2, "bars", "-t", "1m")
    assert "No such command 'bar'" in refused(cli, 2, "bar")
    Path("in").mkdir()
    assert "would be read as ticks the next time" in refused(cli, 2, "bars", "in", "-t", "1m", "-o", "in/bars.csv")
    (Path("in") / "f.csv").mkdir()
    assert "is a folder" in refused(cli, 2, "bars", "x.csv", "-t", "1m", "-o", "in/f.csv")


@pytest.mark.parametrize(
    ("name", "columns", "options", "says"),
    [
        ("t.parquet", OK, ["--map", "time=when"], "no column 'when' for time; given are symbol, time, price, size"),
        (
            "t.parquet",
            {k: v for k, v in OK.items() if k != "price"},
            [],
            "no column 'price'; say which with --map price=COLUMN;",
        ),
        ("t.parquet", {k: v for k, v in OK.items() if k != "symbol"}, [], "map one, or give --symbol for all rows"),
        ("t.parquet", OK, ["--symbol", "B"], "--symbol B is given, but there is a column 'symbol' too"),
        ("t.parquet", OK | {"time": [1.5]}, [], "column 'time' holds numbers (Float64); give --time-unit ns, us, ms, s"),
        ("t.parquet", OK | {"time": [True]}, [], "column 'time' must hold times, got Boolean"),
        ("t.parquet", OK | {"price": [True]}, [], "column 'price' must hold numbers, got Boolean"),
        ("t.parquet", OK | {"price": ["cheap"]}, [], "column 'price' holds 'cheap', which is no number"),
        ("t.parquet", OK | {"size": [0.5]}, [], "which is no whole number; say what one lot is with --lot"),
        ("t.parquet", OK | {"size": [0.5]}, ["--lot", "0.2"], "no multiple of lot 0.2"),
        ("t.parquet", OK | {"side": ["up"]}, [], "column 'side' holds 'up', allowed are 0, 1 (buy)"),
        ("t.parquet", OK | {"time": pl.Series([None], dtype=pl.Int64)}, ["--time-unit", "s"], "column 'time' is null"),
        ("t.parquet", OK | {"time": [2**62]}, ["--time-unit", "s"], "which in s does not fit int64 nanoseconds"),
        ("t.csv", OK | {"size": ["99999999999999999999"]}, [], "row 1: column 'size' holds '99999999999999999999', which"),
        (
            "t.parquet",
            {k: v * 2000 for k, v in OK.items()} | {"size": [2**62] * 2000},
            ["--rules", "none"],
            "at most 9.22e18 fit",
        ),
        ("t.parquet", {k: v[:0] for k, v in OK.items()}, [], "t.parquet holds no rows"),
        ("t.csv", {k: v[:0] for k, v in OK.items()}, [], "t.csv holds no rows"),
        ("t.csv", {}, [], "t.csv is empty"),
        ("t.xlsx", {}, [], "t.xlsx has an extension that cannot be read"),
    ],
)
def test_data_that_cannot_be_read_is_exit_code_1(
    cli: Cli, name: str, columns: dict[str, list[object]], options: list[str], says: str
) -> None:
    if not columns:
        Path(name).touch()
    elif name.endswith(".csv"):
        pl.DataFrame(columns).write_csv(name)
    else:
        pl.DataFrame(columns, strict=False).write_parquet(name)
    line = refused(cli, 1, "bars", name, "-t", "1m", "-o", "b.parquet", *options)
    assert says in line
    assert name in line or "volume of a bar" in line


def test_missing_files_and_folders(cli: Cli, good: Path) -> None:
    assert refused(cli, 1, "bars", "no.parquet", "-t", "1m", "-o", "b.csv") == "no.parquet does not exist"
    Path("void").mkdir()
    assert refused(cli, 1, "bars", "void", "-t", "1m", "-o", "b.csv").startswith(
        "void holds no data files; allowed are .parquet"
    )
    assert "there is no folder nowhere" in refused(cli, 1, "bars", good, "-t", "1m", "-o", "nowhere/b.csv")
    assert "there is no folder nowhere" in refused(cli, 1, "synth", "-o", "nowhere/t.csv")


@pytest.mark.parametrize("extension", [".parquet", ".arrow"])
def test_a_truncated_file(cli: Cli, extension: str) -> None:
    whole = pl.DataFrame({name: value * 1000 for name, value in OK.items()})
    (whole.write_parquet if extension == ".parquet" else whole.write_ipc)(f"t{extension}")
    data = Path(f"t{extension}").read_bytes()
    Path(f"t{extension}").write_bytes(data[: len(data) // 2])
    assert f"t{extension} cannot be read: " in refused(cli, 1, "bars", f"t{extension}", "-t", "1m", "-o", "b.csv")


def test_a_parquet_with_a_broken_page(cli: Cli) -> None:
    columns = {name: value * 1000 for name, value in OK.items()} | {"price": [n / 7 for n in range(1000)]}
    pl.DataFrame(columns).write_parquet("t.parquet")
    data = bytearray(Path("t.parquet").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\xff" * 400
    Path("t.parquet").write_bytes(data)
    assert "t.parquet" in refused(cli, 1, "bars", "t.parquet", "-t", "1m", "-o", "b.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(cli: Cli, good: Path) -> None:
    Path("locked").mkdir(mode=0o500)
    assert "Permission denied" in refused(cli, 1, "bars", good, "-t", "1m", "-o", "locked/b.csv")


def test_a_fault_of_our_own_is_said_to_be_one(cli: Cli, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(job.Counts, "check", broken)
    args = ("bars", good, "-t", "1m", "-o", "b.csv")
    assert refused(cli, 1, *args) == "a fault in rxfeed: KeyError: 'x' (--debug shows where)"
    shown = cli(*args, "--debug")
    assert shown.code == 1
    assert "Traceback" in shown.err
    assert not Path("b.csv").exists()


def test_ticks_that_are_not_accounted_for_are_a_fault() -> None:
    job.Counts(3, 1, 1, {"late": 1}).check()
    with pytest.raises(RuntimeError, match=r"3 ticks were read, but 1 in bars \+ 1 outside the session \+ 0 rejected are 2"):
        job.Counts(3, 1, 1).check()


def test_interrupted_is_130_and_leaves_nothing(cli: Cli, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job.Counts, "check", interrupted)
    assert refused(cli, 130, "bars", good, "-t", "1m", "-o", "b.csv") == "interrupted, nothing was written"
