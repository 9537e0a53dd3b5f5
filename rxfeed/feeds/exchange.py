"""One exchange with a server: a request and its answer, or a handshake and its socket. For `Transport` only.

What knows a token stays in frames that end here: they return an answer, a redirect or an error of ours, and raise nothing
but CancelledError, without its traceback.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast, final

import aiohttp
import msgspec
from yarl import URL

from rxfeed.errors import FeedError
from rxfeed.secret import Secret

from .addresses import shown
from .failing import TooLong, failure, retry_after
from .websocket import Socket

Place = Literal["query", "header"]
"""Where a token travels: as `access_token` in the address' query, or as a Bearer in the header `Authorization`."""

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_BODY: Final = 64 << 20

T = TypeVar("T")

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
        date: what its clock read, in whole seconds since the epoch; None when it did not say.
    """

    __slots__ = ("body", "date", "retry_after", "status")

    def __init__(self, status: int, body: bytes, retry_after: float | None = None, date: int | None = None) -> None:
        self.status = status
        self.body = body
        self.retry_after = retry_after
        self.date = date

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


class Redirect(NamedTuple):
    status: int
    to: str
    """Without what of ours its query may echo; empty when there is none, or no address."""


class _Redirected(Exception):
    """Raised inside aiohttp where it would follow a redirect with our headers."""

    def __init__(self, redirect: Redirect) -> None:
        super().__init__("a redirect")
        self.redirect = redirect


def new_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=_NO_TIMEOUT, headers={"User-Agent": "rxfeed"})


def no_redirects() -> aiohttp.TraceConfig:
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


def sent_once() -> aiohttp.TraceConfig:
    # What got no answer aiohttp sends again by itself if it is a GET, and a handshake is one: on a new connection too, and
    # nobody can tell it not to. But who tries again, and when, is for others to say.
    async def sending(_session: object, context: SimpleNamespace, _: object) -> None:
        if hasattr(context, "sent"):
            raise aiohttp.ServerDisconnectedError
        context.sent = True

    async def connecting(_session: object, context: SimpleNamespace, _: object) -> None:
        if hasattr(context, "sent"):
            raise aiohttp.ServerDisconnectedError

    traces = aiohttp.TraceConfig()
    traces.on_connection_create_start.append(connecting)
    traces.on_request_headers_sent.append(sending)  # called before they are; on a connection that is used again it is the first
    traces.freeze()
    return traces


async def guarded(work: Coroutine[Any, Any, T], at: URL, timeout: float) -> T | Redirect | FeedError:
    try:
        async with asyncio.timeout(timeout):
            return await work
    except asyncio.CancelledError as error:
        cancelled = error
    except _Redirected as error:
        return error.redirect
    except Exception as error:  # noqa: BLE001  # none may leave with what its frames know
        return failure(error, at, timeout)
    # Its traceback leads through aiohttp's frames, whose locals hold the address and the headers.
    cancelled.__cause__ = cancelled.__context__ = None
    raise cancelled.with_traceback(None)


async def posted(
    session: aiohttp.ClientSession,
    at: URL,
    body: object | None,
    token: Secret | None,
    place: Place,
    tls: ssl.SSLContext | bool,
    method: str = "POST",
) -> Answer | Redirect:
    async with session.request(
        method,
        _with(at, {}, token, place),
        data=None if body is None else msgspec.json.encode(body, enc_hook=_revealed),
        headers=_headers(token, place, "application/json" if body is not None else None),
        allow_redirects=False,
        raise_for_status=False,
        timeout=_NO_TIMEOUT,
        ssl=tls,
    ) as response:
        if response.status in REDIRECTS:
            return _redirect(response)
        headers = response.headers
        return Answer(response.status, await _read(response.content), retry_after(headers), _date(headers))


async def upgraded(
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
            raise TooLong(MAX_BODY)
    return bytes(body)


def _date(headers: Mapping[str, str]) -> int | None:
    try:
        return int(parsedate_to_datetime(headers.get("Date", "")).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _redirect(response: aiohttp.ClientResponse) -> Redirect:
    try:
        to = response.url.join(URL(response.headers.get("Location", "")))
    except ValueError:
        return Redirect(response.status, "")
    # With no Location the address is joined with nothing: itself.
    return Redirect(response.status, "" if "Location" not in response.headers else str(to.without_query_params(*_OURS)))
