"""The command as a program of its own: how fast it answers, what it loads, how it ends when it is stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rxfeed
from tests.cli.conftest import Cli

RUN = [sys.executable, "-m", "rxfeed"]


def test_help_and_version(cli: Cli) -> None:
    assert cli("--version").out == f"rxfeed {rxfeed.__version__}\n"
    for args in ([], ["--help"], ["-h"]):
        ran = cli(*args)
        assert (ran.code, ran.err) == (0, "")
        assert all(f"  {command}  " in ran.out for command in ("bars", "synth", "sessions"))
    for command in ("bars", "synth", "sessions"):
        assert cli(command, "--help").code == 0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, json; from rxfeed.cli import main; main(['bars', '--help'])\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(ran.stderr)) & {"aiohttp", "numpy", "polars", "reactivex", "rich"} == set()


def test_a_reader_that_goes_away_is_no_error(cli: Cli, tmp_path: Path) -> None:
    assert cli("synth", "-n", 50_000, "--seed", 1, "-o", "ticks.parquet").code == 0
    with subprocess.Popen(
        [*RUN, "bars", "ticks.parquet", "-t", "100ms"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"symbol")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(("how", "code", "says"), [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, how: signal.Signals, code: int, says: bytes) -> None:
    # Without end, so that it is at work when the signal comes.
    command = [*RUN, "synth", "-n", "1000000000", "-o", "ticks.csv"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        try:
            while not any(path.stat().st_size > 1_000_000 for path in tmp_path.glob(".ticks.csv.*/made.csv")):
                assert process.poll() is None
            process.send_signal(how)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, err) == (code, b"rxfeed: " + says + b", nothing was written\n")
    assert list(tmp_path.iterdir()) == []
