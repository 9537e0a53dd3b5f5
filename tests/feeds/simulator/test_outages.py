"""Faults of the network's side as aiohttp's client sees them, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import (
    ClientConnectionError,
    ClientSession,
    ClientTimeout,
    ServerDisconnectedError,
    WSMsgType,
    WSServerHandshakeError,
)

from rxfeed.feeds.simulator import Simulator
from rxfeed.testing import Simulation, simulate
from tests.feeds.simulator.plain import ask, hub, login
from tests.feeds.simulator.test_app import ADDRESS, world

GAVE_UP = (ClientConnectionError, TimeoutError, WSServerHandshakeError)


async def tried(session: ClientSession, token: str) -> str | None:
    """Which error a connection to the hub ends in."""
    try:
        async with asyncio.timeout(20), hub(session, ADDRESS, token):
            return None
    except GAVE_UP as error:
        return type(error).__name__ + (f" {error.status}" if isinstance(error, WSServerHandshakeError) else "")


@pytest.mark.parametrize("fault", ["refuse:upgrade=6", "503:upgrade=3", "outage=3500ms", "down=3500ms"])
def test_a_server_that_lets_nobody_in_for_a_while(fault: str) -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        async with hub(session, ADDRESS, token) as socket:
            simulator.fault(fault)
            ended = await asyncio.wait_for(socket.receive(), 20) if fault.endswith("ms") else None
            assert ended is None or ended.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
            assert (socket.close_code, ended is None) in ((None, True), (1006, False), (1001, False))
            errors: list[str | None] = []
            while not errors or errors[-1] is not None:
                errors.append(await tried(session, token))
                await asyncio.sleep(1)
            # aiohttp tries an upgrade twice when it gets no answer, so that six refusals are three.
            seen = "WSServerHandshakeError 503" if fault[0] in "5d" else "ServerDisconnectedError"
            assert errors in ([seen] * 3 + [None], [seen] * 4 + [None])
        assert simulator.faults == {fault.partition(":")[0].partition("=")[0]: 1}

    world(main, rate=0)


def test_rest_that_is_refused_hangs_or_is_slow() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        loop = asyncio.get_running_loop()
        token = await login(session, ADDRESS)
        headers = {"Authorization": f"Bearer {token}"}

        async def refresh(timeout: float = 30.0) -> float:
            begin = loop.time()
            async with session.post(
                f"{ADDRESS}/api/Auth/validate", headers=headers, timeout=ClientTimeout(timeout)
            ) as response:
                assert (await response.json())["newToken"]
            return loop.time() - begin

        simulator.fault("refuse:validate")
        with pytest.raises(ServerDisconnectedError):
            await refresh()
        assert await refresh() == 0
        simulator.fault("hang:validate=10s")
        before = len(asyncio.all_tasks())
        with pytest.raises(TimeoutError):
            await refresh()
        await asyncio.sleep(2)
        assert len(asyncio.all_tasks()) < before  # nobody waits, so nothing hangs any more
        assert await refresh() == 0
        simulator.fault("slow:validate=7s")
        assert await refresh() == 7
        assert await login(session, ADDRESS)
        with pytest.raises(TimeoutError):
            await refresh(5.0)
        simulator.fault("slow:upgrade=4s")
        begin = loop.time()
        async with hub(session, ADDRESS, token):
            assert loop.time() - begin == 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2), hub(session, ADDRESS, token):
                pass
        await asyncio.sleep(10)
        assert simulator.connections == {}

    world(main, rate=0)


def test_a_simulator_stops_at_once_whatever_hangs_in_it() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        for fault in ("hang:upgrade=1h", "slow:rest=1h"):
            simulator.fault(fault)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), hub(session, ADDRESS, token):
                pass
        waiting = asyncio.ensure_future(login(session, ADDRESS))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])

    world(main, rate=0)


def test_a_server_is_closed_at_once_whoever_waits_for_its_answer() -> None:
    async def main(simulation: Simulation) -> None:
        simulator = Simulator(clock=simulation.clock, rate=0, faults=["slow:rest=1h"])
        async with simulation.network.session() as session:
            server = await simulation.network.serve("sim.test", simulator.app())
            waiting = asyncio.ensure_future(login(session, ADDRESS))
            await asyncio.sleep(1)
            await server.close()
            assert simulation.loop.time() < 1.1
            with pytest.raises(ClientConnectionError):
                await waiting

    simulate(main)


def test_an_hour_in_a_black_hole_and_the_market_went_on() -> None:
    async def main(simulation: Simulation, simulator: Simulator, session: ClientSession) -> None:
        token = await login(session, ADDRESS)
        contract = simulator.contract("MNQ").id
        async with hub(session, ADDRESS, token) as socket:
            await socket.send_str(ask("SubscribeContractTrades", contract))
            await asyncio.sleep(10)
            simulator.fault("black-hole=1h")
            got: list[Any] = []
            while simulation.loop.time() < 60:
                try:
                    async with asyncio.timeout(10):
                        got.append(await socket.receive())
                except TimeoutError:
                    continue
            assert len(got) > 10
            assert all(message.type is WSMsgType.TEXT for message in got)
        errors: list[str | None] = []
        while not errors or errors[-1] is not None:
            errors.append(await tried(session, token))
            if errors[-1] is not None and len(errors) < 100:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(10):
                        await login(session, ADDRESS)
        assert set(errors[:-2]) == {"TimeoutError"}
        assert 100 < len(errors) < 140
        (first, *_, last) = simulator.truth.connections.values()
        assert first.end == "black-hole"
        assert last.opened - (first.closed or 0) >= 3_590_000_000_000
        assert simulator.truth.traded[contract].elements > first.of("trades", contract).elements + 10_000

    world(main, rate=10, contracts=("MNQ",))
