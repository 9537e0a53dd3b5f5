"""What the two hubs let a client call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from rxfeed.feeds.simulator.connection import HubConnection, Refused
from rxfeed.feeds.simulator.records import Kind, Record


class _Method(NamedTuple):
    kind: Kind
    on: bool
    arguments: int


_MARKET: Final[tuple[tuple[str, Kind], ...]] = (("Trades", "trades"), ("Quotes", "quotes"), ("MarketDepth", "depth"))
_USER: Final[tuple[tuple[str, Kind], ...]] = (
    ("Accounts", "accounts"), ("Orders", "orders"), ("Positions", "positions"), ("Trades", "fills")
)  # fmt: skip

METHODS: Final[Mapping[str, Mapping[str, _Method]]] = {
    "market": {
        f"{verb}Contract{noun}": _Method(kind, on, 1)
        for verb, on in (("Subscribe", True), ("Unsubscribe", False))
        for noun, kind in _MARKET
    },
    "user": {
        f"{verb}{noun}": _Method(kind, on, 0 if kind == "accounts" else 1)
        for verb, on in (("Subscribe", True), ("Unsubscribe", False))
        for noun, kind in _USER
    },
}


class Subscriptions(Protocol):
    """What the methods need of the simulator."""

    def subscribe(self, connection: HubConnection, kind: Kind, name: str) -> Sequence[Record]:
        """Subscribe a connection and return what it gets at once; raise `Refused` for what does not exist."""
        ...

    def unsubscribe(self, connection: HubConnection, kind: Kind, name: str) -> None:
        """Take a subscription back, if there is one."""
        ...


def call(simulator: Subscriptions, connection: HubConnection, target: str, arguments: list[Any]) -> Sequence[Record]:
    """Make an invocation.

    Raises:
        Refused: no such method, other arguments than it takes, no such contract or account.
    """
    method = METHODS[connection.hub].get(target)
    if method is None:
        raise Refused("HubException: Method does not exist.")
    if len(arguments) != method.arguments:
        raise Refused(
            f"InvalidDataException: Invocation provides {len(arguments)} argument(s) but target expects {method.arguments}."
        )
    name = ""
    if arguments:
        wanted = str if connection.hub == "market" else int
        if not isinstance(arguments[0], wanted) or isinstance(arguments[0], bool):
            raise Refused(f"InvalidDataException: Error binding arguments, {wanted.__name__} expected.")
        name = str(arguments[0])
    if method.on:
        return simulator.subscribe(connection, method.kind, name)
    simulator.unsubscribe(connection, method.kind, name)
    return ()
