"""What one writes with reactivex alone: map > filter > group_by > 5 x scan behind a Subject; six fields, hardly any validation.

A synchronous source would give group_by no bars, and a scan says its state at every tick, which is cheaper than finding out
which bars have closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reactivex as rx
from reactivex import operators as rxo
from reactivex.subject import Subject

from rxfeed import Tick
from tests.bench.market import Market
from tests.bench.peers import SHIFT, STEPS, Check, Lane, PeerBar, bar, nothing

KIND = "rows"
PACKAGES = ("reactivex",)
OWN = None


def plain(ticks: list[Tick], sink: Callable[[Any], None] = nothing) -> None:
    source: Subject[Tick] = Subject()
    groups = source.pipe(
        rxo.map(lambda t: t), rxo.filter(lambda t: t.price > 0 and t.size > 0), rxo.group_by(lambda t: t.symbol)
    )

    def step(width: int) -> Any:
        def add(state: Any, t: Tick) -> Any:
            start = (t.time + SHIFT) // width
            price = t.price
            if state is None or state[0] != start:
                return start, price, price, price, price, t.size, 1
            _, first, high, low, _, volume, count = state
            return start, first, max(high, price), min(low, price), price, volume + t.size, count + 1

        return rx.pipe(rxo.scan(add, None))

    def on_group(group: Any) -> None:
        for width in STEPS.values():
            group.pipe(step(width)).subscribe(sink)

    groups.subscribe(on_group)
    emit = source.on_next
    for tick in ticks:
        emit(tick)
    source.on_completed()


def bars(ticks: list[Tick]) -> list[PeerBar]:
    """The last state of each window; the five scans of a symbol speak in turn."""
    found: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    timeframes = list(STEPS)
    for symbol in {tick.symbol for tick in ticks}:
        states: list[Any] = []
        plain([t for t in ticks if t.symbol == symbol], states.append)
        for place, state in enumerate(states):
            timeframe = timeframes[place % 5]
            found[symbol, timeframe, state[0] * STEPS[timeframe] - SHIFT] = state[1:]
    return [bar(*key, values) for key, values in found.items()]


def _rows(market: Market) -> list[Tick]:
    return market.rows


def lanes() -> list[Lane]:
    return [Lane("plain reactivex", _rows, plain, (Check(bars),), targets={"rxfeed, own source": 8})]
