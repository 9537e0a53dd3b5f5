from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rxfeed.feeds.simulator import FAULTS
from tests.cli.conftest import Cli


def test_it_says_what_there_is_and_what_was(cli: Cli) -> None:
    ran = cli("simulate", "--port", 0, "--for", "50ms", "--contracts", "MNQ,ES", "--fault", "drop@10ms", "--fault", "close/1m")
    assert (ran.code, ran.err) == (0, "")
    first, *middle, last = ran.out.splitlines()
    assert first.startswith("A simulated gateway is at http://127.0.0.1:")
    text = "\n".join(middle)
    for part in (
        "user simulator, key simulator",
        "CON.F.US.MNQ.",
        "CON.F.US.EP.",
        "drop@10ms, close/1m",
        "RXFEED_GATEWAY=http",
    ):
        assert part in text
    assert len(middle) < 12
    assert last.endswith("trades were simulated, 0 messages sent to 0 connections, 1 × drop")


def test_as_json(cli: Cli) -> None:
    ran = cli("simulate", "--port", 0, "--for", "10ms", "--json", "--rate", "max")
    said, truth = map(json.loads, ran.out.splitlines())
    assert (ran.code, said["simulated"], truth["simulated"], said["rate"]) == (0, True, True, "max")
    assert len(said["contracts"]) == len(truth["traded"]) == 4


def test_the_help_has_all_faults(cli: Cli) -> None:
    ran = cli("simulate", "--help")
    assert ran.code == 0
    for name, kind in FAULTS.items():
        assert f"\n  {name}" in ran.out
        assert kind.text in ran.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fault", "dorp"], "a fault must be one of drop, close, "),
        (["--rate", "fast"], "--rate must be a number of trades a second"),
        (["--rate", "-1"], "rate must be 0 to 1,000,000"),
        (["--token-life", "soon"], "token_life must look like"),
        (["--token-life", "1ms"], "token_life must be at least 1 s"),
        (["--fault", "drop:rest"], "place of fault drop must be one of market, user, got 'rest'"),
        (["--sessions", "two"], "sessions must be many, newest[-drop|-close|-logout][=TIME] or one["),
        (["--sessions", "one-drop=soon"], "time of sessions must look like"),
        (["--resolution", "150ns"], "resolution must be 100 ns or a multiple of it, got 150 ns"),
        (["--resolution", "fine"], "resolution must look like"),
        (["--lag", "2m"], "lag must be at most 60 s, got 120 s"),
        (["--expiry", "stay"], "expiry must be one of keep, drop, close, logout, got 'stay'"),
        (["--for", "soon"], "--for must look like"),
        (["--contracts", "A,,B"], "--contracts must be a list"),
        (["--contracts", "mnq"], "a contract must be like"),
        (["--port", "70000"], "--port must be 0 to 65535, got 70000"),
        (["--seed", "-1"], "seed must be 0 or more"),
    ],
)
def test_bad_usage(cli: Cli, options: list[str], says: str) -> None:
    ran = cli("simulate", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err


def test_a_tape_that_is_not_there(cli: Cli) -> None:
    ran = cli("simulate", "--tape", "none.parquet")
    assert ran.code == 1
    assert "none.parquet does not exist" in ran.err


def test_a_tape_is_played(cli: Cli) -> None:
    assert cli("synth", "-n", 100, "-o", "t.parquet").code == 0
    ran = cli("simulate", "--port", 0, "--for", "300ms", "--tape", "t.parquet", "--rate", 100_000, "--json")
    truth = json.loads(ran.out.splitlines()[1])
    assert sum(totals["elements"] for totals in truth["traded"].values()) == 100


def test_a_port_that_is_taken(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("simulate", "--port", port)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert f"port {port} cannot be had" in ran.err


def login(address: str, key: str) -> bool:
    body = json.dumps({"userName": "simulator", "apiKey": key}).encode()
    request = urllib.request.Request(f"{address}/api/Auth/loginKey", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())["success"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are different there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_and_the_key_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setenv("RXFEED_SIMULATOR_KEY", "another-key")
    with subprocess.Popen(
        [sys.executable, "-m", "rxfeed", "simulate", "--port", "0"], cwd=tmp_path, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        screen = ""
        while not screen.endswith("Ctrl-C ends it.\n"):
            line = running.stdout.readline()
            assert line
            screen += line
        address = screen.split(" is at ")[1].split(" ")[0]
        assert (login(address, "another-key"), login(address, "simulator")) == (True, False)
        running.send_signal(number)
        try:
            end, err = running.communicate(timeout=30)
        finally:
            running.kill()
    assert (running.returncode, err) == (code, "")
    assert "another-key" not in screen + end
    assert "key as in RXFEED_SIMULATOR_KEY" in screen
    assert "trades were simulated" in end
    assert list(tmp_path.iterdir()) == []
