"""Settings: which of their sources counts, and what is said of those that cannot be."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from rxfeed import Settings
from rxfeed.breaker import Breaker
from rxfeed.settings import Breaking, Features, SettingRefused
from rxfeed.windows import Windows


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RXFEED_USER", "RXFEED_KEY", "RXFEED_GATEWAY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_word_all_that_is_for_safety_is_on() -> None:
    settings = Settings()
    assert settings.features == Features()
    assert all(settings.features.model_dump().values())
    assert settings.windows == Windows("1m", session="CME")


def test_arguments_count_before_the_environment_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "feed.toml"
    file.write_text(
        'symbols = ["MNQ"]\ntimeframes = ["5s"]\nlateness = "1s"\n[capacities]\nsource = 5000\nconsumer = 4000\n', "utf-8"
    )
    monkeypatch.setenv("RXFEED_FILE", str(file))
    monkeypatch.setenv("RXFEED_TIMEFRAMES", "1s, 1m")
    monkeypatch.setenv("RXFEED_CAPACITIES__CONSUMER", "3000")
    monkeypatch.setenv("RXFEED_LATENESS", "2s")
    settings = Settings(lateness="3s")
    assert settings.symbols == ("MNQ",)
    assert settings.timeframes == ("1s", "1m")
    assert settings.lateness == "3s"
    assert (settings.capacities.source, settings.capacities.consumer) == (5_000, 3_000)


def test_each_safety_part_is_switched_off_by_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Features.model_fields:
        monkeypatch.setenv(f"RXFEED_FEATURES__{name.upper()}", "false")
        found = Settings().features.model_dump()
        assert [key for key, on in found.items() if not on] == [name]
        monkeypatch.delenv(f"RXFEED_FEATURES__{name.upper()}")


def test_the_environment_can_say_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXFEED_GRACE", "none")
    assert Settings().grace is None


def test_they_are_values() -> None:
    settings = Settings(symbols="MNQ,MES", timeframes="1s", breaker={"open_wait": 5})
    assert pickle.loads(pickle.dumps(settings)) == settings
    with pytest.raises(ValueError, match="frozen"):
        settings.grace = "2s"


def test_the_breaker_has_the_defaults_that_it_has_by_itself() -> None:
    assert repr(Breaker("x", **Breaking().model_dump())) == repr(Breaker("x"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"timeframes": "7q"}, "timeframe must look like"),
        ({"timeframes": ()}, "timeframe"),
        ({"symbols": "MNQ,"}, "symbols must be no empty text, got ''"),
        ({"session": "MARS"}, "session must be one of CME, NYSE"),
        ({"anchor": "moon"}, "anchor must be 'session', 'wall' or 'utc', got 'moon'"),
        ({"grace": "soon"}, 'grace: a duration must look like "250ms"'),
        ({"grace": -1}, "grace: a duration must be from 0 to 292 years, got -1"),
        ({"health_port": 70_000}, "health_port must be from 0 to 65,535, got 70000"),
        ({"health_port": 1, "features": {"health": False}}, "health_port needs features.health"),
        ({"capacities": {"source": 0}}, "capacities.source must be from 16 to 10,000,000, got 0"),
        ({"capacities": {"source": "many"}}, "capacities.source must be from 16 to 10,000,000, got 'many'"),
        ({"capacities": {"least": 9_000}}, "capacities.least must be at most .*, got 9000"),
        ({"breaker": {"failure_rate": 0}}, "breaker.failure_rate must be more than 0 and at most 1, got 0"),
        ({"breaker": {"minimum_calls": 30}}, "minimum_calls must be at most the window's 20 calls"),
        ({"breaker": {"open_wait": 0}}, "breaker: open_wait must be more than 0"),
        ({"retry": {"attempts": -1}}, "retry.attempts must be from 0 to 1,000,000, got -1"),
        ({"memory": {"target": 2}}, "memory.target must be more than 0 and at most 1, got 2"),
        ({"features": {"breaker": "perhaps"}}, "features.breaker must be true or false, got 'perhaps'"),
        ({"features": {"breakr": False}}, "there is no setting 'breakr' in features; did you mean 'breaker'?"),
        ({"symbol": "MNQ"}, "there is no setting 'symbol'; did you mean 'symbols'?"),
        ({"features": 3}, "features must be"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(given: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingRefused, match=text) as caught:
        Settings(**given)
    assert "pydantic" not in str(caught.value)


def test_of_several_faults_each_has_its_line() -> None:
    with pytest.raises(SettingRefused) as caught:
        Settings(grace="soon", health_port=-1)
    assert len(str(caught.value).splitlines()) == 2


def test_a_variable_that_is_none_of_ours_is_refused_and_its_value_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RXFEED_FEATURES__BREAKR", "hush")
    with pytest.raises(SettingRefused, match="did you mean RXFEED_FEATURES__BREAKER") as caught:
        Settings()
    assert "hush" not in str(caught.value)


def test_who_we_are_is_no_setting_and_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RXFEED_USER", "RXFEED_KEY", "RXFEED_CREDENTIALS", "RXFEED_GATEWAY"):
        monkeypatch.setenv(name, "x")
    assert Settings() == Settings()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "No such file"),
        (b"a = [", "it is no TOML"),
        (b"\xff", "it is no TOML"),
        (b'file = "x"', "cannot name another one"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None, text: str) -> None:
    file = tmp_path / "feed.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingRefused, match=text):
        Settings(file=file)
