"""What the simulated exchange lists: contracts, their ids, names and grids of prices.

A root becomes the front quarterly month by the simulation's date: MNQ in January 2026 is CON.F.US.MNQ.H26. The table of
aliases is this package's own, since the simulator is what the client is checked against.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from rxfeed.feeds.market import Grid
from rxfeed.instrument import Instrument
from rxfeed.times import SECOND

MONTHS: Final = "FGHJKMNQUVXZ"
_QUARTERS: Final = (3, 6, 9, 12)
_FRIDAY: Final = 4
_NAMES: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
                 "December")  # fmt: skip
_ALIASES: Final[Mapping[str, str]] = {"ES": "EP", "NQ": "ENQ", "GC": "GCE", "CL": "CLE"}
_BACK: Final[Mapping[str, str]] = {code: root for root, code in _ALIASES.items()}
_ROOTS: Final[Mapping[str, tuple[float, float, float, str]]] = {
    "ES": (0.25, 12.5, 5_900.0, "E-mini S&P 500"),
    "MES": (0.25, 1.25, 5_900.0, "Micro E-mini S&P 500"),
    "NQ": (0.25, 5.0, 21_500.0, "E-mini NASDAQ-100"),
    "MNQ": (0.25, 0.5, 21_500.0, "Micro E-mini Nasdaq-100"),
    "RTY": (0.1, 5.0, 2_200.0, "E-mini Russell 2000"),
    "M2K": (0.1, 0.5, 2_200.0, "Micro E-mini Russell 2000"),
    "YM": (1.0, 5.0, 44_000.0, "E-mini Dow"),
    "MYM": (1.0, 0.5, 44_000.0, "Micro E-mini Dow"),
    "CL": (0.01, 10.0, 72.0, "Crude Oil"),
    "GC": (0.1, 10.0, 2_650.0, "Gold"),
}
"""Tick size, tick value, where the price begins, and what it is."""
ROOTS: Final = tuple(_ROOTS)
"""The roots that it knows by name; others are listed with a grid that is made up."""
_OTHER: Final = (0.01, 1.0, 100.0, "Simulated")
_ID: Final = re.compile(r"CON\.F\.US\.([A-Z0-9]+)\.([FGHJKMNQUVXZ])(\d\d)")
_MONTHLY: Final = re.compile(r"([A-Z0-9]+?)([FGHJKMNQUVXZ])(\d\d)")
_ROOT: Final = re.compile(r"[A-Z][A-Z0-9]*")


@dataclass(frozen=True, slots=True)
class Listed:
    """One contract of the simulated exchange."""

    id: str
    symbol_id: str
    root: str
    name: str
    symbol: str
    description: str
    tick_size: float
    tick_value: float
    active: bool
    grid: Grid

    def price(self, ticks: int) -> float:
        """Return so many ticks as a price, correctly rounded."""
        return ticks * self.grid.up / self.grid.down

    def ticks(self, price: float) -> int:
        """Return a price as whole ticks.

        Raises:
            ValueError: the price is off the grid.
        """
        return Instrument(self.symbol, self.tick_size).ticks(price)

    def row(self) -> dict[str, Any]:
        """Return it as the gateway's REST answers show it."""
        return {
            "id": self.id, "name": self.name, "description": self.description, "tickSize": self.tick_size,
            "tickValue": self.tick_value, "activeContract": self.active, "symbolId": self.symbol_id,
        }  # fmt: skip


def day_of(now: int) -> date:
    """Return the UTC date of an instant."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now // SECOND)).date()


def front(day: date) -> tuple[str, int]:
    """Return month code and year of the quarterly contract that is at the front on a day: until its third Friday."""
    for year in (day.year, day.year + 1):
        for month in _QUARTERS:
            first = date(year, month, 1)
            if day <= first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14):
                return MONTHS[month - 1], year
    raise AssertionError("a year has a third Friday in March")


def listing(contracts: Iterable[str], now: int, tick_sizes: Mapping[str, float] | None = None) -> dict[str, Listed]:
    """Return contracts by id.

    Args:
        contracts: roots ("MNQ"), months ("MNQZ26") or ids ("CON.F.US.MNQ.Z26"), in the order in which they trade most.
        now: the simulation's time, which decides the front month.
        tick_sizes: of roots that have no known one, or shall have another; 0.01 without.

    Raises:
        ValueError: text that is none of these, a contract twice, none at all.
    """
    code, year = front(day_of(now))
    found: dict[str, Listed] = {}
    for text in contracts:
        one = _listed(text, code, year, tick_sizes or {})
        if one.id in found:
            raise ValueError(f"contracts must differ, got {one.id} twice")
        found[one.id] = one
    if not found:
        raise ValueError("contracts must not be empty")
    return found


def _listed(text: str, code: str, year: int, tick_sizes: Mapping[str, float]) -> Listed:
    month, digits = code, f"{year % 100:02d}"
    if match := _ID.fullmatch(text):
        root, month, digits = _BACK.get(match[1], match[1]), match[2], match[3]
    elif match := _MONTHLY.fullmatch(text):
        root, month, digits = match.groups()
    elif _ROOT.fullmatch(text):
        root = text
    else:
        raise ValueError(f'a contract must be like "MNQ", "MNQZ26" or "CON.F.US.MNQ.Z26", got {text!r}')
    tick, value, price, words = _ROOTS.get(root, _OTHER)
    if root in tick_sizes:
        tick = tick_sizes[root]
        price = max(price, 1_000 * tick)
    exchange = _ALIASES.get(root, root)
    symbol = f"{root}{month}{digits}"
    return Listed(
        id=f"CON.F.US.{exchange}.{month}{digits}", symbol_id=f"F.US.{exchange}", root=root, name=f"{root}{month}{digits[-1]}",
        symbol=symbol, description=f"{words}: {_NAMES[MONTHS.index(month)]} 20{digits} (simulated)", tick_size=tick,
        tick_value=value, active=(month, digits) == (code, f"{year % 100:02d}"),
        grid=Grid.of(Instrument(symbol, tick), price),
    )  # fmt: skip
