"""HTTP and WebSockets, and with `exchange`, `failing` and `websocket` the only place that knows aiohttp's client.

aiohttp's errors and responses show addresses with their query and headers, tokens included. So nothing of aiohttp's gets
out: what went wrong is noted, and an error of ours is raised outside the `except`, from a frame whose locals hold no address
with a query, no header and no response. A token is revealed inside the call that sends it.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from rxfeed.errors import (
    AddressRefused,
    FeedError,
    ProtocolError,
)
from rxfeed.secret import Secret

from .addresses import address, origin, origins_of, shown
from .exchange import REDIRECTS, Answer, Place, Redirect, guarded, new_session, no_redirects, posted, sent_once, upgraded
from .websocket import Socket

MAX_MESSAGE: Final = 16 << 20

_HOPS: Final = 3
_KEEP_METHOD: Final = frozenset({307, 308})

__all__ = ["MAX_MESSAGE", "Answer", "Place", "Socket", "Transport"]


class Transport:
    """Sends requests and opens WebSockets, to allowed origins only.

    Args:
        session: makes the aiohttp session, at the first use, for this transport alone, which closes it; by default one over
            real sockets. With one of your own, hosts that end in ".test" need no encryption.
        origins: addresses whose scheme, host and port may be connected to and redirected to.
        tls: whom to trust; by default aiohttp's.

    Raises:
        AddressRefused: an origin is not encrypted and not this machine.
    """

    __slots__ = ("_closed", "_factory", "_holders", "_session", "_tls", "memory", "origins")

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession] | None = None,
        *,
        origins: Iterable[str],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.memory: Final = session is not None
        self.origins: Final = origins_of(origins, memory=self.memory)
        self._factory = session or new_session
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: aiohttp.ClientSession | None = None
        self._holders = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"Transport({', '.join(sorted(self.origins))})"

    async def post(
        self,
        url: str,
        body: object | None = None,
        *,
        token: Secret | None = None,
        place: Place = "header",
        timeout: float,
    ) -> Answer:
        """Return what the server answers, whatever its status.

        Args:
            url: the address; a token in its query is given by `token`.
            body: sent as JSON, in which a `Secret` is its text; None sends no body.
            token: who we are; None sends none.
            place: where the token goes.
            timeout: seconds, in the loop's time, for each of at most four hops.

        Raises:
            AddressRefused: the address, or one that it redirects to, is not allowed.
            Unreachable: no connection, none in time, or it ended before the answer did.
            TlsFailed: no encryption could be agreed on, or the certificate is not trusted.
            ProtocolError: the answer is not HTTP, is too long, or redirects for ever.
        """
        at = self._allowed(url)
        for _ in range(_HOPS + 1):
            found = await guarded(posted(self._opened(), at, body, token, place, self._tls), at, timeout)
            if isinstance(found, FeedError):
                raise found
            if isinstance(found, Answer):
                return found
            at = self._next(at, found, _KEEP_METHOD)
        raise ProtocolError(f"{shown(url)} redirects more than {_HOPS} times")

    async def get(self, url: str, *, timeout: float) -> Answer:
        """Return what the server answers to somebody whom it does not know, whatever its status; redirects are not followed.

        Args:
            url: the address.
            timeout: seconds, in the loop's time.

        Raises:
            AddressRefused, Unreachable, TlsFailed, ProtocolError: as with `post`.
        """
        at = self._allowed(url)
        found = await guarded(posted(self._opened(), at, None, None, "header", self._tls, "GET"), at, timeout)
        if isinstance(found, FeedError):
            raise found
        return found if isinstance(found, Answer) else Answer(found.status, b"")

    async def websocket(
        self,
        url: str,
        *,
        token: Secret | None = None,
        place: Place = "query",
        query: Mapping[str, str | Secret] | None = None,
        timeout: float,
        max_size: int = MAX_MESSAGE,
    ) -> Socket:
        """Open a WebSocket.

        Args:
            url: the address, with http, https, ws or wss.
            token: who we are; None sends none.
            place: where the token goes.
            query: what the address' query holds besides.
            timeout: seconds, in the loop's time, for each of at most four hops.
            max_size: bytes of the longest message that is taken.

        Raises:
            AddressRefused, Unreachable, TlsFailed, ProtocolError: as with `post`; ProtocolError also when the server does
                not upgrade.
            TokenRefused: the server answered 401 or 403.
            TooManyRequests: it answered 429.
            GatewayRefused: it answered another status, which is the error's code.
        """
        at = self._allowed(url)
        for _ in range(_HOPS + 1):
            work = upgraded(self._opened(), at, query or {}, token, place, self._tls, max_size)
            found = await guarded(work, at, timeout)
            if isinstance(found, FeedError):
                raise found
            if isinstance(found, Socket):
                return found
            at = self._next(at, found, REDIRECTS)
        raise ProtocolError(f"{shown(url)} redirects more than {_HOPS} times")

    async def close(self) -> None:
        """Close the session and every connection of it. What is asked for afterwards raises RuntimeError."""
        self._closed = True
        await self.release()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None, None]:
        """Keep the session between requests and sockets; it is released with the last who needs it."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                await self.release()

    async def release(self) -> None:
        """Close the session and every connection of it for now; what is asked for afterwards opens another."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _allowed(self, url: str) -> URL:
        parsed = address(url, memory=self.memory)
        if origin(parsed) not in self.origins:
            allowed = ", ".join(sorted(self.origins)) or "none"
            raise AddressRefused(f"{origin(parsed)} is not an allowed origin; allowed are {allowed}")
        if "access_token" in parsed.query:
            raise AddressRefused("an address must not hold an access_token: give it as token=Secret(...)")
        return parsed

    def _next(self, at: URL, redirect: Redirect, followed: frozenset[int]) -> URL:
        here = shown(str(at))
        if redirect.status not in followed:
            raise ProtocolError(f"{here} answered with a redirect (HTTP {redirect.status}), which a POST does not follow")
        if not redirect.to:
            raise ProtocolError(f"{here} answered with a redirect (HTTP {redirect.status}) without saying where to")
        try:
            there = self._allowed(redirect.to)
        except AddressRefused as error:
            text = str(error)
        else:
            if at.scheme in ("https", "wss") and there.scheme in ("http", "ws"):
                text = "from an encrypted address to one that is not"
            else:
                return there
        raise AddressRefused(f"{here} redirects where no token may go: {text}")

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        if self._session is None:
            self._session = self._factory()
            self._session.trace_configs.extend((no_redirects(), sent_once()))
        return self._session
