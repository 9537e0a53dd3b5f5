"""Where one symbol's book stands, and all of them as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import polars as pl

from rxfeed.book import Book, Level
from rxfeed.frame import Frame
from rxfeed.kernels.book.levels import Levels
from rxfeed.model import Depth, Side
from rxfeed.times import FOREVER

SHOWN: Final = 0
"""Whole: its changes are shown."""
EMPTY: Final = 1
"""Reset, and no level since."""
FILLING: Final = 2
"""In the group of the first levels after a reset."""
UNREADY: Final = 3
"""Waiting for a reset: there is no book."""

_BUY, _SELL = int(Side.BUY), int(Side.SELL)


class State:
    """One symbol's book."""

    __slots__ = (
        "asks", "bids", "crosser", "due", "epoch", "group", "last", "open", "period", "shown_asks", "shown_bids", "stage",
    )  # fmt: skip

    def __init__(self, depth: int, levels: int) -> None:
        self.bids, self.asks = Levels(1, depth, levels), Levels(-1, depth, levels)
        self.stage = UNREADY
        self.epoch = -FOREVER
        self.open: int | None = None
        """The epoch, while its levels are shown one by one and nothing is held."""
        self.last: Depth | None = None
        """The last element that was applied."""
        self.crosser: Depth | None = None
        """What crossed the book, while it is crossed."""
        self.group = 0
        """The group that must be over before a held book is shown."""
        self.due = 0
        """When that is so by the clock."""
        self.period = -FOREVER
        """The latest one in event time."""
        self.shown_bids: tuple[Level, ...] | None = None
        self.shown_asks: tuple[Level, ...] | None = None
        """What the last Book since the reset showed."""

    def crossed(self) -> bool:
        """Return whether the best bid is above the best ask. Equal is locked, and no fault."""
        bids, asks = self.bids.keys, self.asks.keys
        return bool(bids) and bool(asks) and bids[-1] > -asks[-1]

    def differs(self) -> bool:
        """Return whether the book is not what was shown."""
        return self.bids.top() != self.shown_bids or self.asks.top() != self.shown_asks

    def book(self) -> Book:
        """Return what is to be shown, and note it."""
        last = self.last
        assert last is not None
        bids, asks = self.shown_bids, self.shown_asks = self.bids.top(), self.asks.top()
        return Book(last.symbol, last.time, last.seq, last.received, last.epoch, bids, asks)

    def clear(self, stage: int) -> None:
        """Remove all levels, and forget what was shown."""
        self.bids.clear()
        self.asks.clear()
        self.stage = stage
        self.open = self.crosser = self.shown_bids = self.shown_asks = None


class BookSnapshot(NamedTuple):
    """A kernel's state as frames: one row a symbol in `states`, every level of the books and of what they last showed, the
    last elements applied and those that crossed a book, and `counts` by name."""

    states: pl.DataFrame
    levels: pl.DataFrame
    last: pl.DataFrame
    crossers: pl.DataFrame
    counts: pl.DataFrame


_STATE_SCHEMA: Final = {
    "symbol": pl.String, "stage": pl.Int8, "epoch": pl.Int64, "period": pl.Int64, "showed": pl.Boolean,
    "held": pl.Int64, "changed": pl.Int64, "cut_bids": pl.Int64, "cut_asks": pl.Int64,
}  # fmt: skip
_LEVEL_SCHEMA: Final = {"symbol": pl.String, "shown": pl.Boolean, "side": pl.Int8, "price": pl.Float64, "size": pl.Int64}


def save(states: Mapping[str, State], held: Iterable[str], changed: Iterable[str], counts: Mapping[str, int]) -> BookSnapshot:
    """Return states as frames, with the places of those that are held and of those that have changed."""
    hold = {symbol: place for place, symbol in enumerate(held)}
    change = {symbol: place for place, symbol in enumerate(changed)}
    rows = [
        (
            symbol, s.stage, s.epoch, s.period, s.shown_bids is not None, hold.get(symbol), change.get(symbol),
            s.bids.cut, s.asks.cut,
        )
        for symbol, s in states.items()
    ]  # fmt: skip
    levels = [
        (symbol, shown, side, *level)
        for symbol, s in states.items()
        for shown, side, found in (
            (False, _BUY, s.bids.all()), (False, _SELL, s.asks.all()),
            (True, _BUY, s.shown_bids or ()), (True, _SELL, s.shown_asks or ()),
        )
        for level in found
    ]  # fmt: skip
    return BookSnapshot(
        pl.DataFrame(rows, _STATE_SCHEMA, orient="row"),
        pl.DataFrame(levels, _LEVEL_SCHEMA, orient="row"),
        Frame.of([s.last for s in states.values() if s.last is not None], Depth).df,
        Frame.of([s.crosser for s in states.values() if s.crosser is not None], Depth).df,
        pl.DataFrame([*counts.items()], {"name": pl.String, "value": pl.Int64}, orient="row"),
    )


def load(snapshot: BookSnapshot, depth: int, levels: int) -> tuple[dict[str, State], list[str], list[str]]:
    """Return the states of a snapshot, and the symbols of those that are held and of those that have changed."""
    states: dict[str, State] = {}
    for row in snapshot.states.iter_rows(named=True):
        state = states[row["symbol"]] = State(depth, levels)
        state.stage, state.epoch, state.period = row["stage"], row["epoch"], row["period"]
        state.bids.cut, state.asks.cut = row["cut_bids"], row["cut_asks"]
        if row["showed"]:
            state.shown_bids = state.shown_asks = ()
    for symbol, shown, side, price, size in snapshot.levels.iter_rows():
        state = states[symbol]
        if not shown:
            (state.bids if side == _BUY else state.asks).put(price, size)
        elif side == _BUY:
            state.shown_bids = (*(state.shown_bids or ()), (price, size))
        else:
            state.shown_asks = (*(state.shown_asks or ()), (price, size))
    for d in Frame(snapshot.last, Depth).rows():
        states[d.symbol].last = d
    for d in Frame(snapshot.crossers, Depth).rows():
        states[d.symbol].crosser = d
    held, changed = (
        snapshot.states.filter(pl.col(name).is_not_null()).sort(name)["symbol"].to_list() for name in ("held", "changed")
    )
    return states, held, changed
