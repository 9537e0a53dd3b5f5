"""Rules on what an element says by itself: prices, sizes, and whether it says anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Depth, DepthKind, Quote, Tick
from rxfeed.rules.base import Blocks, Element, Mask, Rule, prices


@dataclass(frozen=True, slots=True)
class Finite(Rule):
    """Fails NaN and infinite prices."""

    name = "finite"
    order = 1

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        for price in prices(element):
            if not math.isfinite(price):
                return f"price must be finite, got {price}"
        return None

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        low, high = frame.bounds("price")
        return None if low > -math.inf and high < math.inf else np.isfinite(frame.grouped("price"))


@dataclass(frozen=True, slots=True)
class Positive(Rule):
    """Fails prices of 0 and below, but for instruments that may be negative."""

    name = "positive"
    order = 2

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if instrument is None or not instrument.may_be_negative:
            for price in prices(element):
                if not price > 0:
                    return f"price must be more than 0, got {price}"
        return None

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        if frame.bounds("price")[0] > 0:
            return None
        price = frame.grouped("price")
        free = np.array([i is not None and i.may_be_negative for i in instruments])
        return (price > 0) | np.repeat(free, np.diff(frame.groups.starts))


@dataclass(frozen=True, slots=True)
class OnGrid(Rule):
    """Fails prices that are no multiple of the instrument's tick size; passes all where that is not known."""

    name = "on_grid"
    order = 3

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if instrument is not None and instrument.tick_size is not None:
            for price in prices(element):
                if not instrument.on_grid(price):
                    return f"price must be a multiple of {instrument.tick_size}, got {price}"
        return None

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        steps = np.array([math.nan if i is None or i.tick_size is None else i.tick_size for i in instruments])
        if np.isnan(steps).all():
            return None
        price = frame.grouped("price")
        step = steps[0] if (steps == steps[0]).all() else np.repeat(steps, np.diff(frame.groups.starts))
        with np.errstate(over="ignore", invalid="ignore"):
            off = price / step
            np.rint(off, out=off)
            off *= step
            off -= price
            np.abs(off, out=off)
            # The same bound as Instrument.on_grid, whose costly half is asked for only where the first one fails.
            good = off <= 1e-6 * step
            if good.all():
                return None
            good |= off <= 4 * np.spacing(np.abs(price))
            good |= np.isnan(np.broadcast_to(step, price.shape))
        return good


@dataclass(frozen=True, slots=True)
class Size(Rule):
    """Fails sizes outside `least` to `most` lots. Sizes of quotes and depth may be 0."""

    least: int = 1
    most: int = 10**12

    name = "size"
    order = 4

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.most:
            raise ValueError(f"size must be a range from 0 up, got least {self.least} and most {self.most}")

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if isinstance(element, Tick):
            least, sizes = self.least, (element.size,)
        else:
            least, sizes = 0, (element.bid_size, element.ask_size) if isinstance(element, Quote) else (element.size,)
        if isinstance(element, Tick) and not isinstance(element.size, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            return f"size must be a whole number of lots, got {element.size!r}"
        for size in sizes:
            if size is not None and not least <= size <= self.most:
                return f"size must be from {least} to {self.most} lots, got {size}"
        return None

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        low, high = frame.bounds("size")
        if low >= self.least and high <= self.most:
            return None
        size = frame.grouped("size")
        return (size >= self.least) & (size <= self.most)


@dataclass(frozen=True, slots=True)
class Crossed(Rule):
    """Fails quotes whose bid is above their ask."""

    name = "crossed"
    order = 5

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if isinstance(element, Quote) and element.bid is not None and element.ask is not None and element.bid > element.ask:
            return f"bid must not be above ask, got bid {element.bid} and ask {element.ask}"
        return None

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return None


@dataclass(frozen=True, slots=True)
class Empty(Rule):
    """Fails quotes that say nothing, and levels of depth without a price."""

    name = "empty"
    order = 6

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if isinstance(element, Quote):
            said = (element.bid, element.ask, element.bid_size, element.ask_size, element.last, element.volume)
            return "quote must say something, got no field at all" if all(value is None for value in said) else None
        if isinstance(element, Depth) and element.kind == DepthKind.LEVEL and element.price is None:
            return "a level must have a price, got None"
        return None

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return None
