"""streamz: a stream of ticks with one accumulate a timeframe, each with the open bars of all symbols; closed bars go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.bench.market import Market
from tests.bench.peers import SHIFT, STEPS, Check, Lane, PeerBar, bar, need, nothing

KIND = "rows"
PACKAGES = ("streamz",)
OWN = None


def lanes() -> list[Lane]:
    streamz = need("streamz")

    def drive(ticks: list[Any], sink: Callable[[Any], None] = nothing) -> list[dict[str, list[Any]]]:
        source = streamz.Stream()
        good = source.filter(lambda t: t.price > 0 and t.size > 0)
        opened: list[dict[str, list[Any]]] = []
        for width in STEPS.values():
            opened.append({})
            good.accumulate(_step(width), start=opened[-1], returns_state=True).filter(_closed).sink(sink)
        for tick in ticks:
            source.emit(tick)
        return opened

    def bars(ticks: list[Any]) -> list[PeerBar]:
        closed: list[Any] = []
        opened = drive(ticks, closed.append)
        found = [*closed, *(state for states in opened for state in states.values())]
        names = {width: name for name, width in STEPS.items()}
        return [bar(s, names[width], start * width - SHIFT, values) for s, width, start, *values in found]

    def rows(market: Market) -> list[Any]:
        return market.rows

    return [Lane("streamz", rows, drive, (Check(bars),), most=50_000)]


def _step(width: int) -> Any:
    def add(states: dict[str, list[Any]], t: Any) -> tuple[dict[str, list[Any]], list[Any] | None]:
        start = (t.time + SHIFT) // width
        price = t.price
        state = states.get(t.symbol)
        if state is None or state[2] != start:
            states[t.symbol] = [t.symbol, width, start, price, price, price, price, t.size, 1]
            return states, state
        if price > state[4]:
            state[4] = price
        if price < state[5]:
            state[5] = price
        state[6] = price
        state[7] += t.size
        state[8] += 1
        return states, None

    return add


def _closed(state: list[Any] | None) -> bool:
    return state is not None
