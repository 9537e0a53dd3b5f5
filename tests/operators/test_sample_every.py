"""`sample_every` by itself; what it has in common with its twin is in test_newest.py."""

from __future__ import annotations

from typing import Any

from reactivex import Subject

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, marbles, tick


def test_the_marble_of_the_docstring() -> None:
    fed, drawn = marbles(ops.sample_every)
    clock = VirtualClock(T0)
    found: list[tuple[int, str]] = []

    def note(token: str) -> None:
        found.append(((clock.now - T0) // SECOND, token))

    source: Subject[Any] = Subject()
    source.pipe(ops.sample_every(5)).subscribe(note, on_completed=lambda: note("|"), scheduler=clock.scheduler)
    for at, token in fed:
        clock.advance_to(T0 + at * SECOND)
        source.on_completed() if token == "|" else source.on_next(token)
    assert found == drawn
    assert len(drawn) >= 4


def test_the_newest_of_each_symbol_in_the_order_in_which_they_came() -> None:
    clock = VirtualClock(T0 + SECOND)
    source: Subject[Any] = Subject()
    got = Recorder().to(ops.sample_every("10s", key="symbol")(source), clock.scheduler)
    rows = [tick(symbol=symbol, seq=seq) for seq, symbol in enumerate("ABCAB")]
    for row in rows[:4]:
        source.on_next(row)
    clock.advance(9 * SECOND - 1)
    assert got.elements == []
    clock.advance(1)
    assert got.elements == rows[1:4]
    source.on_next(rows[4])
    clock.advance(10 * SECOND)
    assert got.elements == rows[1:]
