"""Flow control: whoever does not read makes the other side wait."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from rxfeed.testing import MemoryNetwork, Simulation, simulate
from tests.testing.ends import connected, turns

PART = b"x" * 10_000


class Flood:
    """A server that writes as long as it may."""

    def __init__(self, parts: int = 1_000) -> None:
        self.parts = parts
        self.written = 0
        self.ended = "not ended"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(self.parts * len(PART))})
        await response.prepare(request)
        try:
            for _ in range(self.parts):
                await response.write(PART)
                self.written += len(PART)
            self.ended = "whole"
        except (ConnectionError, aiohttp.ClientConnectionError) as error:
            self.ended = type(error).__name__
        return response

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.answer)
        return app


def test_a_server_without_a_reader_waits_and_goes_on_when_there_is_one() -> None:
    async def main(simulation: Simulation) -> None:
        flood = Flood()
        async with simulation.network.serve("one.test", flood.app()), simulation.network.session() as session:
            async with session.get("http://one.test/", timeout=aiohttp.ClientTimeout()) as response:
                await asyncio.sleep(3600)
                stopped = flood.written
                # what lies in the client, in the two sockets' buffers and in the server's
                assert 65_536 < stopped < 1_000_000
                await asyncio.sleep(3600)
                assert flood.written == stopped
                assert len(await response.content.readexactly(1_000_000)) == 1_000_000
                await asyncio.sleep(1)
                assert stopped + 900_000 < flood.written < 5_000_000
                assert len(await response.read()) == 9_000_000
            assert flood.ended == "whole"

    simulate(main)


def test_a_window_bounds_what_is_under_way() -> None:
    async def main(simulation: Simulation) -> None:
        network = MemoryNetwork(simulation.random, latency=1, window=50_000)
        flood = Flood()
        async with network.serve("one.test", flood.app()), network.session() as session:
            begun = simulation.loop.time()
            async with session.get("http://one.test/") as response:
                assert len(await response.read()) == 10_000_000
            assert simulation.loop.time() - begun == pytest.approx(10_000_000 / 50_000 + 3, abs=2)

    simulate(main)


def test_a_client_that_leaves_frees_the_waiting_server() -> None:
    async def main(simulation: Simulation) -> str:
        flood = Flood()
        async with simulation.network.serve("one.test", flood.app()), simulation.network.session() as session:
            response = await session.get("http://one.test/")
            await asyncio.sleep(60)
            response.close()
            await asyncio.sleep(1)
            return flood.ended

    assert simulate(main) == "ConnectionError"


def test_a_cancelled_reader_leaves_nothing() -> None:
    async def main(simulation: Simulation) -> None:
        flood = Flood()
        async with simulation.network.serve("one.test", flood.app()), simulation.network.session() as session:
            simulation.network.latency = 0.1

            async def read() -> None:
                async with session.get("http://one.test/") as response:
                    await response.read()

            for after in (0.1, 0.3, 0.35, 0.6, 1.0):
                task = asyncio.create_task(read())
                await asyncio.sleep(after)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await asyncio.sleep(1)
            assert simulation.network.open == []

    simulate(main)


def test_writing_pauses_above_high_and_resumes_at_low() -> None:
    async def main(simulation: Simulation) -> None:
        client, server = connected(simulation)
        client.transport.set_write_buffer_limits(high=1000, low=10)
        server.transport.pause_reading()
        client.transport.write(b"x" * 65_536)
        assert (client.told, client.transport.get_write_buffer_size()) == ([], 0)
        client.transport.write(b"y" * 1000)
        assert (client.told, client.transport.get_write_buffer_size()) == ([], 1000)
        client.transport.write(b"z")
        assert client.told == ["pause"]
        await asyncio.sleep(60)
        assert server.data == b""
        server.transport.resume_reading()
        await turns()
        assert server.data == b"x" * 65_536 + b"y" * 1000 + b"z"
        assert client.told == ["pause", "resume"]
        client.transport.close()
        await turns()
        assert client.told[2:] == ["lost None"]
        assert server.told == ["end", "lost None"]

    simulate(main)


def test_writing_resumes_no_sooner_than_at_low() -> None:
    async def main(simulation: Simulation) -> None:
        simulation.network._links.window = 100
        client, server = connected(simulation)
        client.transport.set_write_buffer_limits(high=250, low=50)
        server.transport.pause_reading()
        client.transport.write(b"x" * 400)
        for waiting, told in ((300, ["pause"]), (200, ["pause"]), (100, ["pause"]), (0, ["pause", "resume"])):
            await turns()
            assert (client.transport.get_write_buffer_size(), client.told) == (waiting, told)
            server.transport.resume_reading()
            await asyncio.sleep(0)
            server.transport.pause_reading()
        assert len(server.data) == 400
        client.transport.abort()
        server.transport.abort()
        await turns()

    simulate(main)


def test_limits_are_checked_and_have_asyncios_defaults() -> None:
    async def main(simulation: Simulation) -> None:
        transport = connected(simulation)[0].transport
        assert transport.get_write_buffer_limits() == (16_384, 65_536)
        transport.set_write_buffer_limits(low=100)
        assert transport.get_write_buffer_limits() == (100, 400)
        transport.set_write_buffer_limits(high=0)
        assert transport.get_write_buffer_limits() == (0, 0)
        with pytest.raises(ValueError, match="got high=1 and low=2"):
            transport.set_write_buffer_limits(high=1, low=2)
        transport.abort()
        await turns()

    simulate(main)


def test_closing_sends_what_waits_first_and_aborting_does_not() -> None:
    async def main(simulation: Simulation) -> None:
        for way, arrives in (("close", 200_000), ("abort", 65_536)):
            client, server = connected(simulation)
            client.transport.write(b"x" * 200_000)
            getattr(client.transport, way)()
            if way == "abort":
                assert client.transport.get_write_buffer_size() == 0
                client.transport.write(b"after")
            await turns(20)
            assert len(server.data) == arrives
            assert (client.told[-1], server.told[-1]) == ("lost None", "lost None")

    simulate(main)


def test_half_closed_both_ways() -> None:
    async def main(simulation: Simulation) -> None:
        client, server = connected(simulation, stay=True)
        client.transport.write(b"question")
        client.transport.write_eof()
        with pytest.raises(RuntimeError, match="after write_eof"):
            client.transport.write(b"more")
        await turns()
        assert (server.data, server.told) == (b"question", ["end"])
        server.transport.write(b"answer")
        await turns()
        assert client.data == b"answer"
        server.transport.close()
        await turns()
        assert client.told == ["end"]
        client.transport.close()
        await turns()
        assert (client.told, server.told) == (["end", "lost None"], ["end", "lost None"])

    simulate(main)


def test_an_end_is_told_once() -> None:
    async def main(simulation: Simulation) -> None:
        client, server = connected(simulation, stay=True)
        client.transport.write_eof()
        await turns()
        client.transport.close()
        await turns()
        assert (client.told, server.told) == (["lost None"], ["end"])
        server.transport.close()
        await turns()

    simulate(main)


def test_closing_on_unread_bytes_resets_the_other_side() -> None:
    async def main(simulation: Simulation) -> None:
        client, server = connected(simulation)
        server.transport.pause_reading()
        client.transport.write(b"never read")
        await turns()
        server.transport.close()
        await turns()
        assert client.told == ["lost [Errno 104] Connection reset by peer"]

    simulate(main)


def test_bytes_for_whoever_has_closed_reset_the_sender() -> None:
    async def main(simulation: Simulation) -> None:
        simulation.network.latency = 0.1
        client, server = connected(simulation, stay=True)
        server.transport.close()
        await asyncio.sleep(0.15)
        assert client.told == ["end"]
        client.transport.write(b"too late")
        await asyncio.sleep(0.15)
        assert client.told == ["end"]
        await asyncio.sleep(0.1)
        assert client.told == ["end", "lost [Errno 104] Connection reset by peer"]

    simulate(main)


def test_a_protocol_that_raises_ends_its_connection_and_is_reported() -> None:
    async def main(simulation: Simulation) -> None:
        client, server = connected(simulation)

        def raising(data: bytes) -> None:
            raise LookupError("mine")

        server.data_received = raising
        client.transport.write(b"x")
        await turns()
        assert server.told == ["lost mine"]
        assert "data_received() call failed" in str(simulation.errors[0])
        client.transport.abort()
        simulation.errors.clear()

    simulate(main)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"window": 0}, "window must be at least 1 byte, got 0"), ({"latency": -1}, "latency must be from 0")],
)
def test_bad_networks_are_refused(options: dict[str, int], text: str) -> None:
    async def main(simulation: Simulation) -> None:
        with pytest.raises(ValueError, match=text):
            MemoryNetwork(simulation.random, **options)
        with pytest.raises(ValueError, match="latency must"):
            simulation.network.latency = "soon"

    simulate(main)
