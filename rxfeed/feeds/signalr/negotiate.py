"""Negotiation: asking a hub over HTTP for a connection's id, and whether to go elsewhere."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from rxfeed.errors import GatewayRefused, ProtocolError, TokenRefused, TooManyRequests
from rxfeed.feeds.addresses import shown
from rxfeed.feeds.transport import Answer, Place, Transport
from rxfeed.secret import Secret

from .codec import UNREADABLE

_REDIRECTS: Final = 5
_SHOWN: Final = 200


class Way(NamedTuple):
    """How to open the WebSocket."""

    url: str
    token: Secret | None
    query: dict[str, str | Secret]


class _Offered(msgspec.Struct, gc=False):
    transport: str = ""


class _Answer(msgspec.Struct, gc=False):
    connectionId: str | None = None  # noqa: N815  # the wire's names
    connectionToken: str | None = None  # noqa: N815
    negotiateVersion: int = 0  # noqa: N815
    availableTransports: list[_Offered] | None = None  # noqa: N815
    url: str | None = None
    accessToken: str | None = None  # noqa: N815
    error: str | None = None


async def negotiated(transport: Transport, url: str, *, token: Secret | None, place: Place, timeout: float) -> Way:
    """Ask the hub how to connect, following its redirects to allowed origins.

    Raises:
        TokenRefused, TooManyRequests, GatewayRefused: the hub refuses; GatewayRefused also when it answers with an error.
        ProtocolError: the answer is not one of SignalR, there is no WebSocket, or it redirects for ever.
        AddressRefused, Unreachable, TlsFailed: as `Transport.post` says.
    """
    for _ in range(_REDIRECTS + 1):
        query = "&" if "?" in url else "?"
        target = f"{url.rstrip('/')}/negotiate{query}negotiateVersion=1"
        answer = _read(await transport.post(target, token=token, place=place, timeout=timeout), url)
        if answer.error is not None:
            raise GatewayRefused(f"{shown(url)} refused to negotiate: {answer.error[:_SHOWN]}", 0)
        if answer.url is None:
            return Way(url, token, {"id": _id(answer, url)})
        url = answer.url
        token = Secret(answer.accessToken) if answer.accessToken else token
    raise ProtocolError(f"negotiation was redirected more than {_REDIRECTS} times, at last to {shown(url)}")


def _read(answer: Answer, url: str) -> _Answer:
    if answer.status in (401, 403):
        raise TokenRefused(f"{shown(url)} does not take this token (HTTP {answer.status} when negotiating)")
    if answer.status == 429:
        raise TooManyRequests(f"{shown(url)} wants fewer connections (HTTP 429)", answer.retry_after)
    if answer.status != 200:
        raise GatewayRefused(f"{shown(url)} refused to negotiate (HTTP {answer.status})", answer.status)
    try:
        return msgspec.json.decode(answer.body, type=_Answer)
    except UNREADABLE:
        pass
    raise ProtocolError(f"{shown(url)} answered the negotiation with something else ({len(answer.body)} bytes)")


def _id(answer: _Answer, url: str) -> Secret:
    # Version 0 has no token, and its id is what is shown at the door.
    found = answer.connectionToken or answer.connectionId
    if found is None:
        raise ProtocolError(f"{shown(url)} negotiated no connection id")
    offered = answer.availableTransports
    if offered is not None and all(each.transport != "WebSockets" for each in offered):
        raise ProtocolError(f"{shown(url)} offers no WebSockets")
    return Secret(found)
