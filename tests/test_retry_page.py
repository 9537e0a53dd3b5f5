"""docs/retry.md: its example runs, and its table of settings is the breaker's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rxfeed.breaker import Breaker
from rxfeed.errors import Unreachable
from rxfeed.testing import Simulation, simulate
from tests.builders import Recorder

PAGE = (Path(__file__).parents[1] / "docs" / "retry.md").read_text()


def test_its_example_runs() -> None:
    """The feed is down for ten minutes. The breaker keeps it from being asked, and polling fills the time."""
    names: dict[str, Any] = {}
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "example", "exec"), names)
    tried: list[float] = []

    async def main(simulation: Simulation) -> Recorder:
        import asyncio

        def connect(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            tried.append(simulation.loop.time())
            if tried[-1] < 600:
                observer.on_error(Unreachable("no route"))
            else:
                observer.on_next("up")
            return Disposable()

        # The example takes the machine's clock, which here is the simulation's.
        names["Breaker"] = lambda name, **more: Breaker(name, clock=simulation.clock, **more)
        polling: Subject[Any] = Subject()
        built = names["steady"](Observable(connect), polling, Random(1))
        got = Recorder().to(built, simulation.clock.scheduler)
        await asyncio.sleep(300)
        polling.on_next("polled")
        await asyncio.sleep(900)
        got.subscription.dispose()
        return got

    got = simulate(main)
    assert got.elements == ["polled", "up"]
    assert len(tried) < 15


def test_its_table_has_all_settings_and_their_defaults() -> None:
    table = PAGE.split("| setting | by default |")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", table, re.MULTILINE))
    parameters = inspect.signature(Breaker).parameters
    assert set(rows) == set(parameters) - {"name"}
    for name, said in rows.items():
        default = parameters[name].default
        if default is Exception:
            assert said == "`Exception`"
        elif default is None:
            assert said in ("none", "the machine's")
        else:
            assert said.strip("`") == (f'"{default}"' if isinstance(default, str) else str(default))


@pytest.mark.parametrize("text", ["given up after 3 attempts in 4 s, allowed: 3 attempts or 60 s"])
def test_its_text_is_one_of_ours(text: str) -> None:
    assert text in PAGE
    assert text in (Path(__file__).parent / "operators" / "test_retry.py").read_text()
