"""Records: SignalR messages as bytes, each already in its WebSocket frame, so that connections share them.

A server's frames are not masked, so one and the same bytes go to every subscriber. Beside its bytes a record says what it
holds, for the truth: how many elements, what volume, price × size in whole ticks, and the last one's number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import mul
from typing import Any, Final, Literal, NamedTuple

import msgspec

from rxfeed.feeds.simulator.listing import Listed
from rxfeed.feeds.simulator.stamps import Stamps

Kind = Literal["trades", "quotes", "depth", "accounts", "orders", "positions", "fills", "control"]
Shape = Literal["list", "dict", "nested"]
SHAPES: Final[tuple[Shape, ...]] = ("list", "dict", "nested")
MARKET_KINDS: Final[tuple[Kind, ...]] = ("trades", "quotes", "depth")
SEPARATOR: Final = b"\x1e"

_FEW: Final = 65_536


class Record:
    """One message, framed. `topic` is who gets it: `(kind, contract or account)`.

    `first` is the number of its first trade, and `seq` that of its last; -1 where it has none, or repeats another record.
    """

    __slots__ = ("elements", "first", "frame", "head", "parts", "seq", "ticks", "topic", "volume")

    def __init__(
        self, topic: tuple[Kind, str], payload: bytes, elements: int = 0, volume: int = 0, ticks: int = 0, seq: int = -1,
        parts: tuple[Record, ...] = (), first: int = -1,
    ) -> None:  # fmt: skip
        head = frame_head(len(payload))
        self.topic: Final = topic
        self.frame: Final = head + payload
        self.head: Final = len(head)
        self.elements: Final = elements
        self.volume: Final = volume
        self.ticks: Final = ticks
        self.seq: Final = seq
        self.first: Final = first
        self.parts: Final = parts
        """What it is joined of; those count instead of it."""

    @property
    def payload(self) -> bytes:
        """The message as SignalR has it, with its separator, out of its frame."""
        return self.frame[self.head :]

    def with_payload(self, payload: bytes) -> Record:
        """Return a record that counts as this one does and looks otherwise."""
        return Record(self.topic, payload, self.elements, self.volume, self.ticks, self.seq, self.parts, self.first)

    def repeated(self) -> Record:
        """Return the same message once more, which brings nothing new."""
        return Record(self.topic, self.payload, self.elements, self.volume, self.ticks, self.seq)

    @staticmethod
    def joined(records: Sequence[Record]) -> Record:
        """Return records as one that counts as all of them do."""
        parts = tuple(part for record in records for part in record.parts or (record,))
        return Record(CONTROL, b"".join([part.payload for part in parts]), parts=parts)


CONTROL: Final[tuple[Kind, str]] = ("control", "")


def frame_head(size: int) -> bytes:
    """Return the head of a final, unmasked WebSocket text frame."""
    if size < 126:
        return bytes((0x81, size))
    return b"\x81\x7e" + size.to_bytes(2, "big") if size < 65_536 else b"\x81\x7f" + size.to_bytes(8, "big")


def raw(payload: bytes) -> Record:
    """Return bytes as a record that counts for nothing."""
    return Record(CONTROL, payload)


def control(message: dict[str, Any]) -> Record:
    """Return a message that carries no data: a ping, a Completion, a Close."""
    return Record(CONTROL, msgspec.json.encode(message) + SEPARATOR)


class Deals(NamedTuple):
    """Trades of one contract in order, as columns; prices are whole ticks, `side` is the aggressor's: 1 buys, 2 sells."""

    time: list[int]
    ticks: list[int]
    size: list[int]
    side: list[int]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, int]]) -> Deals:
        """Return rows as columns."""
        time, ticks, size, side = zip(*rows, strict=True)
        return cls(list(time), list(ticks), list(size), list(side))


class Level(NamedTuple):
    """One line of a GatewayDepth: `type` is the gateway's DomType."""

    type: int
    ticks: int
    volume: int
    current: int = 0


class _Heads(dict[int, bytes]):
    """One contract's trades up to the time, by price in ticks."""

    def __init__(self, listed: Listed) -> None:
        super().__init__()
        self._listed = listed

    def __missing__(self, ticks: int) -> bytes:
        price = self._listed.price(ticks)
        text = self[ticks] = f',{{"symbolId":"{self._listed.symbol_id}","price":{price!r},"timestamp":"'.encode()
        return text


class _Tails(dict[tuple[int, int], bytes]):
    """Trades from the time on, by side and size."""

    def __missing__(self, key: tuple[int, int]) -> bytes:
        if len(self) > _FEW:
            self.clear()
        side, size = key
        text = self[key] = f'+00:00","type":{1 if side == 2 else 0},"volume":{size}}}'.encode()
        return text


_ENDS: Final[dict[Shape, tuple[bytes, bytes]]] = {
    "list": (b'["$",[', b"]]}\x1e"),
    "dict": (b'["$",', b"]}\x1e"),
    "nested": (b'[["$",[', b"]]]}\x1e"),
}
"""What is around trades in a message."""


class Encoder:
    """Makes the messages of the market hub.

    Args:
        shape: "list": the second argument is a list, as in real captures; "dict": one message for each element, as in the
            documents; "nested": one argument that holds both.
    """

    __slots__ = ("_heads", "_stamps", "_tails", "shape")

    def __init__(self, shape: Shape = "list") -> None:
        if shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {shape!r}")
        self.shape: Shape = shape
        self._stamps = Stamps()
        self._heads: dict[str, _Heads] = {}
        self._tails = _Tails()

    def trades(self, listed: Listed, deals: Deals, last_seq: int, bunch: int, shape: Shape | None = None) -> list[Record]:
        """Return trades as messages.

        Args:
            listed: of which contract.
            deals: the trades, in order of time.
            last_seq: the last one's number.
            bunch: how many to a message; in the shape "dict" it is one.
            shape: if not the encoder's own.
        """
        shape = shape or self.shape
        head, tail = _ENDS[shape]
        head = b'{"type":1,"target":"GatewayTrade","arguments":' + head.replace(b"$", listed.id.encode())
        heads = self._heads.get(listed.id)
        if heads is None:
            heads = self._heads[listed.id] = _Heads(listed)
        elif len(heads) > _FEW:
            heads.clear()
        count = len(deals.time)
        pieces: list[bytes] = [b""] * (4 * count)
        pieces[0::4] = map(heads.__getitem__, deals.ticks)
        pieces[1::4], pieces[2::4] = self._stamps.columns(deals.time)
        pieces[3::4] = map(self._tails.__getitem__, zip(deals.side, deals.size, strict=True))
        topic: tuple[Kind, str] = ("trades", listed.id)
        most = 1 if shape == "dict" else bunch
        first = last_seq - count
        records: list[Record] = []
        for a in range(0, count, most):
            b = min(a + most, count)
            body = b"".join(pieces[4 * a : 4 * b])
            sizes = deals.size[a:b]
            total = sum(map(mul, deals.ticks[a:b], sizes))
            # Each trade begins with the comma that parts it from the one before.
            records.append(Record(topic, head + body[1:] + tail, b - a, sum(sizes), total, first + b, (), first + a + 1))
        return records

    def quote(self, listed: Listed, fields: dict[str, Any], time: int, shape: Shape | None = None) -> Record:
        """Return a quote that says no more than these fields; a time of 0 or less says none."""
        body: dict[str, Any] = {"symbol": listed.symbol_id, **fields}
        if time > 0:
            body["lastUpdated"] = body["timestamp"] = self._stamps.full(time)
        shape = "nested" if (shape or self.shape) == "nested" else "dict"
        data = msgspec.json.encode(body).decode()
        return Record(("quotes", listed.id), _event("GatewayQuote", listed.id, data, shape), 1)

    def depth(
        self, listed: Listed, levels: Iterable[Level], time: int, last_seq: int, shape: Shape | None = None
    ) -> list[Record]:
        """Return changes of the book as one message, or as one each in the shape "dict"."""
        shape = shape or self.shape
        stamp = self._stamps.full(time)
        rows = list(levels)
        texts = [
            f'{{"timestamp":"{stamp}","type":{row.type},"price":{listed.price(row.ticks)!r},"volume":{row.volume},'
            f'"currentVolume":{row.current}}}'
            for row in rows
        ]
        topic: tuple[Kind, str] = ("depth", listed.id)
        if shape == "dict":
            first = last_seq - len(rows) + 1
            return [
                Record(topic, _event("GatewayDepth", listed.id, text), 1, row.volume, row.ticks * row.volume, first + n)
                for n, (text, row) in enumerate(zip(texts, rows, strict=True))
            ]
        total = sum(row.ticks * row.volume for row in rows)
        data = _event("GatewayDepth", listed.id, f"[{','.join(texts)}]", shape)
        return [Record(topic, data, len(rows), sum(row.volume for row in rows), total, last_seq)]


def _event(target: str, contract: str, data: str, shape: Shape = "list") -> bytes:
    arguments = f'["{contract}",{data}]'
    if shape == "nested":
        arguments = f"[{arguments}]"
    return f'{{"type":1,"target":"{target}","arguments":{arguments}}}\x1e'.encode()


_USER_TARGETS: Final[dict[Kind, str]] = {
    "accounts": "GatewayUserAccount", "orders": "GatewayUserOrder", "positions": "GatewayUserPosition",
    "fills": "GatewayUserTrade",
}  # fmt: skip


def user_event(kind: Kind, account: int, rows: Sequence[dict[str, Any]], seq: int, action: int = 1) -> Record:
    """Return an event of the user hub as it is really sent: a list of `{action, data}`, null fields left out."""
    data = [{"action": action, "data": {key: value for key, value in row.items() if value is not None}} for row in rows]
    message = {"type": 1, "target": _USER_TARGETS[kind], "arguments": [data]}
    return Record((kind, str(account)), msgspec.json.encode(message) + SEPARATOR, len(rows), seq=seq)
