from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from rxfeed.feeds.simulator import Simulator, serve
from tests.feeds.simulator.plain import Tally, ask, drained, hub, login
from tests.loops import run


def live(simulator: Simulator, main: Callable[[ClientSession, str], Coroutine[Any, Any, None]]) -> None:
    """Run a client against a simulator over real sockets."""

    async def both() -> None:
        async with serve(simulator) as address, ClientSession() as session:
            await main(session, address)

    run(both)


@pytest.mark.parametrize("rate", [5_000.0, "max"])
def test_a_client_receives_exactly_what_the_truth_says(rate: Any) -> None:
    simulator = Simulator(("MNQ", "CL", "GC"), rate=rate)
    tally = Tally(simulator)

    async def main(session: ClientSession, address: str) -> None:
        async with hub(session, address, await login(session, address)) as socket:
            for contract in simulator.markets:
                await socket.send_str(ask("SubscribeContractTrades", contract))
                await socket.send_str(ask("SubscribeContractQuotes", contract))
                await socket.send_str(ask("SubscribeContractMarketDepth", contract))
            async for message in drained(socket):
                tally.take(message)
                if sum(tally.elements.values()) > 2_000 and simulator.running:
                    simulator.stop()

    live(simulator, main)
    (sent,) = simulator.truth.connections.values()
    assert sent.end == "stopped"
    for contract in simulator.markets:
        assert tally.row(contract) == sent.reached("trades", contract)
        assert tally.elements[contract] > 100
        assert sent.of("trades", contract).last_seq == simulator.truth.traded[contract].last_seq


def test_its_truth_and_state_can_be_asked_for() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(session: ClientSession, address: str) -> None:
        async with hub(session, address, await login(session, address)) as socket:
            contract = next(iter(simulator.markets))
            await socket.send_str(ask("SubscribeContractTrades", contract))
            assert (await socket.receive_json(loads=lambda text: text)) == '{"type":3,"invocationId":"1","result":null}\x1e'
            simulator.trade("MNQ", (21_500.25, 3), (21_500.5, 1, 2))
            await socket.receive()
            async with session.get(f"{address}/simulator/truth") as response:
                truth = await response.json()
            async with session.get(f"{address}/simulator") as response:
                state = await response.json()
        assert truth["sent"]["trades"][contract] == {
            "messages": 1, "elements": 2, "volume": 4, "ticks": 86_001 * 3 + 86_002, "last_seq": 1
        }  # fmt: skip
        assert truth["connections"][0]["sent"]["trades"] == truth["sent"]["trades"]
        assert state["simulated"] is True
        assert state["connections"][0]["subscriptions"] == [f"trades {contract}"]

    live(simulator, main)


def test_an_upgrade_without_a_good_token_is_401() -> None:
    simulator = Simulator(rate=0)

    async def main(session: ClientSession, address: str) -> None:
        with pytest.raises(WSServerHandshakeError) as caught:
            await session.ws_connect(f"{address}/hubs/market", params={"access_token": "no"})
        assert caught.value.status == 401

    live(simulator, main)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])
def test_it_is_served_on_loopback_only(host: str) -> None:
    async def main() -> None:
        async with serve(Simulator(rate=0), host=host):
            pass

    with pytest.raises(ValueError, match="on loopback only"):
        asyncio.run(main())
