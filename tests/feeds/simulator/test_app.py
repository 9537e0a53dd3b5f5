"""The simulator as it is used in a simulation: aiohttp's client and server on a network in memory and virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from rxfeed.feeds.simulator import Simulator
from rxfeed.testing import Simulation, simulate
from tests.feeds.simulator.plain import HELLO, Tally, ask, drained, hub, login

ADDRESS = "http://sim.test"


def world(main: Callable[[Simulation, Simulator, ClientSession], Awaitable[Any]], *, seed: int = 0, **options: Any) -> Any:
    """Run a client against a simulator in memory; nothing may be left over."""

    async def both(simulation: Simulation) -> Any:
        simulator = Simulator(clock=simulation.clock, random=simulation.random, **options)
        async with simulation.network.serve("sim.test", simulator.app()), simulation.network.session() as session:
            return await main(simulation, simulator, session)

    return simulate(both, seed=seed)


async def subscribed(socket: ClientWebSocketResponse, simulator: Simulator) -> None:
    for contract in simulator.markets:
        for kind in ("Trades", "Quotes", "MarketDepth"):
            await socket.send_str(ask(f"SubscribeContract{kind}", contract, id=None))


@pytest.mark.parametrize("fault", ["drop", "close", "end"])
@pytest.mark.parametrize("seed", range(5))
def test_after_any_end_the_client_has_what_the_truth_says_was_sent(fault: str, seed: int) -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        simulation.network.jitter = "20ms"
        token = await login(session, ADDRESS)
        for _ in range(3):
            tally = Tally(simulator)
            async with hub(session, ADDRESS, token) as socket:
                await subscribed(socket, simulator)
                async for message in drained(socket):
                    tally.take(message)
            sent = list(simulator.truth.connections.values())[-1]
            assert sent.end is not None
            for contract in simulator.markets:
                assert tally.row(contract) == sent.reached("trades", contract)
                assert tally.elements[contract] > 50

    world(
        main, seed=seed, contracts=("MNQ", "GC"), rate=500, faults=[f"{fault}/{1 + seed / 7:.3f}s", "split/300ms", "join/700ms"]
    )


def test_the_same_seed_gives_the_same_bytes() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> list[bytes]:
        token = await login(session, ADDRESS)
        got: list[bytes] = []
        for _ in range(2):
            async with hub(session, ADDRESS, token) as socket:
                await subscribed(socket, simulator)
                got += [str(message.data).encode() async for message in socket]
        return got

    def run(seed: int) -> list[bytes]:
        return world(main, seed=seed, rate=100, faults=["drop/5s", "split/2s", "malformed/3s", "burst=500/4s"])

    assert run(1) == run(1) != run(2)


def test_two_hours_with_expiring_tokens_and_nothing_left_over() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        async with hub(session, ADDRESS, token) as socket:
            await subscribed(socket, simulator)

            async def ping() -> None:
                while True:
                    await asyncio.sleep(15)
                    await socket.send_str('{"type":6}\x1e')

            pinging = asyncio.ensure_future(ping())
            tally = Tally(simulator)
            async for message in drained(socket):
                tally.take(message)
                if simulator.now > simulation.clock.now - 1 and simulation.loop.time() > 7_200:
                    simulator.stop()
            pinging.cancel()
            await asyncio.wait((pinging,))
        with pytest.raises(WSServerHandshakeError) as caught:
            async with hub(session, ADDRESS, token):
                pass
        assert caught.value.status == 401
        (sent,) = simulator.truth.connections.values()
        assert [tally.row(contract) for contract in simulator.markets] == [
            sent.reached("trades", contract) for contract in simulator.markets
        ]

    world(main, contracts=("MNQ",), rate=0.5, token_life="60s")


async def silent(socket: ClientWebSocketResponse, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await socket.receive()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("fault", ["half-open", "black-hole=5s"])
def test_a_dead_connection_answers_neither_pings_nor_close(fault: str) -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        async with session.ws_connect(
            f"{ADDRESS}/hubs/market", params={"access_token": await login(session, ADDRESS)}, autoping=False
        ) as socket:
            await socket.send_str(HELLO)
            await socket.receive()
            await socket.ping(b"one")
            assert (await socket.receive()).type is WSMsgType.PONG
            simulator.fault(fault)
            await socket.ping(b"two")
            began = simulation.loop.time()
            await socket.close()
            assert simulation.loop.time() - began >= 10  # nobody answers a close frame
            assert not simulator.connections
        async with session.ws_connect(
            f"{ADDRESS}/hubs/market", params={"access_token": await login(session, ADDRESS)}, autoping=False
        ) as socket:
            await socket.send_str(HELLO)
            await socket.receive()
            simulator.fault(fault)
            await socket.ping(b"two")
            assert await silent(socket, 60)

    world(main, rate=0)


def test_a_black_hole_swallows_requests_and_ends() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        simulator.fault("black-hole=20s")
        for path in ("/api/Auth/loginKey", "/hubs/market/negotiate"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await session.post(ADDRESS + path)
        with pytest.raises(ClientConnectionError):
            await session.post(f"{ADDRESS}/api/Auth/validate")
        assert simulation.loop.time() == pytest.approx(20)
        async with hub(session, ADDRESS, token):
            pass

    world(main, rate=0)


def test_a_hub_that_hangs_still_answers_websocket_pings() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        simulator.fault("hang=5s")
        async with session.ws_connect(f"{ADDRESS}/hubs/market", params={"access_token": token}, autoping=False) as socket:
            await socket.send_str(HELLO)
            await socket.ping(b"x")
            assert (await socket.receive()).type is WSMsgType.PONG
            assert await silent(socket, 60)
        async with hub(session, ADDRESS, token):
            pass

    world(main, rate=0)


def test_a_1_mib_message_arrives_whole() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        async with hub(session, ADDRESS, await login(session, ADDRESS)) as socket:
            await subscribed(socket, simulator)
            await asyncio.sleep(1)
            simulator.fault("huge")
            tally = Tally(simulator)
            async for message in drained(socket):
                tally.take(message)
                if tally.elements:
                    simulator.stop()
            (sent,) = simulator.truth.connections.values()
            assert tally.row("CON.F.US.MNQ.H26") == sent.reached("trades", "CON.F.US.MNQ.H26")
            assert sent.bytes > 1 << 20

    world(main, contracts=("MNQ",), rate=0)


@pytest.mark.parametrize("rate", [5, 80, 900])
def test_history_equals_what_a_client_saw_traded(rate: int) -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        seen: dict[str, list[tuple[float, int]]] = {}
        contract = next(iter(simulator.markets))
        async with hub(session, ADDRESS, token) as socket:
            await subscribed(socket, simulator)
            await asyncio.sleep(1)
            simulator.rate = rate
            async for message in drained(socket):
                if message.get("target") == "GatewayTrade":
                    for row in message["arguments"][1]:
                        seen.setdefault(row["timestamp"][:19], []).append((row["price"], row["volume"]))
                if simulation.loop.time() > 20 and simulator.running:
                    simulator.stop()
        body = {
            "contractId": contract, "live": False, "startTime": "2020-01-01T00:00:00Z", "endTime": "2030-01-01T00:00:00Z",
            "unit": 1, "unitNumber": 1, "limit": 20_000, "includePartialBar": True,
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{ADDRESS}/api/History/retrieveBars", json=body, headers=headers) as response:
            bars = (await response.json())["bars"]
        assert bars == [
            {"t": f"{at}+00:00", "o": p[0][0], "h": max(p)[0], "l": min(p)[0], "c": p[-1][0], "v": sum(v for _, v in p)}
            for at, p in sorted(seen.items(), reverse=True)
        ]
        assert len(bars) > 10

    world(main, contracts=("MNQ",), rate=0)


def test_it_is_ruled_over_http() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        async def post(path: str, body: object) -> tuple[int, Any]:
            async with session.post(f"{ADDRESS}/simulator{path}", json=body) as response:
                return response.status, await response.json()

        assert await post("/faults", {"fault": "drop@5s"}) == (200, {"done": True})
        assert await post("/rate", {"rate": "max"}) == (200, {"done": True})
        assert simulator.rate == "max"
        assert await post("/trades", {"contract": "MNQ", "trades": [[21_500.25, 3, 2]]}) == (200, {"done": True})
        assert simulator.truth.traded["CON.F.US.MNQ.H26"].volume == 3
        for path, body, says in (
            ("/faults", {"fault": "dorp"}, "a fault must be one of drop, "), ("/faults", {}, "'fault' is missing"),
            ("/faults", [], "object"), ("/rate", {"rate": -1}, "rate must be"),
            ("/trades", {"contract": "X", "trades": []}, "contract must be one of"),
        ):  # fmt: skip
            status, told = await post(path, body)
            assert (status, told["done"]) == (400, False)
            assert says in told["error"]
        async with session.get(f"{ADDRESS}/simulator/faults") as response:
            assert (await response.json())["drop"] == "the connections are cut, with no Close message"
        for path in ("/nothing", "/truth/x"):
            async with session.get(f"{ADDRESS}/simulator{path}") as response:
                assert response.status == 404
        async with session.get(f"{ADDRESS}/hubs/market", params={"access_token": await login(session, ADDRESS)}) as response:
            assert response.status == 400  # no upgrade
        assert simulator.connections == {}

    world(main, rate=0)
