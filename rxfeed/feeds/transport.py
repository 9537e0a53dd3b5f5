"""HTTP and WebSockets, and the only place that knows aiohttp's client.

aiohttp's errors and responses show addresses with their query and headers, tokens included. So nothing of aiohttp's leaves
this module: what went wrong is noted, and an error of ours is raised outside the `except`, from a frame whose locals hold
no address with a query, no header and no response. A token is revealed inside the call that sends it.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast, final

import aiohttp
import msgspec
from yarl import URL

from rxfeed.errors import (
    AddressRefused,
    FeedError,
    GatewayRefused,
    ProtocolError,
    TlsFailed,
    TokenRefused,
    TooManyRequests,
    Unreachable,
)
from rxfeed.secret import Secret

from .addresses import address, origin, origins_of, shown
from .websocket import Socket

Place = Literal["query", "header"]
"""Where a token travels: as `access_token` in the address' query, or as a Bearer in the header `Authorization`."""

MAX_BODY: Final = 64 << 20
MAX_MESSAGE: Final = 16 << 20

T = TypeVar("T")

_HOPS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD: Final = frozenset({307, 308})
_WS_TIMEOUT: Final = cast("Any", aiohttp.ClientWSTimeout)(ws_close=2.0)  # an attrs class that pyright cannot read
_OURS: Final = ("access_token", "id")
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


@final
class Answer:
    """What a server answered. Its body may hold a token, so `repr` tells only how long it is.

    Args:
        status: the HTTP status; redirects were followed.
        body: the bytes, decompressed.
        retry_after: seconds that the server asked to wait; None when it did not say.
    """

    __slots__ = ("body", "retry_after", "status")

    def __init__(self, status: int, body: bytes, retry_after: float | None = None) -> None:
        self.status = status
        self.body = body
        self.retry_after = retry_after

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class _Redirect(NamedTuple):
    status: int
    to: str
    """Without what of ours its query may echo; empty when there is none, or no address."""


class _Redirected(Exception):
    """Raised inside aiohttp where it would follow a redirect with our headers."""

    def __init__(self, redirect: _Redirect) -> None:
        super().__init__("a redirect")
        self.redirect = redirect


class _TooLong(Exception):
    """Raised where a body is read that has no end."""


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

    __slots__ = ("_closed", "_factory", "_session", "_tls", "memory", "origins")

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession] | None = None,
        *,
        origins: Iterable[str],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.memory: Final = session is not None
        self.origins: Final = origins_of(origins, memory=self.memory)
        self._factory = session or _session
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: aiohttp.ClientSession | None = None
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
            found = await _guarded(_posted(self._opened(), at, body, token, place, self._tls), at, timeout)
            if isinstance(found, FeedError):
                raise found
            if isinstance(found, Answer):
                return found
            at = self._next(at, found, _KEEP_METHOD)
        raise ProtocolError(f"{shown(url)} redirects more than {_HOPS} times")

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
            work = _upgraded(self._opened(), at, query or {}, token, place, self._tls, max_size)
            found = await _guarded(work, at, timeout)
            if isinstance(found, FeedError):
                raise found
            if isinstance(found, Socket):
                return found
            at = self._next(at, found, _REDIRECTS)
        raise ProtocolError(f"{shown(url)} redirects more than {_HOPS} times")

    async def close(self) -> None:
        """Close the session and every connection of it. What is asked for afterwards raises RuntimeError."""
        self._closed = True
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

    def _next(self, at: URL, redirect: _Redirect, followed: frozenset[int]) -> URL:
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
            self._session.trace_configs.append(_no_redirects())
        return self._session


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=_NO_TIMEOUT, headers={"User-Agent": "rxfeed"})


def _no_redirects() -> aiohttp.TraceConfig:
    # ws_connect has no allow_redirects. This is called before a redirect is followed, and its error stops that.
    async def refuse(_session: object, _context: object, request: aiohttp.TraceRequestRedirectParams) -> None:
        response = request.response
        redirect = _redirect(response)
        response.close()
        raise _Redirected(redirect)

    traces = aiohttp.TraceConfig()
    traces.on_request_redirect.append(refuse)
    traces.freeze()
    return traces


async def _guarded(work: Coroutine[Any, Any, T], at: URL, timeout: float) -> T | _Redirect | FeedError:
    try:
        async with asyncio.timeout(timeout):
            return await work
    except asyncio.CancelledError as error:
        cancelled = error
    except _Redirected as error:
        return error.redirect
    except Exception as error:  # noqa: BLE001  # none may leave with what its frames know
        return _failure(error, at, timeout)
    # Its traceback leads through aiohttp's frames, whose locals hold the address and the headers.
    cancelled.__cause__ = cancelled.__context__ = None
    raise cancelled.with_traceback(None)


async def _posted(
    session: aiohttp.ClientSession,
    at: URL,
    body: object | None,
    token: Secret | None,
    place: Place,
    tls: ssl.SSLContext | bool,
) -> Answer | _Redirect:
    async with session.post(
        _with(at, {}, token, place),
        data=None if body is None else msgspec.json.encode(body, enc_hook=_revealed),
        headers=_headers(token, place, "application/json" if body is not None else None),
        allow_redirects=False,
        raise_for_status=False,
        timeout=_NO_TIMEOUT,
        ssl=tls,
    ) as response:
        if response.status in _REDIRECTS:
            return _redirect(response)
        return Answer(response.status, await _read(response.content), _retry_after(response.headers))


async def _upgraded(
    session: aiohttp.ClientSession,
    at: URL,
    query: Mapping[str, str | Secret],
    token: Secret | None,
    place: Place,
    tls: ssl.SSLContext | bool,
    max_size: int,
) -> Socket:
    ws = await session.ws_connect(
        _with(at, query, token, place),
        headers=_headers(token, place, None),
        decode_text=False,
        autoping=False,
        heartbeat=None,
        compress=0,
        max_msg_size=max_size + 1,  # one that is as long as its limit is too long for aiohttp
        timeout=_WS_TIMEOUT,
        ssl=tls,
    )
    return Socket(ws, shown(str(at)), max_size)


def _with(at: URL, query: Mapping[str, str | Secret], token: Secret | None, place: Place) -> URL:
    more = {name: value.reveal() if isinstance(value, Secret) else value for name, value in query.items()}
    if token is not None and place == "query":
        more["access_token"] = token.reveal()
    return at.update_query(more) if more else at


def _headers(token: Secret | None, place: Place, content: str | None) -> dict[str, str]:
    headers = {} if content is None else {"Content-Type": content}
    if token is not None and place == "header":
        headers["Authorization"] = f"Bearer {token.reveal()}"
    return headers


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > MAX_BODY:
            raise _TooLong
    return bytes(body)


def _redirect(response: aiohttp.ClientResponse) -> _Redirect:
    try:
        to = response.url.join(URL(response.headers.get("Location", "")))
    except ValueError:
        return _Redirect(response.status, "")
    # With no Location the address is joined with nothing: itself.
    return _Redirect(response.status, "" if "Location" not in response.headers else str(to.without_query_params(*_OURS)))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, or a date, which is compared with the server's own clock."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


def _failure(error: Exception, at: URL, timeout: float) -> FeedError:
    here, host = shown(str(at)), origin(at)
    match error:
        case aiohttp.ClientResponseError() if error.__cause__ is None:
            return _refusal(error, here)
        case aiohttp.ClientConnectorCertificateError():
            return TlsFailed(f"the certificate of {host} is not trusted: {_certificate(error.certificate_error)}")
        case aiohttp.ClientSSLError():
            return TlsFailed(f"no encrypted connection to {host}: {_ssl(error.os_error)}")
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(f"no connection to {host}: no address is known for this name ({_os(error.os_error)})")
        case TimeoutError():
            return Unreachable(f"{here} did not answer in {timeout:g} s")
        case aiohttp.InvalidURL():
            return AddressRefused(f"aiohttp takes no such address: {here}")
        case _TooLong():
            return ProtocolError(f"{here} answered with more than {MAX_BODY >> 20} MiB")
        case aiohttp.ClientResponseError():  # caused by what could not be parsed
            return ProtocolError(f"what {here} answered is not HTTP")
        case aiohttp.ClientPayloadError():
            return Unreachable(f"the connection to {host} ended in the middle of an answer")
        case aiohttp.ServerDisconnectedError():
            return Unreachable(f"{host} closed the connection and answered nothing")
        case OSError():
            return Unreachable(f"no connection to {host}: {_os(error)}")
        case _:
            return Unreachable(f"{here} could not be asked: {type(error).__name__}")


def _refusal(error: aiohttp.ClientResponseError, here: str) -> FeedError:
    status = error.status
    if status in (401, 403):
        return TokenRefused(f"{here} does not take this token (HTTP {status})")
    if status == 429:
        return TooManyRequests(f"{here} wants fewer connections (HTTP 429)", _retry_after(error.headers or {}))
    if status < 400:
        return ProtocolError(f"{here} does not speak WebSocket (HTTP {status})")
    return GatewayRefused(f"{here} refused a WebSocket (HTTP {status})", status)


def _certificate(error: Exception) -> str:
    return str(getattr(error, "verify_message", "") or type(error).__name__)


def _ssl(error: OSError) -> str:
    return str(getattr(error, "reason", "") or type(error).__name__).replace("_", " ").lower()


def _os(error: OSError) -> str:
    return os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else type(error).__name__
