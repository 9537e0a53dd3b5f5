"""The simulator's wire, judged by pysignalr, a client that shares nothing with ours and is built on another WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
from pysignalr.client import SignalRClient
from pysignalr.exceptions import AuthorizationError
from pysignalr.messages import CompletionMessage

from rxfeed.feeds.simulator import Simulator, serve
from tests.feeds.simulator.plain import Tally, token

pytestmark = pytest.mark.oracle
WAIT = 30.0


def against(simulator: Simulator, main: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async def both() -> None:
        async with serve(simulator) as address:
            await main(address)

    asyncio.run(both())


class Peer:
    """A client that runs in a task, and what it was told."""

    def __init__(self, address: str, simulator: Simulator, hub: str = "market", *, query: bool = False, **options: Any) -> None:
        mine = token(simulator)
        url = f"{address}/hubs/{hub}" + (f"?access_token={mine}" if query else "")
        # Its own token factory is asked only after it has negotiated, so that the header is ours to set.
        headers = {} if query else {"Authorization": f"Bearer {mine}"}
        self.client = SignalRClient(url, headers=headers, **options)
        self.opens: asyncio.Queue[None] = asyncio.Queue()
        self.trades: asyncio.Queue[list[Any]] = asyncio.Queue()
        self.completions: asyncio.Queue[CompletionMessage] = asyncio.Queue()

        async def opened() -> None:
            self.opens.put_nowait(None)

        async def trade(arguments: list[Any]) -> None:
            self.trades.put_nowait(arguments)

        async def completed(message: Any) -> None:
            self.completions.put_nowait(message)

        self.client.on_open(opened)
        self.client.on("GatewayTrade", trade)
        self.client.on_error(completed)
        self._completed = completed

    async def __aenter__(self) -> Self:
        self.run = asyncio.ensure_future(self.client.run())
        opened = asyncio.ensure_future(self.opens.get())
        await asyncio.wait((self.run, opened), timeout=WAIT, return_when=asyncio.FIRST_COMPLETED)
        if self.run.done():
            opened.cancel()
            await self.run
        return self

    async def __aexit__(self, *_: object) -> None:
        self.run.cancel()
        await asyncio.wait((self.run,))

    async def invoke(self, target: str, *arguments: Any) -> CompletionMessage:
        await self.client.send(target, list(arguments), self._completed)
        return await asyncio.wait_for(self.completions.get(), WAIT)


@pytest.mark.parametrize("query", [False, True])
def test_it_connects_calls_and_counts_what_the_truth_counts(query: bool) -> None:
    simulator = Simulator(("MNQ", "CL"), rate=5_000)
    tally = Tally(simulator)

    async def main(address: str) -> None:
        async with Peer(address, simulator, query=query) as peer:
            for contract in simulator.markets:
                assert (await peer.invoke("SubscribeContractTrades", contract)).error is None
            while any(tally.elements[contract] < 300 for contract in simulator.markets):
                arguments = await asyncio.wait_for(peer.trades.get(), WAIT)
                tally.take({"target": "GatewayTrade", "arguments": arguments})
            for contract in simulator.markets:
                await peer.invoke("UnsubscribeContractTrades", contract)
            while not peer.trades.empty():
                tally.take({"target": "GatewayTrade", "arguments": peer.trades.get_nowait()})
        (sent,) = simulator.truth.connections.values()
        for contract in simulator.markets:
            assert tally.row(contract) == sent.reached("trades", contract)

    against(simulator, main)


def test_what_cannot_be_called_is_a_completion_with_an_error() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with Peer(address, simulator, "user") as peer:
            said = await peer.invoke("Heartbeat")
            assert (
                said.error == "Failed to invoke 'Heartbeat' due to an error on the server. HubException: Method does not exist."
            )

    against(simulator, main)


@pytest.mark.parametrize("fault", ["drop", "end"])
def test_it_comes_back_with_a_new_id(fault: str) -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with Peer(address, simulator) as peer:
            (first,) = simulator.connections
            simulator.fault(fault)
            await asyncio.wait_for(peer.opens.get(), WAIT)
            ((second, one),) = simulator.connections.items()
            assert first != second
            assert one.subscriptions == {}

    against(simulator, main)


def test_without_a_good_token_it_does_not_get_in() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        simulator.fault("401:market")
        with pytest.raises(AuthorizationError):
            async with Peer(address, simulator):
                pass

    against(simulator, main)
