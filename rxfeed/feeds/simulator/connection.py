"""One hub connection of the server's side: the handshake and what a client says, with no socket.

Bytes come in by `receive`, records go out to an `Outlet`, which is a WebSocket or a list in a test.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec

from rxfeed.clock import Clock
from rxfeed.feeds.simulator.later import Later
from rxfeed.feeds.simulator.line import Line, Outlet, Timing, Topic
from rxfeed.feeds.simulator.records import CONTROL, SEPARATOR, Record, control
from rxfeed.feeds.simulator.truth import Kept

_HELLO: Final = Record(CONTROL, b"{}\x1e")
_VERSIONS: Final = (0, 1, 2)
_MOST: Final = 1 << 20
_FEW: Final = 1_000
_DECODER: Final = msgspec.json.Decoder()


class Refused(Exception):
    """A hub method that says no; its text becomes the Completion's error."""


class Unanswered(Exception):
    """A hub method that is not called, and whose caller hears nothing of it."""


Call = Callable[["HubConnection", str, list[Any]], Sequence[Record]]


class HubConnection(Line):
    """One client's connection to a hub. The arguments but one are `Line`'s.

    Args:
        call: makes an invocation and returns what follows its Completion; raises `Refused` or `Unanswered`.
        greeted: told when the handshake is done.
    """

    __slots__ = (
        "_answers", "_buffer", "_call", "_greeted", "answers_after", "behind", "lag", "received", "results", "subscriptions",
        "version",
    )  # fmt: skip

    def __init__(
        self, id: str, hub: str, user: str, token: str, clock: Clock, outlet: Outlet, timing: Timing, call: Call,
        ended: Callable[[HubConnection], None], keep: deque[Kept], greeted: Callable[[HubConnection], None],
    ) -> None:  # fmt: skip
        self.version: int | None = None
        self.subscriptions: dict[Topic, None] = {}
        """Who gets what: `("trades", contract id)`, in the order in which it was asked for."""
        self.received: deque[dict[str, Any]] = deque(maxlen=_FEW)
        """The client's messages, the newest ones."""
        self.results: dict[str, dict[str, Any]] = {}
        """The client's Completions, by invocation id."""
        self.answers_after = 0
        """How late Completions are, in nanoseconds."""
        self.lag = 0
        """How far behind it is with trades, in nanoseconds; it may be set at any time."""
        self.behind = Later(clock)
        self._answers = Later(clock)
        self._call = call
        self._greeted = greeted
        self._buffer = b""
        super().__init__(id, hub, user, token, clock, outlet, timing, ended, keep)

    def receive(self, data: bytes | str) -> None:
        """Take bytes of the client: any part of a record, or several."""
        if self.state == "closed" or self._clock.now < self.mute_until:
            return
        self._heard = self._clock.now
        self._buffer += data.encode() if isinstance(data, str) else data
        *records, self._buffer = self._buffer.split(SEPARATOR)
        if len(self._buffer) > _MOST:
            self.close(error=f"A record must be at most {_MOST} bytes.")
            return
        for record in records:
            self._record(record)
            if self.over:
                return

    def _record(self, record: bytes) -> None:
        try:
            message = _DECODER.decode(record)
        except msgspec.DecodeError:
            message = None
        if not isinstance(message, dict):
            self._wrong("Error reading JSON.")
            return
        fields = cast("dict[str, Any]", message)
        if self.state == "handshake":
            self._handshake(fields)
        else:
            self._message(fields)

    def _wrong(self, text: str) -> None:
        if self.state == "handshake":
            self._send([control({"error": text})])
            self.end("handshake refused")
        else:
            self.close(error=f"Connection closed with an error. {text}")

    def _handshake(self, fields: dict[str, Any]) -> None:
        protocol, version = fields.get("protocol"), fields.get("version")
        if protocol != "json":
            self._wrong(f"The protocol '{protocol}' is not supported.")
        elif type(version) is not int or version not in _VERSIONS:
            self._wrong(f"The server does not support version {version} of the 'json' protocol.")
        else:
            self.version = version
            self.state = "open"
            self._send([_HELLO])
            self._arm()
            self._greeted(self)

    def _message(self, fields: dict[str, Any]) -> None:
        self.received.append(fields)
        kind = fields.get("type")
        if kind in (1, 4):
            self._invocation(fields)
        elif kind == 3:
            if len(self.results) >= _FEW:
                del self.results[next(iter(self.results))]
            self.results[str(fields.get("invocationId"))] = fields
        elif kind == 7:
            self.end("closed by the client")

    def _invocation(self, fields: dict[str, Any]) -> None:
        id, target, arguments = fields.get("invocationId"), fields.get("target"), fields.get("arguments")
        given = cast("list[Any]", arguments) if isinstance(arguments, list) else []
        answer: dict[str, Any] = {"type": 3, "invocationId": id}
        after: Sequence[Record] = ()
        try:
            after = self._call(self, str(target), given)
        except Unanswered:
            return
        except Refused as refused:
            answer["error"] = f"Failed to invoke '{target}' due to an error on the server. {refused}"
        else:
            answer["result"] = None
        if id is not None and not self.answers_after and not self._answers:
            self._send([control(answer)])
        elif id is not None:
            self._answers.put(self._clock.now + self.answers_after, lambda: self._send([control(answer)]))
        if after:
            self.deliver(list(after))

    def _over(self, why: str) -> bool:
        self._answers.stop()
        self.behind.stop()
        return super()._over(why)
