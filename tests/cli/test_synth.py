from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from rxfeed.cli import _files as files
from tests.cli.conftest import Cli


@pytest.mark.parametrize("extension", [".parquet", ".csv", ".ndjson", ".arrow"])
def test_its_ticks_are_read_with_no_mapping(cli: Cli, extension: str) -> None:
    made = cli("synth", "-n", 3000, "--seed", 1, "-o", f"ticks{extension}")
    assert (made.code, made.out) == (0, "")
    assert made.err.startswith(f"3,000 ticks of MNQ, MES in ticks{extension} (")
    counts = cli("bars", f"ticks{extension}", "-t", "1m", "-o", "b.csv", "--json").json
    assert (counts["read"], counts["in_bars"]) == (3000, 3000)


def test_the_same_seed_gives_the_same_file(cli: Cli) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cli("synth", "-n", 500, "--seed", seed, "-o", f"{name}.parquet").code == 0
    a, b, c = (pl.read_parquet(f"{name}.parquet") for name in "abc")
    assert a.columns == ["symbol", "time", "price", "size", "side", "seq"]
    assert a.equals(b)
    assert not a.equals(c)


def test_symbols_start_rate_and_session(cli: Cli) -> None:
    ran = cli("synth", "-n", 2000, "--symbols", "ES,CL,XYZ", "--start", "2025-03-07T21:59Z", "--rate", 20, "--session", "CME",
              "-o", "t.parquet", "--json")  # fmt: skip
    assert ran.json | {"seconds": 0} == {"ticks": 2000, "symbols": ["ES", "CL", "XYZ"], "seconds": 0, "output": "t.parquet"}
    ticks = pl.read_parquet("t.parquet")
    assert ticks["symbol"].unique().sort().to_list() == ["CL", "ES", "XYZ"]
    hours = {f"{time:%a %H}" for time in ticks["time"].dt.cast_time_unit("us").to_list()}
    assert "Fri 21" in hours
    assert hours <= {"Fri 21", "Sun 22"}
    counts = cli("bars", "t.parquet", "-t", "1m", "--session", "CME", "-o", "b.csv", "--json").json
    assert (counts["in_bars"], counts["outside_session"]) == (2000, 0)


def test_a_file_of_many_parts_is_whole(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("synth", "-n", 200_000, "-o", "one.parquet").code == 0
    monkeypatch.setattr(files, "PART_ROWS", 70_000)
    assert cli("synth", "-n", 200_000, "-o", "many.parquet").code == 0
    assert cli("synth", "-n", 200_000, "-o", "many.arrow").code == 0
    one = pl.read_parquet("one.parquet")
    assert one.height == 200_000
    assert one.equals(pl.read_parquet("many.parquet"))
    assert one.equals(pl.read_ipc("many.arrow"))
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["many.arrow", "many.parquet", "one.parquet"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-n", "0"], "-n must be at least 1, got 0"),
        (["-n", "many"], "Invalid value for '-n'"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--rate", "0"], "rate must be more than 0"),
        (["--start", "2025-03-07T00:00"], "--start must be a time with its zone"),
        (["--start", "soon"], "--start must be a time with its zone, such as 2025-03-07T00:00Z, got 'soon'"),
        (["--symbols", "A,,B"], "--symbols must be a list"),
        (["--symbols", "A,A"], "symbols must differ"),
        (["--session", "XXX"], "session must be one of CME"),
        (["-o", "t.txt"], "-o must end in one of"),
    ],
)
def test_bad_usage(cli: Cli, options: list[str], says: str) -> None:
    ran = cli("synth", "-o", "t.parquet", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err
    assert list(Path.cwd().iterdir()) == []


def test_the_first_tick_is_at_the_start(cli: Cli) -> None:
    assert cli("synth", "-n", 10, "--start", "2025-03-07", "-o", "t.ndjson").code == 0
    first = json.loads(Path("t.ndjson").read_text().splitlines()[0])
    assert first["time"].startswith("2025-03-07T00:00:0")
