"""The simulator's wire, judged by the official client: `@microsoft/signalr` on Node, over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rxfeed.feeds.simulator import Simulator, serve
from rxfeed.feeds.simulator.line import Timing
from tests.feeds.simulator.plain import Tally, token

FOLDER = Path(__file__).parent / "node"
WAIT = 30.0
TARGETS = ["GatewayTrade", "GatewayQuote", "GatewayDepth", "GatewayLogout", "GatewayUserOrder"]


def missing() -> str | None:
    """Why it cannot run."""
    if shutil.which("node") is None:
        return "node is not there"
    if not (FOLDER / "node_modules" / "@microsoft" / "signalr").is_dir():
        return "@microsoft/signalr is not installed: `make test` does it where there is npm, or `npm ci` in tests/oracles/node"
    return None


pytestmark = [pytest.mark.oracle, pytest.mark.skipif(missing() is not None and not os.environ.get("CI"), reason=str(missing()))]


@pytest.fixture(autouse=True)
def _there() -> None:
    """On CI a missing oracle is a failure, no skip."""
    assert missing() is None


class Node:
    """A Node process with one hub connection, and what it has told so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []

    async def next(self, event: str, **more: Any) -> dict[str, Any]:
        """The next line that tells of an event; what is told before it is kept in `told`."""
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), WAIT)
            assert line, f"node has ended before it told of {event}: {self.told[-3:]}"
            said = json.loads(line)
            self.told.append(said)
            if said["event"] == event and all(said.get(name) == value for name, value in more.items()):
                return said

    def command(self, action: str, **more: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": action, **more}).encode() + b"\n")

    async def do(self, action: str, **more: Any) -> dict[str, Any]:
        self.command(action, **more)
        return await self.next("done", do=action)

    async def fails(self, action: str, **more: Any) -> str:
        self.command(action, **more)
        return (await self.next("failed", do=action))["error"]

    async def invoke(self, target: str, *given: object) -> Any:
        return (await self.do("invoke", target=target, arguments=given))["result"]

    def calls(self, target: str) -> list[list[Any]]:
        return [said["arguments"] for said in self.told if said["event"] == "called" and said["target"] == target]


@asynccontextmanager
async def node(
    address: str, simulator: Simulator, *, hub: str = "market", query: bool = False, **settings: Any
) -> AsyncIterator[Node]:
    """Start Node; it logs in with a token in the header, or in the query."""
    mine = settings.pop("token", None) or token(simulator)
    url = f"{address}/hubs/{hub}" + (f"?access_token={mine}" if query else "")
    given = {"url": url, "token": None if query else mine, "targets": TARGETS, **settings}
    process = await asyncio.create_subprocess_exec(
        "node", FOLDER / "client.mjs", json.dumps(given), stdin=PIPE, stdout=PIPE, limit=1 << 24
    )  # fmt: skip
    try:
        yield Node(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        await asyncio.wait_for(process.stdout.read(), WAIT)
        assert await process.wait() == 0


def against(simulator: Simulator, main: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    async def both() -> None:
        async with serve(simulator) as address:
            await main(address)

    asyncio.run(both())


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("query", [False, True])
def test_it_connects_calls_and_counts_what_the_truth_counts(skip: bool, query: bool) -> None:
    simulator = Simulator(("MNQ", "GC"), rate=5_000)
    tally = Tally(simulator)

    async def main(address: str) -> None:
        async with node(address, simulator, skip=skip, query=query) as client:
            started = await client.do("start")
            (one,) = simulator.connections.values()
            assert started["id"] == (None if skip else one.id)
            for contract in simulator.markets:
                assert await client.invoke("SubscribeContractTrades", contract) is None
                assert await client.invoke("SubscribeContractQuotes", contract) is None
                assert await client.invoke("SubscribeContractMarketDepth", contract) is None
            for contract in simulator.markets:
                while sum(len(rows) for id, rows in client.calls("GatewayTrade") if id == contract) < 300:
                    await client.next("called", target="GatewayTrade")
                assert await client.invoke("UnsubscribeContractTrades", contract) is None
            await client.do("stop")
        for arguments in client.calls("GatewayTrade"):
            tally.take({"target": "GatewayTrade", "arguments": arguments})
        for contract in simulator.markets:
            assert tally.row(contract) == one.sent.reached("trades", contract)
        assert client.calls("GatewayQuote")[0][1]["symbolName"] in ("/MNQ", "/GC")
        assert {row["type"] for _, rows in client.calls("GatewayDepth") for row in rows} >= {1, 2, 6}

    against(simulator, main)


def test_what_cannot_be_called_is_a_hub_exception() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with node(address, simulator) as client:
            await client.do("start")
            said = await client.fails("invoke", target="Heartbeat", arguments=[])
            assert said == ("Failed to invoke 'Heartbeat' due to an error on the server. HubException: Method does not exist.")
            said = await client.fails("invoke", target="SubscribeContractTrades", arguments=[])
            assert said.endswith("Invocation provides 0 argument(s) but target expects 1.")
            said = await client.fails("invoke", target="SubscribeContractTrades", arguments=["CON.F.US.XX.Z99"])
            assert said.endswith("Contract 'CON.F.US.XX.Z99' not found.")
            await client.do("send", target="Heartbeat", arguments=[])
            assert await client.invoke("SubscribeContractTrades", next(iter(simulator.markets))) is None

    against(simulator, main)


def test_it_answers_when_it_is_called() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with node(address, simulator) as client:
            await client.do("start")
            (one,) = simulator.connections.values()
            one.invoke("Double", 21, id="d")
            await client.invoke("SubscribeContractTrades", next(iter(simulator.markets)))
            assert one.results["d"]["result"] == 42
            simulator.fault("unknown")
            simulator.fault("join")
            simulator.trade("MNQ", (21_500.0, 1), (21_500.25, 1), bunch=1)
            await client.next("called", target="GatewayTrade")
            await client.next("called", target="GatewayTrade")
            simulator.fault("logout")
            await client.next("called", target="GatewayLogout")

    against(simulator, main)


def test_the_user_hub() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with node(address, simulator, hub="user") as client:
            await client.do("start")
            await client.invoke("SubscribeAccounts")
            await client.invoke("SubscribeOrders", 1)
            simulator.event("orders", 1, {"id": 7, "limitPrice": None})
            await client.next("called", target="GatewayUserOrder", arguments=[[{"action": 1, "data": {"id": 7}}]])
            assert "Account '8' not found." in await client.fails("invoke", target="SubscribeOrders", arguments=[8])

    against(simulator, main)


def test_pings_keep_it_and_their_absence_is_its_server_timeout() -> None:
    simulator = Simulator(("MNQ",), rate=0, timing=Timing(ping=100_000_000))

    async def main(address: str) -> None:
        async with node(address, simulator, serverTimeout=1_000, keepAlive=200) as client:
            await client.do("start")
            (one,) = simulator.connections.values()
            await asyncio.sleep(1.5)
            assert one.open
            assert {"type": 6} in one.received
            simulator.fault("mute=60s")
            said = await client.next("closed")
            assert said["error"] == "Server timeout elapsed without receiving a message from the server."

    against(simulator, main)


def test_a_silent_client_is_closed_by_the_server() -> None:
    simulator = Simulator(("MNQ",), rate=0, timing=Timing(silence=500_000_000))

    async def main(address: str) -> None:
        async with node(address, simulator, keepAlive=60_000) as client:
            await client.do("start")
            said = await client.next("closed")
            assert "Client hasn't sent a message/ping within the configured ClientTimeoutInterval." in said["error"]

    against(simulator, main)


def test_close_that_allows_it_and_drop_lead_to_a_new_connection_without_subscriptions() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with node(address, simulator, reconnect=[0, 50, 100, 1_000]) as client:
            first = (await client.do("start"))["id"]
            contract = next(iter(simulator.markets))
            seen = [first]
            for fault in ("close", "close-error", "drop", "end"):
                assert await client.invoke("SubscribeContractTrades", contract) is None
                simulator.fault(fault)
                error = (await client.next("reconnecting"))["error"]
                if fault == "close-error":
                    assert "Connection closed with an error." in error
                seen.append((await client.next("reconnected"))["id"])
                (one,) = simulator.connections.values()
                assert one.id == seen[-1]
                assert one.subscriptions == {}
            assert len(set(seen)) == 5
            simulator.fault("close-final")
            assert "Connection closed with an error." in (await client.next("closed"))["error"]

    against(simulator, main)


def test_without_leave_to_reconnect_it_is_over() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with node(address, simulator, reconnect=[0, 50]) as client:
            await client.do("start")
            (one,) = simulator.connections.values()
            one.close()
            assert (await client.next("closed"))["error"] is None
            assert not [said for said in client.told if said["event"] == "reconnecting"]

    against(simulator, main)


def test_a_used_id_is_404() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        async with node(address, simulator) as client:
            used = (await client.do("start"))["id"]
            await client.do("stop")
        url = f"{address}/hubs/market?id={used}"
        async with node(address, simulator, url=url, skip=True) as client:
            assert "the connection ID is not present on the server" in await client.fails("start")
        simulator.fault("404:market")
        async with node(address, simulator) as client:
            assert "404" in await client.fails("start")

    against(simulator, main)


@pytest.mark.parametrize("skip", [False, True])
def test_a_token_that_is_no_longer_good_does_not_get_in(skip: bool) -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        old = token(simulator)
        simulator.fault("expire")
        async with node(address, simulator, token=old, skip=skip) as client:
            said = await client.fails("start")
            assert ("WebSocket failed to connect" if skip else "Status code '401'") in said
        async with node(address, simulator, skip=skip) as client:
            await client.do("start")

    against(simulator, main)


def test_it_follows_a_redirect() -> None:
    simulator = Simulator(("MNQ",), rate=0)

    async def main(address: str) -> None:
        simulator.fault("redirect:market")
        async with node(address, simulator) as client:
            assert (await client.do("start"))["id"] in simulator.connections
        assert simulator.faults == {"redirect": 1}

    against(simulator, main)
