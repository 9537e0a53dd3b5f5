"""The peers, one file each. A file says what it is and hands out lanes; it is found by being here.

    KIND = "rows"                         # or "frames"
    PACKAGES = ("streamz",)               # whose versions are told
    OWN = None                            # or `Own(...)`: it needs an environment of its own
    def lanes() -> list[Lane]: ...        # raises Missing where something is not installed

Nothing of rxfeed is imported here, since a peer with an environment of its own runs without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

SECOND = 1_000_000_000
STEPS = {"1s": SECOND, "1m": 60 * SECOND, "5m": 300 * SECOND, "1h": 3600 * SECOND, "1d": 86_400 * SECOND}
SHIFT = 3600 * SECOND
"""The CME session opens at 23:00 UTC in January, when the data is: an hour before the day that peers without sessions know."""


class Ticks(NamedTuple):
    """What a peer with an environment of its own is given: columns as plain lists, times in ns."""

    symbol: list[str]
    time: list[int]
    price: list[float]
    size: list[int]
    side: list[int]


class PeerBar(NamedTuple):
    """A bar of a peer of rows, to be compared with ours."""

    symbol: str
    timeframe: str
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    count: int | None = None


class Check(NamedTuple):
    """Bars to compare with ours before anything is timed."""

    bars: Callable[[Any], Any]
    """From what `prepare` made to an iterable of `PeerBar`, or a frame with the columns that it has in common with ours."""
    timeframes: tuple[str, ...] = tuple(STEPS)
    """What it can make."""
    exact: bool = True
    """Whether it must be equal; else what differs is told."""
    name: str = ""
    """What was compared, if not what is timed."""


@dataclass(frozen=True)
class Lane:
    """One line of the table: a way to use a peer."""

    name: str
    prepare: Callable[[Any], Any]
    """From a `Market` to the peer's own form, not timed; in an environment of its own, from `Ticks`."""
    run: Callable[[Any], object]
    checks: tuple[Check, ...] = ()
    most: int | None = None
    """Ticks that are enough, for what is slow."""
    threads: int = 1
    targets: Mapping[str, float] = field(default_factory=dict[str, float])
    """How many times as fast as this each of our lanes is to be."""
    ours: bool = False
    spent: Callable[[Any], float] | None = None
    """Its own way to run and say the ns that it took, where it is not in this process."""


class Own(NamedTuple):
    """What a peer with an environment of its own needs: requirements, and the least Python that will do, and that is better."""

    requirements: tuple[str, ...]
    least: tuple[int, int]
    better: tuple[int, int]


class Missing(Exception):
    """A peer is not here; the text says how to get it."""


def need(module: str) -> Any:
    """Import what may not be installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise Missing(f"{error}; to get it: pip install -e '.[bench]'") from None


def nothing(_: Any) -> None:
    """The sink of what is timed."""


def bar(symbol: str, timeframe: str, start: int, values: Iterable[Any]) -> PeerBar:
    """A bar of open, high, low, close, volume and, where known, count."""
    return PeerBar(symbol, timeframe, start, *values)
