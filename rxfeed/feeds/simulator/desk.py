"""The trading desk behind the user hub: each user's account, and a seeded trader who now and then buys or sells a little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Final

from rxfeed.feeds.simulator.market import Contract
from rxfeed.feeds.simulator.records import Kind, Record, user_event
from rxfeed.feeds.simulator.stamps import Stamps

OPEN, FILLED = 1, 2
"""An order's status."""
_MARKET_ORDER: Final = 2
_FEES: Final = 0.37
_BALANCE: Final = 50_000.0

Tell = Callable[[str, Record], None]
"""Told of an event and whose it is."""


class _Account:
    """One account: its money, its positions in signed lots, and their average prices."""

    __slots__ = ("average", "balance", "id", "lots", "opened", "user")

    def __init__(self, id: int, user: str) -> None:
        self.id = id
        self.user = user
        self.balance = _BALANCE
        self.lots: dict[str, int] = {}
        self.average: dict[str, float] = {}
        self.opened: dict[str, str] = {}

    def row(self) -> dict[str, Any]:
        flags = {"canTrade": True, "isVisible": True, "simulated": True}
        return {"id": self.id, "name": f"SIM-{self.id:04d}", "balance": round(self.balance, 2), **flags}


class Desk:
    """Accounts, and the events of what is done on them.

    Args:
        users: who has an account.
        random: what the trader does.
        tell: told of events.
    """

    __slots__ = ("_accounts", "_number", "_random", "_seq", "_stamps", "_tell")

    def __init__(self, users: Iterable[str], random: Random, tell: Tell) -> None:
        self._accounts = {number: _Account(number, user) for number, user in enumerate(users, 1)}
        self._random = random
        self._tell = tell
        self._stamps = Stamps()
        self._number = 1_000
        self._seq: dict[tuple[Kind, int], int] = {}

    def of(self, user: str) -> list[dict[str, Any]]:
        """Return a user's accounts as the gateway shows them."""
        return [account.row() for account in self._accounts.values() if account.user == user]

    def owns(self, user: str, account: str) -> bool:
        """Return whether an account is this user's."""
        return account.isdigit() and int(account) in self._accounts and self._accounts[int(account)].user == user

    def send(self, kind: Kind, account: int, *rows: Mapping[str, Any], action: int = 1) -> None:
        """Send one event with these rows to who is subscribed to the account's events of this kind.

        Raises:
            ValueError: there is no such account.
        """
        known = self._accounts.get(account)
        if known is None:
            raise ValueError(f"account must be one of {', '.join(map(str, self._accounts))}, got {account}")
        seq = self._seq[kind, account] = self._seq.get((kind, account), -1) + len(rows)
        self._tell(known.user, user_event(kind, account, [dict(row) for row in rows], seq, action))

    def trade(self, markets: list[Contract], now: int) -> None:
        """Let each account's trader do one order in one of the contracts: placed, filled, and what follows from it."""
        for account in self._accounts.values():
            self.fill(account.id, self._random.choice(markets), self._random.randint(1, 3), self._random.randint(0, 1), now)

    def fill(self, account: int, market: Contract, size: int, side: int, now: int) -> None:
        """Do one market order: the order twice, its fill, the position and the account. Side 0 buys, 1 sells."""
        one, listed = self._accounts[account], market.listed
        price = listed.price(market.bid if side else market.ask)
        at = self._stamps.full(now)
        self._number += 2
        order: dict[str, Any] = {
            "id": self._number, "accountId": account, "contractId": listed.id, "symbolId": listed.symbol_id,
            "creationTimestamp": at, "updateTimestamp": at, "status": OPEN, "type": _MARKET_ORDER, "side": side, "size": size,
            "limitPrice": None, "stopPrice": None, "fillVolume": 0, "filledPrice": None, "customTag": None,
        }  # fmt: skip
        self.send("orders", account, order)
        self.send("orders", account, order | {"status": FILLED, "fillVolume": size, "filledPrice": price})
        profit = self._book(one, listed.id, size if side == 0 else -size, price, at)
        if profit is not None:
            profit = round(profit / listed.tick_size * listed.tick_value, 2)
            one.balance += profit
        fees = round(_FEES * size, 2)
        one.balance -= fees
        self.send("fills", account, {
            "id": self._number + 1, "accountId": account, "contractId": listed.id, "creationTimestamp": at, "price": price,
            "profitAndLoss": profit, "fees": fees, "side": side, "size": size, "voided": False, "orderId": self._number,
        })  # fmt: skip
        lots = one.lots.get(listed.id, 0)
        self.send("positions", account, {
            "id": 10_000 + account, "accountId": account, "contractId": listed.id, "creationTimestamp": one.opened[listed.id],
            "type": 1 if lots > 0 else 2 if lots < 0 else 0, "size": abs(lots), "averagePrice": one.average.get(listed.id, 0.0),
        })  # fmt: skip
        self.send("accounts", account, one.row())

    @staticmethod
    def _book(one: _Account, contract: str, lots: int, price: float, at: str) -> float | None:
        """Change a position and return what was made of its closed part, in price times lots; None if nothing was closed."""
        had = one.lots.get(contract, 0)
        average = one.average.get(contract, price)
        now = one.lots[contract] = had + lots
        if had == 0 or (had > 0) == (lots > 0):
            one.average[contract] = (average * abs(had) + price * abs(lots)) / abs(now)
            one.opened[contract] = one.opened[contract] if had else at
            return None
        closed = min(abs(had), abs(lots))
        if now == 0:
            one.average.pop(contract, None)
        elif (now > 0) != (had > 0):
            one.average[contract], one.opened[contract] = price, at
        return (price - average) * closed * (1 if had > 0 else -1)
