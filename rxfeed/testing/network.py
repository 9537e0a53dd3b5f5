"""A network in memory, for aiohttp's client and server: several hosts, real flow control, and faults on demand.

A connection is two asyncio transports and a wire each way. Bytes take the network's latency, come in order, and at most a
window of them is under way or unread, so that whoever does not read makes the other side wait, as on a real network.
"""

from __future__ import annotations

from random import Random
from typing import Any

import aiohttp
from aiohttp import web

from rxfeed.testing.connector import MemoryConnector, Served
from rxfeed.testing.hosts import Host, Links
from rxfeed.testing.transport import MemoryTransport
from rxfeed.times import SECOND, Duration, nanoseconds


class MemoryNetwork:
    """A network in memory.

    Faults are of a host, by its name, and stay until `heal`. They raise `ValueError` for a host that was never served.

    Args:
        random: decides on jitter and on how streams are split.
        latency: how long bytes take one way.
        jitter: how much longer they may take; they stay in order.
        window: how many bytes may be under way or unread, in each direction of a connection.
        gives_up: how long an end whose bytes get no answer waits before it is told `TimeoutError`, as operating systems do.

    Raises:
        ValueError: a duration is none, or the window is empty.

    Example:
        >>> from aiohttp import web
        >>> from rxfeed.testing import Simulation, simulate
        >>> async def hello(request):
        ...     return web.Response(text=f"hello {request.remote}")
        >>> async def main(simulation: Simulation) -> str:
        ...     app = web.Application()
        ...     app.router.add_get("/", hello)
        ...     network = simulation.network
        ...     async with network.serve("one.test", app), network.session() as session:
        ...         async with session.get("https://one.test/") as response:
        ...             return await response.text()
        >>> simulate(main)
        'hello client'
    """

    def __init__(
        self,
        random: Random,
        *,
        latency: Duration = 0,
        jitter: Duration = 0,
        window: int = 65_536,
        gives_up: Duration = "15m",
    ) -> None:
        if window < 1:
            raise ValueError(f"window must be at least 1 byte, got {window}")
        self._links = Links(
            random,
            latency=_seconds(latency, "latency"),
            jitter=_seconds(jitter, "jitter"),
            window=window,
            gives_up=_seconds(gives_up, "gives_up"),
        )
        self._hosts: dict[str, Host] = {}

    @property
    def latency(self) -> float:
        """How long bytes take one way, in seconds; holds for those that set out from now on."""
        return self._links.latency

    @latency.setter
    def latency(self, value: Duration) -> None:
        self._links.latency = _seconds(value, "latency")

    @property
    def jitter(self) -> float:
        """How much longer than `latency` bytes may take, in seconds."""
        return self._links.jitter

    @jitter.setter
    def jitter(self, value: Duration) -> None:
        self._links.jitter = _seconds(value, "jitter")

    @property
    def open(self) -> list[MemoryTransport]:
        """The ends of connections that are not closed."""
        return list(self._links.open)

    def serve(self, host: str, app: web.Application, *, port: int | None = None, **options: Any) -> Served:
        """Serve an application: `async with network.serve("one.test", app):`, or `await` it and `close()` it.

        Args:
            host: the name, which nobody needs to know but this network; `127.0.0.1` is one like any other.
            app: the application; aiohttp wants a new one each time.
            port: the only port; by default every one.
            options: of `aiohttp.web.AppRunner`. There is no access log unless it says so.

        Raises:
            ValueError: `host` has a scheme or a port in it.
            SimulationError: on starting, when it is served there already.
        """
        name = host.lower()
        if not name or "/" in name or name.count(":") == 1:
            raise ValueError(f"host must be a name without scheme and port (there is port=), got {host!r}")
        there = self._hosts.setdefault(name, Host(name, self._links))
        return Served(there, port, app, {"access_log": None, **options})

    def connector(self, **options: Any) -> aiohttp.BaseConnector:
        """Return a connector for an `aiohttp.ClientSession` of one's own; `options` are those of `aiohttp.BaseConnector`."""
        return MemoryConnector(self._hosts, **options)

    def session(self, **options: Any) -> aiohttp.ClientSession:
        """Return a client's session on this network; `options` are those of `aiohttp.ClientSession`.

        The method itself is the factory that feeds want: `Transport(network.session)`.
        """
        options.setdefault("connector", self.connector())
        return aiohttp.ClientSession(**options)

    def refuse(self, host: str) -> None:
        """Refuse new connections. Those that are open stay."""
        self._host(host).refuses = True

    def lag(self, host: str, most: Duration) -> None:
        """Let each new connection's bytes take longer than `latency`, both ways: by a time of its own, from 0 to `most`."""
        self._host(host).lag = _seconds(most, "most")

    def distrust(self, host: str) -> None:
        """Let new encrypted connections fail for the host's certificate."""
        self._host(host).distrusted = True

    def cut(self, host: str, *, after: int = 0) -> None:
        """Break the connections that are open: both sides see a reset, and what is under way is lost.

        Args:
            host: whose connections.
            after: how many more bytes of the server's each lets through first, so that the last message is a torn one.
        """
        for connection in list(self._host(host).connections):
            if after:
                connection.server.out.cut_after(after)
            else:
                connection.cut()

    def black_hole(self, host: str) -> None:
        """Lose all bytes both ways, and tell nobody. New connections are neither made nor refused until it heals."""
        self._host(host).blacken()

    def half_open(self, host: str) -> None:
        """Lose the server's ends of the connections that are open, and do not tell the clients. New ones are as usual."""
        for connection in list(self._host(host).connections):
            connection.strand()

    def split(self, host: str, most: int = 16) -> None:
        """Have what arrives read in pieces of random sizes, from 1 to `most` bytes, a turn of the loop each.

        Raises:
            ValueError: `most` is less than 1.
        """
        if most < 1:
            raise ValueError(f"most must be at least 1 byte, got {most}")
        self._host(host).most = most

    def heal(self, host: str) -> None:
        """End all faults of a host. What was lost stays lost: a connection that lost bytes stays silent for good."""
        self._host(host).heal()

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name.lower())
        if host is None:
            known = ", ".join(self._hosts) or "none"
            raise ValueError(f"nothing was ever served at {name!r}; the hosts of this network: {known}")
        return host


def _seconds(value: Duration, name: str) -> float:
    return nanoseconds(value, name=name) / SECOND
