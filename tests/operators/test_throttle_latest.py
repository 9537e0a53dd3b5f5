"""`throttle_latest` by itself; what it has in common with its twin is in test_newest.py."""

from __future__ import annotations

from typing import Any

from reactivex import Subject

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, tick


def test_the_first_of_each_symbol_at_once_and_then_the_newest() -> None:
    clock = VirtualClock(T0 + SECOND)
    source: Subject[Any] = Subject()
    operator = ops.throttle_latest("10s", key="symbol")
    got = Recorder().to(operator(source), clock.scheduler)
    rows = [tick(symbol=symbol, seq=seq) for seq, symbol in enumerate("ABAA")]
    for row in rows:
        source.on_next(row)
    assert got.elements == rows[:2]
    assert operator.stats == (4, 2, 1, 1)
    clock.advance(9 * SECOND)
    assert got.elements == [*rows[:2], rows[3]]
    # A had its one of this period at the edge; B has not.
    more = [tick(10, symbol=symbol, seq=9) for symbol in "AB"]
    for row in more:
        source.on_next(row)
    assert got.elements[3:] == more[1:]
    clock.advance(10 * SECOND)
    assert got.elements[4:] == more[:1]
    assert clock.next_due is None


def test_a_timer_that_had_to_queue_does_not_end_the_next_period() -> None:
    clock = VirtualClock(T0)
    source: Subject[Any] = Subject()
    late, other = tick(10, seq=3), tick(symbol="B")
    clock.call_at(late.time, lambda: source.on_next(late))

    def react(row: Any) -> None:
        if row is other:
            clock.advance(10 * SECOND)  # `late` comes, and the timer after it, while this is still being emitted

    got = Recorder(react).to(ops.throttle_latest("10s", key="symbol")(source), clock.scheduler)
    rows = [tick(seq=1), tick(seq=2), other]
    for row in rows:
        source.on_next(row)
    assert got.elements == [rows[0], other, rows[1]]
    assert clock.next_due == T0 + 20 * SECOND
    clock.advance(10 * SECOND)
    assert got.elements[3:] == [late]
