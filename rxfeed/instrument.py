"""What one must know about an instrument to judge its ticks: its grid of prices, its lot, its hours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, cast

import msgspec

from rxfeed import sessions
from rxfeed.sessions import Session

_TOLERANCE: Final = 1e-6
"""How far off a price may be, as a part of a tick, beside what float arithmetic itself does to it."""


class Instrument(msgspec.Struct, frozen=True):
    """An instrument and its rules. Prices are in its quote currency, sizes in lots.

    Args:
        symbol: what its ticks are called.
        tick_size: the smallest step of a price, in price units: 0.25 for E-mini futures; None when there is no grid.
        lot_size: units of the underlying in one lot; a tick's `size` counts lots.
        session: its trading hours, or their name (`"CME"`); None: those of the pipeline.
        may_be_negative: whether zero and negative prices are real: crude oil and spreads, but no shares.

    Raises:
        ValueError: a value is not allowed; the text says what was given.
    """

    symbol: str
    tick_size: float | None = None
    lot_size: float = 1.0
    session: str | Session | None = None
    may_be_negative: bool = False

    def __post_init__(self) -> None:
        if not self.symbol or self.symbol != self.symbol.strip():
            raise ValueError(f"symbol must be text with no space around it, got {self.symbol!r}")
        if self.tick_size is not None and not 0 < self.tick_size < math.inf:
            raise ValueError(f"tick_size of {self.symbol} must be finite and more than 0, or None, got {self.tick_size}")
        if not 0 < self.lot_size < math.inf:
            raise ValueError(f"lot_size of {self.symbol} must be finite and more than 0, got {self.lot_size}")
        if self.session is not None:
            sessions.get(self.session)

    def on_grid(self, price: float) -> bool:
        """Return whether a price is a whole number of ticks, as nearly as floats can say.

        Any finite price is on the grid of an instrument without `tick_size`; NaN and infinity never are. Good for 0.1, 0.01
        and other steps that binary floats cannot hold, and for a million steps of 1e-8 and more.
        """
        step = self.tick_size
        if step is None:
            return math.isfinite(price)
        return math.isfinite(price / step) and _is_multiple(price, round(price / step), step)

    def ticks(self, price: float) -> int:
        """Return a price as a number of whole ticks, negative for a negative price.

        Differences of prices are exact in ticks where they are not in floats.

        Raises:
            ValueError: the price is off the grid or not finite, or the instrument has no `tick_size`.
        """
        step = self.tick_size
        if step is None:
            raise ValueError(f"{self.symbol} has no tick_size, so {price} is no number of ticks")
        if math.isfinite(price / step):
            count = round(price / step)
            if _is_multiple(price, count, step):
                return count
        raise ValueError(f"price of {self.symbol} must be a multiple of {step}, got {price}")


Instruments = Mapping[str, Instrument] | Iterable[Instrument] | None
"""Instruments by symbol, or just instruments."""


def by_symbol(instruments: Instruments) -> dict[str, Instrument]:
    """Return instruments by symbol.

    Raises:
        TypeError: something else than an `Instrument` is among them.
    """
    if isinstance(instruments, Mapping):
        named = dict(cast("Mapping[str, Instrument]", instruments))
    else:
        named = {str(getattr(i, "symbol", i)): i for i in instruments or ()}
    for instrument in named.values():
        if not isinstance(instrument, Instrument):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"instruments must be Instrument values, got {instrument!r}")
    return named


def _is_multiple(price: float, count: int, step: float) -> bool:
    # The price, the step and their product are each rounded once: that is less than 4 units in the price's last place.
    return abs(price - count * step) <= max(_TOLERANCE * step, 4 * math.ulp(price))
