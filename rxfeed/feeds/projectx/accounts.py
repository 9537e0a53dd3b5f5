"""The accounts that a user may look at."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .lists import elements
from .login import Login
from .rest import Envelope

ACCOUNTS: Final = "Account/search"


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """An account.

    Args:
        id: what the user hub is asked for.
        name: what people call it.
        balance: in its currency; None when the gateway does not say.
        can_trade: whether orders are taken.
        is_visible: whether it is shown.
        simulated: whether its money is not real; None when the gateway does not say.
    """

    id: int
    name: str = ""
    balance: float | None = None
    can_trade: bool = False
    is_visible: bool = True
    simulated: bool | None = None


class _Found(Envelope, frozen=True, rename="camel"):
    accounts: list[Any] | None = None


async def accounts(login: Login, *, only_active: bool = True) -> list[Account]:
    """Return the accounts of the user, in the gateway's order.

    Raises:
        FeedError: as `Login.post`.
    """
    answer = await login.post(ACCOUNTS, {"onlyActiveAccounts": only_active}, _Found)
    return elements(ACCOUNTS, answer.accounts or [], Account)
