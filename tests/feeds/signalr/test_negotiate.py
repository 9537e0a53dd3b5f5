"""Negotiation with a scripted hub: ids, redirects to allowed origins, and each way in which it is refused."""

from __future__ import annotations

import json
import re
from traceback import walk_tb
from typing import Any

import pytest
from aiohttp import web

from rxfeed.errors import AddressRefused, FeedError, GatewayRefused, ProtocolError, TokenRefused, TooManyRequests
from rxfeed.feeds.signalr import Connection
from rxfeed.feeds.signalr.codec import HANDSHAKE
from rxfeed.testing import Simulation
from tests.feeds.signalr.scripted import Ear, Peer, talk

OFFER = [{"transport": "ServerSentEvents"}, {"transport": "WebSockets", "transferFormats": ["Text"]}]


def answering(*answers: Any) -> tuple[Any, list[web.Request]]:
    """A negotiation that answers one after the other: JSON, or a whole response."""
    asked: list[web.Request] = []

    async def negotiate(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        answer: Any = answers[min(len(asked), len(answers)) - 1]
        return web.json_response(answer) if isinstance(answer, dict) else answer()

    return negotiate, asked


async def listening(peer: Peer) -> None:
    await peer.handshake()
    await peer.until_gone()


async def nothing(*_: object) -> None:
    raise AssertionError("connected")


@pytest.mark.parametrize(
    ("answer", "id"),
    [
        (
            {"negotiateVersion": 1, "connectionId": "shown", "connectionToken": "secret-id", "availableTransports": OFFER},
            "secret-id",
        ),
        ({"connectionId": "only-id", "availableTransports": OFFER, "more": {}}, "only-id"),
        ({"connectionToken": "t0", "connectionId": "c0"}, "t0"),
    ],
)
def test_the_id_that_was_negotiated_opens_the_websocket(answer: dict[str, Any], id: str) -> None:
    negotiate, asked = answering(answer)

    async def use(connection: Connection, _: Ear, peer: Peer, __: Simulation) -> None:
        assert connection.open
        assert peer.request.query["id"] == id
        assert peer.request.query["access_token"] == "a-token-of-some-length"
        (request,) = asked
        assert request.query["negotiateVersion"] == "1"
        assert request.query["access_token"] == "a-token-of-some-length"
        assert peer.said[0] == json.loads(HANDSHAKE[:-1])

    talk(use, listening, negotiate=negotiate)


def test_a_redirect_is_followed_with_the_token_that_it_gives() -> None:
    there = {"url": "http://hub.test/hubs/market", "accessToken": "another-token"}
    negotiate, asked = answering(there, {"connectionId": "c", "connectionToken": "t"})

    async def use(_: Connection, __: Ear, peer: Peer, ___: Simulation) -> None:
        assert [request.query["access_token"] for request in asked] == ["a-token-of-some-length", "another-token"]
        assert peer.request.query["access_token"] == "another-token"
        assert peer.request.query["id"] == "t"

    talk(use, listening, negotiate=negotiate)


REFUSALS: dict[str, tuple[Any, type[FeedError], str]] = {
    "elsewhere": (
        {"url": "https://evil.test/hub", "accessToken": "x"},
        AddressRefused,
        "https://evil.test:443 is not an allowed origin",
    ),
    "for ever": ({"url": "http://hub.test/hubs/market"}, ProtocolError, "redirected more than 5 times"),
    "error": ({"error": "You are not welcome"}, GatewayRefused, "refused to negotiate: You are not welcome"),
    "no id": ({"negotiateVersion": 1}, ProtocolError, "negotiated no connection id"),
    "no WebSockets": ({"connectionId": "c", "availableTransports": OFFER[:1]}, ProtocolError, "offers no WebSockets"),
    "no JSON": (lambda: web.Response(text="<html>"), ProtocolError, "answered the negotiation with something else (6 bytes)"),
    "401": (lambda: web.Response(status=401), TokenRefused, "HTTP 401 when negotiating"),
    "429": (lambda: web.Response(status=429, headers={"Retry-After": "7"}), TooManyRequests, "HTTP 429"),
    "503": (lambda: web.Response(status=503), GatewayRefused, "HTTP 503"),
}


@pytest.mark.parametrize("how", REFUSALS)
def test_a_negotiation_that_fails_is_one_clear_error(how: str) -> None:
    answer, error, text = REFUSALS[how]
    negotiate, asked = answering(answer)
    with pytest.raises(error, match=re.escape(text)) as caught:
        talk(nothing, listening, negotiate=negotiate)
    assert len(asked) == (6 if how == "for ever" else 1)
    if isinstance(caught.value, TooManyRequests):
        assert caught.value.retry_after == 7.0
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("how", ["no WebSockets", "elsewhere", "no more"])
def test_no_token_that_a_hub_gave_is_in_any_frame_of_an_error(how: str) -> None:
    then = {
        "no WebSockets": {"connectionId": "c", "connectionToken": "a-secret-connection", "availableTransports": OFFER[:1]},
        "elsewhere": {"url": "https://evil.test/hub", "accessToken": "a-secret-connection"},
        "no more": {"error": "another-secret-token of a-token-of-some-length is not welcome"},
    }[how]
    negotiate, _ = answering({"url": "http://hub.test/hubs/market", "accessToken": "another-secret-token"}, then)
    with pytest.raises(FeedError) as caught:
        talk(nothing, listening, negotiate=negotiate)
    assert "secret" not in str(caught.value)
    assert "a-token" not in str(caught.value)
    for frame, _ in walk_tb(caught.value.__traceback__):
        if "rxfeed/feeds" in frame.f_code.co_filename:
            assert "secret" not in repr(frame.f_locals)


def test_an_address_with_a_query_is_negotiated_at_its_path() -> None:
    negotiate, asked = answering(
        {"url": "http://hub.test/hubs/market?hub=chat&op=a%2Fb"}, {"connectionId": "c", "connectionToken": "t"}
    )

    async def use(_: Connection, __: Ear, peer: Peer, ___: Simulation) -> None:
        assert asked[1].path == "/hubs/market/negotiate"
        assert (asked[1].query["hub"], asked[1].query["op"], asked[1].query["negotiateVersion"]) == ("chat", "a/b", "1")
        assert (peer.request.query["hub"], peer.request.query["id"]) == ("chat", "t")

    talk(use, listening, negotiate=negotiate)
