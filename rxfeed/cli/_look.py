"""A run as it is at one moment: values only, so that they can be drawn in a thread while the run goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rxfeed.cli._faces import Scene
from rxfeed.kernels.meter import Summary
from rxfeed.model import Bar, Tick


class SymbolLook(NamedTuple):
    """One symbol."""

    symbol: str
    tick_size: float
    last: Tick | None
    before: float
    """The last price that was another one; 0 when there was none."""
    rate: float
    trades: int
    lots: int


class Look(NamedTuple):
    """A run, at one moment."""

    where: str
    simulated: bool
    state: str
    session: str
    closed: str | None
    """That the market is closed, and when it opens."""
    now: int
    since: int
    rate: float
    received: int
    newest: int | None
    work: Summary | None
    lag: Summary | None
    symbols: list[SymbolLook]
    open_bars: list[Bar]
    """By symbol and timeframe."""
    closed_bars: list[Bar]
    """The newest first."""


def look_at(scene: Scene, closed_bars: Iterable[Bar], *, now: int, since: int, closed: str | None) -> Look:
    """Return how a run is now."""
    watch = scene.watch
    levels = {level.timeframe.name: at for at, level in enumerate(scene.windows.levels)}
    places = {symbol: at for at, symbol in enumerate(watch.by_symbol)}
    return Look(
        scene.where, scene.simulated, scene.state(), scene.windows.session.name, closed, now, since,
        watch.pace.per_second(now), watch.received, watch.newest, watch.work, watch.lag,
        [
            SymbolLook(symbol, one.contract.tick_size, one.last, one.before, one.pace.per_second(now), one.count, one.volume)
            for symbol, one in watch.by_symbol.items()
        ],
        sorted(scene.open.values(), key=lambda bar: (places[bar.symbol], levels[bar.timeframe])), list(closed_bars),
    )  # fmt: skip
