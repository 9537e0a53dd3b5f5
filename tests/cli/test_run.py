"""`rxfeed run` as people call it: its options, and as a process over a real WebSocket that is stopped, piped and read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import polars as pl
import pytest

from rxfeed.feeds import retrying, tokens
from rxfeed.frame import BAR_SCHEMA
from tests.cli.conftest import Cli
from tests.cli.test_errors import refused

RUN = [sys.executable, "-m", "rxfeed", "run"]
VARIABLES = (
    "RXFEED_USER", "RXFEED_KEY", "RXFEED_CREDENTIALS", "RXFEED_GATEWAY", "PROJECT_X_USERNAME", "PROJECT_X_API_KEY",
)  # fmt: skip
KEY = "a-key-that-nobody-may-see-0123456789"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def started(*args: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*RUN, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def ran(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *args], capture_output=True, text=True, check=False, **options)


def line_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


# Options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-t", "7x"], "timeframe must look like"),
        (["-t", "1m", "-t", "1m"], "'1m' twice"),
        (["--session", "CMEE"], "session must be one of CME, NYSE"),
        (["--anchor", "sun"], "--anchor must be one of session, wall, utc, got 'sun'"),
        (["--rules", "finte"], "--rules must be none, default or a list"),
        (["--lateness", "soon"], "--lateness must look like"),
        (["--grace", "soon"], "--grace must look like"),
        (["--horizon", "long"], "--horizon must look like"),
        (["--for", "a while"], "--for must look like"),
        (["--fill", "next"], "--fill must be previous or none"),
        (["--format", "xlsx"], "--format must be parquet, csv or ndjson"),
        (["-o", "bars.parquet"], "-o takes a folder, got 'bars.parquet'"),
        (["-o", "file"], "-o takes a folder, and file is a file"),
        (["--rejects", "r.txt"], "--rejects must end in one of"),
        (["--rate", "fast"], "--rate must be a number of trades a second or \"max\", got 'fast'"),
        (["--rate", "-1"], "rate must be 0 to"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--fault", "flood"], "a fault must be one of"),
        ([""], "a symbol must not be empty"),
        (["FOO", "--for", "1s"], "no contract is called 'FOO'"),
        (["--token", "x"], "--token"),
        (["--key", "x"], "--key"),
    ],
)
def test_bad_usage_is_exit_code_2(cli: Cli, options: list[str], says: str) -> None:
    Path("file").write_text("")
    assert says in refused(cli, 2, "run", *options)


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"RXFEED_USER": "me"}, "RXFEED_USER is set, but RXFEED_KEY is not"),
        ({"RXFEED_KEY": KEY}, "RXFEED_KEY is set, but RXFEED_USER is not"),
        ({"PROJECT_X_API_KEY": KEY}, "PROJECT_X_API_KEY is set, but PROJECT_X_USERNAME is not"),
        ({"RXFEED_CREDENTIALS": "nowhere.toml"}, "nowhere.toml"),
        ({"RXFEED_USER": "me", "RXFEED_KEY": ""}, "RXFEED_KEY is set, but empty"),
        ({"RXFEED_GATEWAY": "topstepx"}, "RXFEED_GATEWAY names topstepx (api.topstepx.com), but no credentials are set"),
        ({"RXFEED_GATEWAY": "nonsense"}, "RXFEED_GATEWAY: a gateway must be topstepx, demo or an address"),
        ({"RXFEED_GATEWAY": "http://example.com"}, "http and ws go to this machine only"),
    ],
)
def test_half_of_the_credentials_start_no_simulator(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], says: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    line = refused(cli, 2, "run")
    assert says in line
    assert KEY not in line


def test_options_of_the_simulator_inside_are_refused_where_none_runs(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXFEED_USER", "me")
    monkeypatch.setenv("RXFEED_KEY", KEY)
    for option in (["--rate", "5"], ["--seed", "1"], ["--fault", "drop"]):
        assert "are of the simulator inside, but the gateway is topstepx (api.topstepx.com)" in refused(cli, 2, "run", *option)


@pytest.mark.parametrize("command", ["run", "doctor"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = (
        f"import sys, json; from rxfeed.cli import main; main(['{command}', '--help'])\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(ran.stderr)) & {"aiohttp", "numpy", "polars", "reactivex", "rich", "loguru"} == set()


# In this process, over a real WebSocket


def test_json_has_a_bar_a_line_each_of_which_says_that_it_is_simulated(cli: Cli) -> None:
    ran = cli("run", "MNQ", "-t", "100ms", "-t", "1s", "--for", "1s", "--json", "-o", "bars", "--rate", "500")
    assert ran.code == 0
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert all(list(row) == [*BAR_SCHEMA.names(), "simulated"] and row["simulated"] is True for row in rows)
    *said, last = ran.err.splitlines()
    assert said[0].startswith("SIMULATED: no credentials are set, so a simulator runs inside, at 127.0.0.1:")
    totals = json.loads(last)
    assert totals["simulated"] is True
    assert totals["received"] == totals["in_bars"] == totals["truth"]["sent"] > 100
    for timeframe in ("100ms", "1s"):
        mine = [row for row in rows if row["timeframe"] == timeframe]
        assert sum(row["count"] for row in mine) == totals["received"]
        written = pl.read_parquet(f"bars/simulated/{timeframe}_*.parquet")
        assert written.height == len(mine) == totals["bars"][timeframe]


def test_a_drop_is_told_and_survived(cli: Cli) -> None:
    ran = cli("run", "MNQ", "-t", "1s", "--fault", "drop@1500ms", "--for", "4s")
    assert ran.code == 0
    assert "market lost (dropped): the connection to http://127.0.0.1:" in ran.err
    assert "1 loss, 1 reconnect" in ran.err
    assert "the simulator sent" in ran.err


def test_a_host_that_is_not_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXFEED_GATEWAY", "http://127.0.0.1:1")
    monkeypatch.setenv("RXFEED_USER", "me")
    monkeypatch.setenv("RXFEED_KEY", KEY)
    monkeypatch.setattr(tokens, "patient", partial(retrying.patient, attempts=1))
    line = refused(cli, 1, "run")
    assert line == "no connection to http://127.0.0.1:1: Connection refused"


# As a process of its own


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(tmp_path: Path, how: signal.Signals, code: int) -> None:
    with started("MNQ", "-t", "100ms", "-t", "1h", "-o", "out", cwd=tmp_path) as process:
        assert line_of(process.stdout).startswith("symbol")
        line_of(process.stdout)
        process.send_signal(how)
        out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert any("1h" in line and line.endswith("PARTIAL GAP") for line in out.splitlines())
    assert "the same trades, lots and prices" in err
    assert "Traceback" not in err
    assert pl.read_parquet(tmp_path / "out" / "simulated" / "1h_*.parquet").height == 1
    assert [path.name for path in (tmp_path / "out").rglob(".*")] == []


def test_a_reader_that_goes_away_is_no_error() -> None:
    with started("MNQ", "-t", "100ms", "--json") as process:
        assert json.loads(line_of(process.stdout))["symbol"].startswith("MNQ")
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=30) == 141
        assert process.stderr is not None
        assert len(process.stderr.read().splitlines()) == 3


def test_a_second_ctrl_c_ends_it_though_nobody_reads() -> None:
    read, write = os.pipe()
    try:
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, b"x" * 65_536)
        except BlockingIOError:
            os.set_blocking(write, True)
        command = [*RUN, "MNQ", "-t", "100ms", "--json"]
        with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE, text=True) as process:
            try:
                while "market connected" not in line_of(process.stderr):
                    assert process.poll() is None
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(timeout=1.0)  # by then there are bars
                process.send_signal(signal.SIGINT)
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(timeout=1.0)  # it waits for them to be read
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=10) == 130
            finally:
                process.kill()
    finally:
        os.close(read)
        os.close(write)


def test_no_key_and_no_token_is_anywhere(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    gateway = subprocess.Popen(
        [sys.executable, "-m", "rxfeed", "simulate", "--port", "0", "--json", "--for", "60s"],
        stdout=subprocess.PIPE, text=True, env=environ | {"RXFEED_SIMULATOR_KEY": KEY},
    )  # fmt: skip
    try:
        address = json.loads(line_of(gateway.stdout))["address"]
        mine = environ | {"RXFEED_GATEWAY": address, "RXFEED_USER": "simulator", "RXFEED_KEY": KEY}
        good = ran("-t", "100ms", "--for", "1s", "-o", "out", cwd=tmp_path, env=mine)
        bad = ran("--debug", env=mine | {"RXFEED_KEY": f"{KEY}x"})
    finally:
        gateway.terminate()
        gateway.communicate()
    assert good.returncode == 0, good.stderr
    assert good.stderr.startswith(f"SIMULATED by {address.removeprefix('http://')}: none of this is real")
    assert bad.returncode == 1
    assert "the user or the key is wrong" in bad.stderr
    for text in (good.stdout, good.stderr, bad.stdout, bad.stderr):
        assert KEY not in text
        assert "eyJ" not in text
        assert "access_token" not in text


# Health


def test_health_is_served_where_it_says_until_it_ends() -> None:
    from urllib.request import urlopen

    with started("--for", "60s", "--rate", "50", "--health-port", "0", "-t", "1s") as process:
        said = ""
        while not said.startswith("health at "):
            said = line_of(process.stderr)
            assert said, "it has ended"
        address = said.split()[2].rstrip(",")
        assert address.startswith("http://127.0.0.1:")
        assert address.endswith("/health")
        for _ in range(20):
            assert line_of(process.stdout)  # a bar: it streams
        with urlopen(address) as answer:
            told = json.load(answer)
        assert (told["state"], told["reasons"]) == ("live", [])
        assert told["totals"]["trades"] > 0
        with urlopen(address.replace("/health", "/metrics")) as answer:
            assert 'rxfeed_state{state="live"} 1.0' in answer.read().decode()
        port = address.split(":")[2].split("/")[0]
        second = ran("--for", "1s", "--health-port", port)
        assert second.returncode == 1
        assert f"port {port} of 127.0.0.1 cannot be had" in second.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert "Traceback" not in (process.stderr.read() if process.stderr else "")


def test_a_health_port_that_is_none_is_bad_usage() -> None:
    done = ran("--health-port", "65536")
    assert done.returncode == 2
    assert "--health-port" in done.stderr
    assert "65535" in done.stderr
