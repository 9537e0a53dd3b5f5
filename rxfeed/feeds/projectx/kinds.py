"""The streams of the gateway's hubs: which event each comes from, and how it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, NamedTuple, Protocol

from rxfeed.feeds.projectx import user
from rxfeed.feeds.projectx.decode import Counter, DecoderStats, Depths, Drained, Quotes, Trades
from rxfeed.model import Depth, Quote, Tick, Undecoded

HubName = Literal["market", "user"]


class Batch(Protocol):
    """Elements of one kind that came together."""

    @property
    def keys(self) -> list[str]:
        """What each element is about, its symbol or its account, in the order of arrival."""
        ...

    @property
    def of(self) -> frozenset[str]:
        """All the keys."""
        ...

    def rows(self) -> list[Any]:
        """Return the elements, in the order of arrival."""
        ...

    def number(self, counter: Counter) -> None:
        """Give each its `seq`, where it has one, before anybody gets it."""
        ...


class Decodes(Protocol):
    """What turns messages into elements."""

    @property
    def stats(self) -> DecoderStats:
        """What became of what was sent, so far."""
        ...

    def drain(self, records: list[bytes], received: int) -> Batch:
        """Decode messages that came together."""
        ...


Making = Callable[[Callable[[str], str], Callable[[Undecoded], object], int], Decodes]


class Kind(NamedTuple):
    """One kind of stream."""

    name: str
    hub: HubName
    method: str
    """The hub's method, after `Subscribe` or `Unsubscribe`."""
    events: tuple[str, ...]
    """By which names it comes; two were seen for depth."""
    batch: Callable[[list[Any]], Batch]
    """Makes rows one batch again."""
    decoder: Making
    """Makes a decoder from: what contracts are called, who hears of what cannot be read, the epoch."""


_Ticks, _Quotes, _Depths = (partial(Drained[Any].of_rows, kind) for kind in (Tick, Quote, Depth))
TRADES: Final = Kind("trades", "market", "ContractTrades", ("GatewayTrade",), _Ticks, Trades)
QUOTES: Final = Kind("quotes", "market", "ContractQuotes", ("GatewayQuote",), _Quotes, Quotes)
DEPTH: Final = Kind("depth", "market", "ContractMarketDepth", ("GatewayDepth", "GatewayMarketDepth"), _Depths, Depths)
ACCOUNTS: Final = Kind("accounts", "user", "Accounts", ("GatewayUserAccount",), user.events, user.accounts)
ORDERS: Final = Kind("orders", "user", "Orders", ("GatewayUserOrder",), user.events, user.orders)
POSITIONS: Final = Kind("positions", "user", "Positions", ("GatewayUserPosition",), user.events, user.positions)
FILLS: Final = Kind("fills", "user", "Trades", ("GatewayUserTrade",), user.events, user.fills)

KINDS: Final = (TRADES, QUOTES, DEPTH, ACCOUNTS, ORDERS, POSITIONS, FILLS)
LOGOUT: Final = "GatewayLogout"
"""Said by both hubs when the session ends: a new token and a new connection are needed."""
