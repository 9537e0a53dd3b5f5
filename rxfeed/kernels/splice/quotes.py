"""Quotes over a change of connection: one side at a time, since what a quote does not say is what the same side said last."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rxfeed.kernels.quotes import FIELDS, QuotesKernel
from rxfeed.model import Quote


class _Known:
    """The last whole quote of each side, and whether new passes through."""

    __slots__ = ("cut", "new", "old", "take_new", "take_old")

    def __init__(self) -> None:
        self.take_old, self.take_new = QuotesKernel(need=()).quote, QuotesKernel(need=()).quote
        self.old: Quote | None = None
        self.new: Quote | None = None
        self.cut = False


class QuoteSplice:
    """Quotes of two connections of one feed as one.

    Old's quotes pass through as they are, and new's are only taken in, until `cut`: then what new knows is laid over old's last
    whole quote, and new's pass through, but for those that are older than that. Cut when old is closed or lost: there is no
    way back.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def old(self, quotes: Sequence[Quote]) -> list[Quote]:
        """Take quotes of the old connection; return what comes out."""
        out: list[Quote] = []
        for quote in quotes:
            known = self._of(quote.symbol)
            if not known.cut:
                known.old = known.take_old(quote) or known.old
                out.append(quote)
        return out

    def new(self, quotes: Sequence[Quote]) -> list[Quote]:
        """Take quotes of the new connection; return what comes out."""
        out: list[Quote] = []
        for quote in quotes:
            known = self._of(quote.symbol)
            whole = known.take_new(quote)
            if whole is not None:
                known.new = whole
                if known.cut:
                    out.append(quote)
        return out

    def cut(self, symbol: str) -> list[Quote]:
        """Go over to new; return the quote that is known then, unless it says no more than old had said."""
        known = self._of(symbol)
        if known.cut:
            return []
        known.cut = True
        old, new = known.old, known.new
        if old is None:
            return [] if new is None else [new]
        if new is None or new.time < old.time:
            # New is behind: what it says until it is level is known already, and stale from now on.
            known.take_new(old)
            return []
        said = {name: value for name in FIELDS if (value := getattr(new, name)) is not None}
        whole = msgspec.structs.replace(old, **said, time=new.time, seq=new.seq, received=new.received)
        return [] if all(getattr(whole, name) == getattr(old, name) for name in FIELDS) else [whole]

    def drop(self, symbol: str) -> None:
        """Forget a symbol that nobody is subscribed to any more."""
        self._known.pop(symbol, None)

    def _of(self, symbol: str) -> _Known:
        known = self._known.get(symbol)
        if known is None:
            known = self._known[symbol] = _Known()
        return known
