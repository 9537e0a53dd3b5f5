"""aiohttp around the simulator: the only module here that knows of sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final

from aiohttp import WSMsgType, web

from rxfeed.feeds.simulator.control import control
from rxfeed.feeds.simulator.core import Simulator
from rxfeed.feeds.simulator.http import Answer, Request
from rxfeed.feeds.simulator.records import Record

_MOST: Final = 1 << 20
_LOOKS: Final = 600
_OVER: Final = (WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


class _WebSocketOutlet:
    """Writes frames, which are made already, beside aiohttp's own writer: each write of either is whole frames."""

    __slots__ = ("_transport", "code", "done", "stranded")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.code = 1000
        self.done = asyncio.Event()
        self.stranded = False

    def send(self, records: Sequence[Record]) -> None:
        if not self._transport.is_closing():
            self._transport.write(records[0].frame if len(records) == 1 else b"".join([record.frame for record in records]))

    def end(self, code: int) -> None:
        self.code = code
        self.done.set()

    def abort(self) -> None:
        self._transport.abort()

    def strand(self) -> None:
        self.stranded = True

    @property
    def unsent(self) -> int:
        return self._transport.get_write_buffer_size()


def make_app(simulator: Simulator) -> web.Application:
    """Return the simulator as an aiohttp application; it trades from the application's start to its end."""
    app = web.Application(client_max_size=_MOST)

    async def start(_: web.Application) -> None:
        simulator.start()

    outlets: dict[_WebSocketOutlet, None] = {}
    stopped = asyncio.Event()

    async def stop(_: web.Application) -> None:
        simulator.stop()
        stopped.set()
        for outlet in outlets:
            outlet.done.set()

    app.on_startup.append(start)
    app.on_shutdown.append(stop)

    async def plain(request: web.Request) -> web.StreamResponse:
        given = await _request(request)
        own = given.path == "/simulator" or given.path.startswith("/simulator/")
        return await _respond(request, control(simulator, given) if own else simulator.request(given), stopped)

    def hub(name: str) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await _websocket(simulator, name, request, outlets, stopped)

        app.router.add_get(f"/hubs/{name}", handle)

    hub("market")
    hub("user")
    app.router.add_route("*", "/{path:.*}", plain)
    return app


async def _request(request: web.Request) -> Request:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request(request.method, request.path, dict(request.query), headers, await request.read())


async def _respond(request: web.Request, given: Answer, stopped: asyncio.Event) -> web.Response:
    seconds = given.wait if given.status else given.hang
    if (not await _waited(request, seconds, stopped) or not given.status) and request.transport is not None:
        request.transport.abort()
    return web.Response(status=given.status, body=given.body, headers=dict(given.headers))


async def _websocket(
    simulator: Simulator, hub: str, request: web.Request, outlets: dict[_WebSocketOutlet, None], stopped: asyncio.Event
) -> web.StreamResponse:
    ticket = simulator.enter(await _request(request), hub)
    if isinstance(ticket, Answer):
        return await _respond(request, ticket, stopped)
    socket = web.WebSocketResponse(
        compress=False, heartbeat=None, max_msg_size=_MOST, timeout=1.0, autoping=False, autoclose=False
    )  # fmt: skip
    if not socket.can_prepare(request):
        simulator.leave(ticket)
        return web.Response(status=400, text="a WebSocket is wanted")
    if not await _waited(request, ticket.wait, stopped):
        simulator.leave(ticket)
        return await _respond(request, Answer(0), stopped)
    await socket.prepare(request)
    transport = request.transport
    assert transport is not None
    outlet = _WebSocketOutlet(transport)
    outlets[outlet] = None
    connection = simulator.connect(ticket, outlet)

    async def read() -> None:
        while (message := await socket.receive()).type not in _OVER:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                connection.receive(message.data)
            elif message.type is WSMsgType.PING and not outlet.stranded:
                await socket.pong(message.data)
            elif message.type is WSMsgType.CLOSE and not outlet.stranded:
                return

    reading = asyncio.create_task(read(), name="rxfeed simulator reads")
    ending = asyncio.create_task(outlet.done.wait(), name="rxfeed simulator waits for the end")
    try:
        await asyncio.wait((reading, ending), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        reading.cancel()
        await asyncio.wait((reading, ending))
        connection.lost()
        if outlet.stranded:
            await _forgotten(transport, outlet)
        del outlets[outlet]
    await socket.close(code=outlet.code)
    return socket


async def _waited(request: web.Request, seconds: float, stopped: asyncio.Event) -> bool:
    """Say nothing for so long, and return whether somebody waits for it still."""
    end = asyncio.get_running_loop().time() + seconds
    while seconds > 0:
        try:
            async with asyncio.timeout(min(seconds, 1.0)):
                await stopped.wait()
        except TimeoutError:
            seconds = end - asyncio.get_running_loop().time()
        else:
            return False
        if request.transport is None or request.transport.is_closing():
            return False
    return True


async def _forgotten(transport: asyncio.Transport, outlet: _WebSocketOutlet) -> None:
    """Leave a connection lie that nobody here knows of any more, until its other end cuts it or the server stops."""
    for _ in range(_LOOKS):
        if transport.is_closing() or outlet.done.is_set():
            break
        await asyncio.sleep(1)
    transport.abort()


@asynccontextmanager
async def serve(simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str, None]:
    """Serve a simulator on this machine's loopback, and give its address, such as `http://127.0.0.1:5170`.

    Args:
        simulator: what to serve.
        host: a loopback address.
        port: 0 takes a free one.

    Raises:
        ValueError: the host is not loopback: what is simulated stays on this machine.
        OSError: the port is taken.
    """
    if host != "localhost" and not ip_address(host).is_loopback:
        raise ValueError(f"a simulator is served on loopback only, such as 127.0.0.1, got {host}")
    runner = web.AppRunner(make_app(simulator), access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()
