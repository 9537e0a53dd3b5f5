"""docs/limits.md: its examples run, and what it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from rxfeed import errors, events, figures
from rxfeed.feeds.memory import ProcessMemory

PAGE = Path(__file__).parents[1] / "docs" / "limits.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_its_examples_run() -> None:
    idle, limits, statistics = BLOCKS
    compile(idle, "idle", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    world: dict[str, Any] = {}
    exec(compile(limits, "limits", "exec"), world)
    assert world["bars"].current == 10_000
    exec(compile(statistics, "statistics", "exec"), world)
    assert world["log"].stats == (1_237, 3, 1_234)
    assert ProcessMemory()().used > 0


def test_what_it_names_is_there() -> None:
    text = PAGE.read_text()
    assert f"`{errors.Stale.__name__}`" in text
    for event in (events.LimitsChanged, events.LimitsFixed):
        assert f"`{event.__name__}`" in text
    for name in ("RotatingDistribution", "RotatingCount", "Labels"):
        assert hasattr(figures, name)
        assert f"`{name}" in text
