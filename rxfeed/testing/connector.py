"""aiohttp's client and server on a network in memory: its own code throughout, but for how a connection is made."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Generator, Iterator, Mapping, MutableSet
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler

from rxfeed.testing.errors import NotSimulated, SimulationError
from rxfeed.testing.hosts import Host

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

_SCHEMES: Final = frozenset({"", "http", "https", "ws", "wss"})
_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class _InOrder(MutableSet[Any]):
    """A set in the order in which things were added."""

    def __init__(self) -> None:
        self._things: dict[Any, None] = {}

    def __contains__(self, thing: object) -> bool:
        return thing in self._things

    def __iter__(self) -> Iterator[Any]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def add(self, value: Any) -> None:
        self._things[value] = None

    def discard(self, value: Any) -> None:
        self._things.pop(value, None)


class MemoryConnector(aiohttp.BaseConnector):
    """An aiohttp connector whose connections lie in memory. Encrypted schemes are taken as if they were.

    Args:
        hosts: who is there, by name.
        options: of `aiohttp.BaseConnector`.
    """

    allowed_protocol_schema_set = _SCHEMES

    def __init__(self, hosts: Mapping[str, Host], **options: Any) -> None:
        super().__init__(**options)
        self._hosts = hosts
        self._acquired: Any = _InOrder()  # in a set it would close them by their addresses

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # as aiohttp has it
    ) -> ResponseHandler:
        if req.proxy is not None:
            raise NotSimulated("a simulation has no proxies")
        name, port = req.url.host or "", req.url.port or _PORTS[req.url.scheme]
        host = self._hosts.get(name)
        if host is None:
            await asyncio.sleep(0)
            unknown = OSError(socket.EAI_NONAME, "Name or service not known")
            raise aiohttp.ClientConnectorDNSError(req.connection_key, unknown)
        await host.reach()
        factory = host.factory(port)
        if factory is None:
            refused = ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed ('{name}', {port})")
            raise aiohttp.ClientConnectorError(req.connection_key, refused)
        secure = req.is_ssl()
        if secure and host.distrusted and req.ssl is not False:
            distrusted = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, distrusted)
        client = ResponseHandler(self._loop)
        host.connect(client, factory(), port=port, secure=_encrypted() if secure else None)
        return client


@cache
def _encrypted() -> ssl.SSLContext:
    """Return what a transport shows that is encrypted; this one is not."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class Served:
    """An aiohttp application at a host: `await` it, or enter it and have it closed.

    Args:
        host: where.
        port: the only port it answers at; None for every one that nobody else has.
        app: what is served. An application is served once.
        options: of `aiohttp.web.AppRunner`.
    """

    def __init__(self, host: Host, port: int | None, app: web.Application, options: Mapping[str, Any]) -> None:
        self._host = host
        self._port = port
        self._runner = web.AppRunner(app, **options)
        self._started = False

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self._host.name}" + (f":{self._port}" if self._port else "")

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def __aenter__(self) -> Self:
        return await self._start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _start(self) -> Self:
        if self._port in self._host.ports:
            raise SimulationError(f"{self.url} is served already; close that first")
        await self._runner.setup()
        self._host.ports[self._port] = cast("Any", self._runner.server)
        self._started = True
        return self

    async def close(self) -> None:
        """Refuse new connections, let requests end within the runner's `shutdown_timeout`, and close."""
        if self._started:
            self._started = False
            del self._host.ports[self._port]
            await self._runner.cleanup()
