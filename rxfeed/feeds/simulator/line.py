"""The sending half of a hub connection: what goes out, when a ping is due, and how it ends.

It knows no protocol but pings and Close; `connection` adds what comes in. Time is the clock's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol, Self

from rxfeed.clock import Clock, Timer
from rxfeed.feeds.simulator.records import Kind, Record, control, raw
from rxfeed.feeds.simulator.truth import Kept, Sent
from rxfeed.times import SECOND

State = Literal["handshake", "open", "closed"]
Topic = tuple[Kind, str]

PING: Final = control({"type": 6})
_LOOK: Final = SECOND
"""How often it is looked whether a slow client takes anything."""
_HIGH: Final = 1 << 20


class Outlet(Protocol):
    """Where a connection's records go."""

    def send(self, records: Sequence[Record]) -> None:
        """Hand records to the network, in order, each a WebSocket text message of its own."""
        ...

    def end(self, code: int) -> None:
        """Close the WebSocket properly, after what was sent."""
        ...

    def abort(self) -> None:
        """Cut the network connection."""
        ...

    def strand(self) -> None:
        """Answer nothing any more, not even a WebSocket ping or close, and leave the network connection as it is."""
        ...

    @property
    def unsent(self) -> int:
        """Bytes that were handed over and have not gone out yet."""
        ...


class Timing:
    """How patient a hub is, in nanoseconds; the times are SignalR's by default."""

    __slots__ = ("buffer", "handshake", "ping", "send", "silence")

    def __init__(
        self, ping: int = 15 * SECOND, silence: int = 30 * SECOND, handshake: int = 15 * SECOND, send: int = 10 * SECOND,
        buffer: int = 64 << 20,
    ) -> None:  # fmt: skip
        self.ping = ping
        """A ping goes out when nothing else did for so long."""
        self.silence = silence
        """A client that says nothing for so long is closed."""
        self.handshake = handshake
        self.send = send
        """A client that takes nothing for so long of what waits for it is cut off, without a Close message."""
        self.buffer = buffer
        """And so is one for whom more bytes wait than this."""


class Line:
    """One client's connection to a hub, as far as it sends.

    Args:
        id: the connection's id.
        hub: "market" or "user".
        user: who is logged in.
        token: with which token.
        clock: whose time it is.
        outlet: where records go.
        timing: pings and timeouts.
        ended: told once, when the connection is over.
        keep: where messages are kept as they were sent.
    """

    __slots__ = (
        "_clock", "_ended", "_first", "_gone", "_heard", "_moved", "_out", "_outlet", "_said", "_slow", "_timer", "_timing",
        "_written", "hub", "id", "keep", "mangle", "mute_until", "no_pings_until", "sent", "state", "still_until", "token",
        "user",
    )  # fmt: skip

    def __init__(
        self, id: str, hub: str, user: str, token: str, clock: Clock, outlet: Outlet, timing: Timing,
        ended: Callable[[Self], None], keep: deque[Kept],
    ) -> None:  # fmt: skip
        self.id: Final = id
        self.hub: Final = hub
        self.user: Final = user
        self.token: Final = token
        self.state: State = "handshake"
        self.sent = Sent(id, hub, user, clock.now)
        self.mangle: Callable[[list[Record], int], list[Record]] | None = None
        """What faults do to records on their way out."""
        self.no_pings_until = 0
        """Until when no pings are sent."""
        self.still_until = 0
        """Until when no data is sent, only pings and answers."""
        self.mute_until = 0
        """Until when nothing is sent at all, nor heard."""
        self.keep = keep
        self._clock, self._outlet, self._timing, self._ended = clock, outlet, timing, ended
        self._out: deque[tuple[int, Sequence[Record]]] = deque()
        self._written = 0
        self._first = self._heard = self._said = clock.now
        self._timer: Timer | None = None
        self._slow: Timer | None = None
        self._gone = self._moved = 0  # bytes that had gone out, and when the last of them did, while any wait
        self._arm()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id}, {self.hub}, {self.user}, {self.state})"

    # What goes out

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state == "closed"

    @property
    def open(self) -> bool:
        """Whether the handshake is done and the connection not over."""
        return self.state == "open"

    @property
    def unsent(self) -> int:
        """Bytes that its socket still holds."""
        return self._outlet.unsent

    @property
    def eager(self) -> bool:
        """Whether it takes what it is sent: hardly anything waits."""
        return self._outlet.unsent < min(_HIGH, self._timing.buffer // 2)

    def deliver(self, records: list[Record]) -> None:
        """Send data, through whatever faults there are."""
        if self.state != "open" or self._clock.now < self.still_until:
            return
        if self.mangle is not None:
            records = self.mangle(records, self._clock.now)
        self._send(records)

    def send_raw(self, payload: bytes) -> None:
        """Send bytes as one WebSocket message, whatever they are."""
        self._send([raw(payload)])

    def invoke(self, target: str, *arguments: object, id: str | None = None) -> None:
        """Call a method of the client; with an `id` it owes a Completion, which `results` will hold."""
        message: dict[str, Any] = {"type": 1, "target": target, "arguments": list(arguments)}
        self._send([control(message if id is None else message | {"invocationId": id})])

    def _send(self, records: Sequence[Record]) -> None:
        now = self._clock.now
        if self.state == "closed" or now < self.mute_until or not records:
            return
        self._said = now
        self.sent.add(records)
        if self.keep.maxlen:
            self.keep.extend(Kept(now, self.id, record.payload) for record in records)
        self._written += sum([len(record.frame) for record in records])
        self._out.append((self._written, records))
        self._outlet.send(records)
        unsent = self._outlet.unsent
        gone = self._written - unsent
        while self._out and self._out[0][0] <= gone:
            self._out.popleft()
        if unsent > self._timing.buffer:
            self.drop("too slow")
        elif unsent and self._slow is None:
            self._gone, self._moved = gone, now
            self._watch_later()

    def _watch_later(self) -> None:
        due = min(self._clock.now + _LOOK, self._moved + self._timing.send)
        self._slow = self._clock.call_at(due, self._watch)

    def _watch(self) -> None:
        """Cut off a client that takes nothing, as SignalR does when a send does not end."""
        self._slow = None
        unsent = self._outlet.unsent
        gone = self._written - unsent
        if not unsent:
            return
        if gone > self._gone:
            self._gone, self._moved = gone, self._clock.now
        elif self._clock.now >= self._moved + self._timing.send:
            self.drop(f"too slow: it took nothing for {self._timing.send / SECOND:g} s")
            return
        self._watch_later()

    # How it ends

    def close(self, *, error: str | None = None, allow_reconnect: bool | None = None) -> None:
        """Send a Close message and end the connection.

        Args:
            error: why, if it is for an error.
            allow_reconnect: whether the client may come back; None leaves it out, which means no.
        """
        message: dict[str, Any] = {"type": 7}
        if error is not None:
            message["error"] = error
        if allow_reconnect is not None:
            message["allowReconnect"] = allow_reconnect
        self._send([control(message)])
        self.end("close" if error is None else f"close: {error}")

    def log_out(self) -> None:
        """Push GatewayLogout, and end the connection."""
        self.invoke("GatewayLogout", "The session has ended.")
        self.close()

    def end(self, why: str, code: int = 1000) -> None:
        """Close the WebSocket with no Close message."""
        if self._over(why):
            self._outlet.end(code)

    def drop(self, why: str = "drop") -> None:
        """Cut the connection."""
        if self.state == "closed":
            return
        gone = self._written - self._outlet.unsent
        if self._over(why):
            self._lose(gone)
            self._outlet.abort()

    def strand(self, why: str) -> None:
        """Be gone without a word: nothing is sent, read or closed any more."""
        if self._over(why):
            self._outlet.strand()

    def lost(self, why: str = "lost") -> None:
        """Be told that the network connection is over."""
        self._over(why)

    def _lose(self, gone: int) -> None:
        for end, records in self._out:
            at = end - sum([len(record.frame) for record in records])
            for record in records:
                at += len(record.frame)
                if at > gone:
                    self.sent.lose([record])
        self._out.clear()

    def _over(self, why: str) -> bool:
        if self.state == "closed":
            return False
        self.state = "closed"
        self.sent.closed, self.sent.end = self._clock.now, why
        for timer in (self._timer, self._slow):
            if timer is not None:
                timer.cancel()
        self._timer = self._slow = None
        self._ended(self)
        return True

    # Time

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(self._due(), self._look)

    def _due(self) -> int:
        if self.state == "handshake":
            return self._first + self._timing.handshake
        return min(self._said + self._timing.ping, self._heard + self._timing.silence)

    def _look(self) -> None:
        self._timer = None
        if self.state == "closed":
            return
        now = self._clock.now
        muted = now < self.mute_until
        if now < self._due():
            pass
        elif self.state == "handshake":
            if muted:
                self._first = now
            else:
                self.end("handshake timeout")
        elif now >= self._heard + self._timing.silence:
            if muted:
                self._heard = now
            else:
                self.close(error="Client hasn't sent a message/ping within the configured ClientTimeoutInterval.")
        elif now >= self.no_pings_until and not muted:
            self._send([PING])
        else:
            self._said = now
        if self.open or self.state == "handshake":
            self._arm()
