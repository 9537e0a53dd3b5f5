"""The simulated market of one contract: its last trade, its quotes, its book, its history, and the records made of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from random import Random
from typing import Any, Final

from rxfeed.feeds.simulator.depth import DepthBook
from rxfeed.feeds.simulator.history import History
from rxfeed.feeds.simulator.ledger import Ledger
from rxfeed.feeds.simulator.listing import Listed
from rxfeed.feeds.simulator.records import Deals, Encoder, Level, Record, Shape
from rxfeed.feeds.simulator.truth import Totals
from rxfeed.times import SECOND

_RESET_EVERY: Final = 60 * SECOND


class Contract:
    """One contract's state. Nothing here knows who is subscribed; records are made only when asked for.

    Args:
        listed: what it is.
        encoder: makes its records.
        random: of its book.
        traded: counts what it trades.
        ledger: keeps its trades.
        bunch: trades in a message at most.
    """

    __slots__ = (
        "_book", "_bunch", "_depth_seq", "_encoder", "_next_reset", "_quoted", "_random", "ask", "bid", "high", "history",
        "last", "ledger", "listed", "low", "opened", "seq", "time", "traded", "volume",
    )  # fmt: skip

    def __init__(self, listed: Listed, encoder: Encoder, random: Random, traded: Totals, ledger: Ledger, bunch: int) -> None:
        self.listed: Final = listed
        self.history: Final = History()
        self.traded: Final = traded
        self.ledger: Final = ledger
        self.seq = -1
        """The last trade's number, from 0."""
        self.time = 0
        """The last trade's time as it was sent."""
        middle = listed.grid.middle
        self.bid, self.ask = middle, middle + 1
        self.last: int | None = None
        self.opened = self.high = self.low = middle
        self.volume = 0
        self._encoder, self._random, self._bunch = encoder, random, bunch
        self._quoted: dict[str, Any] = {}
        self._book: DepthBook | None = None
        self._depth_seq = -1
        self._next_reset = 0

    def __repr__(self) -> str:
        return f"Contract({self.listed.id}, {self.seq + 1} trades)"

    # Trades

    def trade(self, deals: Deals, bid: int | None = None, ask: int | None = None) -> None:
        """Do trades, and let the best prices be what they are after them."""
        times, ticks, sizes, sides = deals
        if self.seq < 0:
            self.opened = self.high = self.low = ticks[0]
        volume = sum(sizes)
        self.high, self.low = max(self.high, max(ticks)), min(self.low, min(ticks))  # noqa: PLW3301  # of a list
        self.last, self.time = ticks[-1], times[-1]
        self.volume += volume
        self.seq += len(times)
        if bid is not None and ask is not None:
            self.bid, self.ask = bid, ask
        elif sides[-1] == 2:
            self.bid, self.ask = self.last, self.last + 1
        else:
            self.bid, self.ask = self.last - 1, self.last
        self.history.add(deals)
        self.ledger.add(deals)
        traded = self.traded
        traded.elements += len(times)
        traded.volume += volume
        traded.ticks += sum(map(mul, ticks, sizes))
        traded.last_seq = self.seq

    def before(self, deals: Deals, bid: int, ask: int) -> None:
        """Take trades from before the simulation's start: they are in the history, and in nothing else."""
        self.last, self.bid, self.ask = deals.ticks[-1], bid, ask
        self.history.add(deals)

    def trade_records(self, deals: Deals, shape: Shape | None = None, bunch: int | None = None) -> list[Record]:
        """Return the newest trades as messages."""
        records = self._encoder.trades(self.listed, deals, self.seq, bunch or self._bunch, shape)
        self.traded.messages += len(records)
        return records

    # Quotes

    def _fields(self) -> dict[str, Any]:
        price = self.listed.price
        fields: dict[str, Any] = {"bestBid": price(self.bid), "bestAsk": price(self.ask)}
        if self.last is not None:
            change = self.last - self.opened
            fields |= {
                "lastPrice": price(self.last), "change": price(change),
                "changePercent": round(change / self.opened * 100, 2) if self.opened else 0.0, "open": price(self.opened),
                "high": price(self.high), "low": price(self.low), "volume": self.volume,
            }  # fmt: skip
        return fields

    def quote_records(self, now: int) -> list[Record]:
        """Return a quote that says what changed since the last one; none if nothing did."""
        fields = self._fields()
        changed = {name: value for name, value in fields.items() if self._quoted.get(name) != value}
        if not changed:
            return []
        self._quoted = fields
        return [self._encoder.quote(self.listed, changed, now)]

    def quote_snapshot(self, now: int) -> list[Record]:
        """Return the whole quote, for one who has just subscribed."""
        fields = {"symbolName": f"/{self.listed.root}", **(self._quoted or self._fields())}
        return [self._encoder.quote(self.listed, fields, now)]

    def scripted_quote(self, fields: dict[str, Any], now: int, shape: Shape | None = None) -> Record:
        """Return a quote with just these fields; it is the last one from now on."""
        self._quoted = {**self._quoted, **fields}
        return self._encoder.quote(self.listed, fields, now, shape)

    # Depth

    @property
    def book(self) -> DepthBook:
        """The order book as of the last depth message; made when it is first looked at."""
        if self._book is None:
            self._book = DepthBook(self._random, self.bid, self.ask)
        return self._book

    def depth_records(self, now: int) -> list[Record]:
        """Return the book's changes since the last one; now and then a reset and the whole book."""
        changes = self.book.move(self.bid, self.ask)
        if now >= self._next_reset:
            first, self._next_reset = self._next_reset == 0, now + _RESET_EVERY
            if not first:
                changes = self.book.snapshot()
        return self.scripted_depth(changes, now)

    def depth_snapshot(self, now: int) -> list[Record]:
        """Return a reset and the whole book, for one who has just subscribed."""
        return self._encoder.depth(self.listed, self.book.snapshot(), now, self._depth_seq)

    def scripted_depth(self, levels: Sequence[Level], now: int, shape: Shape | None = None) -> list[Record]:
        """Return levels as a message."""
        self._depth_seq += len(levels)
        return self._encoder.depth(self.listed, levels, now, self._depth_seq, shape)
