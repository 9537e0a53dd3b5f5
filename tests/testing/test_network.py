"""aiohttp's own client and server on the network in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from rxfeed.testing import NotSimulated, Simulation, SimulationError, simulate

SEVEN_SECONDS = aiohttp.ClientWSTimeout(ws_close=7.0)  # pyright: ignore[reportCallIssue]  # an attrs class


async def hello(request: web.Request) -> web.Response:
    return web.Response(text=f"{request.scheme} {request.remote} {request.path_qs}")


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(timeout=10)
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


def application() -> web.Application:
    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_get("/echo", echo)
    return app


@asynccontextmanager
async def served(simulation: Simulation, app: web.Application | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    async with simulation.network.serve("one.test", app or application()), simulation.network.session() as session:
        yield session


def test_requests_encrypted_or_not_over_one_kept_connection_each() -> None:
    async def main(simulation: Simulation) -> list[str]:
        async with served(simulation) as session:
            texts = []
            for url in ("http://one.test/?a=1", "https://one.test/", "https://one.test:8443/", "http://one.test/"):
                async with session.get(url) as response:
                    texts.append(await response.text())
            assert len(simulation.network.open) == 6
            return texts

    assert simulate(main) == ["http client /?a=1", "https client /", "https client /", "http client /"]


def test_a_day_of_a_websocket_with_pings_takes_a_day() -> None:
    async def main(simulation: Simulation) -> float:
        async with served(simulation) as session, session.ws_connect("wss://one.test/echo", heartbeat=30) as socket:
            for number in range(24 * 60):
                await asyncio.sleep(60)
                await socket.send_str(str(number))
                assert await socket.receive_str() == str(number)
        return simulation.loop.time()

    assert simulate(main) == 86_400


def test_latency_is_taken_by_connecting_and_by_each_way() -> None:
    async def main(simulation: Simulation) -> list[float]:
        simulation.network.latency = 0.25
        times = []
        async with served(simulation) as session:
            for _ in range(2):
                before = simulation.loop.time()
                async with session.get("http://one.test/"):
                    times.append(simulation.loop.time() - before)
        return times

    assert simulate(main) == [1.0, 0.5]


def test_jitter_keeps_the_order() -> None:
    async def main(simulation: Simulation) -> list[str]:
        simulation.network.jitter = "1s"
        async with served(simulation) as session, session.ws_connect("ws://one.test/echo") as socket:
            for number in range(200):
                await socket.send_str(str(number))
            return [await socket.receive_str() for _ in range(200)]

    assert simulate(main) == [str(number) for number in range(200)]


def test_several_hosts_and_ports() -> None:
    async def main(simulation: Simulation) -> list[str]:
        network = simulation.network
        texts = []

        def saying(word: str) -> web.Application:
            async def say(request: web.Request) -> web.Response:
                return web.Response(text=word)

            app = web.Application()
            app.router.add_get("/", say)
            return app

        async with (
            network.serve("one.test", saying("one")),
            network.serve("one.test", saying("other port"), port=5170) as other,
            network.serve("two.test", saying("two"), port=443),
            network.session() as session,
        ):
            assert other.url == "http://one.test:5170"
            for url in ("http://one.test/", "http://one.test:5170/", "https://two.test"):
                async with session.get(url) as response:
                    texts.append(await response.text())
            with pytest.raises(aiohttp.ClientConnectorError, match=r"host two\.test:80"):
                await session.get("http://two.test/")
            with pytest.raises(SimulationError, match="is served already"):
                await network.serve("one.test", web.Application())
        return texts

    assert simulate(main) == ["one", "other port", "two"]


def test_an_unknown_host_is_dns_and_a_stopped_one_refuses() -> None:
    async def main(simulation: Simulation) -> None:
        async with simulation.network.session() as session:
            with pytest.raises(aiohttp.ClientConnectorDNSError):
                await session.get("http://nowhere.test/")
            async with simulation.network.serve("one.test", application()):
                pass
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.get("http://one.test/")
            assert isinstance(caught.value.os_error, ConnectionRefusedError)

    simulate(main)


def test_idle_connections_are_closed_by_the_clients_keepalive() -> None:
    async def main(simulation: Simulation) -> None:
        async with served(simulation) as session:
            await (await session.get("http://one.test/")).read()
            await asyncio.sleep(10)
            assert len(simulation.network.open) == 2
            await (await session.get("http://one.test/")).read()
            await asyncio.sleep(14)
            assert len(simulation.network.open) == 2
            await asyncio.sleep(20)
            assert simulation.network.open == []

    simulate(main)


def test_idle_connections_are_closed_by_the_servers_keepalive() -> None:
    async def main(simulation: Simulation) -> None:
        network = simulation.network
        connector = network.connector(keepalive_timeout=1000)
        async with (
            network.serve("one.test", application(), keepalive_timeout=20),
            network.session(connector=connector) as session,
        ):
            await (await session.get("http://one.test/")).read()
            await asyncio.sleep(19)
            assert len(network.open) == 2
            await asyncio.sleep(3)
            assert network.open == []
            assert await (await session.get("http://one.test/")).text() == "http client /"

    simulate(main)


def test_a_close_that_nobody_answers_ends_after_the_websockets_timeout() -> None:
    async def deaf(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await asyncio.sleep(20)
        return socket

    async def main(simulation: Simulation) -> float:
        app = web.Application()
        app.router.add_get("/", deaf)
        async with simulation.network.serve("one.test", app), simulation.network.session() as session:
            socket = await session.ws_connect("ws://one.test/", timeout=SEVEN_SECONDS)
            before = simulation.loop.time()
            await socket.close()
            took = simulation.loop.time() - before
            await asyncio.sleep(20)
            return took

    assert simulate(main) == 7


def test_dates_are_the_simulations() -> None:
    async def main(simulation: Simulation) -> str:
        async with served(simulation) as session:
            await asyncio.sleep(30)
            async with session.get("http://one.test/") as response:
                return response.headers["Date"]

    assert simulate(main) == "Mon, 05 Jan 2026 14:30:30 GMT"


@pytest.mark.parametrize("host", ["", "http://one.test", "one.test:5170", "one.test/path"])
def test_a_host_is_a_name(host: str) -> None:
    async def main(simulation: Simulation) -> None:
        with pytest.raises(ValueError, match="host must be a name without scheme and port"):
            simulation.network.serve(host, web.Application())

    simulate(main)


def test_a_host_in_capitals_is_the_same() -> None:
    async def main(simulation: Simulation) -> str:
        async with simulation.network.serve("One.Test", application()), simulation.network.session() as session:
            return await (await session.get("http://ONE.test/")).text()

    assert simulate(main) == "http client /"


def test_there_are_no_proxies() -> None:
    async def main(simulation: Simulation) -> None:
        async with served(simulation) as session:
            with pytest.raises(NotSimulated, match="no proxies"):
                await session.get("http://one.test/", proxy="http://proxy.test")

    simulate(main)
