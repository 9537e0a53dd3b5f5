"""The gateway's contracts, and which of them somebody means."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

import msgspec

from rxfeed.errors import GatewayRefused, ProtocolError, UnknownContract

from .lists import elements
from .login import Login
from .rest import Envelope
from .symbols import Wanted, expiry_of, is_id, meanings, root_of, symbol_of

SEARCH: Final = "Contract/search"
BY_ID: Final = "Contract/searchById"
AVAILABLE: Final = "Contract/available"

_NEAR: Final = 8


class Contract(msgspec.Struct, frozen=True):
    """Something that is traded.

    Args:
        id: the gateway's: "CON.F.US.ENQ.H25".
        symbol: what its ticks are called: "NQH25", by the id alone; an id that is no future's stays as it is.
        name: the gateway's: "NQH5".
        description: the gateway's: "E-mini NASDAQ-100: March 2025".
        tick_size: the smallest step of its price.
        tick_value: what such a step is worth, in its currency.
        active: whether it is the one that is mostly traded now.
    """

    id: str
    symbol: str
    name: str
    description: str
    tick_size: float
    tick_value: float
    active: bool

    def __str__(self) -> str:
        return f"{self.symbol} ({self.id})"


class _Row(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    tick_size: float
    tick_value: float = 0.0
    name: str | None = None
    description: str | None = None
    active_contract: bool = False


class _Found(Envelope, frozen=True, rename="camel"):
    contracts: list[Any] | dict[str, Any] | None = None
    contract: dict[str, Any] | list[Any] | None = None


class Contracts:
    """Searches the gateway's contracts.

    Args:
        login: who asks.
        live: contracts of the live data subscription, rather than of the simulated one that most users have.
    """

    def __init__(self, login: Login, *, live: bool = False) -> None:
        self._login = login
        self._live = live

    async def search(self, text: str) -> list[Contract]:
        """Return the contracts that the gateway finds for a text: some 20 at most, in its own order.

        Raises:
            FeedError: as `Login.post`.
        """
        return await self._ask(SEARCH, {"searchText": text, "live": self._live})

    async def by_id(self, id: str) -> Contract | None:
        """Return the contract with an id; None when there is none.

        Raises:
            FeedError: as `Login.post`.
        """
        try:
            found = await self._ask(BY_ID, {"contractId": id})
        except GatewayRefused as error:
            if error.code >= 400 and error.code != 404:  # HTTP's, and not that there is none
                raise
            return None
        return next((contract for contract in found if contract.id == id), None)

    async def available(self) -> list[Contract]:
        """Return all contracts that can be subscribed to.

        Raises:
            FeedError: as `Login.post`.
        """
        return await self._ask(AVAILABLE, {"live": self._live})

    async def resolve(self, text: str) -> Contract:
        """Return the contract that a text means.

        Args:
            text: a root ("MNQ", "/MNQ"), which is its active contract; a contract ("MNQZ26", "MNQZ6"); or an id
                ("CON.F.US.MNQ.Z26"). Capitals or not.

        Raises:
            UnknownContract: there is none; the text tells what is like it.
            FeedError: as `Login.post`.
        """
        wanted = meanings(text)
        near: list[Contract] = []
        if is_id(text.strip()):
            id = text.strip().upper()
            if (found := await self.by_id(id)) is not None:
                return found
            wanted = [Wanted(root_of(id))] if root_of(id) else []
            near = await self._of_root(wanted[0]) if wanted else []
        else:
            for meaning in wanted:
                candidates = await self._of_root(meaning)
                near += candidates
                if (found := await self._choose(meaning, candidates)) is not None:
                    return found
        raise UnknownContract(await self._unknown(text, wanted, near))

    async def _of_root(self, wanted: Wanted) -> list[Contract]:
        for text in dict.fromkeys((wanted.root, wanted.symbol)):
            found = [contract for contract in await self.search(text) if _is_of(contract, wanted.root)]
            if found:
                return sorted(found, key=lambda contract: expiry_of(contract.id))
        return []

    async def _choose(self, wanted: Wanted, candidates: list[Contract]) -> Contract | None:
        """Of the contracts of one root, sorted by expiry."""
        if not wanted.month:
            return next((contract for contract in candidates if contract.active), None)
        for contract in sorted(candidates, key=lambda contract: not contract.active):
            tail = contract.id.rpartition(".")[2]
            if tail.startswith(wanted.month) and tail.endswith(wanted.year):
                return contract
        # A search tells some of a root's contracts only; of a month that it left out, the id can be asked for.
        for contract in candidates:
            head, _, tail = contract.id.rpartition(".")
            if head and tail[1:].isdigit():
                year = wanted.year if len(wanted.year) == 2 else _decade(tail[1:], wanted.year)
                return await self.by_id(f"{head}.{wanted.month}{year}")
        return None

    async def _unknown(self, text: str, wanted: list[Wanted], near: list[Contract]) -> str:
        if not near:
            names: dict[str, Contract] = {}
            for contract in sorted(await self.available(), key=lambda contract: (not contract.active, expiry_of(contract.id))):
                for name in filter(None, (root_of(contract.id), contract.symbol)):
                    names.setdefault(name, contract)
            words = [meaning.root for meaning in wanted] or [text.strip().upper()]
            alike = [name for word in words for name in get_close_matches(word, names, _NEAR, 0.6)]
            near = [names[name] for name in dict.fromkeys(alike)]
        known = list(dict.fromkeys(contract.symbol for contract in near))[:_NEAR]
        hint = f"known are {', '.join(known)}" if known else "nothing is called alike"
        given = text if len(text) <= 40 else f"{text[:40]}…"
        return f"no contract is called {given!r} at {self._login.rest.deployment}; {hint}"

    async def _ask(self, endpoint: str, body: dict[str, object]) -> list[Contract]:
        answer = await self._login.post(endpoint, body, _Found)
        raw = answer.contracts if answer.contracts is not None else answer.contract
        rows = elements(endpoint, [] if raw is None else [raw] if isinstance(raw, dict) else raw, _Row)
        for row in rows:
            if not (row.tick_size > 0 and row.id):
                raise ProtocolError(f"{endpoint} answered a contract with tick size {row.tick_size:g} and id {row.id[:40]!r}")
        return [
            Contract(
                row.id,
                symbol_of(row.id),
                row.name or row.id,
                row.description or "",
                row.tick_size,
                row.tick_value,
                row.active_contract,
            )
            for row in rows
        ]


def _is_of(contract: Contract, root: str) -> bool:
    # The gateway's own symbol may be one that we have no root for: then its name says it.
    return root_of(contract.id) == root or any(meaning.root == root for meaning in meanings(contract.name))


def _decade(known: str, last: str) -> str:
    """Two digits of a year that ends in `last`: from the one before a contract that is known, at most eight after it."""
    first = int(known) - 1
    return f"{(first + (int(last) - first) % 10) % 100:02d}"
