"""`sample_every` by itself; what it has in common with its twin is in test_newest.py."""

from __future__ import annotations

from typing import Any

from reactivex import Subject

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, tick


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
