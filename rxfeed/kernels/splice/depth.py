"""Order books over a change of connection: a book is one connection's, so new's is built in the shadow and takes over whole."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rxfeed.model import Depth, DepthKind

_Book = dict[tuple[int, float | None] | None, Depth]
"""A reset, by None, and the levels by side and price, in the order of their last changes."""


class DepthSplice:
    """Depth of two connections of one feed as one.

    Old's passes through, and new's is only taken in, until `cut`: then a reset and all levels of new's book come out at once,
    and new's passes through. Elements keep their `epoch`, by which whoever builds the books knows that there is another one.
    Cut when old is closed or lost: there is no way back, since an epoch that is over does not come again.

    Args:
        epoch: new's.
    """

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._books: dict[str, _Book] = {}
        self._last: dict[str, Depth] = {}  # old's last level of each symbol
        self._cut: set[str] = set()
        self._unready: set[str] = set()

    def old(self, rows: Sequence[Depth]) -> list[Depth]:
        """Take depth of the old connection; return what comes out."""
        out = [row for row in rows if row.symbol not in self._cut]
        for row in out:
            if row.kind == DepthKind.LEVEL:
                self._last[row.symbol] = row
        return out

    def new(self, rows: Sequence[Depth]) -> list[Depth]:
        """Take depth of the new connection; return what comes out."""
        out: list[Depth] = []
        for row in rows:
            if row.symbol in self._cut:
                out.append(row)
                if row.kind == DepthKind.RESET:
                    self._unready.discard(row.symbol)
            else:
                self._take(row)
        return out

    def cut(self, symbol: str, *, received: int | None = None) -> list[Depth]:
        """Go over to new; return its book, a reset first.

        If new has sent no reset yet, nobody knows its book, and the symbol is `unready`. What comes out then is one level,
        old's last, with new's epoch: so that whoever builds the book lets go of it, and waits for a reset.

        Args:
            symbol: of the book.
            received: when all this is taken to have come, in ns: what comes together has one such time.
        """
        if symbol in self._cut:
            return []
        self._cut.add(symbol)
        last, book = self._last.pop(symbol, None), self._books.pop(symbol, None)
        if book is not None:
            return [msgspec.structs.replace(row, received=received) for row in book.values()]
        self._unready.add(symbol)
        return [] if last is None else [msgspec.structs.replace(last, epoch=self._epoch, received=received)]

    @property
    def unready(self) -> frozenset[str]:
        """The symbols that were cut before new had sent a reset, and have had none since."""
        return frozenset(self._unready)

    def ready(self, symbol: str) -> bool:
        """Return whether new's book is known, so that `cut` puts it in the place of old's."""
        return symbol in self._books or (symbol in self._cut and symbol not in self._unready)

    def drop(self, symbol: str) -> None:
        """Forget a symbol that nobody is subscribed to any more."""
        self._books.pop(symbol, None)
        self._last.pop(symbol, None)
        self._cut.discard(symbol)
        self._unready.discard(symbol)

    def _take(self, row: Depth) -> None:
        if row.kind == DepthKind.RESET:
            self._books[row.symbol] = {None: row}
            return
        book = self._books.get(row.symbol)
        if book is not None:
            level = row.side, row.price
            book.pop(level, None)
            if row.size:
                book[level] = row
