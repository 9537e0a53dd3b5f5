"""What the user hub tells about somebody's accounts: orders, positions, fills. Times are int nanoseconds, UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from rxfeed.feeds.projectx.accounts import Account
from rxfeed.feeds.projectx.decode import Counter, DecoderStats
from rxfeed.feeds.projectx.shapes import told
from rxfeed.feeds.projectx.stamps import nanoseconds_of
from rxfeed.feeds.signalr.codec import UNREADABLE
from rxfeed.model import Side, Undecoded

_SIDES: Final = {0: int(Side.BUY), 1: int(Side.SELL)}


class OrderType(IntEnum):
    """How an order is to be filled."""

    UNKNOWN = 0
    LIMIT = 1
    MARKET = 2
    STOP_LIMIT = 3
    STOP = 4
    TRAILING_STOP = 5
    JOIN_BID = 6
    JOIN_ASK = 7


class OrderStatus(IntEnum):
    """What has become of an order."""

    NONE = 0
    OPEN = 1
    FILLED = 2
    CANCELLED = 3
    EXPIRED = 4
    REJECTED = 5
    PENDING = 6


class PositionType(IntEnum):
    """Which way a position is."""

    UNDEFINED = 0
    LONG = 1
    SHORT = 2


class Position(msgspec.Struct, frozen=True):
    """A position in a contract; `size` 0 is none any more."""

    id: int
    account: int
    symbol: str
    created: int | None = None
    type: int = 0
    """A `PositionType`."""
    size: int = 0
    price: float | None = None
    """Its average."""
    received: int | None = None


class Order(msgspec.Struct, frozen=True):
    """An order, as it now is."""

    id: int
    account: int
    symbol: str
    created: int | None = None
    updated: int | None = None
    status: int = 0
    """An `OrderStatus`."""
    type: int = 0
    """An `OrderType`."""
    side: int = 0
    """A `Side`."""
    size: int = 0
    limit: float | None = None
    stop: float | None = None
    filled: int = 0
    """Lots of `size`."""
    filled_price: float | None = None
    tag: str | None = None
    received: int | None = None


class Fill(msgspec.Struct, frozen=True):
    """A trade of one's own: an order, or a part of one, was filled."""

    id: int
    account: int
    symbol: str
    time: int | None = None
    price: float = 0.0
    size: int = 0
    side: int = 0
    """A `Side`."""
    profit: float | None = None
    """None for a trade that opens a position."""
    fees: float | None = None
    voided: bool = False
    order: int | None = None
    received: int | None = None


U = TypeVar("U", Account, Position, Order, Fill)


class _Position(msgspec.Struct, rename="camel"):
    id: int
    account_id: int
    contract_id: str
    creation_timestamp: str | None = None
    type: int = 0
    size: int = 0
    average_price: float | None = None


class _Order(msgspec.Struct, rename="camel"):
    id: int
    account_id: int
    contract_id: str
    creation_timestamp: str | None = None
    update_timestamp: str | None = None
    status: int = 0
    type: int = 0
    side: int | None = None
    size: int = 0
    limit_price: float | None = None
    stop_price: float | None = None
    fill_volume: int | None = None
    filled_price: float | None = None
    custom_tag: str | None = None


class _Fill(msgspec.Struct, rename="camel"):
    id: int
    account_id: int
    contract_id: str
    price: float
    size: int
    creation_timestamp: str | None = None
    profit_and_loss: float | None = None
    fees: float | None = None
    side: int | None = None
    voided: bool = False
    order_id: int | None = None


class Events(Generic[U]):
    """Events of the user hub that came together."""

    __slots__ = ("_rows", "keys", "of")

    def __init__(self, rows: list[U], keys: list[str]) -> None:
        self._rows, self.keys = rows, keys
        self.of = frozenset(keys)
        """The accounts that they are about, as text."""

    def rows(self) -> list[U]:
        """Return the events, in the order of arrival."""
        return self._rows

    def number(self, counter: Counter) -> None:
        """Do nothing: these have no `seq`."""


def events(rows: list[U]) -> Events[U]:
    """Return events as if they had come together."""
    return Events(rows, [_key(row) for row in rows])


def _key(row: Account | Position | Order | Fill) -> str:
    return str(row.id if isinstance(row, Account) else row.account)


class UserDecoder(Generic[U]):
    """Turns the messages of one event into what they tell. Rows only: there are few of them.

    Args:
        symbol_of: what a contract is called.
        reject: told of each element that cannot be read.
        epoch: not used.
    """

    def __init__(
        self,
        source: str,
        shape: type[Any],
        make: Callable[[Any, Callable[[str], str], int], U],
        symbol_of: Callable[[str], str],
        reject: Callable[[Undecoded], object],
    ) -> None:
        self._source, self._shape, self._make, self._symbol_of, self._reject = source, shape, make, symbol_of, reject
        self._messages = self._received = self._emitted = 0

    @property
    def stats(self) -> DecoderStats:
        """What became of what was sent, so far."""
        return DecoderStats(self._messages, self._received, self._emitted, self._received - self._emitted, 0)

    def drain(self, records: Sequence[bytes], received: int) -> Events[U]:
        """Decode messages that came together, at `received` in nanoseconds since the epoch, UTC."""
        rows: list[U] = []
        keys: list[str] = []
        for record in records:
            for data in self._elements(record, received):
                self._received += 1
                try:
                    wire = msgspec.convert(data, self._shape)
                    row = self._make(wire, self._symbol_of, received)
                except (msgspec.ValidationError, ValueError) as error:
                    self._bad(told(data), str(error), received)
                    continue
                rows.append(row)
                keys.append(_key(row))
        self._messages += len(records)
        self._emitted += len(rows)
        return Events(rows, keys)

    def _elements(self, record: bytes, received: int) -> list[Any]:
        try:
            return list(_objects(msgspec.json.decode(record)["arguments"]))
        except (*UNREADABLE, KeyError, TypeError) as error:
            self._received += 1
            self._bad(record[:200].decode("utf-8", "backslashreplace"), str(error), received)
        return []

    def _bad(self, text: str, reason: str, received: int) -> None:
        self._reject(Undecoded(self._source, text, reason, None, received))


def _objects(data: Any) -> Iterator[Any]:
    """Yield objects from whatever they are wrapped in: lists, and `{"action": …, "data": …}`."""
    if isinstance(data, list):
        for each in cast("list[Any]", data):
            yield from _objects(each)
    elif isinstance(data, dict) and isinstance(inner := cast("dict[str, Any]", data).get("data"), (dict, list)):
        yield from _objects(inner)
    else:
        yield data


def _time(text: str | None) -> int | None:
    return None if text is None else nanoseconds_of(text)


def _account(wire: Account, _symbol_of: Callable[[str], str], _received: int) -> Account:
    return wire


def _position(wire: _Position, symbol_of: Callable[[str], str], received: int) -> Position:
    created = _time(wire.creation_timestamp)
    symbol = symbol_of(wire.contract_id)
    return Position(wire.id, wire.account_id, symbol, created, wire.type, wire.size, wire.average_price, received)


def _order(wire: _Order, symbol_of: Callable[[str], str], received: int) -> Order:
    return Order(
        wire.id, wire.account_id, symbol_of(wire.contract_id), _time(wire.creation_timestamp), _time(wire.update_timestamp),
        wire.status, wire.type, _side(wire.side), wire.size, wire.limit_price, wire.stop_price,
        wire.fill_volume or 0, wire.filled_price, wire.custom_tag, received,
    )  # fmt: skip


def _fill(wire: _Fill, symbol_of: Callable[[str], str], received: int) -> Fill:
    return Fill(
        wire.id, wire.account_id, symbol_of(wire.contract_id), _time(wire.creation_timestamp), wire.price, wire.size,
        _side(wire.side), wire.profit_and_loss, wire.fees, wire.voided, wire.order_id, received,
    )  # fmt: skip


def _side(value: int | None) -> int:
    return 0 if value is None else _SIDES.get(value, 0)


SymbolOf = Callable[[str], str]
OnReject = Callable[[Undecoded], object]


def accounts(symbol_of: SymbolOf, reject: OnReject, _epoch: int) -> UserDecoder[Account]:
    """Return a decoder of GatewayUserAccount."""
    return UserDecoder("GatewayUserAccount", Account, _account, symbol_of, reject)


def positions(symbol_of: SymbolOf, reject: OnReject, _epoch: int) -> UserDecoder[Position]:
    """Return a decoder of GatewayUserPosition."""
    return UserDecoder("GatewayUserPosition", _Position, _position, symbol_of, reject)


def orders(symbol_of: SymbolOf, reject: OnReject, _epoch: int) -> UserDecoder[Order]:
    """Return a decoder of GatewayUserOrder."""
    return UserDecoder("GatewayUserOrder", _Order, _order, symbol_of, reject)


def fills(symbol_of: SymbolOf, reject: OnReject, _epoch: int) -> UserDecoder[Fill]:
    """Return a decoder of GatewayUserTrade."""
    return UserDecoder("GatewayUserTrade", _Fill, _fill, symbol_of, reject)
