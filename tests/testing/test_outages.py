"""An hour without network, connections of different speed: how long it takes here, and that nothing is left of it."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler

from rxfeed.testing import Simulation, simulate
from tests.testing.test_network import served

URL = "wss://one.test/echo"


async def echoed(socket: aiohttp.ClientWebSocketResponse) -> float:
    """How long a text takes there and back."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await socket.send_str("?")
    assert await socket.receive_str() == "?"
    return loop.time() - begin


async def tried(session: aiohttp.ClientSession) -> str | None:
    try:
        async with asyncio.timeout(10), session.ws_connect(URL) as socket:
            await echoed(socket)
            return None
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__


@pytest.mark.parametrize(("fault", "error"), [("black_hole", "TimeoutError"), ("refuse", "ClientConnectorError")])
def test_an_hour_in_which_nobody_gets_through(fault: str, error: str) -> None:
    async def main(simulation: Simulation) -> None:
        async with served(simulation) as session:
            assert await tried(session) is None
            getattr(simulation.network, fault)("one.test")
            asyncio.get_running_loop().call_at(3_600, simulation.network.heal, "one.test")
            errors: list[str | None] = []
            while not errors or errors[-1] is not None:
                errors.append(await tried(session))
                await asyncio.sleep(1)
            assert set(errors[:-1]) == {error}
            assert 300 < len(errors) <= 3_601
            assert 3_600 <= simulation.loop.time() < 3_612
            assert len(simulation.network.open) == 0

    simulate(main)


def test_an_hour_of_a_split_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    received = ResponseHandler.data_received

    def noting(self: ResponseHandler, data: bytes) -> None:
        sizes.append(len(data))
        received(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", noting)

    async def main(simulation: Simulation) -> int:
        async with served(simulation) as session, session.ws_connect(URL) as socket:
            simulation.network.split("one.test", 1)
            sizes.clear()
            texts = 0
            while simulation.loop.time() < 3_600:
                assert await echoed(socket) == 0
                texts += 1
                await asyncio.sleep(10)
            assert sizes == [1] * 3 * texts  # two bytes of header, and the text
            return texts

    assert simulate(main) == 360


def test_each_new_connection_lags_by_a_time_of_its_own_until_it_is_healed() -> None:
    async def main(simulation: Simulation) -> list[float]:
        network = simulation.network
        network.latency = "5ms"
        async with served(simulation) as session, session.ws_connect(URL) as old:
            network.lag("one.test", "200ms")
            trips: list[float] = []
            for _ in range(5):
                async with session.ws_connect(URL) as socket:
                    trips.append(await echoed(socket))
                    assert await echoed(socket) == pytest.approx(trips[-1])
            assert await echoed(old) == pytest.approx(0.010)
            assert len({round(trip, 6) for trip in trips}) == 5
            assert all(0.010 <= trip <= 0.410 for trip in trips)
            network.heal("one.test")
            async with session.ws_connect(URL) as socket:
                assert await echoed(socket) == pytest.approx(0.010)
        return trips

    assert simulate(main, seed=3) == simulate(main, seed=3) != simulate(main, seed=4)


def test_a_lag_is_a_duration_of_a_host_that_was_served() -> None:
    async def main(simulation: Simulation) -> None:
        async with served(simulation):
            with pytest.raises(ValueError, match="most must look like"):
                simulation.network.lag("one.test", "soon")
            with pytest.raises(ValueError, match=r"nothing was ever served at 'two\.test'"):
                simulation.network.lag("two.test", "1s")

    simulate(main)
