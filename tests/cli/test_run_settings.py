"""Settings in `rxfeed run`: options before the environment before the file, each part that can go, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rxfeed.cli.run import _settings
from rxfeed.settings import Features, Settings
from tests.cli.conftest import Cli
from tests.cli.streams import ended, job, streamed
from tests.cli.test_errors import refused

SECRET = "hunter2-nobody-may-see"
QUICK = ("--json", "--for", "300ms", "-t", "100ms")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def settings(*, simulated: bool = True, **given: Any) -> Settings:
    return _settings(given, simulated=simulated)


def test_options_count_before_the_environment_before_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("feed.toml").write_text('symbols = ["ES"]\ntimeframes = ["100ms"]\nfill = true\n[features]\nmeters = false\n')
    run = "run", "--settings", "feed.toml", "--for", "300ms", "--json"
    says = cli(*run).err
    assert "ESZ" in says or "ESH" in says or "ESM" in says or "ESU" in says
    assert ", bars of 100ms, " in says
    monkeypatch.setenv("RXFEED_TIMEFRAMES", "200ms")
    assert ", bars of 200ms, " in cli(*run).err
    says = cli(*run, "NQ", "-t", "50ms").err
    assert ", bars of 50ms, " in says
    assert says.splitlines()[1].startswith("NQ")


def test_without_symbols_those_of_the_settings_count_and_then_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().symbols == ("MNQ", "MES")
    assert settings(symbols=("ES",)).symbols == ("ES",)
    Path("none.toml").write_text("symbols = []")
    assert settings(file="none.toml").symbols == ("MNQ", "MES")
    monkeypatch.setenv("RXFEED_SYMBOLS", "NQ,GC")
    assert settings().symbols == ("NQ", "GC")
    assert settings(symbols=("ES",)).symbols == ("ES",)


def test_what_is_simulated_never_closes_unless_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().session == "24x7"
    assert settings(simulated=False).session == "CME"
    assert settings(session="NYSE").session == "NYSE"
    Path("lse.toml").write_text('session = "LSE"')
    assert settings(file="lse.toml").session == "LSE"
    monkeypatch.setenv("RXFEED_SESSION", "CME")  # which is the default of the settings, but said
    assert settings().session == "CME"
    assert settings(file="lse.toml").session == "CME"


@pytest.mark.parametrize("feature", Features.model_fields)
def test_each_part_can_go_and_the_totals_are_the_same(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def totals() -> dict[str, Any]:
        end, _ = ended(streamed(job("MNQ", lasts=5.0, rate=200.0)))
        assert end.error is None
        assert not end.totals.differs
        told = end.totals.as_json()
        return {name: told[name] for name in ("received", "in_bars", "open", "rejected", "dropped", "bars", "truth")}

    monkeypatch.setenv("RXFEED_FEATURES__LIMITS", "false")  # how much memory there is differs from run to run
    whole = totals()
    monkeypatch.setenv(f"RXFEED_FEATURES__{feature.upper()}", "true" if feature == "limits" else "false")
    assert totals() == whole
    assert whole["received"] > 500


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("RXFEED_FEATURES__BREAKR", "did you mean RXFEED_FEATURES__BREAKER?"),
        ("RXFEED_SYMBOL", "did you mean RXFEED_SYMBOLS?"),
        ("RXFEED_KEEY", "did you mean RXFEED_KEY?"),
        ("RXFEED_PASSPHRASE", "there is no such setting, only RXFEED_ANCHOR, RXFEED_BACKFILL, "),
    ],
)
def test_a_variable_that_is_unknown_is_refused_and_its_value_not_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    line = refused(cli, 2, "run")
    assert f"{name} is set" in line
    assert says in line
    ran = cli("run", "--debug")
    assert SECRET not in line + ran.out + ran.err


@pytest.mark.parametrize(
    ("environ", "options", "says"),
    [
        ({"RXFEED_CAPACITIES__SOURCE": "0"}, [], "capacities.source must be from 16 to 10,000,000, got '0'"),
        ({"RXFEED_RETRY__FIRST": "1m"}, [], "retry: first must be more than 0 and at most longest, '30s', got '1m'"),
        ({"RXFEED_FEATURES": "off"}, [], "RXFEED_FEATURES must be a JSON object; or set its members, such as RXFEED_FEAT"),
        ({"RXFEED_FEATURES__REPAIR": "false"}, ["--backfill", "1h"], "backfill needs features.repair, which is false"),
        ({"RXFEED_FEATURES__HEALTH": "false"}, ["--health-port", "0"], "health_port needs features.health, which is false"),
        ({"RXFEED_BACKFILL": "1h"}, ["-t", "100ms"], "one timeframe must be whole seconds, got 100ms"),
        ({"RXFEED_IDLE__BETWEEN": "0s"}, [], "between must be more than 0"),
        ({}, ["--settings", "none.toml"], "settings cannot be read from none.toml: No such file or directory"),
        ({}, ["--settings", "bad.toml"], "settings cannot be read from bad.toml: it is no TOML: "),
        ({}, ["--settings", "three.toml"], "breaker must be a table of window, failure_rate, "),
        (
            {"RXFEED_RETRY__ATTEMPTS": "-1", "RXFEED_CAPACITIES__SOURCE": "1"}, [],
            "got '1'; retry.attempts must be from 0 to 1,000,000, got '-1'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_bad_usage_with_what_is_allowed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], options: list[str], says: str
) -> None:
    Path("bad.toml").write_text("a =")
    Path("three.toml").write_text("breaker = 3")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert says in refused(cli, 2, "run", *options)


def test_the_other_commands_have_no_settings(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXFEED_TIMEFRAMES", "7x")
    monkeypatch.setenv("RXFEED_NO_SUCH_THING", SECRET)
    Path("t.csv").write_text("time,symbol,price,size\n1741356000000000000,A,1.0,1\n")
    for command in (
        ("bars", "t.csv", "-t", "1m", "--time-unit", "ns"), ("sessions", "CME", "--on", "2025-03-10"), ("doctor",),
        ("simulate", "--port", "0", "--for", "100ms"),
        ("synth", "-n", "10", "-o", "ticks.parquet"),
    ):  # fmt: skip
        ran = cli(*command)
        assert ran.code == 0, (command, ran.err)
        assert SECRET not in ran.out + ran.err


def test_totals_as_json_name_no_consumers_where_there_are_none(cli: Cli) -> None:
    assert json.loads(cli("run", "MNQ", *QUICK).err.splitlines()[-1])["consumers"] == []
