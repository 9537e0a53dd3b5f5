"""docs/pipeline.md: its table is of the settings that there are, and what it shows is what comes."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from docs.make_settings import PAGE, page
from rxfeed import Feed, Settings
from rxfeed.settings import SettingRefused

TEXT = PAGE.read_text("utf-8")


def block(kind: str, number: int = 0) -> str:
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL)[number]


def test_the_table_is_up_to_date() -> None:
    assert page(TEXT) == TEXT, "docs/pipeline.md is not what the settings say: run `make docs`"


def test_its_example_is_python_and_what_it_names_is_there() -> None:
    ast.parse(block("python"))
    names = set(re.findall(r"(?<!rx)feed\.([a-z_]+)", TEXT))
    assert {name for name in names if not hasattr(Feed, name)} <= {"health", "limits", "windows"}  # each feed has its own
    assert {"bars", "ticks", "events", "stats"} <= names


def test_its_file_is_a_file_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "feed.toml"
    file.write_text(block("toml"), "utf-8")
    settings = Settings(file=file)
    assert settings.model_fields_set == {"file", *tomllib.loads(block("toml"))}
    assert not settings.features.meters


def test_what_it_says_is_refused_is_refused_like_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value, text in re.findall(r"\$ (RXFEED_\w+)=(\w+) rxfeed run\nrxfeed: (.*)", TEXT):
        monkeypatch.setenv(name, value)
        with pytest.raises(SettingRefused) as caught:
            Settings()
        assert str(caught.value) == text
        monkeypatch.delenv(name)
    assert TEXT.count("rxfeed: ") == 2
