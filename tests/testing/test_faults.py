"""What may happen to a connection in memory, and how aiohttp's client and server see it."""

import asyncio
import errno

import aiohttp
import pytest
from aiohttp import web

from rxfeed.testing import Simulation, simulate
from tests.testing.ends import connected, turns

URL = "wss://one.test/"


class Hub:
    """A server that sends a number each second and notes how its connections end."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.ends: list[str] = []
        self.heard: list[str] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.talk)
        return app

    async def talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        number = 0
        try:
            while not socket.closed:
                await socket.send_str(str(number))
                number += 1
                try:
                    self.heard.append(await asyncio.wait_for(socket.receive_str(), 1))
                except TimeoutError:
                    continue
        except (TypeError, ConnectionError) as error:  # a close message is no text, to aiohttp
            self.ends.append(f"{self.simulation.loop.time():g}: {type(error).__name__}")
        return socket


def test_cut_is_a_reset_for_both() -> None:
    async def main(simulation: Simulation) -> list[str]:
        hub = Hub(simulation)
        async with simulation.network.serve("one.test", hub.app()), simulation.network.session() as session:
            async with session.ws_connect(URL) as socket:
                simulation.loop.call_at(2.5, simulation.network.cut, "one.test")
                texts = [message.data async for message in socket]
                assert texts == ["0", "1", "2"]
                assert socket.close_code == 1006
                assert isinstance(socket.exception(), ConnectionResetError | aiohttp.ClientError)
            assert simulation.network.open == []
            async with session.ws_connect(URL) as socket:
                assert await socket.receive_str() == "0"
        return hub.ends

    assert simulate(main)[0].startswith("2.5: ")


def test_cut_after_some_bytes_tears_the_message() -> None:
    async def talk(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10000"})
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 100)
        return response

    async def main(simulation: Simulation) -> None:
        app = web.Application()
        app.router.add_get("/", talk)
        simulation.network.latency = 0.01
        async with simulation.network.serve("one.test", app), simulation.network.session() as session:
            got = bytearray()

            async def read() -> None:
                async with session.get("http://one.test/") as response:
                    async for part in response.content.iter_any():
                        got.extend(part)

            simulation.loop.call_at(0.025, lambda: simulation.network.cut("one.test", after=5050))
            with pytest.raises(aiohttp.ClientPayloadError, match="Connection reset by peer"):
                await read()
            assert 4500 < len(got) < 5050
            assert len(got) % 100
            assert simulation.network.open == []

    simulate(main)


@pytest.mark.parametrize("after", [1, 99, 100, 101, 70_000])
def test_cut_after_lets_exactly_so_many_bytes_through(after: int) -> None:
    async def main(simulation: Simulation) -> None:
        client, server = connected(simulation)
        simulation.network.cut("one.test", after=after)
        for number in range(1000):
            server.transport.write(b"%10d" % number * 10)
        await turns(20)
        assert client.data == b"".join(b"%10d" % number * 10 for number in range(1000))[:after]
        assert client.told[-1] == server.told[-1] == "lost [Errno 104] Connection reset by peer"

    simulate(main)


def test_refuse_is_for_new_connections_only() -> None:
    async def main(simulation: Simulation) -> None:
        hub = Hub(simulation)
        network = simulation.network
        async with network.serve("one.test", hub.app()), network.session() as session, session.ws_connect(URL) as socket:
            assert await socket.receive_str() == "0"
            network.refuse("one.test")
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await session.ws_connect(URL)
            assert caught.value.os_error.errno == errno.ECONNREFUSED
            assert await socket.receive_str() == "1"
            network.heal("one.test")
            async with session.ws_connect(URL) as other:
                assert await other.receive_str() == "0"

    simulate(main)


def test_distrust_is_a_certificate_that_fails() -> None:
    async def main(simulation: Simulation) -> None:
        hub = Hub(simulation)
        async with simulation.network.serve("one.test", hub.app()), simulation.network.session() as session:
            simulation.network.distrust("one.test")
            with pytest.raises(aiohttp.ClientConnectorCertificateError, match="certificate verify failed"):
                await session.ws_connect(URL)
            async with session.ws_connect("ws://one.test/") as socket:
                assert await socket.receive_str() == "0"

    simulate(main)


def test_a_black_hole_tells_nobody_and_stays_silent_when_it_heals() -> None:
    async def main(simulation: Simulation) -> None:
        loop, network, hub = simulation.loop, simulation.network, Hub(simulation)
        async with network.serve("one.test", hub.app()), network.session() as session, session.ws_connect(URL) as socket:
            assert await socket.receive_str() == "0"
            network.black_hole("one.test")
            await socket.send_str("lost")
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=60)
            assert not socket.closed
            with pytest.raises(TimeoutError):
                await session.ws_connect(
                    URL, timeout=aiohttp.ClientWSTimeout()
                ).__aenter__() if False else await asyncio.wait_for(session.ws_connect(URL), 30)
            assert loop.time() == 90
            network.heal("one.test")
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=60)
            async with session.ws_connect(URL) as other:
                assert await other.receive_str() == "0"
            assert hub.heard == []

    simulate(main)


def test_who_connects_into_a_black_hole_gets_through_when_it_heals() -> None:
    async def main(simulation: Simulation) -> float:
        network, hub = simulation.network, Hub(simulation)
        async with network.serve("one.test", hub.app()), network.session() as session:
            network.black_hole("one.test")
            simulation.loop.call_at(20, network.heal, "one.test")
            async with session.ws_connect(URL) as socket:
                assert await socket.receive_str() == "0"
                return simulation.loop.time()

    assert simulate(main) == 20


def test_an_idle_connection_outlives_a_black_hole_that_swallowed_nothing() -> None:
    async def main(simulation: Simulation) -> None:
        network = simulation.network

        async def quiet(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str(f"heard {await socket.receive_str()}")
            await socket.receive()
            return socket

        app = web.Application()
        app.router.add_get("/", quiet)
        async with network.serve("one.test", app), network.session() as session, session.ws_connect(URL) as socket:
            network.black_hole("one.test")
            await asyncio.sleep(60)
            network.heal("one.test")
            await socket.send_str("hello")
            assert await socket.receive_str() == "heard hello"

    simulate(main)


def test_whoever_sent_into_a_black_hole_is_told_after_a_quarter_of_an_hour() -> None:
    async def main(simulation: Simulation) -> list[str]:
        network, hub = simulation.network, Hub(simulation)
        async with network.serve("one.test", hub.app()), network.session() as session:
            socket = await session.ws_connect(URL)
            assert await socket.receive_str() == "0"
            network.black_hole("one.test")  # the server's next message sets out at 1 s
            await asyncio.sleep(901.5)
            assert not socket.closed
            assert len(network.open) == 1
            await socket.close()
        return hub.ends

    assert simulate(main)[0].startswith("901")


def test_who_closes_into_a_black_hole_is_not_left_over() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 10_000)
        return response

    async def main(simulation: Simulation) -> None:
        app = web.Application()
        app.router.add_get("/", flood)
        async with simulation.network.serve("one.test", app, shutdown_timeout=5), simulation.network.session() as session:
            response = await session.get("http://one.test/")
            simulation.network.black_hole("one.test")
            await asyncio.sleep(10)
            response.close()
        await asyncio.sleep(1)
        assert [str(end) for end in simulation.network.open] == ["<MemoryTransport one.test:80 to client:49152, closing>"]

    simulate(main)


def test_half_open_loses_the_server_and_tells_no_client() -> None:
    async def main(simulation: Simulation) -> None:
        network, hub = simulation.network, Hub(simulation)
        async with network.serve("one.test", hub.app()), network.session() as session, session.ws_connect(URL) as socket:
            assert await socket.receive_str() == "0"
            network.half_open("one.test")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert [str(end) for end in network.open] == ["<MemoryTransport client:49152 to one.test:443, open>"]
            await socket.send_str("lost")
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=3600 / 5)
            assert not socket.closed
            async with session.ws_connect(URL) as other:
                assert await other.receive_str() == "0"
            assert "lost" not in hub.heard
            assert hub.ends[0].startswith("0: ")

    simulate(main)


@pytest.mark.parametrize("seed", range(5))
def test_split_streams_are_read_in_small_pieces_and_whole_all_the_same(seed: int) -> None:
    async def main(simulation: Simulation) -> list[str]:
        network, hub = simulation.network, Hub(simulation)
        async with network.serve("one.test", hub.app()), network.session() as session:
            network.split("one.test", 3)
            async with session.ws_connect(URL) as socket:
                await socket.send_str("a" * 100)
                texts = [await socket.receive_str() for _ in range(5)]
                assert hub.heard == ["a" * 100]
                return texts

    assert simulate(main, seed=seed) == ["0", "1", "2", "3", "4"]


def test_pieces_are_of_any_size_up_to_the_largest() -> None:
    async def main(simulation: Simulation) -> set[int]:
        client, server = connected(simulation)
        simulation.network.split("one.test", 7)
        sizes: list[int] = []
        server.data_received = lambda data: sizes.append(len(data))
        for _ in range(100):
            client.transport.write(b"12345")
        await turns(500)
        assert sum(sizes) == 500
        client.transport.close()
        await turns()
        return set(sizes[:-1])

    assert simulate(main) == set(range(1, 8))


@pytest.mark.parametrize("most", [0, -1])
def test_pieces_have_at_least_a_byte(most: int) -> None:
    async def main(simulation: Simulation) -> None:
        simulation.network.serve("one.test", web.Application())
        with pytest.raises(ValueError, match="most must be at least 1 byte, got"):
            simulation.network.split("one.test", most)

    simulate(main)


def test_faults_are_of_their_host_only() -> None:
    async def main(simulation: Simulation) -> None:
        network, hub = simulation.network, Hub(simulation)
        async with (
            network.serve("one.test", hub.app()),
            network.serve("two.test", hub.app()),
            network.session() as session,
            session.ws_connect("ws://two.test/") as socket,
        ):
            for fault in (network.cut, network.black_hole, network.half_open, network.refuse, network.split):
                fault("one.test")
            assert [await socket.receive_str() for _ in range(3)] == ["0", "1", "2"]

    simulate(main)


def test_a_host_that_was_never_served_has_no_faults() -> None:
    async def main(simulation: Simulation) -> None:
        network = simulation.network
        network.serve("one.test", web.Application())
        for fault in (network.cut, network.black_hole, network.half_open, network.refuse, network.split, network.heal):
            with pytest.raises(ValueError, match=r"served at 'one.tset'; the hosts of this network: one.test"):
                fault("one.tset")

    simulate(main)


def test_a_certificate_that_nobody_looks_at_does_not_fail() -> None:
    async def main(simulation: Simulation) -> None:
        hub = Hub(simulation)
        async with simulation.network.serve("one.test", hub.app()), simulation.network.session() as session:
            simulation.network.distrust("one.test")
            async with session.ws_connect(URL, ssl=False) as socket:
                assert await socket.receive_str() == "0"

    simulate(main)
