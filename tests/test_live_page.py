"""docs/live.md: its examples run, and the errors that it names are ours."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from rxfeed import errors
from rxfeed.feeds.projectx import Gateway

PAGE = Path(__file__).parents[1] / "docs" / "live.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_its_examples_run() -> None:
    first, world = BLOCKS
    compile(first, "first", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    exec(compile(world, "world", "exec"), {})


def test_what_it_names_is_there() -> None:
    text = PAGE.read_text()
    for name in re.findall(r"`([A-Z][A-Za-z]+(?:Lost|Refused|Failed|Error|Contract|Requests|Unreachable|Unreachable))`", text):
        assert hasattr(errors, name), name
    told = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.FeedError)}
    missing = {name for name in told if f"`{name}`" not in text and f".{name}`" not in text}
    assert not missing
    for name in re.findall(r"gateway\.([a-z_]+)|[ `]\.([a-z_]+)\(", text):
        assert hasattr(Gateway, "".join(name)), name
