"""The default composition over an observable: what fails is tried again, nobody waits for anybody, and each part can go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

import rxfeed
from rxfeed import operators as ops
from rxfeed import overflow
from rxfeed.breaker import BreakerChanged
from rxfeed.errors import ConnectionLost, Overflow, PartialRefused, RetriesExhausted
from rxfeed.events import Connected, Event, Gapped, LimitsChanged, Lost, Overflowed, Relieved, Retrying
from rxfeed.memory import Memory
from rxfeed.model import Bar, Flag, Gap, Tick
from rxfeed.settings import Features, Settings
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import T0, tick
from tests.operators.past import Past, at

WINDOWS = Windows("1s", "5s")


class Wire:
    """A source that fails when it is told to, and counts who subscribes."""

    def __init__(self, simulation: Simulation) -> None:
        self.clock = simulation.clock
        self.subscribed: list[float] = []
        self.now: Subject[Tick] | None = None
        self.refuses: Exception | None = None
        self.seq = 0
        self.stream: Observable[Tick] = Observable(self._subscribe)

    def _subscribe(self, observer: abc.ObserverBase[Tick], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.subscribed.append((self.clock.now - T0) / SECOND)
        if self.refuses is not None:
            observer.on_error(self.refuses)
            return Disposable()
        self.now, self.seq = Subject(), 0
        return self.now.subscribe(observer)

    def give(self, price: float = 100.0, symbol: str = "A") -> None:
        if self.now is not None:
            self.seq += 1
            self.now.on_next(Tick(symbol, self.clock.now, price, 1, 0, self.seq, self.clock.now))

    async def play(self, until: float, step: float = 0.25) -> None:
        """Give a tick every quarter of a second."""
        while (self.clock.now - T0) / SECOND < until:
            self.give(100.0 + self.seq % 5)
            await asyncio.sleep(step)

    def fail(self, cause: Any = "dropped") -> None:
        wire, self.now = self.now, None
        assert wire is not None
        wire.on_error(ConnectionLost("cut", cause=cause))


class Place:
    """A feed of a wire, and what is heard of it."""

    def __init__(self, simulation: Simulation, **given: Any) -> None:
        self.simulation = simulation
        self.wire = Wire(simulation)
        more = {name: given.pop(name) for name in ("history", "rejects", "tap", "memory", "rules") if name in given}
        self.feed = rxfeed.pipeline(
            self.wire.stream, Settings(**{"session": "24x7", "features": {"limits": False}} | given), windows=WINDOWS,
            clock=simulation.clock, random=simulation.random, **more,
        )  # fmt: skip
        self.events: list[Event] = []
        self.bars: list[Bar] = []
        self.errors: list[Exception] = []
        self.feed.events.subscribe(self.events.append)

    def listen(self) -> None:
        self.feed.bars.subscribe(self.bars.append, self.errors.append)

    def of(self, *kinds: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]

    @property
    def table(self) -> dict[tuple[str, str, int], Bar]:
        return {bar.identity: bar for bar in self.bars}


def play(main: Callable[[Place], Coroutine[Any, Any, None]], **given: Any) -> None:
    async def run(simulation: Simulation) -> None:
        place = Place(simulation, **given)
        async with place.feed:
            await main(place)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    simulate(run, start=T0)


def test_what_is_lost_is_tried_again_and_the_bars_say_so() -> None:
    async def main(place: Place) -> None:
        place.listen()
        await place.wire.play(10.1)
        place.wire.fail()
        await asyncio.sleep(3)
        await place.wire.play(20.1)
        assert len(place.wire.subscribed) == 2
        assert [type(event) for event in place.of(Connected, Lost, Retrying, Gapped)] == [
            Connected, Lost, Gapped, Retrying, Connected, Gapped,
        ]  # fmt: skip
        gap = place.of(Gapped)[-1].gap
        table = place.table
        for start in range(1, 19):
            touched = at(start) <= gap.end and gap.start < at(start + 1)
            bar = table.get(("A", "1s", at(start)))
            assert (bar is None) or bool(bar.flags & Flag.GAP) == touched
        numbers = [bar.first_seq or 0 for bar in place.bars if bar.timeframe == "1s" and bar.revision == 0]
        assert numbers == sorted(numbers)  # although the source counts anew
        assert place.feed.health is not None
        assert place.feed.health.now().state == "live"

    play(main)


def test_gaps_of_any_source_are_mended_from_any_history() -> None:
    tape = [tick(n / 4, 100.0 + n % 7, seq=n) for n in range(240)]

    async def main(simulation: Simulation) -> None:
        place = Place(simulation, history=Past(tape, lambda: simulation.clock.now))
        async with place.feed:
            place.listen()
            for n, one in enumerate(tape):
                if n == 80:
                    place.wire.fail()
                if place.wire.now is not None:
                    place.wire.now.on_next(one)
                await asyncio.sleep(0.25)
            await asyncio.sleep(90)
        flagged = [bar for bar in place.table.values() if bar.flags & Flag.GAP and bar.start > at(0)]
        assert flagged == []
        for start in range(2, 55):
            mine = [one.price for one in tape if at(start) <= one.time < at(start + 1)]
            bar = place.table["A", "1s", at(start)]
            assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (mine[0], max(mine), min(mine), mine[-1], 4)
        assert any(bar.flags & Flag.REPAIRED for bar in place.bars)

    simulate(main, start=T0)


def test_silence_while_the_market_is_open_is_a_failure_like_another() -> None:
    async def main(place: Place) -> None:
        place.listen()
        await place.wire.play(1.1)
        await asyncio.sleep(29)
        assert len(place.wire.subscribed) == 1
        await asyncio.sleep(4)
        assert len(place.wire.subscribed) == 2
        assert place.of(Lost)[0].cause == "silent"

    play(main, idle={"between": "30s"})


def test_a_source_that_keeps_failing_is_given_a_rest() -> None:
    async def main(place: Place) -> None:
        place.wire.refuses = OSError("refused")
        place.listen()
        await asyncio.sleep(100)
        [opened] = place.of(BreakerChanged)[:1]
        assert (opened.was, opened.state) == ("closed", "open")
        attempts = place.wire.subscribed
        assert max(b - a for a, b in pairwise(attempts)) >= 15  # which is half of it at least
        place.wire.refuses = None
        await asyncio.sleep(61)
        await place.wire.play(190)
        assert place.feed.breaker is not None
        assert place.feed.breaker.state == "closed"
        assert len(place.bars) > 30

    play(main, breaker={"open_wait": "30s", "minimum_calls": 3, "window": 5}, retry={"first": "1s", "longest": "4s"})


def test_after_so_many_attempts_it_is_given_up_and_all_hear_of_it() -> None:
    async def main(place: Place) -> None:
        place.wire.refuses = OSError("refused")
        other: list[Exception] = []
        place.listen()
        place.feed.ticks().subscribe(on_error=other.append)
        await asyncio.sleep(60)
        assert [type(error) for error in place.errors + other] == [RetriesExhausted] * 2
        late: list[Exception] = []
        place.feed.bars.subscribe(on_error=late.append)
        await asyncio.sleep(0)
        assert late == place.errors

    play(main, retry={"attempts": 3})


@pytest.mark.parametrize("name", Features.model_fields)
def test_each_part_can_be_switched_off_and_then_it_is_not_there(name: str) -> None:
    shown = {
        "validation": "validate(", "backpressure": "backpressure(", "idle": "timeout_idle(", "retry": "retry(",
        "breaker": "circuit_breaker(", "meters": "meter(", "repair": "mended from history",
    }  # fmt: skip

    def composed(**features: bool) -> tuple[str, int]:
        found: list[Any] = []

        async def main(simulation: Simulation) -> None:
            place = Place(
                simulation, features=features, history=Past([], lambda: simulation.clock.now),
                memory=lambda: Memory(1 << 20, 1 << 30),
            )  # fmt: skip
            async with place.feed as feed:
                place.listen()
                await place.wire.play(3.1)
                found.extend([str(feed), len([bar for bar in place.bars if bar.timeframe == "1s"])])
                assert (feed.health is None) == (features.get("health") is False)
                assert (feed.limits is None) == (features.get("limits") is False)
                assert (feed.breaker is None) == (features.get("breaker") is False)

        simulate(main, start=T0)
        return found[0], found[1]

    with_it, count = composed()
    without, same = composed(**{name: False})
    assert count == same >= 2
    for part, text in shown.items():
        assert text in with_it
        assert (text in without) == (part != name)


def test_who_is_stuck_or_raises_costs_nobody_else_anything() -> None:
    """Of a thousand who take bars ten never come back from an `await`, and ten raise."""

    async def main(place: Place) -> None:
        got = [0] * 980
        stuck: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ends: list[Any] = []
        told: list[Any] = []

        async def waits(_: Bar) -> None:
            await stuck

        def raises(_: Bar) -> None:
            raise ValueError("mine")

        def count(number: int) -> Callable[[Bar], None]:
            def take(_: Bar) -> None:
                got[number] += 1

            return take

        for _ in range(10):
            ends.append(place.feed.bars.pipe(ops.subscribe_async(waits, capacity=16, overflow="newest")))
            ends.append(place.feed.bars.pipe(ops.subscribe(raises, report=told.append)))
        ends += [place.feed.bars.pipe(ops.subscribe(count(number))) for number in range(980)]
        place.listen()
        await place.wire.play(30.1)
        assert len(told) == 10
        assert len(place.bars) >= 34
        assert set(got) == {len(place.bars)}
        assert place.feed.stats.departed == 10
        stuck.cancel()
        for end in ends:
            end.dispose()
        await asyncio.sleep(0)

    play(main)


def test_who_is_slow_with_ticks_gets_bars_that_are_exact_all_the_same() -> None:
    async def main(place: Place) -> None:
        place.listen()
        own: list[Bar] = []
        feed = place.feed
        feed.ticks(overflow.conflate(feed.windows)).pipe(ops.bars(feed.windows)).subscribe(own.append)
        for n in range(40):
            for m in range(50):  # all at once: five times what may wait
                place.wire.give(100.0 + (n * m) % 17)
            await asyncio.sleep(0.5)
        await asyncio.sleep(2)
        mine = {bar.identity: bar for bar in own}
        assert place.of(Overflowed, Relieved) != []
        assert len(mine) > 15
        for identity, bar in mine.items():
            assert (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count) == (
                (ours := place.table[identity]).open, ours.high, ours.low, ours.close, ours.volume, ours.count,
            )  # fmt: skip

    play(main, capacities={"consumer": 10, "least": 10})


def test_what_a_consumer_cannot_take_is_refused_when_it_is_put_together() -> None:
    async def main(place: Place) -> None:
        with pytest.raises(PartialRefused):
            ops.detect_gaps(sequence=True)(place.feed.ticks(overflow.conflate(place.feed.windows)))

    play(main)


def test_a_consumer_that_is_to_fail_when_it_is_too_slow_fails_alone() -> None:
    async def main(place: Place) -> None:
        place.listen()
        errors: list[Exception] = []
        place.feed.ticks().subscribe(on_error=errors.append)
        for _ in range(30):
            place.wire.give()
        await place.wire.play(5.1)
        assert [type(error) for error in errors] == [Overflow]
        assert place.errors == []
        assert len(place.bars) >= 4

    play(main, capacities={"consumer": 16, "least": 16, "source": 64})


def test_what_is_too_much_for_us_is_a_gap_and_counted() -> None:
    async def main(place: Place) -> None:
        place.listen()
        await place.wire.play(5.1)
        for n in range(100):
            place.wire.give(100.0 + n)
        await asyncio.sleep(0.25)
        await place.wire.play(12.1)
        stats = place.feed.stats
        assert stats.source is not None
        assert stats.source.dropped == 100 - 32
        [event] = place.of(Gapped)
        assert isinstance(event.gap, Gap)
        flagged = [bar.start for bar in place.table.values() if bar.timeframe == "1s" and bar.flags & Flag.GAP]
        assert flagged == [at(5)]
        bars = stats.bars
        assert stats.accepted == bars.received == bars.closed + bars.open
        assert stats.source.received == stats.source.dropped + stats.accepted + stats.rejected + stats.suspects

    play(main, capacities={"source": 32, "consumer": 64, "least": 16}, rules=())


def test_capacities_follow_memory() -> None:
    memory = Memory(10 << 20, 100 << 20)

    async def main(place: Place) -> None:
        nonlocal memory
        place.listen()
        await place.wire.play(1.1)
        memory = Memory(60 << 20, 100 << 20)
        await place.wire.play(5.1)
        for _ in range(100):
            place.wire.give()
        await asyncio.sleep(0.25)
        await place.wire.play(6.1)
        assert len(place.of(LimitsChanged)) == 1
        assert place.feed.stats.source is not None
        assert place.feed.stats.source.dropped == 100 - 20

    play(main, capacities={"source": 64, "consumer": 64, "least": 20}, memory=lambda: memory, features={})


def test_rejects_are_told_and_counted_and_health_knows() -> None:
    rejects: list[Any] = []

    async def main(place: Place) -> None:
        place.listen()
        await place.wire.play(1.1)
        place.wire.give(float("nan"))
        await place.wire.play(3.1)
        assert place.feed.rejected == {"finite": 1}
        assert place.feed.stats.rejected == 1
        assert place.feed.health is not None
        assert place.feed.health.now().totals.rejects == 1

    play(main, rejects=rejects.append)
    assert [reject.rule for reject in rejects] == ["finite"]


def test_without_rules_nothing_is_checked() -> None:
    async def main(place: Place) -> None:
        place.listen()
        place.wire.give(-5.0)
        await place.wire.play(2.1)
        assert not any("validate(" in stage for stage in place.feed.stages)
        assert min(bar.low or 0 for bar in place.bars) == -5

    play(main, rules=())


def test_nothing_is_connected_before_somebody_listens_and_nothing_after_it_is_closed() -> None:
    async def main(place: Place) -> None:
        assert place.wire.subscribed == []
        ended: list[str] = []
        first = place.feed.bars.subscribe(on_completed=lambda: ended.append("bars"))
        place.feed.ticks().subscribe(on_completed=lambda: ended.append("ticks"))
        place.feed.events.subscribe(on_completed=lambda: ended.append("events"))
        await place.wire.play(1.1)
        first.dispose()
        await place.wire.play(2.1)
        assert len(place.wire.subscribed) == 1
        await place.feed.close()
        await place.feed.close()
        await asyncio.sleep(0.1)
        assert sorted(ended) == ["events", "ticks"]
        assert place.wire.now is not None
        assert place.wire.now.observers == []

    play(main)


def test_what_was_under_way_comes_out_when_it_is_closed() -> None:
    async def main(place: Place) -> None:
        place.listen()
        await place.wire.play(2.1)
        for n in range(100):
            place.wire.give(200.0 + n)
        await place.feed.close()
        await asyncio.sleep(0.1)
        [last] = [bar for bar in place.bars if bar.timeframe == "1s" and bar.start == at(2)]
        assert last.flags & Flag.PARTIAL
        assert (last.count, last.high) == (101, 299.0)
        assert place.wire.now is not None
        assert place.wire.now.observers == []

    play(main)


def test_how_it_is_used_wrongly_is_said() -> None:
    async def main(simulation: Simulation) -> None:
        place = Place(simulation)
        with pytest.raises(RuntimeError, match="open the feed first"):
            _ = place.feed.bars
        async with place.feed:
            with pytest.raises(RuntimeError, match="opened once"):
                await place.feed.open()
        named = Place(simulation, symbols="MNQ")
        with pytest.raises(ValueError, match="symbols are for a gateway"):
            await named.feed.open()
        filled = Place(simulation, backfill="1h")
        with pytest.raises(ValueError, match="backfill needs a history"):
            await filled.feed.open()

    simulate(main, start=T0)


def test_it_shows_itself_on_one_screen() -> None:
    async def main(place: Place) -> None:
        lines = str(place.feed).splitlines()
        assert lines[0] == "Feed(Observable):"
        assert [line.split("(")[0].strip() for line in lines[1:]] == [
            "ticks of Observable", "timeout_idle", "circuit_breaker", "retry", "numbered by arrival", "backpressure", "meter",
            "validate", "bars", "each consumer behind a boundary of his own",
        ]  # fmt: skip
        assert max(map(len, lines)) < 200

    play(main)


def test_a_tick_of_the_test_is_what_it_seems() -> None:
    assert tick(1).time == at(1)
