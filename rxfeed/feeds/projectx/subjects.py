"""What streams may be about: contracts, by what users call them; an account; all accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

from .contracts import Contract
from .kinds import Kind
from .wanted import Wanted


def of_contracts(
    kind: Kind, symbols: tuple[str, ...], *, contract: Callable[[str], Awaitable[Contract]],
    held: Callable[[], AbstractAsyncContextManager[object]],
) -> Wanted:  # fmt: skip
    """Return what finds the contracts that symbols mean.

    Args:
        kind: of the stream, for texts.
        symbols: one or more.
        contract: finds one.
        held: what all of them need.

    Raises:
        ValueError: there is none, or one that is no text.
    """
    given = cast("tuple[object, ...]", symbols)
    if not given or not all(isinstance(each, str) and each.strip() for each in given):
        raise ValueError(
            f'{kind.name} needs one symbol or more, such as "MNQ", "MES", got {", ".join(map(repr, given)) or "none"}'
        )

    async def wanted() -> list[tuple[str, Any]]:
        async with held():  # one HTTP session for all of them
            found = {each.symbol: each.id for each in [await contract(symbol) for symbol in symbols]}
        return list(found.items())

    return wanted


def of_account(kind: Kind, account: int) -> Wanted:
    """Return what a stream of one account is about.

    Raises:
        ValueError: it is no account's id.
    """
    given = cast("object", account)
    if not isinstance(given, int) or isinstance(given, bool):
        raise ValueError(f"{kind.name} needs an account's id, a whole number as account_list tells them, got {given!r}")

    async def wanted() -> list[tuple[str, Any]]:
        return [(str(account), account)]

    return wanted


async def of_all() -> list[tuple[str, Any]]:
    """Say that a stream is about all accounts."""
    return [("accounts", None)]
