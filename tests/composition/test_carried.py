"""Gaps keep their place where their ticks wait at a boundary."""

from __future__ import annotations

from typing import Any

from rxfeed import operators as ops
from rxfeed.composition.carried import MOST, Carried
from rxfeed.composition.fan import Fan
from rxfeed.model import Gap
from rxfeed.runs import RunObserver
from tests.builders import tick
from tests.loops import run, settle


class Place:
    """A boundary with gaps beside it; what comes out is noted in one list."""

    def __init__(self) -> None:
        self.source: Fan[Any] = Fan("ticks")
        self.out: list[Any] = []
        boundary = ops.backpressure(1_000, "drop_oldest")
        self.carried = Carried(self.out.append)
        self.carried.wait_at(lambda: boundary.stats)
        into = RunObserver(self.out.append, self.out.extend, self.out.append, lambda: None)
        into.to(self.carried(boundary(self.source.out)), None)


def gap(number: int) -> Gap:
    return Gap("A", number, number, "dropped")


def test_where_nothing_waits_a_gap_is_told_at_once() -> None:
    async def main() -> None:
        place = Place()
        place.carried.put(gap(1))
        assert place.out == [gap(1)]
        place.source.into.on_completed()

    run(main)


def test_a_gap_is_told_between_what_came_before_and_after_it() -> None:
    async def main() -> None:
        place = Place()
        for n in range(300):
            if n in (40, 200):
                place.carried.put(gap(n))
            place.source.into.on_next(tick(n, seq=n))
        assert place.out == []
        assert len(place.carried) == 2
        await settle()
        assert [place.out.index(gap(n)) for n in (40, 200)] == [40, 201]
        assert [each for each in place.out if not isinstance(each, Gap)] == [tick(n, seq=n) for n in range(300)]
        place.source.into.on_completed()

    run(main)


def test_gaps_behind_the_last_tick_are_told_at_the_end() -> None:
    async def main() -> None:
        place = Place()
        place.source.into.on_next(tick(0))
        place.carried.put(gap(1))
        place.source.into.on_completed()
        await settle()
        assert place.out == [tick(0), gap(1)]

    run(main)


def test_a_gap_behind_all_that_waits_does_not_wait_for_the_next_tick() -> None:
    async def main() -> None:
        place = Place()
        place.source.into.on_next(tick(0))
        place.carried.put(gap(1))
        await settle()
        assert place.out == [tick(0), gap(1)]
        place.source.into.on_completed()

    run(main)


def test_in_a_run_too_and_where_the_oldest_had_to_go() -> None:
    async def main() -> None:
        place = Place()
        out = place.out
        place.source.into.on_run([tick(n, seq=n) for n in range(900)])
        place.carried.put(gap(900))
        place.source.into.on_run([tick(n, seq=n) for n in range(900, 1_500)])
        place.carried.put(gap(1_500))
        await settle()
        numbers = [-1 if isinstance(each, Gap) else each.seq for each in out]
        assert numbers == [*range(500, 900), -1, *range(900, 1_500), -1]
        place.source.into.on_completed()
        await settle()

    run(main)


def test_so_many_wait_and_no_more() -> None:
    async def main() -> None:
        place = Place()
        place.source.into.on_next(tick(0))
        for n in range(MOST + 2):
            place.carried.put(gap(n))
        assert place.out == [gap(0), gap(1)]
        place.source.into.on_completed()
        await settle()

    run(main)
