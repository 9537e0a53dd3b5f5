"""docs/health.md: what it says is what is there, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from rxfeed.clock import VirtualClock
from rxfeed.feeds.healthmetrics import metrics
from rxfeed.feeds.healthserver import as_json
from rxfeed.health import STEPS, Figures, Health, Limits, State, Wire, judge
from rxfeed.times import SECOND, nanoseconds

TEXT = (Path(__file__).parents[1] / "docs" / "health.md").read_text()


def test_its_example_is_python_that_finds_its_names() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    named: dict[str, Any] = {}
    exec(compile(block, "health", "exec"), named)
    assert all(name in named for name in named["main"].__code__.co_names if name in ("Gateway", "watched", "serve_health"))


def test_each_state_reason_figure_and_metric_is_told() -> None:
    bad = Figures(
        idle=1e6, quiet=1e6, round_trip=1e6, late=1e6, behind=1e6, rejects=99, rejected=1.0, gaps=1, rotation="", token="",
        full=("",),
    )  # fmt: skip
    reasons = {reason.name for reason in judge(bad, Limits().bounds)} - {"idle"}  # which is the state stale
    reasons |= {reason.name for reason in judge(Figures(reading=False), Limits().bounds)}
    # A gauge whose figure is not known has no family, so all are.
    known = Wire(connected=True, quiet=0.1, round_trip=0.2, token_age=60.0, token_left=3_600.0)
    health = Health(clock := VirtualClock(), wire=lambda: known)
    health.saw(1, clock.now)
    families = {line.split()[2] for line in metrics(health).decode().splitlines() if line.startswith("# TYPE")}
    told = {*get_args(State), *reasons, *set(as_json(health.now())) - {"time"}}
    assert [name for name in sorted(told) if f"`{name}`" not in TEXT] == []
    assert set(re.findall(r"`(rxfeed_\w+)", TEXT)) == families


def test_its_limits_are_the_defaults() -> None:
    limits = Limits()
    told_given = [
        ("30 s", limits.unconnected), ("1 min", limits.between), ("20 s", limits.quiet), ("2 s", limits.round_trip),
        ("2 s", limits.late), ("1 s", limits.behind), ("3 s", limits.steady),
    ]  # fmt: skip
    for told, given in told_given:
        assert given is not None
        number, unit = told.split()
        assert nanoseconds(given) == int(number) * SECOND * (60 if unit == "min" else 1)
        assert told in TEXT
    assert [(step.after, step.again, step.longest) for step in STEPS] == [
        (0, "15s", "10m"), ("30s", "2m", "1h"), ("90s", "5m", "1h"),
    ]  # fmt: skip
    assert "| at once | 15 s | 10 min |" in TEXT
    assert "| 30 s after the probe | 2 min | 1 h |" in TEXT
    assert "| 90 s after that | 5 min | 1 h |" in TEXT
