"""The kernel of `latest_quote`: what a quote does not say is what was last said. One whole quote is kept for each symbol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl

from rxfeed.frame import Frame
from rxfeed.model import Quote

FIELDS: Final = ("bid", "ask", "bid_size", "ask_size", "last", "volume")
"""What a quote may say or not."""
FEW_ROWS: Final = 4_000
"""Below this a frame goes row by row."""

Known = list[Any]
"""The last time of a symbol, and what is known of `FIELDS`."""


class QuoteStats(NamedTuple):
    """received = emitted + incomplete + stale."""

    received: int
    emitted: int
    incomplete: int
    """Kept, but not emitted, since a field that is needed was not known yet."""
    stale: int
    """Older than the last one of their symbol: dropped."""


class QuotesSnapshot(NamedTuple):
    """A kernel's state as frames: the last quote of each symbol, and `counts` by name."""

    quotes: pl.DataFrame
    counts: pl.DataFrame


class QuotesKernel:
    """The last whole quote of each symbol.

    Args:
        need: the fields that must be known before a symbol's quotes are emitted.
    """

    def __init__(self, need: Sequence[str] = ("bid", "ask")) -> None:
        self.need = tuple(need)
        self._whole: dict[str, Known] = {}
        self._partial: dict[str, Known] = {}
        self._emitted = self._incomplete = self._stale = 0
        self.quote, self._ordinary = self._make_quote()
        """`quote(q)`: take a quote; return it with what it does not say, or None if it is stale or still incomplete."""

    def _make_quote(self) -> tuple[Callable[[Quote], Quote | None], Callable[[], int]]:
        """Return the way of a quote, and how many came out whole by the quick part of it."""
        count = 0
        get, first = self._whole.get, self._first

        def emitted() -> int:
            return count

        def quote(q: Quote) -> Quote | None:
            nonlocal count
            symbol, time = q.symbol, q.time
            known = get(symbol)
            if known is None:
                return first(q)
            if time < known[0]:
                self._stale += 1
                return None
            # Written out, since a loop over the fields takes three times as long.
            known[0] = time
            if (bid := q.bid) is None:
                bid = known[1]
            else:
                known[1] = bid
            if (ask := q.ask) is None:
                ask = known[2]
            else:
                known[2] = ask
            if (bid_size := q.bid_size) is None:
                bid_size = known[3]
            else:
                known[3] = bid_size
            if (ask_size := q.ask_size) is None:
                ask_size = known[4]
            else:
                known[4] = ask_size
            if (last := q.last) is None:
                last = known[5]
            else:
                known[5] = last
            if (volume := q.volume) is None:
                volume = known[6]
            else:
                known[6] = volume
            count += 1
            return Quote(symbol, time, bid, ask, bid_size, ask_size, last, volume, q.seq, q.received)

        return quote, emitted

    def _first(self, q: Quote) -> Quote | None:
        known = self._partial.get(q.symbol)
        values = list(msgspec.structs.astuple(q)[1:8])
        if known is not None:
            if q.time < known[0]:
                self._stale += 1
                return None
            values = [old if value is None else value for value, old in zip(values, known, strict=True)]
        if not self._keep(q.symbol, values):
            self._incomplete += 1
            return None
        self._emitted += 1
        return Quote(q.symbol, *values, seq=q.seq, received=q.received)

    def _keep(self, symbol: str, known: Known) -> bool:
        """Keep what is known of a symbol; return whether that is all that is needed."""
        if any(known[1 + FIELDS.index(name)] is None for name in self.need):
            self._partial[symbol] = known
            return False
        self._partial.pop(symbol, None)
        self._whole[symbol] = known
        return True

    def frame(self, frame: Frame[Quote]) -> Frame[Quote] | None:
        """Take quotes in the order of rows; return those that `quote` would, or None if it is none."""
        if len(frame) < FEW_ROWS:
            rows = [whole for q in frame.rows() if (whole := self.quote(q)) is not None]
            return Frame.of(rows, Quote) if rows else None
        states = [(symbol, self._whole.get(symbol) or self._partial.get(symbol)) for symbol in frame.groups.symbols]
        known = _frame([(symbol, values) for symbol, values in states if values is not None])
        both = pl.concat([known, frame.df])
        in_order = both.filter(pl.col("time") >= pl.col("time").cum_max().over("symbol"))
        filled = in_order.with_columns(pl.col(FIELDS).forward_fill().over("symbol"))
        come = filled.slice(known.height)
        lacking = [pl.col(name).is_null() for name in self.need]
        out = come.filter(~pl.any_horizontal(lacking)) if lacking else come
        for q in Frame(filled.unique("symbol", keep="last"), Quote).rows():
            self._keep(q.symbol, list(msgspec.structs.astuple(q)[1:8]))
        self._stale += len(frame) - come.height
        self._incomplete += come.height - out.height
        self._emitted += out.height
        return Frame(out, Quote) if out.height else None

    @property
    def stats(self) -> QuoteStats:
        """What became of the quotes so far."""
        counts = self._emitted + self._ordinary(), self._incomplete, self._stale
        return QuoteStats(sum(counts), *counts)

    def snapshot(self) -> QuotesSnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there."""
        return QuotesSnapshot(
            _frame([*self._whole.items(), *self._partial.items()]),
            pl.DataFrame([*self.stats._asdict().items()], {"name": pl.String, "value": pl.Int64}, orient="row"),
        )

    def restore(self, snapshot: QuotesSnapshot) -> None:
        """Take over a state, instead of the present one."""
        self._whole.clear()
        self._partial.clear()
        for q in Frame(snapshot.quotes, Quote).rows():
            self._keep(q.symbol, list(msgspec.structs.astuple(q)[1:8]))
        counts = dict(snapshot.counts.iter_rows())
        self._emitted = counts["emitted"] - self._ordinary()
        self._incomplete, self._stale = counts["incomplete"], counts["stale"]


def _frame(states: list[tuple[str, Known]]) -> pl.DataFrame:
    return Frame.of([Quote(symbol, *known) for symbol, known in states], Quote).df
