"""The accounts that a user may look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from rxfeed.secret import redacted

from .lists import elements
from .login import Login
from .rest import Envelope

ACCOUNTS: Final = "Account/search"

_NAME: Final = 40


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """An account.

    Args:
        id: what the user hub is asked for.
        name: what people call it.
        balance: in its currency; None when the gateway does not say.
        can_trade: whether orders are taken; None when the gateway does not say.
        is_visible: whether it is shown.
        simulated: whether its money is not real; None when the gateway does not say.
    """

    id: int
    name: str = ""
    balance: float | None = None
    can_trade: bool | None = None
    is_visible: bool = True
    simulated: bool | None = None


class _Found(Envelope, frozen=True, rename="camel"):
    accounts: list[Any] | None = None


class Accounts:
    """Asks for the user's accounts, and says which of them may not trade, or that there are none. Market data needs none.

    Args:
        login: whose token is used.
    """

    def __init__(self, login: Login) -> None:
        self._login = login
        self._said: set[int] = set()
        self._said_none = False

    async def list(self, *, only_active: bool = True) -> list[Account]:
        """Return the accounts of the user, in the gateway's order.

        Raises:
            FeedError: as `Login.post`.
        """
        answer = await self._login.post(ACCOUNTS, {"onlyActiveAccounts": only_active}, _Found)
        found = elements(ACCOUNTS, answer.accounts or [], Account)
        if found:
            self._tell_barred(found)
        elif only_active and not self._said_none:
            _say("the gateway lists no active account: there are no orders, positions and fills to follow; market data goes on")
        self._said_none = only_active and not found
        return found

    def _tell_barred(self, found: Sequence[Account]) -> None:
        """Say once of each account that its orders are refused; again if it was allowed to trade meanwhile."""
        barred = {account.id: account for account in found if account.can_trade is False}
        fresh = [account for id, account in barred.items() if id not in self._said]
        self._said = set(barred)
        if fresh:
            names = ", ".join(f"{account.id} ({redacted(account.name)[:_NAME]})" for account in fresh)
            _say(f"no orders are taken for account {names} (canTrade is false); market data goes on")


def _say(text: str) -> None:
    from loguru import logger  # costs 30 ms, and mostly all is well

    logger.warning("{}", text)
