"""The hosts of a network in memory, the connections to them, and what may happen to both."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from rxfeed.testing.transport import MemoryTransport
from rxfeed.testing.wire import Sign, Wire

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Links:
    """What all connections of a network have in common.

    Args:
        random: decides on jitter and pieces.
        latency: how long bytes take one way, in seconds.
        jitter: how much longer they may take, in seconds; order is kept.
        window: how many bytes may be under way or unread, one way.
        gives_up: after how many seconds without an answer an end that has sent something is told `TimeoutError`.
    """

    def __init__(self, random: Random, *, latency: float, jitter: float, window: int, gives_up: float) -> None:
        self.random = random
        self.latency = latency
        self.jitter = jitter
        self.window = window
        self.gives_up = gives_up
        self.client_ports = count(49_152)
        self.open: dict[MemoryTransport, None] = {}

    def delay(self) -> float:
        """Return how long bytes take that set out now, in seconds."""
        return self.latency + (self.random.random() * self.jitter if self.jitter else 0.0)


class Host:
    """A host: what it serves, what is wrong with it, and the connections to it.

    Args:
        name: by which it is found.
        links: what its connections take part in.
    """

    def __init__(self, name: str, links: Links) -> None:
        self.name = name
        self.links = links
        self.ports: dict[int | None, ProtocolFactory] = {}
        self.connections: dict[Connection, None] = {}
        self.refuses = False
        self.distrusted = False
        self.most: int | None = None
        self.lag = 0.0
        self._black: asyncio.Future[None] | None = None

    @property
    def black(self) -> bool:
        """Whether it is a black hole."""
        return self._black is not None

    def blacken(self) -> None:
        """Become a black hole."""
        if self._black is None:
            self._black = asyncio.get_running_loop().create_future()

    def heal(self) -> None:
        """Be as at first. What was lost stays lost."""
        self.refuses = self.distrusted = False
        self.most = None
        self.lag = 0.0
        black, self._black = self._black, None
        if black is not None and not black.done():
            black.set_result(None)

    async def reach(self) -> None:
        """Wait for as long as a way there and back takes; in a black hole for its healing."""
        await asyncio.sleep(self.links.delay() + self.links.delay())
        while self._black is not None:
            await asyncio.shield(self._black)

    def factory(self, port: int | None) -> ProtocolFactory | None:
        """Return who answers at a port, None when nobody does."""
        return None if self.refuses else self.ports.get(port) or self.ports.get(None)

    def connect(self, client: asyncio.BaseProtocol, server: asyncio.BaseProtocol, *, port: int, secure: object) -> None:
        """Connect two protocols."""
        connection = Connection(self, client, server, port=port, secure=secure)
        self.connections[connection] = None
        server.connection_made(connection.server)
        client.connection_made(connection.client)


class Connection:
    """A connection: two ends, a wire each way, and how it breaks."""

    def __init__(
        self, host: Host, client: asyncio.BaseProtocol, server: asyncio.BaseProtocol, *, port: int, secure: object
    ) -> None:
        links = host.links
        loop = asyncio.get_running_loop()
        self.window = links.window
        self._host = host
        self._stranded = False
        self._lag = links.random.random() * host.lag if host.lag else 0.0
        here = ("client", next(links.client_ports))
        there = (host.name, port)
        extra: dict[str, Any] = {"sslcontext": secure} if secure else {}
        self.client = MemoryTransport(loop, client, {**extra, "sockname": here, "peername": there}, self._end_gone)
        self.server = MemoryTransport(loop, server, {**extra, "sockname": there, "peername": here}, self._end_gone)
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            wire = Wire(
                loop,
                self,
                receiver,
                freed=sender.flush,
                refuse=self._refuser(sender),
                starve=self._starver(sender),
                cut=self.cut,
            )
            sender.out = receiver.into = wire
            links.open[sender] = None

    @property
    def swallows(self) -> bool:
        """Whether bytes are lost now."""
        return self._stranded or self._host.black

    def delay(self) -> float:
        """Return how long bytes take, in seconds."""
        return self._host.links.delay() + self._lag

    def piece(self, size: int) -> int:
        """Return how many of `size` bytes are read at once."""
        most = self._host.most
        return size if most is None else self._host.links.random.randint(1, min(size, most))

    def cut(self) -> None:
        """Break: both ends see a reset, what is under way is lost."""
        for end in (self.client, self.server):
            end.break_off(_reset())

    def strand(self) -> None:
        """Lose the server's end, and do not tell the client."""
        self._stranded = True
        self.server.break_off(_reset())

    def _refuser(self, sender: MemoryTransport) -> Callable[[], None]:
        def refuse() -> None:
            if not sender.gone:
                sender.into.send(Sign.RESET)

        return refuse

    def _starver(self, sender: MemoryTransport) -> Callable[[], None]:
        return lambda: sender.starve(self._host.links.gives_up)

    def _end_gone(self, end: MemoryTransport) -> None:
        self._host.links.open.pop(end, None)
        if self.client.gone and self.server.gone:
            self._host.connections.pop(self, None)
            self.client.out.drop()
            self.server.out.drop()


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
