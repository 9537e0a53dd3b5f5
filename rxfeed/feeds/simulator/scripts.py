"""Scripts: just these trades, quotes, levels, events or bytes, now or at an instant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from rxfeed.clock import Clock
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.feeds.simulator.desk import Desk
from rxfeed.feeds.simulator.listing import Listed
from rxfeed.feeds.simulator.market import Contract
from rxfeed.feeds.simulator.records import Deals, Kind, Level, Record, Shape
from rxfeed.feeds.simulator.stamps import on_wire


class Scripts(ABC):
    """What a test may let happen, of everything that happens on a trading floor."""

    clock: Clock
    markets: dict[str, Contract]
    _batch: list[Record]
    _desk: Desk

    @property
    @abstractmethod
    def now(self) -> int:
        """The server's time."""

    @abstractmethod
    def picked(self, hub: str | None = None) -> list[HubConnection]:
        """Return the connections of a hub, or all."""

    @abstractmethod
    def _make(self, market: Contract, deals: Deals, shape: Shape | None = None, bunch: int | None = None) -> None: ...

    @abstractmethod
    def _stamp(self, time: int) -> int: ...

    @abstractmethod
    def _publish(self) -> None: ...

    def _find(self, contract: str) -> Contract:
        for market in self.markets.values():
            listed = market.listed
            if contract in (listed.id, listed.symbol, listed.name, listed.root):
                return market
        raise ValueError(f"contract must be one of {', '.join(self.markets)}, got {contract!r}")

    def _at(self, when: int | None, action: Callable[[], None]) -> None:
        if when is None:
            action()
        else:
            self.clock.call_at(when, action)

    def contract(self, name: str) -> Listed:
        """Return a contract by root, name, symbol or id.

        Raises:
            ValueError: there is none.
        """
        return self._find(name).listed

    def trade(
        self, contract: str, *trades: tuple[float, int] | tuple[float, int, int], time: int | None = None,
        at: int | None = None, shape: Shape | None = None, bunch: int | None = None,
    ) -> None:  # fmt: skip
        """Do trades, as one message if there are not more than a bunch.

        Args:
            contract: root, name, symbol or id.
            trades: `(price, size)` or `(price, size, side)`, side 1 buys and 2 sells.
            time: their time; by default the server's when they are done.
            at: when to do it, in nanoseconds since the epoch; by default now.
            shape: of the message, if not the simulator's.
            bunch: trades in a message at most, if not the simulator's.

        Raises:
            ValueError: no such contract, or a price off its grid.
        """
        market = self._find(contract)
        rows = [(market.listed.ticks(row[0]), row[1], row[2] if len(row) > 2 else 1) for row in trades]

        def do() -> None:
            stamp = self._stamp(self.now) if time is None else on_wire(time)
            deals = Deals.of((stamp, *row) for row in rows)
            market.trade(deals)
            self._make(market, deals, shape, bunch)
            self._publish()

        self._at(at, do)

    def quote(
        self, contract: str, *, time: int | None = None, at: int | None = None, shape: Shape | None = None, **fields: Any
    ) -> None:
        """Send a quote with just these fields of the gateway's (`bestBid=21500.25`) to whoever is subscribed.

        The other arguments are those of `trade`.
        """
        market = self._find(contract)

        def do() -> None:
            self._batch.append(market.scripted_quote(fields, self.now if time is None else time, shape))
            self._publish()

        self._at(at, do)

    def depth(
        self, contract: str, *levels: tuple[int, float, int], time: int | None = None, at: int | None = None,
        shape: Shape | None = None,
    ) -> None:  # fmt: skip
        """Send levels `(DomType, price, volume)` to whoever is subscribed; the market's own book knows nothing of them."""
        market = self._find(contract)
        rows = [Level(kind, market.listed.ticks(price), volume, volume) for kind, price, volume in levels]

        def do() -> None:
            self._batch += market.scripted_depth(rows, self.now if time is None else time, shape)
            self._publish()

        self._at(at, do)

    def event(self, kind: Kind, account: int, *rows: Mapping[str, Any], action: int = 1, at: int | None = None) -> None:
        """Send an event of the user hub ("accounts", "orders", "positions", "fills") with these rows, in one list."""
        self._at(at, lambda: self._desk.send(kind, account, *rows, action=action))

    def raw(self, payload: bytes, *, hub: str | None = None, connection: str | None = None, at: int | None = None) -> None:
        """Send bytes as one WebSocket message to all connections, those of one hub, or one by its id."""

        def do() -> None:
            for one in self.picked(hub):
                if connection in (None, one.id):
                    one.send_raw(payload)

        self._at(at, do)
