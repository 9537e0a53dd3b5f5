"""The rules of `validate`: what an element must be to be believed. Each is a value; the kernel keeps what they remember.

Their order is fixed: `known_time`, `finite`, `positive`, `on_grid`, `size`, `crossed`, `empty`, `future`, `stale`,
`outside_session`, your own, `going_back`, `jump`. The first that fails names the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rxfeed import sessions
from rxfeed.errors import RxfeedError
from rxfeed.frame import Frame
from rxfeed.grids import SPAN, Grid
from rxfeed.instrument import Instrument
from rxfeed.model import UNKNOWN_TIME, Depth, DepthKind, Quote, Tick
from rxfeed.sessions import Session
from rxfeed.times import FOREVER, Duration, iso, nanoseconds

Element = Tick | Quote | Depth
Mask = npt.NDArray[np.bool_]
Blocks = Sequence[Instrument | None]


class Rule:
    """A rule that looks at one element by itself. For your own, give it a `name` and write `reason`, or use `where`.

    `passes` is the same judgement on all rows of a frame; unless a rule has a faster way, it asks `reason` row by row.
    """

    name: str
    order: ClassVar[int] = 10

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        """Return why the element fails, or None if it passes."""
        raise NotImplementedError(f"{type(self).__name__} must say how it judges an element: write its method reason()")

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        """Return which rows pass, in the order of `frame.groups` (block i is of `instruments[i]`); None for all."""
        sizes = np.diff(frame.groups.starts).tolist()
        of_row = [i for i, n in zip(instruments, sizes, strict=True) for _ in range(n)]
        rows = frame.rows()
        order = range(len(rows)) if frame.groups.order is None else frame.groups.order.tolist()
        return np.array([self.reason(rows[at], i) is None for at, i in zip(order, of_row, strict=True)], np.bool_)


def prices(element: Element) -> tuple[float, ...]:
    """Return the prices that an element states."""
    if isinstance(element, Tick):
        return (element.price,)
    if isinstance(element, Quote):
        return tuple(p for p in (element.bid, element.ask, element.last) if p is not None)
    return () if element.price is None else (element.price,)


@dataclass(frozen=True, slots=True)
class KnownTime(Rule):
    """Fails .NET's year 1, which the gateway sends for "no time", and all else that int64 nanoseconds cannot hold."""

    name = "known_time"
    order = 0

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if UNKNOWN_TIME < element.time <= FOREVER:
            return None
        return "time is unknown: year 1, or outside of what int64 nanoseconds hold (1677 to 2262)"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return None if frame.bounds("time")[0] > UNKNOWN_TIME else frame.grouped("time") > UNKNOWN_TIME


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


@dataclass(frozen=True, slots=True)
class Future(Rule):
    """Fails times more than `by` after we received them; passes where `received` is not known."""

    by: Duration = "5s"

    name = "future"
    order = 7

    def __post_init__(self) -> None:
        nanoseconds(self.by, name="future")

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        by = nanoseconds(self.by)
        if element.received is None or element.time - element.received <= by:
            return None
        ahead = (element.time - element.received) / 1e9
        return f"time must be at most {by / 1e9:g} s after received, got {iso(element.time)}, {ahead:.9g} s after"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return _lag(frame, -nanoseconds(self.by), FOREVER)


@dataclass(frozen=True, slots=True)
class Stale(Rule):
    """Fails elements received more than `after` their time; passes where `received` is not known."""

    after: Duration

    name = "stale"
    order = 8

    def __post_init__(self) -> None:
        nanoseconds(self.after, name="stale")

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        after = nanoseconds(self.after)
        if element.received is None or element.received - element.time <= after:
            return None
        behind = (element.received - element.time) / 1e9
        return f"time must be at most {after / 1e9:g} s before received, got {iso(element.time)}, {behind:.9g} s before"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return _lag(frame, -FOREVER, nanoseconds(self.after))


@dataclass(frozen=True, slots=True)
class OutsideSession(Rule):
    """Fails times at which the market is closed, by the instrument's session or else this one."""

    session: str | Session

    name = "outside_session"
    order = 9

    def __post_init__(self) -> None:
        sessions.get(self.session)

    def _of(self, instrument: Instrument | None) -> Session:
        own = None if instrument is None else instrument.session
        return sessions.get(self.session if own is None else own)

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        session = self._of(instrument)
        if session.span_at(element.time) is not None:
            return None
        return f"the market ({session.name}) was closed at {session.local(element.time)}"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        time = frame.grouped("time")
        own = [self._of(i) for i in instruments]
        if len(set(own)) == 1:
            inside = Grid(SPAN, own[0]).windows(time).inside
        else:
            starts = frame.groups.starts.tolist()
            pieces = [Grid(SPAN, s).windows(time[a:b]).inside for s, a, b in zip(own, starts, starts[1:], strict=False)]
            inside = np.concatenate(pieces)
        return None if inside.all() else inside


@dataclass(frozen=True, slots=True)
class Where(Rule):
    """Your own rule: passes what `check` says, or on frames, faster, what `expr` says. See `where`."""

    name: str
    check: Callable[[Any], bool]
    expr: pl.Expr | None = None

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        return None if self.check(element) else f"{self.name} must hold, got {element}"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        if self.expr is None:
            return Rule.passes(self, frame, instruments)
        good = frame.df.select(self.expr.fill_null(value=False)).to_series().to_numpy()
        order = frame.groups.order
        return good if order is None else good[order]


def where(name: str, check: Callable[[Any], bool], expr: pl.Expr | None = None) -> Where:
    """Return a rule that passes the elements for which `check` is true.

    Args:
        name: what rejects are counted under.
        check: from an element to whether it passes.
        expr: the same on the columns of a frame, which spares frames a call a row.
    """
    if not callable(check):
        raise TypeError(f"check must be a callable from an element to whether it passes, got {check!r}")
    if name in ORDER:
        raise ValueError(f"name must not be one of the built-in rules, got {name!r}")
    return Where(name, check, expr)


@dataclass(frozen=True, slots=True)
class GoingBack(Rule):
    """Fails ticks before the time of the last accepted one. Off by default: late ticks are the business of `bars`."""

    name = "going_back"
    order = 11


@dataclass(frozen=True, slots=True)
class Jump(Rule):
    """Holds prices that are far from the last accepted one, until the market confirms them or not.

    A suspect and those near it wait, at most `confirm` a symbol. When `confirm` have come, or a price near both them and
    the last accepted one, they pass in order: a real gap loses nothing. When the old level trades on, they are rejected.

    Args:
        fraction: how far a price may be from the last accepted one, as a fraction of it: 0.1 is 10 %.
        ticks: the same in ticks of the instrument; then `fraction` is not looked at. Needed for what may be negative.
        confirm: how many suspects make a new level, 1 or more.
    """

    fraction: float = 0.1
    ticks: int | None = None
    confirm: int = 3

    name = "jump"
    order = 12

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"jump fraction must be more than 0 and at most 1, got {self.fraction}")
        if self.ticks is not None and self.ticks < 1:
            raise ValueError(f"jump ticks must be at least 1, got {self.ticks}")
        if self.confirm < 1:
            raise ValueError(f"jump confirm must be at least 1, got {self.confirm}")

    def limit(self, instrument: Instrument | None) -> tuple[float, float]:
        """Return `(fraction, distance)`, one of which is 0: how far a price of this instrument may go.

        Raises:
            RuleError: it needs ticks, and they or the tick size are not given.
        """
        if self.ticks is not None and instrument is not None and instrument.tick_size is not None:
            return 0.0, self.ticks * instrument.tick_size * (1 + 1e-9)
        if instrument is not None and instrument.may_be_negative:
            raise RuleError(
                f"{instrument.symbol} may be negative, so its jumps are measured in ticks: "
                f"give Jump(ticks=...) and its tick_size, got {self!r} and {instrument!r}"
            )
        return self.fraction, 0.0


class RuleError(RxfeedError, ValueError):
    """Rules and instruments that do not fit together."""


def _lag(frame: Frame[Tick], least: int, most: int) -> Mask | None:
    """Judge `received - time` of the rows that have both; UNKNOWN_TIME is so far back that the difference would wrap."""
    received, unknown = frame.df["received"], frame.df["received"].null_count()
    if unknown == len(frame):
        return None
    time = frame.column("time")
    if frame.bounds("time")[0] < -(1 << 62):
        time = np.maximum(time, -(1 << 62))
    if unknown == 0:
        lag = frame.column("received") - time
        if (least == -FOREVER or lag.min() >= least) and (most == FOREVER or lag.max() <= most):
            return None
        ok = (lag >= least) & (lag <= most)
    else:
        lag = received.to_physical().fill_null(0).to_numpy() - time
        ok = ~received.is_not_null().to_numpy() | (lag >= least) & (lag <= most)
    if ok.all():
        return None
    order = frame.groups.order
    return ok if order is None else ok[order]


DEFAULT: Final[tuple[Rule, ...]] = (
    KnownTime(), Finite(), Positive(), OnGrid(), Size(), Crossed(), Empty(), Future(), Jump(),
)  # fmt: skip
"""What `validate()` asks when it is given no rules."""
ORDER: Final = (
    "known_time", "finite", "positive", "on_grid", "size", "crossed", "empty", "future", "stale", "outside_session",
    "going_back", "jump",
)  # fmt: skip
