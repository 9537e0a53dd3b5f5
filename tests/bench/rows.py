"""Rows: validate and bars of five timeframes against a plain reactivex pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reactivex as rx
from reactivex import operators as rxo
from reactivex.subject import Subject

import rxfeed
from rxfeed import Bar, Tick
from rxfeed import operators as ops
from tests.bench.market import SESSION, TIMEFRAMES, frame
from tests.bench.measure import side_by_side

SECOND = 1_000_000_000
STEPS = {"1s": SECOND, "1m": 60 * SECOND, "5m": 300 * SECOND, "1h": 3600 * SECOND, "1d": 86_400 * SECOND}
SHIFT = 3600 * SECOND  # the CME session opens at 23:00 UTC in January, when the data is
Sink = Callable[[Any], None]


def ours(ticks: list[Tick], sink: Sink) -> None:
    """From the project's own source."""
    rxfeed.replay(ticks).pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION)).subscribe(sink)


def ours_by_subject(ticks: list[Tick], sink: Sink) -> None:
    """Driven as the plain pipeline is."""
    source: Subject[Tick] = Subject()
    source.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION)).subscribe(sink)
    _drive(source, ticks)


def plain(ticks: list[Tick], sink: Sink) -> None:
    """map > filter > group_by > 5 x scan, with the six basic fields; a synchronous source would give it no bars."""
    source: Subject[Tick] = Subject()
    groups = source.pipe(
        rxo.map(lambda t: t), rxo.filter(lambda t: t.price > 0 and t.size > 0), rxo.group_by(lambda t: t.symbol)
    )

    def step(width: int) -> Any:
        def add(bar: Any, t: Tick) -> Any:
            start = (t.time + SHIFT) // width
            price = t.price
            if bar is None or bar[0] != start:
                return start, price, price, price, price, t.size, 1
            _, first, high, low, _, volume, count = bar
            return start, first, max(high, price), min(low, price), price, volume + t.size, count + 1

        return rx.pipe(rxo.scan(add, None))

    def on_group(group: Any) -> None:
        for width in STEPS.values():
            group.pipe(step(width)).subscribe(sink)

    groups.subscribe(on_group)
    _drive(source, ticks)


def _drive(source: Subject[Tick], ticks: list[Tick]) -> None:
    emit = source.on_next
    for tick in ticks:
        emit(tick)
    source.on_completed()


def check(ticks: list[Tick]) -> float:
    """Compare the plain pipeline's bars with ours, since its speed says nothing otherwise; return ticks a 1s bar."""
    bars: list[Bar] = []
    ours(ticks, bars.append)
    symbol = ticks[0].symbol
    mine = {
        (b.timeframe, (b.start + SHIFT) // STEPS[b.timeframe]): (b.open, b.high, b.low, b.close, b.volume, b.count)
        for b in bars if b.symbol == symbol
    }  # fmt: skip
    states: list[Any] = []
    plain([t for t in ticks if t.symbol == symbol], states.append)
    theirs = {}
    for place, state in enumerate(states):  # the five scans speak in turn
        theirs[TIMEFRAMES[place % 5], state[0]] = state[1:]
    assert theirs == mine, "the plain pipeline and rxfeed disagree"
    return len(ticks) / sum(b.timeframe == "1s" for b in bars)


def run(count: int, repeats: int, rate: float) -> dict[str, float]:
    """Return ns of processor time a tick by name, and how many ticks make a 1s bar."""
    ticks = frame(count, rate).rows()
    per_bar = check(ticks)

    def nothing(_: object) -> None:
        pass

    result = side_by_side(
        {
            "plain reactivex": lambda: plain(ticks, nothing),
            "rxfeed, own source": lambda: ours(ticks, nothing),
            "rxfeed, Subject": lambda: ours_by_subject(ticks, nothing),
        },
        count, repeats=repeats, cpu=True,
    )  # fmt: skip
    return {**result, "ticks a 1s bar": per_bar}
