"""Gaps and what history says to them, in virtual time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reactivex import Subject

from rxfeed import operators as ops
from rxfeed import sessions
from rxfeed.errors import GatewayRefused, ProtocolError, TokenRefused, TooManyRequests, UnknownContract, Unreachable
from rxfeed.events import Event, NotRepaired
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import ONGOING, Gap, Repair
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from tests.builders import T0, tick
from tests.operators.past import Past, at, gap, seconds, shown, truth


class Desk:
    """A simulated world with an operator in it, and everything that it says, each with its time in seconds after T0."""

    def __init__(self, simulation: Simulation, past: Past, *timeframes: Any, **more: Any) -> None:
        self.simulation, self.past = simulation, past
        self.gaps: Subject[Gap] = Subject()
        self.events: list[Event] = []
        self.repairs: list[Repair] = []
        self.told: list[tuple[float, str]] = []
        self.operator = ops.repair(past, *timeframes, events=self.events.append, scheduler=simulation.clock, **more)
        self.subscription = self.gaps.pipe(self.operator).subscribe(
            self._next, lambda error: self._note(f"error {error!r}"), lambda: self._note("completed")
        )

    @property
    def now(self) -> float:
        return (self.simulation.clock.now - T0) / SECOND

    def _next(self, repair: Repair) -> None:
        self.repairs.append(repair)
        self._note(shown(repair))

    def _note(self, text: str) -> None:
        self.told.append((round(self.now, 3), text))

    async def until(self, second: float) -> None:
        await asyncio.sleep(second - self.now)

    @property
    def not_repaired(self) -> list[str]:
        return [text for event in self.events if (text := shown(event)).startswith("not")]


def desk(
    use: Callable[[Desk], Awaitable[Any]], ticks: Any, *timeframes: Any, past: dict[str, Any] | None = None, **more: Any
) -> Desk:
    """Return the desk after `use(desk)`. The simulation begins at T0, and its clock is the exchange's; nothing may be left."""

    async def main(simulation: Simulation) -> Desk:
        made = Desk(simulation, Past(ticks, lambda: simulation.clock.now, **(past or {})), *timeframes, **more)
        try:
            await use(made)
        finally:
            made.subscription.dispose()
        return made

    return simulate(main, start=T0)


def tape(*times: float, symbol: str = "A") -> list[Any]:
    return [tick(time, 100.0 + n, n + 1, symbol=symbol, seq=n) for n, time in enumerate(times)]


EVERY_HALF = tape(*(n / 2 for n in range(1200)))
"""Two ticks a second for ten minutes."""


def test_a_gap_is_asked_about_once_when_its_last_window_has_settled() -> None:
    async def use(d: Desk) -> None:
        await d.until(10.2)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(100)

    d = desk(use, EVERY_HALF, "1s", "1m")
    # Gap's end is the exchange's 10 s, which is told at 10.2; its window ends a second later, and settles for five.
    assert d.past.asked == [(16.2, "1s", 3, 16)]
    [(when, _)] = d.told
    [repair] = d.repairs
    assert when == 16.2
    assert (repair.timeframe, repair.start, repair.end) == ("1s", at(3), at(11))
    assert [(bar.start, bar.open, bar.close, bar.volume) for bar in repair.bars] == [
        (at(n), 100.0 + 2 * n, 101.0 + 2 * n, 4 * n + 3) for n in range(3, 11)
    ]
    assert repair.gap == gap(3.5, 10)
    assert d.operator.stats._asdict() == dict.fromkeys(d.operator.stats._fields, 0) | {"received": 1, "repaired": 1}


def test_an_ongoing_gap_is_waited_for() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, None))
        assert (d.operator.stats.ongoing, d.operator.stats.waiting) == (1, 0)
        await d.until(100)
        assert d.past.asked == []
        d.gaps.on_next(gap(3.5, 99.5))
        assert (d.operator.stats.ongoing, d.operator.stats.waiting) == (0, 1)
        await d.until(200)

    d = desk(use, EVERY_HALF, "1s")
    assert d.past.asked == [(105.5, "1s", 3, 105)]
    assert d.told[0][0] == 105.5
    assert len(d.repairs[0].bars) == 97
    assert (d.operator.stats.received, d.operator.stats.told_again, d.operator.stats.repaired) == (2, 1, 1)


def test_longer_windows_take_longer_to_settle_and_are_asked_for_as_they_are() -> None:
    async def use(d: Desk) -> None:
        await d.until(130)
        d.gaps.on_next(gap(70, 130))
        await d.until(300)

    d = desk(use, EVERY_HALF, "5m", "1m", settle="10s", past={"since": 0})
    assert d.past.asked == [(190, "1m", 60, 180)]
    assert [bar.volume for bar in d.repairs[0].bars] == [sum(range(121, 241)), sum(range(241, 361))]


def test_a_hidden_level_is_asked_for_where_the_timeframes_share_no_finer_one() -> None:
    async def use(d: Desk) -> None:
        await d.until(130)
        d.gaps.on_next(gap(70, 130))
        await d.until(300)

    d = desk(use, EVERY_HALF, "2m", "3m", settle=0)
    assert [repair.timeframe for repair in d.repairs] == ["1m"]


def test_windows_that_do_not_lie_on_utcs_grid_are_merged_of_shorter_bars() -> None:
    # New York opens at 13:30 UTC, and its hours go from half past to half past.
    ticks = tape(*(12_600 + 300.0 * n for n in range(78)))

    async def use(d: Desk) -> None:
        await d.until(12_600 + 4_000)
        d.gaps.on_next(gap(12_600 + 100, 12_600 + 3_900))
        await d.until(12_600 + 20_000)

    d = desk(use, ticks, "1h", session="NYSE")
    assert d.past.asked == [(12_600 + 7_200 + 105, "30m", 12_600, 19_800)]
    [repair] = d.repairs
    assert [(bar.start, bar.end, bar.open, bar.close, bar.volume) for bar in repair.bars] == [
        (at(12_600), at(16_200), 100, 111, sum(range(1, 13))),
        (at(16_200), at(19_800), 112, 123, sum(range(13, 25))),
    ]


def test_days_are_merged_of_hours() -> None:
    ticks = tape(*(600.0 * n for n in range(200)))

    async def use(d: Desk) -> None:
        await d.until(3_600)
        d.gaps.on_next(gap(100, 3_500))
        await d.until(100_000)

    d = desk(use, ticks, "1d", session="CME", past={"since": -40_000})
    # The trade date began at 22:00 UTC of the day before and ends at 21:00.
    assert [(asked, start, end) for _, asked, start, end in d.past.asked] == [("1h", -43_200, 39_600)]
    assert [(repair.timeframe, len(repair.bars)) for repair in d.repairs] == [("span", 1)]
    [bar] = d.repairs[0].bars
    assert (bar.open, bar.close, bar.volume, bar.trade_date.isoformat()) == (100, 165, sum(range(1, 67)), "2025-03-10")


def test_what_history_does_not_have_is_asked_for_in_longer_bars_but_no_longer_than_ours() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(300)

    d = desk(use, EVERY_HALF, "1s", "5s", "1m", past={"has": lambda timeframe: timeframe not in ("1s", "5s")})
    assert [(when, asked) for when, asked, *_ in d.past.asked] == [(16, "1s"), (20, "5s"), (65, "1m")]
    assert [shown(repair)[:12] for repair in d.repairs] == ["A 1m 0 to 60"]
    assert d.not_repaired == []
    d = desk(use, EVERY_HALF, "1s", "5s", past={"has": lambda timeframe: timeframe == "1m"})
    assert d.not_repaired == ["not repaired A 3.5 to 10: history has no bars of 5s: no such bars: 5s"]
    assert d.operator.stats.not_repaired == 1


def test_windows_shorter_than_a_second_stay_as_they_are() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(300)

    d = desk(use, EVERY_HALF, "250ms", "1s")
    assert [repair.timeframe for repair in d.repairs] == ["1s"]


def test_late_history_is_asked_again_and_is_not_believed_before() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(600)

    d = desk(use, EVERY_HALF, "1s", past={"late": 60})
    assert [when for when, *_ in d.past.asked] == [16, 21, 36, 81]
    assert [repair.start for repair in d.repairs] == [at(3)]
    assert len(d.repairs[0].bars) == 8
    # Half of it is known at first, and the rest later.
    d = desk(use, EVERY_HALF, "1s", past={"late": 10})
    assert [(when, start, end) for when, _, start, end in d.past.asked] == [(16, 3, 16), (21, 5, 21)]
    assert [(when, text.split(":")[0]) for when, text in d.told] == [(16, "A 1s 3 to 5"), (21, "A 1s 5 to 11")]


def test_a_hole_that_is_filled_later_is_waited_for() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(600)

    d = desk(use, EVERY_HALF, "1s", past={"holes": [("1s", 6), ("1s", 7)], "whole": 50})
    assert [(when, text.split(":")[0]) for when, text in d.told] == [(16, "A 1s 3 to 6"), (81, "A 1s 6 to 11")]
    assert sum(len(repair.bars) for repair in d.repairs) == 8


def test_a_window_without_a_bar_had_no_trades_if_history_says_so_a_minute_later() -> None:
    ticks = tape(*(n / 2 for n in range(8)), 9.5, 10, 11)

    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(600)

    d = desk(use, ticks, "1s")
    assert d.told == [(16, "A 1s 3 to 4: 3:107x15"), (81, "A 1s 4 to 11: 9:108x9 10:109x10")]
    assert d.not_repaired == []


def test_an_answer_that_stays_empty_is_no_truth() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(3_600)

    d = desk(use, [], "1s", "1m")
    assert d.repairs == []
    assert d.not_repaired == ["not repaired A 3.5 to 10: history has nothing of 1m from 2025-03-10T10:00:00Z on"]
    assert [asked for _, asked, *_ in d.past.asked] == ["1s"] * 4 + ["1m"] * 6
    # All but the end: what is before the last bar is known.
    d = desk(use, tape(3.5, 5), "1s")
    assert [text for _, text in d.told] == ["A 1s 3 to 4: 3:100x1", "A 1s 4 to 6: 5:101x2"]
    assert d.not_repaired == ["not repaired A 6 to 10: history has nothing of 1s from 2025-03-10T10:00:06Z on"]


def test_a_quiet_contract_is_known_when_it_trades_again() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(4, 9))
        await d.until(3_600)

    # It has traded at 2 and will at 150; the gap is what nobody has heard, and no trade was in it.
    d = desk(use, tape(2, 150), "1s")
    assert [(when, text) for when, text in d.told] == [(216, "A 1s 4 to 10")]
    assert d.not_repaired == []


def test_history_that_does_not_reach_back_is_asked_for_longer_bars() -> None:
    async def use(d: Desk) -> None:
        await d.until(400)
        d.gaps.on_next(gap(30, 390))
        await d.until(3_600)

    class Short(Past):
        async def __call__(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
            self.since = 200 if timeframe == "1s" else -1e6
            return await super().__call__(symbol, timeframe, start, end)

    async def main(simulation: Simulation) -> Desk:
        d = Desk(simulation, Short(EVERY_HALF, lambda: simulation.clock.now), "1s", "1m")
        await use(d)
        d.subscription.dispose()
        return d

    d = simulate(main, start=T0)
    assert [(asked, start) for _, asked, start, _ in d.past.asked] == [("1s", 30), ("1s", 30 - 3_600), ("1m", 0)]
    assert [shown(repair).split(":")[0] for repair in d.repairs] == ["A 1s 200 to 391", "A 1m 0 to 240"]
    assert d.not_repaired == []


@pytest.mark.parametrize(
    ("errors", "asked", "told"),
    [
        ([Unreachable("nobody there")] * 3, [16, 21, 36, 81], ["A 1s 3 to 11"]),
        ([TooManyRequests("slower", 120.0)], [16, 136], ["A 1s 3 to 11"]),
        ([GatewayRefused("HTTP 502", 502), TokenRefused("old")], [16, 21, 36], ["A 1s 3 to 11"]),
        ([GatewayRefused("no such unit", 3)], [16, 65], ["A 1m 0 to 60"]),
        ([ProtocolError("nonsense")], [16, 65], ["A 1m 0 to 60"]),
        ([UnknownContract("no such contract: A")], [16], ["not repaired A 3.5 to 10: no such contract: A"]),
        ([KeyError("token=abc")], [16], ["not repaired A 3.5 to 10: history raised KeyError"]),
        ([asyncio.CancelledError()], [16], ["not repaired A 3.5 to 10: history was cancelled, and not by us"]),
        ([Unreachable("nobody there")] * 9, [16, 21, 36, 81, 216, 621], ["not repaired A 3.5 to 10: nobody there"]),
    ],
    ids=lambda value: "" if isinstance(value, float) else None,
)
def test_errors_of_history_are_handled(errors: list[BaseException], asked: list[float], told: list[str]) -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        await d.until(700)
        d.past.errors.clear()
        d.gaps.on_next(gap(630, 690, symbol="B"))  # the stream goes on
        await d.until(800)

    d = desk(use, EVERY_HALF + tape(*range(600, 700), symbol="B"), "1s", "1m", past={"errors": errors})
    assert [when for when, *_ in d.past.asked][:-1] == asked
    assert [text.split(":")[0] for _, text in d.told][:-1] + d.not_repaired == told
    assert d.told[-1][1].startswith("B 1s 630 to 691")


def test_what_history_answers_is_looked_through() -> None:
    for wrong, text in {
        "symbol": "history was asked about A, and answered B 1s",
        "low": "history answered a bar that cannot be: A 1s",
        "start": "history was asked for bars of 1s on UTC's grid, and answered one from 2025-03-10T10:00:05.000000007Z on",
    }.items():

        class Wrong(Past):
            async def __call__(self, symbol: str, timeframe: str, start: int, end: int) -> Any:
                rows = (await super().__call__(symbol, timeframe, start, end)).rows()
                value = {"symbol": "B", "low": 1e9, "start": rows[2].start + 7}[wrong]  # noqa: B023
                return Frame.of([*rows[:2], msgspec.structs.replace(rows[2], **{wrong: value}), *rows[3:]])  # noqa: B023

        async def main(simulation: Simulation) -> Desk:
            d = Desk(simulation, Wrong(EVERY_HALF, lambda: simulation.clock.now), "1s")
            await d.until(10)
            d.gaps.on_next(gap(3.5, 10))
            await d.until(100)
            d.subscription.dispose()
            return d

        d = simulate(main, start=T0)
        assert d.repairs == []
        assert len(d.not_repaired) == 1
        assert text in d.not_repaired[0]


def test_no_frame_of_bars_is_no_answer() -> None:
    async def main(simulation: Simulation) -> list[Event]:
        async def history(symbol: str, timeframe: str, start: int, end: int) -> Any:
            return Frame.of([tick()])

        events: list[Event] = []
        gaps: Subject[Gap] = Subject()
        with gaps.pipe(ops.repair(history, "1s", events=events.append, scheduler=simulation.clock)).subscribe():
            gaps.on_next(gap(0, 1))
            await asyncio.sleep(60)
        return events

    [event] = simulate(main, start=T0)
    assert shown(event) == "not repaired A 0 to 1: history must answer a Frame[Bar], got Frame[Tick]"


def test_history_that_asks_for_the_session_is_told() -> None:
    async def main(simulation: Simulation) -> list[Any]:
        past, heard = Past(EVERY_HALF, lambda: simulation.clock.now), list[Any]()

        async def history(symbol: str, timeframe: str, start: int, end: int, *, session: Any = "CME") -> Any:
            heard.append(session)
            return await past(symbol, timeframe, start, end)

        gaps: Subject[Gap] = Subject()
        instruments = [Instrument("B", session="FX")]
        operator = ops.repair(history, "1s", session="NYSE", instruments=instruments, events=lambda _: None)
        with gaps.pipe(operator).subscribe(scheduler=simulation.clock.scheduler):
            await asyncio.sleep(14_400)
            gaps.on_next(gap(14_000, 14_010))
            gaps.on_next(gap(14_000, 14_010, symbol="B"))
            await asyncio.sleep(10)
        return heard

    assert simulate(main, start=T0) == [sessions.get("NYSE"), sessions.get("FX")]


def test_while_the_market_is_closed_there_is_nothing_to_repair() -> None:
    async def use(d: Desk) -> None:
        d.gaps.on_next(gap(0, 10))
        d.gaps.on_next(gap(20, None))
        d.gaps.on_next(gap(20, 30))
        await d.until(100)

    d = desk(use, EVERY_HALF, "1s", "1d", session="NYSE")
    assert (d.past.asked, d.told, d.events) == ([], [], [])
    assert d.operator.stats.closed_market == 2


def test_gaps_that_adjoin_are_asked_about_together() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        d.gaps.on_next(gap(5, 7, symbol="B"))
        await d.until(12)
        d.gaps.on_next(gap(11.2, 11.8))
        await d.until(30)
        d.gaps.on_next(gap(20, 21))
        await d.until(38)
        d.gaps.on_next(gap(24, 25))
        await d.until(100)

    d = desk(use, EVERY_HALF + tape(5, 6, 7, 8, symbol="B"), "1s")
    assert [(when, start) for when, _, start, _ in d.past.asked if when < 40] == [(16, 5), (17, 3), (36, 20)]
    assert [(repair.gap.start, repair.gap.end) for repair in d.repairs if repair.gap.symbol == "A"] == [
        (at(3.5), at(11.8)), (at(20), at(21)), (at(24), at(25)),
    ]  # fmt: skip
    assert (d.operator.stats.received, d.operator.stats.repaired) == (5, 5)


def test_a_connection_that_comes_and_goes_does_not_put_off_for_ever() -> None:
    async def use(d: Desk) -> None:
        for n in range(30):
            await d.until(2 * n + 2)
            d.gaps.on_next(gap(2 * n + 0.5, 2 * n + 2))
        await d.until(200)

    d = desk(use, EVERY_HALF, "1s")
    whens = [when for when, *_ in d.past.asked]
    assert whens[0] <= 13
    assert len(whens) < 12
    assert {bar.start for repair in d.repairs for bar in repair.bars} == {at(n) for n in range(61)}


def test_the_oldest_of_too_many_is_given_up() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        for n in range(4):
            d.gaps.on_next(gap(n, None if n == 1 else n + 0.1, symbol="ABCD"[n]))
        await d.until(12)
        d.gaps.on_next(gap(1, 9, symbol="B"))
        await d.until(100)

    ticks = [each for symbol in "ABCD" for each in tape(0, 1, 2, 3, 4, 9, 10, symbol=symbol)]
    d = desk(use, ticks, "1s", most=2)
    assert d.not_repaired == [
        "not repaired A 0 to 0.1: more than 2 gaps wait, and this is the oldest",
        "not repaired B 1 to …: more than 2 gaps wait, and this is the oldest",
        "not repaired C 2 to 2.1: more than 2 gaps wait, and this is the oldest",
    ]
    assert {repair.gap.symbol for repair in d.repairs} == {"B", "D"}
    stats = d.operator.stats
    assert (stats.received, stats.repaired, stats.not_repaired, stats.told_again) == (5, 2, 3, 0)


def test_of_a_long_gap_only_the_last_part_is_asked_for() -> None:
    async def use(d: Desk) -> None:
        await d.until(500)
        d.gaps.on_next(gap(3.5, 500))
        await d.until(600)

    d = desk(use, EVERY_HALF, "1s", longest="100s")
    assert d.not_repaired == ["not repaired A 3.5 to 400: no more than the last 100 s of a gap are asked for"]
    assert [shown(repair).split(":")[0] for repair in d.repairs] == ["A 1s 400 to 501"]
    assert d.operator.stats.not_repaired == 1


def test_a_long_answer_comes_in_pieces_that_leave_nothing_out() -> None:
    async def use(d: Desk) -> None:
        await d.until(5_000)
        d.gaps.on_next(gap(0, 4_999))
        await d.until(5_100)

    d = desk(use, tape(*range(5_000)), "1s")
    assert [(repair.start, repair.end) for repair in d.repairs] == [
        (at(0), at(2_000)), (at(2_000), at(4_000)), (at(4_000), at(5_000)),
    ]  # fmt: skip
    assert [bar.start for repair in d.repairs for bar in repair.bars] == [at(n) for n in range(5_000)]
    assert len(d.past.asked) == 1


def test_a_wrong_clock_makes_no_difference() -> None:
    whens: list[Any] = []
    for off in (-3_600, 0, 3_600):

        async def main(simulation: Simulation) -> list[tuple[float, str]]:
            past = Past(EVERY_HALF, lambda: simulation.clock.now - off * SECOND)  # noqa: B023
            gaps: Subject[Gap] = Subject()
            told: list[tuple[float, str]] = []
            stream = gaps.pipe(ops.repair(past, "1s", "1m", events=lambda _: None, scheduler=simulation.clock))
            with stream.subscribe(lambda repair: told.append((simulation.loop.time(), shown(repair)))):
                await asyncio.sleep(10)
                gaps.on_next(gap(3.5, 10))
                await asyncio.sleep(100)
            return told

        whens.append(simulate(main, start=T0 + off * SECOND))
    assert whens[0] == whens[1] == whens[2] != []


def test_on_completion_what_waits_is_waited_for_and_what_lasts_is_not() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        d.gaps.on_next(gap(8, None, symbol="B"))
        d.gaps.on_completed()
        await d.until(100)

    d = desk(use, EVERY_HALF, "1s")
    assert [text.split(":")[0] for _, text in d.told] == ["A 1s 3 to 11", "completed"]
    assert d.told[1][0] == 16
    assert d.not_repaired == ["not repaired B 8 to …: there is nobody any more to tell its end"]


def test_an_error_of_the_source_ends_it_at_once() -> None:
    async def use(d: Desk) -> None:
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        d.gaps.on_error(ValueError("over"))
        await d.until(100)

    d = desk(use, EVERY_HALF, "1s")
    assert d.told == [(10, "error ValueError('over')")]


@pytest.mark.parametrize("when", [9.9, 10, 12, 16, 17, 19, 22, 40, 90, 1_000])
def test_disposed_of_in_any_state_it_leaves_nothing(when: float) -> None:
    async def use(d: Desk) -> None:
        await d.until(5)
        d.gaps.on_next(gap(-1_000, None, symbol="B", cause="backfill"))
        await d.until(10)
        d.gaps.on_next(gap(3.5, 10))
        d.gaps.on_next(gap(4, None, symbol="A"))
        await d.until(max(10, when))
        d.subscription.dispose()
        told = list(d.told)
        d.gaps.on_next(gap(4, 20, symbol="A"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        await d.until(2_000)
        assert d.told == told

    desk(use, EVERY_HALF, "1s", past={"late": 20, "takes": 2})


def test_a_subscriber_that_raises_ends_its_own_subscription_and_is_told_of() -> None:
    async def main(simulation: Simulation) -> tuple[int, list[str]]:
        calls = 0

        def on_next(_: Repair) -> None:
            nonlocal calls
            calls += 1
            raise ValueError("mine")

        gaps: Subject[Gap] = Subject()
        stream = gaps.pipe(ops.repair(Past(EVERY_HALF, lambda: simulation.clock.now), "1s", scheduler=simulation.clock))
        stream.subscribe(on_next)
        for n in (3, 13, 23):
            gaps.on_next(gap(n, n + 1))
        await asyncio.sleep(100)
        assert not gaps.observers
        told = [str(each) for each in simulation.errors]
        simulation.errors.clear()
        return calls, told

    calls, told = simulate(main, start=T0)
    assert calls == 1
    assert told == ["at 6 s: rxfeed repair: a subscriber raised, which ends its subscription"]


def test_without_events_the_log_is_told_now_and_then() -> None:
    async def main(simulation: Simulation) -> list[str]:
        gaps: Subject[Gap] = Subject()
        past = Past([], lambda: simulation.clock.now, errors=[UnknownContract("no such contract")] * 50)
        with gaps.pipe(ops.repair(past, "1s", scheduler=simulation.clock)).subscribe():
            for n in range(20):
                gaps.on_next(gap(10 * n, 10 * n + 1))
            await asyncio.sleep(1_000)
        return simulation.logs.lines

    said = simulate(main, start=T0)
    lines = [text.strip() for text in said]
    written = [line for line in lines if line.endswith("repaired: no such contract")]
    counted = [
        int(found[1])
        for line in lines
        if (found := re.search(r"and (\d+) more like this in 60 s: a gap that is not repaired$", line))
    ]
    assert len(written) + len(counted) == len(lines)
    assert len(written) == 3 * len(counted)
    assert len(written) + sum(counted) == 20


def test_what_was_only_counted_is_logged_when_the_subscription_ends() -> None:
    async def main(simulation: Simulation) -> tuple[int, list[str]]:
        gaps: Subject[Gap] = Subject()
        past = Past([], lambda: simulation.clock.now, errors=[UnknownContract("no such contract")] * 50)
        with gaps.pipe(ops.repair(past, "1s", scheduler=simulation.clock)).subscribe():
            for n in range(5):
                gaps.on_next(gap(3 * n, 3 * n + 1))
            await asyncio.sleep(30)
            before = len(simulation.logs.lines)
        return before, [line.strip() for line in simulation.logs.lines]

    before, said = simulate(main, start=T0)
    assert before == 3
    assert len(said) == 4
    assert said[3].endswith("and 2 more like this in 60 s: a gap that is not repaired")


# What was before the start


def test_of_a_backfill_what_history_has_is_taken_at_once_and_the_seam_when_it_has_settled() -> None:
    async def use(d: Desk) -> None:
        await d.until(300)
        d.gaps.on_next(gap(200, None, cause="backfill"))
        await d.until(302.2)
        d.gaps.on_next(gap(200, 302, cause="backfill"))
        await d.until(400)

    d = desk(use, EVERY_HALF, "1s", "1m")
    assert [(when, text.split(":")[0]) for when, text in d.told] == [(300, "A 1s 200 to 295"), (308.2, "A 1s 295 to 303")]
    assert [bar.start for repair in d.repairs for bar in repair.bars] == [at(n) for n in range(200, 303)]
    assert d.not_repaired == []


@pytest.mark.parametrize("off", [-3_600, 3_600])
def test_a_backfill_with_a_wrong_clock_is_whole_all_the_same(off: int) -> None:
    async def main(simulation: Simulation) -> list[Repair]:
        past = Past(tape(*range(0, 7_000, 5)), lambda: simulation.clock.now - off * SECOND)
        gaps: Subject[Gap] = Subject()
        repairs: list[Repair] = []
        stream = gaps.pipe(ops.repair(past, "5s", "1m", events=lambda _: None, scheduler=simulation.clock))
        with stream.subscribe(repairs.append):
            await asyncio.sleep(6_000)
            start = simulation.clock.now - 5_000 * SECOND
            gaps.on_next(Gap("A", start, ONGOING, "backfill"))
            await asyncio.sleep(2.5)
            gaps.on_next(Gap("A", start, at(6_000), "backfill"))
            await asyncio.sleep(100)
        return repairs

    repairs = simulate(main, start=T0 + off * SECOND)
    starts = [bar.start for repair in repairs for bar in repair.bars]
    assert starts == [at(n) for n in range(max(0, 1_000 + off), 6_001, 5)]


def test_a_backfill_that_cannot_be_had_at_first_is_had_with_the_seam() -> None:
    async def use(d: Desk) -> None:
        await d.until(300)
        d.gaps.on_next(gap(200, None, cause="backfill"))
        await d.until(302.2)
        d.gaps.on_next(gap(200, 302, cause="backfill"))
        await d.until(400)

    d = desk(use, EVERY_HALF, "1s", past={"errors": [UnknownContract("not yet")]})
    assert [(when, text.split(":")[0]) for when, text in d.told] == [(308.2, "A 1s 200 to 303")]
    assert d.not_repaired == ["not repaired A 200 to 295: not yet"]
    assert d.operator.stats.repaired == 1


def test_an_end_that_is_told_while_history_is_asked_is_in_what_it_says() -> None:
    async def use(d: Desk) -> None:
        await d.until(300)
        d.gaps.on_next(gap(200, None, cause="backfill"))
        await d.until(302.2)
        d.gaps.on_next(gap(200, 302, cause="backfill"))
        await d.until(400)

    d = desk(use, EVERY_HALF, "1s", past={"takes": 3})
    assert [(when, repair.gap.end) for (when, _), repair in zip(d.told, d.repairs, strict=True)] == [
        (303, at(302)),
        (311.2, at(302)),
    ]


# Whatever history does, what it tells is true


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_told_is_true_and_what_is_not_is_said(data: st.DataObject) -> None:
    """With a history that is late, has holes for a time, fails now and then or forgets: each repair equals the truth in each of
    its windows, and all that the gap touches is either repaired or said not to be."""
    times = data.draw(st.lists(st.integers(0, 1_500), min_size=2, max_size=60, unique=True).map(sorted))
    ticks = [tick(each / 10, 100.0 + each % 7, 1 + each % 3, seq=n) for n, each in enumerate(times)]
    first, last = sorted(data.draw(st.lists(st.sampled_from(times), min_size=2, max_size=2)))
    timeframes = data.draw(
        st.sampled_from([("1s",), ("1s", "5s"), ("2s", "3s"), ("5s", "1m"), ("1m",), ("90s",), ("250ms", "1s")])
    )
    late = data.draw(st.sampled_from([0.0, 3.0, 10.0, 58.0]))
    adding = data.draw(st.sampled_from([0.0, 4.9]))
    holes = data.draw(st.lists(st.tuples(st.sampled_from(["1s", "5s", "1m"]), st.integers(0, 300)), max_size=20))
    errors = data.draw(
        st.lists(st.sampled_from([Unreachable("no"), TooManyRequests("slower", 7.0), GatewayRefused("no", 1)]), max_size=2)
    )
    latency = data.draw(st.sampled_from([0.0, 0.3, 2.0]))

    async def use(d: Desk) -> None:
        await d.until(first / 10)
        lost = gap(first / 10, last / 10)
        d.gaps.on_next(Gap(lost.symbol, lost.start, ONGOING, lost.cause))
        await d.until(last / 10 + latency)
        d.gaps.on_next(lost)
        await d.until(3_000)

    d = desk(
        use, ticks, *timeframes,
        past={
            "late": late, "adding": adding, "errors": errors, "whole": 55,
            "holes": [(timeframe, n // seconds(timeframe) * seconds(timeframe)) for timeframe, n in holes],
        },
    )  # fmt: skip
    told: set[int] = set()
    for repair in d.repairs:
        step = seconds(repair.timeframe)
        true = truth(ticks, step)
        windows = range(repair.start, repair.end, step * SECOND)
        assert [bar.start for bar in repair.bars] == [start for start in windows if start in true]
        for bar in repair.bars:
            assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == true[bar.start]
        told.update(range(repair.start, repair.end, SECOND // 10))
    for event in d.events:
        if isinstance(event, NotRepaired):
            told.update(range(event.gap.start, event.gap.end + 1, SECOND // 10))
    assert set(range(at(first / 10), at(last / 10) + 1, SECOND // 10)) <= told
    if not errors:
        assert d.not_repaired == []
