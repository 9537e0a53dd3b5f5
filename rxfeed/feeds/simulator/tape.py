"""Where the simulated market's trades come from: a seed, or recorded ticks.

A tape is cut into blocks of plain lists. `elapsed` counts from the tape's begin at its own pace; the market decides when a
trade is done and stamps it then, so that a tape plays at any rate.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from rxfeed.errors import InputError
from rxfeed.feeds.market import blocks
from rxfeed.feeds.readers import Source, columns_of, read
from rxfeed.feeds.simulator.listing import Listed
from rxfeed.frame import Array
from rxfeed.model import UNKNOWN_TIME

PACE: Final = 1_000.0
"""Trades a second of the synthetic tape at its own pace."""
_PIECE: Final = 4_096


class Lane(NamedTuple):
    """One contract's trades of a block. `places` are those in the block; prices are whole ticks, `side` is 1 or 2."""

    contract: int
    places: list[int]
    elapsed: list[int]
    ticks: list[int]
    size: list[int]
    side: list[int]
    bid: list[int]
    ask: list[int]


class Block(NamedTuple):
    """Trades in order. `elapsed` is of all of them and never falls; the lanes have them by contract."""

    elapsed: list[int]
    lanes: list[Lane]


Tape = Callable[[], Iterator[Block]]
"""Gives the blocks from the begin, each time it is called."""


def _pieces(columns: Sequence[Array]) -> Iterator[Block]:
    """Yield blocks of columns: elapsed, contract, ticks, size, side, bid, ask."""
    for at in range(0, len(columns[0]), _PIECE):
        elapsed, contract, *others = (column[at : at + _PIECE] for column in columns)
        # A recorded tape may go back in time; the market does not.
        elapsed = np.maximum.accumulate(elapsed)
        lanes: list[Lane] = []
        for one in np.unique(contract).tolist():
            index = np.flatnonzero(contract == one)
            lanes.append(Lane(one, index.tolist(), elapsed[index].tolist(), *(column[index].tolist() for column in others)))
        yield Block(elapsed.tolist(), lanes)


def synthetic_tape(seed: int, listed: Iterable[Listed]) -> Tape:
    """Return a tape without end that is the same for the same seed; the first contracts trade most."""
    grids = [one.grid for one in listed]

    def play() -> Iterator[Block]:
        for trades in blocks(seed, grids, 0, PACE, None):
            yield from _pieces((
                trades.time, trades.symbol, trades.price, trades.size, trades.side, trades.bid, trades.ask
            ))  # fmt: skip

    return play


def symbols_of(source: Source, map: Mapping[str, str | None] | None = None) -> dict[str, float]:
    """Return a recorded source's symbols in order of appearance, each with a tick size that all its prices are multiples of.

    Raises:
        InputError: what cannot be read, or prices with more than 9 digits after the point.
    """
    found: dict[str, int] = {}
    for frame in read(source, map=map):
        symbols, _, prices, *_ = columns_of(frame)
        for symbol, price in zip(symbols, prices, strict=True):
            found[symbol] = max(found.get(symbol, 0), _digits(price))
    return {symbol: float(Fraction(1, 10**digits)) for symbol, digits in found.items()}


def _digits(price: float) -> int:
    text = f"{price:.9f}"
    if float(text) != price:
        raise InputError(f"a tape's prices must have at most 9 digits after the point, got {price!r}")
    return len(text.rstrip("0").partition(".")[2])


def recorded_tape(source: Source, listed: Mapping[str, Listed], map: Mapping[str, str | None] | None = None) -> Tape:
    """Return a tape of recorded ticks; those of symbols that are not listed are left out.

    Args:
        source: a file, folder, table or frame, as `replay` takes them.
        listed: contracts by the tape's symbols.
        map: rxfeed's name -> the source's column, as in `replay`.
    """
    order = list(dict.fromkeys(one.id for one in listed.values()))
    index = {symbol: order.index(one.id) for symbol, one in listed.items()}

    def play() -> Iterator[Block]:
        begin: int | None = None
        last: dict[int, tuple[int, int]] = {}
        for frame in read(source, map=map):
            out: list[tuple[int, int, int, int, int, int, int]] = []
            for symbol, time, price, size, side, *_ in zip(*columns_of(frame), strict=True):
                c = index.get(symbol)
                if c is None or time == UNKNOWN_TIME:
                    continue
                try:
                    ticks = listed[symbol].ticks(price)
                except ValueError as error:
                    raise InputError(f"the tape does not fit: {error}") from None
                begin = time if begin is None else begin
                before = last.get(c, (ticks, 1))
                if side not in (1, 2):  # the tick rule: what lifts the price was bought
                    side = 1 if ticks > before[0] else 2 if ticks < before[0] else before[1]
                last[c] = ticks, side
                bid, ask = (ticks - 1, ticks) if side == 1 else (ticks, ticks + 1)
                out.append((time - begin, c, ticks, size, side, bid, ask))
            if out:
                yield from _pieces([np.array(column) for column in zip(*out, strict=True)])

    return play


class Take(NamedTuple):
    """One contract's trades taken off a reel, with the best prices after the last; `places` are those within the whole."""

    contract: int
    places: list[int]
    elapsed: list[int]
    ticks: list[int]
    size: list[int]
    side: list[int]
    bid: int
    ask: int


class Reel:
    """Plays a tape from a place: the next trades, as many as are due."""

    __slots__ = ("_at", "_block", "_blocks", "ended")

    def __init__(self, tape: Tape) -> None:
        self._blocks = tape()
        self._block: Block | None = None
        self._at = 0
        self.ended = False

    def _ready(self) -> Block | None:
        while self._block is None or self._at >= len(self._block.elapsed):
            self._block = next(self._blocks, None)
            self._at = 0
            if self._block is None:
                self.ended = True
                return None
        return self._block

    def next_elapsed(self) -> int | None:
        """Return when the next trade is due at the tape's own pace; None at its end."""
        block = self._ready()
        return None if block is None else block.elapsed[self._at]

    def due(self, elapsed: int) -> int:
        """Return how many trades of this block are due at the tape's own pace; 0 when the next is not."""
        block = self._ready()
        return 0 if block is None else bisect_right(block.elapsed, elapsed, self._at) - self._at

    def take(self, most: int) -> tuple[int, list[Take]]:
        """Return up to `most` trades, never from beyond a block: how many there are, and they by contract."""
        block = self._ready()
        if block is None or most < 1:
            return 0, []
        a = self._at
        b = self._at = min(a + most, len(block.elapsed))
        taken: list[Take] = []
        for contract, index, elapsed, ticks, size, side, bid, ask in block.lanes:
            i, j = bisect_left(index, a), bisect_left(index, b)
            if i < j:
                own = index[i:j] if a == 0 else [n - a for n in index[i:j]]
                taken.append(Take(contract, own, elapsed[i:j], ticks[i:j], size[i:j], side[i:j], bid[j - 1], ask[j - 1]))
        return b - a, taken
