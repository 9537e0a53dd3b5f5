"""From the messages of one drain of the socket to ticks, quotes and depth, all at once, as rows or as a frame.

Whatever came together is decoded together: a column at a time, which costs half of a row at a time, and makes rows and frames
the same by having one origin. `received` is the same for all of it. `seq` is 0 until somebody numbers them: that is done when
it is known what comes out, as two connections may bring the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from rxfeed.feeds.projectx import shapes
from rxfeed.feeds.projectx.shapes import Bad, Reader
from rxfeed.feeds.projectx.stamps import many_nanoseconds_of, nanoseconds_of
from rxfeed.frame import SCHEMAS, SYMBOL, TIME, Frame
from rxfeed.model import Depth, DepthKind, Quote, Side, Tick, Undecoded

R = TypeVar("R", Tick, Quote, Depth)


class _Sides(dict[int | None, int]):
    """Sides by the gateway's numbers; what is no side is unknown."""

    def __missing__(self, key: int | None) -> int:
        return 0


_AGGRESSOR: Final = _Sides({0: int(Side.BUY), 1: int(Side.SELL)})
_ASK, _BID, _RESET = int(Side.SELL), int(Side.BUY), 6
_BOOK_SIDE: Final = {1: _ASK, 2: _BID, 3: _ASK, 4: _BID, 9: _BID, 10: _ASK}
"""Types of depth that set a level, best and new best ones among them; 5, 7, 8 and 11 tell of trades and of the day."""
_NO_BOOK: Final = frozenset({5, 7, 8, 11})

Columns = tuple[Iterable[Any], ...]
_SEQ_AT: Final[dict[type[Any], int]] = {
    kind: next(at for at, field in enumerate(msgspec.structs.fields(kind)) if field.name == "seq")
    for kind in (Tick, Quote, Depth)
}


class DecoderStats(NamedTuple):
    """What became of what was sent: received = emitted + rejected + ignored."""

    messages: int = 0
    """Messages of the hub; one holds any number of elements."""
    received: int = 0
    """Elements; a message that cannot be read at all counts as one."""
    emitted: int = 0
    rejected: int = 0
    ignored: int = 0
    """Elements of depth that say nothing about the book."""


class Drained(Generic[R]):
    """The elements of one drain, as rows or as a frame, whichever is wanted."""

    __slots__ = ("_columns", "_frame", "_kind", "_of", "_rows", "keys")

    def __init__(self, kind: type[R], symbols: list[str], columns: Columns) -> None:
        self._kind, self.keys, self._columns = kind, symbols, columns
        self._rows: list[R] | None = None
        self._frame: Frame[R] | None = None
        self._of: frozenset[str] | None = None

    @classmethod
    def of_rows(cls, kind: type[R], rows: Sequence[R]) -> Drained[R]:
        """Return rows, at least one, as if they had come together."""
        columns = tuple(map(list[Any], zip(*map(msgspec.structs.astuple, rows), strict=True)))
        return cls(kind, columns[0], columns)

    @property
    def times(self) -> Sequence[int]:
        """When each was at the exchange."""
        return cast("Sequence[int]", self._columns[1])

    @property
    def received(self) -> int | None:
        """When they came."""
        received = self._columns[-1]
        return cast("int | None", next(iter(received)))

    def number(self, counter: Counter) -> None:
        """Give each its `seq`, before anybody gets it."""
        at, columns = _SEQ_AT[self._kind], self._columns
        self._columns = (*columns[:at], counter.take(len(self.keys)), *columns[at + 1 :])
        self._rows = self._frame = None

    @property
    def of(self) -> frozenset[str]:
        """The symbols that are in it."""
        if self._of is None:
            self._of = frozenset(self.keys)
        return self._of

    def rows(self) -> list[R]:
        """Return the elements, in the order of arrival."""
        if self._rows is None:
            self._rows = list(map(self._kind, *(_listed(column) for column in self._columns)))
        return self._rows

    def frame(self) -> Frame[R]:
        """Return the elements as a frame, in the order of arrival."""
        if self._frame is None:
            count = len(self.keys)
            series = [
                _series(name, dtype, values, count)
                for (name, dtype), values in zip(SCHEMAS[self._kind].items(), self._columns, strict=True)
            ]
            self._frame = Frame.trusted(pl.DataFrame(series), self._kind)
        return self._frame


def _listed(column: Any) -> Iterable[Any]:
    # Numbers of numpy's own are no ints.
    return column.tolist() if isinstance(column, np.ndarray) else column


def _series(name: str, dtype: pl.DataType, values: Any, count: int) -> pl.Series:
    if isinstance(values, repeat):
        value: Any = next(cast("repeat[Any]", values))
        one = pl.Series(name, [value], dtype=pl.Int64 if dtype == TIME else dtype)
        return (one.cast(TIME) if dtype == TIME else one).new_from_index(0, count)
    if isinstance(values, range):
        return pl.Series(name, np.arange(values.start, values.stop, dtype=np.int64))
    if dtype == TIME:
        return pl.Series(name, values, dtype=pl.Int64).cast(TIME)
    if dtype == SYMBOL:
        # Nearly always there is but one, and a cast of text costs most of a frame.
        if count and values.count(values[0]) == count:
            return pl.Series(name, values[:1], dtype=pl.String).cast(SYMBOL).new_from_index(0, count)
        return pl.Series(name, values, dtype=pl.String).cast(SYMBOL)
    return pl.Series(name, values, dtype=dtype)


class Counter:
    """The next `seq`: shared by all connections of a gateway, so that no two elements of a kind have the same."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def take(self, count: int) -> range:
        """Return the next so many numbers; the first of all is 1."""
        start = self._last + 1
        self._last += count
        return range(start, self._last + 1)


class Decoder(ABC, Generic[R]):
    """Turns the messages of one event into elements.

    Args:
        symbol_of: what the elements of a contract are called.
        reject: told of each element that cannot be read.
        epoch: which connection it decodes for: what depth says is about that connection's book.
    """

    source: str
    """The event."""
    kind: type[R]

    def __init__(self, symbol_of: Callable[[str], str], reject: Callable[[Undecoded], object], epoch: int = 0) -> None:
        self._symbol_of, self._reject, self._epoch = symbol_of, reject, epoch
        self._symbols: dict[str, str] = {}
        self._reader: Reader[Any] = Reader(self._shape(), self._bad)
        self._messages = self._received = self._rejected = self._emitted = 0
        self._now = 0

    @abstractmethod
    def _shape(self) -> type[Any]: ...

    @abstractmethod
    def _columns(self, items: list[Any], symbols: list[str]) -> tuple[list[str], Columns]:
        """Return the symbols of those that are elements of the stream, and all columns of the row's type."""

    @property
    def stats(self) -> DecoderStats:
        """What became of what was sent, so far."""
        ignored = self._received - self._emitted - self._rejected
        return DecoderStats(self._messages, self._received, self._emitted, self._rejected, ignored)

    def drain(self, records: Sequence[bytes], received: int) -> Drained[R]:
        """Decode messages that came together.

        Args:
            records: whole messages of this event.
            received: when they came, in nanoseconds since the epoch, UTC.
        """
        self._now = received
        items: list[Any] = []
        symbols: list[str] = []
        elements, known = self._reader.elements, self._symbols
        for record in records:
            for contract, found in elements(record):
                symbol = known.get(contract)
                if symbol is None:
                    symbol = known[contract] = self._symbol_of(contract)
                items += found
                symbols += [symbol] * len(found)
        self._messages += len(records)
        self._received += len(items)
        symbols, columns = self._columns(items, symbols)
        self._emitted += len(symbols)
        return Drained(self.kind, symbols, columns)

    def _times(self, texts: list[str | None], items: list[Any], symbols: list[str]) -> list[int] | npt.NDArray[np.int64]:
        """Return the times of elements. Those whose time is none are taken out of all three lists, and rejected."""
        try:
            return many_nanoseconds_of(cast("list[str]", texts))
        except (ValueError, TypeError):
            pass
        times: list[int] = []
        for row in reversed(range(len(items))):
            text = texts[row]
            try:
                times.append(self._now if text is None else nanoseconds_of(text))
            except ValueError as error:
                self._refuse(symbols[row], shapes.told(items[row]), str(error))
                del items[row], symbols[row], texts[row]
        return times[::-1]

    def _bad(self, bad: Bad) -> None:
        """Report what the reader did not take for an element."""
        self._received += 1
        self._refuse(bad.contract and self._symbol_of(bad.contract), bad.text, bad.reason)

    def _refuse(self, symbol: str | None, text: str, reason: str) -> None:
        self._rejected += 1
        self._reject(Undecoded(self.source, text, reason, symbol, self._now))


class Trades(Decoder[Tick]):
    """GatewayTrade to ticks."""

    source = "GatewayTrade"
    kind = Tick

    def _shape(self) -> type[Any]:
        return shapes.Trade

    def _columns(self, items: list[Any], symbols: list[str]) -> tuple[list[str], Columns]:
        times = self._times([item.timestamp for item in items], items, symbols)
        prices, sizes = [item.price for item in items], [item.volume for item in items]
        sides = [_AGGRESSOR[item.type] for item in items]
        return symbols, (symbols, times, prices, sizes, sides, repeat(0), repeat(self._now))


class Quotes(Decoder[Quote]):
    """GatewayQuote to quotes, of which each says only what has changed; without a time they are of when they came."""

    source = "GatewayQuote"
    kind = Quote

    def _shape(self) -> type[Any]:
        return shapes.Quote

    def _columns(self, items: list[Any], symbols: list[str]) -> tuple[list[str], Columns]:
        times = self._times([item.timestamp or item.lastUpdated for item in items], items, symbols)
        bids, asks = [item.bestBid for item in items], [item.bestAsk for item in items]
        lasts = [item.lastPrice or None for item in items]  # 0 says that there was none yet
        volumes = [item.volume for item in items]
        return symbols, (symbols, times, bids, asks, repeat(None), repeat(None), lasts, volumes, repeat(0), repeat(self._now))


class Depths(Decoder[Depth]):
    """GatewayDepth to changes of the book."""

    source = "GatewayDepth"
    kind = Depth

    def _shape(self) -> type[Any]:
        return shapes.Depth

    def _columns(self, items: list[Any], symbols: list[str]) -> tuple[list[str], Columns]:
        pairs = [(item, symbol) for item, symbol in zip(items, symbols, strict=True) if self._of_book(item, symbol)]
        items, symbols = [item for item, _ in pairs], [symbol for _, symbol in pairs]
        times = self._times([item.timestamp for item in items], items, symbols)
        kinds = [int(DepthKind.RESET if item.type == _RESET else DepthKind.LEVEL) for item in items]
        sides = [_BOOK_SIDE.get(item.type, 0) for item in items]
        prices = [None if item.type == _RESET else item.price for item in items]
        sizes = [0 if item.type == _RESET else item.volume for item in items]
        return symbols, (symbols, times, kinds, sides, prices, sizes, repeat(self._epoch), repeat(0), repeat(self._now))

    def _of_book(self, item: shapes.Depth, symbol: str) -> bool:
        if item.type == _RESET or (item.type in _BOOK_SIDE and item.price is not None and item.volume is not None):
            return True
        if item.type not in _NO_BOOK:
            wrong = "a level needs price and volume" if item.type in _BOOK_SIDE else f"type {item.type} is not known"
            self._refuse(symbol, shapes.told(item), wrong)
        return False
