"""A past that is known, and a history that tells of it: late, with holes, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from rxfeed.errors import FeedError
from rxfeed.events import Event, NotRepaired, Repaired
from rxfeed.frame import Frame
from rxfeed.model import ONGOING, Bar, Gap, Repair, Tick
from rxfeed.sessions import get
from rxfeed.times import SECOND, iso
from tests.builders import T0

UNITS = {"s": 1, "m": 60, "h": 3_600}
Ohlcv = tuple[float, float, float, float, int]


def seconds(timeframe: str) -> int:
    return int(timeframe[:-1]) * UNITS[timeframe[-1]]


def at(second: float) -> int:
    return T0 + round(second * SECOND)


def ohlcv(ticks: Iterable[Tick]) -> Ohlcv:
    some = sorted(ticks, key=lambda tick: (tick.time, tick.seq))
    prices = [tick.price for tick in some]
    return prices[0], max(prices), min(prices), prices[-1], sum(tick.size for tick in some)


def truth(ticks: Iterable[Tick], step: int) -> dict[int, Ohlcv]:
    """By start, the bars of a tape on UTC's grid, `step` in seconds."""
    by: dict[int, list[Tick]] = {}
    for tick in ticks:
        by.setdefault(tick.time - tick.time % (step * SECOND), []).append(tick)
    return {start: ohlcv(some) for start, some in by.items()}


class Past:
    """A history of a tape.

    Args:
        ticks: the tape.
        now: the exchange's time.
        late: seconds after its end until a bar is there; after `whole` it is 0.
        adding: seconds until a trade is known, so that a bar may be there without its last trades.
        holes: the windows, by timeframe and start in seconds after T0, that it does not have until `whole` s after their end.
        since: seconds after T0 from which on it has bars.
        has: the timeframes that it has.
        errors: raised one after the other, before it answers.
        takes: seconds that an answer takes.
    """

    def __init__(
        self, ticks: Iterable[Tick], now: Callable[[], int], *, late: float = 0.0, adding: float = 0.0,
        holes: Iterable[tuple[str, float]] = (), whole: float = 1e9, since: float = -1e6,
        has: Callable[[str], bool] = lambda _: True, errors: Iterable[BaseException] = (), takes: float = 0.0,
    ) -> None:  # fmt: skip
        self.ticks, self.now, self.late, self.adding = list(ticks), now, late, adding
        self.holes = {(timeframe, at(start)) for timeframe, start in holes}
        self.whole, self.since, self.has, self.errors, self.takes = whole, since, has, list(errors), takes
        self.asked: list[tuple[float, str, float, float]] = []
        """When, for what, from when, until when: in seconds after T0."""

    async def __call__(self, symbol: str, timeframe: str, start: int, end: int) -> Frame[Bar]:
        self.asked.append(((self.now() - T0) / SECOND, timeframe, (start - T0) / SECOND, (end - T0) / SECOND))
        assert start < end, "an empty stretch"
        if self.takes:
            await asyncio.sleep(self.takes)
        if self.errors:
            raise self.errors.pop(0)
        if not self.has(timeframe):
            raise ValueError(f"no such bars: {timeframe}")
        step = seconds(timeframe)
        known = [tick for tick in self.ticks if tick.symbol == symbol and tick.time <= self.now() - self.adding * SECOND]
        rows: list[Bar] = []
        for begin, (o, h, low, c, volume) in sorted(truth(known, step).items()):
            if not (start <= begin < end and begin + (step + self.late) * SECOND <= self.now() and begin >= at(self.since)):
                continue
            if (timeframe, begin) in self.holes and self.now() < begin + round((step + self.whole) * SECOND):
                continue
            rows.append(_bar(symbol, timeframe, begin, begin + step * SECOND, o, h, low, c, volume))
        return Frame.of(rows, Bar)


def _bar(symbol: str, timeframe: str, start: int, end: int, *values: Any) -> Bar:
    make: Any = Bar
    span = get("24x7").span_at(start)
    assert span is not None
    return make(symbol, timeframe, start, end, *values, *[None] * 8, span.trade_date, 0, 8)


def shown(element: Any) -> str:
    """A repair, a gap or an event in brief, times in seconds after T0."""
    match element:
        case Repair():
            starts = " ".join(f"{(bar.start - T0) / SECOND:g}:{bar.close:g}x{bar.volume}" for bar in element.bars)
            bounds = f"{(element.start - T0) / SECOND:g} to {(element.end - T0) / SECOND:g}"
            return f"{element.gap.symbol} {element.timeframe} {bounds}: {starts}".rstrip(": ")
        case Gap():
            end = "…" if element.end == ONGOING else f"{(element.end - T0) / SECOND:g}"
            return f"{element.symbol} {(element.start - T0) / SECOND:g} to {end}"
        case Repaired():
            return f"repaired {shown(element.repair)}"
        case NotRepaired():
            return f"not repaired {shown(element.gap)}: {element.text}"
        case _:
            return str(element)


def gap(start: float, end: float | None, symbol: str = "A", cause: str = "dropped") -> Gap:
    return Gap(symbol, at(start), ONGOING if end is None else at(end), cause)


__all__ = ["Event", "FeedError", "Past", "at", "gap", "iso", "ohlcv", "seconds", "shown", "truth"]
