"""SignalR's JSON hub protocol without any I/O: bytes in, messages out, and the bytes of what we say.

A message ends in the byte 0x1E; one WebSocket message may hold several, and one may span several. What a server may send
is read leniently: types and fields that are not known are passed over, as newer servers will have more of both.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from rxfeed.errors import ProtocolError
from rxfeed.secret import redacted

END: Final = b"\x1e"
PING: Final = b'{"type":6}\x1e'
CLOSE: Final = b'{"type":7}\x1e'
HANDSHAKE: Final = b'{"protocol":"json","version":1}\x1e'
MAX_MESSAGE: Final = 16 << 20
"""The longest message that is taken, in bytes; books of a gateway are some 10 kB."""

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises: the last where brackets are nested by the thousand."""

_CALL: Final = b'{"type":1,"target":"'
"""How every .NET server begins an invocation."""
_AT: Final = len(_CALL)
_SHOWN: Final = 60


class Call(msgspec.Struct, gc=False):
    """An invocation of ours by the server, not yet decoded: who knows the target knows its arguments' types."""

    target: str
    record: bytes
    """The whole message: `{"type":1,"target":…,"arguments":[…]}`."""
    invocation: str | None = None
    """Set where the server wants an answer."""


class Completion(msgspec.Struct, gc=False):
    """The answer to an invocation of ours."""

    invocation: str
    result: Any = None
    error: str | None = None


class Closing(msgspec.Struct, gc=False):
    """The server ends the connection."""

    error: str | None
    allow_reconnect: bool


class Other(msgspec.Struct, gc=False):
    """A message that needs no answer: a ping (6), or of a type that is not for us."""

    type: int


class Garbage(msgspec.Struct, gc=False):
    """A record that is no message of SignalR. Records end where they end, so those after it are good."""

    record: bytes


Message = Call | Completion | Closing | Other | Garbage


class _Any(msgspec.Struct, gc=False):
    type: int
    target: str | None = None
    invocationId: str | None = None  # noqa: N815  # the wire's names
    result: Any = None
    error: str | None = None
    allowReconnect: bool | None = None  # noqa: N815


class _Handshake(msgspec.Struct, gc=False):
    error: str | None = None


_decode = msgspec.json.Decoder(_Any).decode
_decode_handshake = msgspec.json.Decoder(_Handshake).decode


class Codec:
    """One connection's side of the protocol: the handshake first, then messages.

    Args:
        targets: the methods that will be called often; others are understood as well, a little slower.
        max_message: the longest message that is taken, in bytes.
    """

    __slots__ = ("_max", "_rest", "_size", "_targets", "opened")

    opened: bool
    """Whether the server's answer to the handshake has come."""

    def __init__(self, targets: tuple[str, ...] = (), *, max_message: int = MAX_MESSAGE) -> None:
        self._targets = {target.encode(): target for target in targets}
        self._max = max_message
        self._rest: list[bytes] = []  # of a message that has not ended
        self._size = 0
        self.opened = False

    def feed(self, data: bytes) -> list[Message]:
        """Take what a WebSocket message held; return the messages that are complete now, in order.

        Raises:
            ProtocolError: the handshake was refused, or not answered as SignalR does; a message is longer than `max_message`.
        """
        # The usual case, one call and its end, costs no copy but the slice: find() of one byte is a memchr.
        if data.startswith(_CALL) and not self._rest and self.opened and data.find(END) == len(data) - 1:
            target = self._targets.get(data[_AT : data.find(b'"', _AT)])
            if target is not None:
                return [Call(target, data[:-1])]
        return list(map(self._message, self._records(data)))

    def _records(self, data: bytes) -> list[bytes]:
        records = data.split(END)
        last = records.pop()
        if self._size + len(data) > self._max:
            sizes = [len(record) for record in (*records, last)]
            sizes[0] += self._size
            if max(sizes) > self._max:
                raise ProtocolError(f"a message is longer than {self._max} bytes")
        if records and self._rest:
            records[0] = b"".join((*self._rest, records[0]))
            self._rest.clear()
            self._size = 0
        if last:
            self._rest.append(last)
            self._size += len(last)
        if not self.opened and records:
            self._handshake(records.pop(0))
        return records

    def _handshake(self, record: bytes) -> None:
        try:
            error = _decode_handshake(record).error
        except UNREADABLE:
            error = f"answered with {shown(record)}"
        if error is not None:
            raise ProtocolError(f"the handshake was refused: {redacted(error[: _SHOWN * 4])}")
        self.opened = True

    def _message(self, record: bytes) -> Message:
        # Where an answer is wanted, `invocationId` stands before the target, so this way none is.
        if record.startswith(_CALL):
            target = self._targets.get(record[_AT : record.find(b'"', _AT)])
            if target is not None:
                return Call(target, record)
        try:
            found = _decode(record)
        except UNREADABLE:
            return Garbage(record)
        match found.type:
            case 1 if found.target is not None:
                return Call(found.target, record, found.invocationId)
            case 3 if found.invocationId is not None:
                return Completion(found.invocationId, found.result, found.error)
            case 7:
                return Closing(found.error, bool(found.allowReconnect))
            case 1 | 3:
                return Garbage(record)
            case kind:
                return Other(kind)


def invocation(target: str, arguments: tuple[Any, ...], invocation_id: str | None = None) -> bytes:
    """Return the bytes that call a method of the hub; with an id the hub answers with a `Completion`."""
    said: dict[str, Any] = {"type": 1, "target": target, "arguments": arguments}
    if invocation_id is not None:
        said["invocationId"] = invocation_id
    return msgspec.json.encode(said) + END


def no_result(invocation_id: str, target: str) -> bytes:
    """Return the bytes that answer a server which wants a result that we do not have."""
    text = f"this client has no result for {target}"
    return msgspec.json.encode({"type": 3, "invocationId": invocation_id, "error": text}) + END


def shown(record: bytes) -> str:
    """Return the beginning of what a server sent, as an error text may show it."""
    text = record[:_SHOWN].decode("utf-8", "backslashreplace")
    return f"{text!r}{'…' if len(record) > _SHOWN else ''} ({len(record)} bytes)"
