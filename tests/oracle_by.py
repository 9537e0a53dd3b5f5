"""Bars by ticks, volume, notional, range and renko as their docstrings word them, made the slow way and in exact numbers.

Nothing of the package is used but its element types, and no float decides anything: prices are fractions. First it is settled
which ticks go in, in which order and before which close; then each bar is made from the list of its ticks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from tests.oracle_bars import Mark, Market, _span_at

PARTIAL, SHORT, GAP, FILLED = 1, 2, 4, 32


class Trade(NamedTuple):
    """A tick: what the package is shown (`price`, a float) and what it means (`exact`); None is a price that is not finite."""

    symbol: str
    time: int
    seq: int
    price: float
    exact: Fraction | None
    size: int
    side: int


class Kind(NamedTuple):
    name: str
    size: Fraction
    text: str


class Made(NamedTuple):
    """What a bar is."""

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    count: int
    buy: int
    sell: int
    notional: float
    first: tuple[int, int] | None
    last: tuple[int, int] | None
    day: Any
    flags: int


@dataclass
class Stretch:
    """What went in of one session of one symbol."""

    close: int
    day: Any
    gap: bool
    trades: list[Trade] = field(default_factory=list)


@dataclass
class Known:
    market: Market
    mark: int | None = None
    held: list[tuple[int, int, int, Trade]] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    last: tuple[int, int] | None = None


class OracleBy:
    def __init__(self, kinds: Sequence[Kind], market: Market, *, lateness: int, own: dict[str, Market]) -> None:
        self.kinds, self.market, self.lateness, self.own = kinds, market, lateness, own
        self.symbols: dict[str, Known] = {}
        self.began: int | None = None
        self.rejects: list[tuple[str, str, int]] = []
        self.outside = 0
        self.taken = 0

    def take(self, event: Trade | Mark) -> None:
        self.taken += 1
        if isinstance(event, Mark):
            for known in self.symbols.values():
                if known.mark is None or event.time > known.mark:
                    known.mark = event.time
                self._let_in(known)
            return
        t = event
        market = self.own.get(t.symbol, self.market)
        span = _span_at(market, t.time)
        if t.exact is None:
            self.rejects.append(("finite", t.symbol, t.seq))
            return
        if span is None:
            self.outside += 1
            return
        known = self.symbols.get(t.symbol) or Known(market)
        behind = known.last is not None and (t.time, t.seq) < known.last
        over = known.mark is not None and known.mark >= span[1] + self.lateness
        if behind or over:
            self.rejects.append(("late", t.symbol, t.seq))
            return
        self.symbols[t.symbol] = known
        self.began = t.time if self.began is None else min(t.time, self.began)
        known.held.append((t.time, t.seq, self.taken, t))
        known.mark = t.time if known.mark is None else max(known.mark, t.time)
        self._let_in(known)

    def _let_in(self, known: Known, *, everything: bool = False) -> None:
        assert known.mark is not None
        for item in sorted(known.held):
            t = item[3]
            if not everything and known.mark < t.time + self.lateness:
                break
            known.held.remove(item)
            known.last = (t.time, t.seq)
            if not known.stretches or t.time >= known.stretches[-1].close:
                span = _span_at(known.market, t.time)
                assert span is not None
                assert self.began is not None
                known.stretches.append(Stretch(span[1], span[2], span[0] < self.began))
            known.stretches[-1].trades.append(t)

    def finish(self) -> dict[tuple[str, str], list[Made]]:
        """By symbol and timeframe, all bars in order."""
        result: dict[tuple[str, str], list[Made]] = {}
        for symbol, known in self.symbols.items():
            self._let_in(known, everything=True)
            assert known.mark is not None
            for kind in self.kinds:
                bars: list[Made] = []
                for stretch in known.stretches:
                    whole = stretch is not known.stretches[-1] or stretch.close <= known.mark
                    bars += _session(kind, stretch, SHORT if whole else PARTIAL, bars[-1].start if bars else None)
                result[symbol, kind.text] = bars
        return result

    def accepted(self) -> Counter[str]:
        """Sums over the ticks that went in, by symbol: volume and count."""
        sums: Counter[str] = Counter()
        for symbol, known in self.symbols.items():
            for stretch in known.stretches:
                sums[f"{symbol} volume"] += sum(t.size for t in stretch.trades)
                sums[f"{symbol} count"] += len(stretch.trades)
        return sums


def _session(kind: Kind, stretch: Stretch, end_flag: int, before: int | None) -> list[Made]:
    bars: list[Made] = []
    waiting: list[Trade] = []
    ladder: tuple[int, int] | None = None  # the last brick, from level to level

    def put(prices: tuple[float, float, float, float] | None, flags: int, at: int, trades: list[Trade]) -> None:
        last = bars[-1].start if bars else before
        start = trades[0].time if trades else at
        if last is not None and start <= last:
            start = last + 1
        value = [t.price for t in trades]
        ohlc = prices or (value[0], max(value), min(value), value[-1])
        bars.append(
            Made(
                start, max(start, trades[-1].time if trades else start) + 1, *ohlc,
                sum(t.size for t in trades), len(trades),
                sum(t.size for t in trades if t.side == 1), sum(t.size for t in trades if t.side == 2),
                math.fsum(t.price * t.size for t in trades),
                (trades[0].time, trades[0].seq) if trades else None,
                (trades[-1].time, trades[-1].seq) if trades else None,
                stretch.day,
                flags | (GAP if stretch.gap and not bars else 0),
            )
        )  # fmt: skip

    for t in stretch.trades:
        waiting.append(t)
        if kind.name != "renko":
            if _closes(kind, waiting):
                put(None, 0, t.time, waiting)
                waiting = []
            continue
        new, ladder = _bricks(kind.size, t, stretch.trades[0], ladder)
        for number, (a, b) in enumerate(new):
            low, high = float(kind.size) * min(a, b), float(kind.size) * max(a, b)
            prices = (low, high, low, high) if a < b else (high, high, low, low)
            put(prices, FILLED if number else 0, t.time, [] if number else waiting)
        if new:
            waiting = []
    if waiting:
        put(None, end_flag, 0, waiting)
    return bars


def _closes(kind: Kind, trades: list[Trade]) -> bool:
    exact = [t.exact for t in trades if t.exact is not None]
    match kind.name:
        case "ticks":
            return len(trades) == kind.size
        case "volume":
            return sum(t.size for t in trades) >= kind.size
        case "notional":
            return sum(abs(p) * t.size for p, t in zip(exact, trades, strict=True)) >= kind.size
        case _:
            return max(exact) - min(exact) >= kind.size


def _bricks(
    size: Fraction, t: Trade, first: Trade, ladder: tuple[int, int] | None
) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """The bricks that a tick completes, one by one, and the last of all."""
    assert t.exact is not None
    assert first.exact is not None
    found: list[tuple[int, int]] = []
    while True:
        if ladder is None:
            above, below = math.floor(first.exact / size) + 1, math.ceil(first.exact / size) - 1
            up, down = (above - 1, above), (below + 1, below)
        else:
            a, b = ladder
            up = (b, b + 1) if b > a else (a, a + 1)
            down = (b, b - 1) if b < a else (a, a - 1)
        if t.exact >= up[1] * size:
            ladder = up
        elif t.exact <= down[1] * size:
            ladder = down
        else:
            return found, ladder
        found.append(ladder)
