"""What a hub has said and will not say again to somebody who comes later: the last whole quote, and the book.

The hub tells quotes and depth as changes, once, to the one subscription that all observers share. So whoever joins it later
is first told what the others know already.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from rxfeed.kernels.quotes import QuotesKernel
from rxfeed.model import Depth, DepthKind, Quote

from .kinds import DEPTH, QUOTES, Batch, Kind

_SEQ = attrgetter("seq")


class Memory:
    """What is known of each symbol's quote and book on one connection."""

    def __init__(self) -> None:
        self._quotes: dict[str, tuple[QuotesKernel, list[Quote]]] = {}
        self._books: dict[str, dict[Any, Depth]] = {}

    def take(self, kind: Kind, batch: Batch) -> None:
        """Take in what the hub said."""
        if kind is QUOTES:
            for quote in batch.rows():
                known = self._quotes.get(quote.symbol)
                if known is None:
                    known = self._quotes[quote.symbol] = QuotesKernel(need=()), []
                whole = known[0].quote(quote)
                if whole is not None:
                    known[1][:] = (whole,)
        elif kind is DEPTH:
            for depth in batch.rows():
                self._depth(depth)

    def _depth(self, depth: Depth) -> None:
        if depth.kind == DepthKind.RESET:
            self._books[depth.symbol] = {None: depth}
            return
        book = self._books.get(depth.symbol)
        if book is None:
            return  # before the first reset nobody knows the book
        level = depth.side, depth.price
        if depth.size:
            book[level] = depth
        else:
            book.pop(level, None)

    def of(self, kind: Kind, symbol: str, received: int) -> list[Any]:
        """Return what somebody who joins now must be told first: nothing, a quote, or a reset and the levels.

        Each keeps its time and `seq`; `received` is the same for all, since they come together.
        """
        if kind is QUOTES:
            known = self._quotes.get(symbol)
            return [] if known is None else [msgspec.structs.replace(quote, received=received) for quote in known[1]]
        if kind is DEPTH:
            book = self._books.get(symbol, {})
            return [msgspec.structs.replace(each, received=received) for each in sorted(book.values(), key=_SEQ)]
        return []

    def forget(self, kind: Kind, symbol: str) -> None:
        """Forget what nobody is subscribed to any more, and so is no longer kept up to date."""
        if kind is QUOTES:
            self._quotes.pop(symbol, None)
        elif kind is DEPTH:
            self._books.pop(symbol, None)
