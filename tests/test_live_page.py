"""docs/live.md: its examples run, and the errors that it names are ours."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, TypeGuard

from reactivex import Observable

from rxfeed import errors, operators
from rxfeed.feeds.projectx import Gateway

PAGE = Path(__file__).parents[1] / "docs" / "live.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _is_of_a_name(of: ast.AST) -> TypeGuard[Any]:
    return isinstance(of, ast.Attribute) and isinstance(of.value, ast.Name)


def test_its_examples_run() -> None:
    first, world = BLOCKS
    compile(first, "first", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    # It needs an account, so it is only looked whether what it calls is there.
    called = [(of.value.id, of.attr) for of in ast.walk(ast.parse(first)) if _is_of_a_name(of)]
    owners = {"gateway": Gateway, "ops": operators, "bars": Observable}
    assert [name for owner, name in called if not hasattr(owners[owner], name)] == []
    assert {owner for owner, _ in called} == set(owners)
    heard: list[str] = []
    assert world.count("...") == 1
    exec(
        compile(world.replace("...", "heard.append((await gateway.contract('MNQ')).symbol[:3])"), "world", "exec"),
        {"heard": heard},
    )
    assert heard == ["MNQ"]


def test_what_it_names_is_there() -> None:
    text = PAGE.read_text()
    for name in re.findall(r"`([A-Z][A-Za-z]+(?:Lost|Refused|Failed|Error|Contract|Requests|Unreachable|Unreachable))`", text):
        assert hasattr(errors, name), name
    told = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.FeedError)}
    missing = {name for name in told if f"`{name}`" not in text and f".{name}`" not in text}
    assert not missing
    for name in re.findall(r"gateway\.([a-z_]+)|[ `]\.([a-z_]+)\(", text):
        assert hasattr(Gateway, "".join(name)), name
