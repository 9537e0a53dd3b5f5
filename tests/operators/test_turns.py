"""`Turns`: what every operator with a queue relies on, and no operator's test can say alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import Subject

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from tests.builders import T0, Recorder, ticks


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


@pytest.mark.parametrize("end", ["complete", "error"])
@pytest.mark.parametrize("raising", [[103], [103, 104], []])
def test_the_end_comes_although_a_subscriber_raises_before_it(end: str, raising: list[float]) -> None:
    source: Subject[Any] = Subject()
    got = Recorder(lambda row: fail() if row.price in raising else None).to(
        ops.sample_every(10, key="seq")(source), VirtualClock(T0).scheduler
    )
    rows = ticks((0, 102), (1, 103), (2, 104), (3, 105))
    for row in rows:
        source.on_next(row)
    error = ValueError("the source's")
    with contextlib.nullcontext() if not raising else pytest.raises(RuntimeError if len(raising) == 1 else ExceptionGroup):
        source.on_completed() if end == "complete" else source.on_error(error)
    assert got.elements == rows
    assert (got.completed, got.error) == ((True, None) if end == "complete" else (False, error))


FED_BACK = ticks((0, 100), (1, 101), (2, 102), (3, 103))


@pytest.mark.parametrize("at", [0, 1])
def test_it_comes_although_the_subscriber_that_fed_it_back_raises(at: int) -> None:
    """The first tick of a symbol goes another way than ordinary ones."""
    source: Subject[Any] = Subject()
    with pytest.raises(RuntimeError, match="subscriber"):
        fold(source, got := Recorder(), at, fail)
    assert got.elements == FED_BACK
    assert got.completed


@pytest.mark.parametrize("at", [0, 1])
def test_what_is_no_ordinary_exception_passes_at_once(at: int) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    source: Subject[Any] = Subject()
    with pytest.raises(KeyboardInterrupt):
        fold(source, got := Recorder(), at, interrupt)
    assert got.elements == FED_BACK[: at + 1]
    assert not got.completed


def fold(source: Subject[Any], got: Recorder, at: int, act: Callable[[], None]) -> None:
    """Have a subscriber feed back what is left at one of its elements, the end with it, and then act."""

    def react(row: Any) -> None:
        if row is FED_BACK[at]:
            for later in FED_BACK[at + 1 :]:
                source.on_next(later)
            source.on_completed()
            act()

    ops.validate()(source).subscribe(got)
    got._react = react
    for row in FED_BACK[: at + 1]:
        source.on_next(row)


def test_what_waits_for_an_end_that_is_interrupted_is_not_emitted() -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    source: Subject[Any] = Subject()
    got = Recorder(interrupt).to(ops.sample_every(10, key="seq")(source), VirtualClock(T0).scheduler)
    for row in FED_BACK:
        source.on_next(row)
    with pytest.raises(KeyboardInterrupt):
        source.on_completed()
    assert got.elements == FED_BACK[:1]
    assert not got.completed
