"""How the synthetic market moves: blocks of trades in arrays, each with the best bid and ask at which it was done.

Blocks have a fixed size and a random generator of their own, and only the state at a block's end goes into the next. So
the same seed gives the same ticks, however they are cut afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from rxfeed.errors import InputError
from rxfeed.frame import Array
from rxfeed.instrument import Instrument
from rxfeed.sessions import Session
from rxfeed.times import SECOND, iso

BLOCK: Final = 65_536

_BURST: Final = 400
_CALM: Final = 1_200
"""Trades in a burst, and between two, on average."""
_SHARED: Final = 0.3, 0.75
"""Part of the trades at the very time of the one before, when it is calm and in a burst."""
_FASTER: Final = 20
"""How much shorter the gaps of a burst are."""
FARTHEST: Final = 7_258_118_400 * SECOND  # the year 2200
_GRAIN: Final = 1_000
_DAYS: Final = 14 * 86_400 * SECOND


class Trades(NamedTuple):
    """Trades in the order in which they happened. Prices are in ticks: `price[i] * step[symbol[i]]` is what it cost."""

    first: int
    symbol: Array
    time: Array
    received: Array
    price: Array
    size: Array
    side: Array
    bid: Array
    ask: Array
    draw: Array
    """A uniform number for each trade, for whoever needs another decision."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Prices of an instrument: `ticks * up / down` is correctly rounded where `ticks * tick_size` is not."""

    up: int
    down: int
    middle: int

    @classmethod
    def of(cls, instrument: Instrument, price: float) -> Grid:
        step = Fraction(str(instrument.tick_size))
        return cls(step.numerator, step.denominator, round(Fraction(str(price)) / step))

    def prices(self, ticks: Array) -> Array:
        return (ticks * self.up) / self.down


class Hours:
    """Elapsed trading time turned into instants: closed hours take no time."""

    __slots__ = ("_closes", "_opens", "_passed", "_session", "_start", "_until")

    def __init__(self, start: int, session: Session | None) -> None:
        self._start, self._session, self._until = start, session, start
        self._opens: list[int] = []
        self._closes: list[int] = []
        self._passed: list[int] = [0]

    def instants(self, elapsed: Array) -> Array:
        """Return the instants after so many nanoseconds of trading since the start; `elapsed` never falls."""
        if self._session is None:
            return elapsed + self._start
        while self._passed[-1] <= int(elapsed[-1]):
            self._more(self._session)
        passed = np.array(self._passed)
        index = np.searchsorted(passed, elapsed, "right") - 1
        return np.array(self._opens)[index] + (elapsed - passed[index])

    def _more(self, session: Session) -> None:
        start, end = self._until, self._until + _DAYS
        spans = session.spans(start, end)
        if not spans:
            raise ValueError(f"session {session.name} has no hours in two weeks from the start")
        for span in spans:
            if span.open >= end:
                continue
            opens = max(span.open, start)
            closes = min(span.close, end)
            self._opens.append(opens)
            self._closes.append(closes)
            self._passed.append(self._passed[-1] + closes - opens)
        self._until = end


def blocks(seed: int, grids: Sequence[Grid], start: int, rate: float, session: Session | None) -> Iterator[Trades]:
    """Yield blocks of trades without end.

    Args:
        seed: what the market does.
        grids: one for each symbol; the first ones trade most.
        start: of the clock, in nanoseconds.
        rate: trades a second on average, over all symbols, of trading time.
        session: when there is trading; None is always.
    """
    hours = Hours(start, session)
    walk = np.zeros(len(grids), np.int64)
    weights = 1 / np.arange(1, len(grids) + 1)
    middles = np.array([g.middle for g in grids])
    elapsed, received, number = 0, 0, 0
    while True:
        rng = np.random.default_rng((seed, number))
        burst = _states(rng)
        gaps = np.floor(rng.exponential(1.0, BLOCK) * np.where(burst, 1.0 / _FASTER, 1.0) * _mean_gap(rate) / _GRAIN)
        if elapsed + float(gaps.sum()) * _GRAIN > FARTHEST - start:
            raise InputError(f"a market from {iso(start)} at {rate:g} trades a second would run on beyond the year 2200")
        gaps = gaps.astype(np.int64) * _GRAIN + _GRAIN
        shared = rng.random(BLOCK) < np.where(burst, _SHARED[1], _SHARED[0])
        shared[0] = False
        gaps[shared] = 0
        passed = np.cumsum(gaps) + elapsed
        elapsed = int(passed[-1])
        time = hours.instants(passed)
        # Trades of one time are one order that sweeps the book: one symbol, one side.
        lead = np.maximum.accumulate(np.where(shared, 0, np.arange(BLOCK)))
        symbol = rng.choice(len(grids), BLOCK, p=weights / weights.sum())[lead]
        side = rng.integers(1, 3, BLOCK)[lead]
        steps = _steps(rng, shared, side)
        bid = np.empty(BLOCK, np.int64)
        for s in range(len(grids)):
            mine = np.flatnonzero(symbol == s)
            path = np.cumsum(steps[mine]) + walk[s]
            walk[s] = path[-1] if len(path) else walk[s]
            bid[mine] = middles[s] + _folded(path, max(int(middles[s]) // 2, 8))
        ask = bid + 1 + (rng.random(BLOCK) < 0.05)[lead]
        size = 1 + np.minimum(rng.geometric(0.45, BLOCK) - 1, 200)
        latency = 300_000 + (rng.exponential(2_000_000, BLOCK)).astype(np.int64)
        came = np.maximum(np.maximum.accumulate(time + latency), received)
        received = int(came[-1])
        price = np.where(side == 1, ask, bid)
        yield Trades(number * BLOCK, symbol, time, came, price, size, side, bid, ask, rng.random(BLOCK))
        number += 1


def _states(rng: np.random.Generator) -> Array:
    """Return whether each trade of a block is in a burst: runs of trades, calm and burst in turn."""
    runs = BLOCK // (_BURST + _CALM) * 2 + 64
    lengths = np.ravel(np.column_stack((rng.geometric(1 / _CALM, runs), rng.geometric(1 / _BURST, runs))))
    return np.resize(np.repeat(np.arange(len(lengths)) % 2 == 1, lengths), BLOCK)


def _mean_gap(rate: float) -> float:
    """Return the mean gap of calm trades that do not share a time, in nanoseconds, so that the whole has this rate."""
    calm, burst = _CALM / (_CALM + _BURST) * (1 - _SHARED[0]), _BURST / (_CALM + _BURST) * (1 - _SHARED[1])
    wanted = SECOND / rate - (calm + burst) * _GRAIN / 2
    return max(wanted, _GRAIN) / (calm + burst / _FASTER)


def _steps(rng: np.random.Generator, shared: Array, side: Array) -> Array:
    """Return by how many ticks the bid moves before each trade; within a sweep only onwards."""
    chance = rng.random(BLOCK)
    alone = np.where(chance < 0.1, -1, np.where(chance > 0.9, 1, 0))
    sweep = np.where(chance < 0.25, np.where(side == 1, 1, -1), 0)
    # A sweep's drift is taken back by the next order, or a run of buyers would go on forever.
    return np.where(shared, sweep, alone)


def _folded(path: Array, reach: int) -> Array:
    """Return a walk reflected at plus and minus `reach`, so that no price comes near 0."""
    return np.abs((path + reach) % (4 * reach) - 2 * reach) - reach
