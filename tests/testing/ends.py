"""Two protocols on a connection in memory that note what they are told."""

import asyncio

from aiohttp import web

from rxfeed.testing import Simulation


class Notes(asyncio.Protocol):
    """A protocol that notes what it is told."""

    def __init__(self, stay: bool = False) -> None:
        self.told: list[str] = []
        self.data = b""
        self.stay = stay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.told.append("end")
        return self.stay

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(f"lost {exc}")


def connected(simulation: Simulation, stay: bool = False) -> tuple[Notes, Notes]:
    client, server = Notes(stay), Notes(stay)
    network = simulation.network
    network.serve("one.test", web.Application())  # so that there is such a host
    network._host("one.test").connect(client, server, port=80, secure=None)
    return client, server


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
