"""docs/tokens.md: its example runs, and what it says is said is what is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rxfeed import errors, events
from rxfeed.events import ClockOff, TokenChanged, TokenFailed
from rxfeed.feeds.claims import claims_of
from rxfeed.feeds.projectx import Gateway
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate
from tests.feeds.test_claims import NO_EXP, NO_IAT, NO_JWT, jwt

PAGE = Path(__file__).parents[1] / "docs" / "tokens.md"
TEXT = PAGE.read_text()


def test_its_example_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    named: dict[str, Any] = {}
    exec(compile(block, "tokens", "exec"), named)
    gateway, source = named["gateway"], named["FromFile"]
    assert isinstance(gateway, Gateway)
    file = tmp_path / "token"
    file.write_text("from-a-file-4711\n")

    async def main(_: Simulation) -> None:
        given = source(str(file))
        assert await given.token(None) == Secret("from-a-file-4711")
        await gateway.close()

    simulate(main)


def test_what_it_says_is_what_is_said() -> None:
    before = claims_of(jwt({"iat": 10, "exp": 5})).wrong
    assert before is not None
    said = [NO_EXP, NO_IAT, NO_JWT, before]
    said += [
        str(TokenChanged(time=0, how="validate", life=86_400.0)), str(TokenFailed(time=0, text="…", left=412.0)),
        str(ClockOff(time=0, seconds=3_600.0)),
    ]  # fmt: skip
    assert [text for text in said if text not in TEXT] == []


def test_what_it_names_is_there() -> None:
    for name in re.findall(r"`([A-Z][A-Za-z]+(?:Changed|Failed|Refused|Off))`", TEXT):
        assert hasattr(events, name) or hasattr(errors, name), name
