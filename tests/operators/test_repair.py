"""Gaps and what history says to them, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from reactivex import Subject

from rxfeed import operators as ops
from rxfeed.events import Event
from rxfeed.model import Gap, Repair
from rxfeed.testing import Simulation, simulate
from rxfeed.times import SECOND
from tests.builders import T0, tick
from tests.operators.past import Past, at, gap, shown


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
    assert d.past.asked == [(16.2, "1s", 3, 11)]
    [(when, _)] = d.told
    [repair] = d.repairs
    assert when == 16.2
    assert (repair.timeframe, repair.start, repair.end) == ("1s", at(3), at(11))
    assert [(bar.start, bar.open, bar.close, bar.volume) for bar in repair.bars] == [
        (at(n), 100.0 + 2 * n, 101.0 + 2 * n, 4 * n + 3) for n in range(3, 11)
    ]
    assert repair.gap == gap(3.5, 10)
    assert d.operator.stats._asdict() == dict.fromkeys(d.operator.stats._fields, 0) | {"received": 1, "repaired": 1}
