"""A hub whose every word is scripted, on a network in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from rxfeed.feeds.signalr import Call, Connection, Timing, connect
from rxfeed.feeds.transport import Transport
from rxfeed.secret import Secret
from rxfeed.testing import Simulation, simulate

URL = "http://hub.test/hubs/market"
SILENT = Timing(ping=1e6, silence=1e6)


class Peer:
    """The hub's side of one connection."""

    def __init__(self, ws: web.WebSocketResponse, request: web.Request) -> None:
        self.ws, self.request = ws, request
        self.said: list[dict[str, Any]] = []
        self.gone = asyncio.Event()

    async def send(self, *messages: dict[str, Any] | bytes) -> None:
        """Send messages in one WebSocket message; bytes go as they are."""
        parts = [each if isinstance(each, bytes) else json.dumps(each).encode() + b"\x1e" for each in messages]
        await self.ws.send_str(b"".join(parts).decode())

    async def handshake(self) -> None:
        await self.hear()
        await self.send({})

    async def hear(self) -> dict[str, Any]:
        """Return the next message of the client."""
        while True:
            message = await self.ws.receive()
            if message.type is not WSMsgType.TEXT:
                self.gone.set()
                raise EOFError(message.type.name)
            (record,) = message.data.removesuffix("\x1e").split("\x1e")
            self.said.append(json.loads(record))
            return self.said[-1]

    async def answer(self, **result: Any) -> dict[str, Any]:
        """Hear an invocation and answer it."""
        heard = await self.hear()
        while heard.get("type") == 6:
            heard = await self.hear()
        await self.send({"type": 3, "invocationId": heard["invocationId"], **result})
        return heard

    async def until_gone(self) -> None:
        try:
            while True:
                await self.hear()
        except EOFError:
            pass


Script = Callable[[Peer], Awaitable[None]]


class Ear:
    """Notes what a connection hands on."""

    def __init__(self) -> None:
        self.drains: list[list[Call]] = []
        self.garbage: list[bytes] = []
        self.lost: list[Exception] = []
        self.over = asyncio.Event()

    @property
    def targets(self) -> list[list[str]]:
        return [[call.target for call in calls] for calls in self.drains]

    def on_lost(self, error: Exception) -> None:
        self.lost.append(error)
        self.over.set()


@asynccontextmanager
async def hub(simulation: Simulation, *scripts: Script, negotiate: Any = None) -> AsyncIterator[list[Peer]]:
    """Serve a hub whose first connection follows the first script, and so on; yield its peers."""
    peers: list[Peer] = []

    async def upgrade(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(timeout=1.0)
        await ws.prepare(request)
        peer = Peer(ws, request)
        peers.append(peer)
        try:
            await scripts[min(len(peers), len(scripts)) - 1](peer)
        except (EOFError, ConnectionError):
            pass
        finally:
            peer.gone.set()
        return ws

    app = web.Application()
    app.router.add_get("/hubs/market", upgrade)
    if negotiate is not None:
        app.router.add_post("/hubs/market/negotiate", negotiate)
    async with simulation.network.serve("hub.test", app):
        yield peers


def talk(use: Callable[..., Awaitable[Any]], *scripts: Script, negotiate: Any = None, **options: Any) -> Any:
    """Return what `use(connection, ear, peer, simulation)` returns, with a connection to a hub that follows a script."""

    async def main(simulation: Simulation) -> Any:
        async with hub(simulation, *scripts, negotiate=negotiate) as peers:
            transport = Transport(simulation.network.session, origins=[URL])
            ear = Ear()
            try:
                connection = await connected(transport, ear, negotiate=negotiate is not None, **options)
                try:
                    return await use(connection, ear, peers[0], simulation)
                finally:
                    await connection.close()
            finally:
                await transport.close()

    return simulate(main)


async def connected(transport: Transport, ear: Ear, **options: Any) -> Connection:
    given: dict[str, Any] = {"token": Secret("a-token-of-some-length"), "targets": ("GatewayTrade",)} | options
    return await connect(
        transport, URL, on_calls=ear.drains.append, on_garbage=ear.garbage.append, on_lost=ear.on_lost, **given
    )
