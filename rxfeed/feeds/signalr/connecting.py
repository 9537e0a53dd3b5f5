"""How a connection to a hub is made: the way there, the socket, the handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rxfeed.errors import ConnectionLost, FeedError, ProtocolError, Unreachable
from rxfeed.feeds.addresses import shown
from rxfeed.feeds.transport import Place, Transport
from rxfeed.secret import Secret
from rxfeed.valve import Valve

from .codec import HANDSHAKE, MAX_MESSAGE, Call, Codec, Message
from .connection import Connection
from .negotiate import Way, negotiated
from .timing import DEFAULT, Timing


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
