"""The default composition over a gateway that is played by hand: gaps, history, and a table of bars that equals the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Subject

import rxfeed
from rxfeed.errors import Unreachable
from rxfeed.events import Backfilled, Event, NotRepaired, Repaired
from rxfeed.feeds.projectx import Contract
from rxfeed.model import ONGOING, Bar, Flag, Gap, Tick
from rxfeed.settings import Settings
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import T0, tick
from tests.operators.past import Ohlcv, Past, at, seconds, truth


class Played:
    """A gateway that sends a tape: from the instant at which it is subscribed to, but for what a drop costs.

    Args:
        tape: in order of time; each comes `latency` seconds after its time.
        drops: from when to when, in seconds after T0, nothing comes.
        wrong: nanoseconds that the machine's clock is ahead.
        past: arguments of the history.
    """

    def __init__(
        self, simulation: Simulation, tape: Sequence[Tick], *, latency: float = 0.0, drops: Sequence[tuple[float, float]] = (),
        wrong: int = 0, **past: Any,
    ) -> None:  # fmt: skip
        self.simulation, self.tape, self.latency, self.drops, self.wrong = simulation, tape, latency, drops, wrong
        self.history = Past(tape, lambda: self.now, **past)
        self.gaps: Subject[Gap] = Subject()
        self.events: Subject[Event] = Subject()
        self.stream: Subject[Tick] = Subject()

    @property
    def now(self) -> int:
        """The exchange's time."""
        return self.simulation.clock.now - self.wrong

    def __repr__(self) -> str:
        return "Played()"

    def request(self, what: Any, why: str) -> None:
        raise AssertionError(f"{what} was asked for: {why}")

    async def contract(self, symbol: str) -> Contract:
        return Contract(symbol, symbol, symbol, "", 0.25, 1.0, True)

    def trades(self, *symbols: str) -> Any:
        return self.stream

    async def play(self, until: float) -> None:
        lost: dict[str, Gap] = {}
        last: dict[str, int] = {}
        for each in [each for each in self.tape if each.time < at(until)]:
            due = each.time + round(self.latency * SECOND)
            if due > self.now:
                await asyncio.sleep((due - self.now) / SECOND)
            elif due < self.now - SECOND:
                continue  # from before
            second = (each.time - T0) / SECOND
            if any(start <= second < end for start, end in self.drops):
                if each.symbol in last and each.symbol not in lost:
                    lost[each.symbol] = Gap(each.symbol, last[each.symbol], ONGOING, "dropped")
                    self.gaps.on_next(lost[each.symbol])
                continue
            if not self.stream.observers:
                continue
            if each.symbol in lost:
                gap = lost.pop(each.symbol)
                self.gaps.on_next(Gap(gap.symbol, gap.start, each.time, gap.cause))
            last[each.symbol] = each.time
            self.stream.on_next(each)
        if at(until) > self.now:
            await asyncio.sleep((at(until) - self.now) / SECOND)


class Seen(NamedTuple):
    """What came of it."""

    bars: list[Bar]
    events: list[Event]
    asked: list[tuple[float, str, float, float]]
    feed: Any

    @property
    def table(self) -> dict[tuple[str, str, int], Bar]:
        """The newest revision of each bar."""
        return {bar.identity: bar for bar in self.bars}


def made(gateway: Any, symbols: Sequence[str], windows: Any, simulation: Simulation, **more: Any) -> rxfeed.Feed:
    features = {"repair": more.pop("repair", True), "limits": False, "idle": False}
    own = windows if isinstance(windows, Windows) else Windows(*windows)
    given = Settings(symbols=tuple(symbols), features=features, **more)
    return rxfeed.pipeline(gateway, given, rules=(), windows=own, clock=simulation.clock)


def played(
    tape: Sequence[Tick], windows: Any, start: float, until: float, *, live: dict[str, Any] | None = None, **more: Any
) -> Seen:
    """Return what a subscriber saw from `start`, and until the tape had been still for some minutes after `until`."""

    async def main(simulation: Simulation) -> Seen:
        gateway: Any = Played(simulation, tape, **more)
        await asyncio.sleep(start)
        symbols = list(dict.fromkeys(each.symbol for each in tape))
        bars: list[Bar] = []
        events: list[Event] = []
        errors: list[Exception] = []
        async with made(gateway, symbols, windows, simulation, **(live or {})) as feed:
            feed.events.subscribe(events.append)
            feed.bars.subscribe(bars.append, errors.append)
            await gateway.play(until)
            await asyncio.sleep(4_000)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert errors == []
        assert len(asyncio.all_tasks()) == 1
        return Seen(bars, events, gateway.history.asked, feed)

    return simulate(main, start=T0 + more.get("wrong", 0))


def told(bar: Bar) -> Ohlcv:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def check(seen: Seen, tape: Sequence[Tick], since: float, *, timeframes: Sequence[str], until: float = 1e9) -> None:
    """Every window of every timeframe that begins between these is as the tape has it, and says that it is whole."""
    table = seen.table
    for symbol in dict.fromkeys(each.symbol for each in tape):
        mine = [each for each in tape if each.symbol == symbol]
        for timeframe in timeframes:
            true = {start: bar for start, bar in truth(mine, seconds(timeframe)).items() if at(since) <= start < at(until)}
            found = {
                start: bar
                for (of, tf, start), bar in table.items()
                if (of, tf) == (symbol, timeframe) and at(since) <= start < at(until)
            }
            assert {start: told(bar) for start, bar in found.items()} == true
            flagged = [str(bar) for bar in found.values() if bar.flags & Flag.GAP]
            assert flagged == []


TAPE = [tick(n / 2, 100.0 + n % 13, 1 + n % 5, seq=n) for n in range(1_200)]


def test_a_drop_is_mended_in_every_timeframe() -> None:
    seen = played(TAPE, ("1s", "5s", "1m"), 100, 600, drops=[(301.2, 309.7)])
    check(seen, TAPE, 120, timeframes=["1s", "5s", "1m"])
    assert [asked for _, asked, *_ in seen.asked] == ["1s"]
    assert [type(event) for event in seen.events] == [Repaired]
    # Before it was mended it said so.
    assert any(bar.flags & Flag.GAP and bar.start == at(300) for bar in seen.bars)
    # Who began inside a window has not got it whole, and says so.
    assert seen.table["A", "1m", at(60)].flags & Flag.GAP


def test_without_repair_bars_that_a_gap_touches_stay_flagged() -> None:
    seen = played(TAPE, ("1s", "1m"), 100, 600, drops=[(301.2, 309.7)], live={"repair": False})
    assert seen.asked == []
    assert {bar.start for bar in seen.table.values() if bar.flags & Flag.GAP and bar.start > at(100)} == {
        at(300),
        at(301),
        at(310),
    }
    assert seen.table["A", "1m", at(300)].flags & Flag.GAP


def test_it_begins_with_history() -> None:
    seen = played(TAPE, ("1s", "1m"), 400.3, 600, live={"backfill": "5m"}, latency=0.2)
    check(seen, TAPE, 120, timeframes=["1s", "1m"])
    check(seen, TAPE, 101, timeframes=["1s"])
    first = [bar for bar in seen.bars if bar.timeframe == "1s"][:200]
    assert [bar.start for bar in first] == sorted(bar.start for bar in first)
    assert first[0].start == at(100)
    assert {type(event) for event in seen.events} == {Repaired, Backfilled}
    assert all(bar.flags & Flag.REPAIRED for bar in first[:290])
    assert [asked for _, asked, *_ in seen.asked] == ["1s", "1s"]


def test_a_backfill_of_nothing_makes_the_first_windows_whole() -> None:
    seen = played(TAPE, ("5s", "1m"), 400.3, 600, live={"backfill": 0})
    check(seen, TAPE, 400, timeframes=["5s"])
    assert seen.table["A", "5s", at(400)].flags == Flag.REPAIRED


def test_of_days_alone_minutes_are_asked_and_none_is_seen() -> None:
    long = [tick(60.0 * n + 7, 100.0 + n % 7, 1, seq=n) for n in range(1_500)]
    seen = played(long, Windows("1d", session="CME"), 40_000, 80_000, live={"backfill": "1d"})
    assert {bar.timeframe for bar in seen.bars} == {"1d"}
    assert {asked for _, asked, *_ in seen.asked} == {"1m"}
    # The trade date ends at 21:00 UTC, 39,600 s after T0, and the next one begins at 22:00.
    [first] = [bar for bar in seen.table.values() if bar.start < at(39_600)]
    assert told(first) == (100.0, 106.0, 100.0, 100.0 + 659 % 7, 660)


def test_history_that_answers_late_costs_order_and_nothing_else() -> None:
    seen = played(TAPE, ("1s", "1m"), 400.3, 600, live={"backfill": "5m"}, errors=[Unreachable("no")] * 2)
    check(seen, TAPE, 120, timeframes=["1s", "1m"])


def test_a_backfill_that_is_refused_is_told_and_the_feed_goes_on() -> None:
    seen = played(TAPE, ("1s", "1m"), 400.3, 600, live={"backfill": "5m"}, has=lambda _: False)
    assert {type(event) for event in seen.events} == {NotRepaired, Backfilled}
    check(seen, TAPE, 401, timeframes=["1s"])


@pytest.mark.parametrize("wrong", [-3_600 * SECOND, 3_600 * SECOND])
def test_with_a_clock_that_is_an_hour_off_nothing_is_lost(wrong: int) -> None:
    long = [tick(n * 2.0, 100.0 + n % 13, 1 + n % 5, seq=n) for n in range(4_500)]
    live = {"backfill": "2h", "grace": None}  # such a clock would say that windows are over which are not
    seen = played(long, ("10s", "1m"), 8_000, 8_900, drops=[(8_301, 8_350)], wrong=wrong, live=live)
    check(seen, long, 8_000 - 7_200 + (3_660 if wrong > 0 else 60), timeframes=["10s", "1m"], until=8_820)


def test_who_comes_late_hears_what_comes_from_then_on() -> None:
    async def main(simulation: Simulation) -> None:
        gateway: Any = Played(simulation, TAPE)
        await asyncio.sleep(400)
        first: list[Bar] = []
        second: list[Bar] = []
        async with made(gateway, ["A"], ("1s",), simulation, backfill="10s") as feed:
            feed.bars.subscribe(first.append)
            playing = asyncio.create_task(gateway.play(450))
            await asyncio.sleep(20.5)
            feed.bars.subscribe(second.append)
            await playing
            await asyncio.sleep(2)
        assert first[0].start == at(390)
        assert second[0].start == at(420)
        assert [bar for bar in first if bar.start >= at(420)] == second

    simulate(main, start=T0)


@settings(max_examples=40)
@given(data=st.data())
def test_live_bars_continue_history_without_a_seam(data: st.DataObject) -> None:
    """Whenever it starts, however late trades and history are, and whatever a drop costs."""
    times = data.draw(st.lists(st.integers(0, 6_000), min_size=20, max_size=200, unique=True).map(sorted))
    tape = [tick(each / 10, 100.0 + each % 7, 1 + each % 3, symbol="AB"[each % 2], seq=n) for n, each in enumerate(times)]
    start = data.draw(st.integers(1_200, 4_000)) / 10
    windows = data.draw(st.sampled_from([("1s",), ("1s", "1m"), ("5s", "1m"), ("1m",), ("2m",), ("2s", "3s")]))
    dropped = data.draw(st.integers(int(start * 10) + 100, 5_000)) / 10
    length = data.draw(st.integers(1, 600)) / 10
    late = data.draw(st.sampled_from([0.0, 2.0, 40.0]))
    latency = data.draw(st.sampled_from([0.0, 0.3]))
    quiet = tape + [tick(600 + n, 100.0, 1, symbol="AB"[n % 2], seq=1_000 + n) for n in range(20)]
    seen = played(
        quiet, windows, start, 620, drops=[(dropped, dropped + length)], late=late, latency=latency, live={"backfill": 120}
    )
    since = start - 120 + max(map(seconds, windows))
    begins = max(
        [
            since,
            *(
                min((each.time - T0) / SECOND for each in tape if each.symbol == symbol) + 60
                for symbol in {each.symbol for each in tape}
            ),
        ]
    )
    check(seen, quiet, begins, timeframes=windows)
