"""`Turns`: what every operator with a queue relies on, and no operator's test can say alone."""

from __future__ import annotations

from typing import Any

import pytest
from reactivex import Subject

from rxfeed import operators as ops
from tests.builders import ticks


def fail(*_: object) -> None:
    raise RuntimeError("subscriber")


@pytest.mark.parametrize("end", ["complete", "error"])
def test_what_a_subscriber_raises_at_the_end_surfaces(end: str) -> None:
    source: Subject[Any] = Subject()
    stopped: list[str] = []
    ops.each()(source).subscribe(
        on_error=fail if end == "error" else lambda _: stopped.append("error"), on_completed=fail if end == "complete" else None
    )
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_completed() if end == "complete" else source.on_error(ValueError("x"))
    assert stopped == []


def test_what_comes_next_stays_behind_what_a_raising_subscriber_cut_off() -> None:
    source: Subject[Any] = Subject()
    got: list[Any] = []

    def note(element: Any) -> None:
        got.append(element)
        if len(got) == 2:
            fail()

    rows = ticks((0, 100), (1, 200), (2, 200), (3, 200), (4, 200))
    ops.validate()(source).subscribe(note)
    for row in rows[:3]:
        source.on_next(row)
    with pytest.raises(RuntimeError, match="subscriber"):
        source.on_next(rows[3])  # confirms the three suspects
    source.on_next(rows[4])
    assert got == rows
