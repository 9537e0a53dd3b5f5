"""One connection to a hub, from the handshake until it is lost or closed. It never reconnects: who does is above.

What comes is handed on when the socket is drained: everything that one turn of the loop brought, at once and in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from rxfeed.errors import ConnectionLost, FeedError, ProtocolError
from rxfeed.failures import tell
from rxfeed.feeds.websocket import Socket
from rxfeed.valve import Valve

from .attention import Attention
from .codec import CLOSE, PING, Call, Closing, Codec, Completion, Garbage, Message, no_result
from .invocations import Invocations
from .timing import Timing
from .words import words

T = TypeVar("T")

_GOODBYE: Final = 1.0
"""Seconds in which a Close message must have gone out."""


class ConnectionStats(NamedTuple):
    """What came and went over one connection."""

    received_bytes: int
    """Of messages; without what WebSockets add."""
    messages: int
    """Of SignalR, pings among them."""
    drains: int
    """Turns of the loop that brought messages."""
    garbage: int
    """Records that were no messages."""
    pings: int
    """Ours."""
    invoked: int
    answered: int
    round_trip: float | None
    """Seconds, of the last invocation that was answered."""
    quiet: float
    """Seconds since anything came, pings included; 0 while nothing is read by choice."""
    reading: bool = True
    """Whether we read: not while the valve is shut."""


class Connection:
    """A connection to a hub, open from the start. Made by `connect`."""

    def __init__(
        self,
        socket: Socket,
        codec: Codec,
        name: str,
        *,
        timing: Timing,
        on_calls: Callable[[list[Call]], object],
        on_garbage: Callable[[bytes], object] | None,
        on_lost: Callable[[ConnectionLost], object] | None,
        valve: Valve | None = None,
    ) -> None:
        self.name: Final = name
        """The hub's address, without its query."""
        self._socket, self._codec, self._timing = socket, codec, timing
        self._on_calls, self._on_garbage, self._on_lost = on_calls, on_garbage, on_lost
        self._valve = valve
        self._loop = asyncio.get_running_loop()
        self._pending: list[Message] = []
        self._draining = False
        self._attention = Attention(socket)
        self._invocations = Invocations(name, self._send, self._attention, patience=timing.answer)
        self._messages = self._drains = self._garbage = self._pings = 0
        self._lost: ConnectionLost | None = None
        self._closed = False
        self._reader: asyncio.Task[Any] | None = None
        self._keeper: asyncio.Task[Any] | None = None
        self._answers: list[asyncio.Task[Any]] = []
        self._life: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Connection({self.name}, {'open' if self.open else 'closed'})"

    @property
    def open(self) -> bool:
        """Whether it is neither lost nor closed."""
        return self._lost is None and not self._closed

    @property
    def stats(self) -> ConnectionStats:
        """What came and went so far."""
        asked, attention = self._invocations, self._attention
        return ConnectionStats(
            self._socket.received_bytes, self._messages, self._drains, self._garbage, self._pings, asked.invoked,
            asked.answered, asked.round_trip, attention.quiet, not attention.paused,
        )  # fmt: skip

    def start(self, first: Sequence[Message]) -> None:
        """Begin to read; `first` is what came along with the answer to the handshake."""
        self._life = self._loop.create_task(self._live(), name=f"rxfeed connection {self.name}")
        if first:
            self._pend(first)

    async def invoke(self, target: str, *arguments: Any) -> Any:
        """Call a method of the hub and return its result. Time in which we read nothing by choice is not waited.

        Raises:
            InvocationFailed: the hub answered with an error, or not in time.
            ConnectionLost: the connection is over.
        """
        return await self._invocations.ask(target, *arguments)

    async def close(self) -> None:
        """Say goodbye and close. Nothing is handed on any more, and nobody is told of a loss. May be called again."""
        life = self._life
        if self.open:
            self._closed = True
            self._pending.clear()
            try:
                with suppress(FeedError, TimeoutError):
                    async with asyncio.timeout(_GOODBYE):
                        await self._socket.send(CLOSE)
            finally:
                self._stop()
        if life is not None and life is not asyncio.current_task():
            await asyncio.wait([life])

    async def _live(self) -> None:
        """Read and ping until either ends; then hand on what had come, tell of the loss, and close the socket."""
        start = self._loop.create_task
        leave = self._valve.watch(self._attention.throttle) if self._valve is not None else None
        self._reader = start(self._ended(lambda: self._socket.deliver(self._take)), name=f"rxfeed reader {self.name}")
        self._keeper = start(self._ended(self._keep), name=f"rxfeed pings {self.name}")
        try:
            if self.open:  # it may have been closed before this task's first step
                await asyncio.wait([self._reader, self._keeper], return_when=asyncio.FIRST_COMPLETED)
            self._drain()
        finally:
            self._stop()
            if leave is not None:
                leave()
            await asyncio.wait([self._reader, self._keeper, *self._answers])
            lost = self._lost or ConnectionLost(f"the connection to {self.name} was closed by us", "dropped")
            self._invocations.lost(lost)
            # Before the socket's goodbye, which a peer that is gone draws out.
            if not self._closed and self._lost is not None and self._on_lost is not None:
                self._guarded(self._on_lost, lost)
            await self._socket.close()

    async def _ended(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run what runs as long as the connection does; note why it ended."""
        try:
            await work()
        except ConnectionLost as error:
            self._drain()  # a Close message that came along with the WebSocket's end tells more than that does
            self._end(error)
        except ProtocolError as error:
            self._end(ConnectionLost(f"the connection to {self.name} was given up: {error}", "protocol"))
        except Exception as error:  # noqa: BLE001  # nobody looks at these tasks: what they raise would be heard of by nobody
            tell(None, f"connection {self.name}", "on_next", error)
            text = f"the connection to {self.name} was given up: {type(error).__name__} when reading"
            self._end(ConnectionLost(text, "protocol"))

    def _end(self, lost: ConnectionLost) -> None:
        if self.open:
            self._lost = lost
            self._stop()

    def _stop(self) -> None:
        for task in (self._reader, self._keeper, *self._answers):
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _keep(self) -> None:
        loop, timing, attention = self._loop, self._timing, self._attention
        pinged = loop.time()
        while True:
            if attention.paused:  # we do not listen, so it cannot be judged
                attention.heard = loop.time()
            dead = attention.heard + timing.silence
            due = min(pinged + timing.ping, dead)
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            # Compared as they were added up, so that no rounding makes this turn for nothing.
            if now >= attention.heard + timing.silence and not self._draining and not attention.paused:
                text = f"the connection to {self.name} was silent for {timing.silence:g} s"
                raise ConnectionLost(text, "silent")
            if now >= pinged + timing.ping:
                pinged = now
                # A socket that takes no more must not keep us from noticing that nothing comes.
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(max(attention.heard + timing.silence, now)):
                        await self._send(PING)
                        self._pings += 1

    async def _send(self, data: bytes) -> None:
        if not self.open:
            raise self._lost or ConnectionLost(f"the connection to {self.name} is closed", "dropped")
        await self._socket.send(data)

    def _take(self, data: bytes) -> None:
        self._pend(self._codec.feed(data))

    def _pend(self, messages: Sequence[Message]) -> None:
        self._pending += messages
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._draining = False
        self._attention.heard = self._loop.time()
        messages, self._pending = self._pending, []
        if not messages or self._closed:
            return
        self._drains += 1
        self._messages += len(messages)
        calls: list[Call] = []
        for message in messages:
            if type(message) is Call:
                calls.append(message)
                if message.invocation is not None:
                    self._answer(no_result(message.invocation, message.target))
                continue
            if calls:
                self._guarded(self._on_calls, calls)
                calls = []
            self._control(message)
        if calls:
            self._guarded(self._on_calls, calls)

    def _control(self, message: Message) -> None:
        match message:
            case Completion():
                self._invocations.completed(message)
            case Closing():
                why = f": {words(message.error)}" if message.error else ""
                again = "may" if message.allow_reconnect else "shall not"
                text = f"{self.name} closed the connection{why} (we {again} reconnect)"
                self._end(ConnectionLost(text, "closed", message.allow_reconnect))
            case Garbage():
                self._garbage += 1
                if self._on_garbage is not None:
                    self._guarded(self._on_garbage, message.record)
            case _:  # a ping, or what is not for us: that it came is all there is to it
                pass

    def _answer(self, said: bytes) -> None:
        self._answers = [task for task in self._answers if not task.done()]
        self._answers.append(self._loop.create_task(self._ended(lambda: self._send(said)), name=f"rxfeed answer {self.name}"))

    def _guarded(self, handler: Callable[[T], object], given: T) -> None:
        try:
            handler(given)
        except Exception as error:  # noqa: BLE001  # whoever handles messages must not end the connection
            tell(None, f"connection {self.name}", "on_next", error)
