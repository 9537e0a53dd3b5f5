"""A client of a few lines that knows nothing of rxfeed's own: what it receives is what the truth is compared with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.feeds.simulator.core import KEY, USER
from rxfeed.feeds.simulator.http import Request
from rxfeed.feeds.simulator.records import Record
from rxfeed.times import SECOND

START = 1_767_623_400 * SECOND
"""2026-01-05T14:30:00Z, a Monday."""
MNQ = "CON.F.US.MNQ.H26"
HELLO = '{"protocol":"json","version":1}\x1e'


def after(clock: VirtualClock, seconds: float) -> None:
    """Let so much time pass."""
    clock.advance_to(clock.now + round(seconds * SECOND))


def records(data: bytes) -> list[dict[str, Any]]:
    """Whole records as JSON."""
    assert data.endswith(b"\x1e")
    return [json.loads(part) for part in data.split(b"\x1e")[:-1]]


def deals(message: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The contract and the trades of a GatewayTrade, whatever its shape."""
    arguments = message["arguments"]
    contract, data = arguments if len(arguments) == 2 else arguments[0]
    return contract, data if isinstance(data, list) else [data]


class Ear:
    """An outlet that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended: int | str | None = None
        self.unsent = 0
        self.stuck = False
        self.stranded = False

    def send(self, records: Any) -> None:
        if self.stuck:
            self.unsent += sum(len(record.frame) for record in records)
        self.frames += [record.payload for record in records]
        assert all(isinstance(record, Record) for record in records)

    def end(self, code: int) -> None:
        self.ended = code

    def abort(self) -> None:
        self.ended = "aborted"

    def strand(self) -> None:
        self.stranded = True

    @property
    def heard(self) -> list[dict[str, Any]]:
        return [message for frame in self.frames for message in records(frame)]

    def take(self) -> list[dict[str, Any]]:
        heard = self.heard
        self.frames.clear()
        return heard


def ask(target: str, *arguments: object, id: str | None = "1") -> str:
    message: dict[str, Any] = {"type": 1, "target": target, "arguments": list(arguments)}
    return json.dumps(message if id is None else message | {"invocationId": id}) + "\x1e"


def token(simulator: Simulator) -> str:
    return simulator.tokens.issue(USER, simulator.now)


def connected(simulator: Simulator, hub: str = "market", *, greeted: bool = True) -> tuple[HubConnection, Ear]:
    """A hub connection with no socket."""
    ticket = simulator.enter(Request("GET", f"/hubs/{hub}", {"access_token": token(simulator)}), hub)
    assert not hasattr(ticket, "status")
    ear = Ear()
    connection = simulator.connect(ticket, ear)  # type: ignore[arg-type]
    if greeted:
        connection.receive(HELLO)
        assert ear.take() == [{}]
    return connection, ear


async def login(session: ClientSession, address: str, user: str = USER, key: str = KEY) -> str:
    async with session.post(f"{address}/api/Auth/loginKey", json={"userName": user, "apiKey": key}) as response:
        return (await response.json())["token"]


@asynccontextmanager
async def hub(session: ClientSession, address: str, token: str, name: str = "market") -> AsyncIterator[ClientWebSocketResponse]:
    """A WebSocket that has shaken hands."""
    async with session.ws_connect(f"{address}/hubs/{name}", params={"access_token": token}, max_msg_size=0) as socket:
        await socket.send_str(HELLO)
        assert (await socket.receive()).data == "{}\x1e"
        yield socket


async def drained(socket: ClientWebSocketResponse) -> AsyncIterator[dict[str, Any]]:
    """Each record until the socket ends, put together however it was cut."""
    buffer = b""
    async for message in socket:
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            buffer += message.data.encode() if isinstance(message.data, str) else message.data
            *whole, buffer = buffer.split(b"\x1e")
            for record in whole:
                yield json.loads(record)


class Tally:
    """Counts and sums of trades as a client sees them, in the truth's terms."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.messages: Counter[str] = Counter()
        self.elements: Counter[str] = Counter()
        self.volume: Counter[str] = Counter()
        self.ticks: Counter[str] = Counter()

    def take(self, message: dict[str, Any]) -> None:
        if message.get("target") != "GatewayTrade":
            return
        contract, rows = deals(message)
        listed = self.simulator.contract(contract)
        self.messages[contract] += 1
        for row in rows:
            self.elements[contract] += 1
            self.volume[contract] += row["volume"]
            self.ticks[contract] += listed.ticks(row["price"]) * row["volume"]

    def row(self, contract: str) -> dict[str, int]:
        return {name: getattr(self, name)[contract] for name in ("messages", "elements", "volume", "ticks")}
