"""Negotiation: asking a hub over HTTP for a connection's id, and whether to go elsewhere."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from rxfeed.errors import GatewayRefused, ProtocolError, TokenRefused, TooManyRequests
from rxfeed.feeds.addresses import shown
from rxfeed.feeds.transport import Answer, Place, Transport
from rxfeed.secret import Secret

from .codec import UNREADABLE
from .words import words

_REDIRECTS: Final = 5


class Way(NamedTuple):
    """How to open the WebSocket."""

    url: str
    token: Secret | None
    query: dict[str, str | Secret]


class _Transport(msgspec.Struct, gc=False):
    transport: str = ""


class _Answer(msgspec.Struct, gc=False):
    connectionId: str | None = None  # noqa: N815  # the wire's names
    connectionToken: str | None = None  # noqa: N815
    availableTransports: list[_Transport] | None = None  # noqa: N815
    url: str | None = None
    accessToken: str | None = None  # noqa: N815
    error: str | None = None


class _Offer(NamedTuple):
    """What the hub answered, as a traceback's frames may show it."""

    url: str | None
    token: Secret | None
    id: Secret | None
    websockets: bool
    error: str | None


async def negotiated(transport: Transport, url: str, *, token: Secret | None, place: Place, timeout: float) -> Way:
    """Ask the hub how to connect, following its redirects to allowed origins.

    Raises:
        TokenRefused, TooManyRequests, GatewayRefused: the hub refuses; GatewayRefused also when it answers with an error.
        ProtocolError: the answer is not one of SignalR, there is no WebSocket, or it redirects for ever.
        AddressRefused, Unreachable, TlsFailed: as `Transport.post` says.
    """
    for _ in range(_REDIRECTS + 1):
        path, _, query = url.partition("?")
        target = f"{path.rstrip('/')}/negotiate?{query}{'&' if query else ''}negotiateVersion=1"
        offer = _read(await transport.post(target, token=token, place=place, timeout=timeout), url)
        if offer.error is not None:
            raise GatewayRefused(f"{shown(url)} refused to negotiate: {offer.error}", 0)
        if offer.url is None:
            return Way(url, token, {"id": _id(offer, url)})
        url = offer.url
        token = offer.token or token
    raise ProtocolError(f"negotiation was redirected more than {_REDIRECTS} times, at last to {shown(url)}")


def _read(answer: Answer, url: str) -> _Offer:
    if answer.status in (401, 403):
        raise TokenRefused(f"{shown(url)} does not take this token (HTTP {answer.status} when negotiating)")
    if answer.status == 429:
        raise TooManyRequests(f"{shown(url)} wants fewer connections (HTTP 429)", answer.retry_after)
    if answer.status != 200:
        raise GatewayRefused(f"{shown(url)} refused to negotiate (HTTP {answer.status})", answer.status)
    try:
        return _offered(msgspec.json.decode(answer.body, type=_Answer))
    except UNREADABLE:
        pass
    raise ProtocolError(f"{shown(url)} answered the negotiation with something else ({len(answer.body)} bytes)")


def _offered(answer: _Answer) -> _Offer:
    # Version 0 has no token, and its id is what is shown at the door.
    token, id = answer.accessToken, answer.connectionToken or answer.connectionId
    transports = answer.availableTransports
    websockets = transports is None or any(each.transport == "WebSockets" for each in transports)
    error = None if answer.error is None else words(answer.error)
    return _Offer(answer.url, Secret(token) if token else None, Secret(id) if id else None, websockets, error)


def _id(offer: _Offer, url: str) -> Secret:
    if offer.id is None:
        raise ProtocolError(f"{shown(url)} negotiated no connection id")
    if not offer.websockets:
        raise ProtocolError(f"{shown(url)} offers no WebSockets")
    return offer.id
