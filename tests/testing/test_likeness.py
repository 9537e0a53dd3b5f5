"""The network in memory against real sockets: aiohttp's client and server must see the same on both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rxfeed.testing import Simulation, simulate


@dataclass
class World:
    """A client's session, the server's address, and what happened."""

    session: aiohttp.ClientSession
    url: str
    nobody: str
    told: list[str] = field(default_factory=list)

    def note(self, *things: object) -> None:
        self.told.append(" ".join(map(str, things)))

    async def attempt(self, what: Awaitable[Any]) -> Any:
        try:
            return await what
        except (aiohttp.ClientError, OSError) as error:
            self.note(type(error).__name__)
            return None


Scenario = Callable[[World], Awaitable[None]]


def application(server: list[str]) -> web.Application:
    async def whole(request: web.Request) -> web.Response:
        return web.Response(text="x" * 100_000)

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def torn(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        getattr(request.transport, request.query["way"])()
        return response

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(1000):
                await response.write(b"x" * 100_000)
        except (ConnectionError, aiohttp.ClientError) as error:
            server.append(type(error).__name__)
        return response

    async def talk(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse(autoping=False)
        await answer.prepare(request)
        async for message in answer:
            if message.data == "close":
                await answer.close(code=4000, message=b"enough")
            elif message.data == "drop":
                assert request.transport is not None
                request.transport.close()
            else:
                await answer.send_str(message.data)
        server.append(f"closed {answer.close_code} {answer.exception()!r}")
        return answer

    app = web.Application()
    for path, handler in (("/whole", whole), ("/drop", drop), ("/torn", torn), ("/flood", flood), ("/socket", talk)):
        app.router.add_get(path, handler)
    return app


async def requests_are_answered(world: World) -> None:
    for _ in range(3):
        async with world.session.get(f"{world.url}/whole") as response:
            world.note(response.status, len(await response.read()))


async def a_connection_is_closed_unanswered(world: World) -> None:
    await world.attempt(world.session.get(f"{world.url}/drop"))


async def a_response_is_torn(world: World) -> None:
    for way in ("close", "abort"):
        async with world.session.get(f"{world.url}/torn?way={way}") as response:
            await world.attempt(response.read())


async def a_client_leaves_in_the_middle(world: World) -> None:
    async with world.session.get(f"{world.url}/flood") as response:
        await response.content.readexactly(1_000_000)
        response.close()
    await asyncio.sleep(0.2)


async def a_websocket_is_closed_by_the_client(world: World) -> None:
    opened = await world.session.ws_connect(f"{world.url}/socket")
    await opened.send_str("hello")
    world.note(await opened.receive_str())
    world.note(await opened.close(code=4001), opened.close_code, repr(opened.exception()))
    await asyncio.sleep(0.2)


async def a_websocket_is_closed_by_the_server(world: World) -> None:
    opened = await world.session.ws_connect(f"{world.url}/socket")
    await opened.send_str("close")
    message = await opened.receive()
    world.note(message.type, message.data, message.extra, opened.close_code, opened.closed)
    await asyncio.sleep(0.2)


async def a_websocket_is_dropped_by_the_server(world: World) -> None:
    opened = await world.session.ws_connect(f"{world.url}/socket")
    await opened.send_str("drop")
    message = await opened.receive()
    world.note(message.type, opened.close_code, repr(opened.exception()))
    await world.attempt(opened.send_str("more"))
    await asyncio.sleep(0.2)


async def a_websocket_is_dropped_by_the_client(world: World) -> None:
    opened = await world.session.ws_connect(f"{world.url}/socket")
    await opened.send_str("hello")
    world.note(await opened.receive_str())
    await world.session.close()
    await asyncio.sleep(0.2)


async def nobody_listens(world: World) -> None:
    await world.attempt(world.session.get(world.nobody))


async def over_sockets(scenario: Scenario) -> tuple[list[str], list[str]]:
    server: list[str] = []
    runner = web.AppRunner(application(server), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    with socket.socket() as bound:  # and never listens
        bound.bind((host, 0))
        nobody = f"http://{host}:{bound.getsockname()[1]}/"
        async with aiohttp.ClientSession() as session:
            world = World(session, f"http://{host}:{port}", nobody)
            await scenario(world)
    await runner.cleanup()
    return world.told, server


async def over_memory(simulation: Simulation, scenario: Scenario) -> tuple[list[str], list[str]]:
    server: list[str] = []
    network = simulation.network
    async with network.serve("127.0.0.1", application(server), port=5170) as at, network.session() as session:
        world = World(session, at.url, "http://127.0.0.1:1/")
        await scenario(world)
    return world.told, server


@pytest.mark.parametrize(
    "scenario",
    [
        requests_are_answered,
        a_connection_is_closed_unanswered,
        a_response_is_torn,
        a_client_leaves_in_the_middle,
        a_websocket_is_closed_by_the_client,
        a_websocket_is_closed_by_the_server,
        a_websocket_is_dropped_by_the_server,
        a_websocket_is_dropped_by_the_client,
        nobody_listens,
    ],
    ids=lambda scenario: scenario.__name__,
)
@pytest.mark.parametrize("latency", [0, 0.01])
def test_aiohttp_sees_the_same_as_over_sockets(scenario: Scenario, latency: float) -> None:
    async def main(simulation: Simulation) -> tuple[list[str], list[str]]:
        simulation.network.latency = latency
        return await over_memory(simulation, scenario)

    in_memory = simulate(main)
    assert in_memory == asyncio.run(over_sockets(scenario))
    assert in_memory != ([], [])
