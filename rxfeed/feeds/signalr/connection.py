"""One connection to a hub, from the handshake until it is lost or closed. It never reconnects: who does is above.

What comes is handed on when the socket is drained: everything that one turn of the loop brought, at once and in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from rxfeed.errors import ConnectionLost, FeedError, InvocationFailed, ProtocolError, Unreachable
from rxfeed.failures import tell
from rxfeed.feeds.addresses import shown
from rxfeed.feeds.transport import Place, Transport
from rxfeed.feeds.websocket import Socket
from rxfeed.secret import Secret, redacted
from rxfeed.valve import Valve

from .codec import (
    CLOSE,
    HANDSHAKE,
    MAX_MESSAGE,
    PING,
    Call,
    Closing,
    Codec,
    Completion,
    Garbage,
    Message,
    invocation,
    no_result,
)
from .negotiate import Way, negotiated

T = TypeVar("T")

_SHOWN: Final = 200
_GOODBYE: Final = 1.0
"""Seconds in which a Close message must have gone out."""


class Timing(NamedTuple):
    """How long things may take, in seconds of the loop's time; SignalR's own defaults."""

    connect: float = 15.0
    """Until the WebSocket is open, and before that until negotiation is answered."""
    handshake: float = 15.0
    ping: float = 15.0
    """A ping of ours every so often."""
    silence: float = 30.0
    """Without any message for so long, the connection is dead."""
    answer: float = 15.0
    """Until an invocation is answered."""


DEFAULT: Final = Timing()


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
        self._heard = self._loop.time()
        self._unread = 0.0  # seconds in which nothing was read, but for those since it was shut last
        self._shut: float | None = None  # since when nothing is read
        self._waiting: dict[str, asyncio.Future[Completion]] = {}
        self._messages = self._drains = self._garbage = self._pings = self._invoked = self._answered = 0
        self._round_trip: float | None = None
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
        return ConnectionStats(
            self._socket.received_bytes, self._messages, self._drains, self._garbage, self._pings, self._invoked,
            self._answered, self._round_trip, 0.0 if self._socket.paused else self._loop.time() - self._heard,
            not self._socket.paused,
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
        self._invoked += 1
        key = str(self._invoked)
        answer = self._waiting[key] = self._loop.create_future()
        sent, unread = self._loop.time(), self._not_read()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.answer):
                    await self._send(invocation(target, arguments, key))
                await self._answered_by(answer, sent + self._timing.answer)
        finally:
            self._waiting.pop(key, None)
        if not answer.done():
            text = f"{target} was not answered in {self._timing.answer:g} s by {self.name}"
            raise InvocationFailed(text, target, answered=False)
        completion = answer.result()
        self._answered += 1
        self._round_trip = self._loop.time() - sent - (self._not_read() - unread)
        if completion.error is not None:
            raise InvocationFailed(f"{self.name} refused {target}: {_words(completion.error)}", target)
        return completion.result

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
        leave = self._valve.watch(self._throttle) if self._valve is not None else None
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
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(lost)
                    answer.exception()  # whoever waits gets it, and nobody else need
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

    def _throttle(self, shut: bool) -> None:
        """Read nothing while somebody behind is too full; how long nothing has come is counted from the end of that."""
        now = self._loop.time()
        if shut:
            self._shut = now
            self._socket.pause()
        else:
            self._unread, self._shut = self._not_read(), None
            self._heard = now
            self._socket.resume()

    def _not_read(self) -> float:
        """Return the seconds until now in which nothing was read by choice."""
        return self._unread if self._shut is None else self._unread + self._loop.time() - self._shut

    async def _answered_by(self, answer: asyncio.Future[Completion], until: float) -> None:
        """Wait for an answer; where nothing was read meanwhile, by so much longer."""
        left = until - self._loop.time()
        while not answer.done():
            unread = self._not_read()
            await asyncio.wait((answer,), timeout=left)
            left = self._not_read() - unread
            if not left:
                break

    def _end(self, lost: ConnectionLost) -> None:
        if self.open:
            self._lost = lost
            self._stop()

    def _stop(self) -> None:
        for task in (self._reader, self._keeper, *self._answers):
            if task is not None and task is not asyncio.current_task():
                task.cancel()

    async def _keep(self) -> None:
        loop, timing = self._loop, self._timing
        pinged = loop.time()
        while True:
            if self._socket.paused:  # we do not listen, so it cannot be judged
                self._heard = loop.time()
            dead = self._heard + timing.silence
            due = min(pinged + timing.ping, dead)
            await asyncio.sleep(due - loop.time())
            now = loop.time()
            # Compared as they were added up, so that no rounding makes this turn for nothing.
            if now >= self._heard + timing.silence and not self._draining and not self._socket.paused:
                text = f"the connection to {self.name} was silent for {timing.silence:g} s"
                raise ConnectionLost(text, "silent")
            if now >= pinged + timing.ping:
                pinged = now
                # A socket that takes no more must not keep us from noticing that nothing comes.
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(max(self._heard + timing.silence, now)):
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
        self._heard = self._loop.time()
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
                answer = self._waiting.get(message.invocation)
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case Closing():
                why = f": {_words(message.error)}" if message.error else ""
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


def _words(error: str) -> str:
    # Cut before as well, as a text of megabytes takes seconds to look through.
    return redacted(error[: _SHOWN * 4])[:_SHOWN]


async def connect(
    transport: Transport,
    url: str,
    *,
    token: Secret | None = None,
    place: Place = "query",
    negotiate: bool = False,
    targets: tuple[str, ...] = (),
    on_calls: Callable[[list[Call]], object],
    on_garbage: Callable[[bytes], object] | None = None,
    on_lost: Callable[[ConnectionLost], object] | None = None,
    timing: Timing = DEFAULT,
    max_message: int = MAX_MESSAGE,
    valve: Valve | None = None,
) -> Connection:
    """Connect to a hub and shake hands.

    Args:
        transport: who opens sockets; its origins are those that a hub may redirect to.
        url: the hub's address, with http, https, ws or wss.
        token: who we are.
        place: whether the token goes in the address' query or in a header.
        negotiate: whether the hub is asked for a connection id first.
        targets: methods that the hub will call often.
        on_calls: takes the hub's invocations: all that came at once, in order. It must not raise.
        on_garbage: takes each record that is no message.
        on_lost: called once if the connection ends and `close` was not called; all that had come was handed on before.
        timing: how long things may take.
        max_message: bytes of the longest message that is taken.
        valve: while it is shut nothing is read, and that nothing comes is no silence. Pings go out all the same.

    Raises:
        Unreachable: no connection, or no handshake, in time.
        ProtocolError: the other side does not speak SignalR, or refuses our version of it.
        TokenRefused, TooManyRequests, GatewayRefused, AddressRefused, TlsFailed: it refuses, or we do.
    """
    way = Way(url, token, {})
    if negotiate:
        way = await negotiated(transport, url, token=token, place=place, timeout=timing.connect)
    socket = await transport.websocket(
        way.url, token=way.token, place=place, query=way.query, timeout=timing.connect, max_size=max_message
    )
    name = shown(way.url)
    codec = Codec(targets, max_message=max_message)
    first: list[Message] = []
    failed: FeedError | None = None
    opened = False
    try:
        async with asyncio.timeout(timing.handshake):
            await socket.send(HANDSHAKE)
            while not codec.opened:
                first += codec.feed(await socket.receive())
        opened = True
    except TimeoutError:
        failed = Unreachable(f"{name} did not answer the handshake in {timing.handshake:g} s")
    except ConnectionLost as error:
        failed = Unreachable(f"{name} ended the connection in the handshake: {error}")
    except ProtocolError as error:
        failed = ProtocolError(f"{name}: {error}")
    finally:
        if not opened:
            await socket.close()
    if failed is not None:
        raise failed
    connection = Connection(
        socket, codec, name, timing=timing, on_calls=on_calls, on_garbage=on_garbage, on_lost=on_lost,
        valve=valve,
    )  # fmt: skip
    connection.start(first)
    return connection
