"""Small makers of elements for tests, so that each test says only what it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import msgspec
from reactivex import Observable, abc
from reactivex.testing import ReactiveTest

from rxfeed.failures import Failure
from rxfeed.frame import Frame
from rxfeed.kernels.bars import kernel as bars_kernel
from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.model import Bar, Flag, Tick
from rxfeed.times import SECOND
from rxfeed.windows import Windows

T0 = 1_741_600_800 * SECOND
"""2025-03-10T10:00:00Z, a Monday."""
on_next, on_completed, on_error, subscribe = (
    ReactiveTest.on_next, ReactiveTest.on_completed, ReactiveTest.on_error, ReactiveTest.subscribe,
)  # fmt: skip
"""Messages and windows of reactivex's `TestScheduler`."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def tick(
    at: float = 0.0, price: float = 100.0, size: int = 1, *, symbol: str = "A", side: int = 0, seq: int = 0, **more: Any
) -> Tick:
    """A tick `at` seconds after T0."""
    return Tick(symbol, T0 + round(at * SECOND), price, size, side, seq, **more)


def ticks(*rows: tuple[float, float] | tuple[float, float, int], symbol: str = "A") -> list[Tick]:
    """Ticks from `(seconds after T0, price[, size])`, numbered in order."""
    return [tick(row[0], row[1], row[2] if len(row) > 2 else 1, symbol=symbol, seq=seq) for seq, row in enumerate(rows)]


def bar(**changes: Any) -> Bar:
    """A partial bar of one tick, in the second that begins at T0."""
    plain = Bar("A", "1s", T0, T0 + SECOND, 100.0, 100.0, 100.0, 100.0, 1, 1, 0, 0, 100.0, T0, 0, T0, 0, date(2025, 3, 10))
    return msgspec.structs.replace(plain, **changes)


def bar_of(one: Tick, timeframe: str, start: int, end: int, day: date) -> Bar:
    """A tick as the smallest bar."""
    p, n = one.price, one.size
    return Bar(
        one.symbol, timeframe, start, end, p, p, p, p, n, 1, n if one.side == 1 else 0, n if one.side == 2 else 0, p * n,
        one.time, one.seq, one.time, one.seq, day,
    )  # fmt: skip


def kernel(
    *timeframes: str, session: Any = "24x7", anchor: Any = "session", horizon: int = 10 * MINUTE, **more: Any
) -> BarsKernel:
    return BarsKernel(Windows(*timeframes, session=session, anchor=anchor), horizon=horizon, **more)


@contextmanager
def frame_lane(rows: int = 1, piece: int | None = None) -> Iterator[None]:
    """Send frames of `rows` and more through the frame lane, cut to `piece`."""
    saved = bars_kernel.FEW_ROWS, bars_kernel.FEWER_ROWS, bars_kernel.FRAME_ROWS
    bars_kernel.FEW_ROWS = bars_kernel.FEWER_ROWS = rows
    if piece is not None:
        bars_kernel.FRAME_ROWS = piece
    try:
        yield
    finally:
        bars_kernel.FEW_ROWS, bars_kernel.FEWER_ROWS, bars_kernel.FRAME_ROWS = saved


def frame(rows: list[Tick]) -> Frame[Tick]:
    return Frame.of(rows, Tick)


def line(bar: Bar) -> str:
    """A bar in brief: symbol, timeframe, seconds after T0, open-close, ticks, revision, flags."""
    flags = "".join(f" {flag.name}" for flag in Flag if flag & bar.flags)
    at = (bar.start - T0) / SECOND
    return f"{bar.symbol} {bar.timeframe} {at:g}: {bar.open:g}-{bar.close:g} x{bar.count} r{bar.revision}{flags}"


def lines(bars: Iterable[Bar] | None) -> list[str]:
    return [line(b) for b in bars or ()]


class Recorder(abc.ObserverBase[Any]):
    """An observer that notes what it gets, and then calls `react` with each element."""

    def __init__(self, react: Callable[[Any], None] | None = None) -> None:
        self.elements: list[Any] = []
        self.error: Exception | None = None
        self.completed = False
        self._react = react

    def on_next(self, value: Any) -> None:
        assert self.error is None
        assert not self.completed
        self.elements.append(value)
        if self._react is not None:
            self._react(value)

    def on_error(self, error: Exception) -> None:
        assert self.error is None
        assert not self.completed
        self.error = error

    def on_completed(self) -> None:
        assert self.error is None
        assert not self.completed
        self.completed = True

    @property
    def lines(self) -> list[str]:
        return lines(self.elements)

    def to(self, source: Observable[Any], scheduler: abc.SchedulerBase | None = None) -> Recorder:
        self.subscription = source.subscribe(self, scheduler=scheduler)
        return self


class Told:
    """A report that notes what it is told."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def __call__(self, failure: Failure) -> None:
        self.failures.append(failure)

    @property
    def brief(self) -> list[tuple[str, str, str]]:
        return [(f.stage, f.where, type(f.error).__name__) for f in self.failures]
