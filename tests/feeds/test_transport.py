"""`Transport` and `Socket` against a server of aiohttp's over loopback."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rxfeed.errors import (
    AddressRefused,
    ConnectionLost,
    FeedError,
    GatewayRefused,
    ProtocolError,
    TlsFailed,
    TokenRefused,
    TooManyRequests,
    Unreachable,
)
from rxfeed.feeds.transport import Place, Socket, Transport
from rxfeed.secret import Secret
from tests.feeds.web import TOKEN, Handler, Served, answer, serving
from tests.loops import run

WAIT = 5.0


def asking(handler: Handler, use: Callable[[Transport, Served], Awaitable[Any]]) -> Any:
    """What `use` returns, given a transport to a server that answers by `handler`; nothing may be left afterwards."""

    async def main() -> Any:
        async with serving(handler) as served:
            transport = Transport(origins=[served.url])
            try:
                return await use(transport, served)
            finally:
                await transport.close()

    return run(main)


def talking(
    handler: Callable[[web.WebSocketResponse], Awaitable[None]], use: Callable[[Socket], Awaitable[Any]], **more: Any
) -> Any:
    """What `use` returns, given a socket to a server whose side of it is `handler`."""

    async def upgrade(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(timeout=0.2)
        await ws.prepare(request)
        await handler(ws)
        return ws

    async def connect(transport: Transport, served: Served) -> Any:
        socket = await transport.websocket(f"{served.url}/hub", timeout=WAIT, **more)
        try:
            return await use(socket)
        finally:
            await socket.close()
            assert socket.closed

    return asking(upgrade, connect)


async def lost(socket: Socket) -> ConnectionLost:
    with pytest.raises(ConnectionLost) as caught:
        await socket.receive()
    return caught.value


def test_a_post_tells_what_was_answered() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response([request.method, request.headers["Content-Type"], await request.json()], status=207)

    body = {"userName": "u", "apiKey": Secret("k")}
    got = asking(echo, lambda transport, served: transport.post(f"{served.url}/api/x", body, timeout=WAIT))
    assert (got.status, json.loads(got.body)) == (207, ["POST", "application/json", {"userName": "u", "apiKey": "k"}])
    assert repr(got).startswith("Answer(207, ")
    assert "apiKey" not in repr(got)


@pytest.mark.parametrize(
    ("place", "query", "header"), [("query", TOKEN, None), ("header", None, f"Bearer {TOKEN}")], ids=["query", "header"]
)
def test_a_token_goes_where_it_is_to(place: Place, query: str | None, header: str | None) -> None:
    async def use(transport: Transport, served: Served) -> None:
        token = Secret(TOKEN)
        await transport.post(f"{served.url}/negotiate?negotiateVersion=1", token=token, place=place, timeout=WAIT)
        for word in ("http", "ws"):
            url = served.url.replace("http", word) + "/hub"
            with pytest.raises(ProtocolError, match="does not speak WebSocket \\(HTTP 200\\)"):
                await transport.websocket(url, token=token, place=place, query={"id": Secret("a+/=&b")}, timeout=WAIT)
        assert [r.query.get("access_token") for r in served.asked] == [query] * 3
        assert [r.headers.get("Authorization") for r in served.asked] == [header] * 3
        assert dict(served.asked[0].query)["negotiateVersion"] == "1"
        assert [r.query.get("id") for r in served.asked] == [None, "a+/=&b", "a+/=&b"]

    asking(answer(), use)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after": "Mon, 05 Jan 2026 14:30:07 GMT", "date": "Mon, 05 Jan 2026 14:30:00 GMT"}, 7.0),
        ({"retry_after": "Mon, 05 Jan 2026 14:30:07 GMT", "date": "Mon, 05 Jan 2026 14:31:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Mon, 05 Jan 2026 14:30:07 GMT", "date": "never"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    got = asking(answer(429, "", **headers), lambda transport, served: transport.post(served.url, timeout=WAIT))
    assert (got.status, got.body, got.retry_after) == (429, b"", seconds)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (401, TokenRefused, "does not take this token (HTTP 401)"),
        (403, TokenRefused, "does not take this token (HTTP 403)"),
        (404, GatewayRefused, "refused a WebSocket (HTTP 404)"),
        (409, GatewayRefused, "refused a WebSocket (HTTP 409)"),
        (429, TooManyRequests, "wants fewer connections (HTTP 429)"),
        (503, GatewayRefused, "refused a WebSocket (HTTP 503)"),
        (200, ProtocolError, "does not speak WebSocket (HTTP 200)"),
    ],
)
def test_an_upgrade_that_is_refused(status: int, kind: type[FeedError], text: str) -> None:
    async def use(transport: Transport, served: Served) -> None:
        with pytest.raises(kind) as caught:
            await transport.websocket(f"{served.url}/hub", token=Secret(TOKEN), timeout=WAIT)
        error = caught.value
        assert type(error) is kind
        assert str(error) == f"{served.url}/hub {text}"
        assert (error.__cause__, error.__context__) == (None, None)
        assert getattr(error, "code", status) == status
        assert getattr(error, "retry_after", 9.0) == 9.0
        assert len(served.asked) == 1

    asking(answer(status, retry_after="9"), use)


@pytest.mark.parametrize("reused", [0, 1, 2])
@pytest.mark.parametrize("ask", [Transport.websocket, Transport.get, Transport.post])
def test_what_is_cut_off_unanswered_was_sent_once(ask: Callable[..., Awaitable[object]], reused: int) -> None:
    """aiohttp would send it again by itself."""

    async def cut(request: web.Request) -> web.Response:
        if request.path == "/well":
            await together.wait()
            return web.Response()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    together = asyncio.Barrier(max(reused, 1))

    async def use(transport: Transport, served: Served) -> None:
        await asyncio.gather(*(transport.post(f"{served.url}/well", timeout=WAIT) for _ in range(reused)))
        for n in range(1, 4):
            with pytest.raises(Unreachable):
                await ask(transport, f"{served.url}/hub", timeout=WAIT)
            assert served.paths == ["/well"] * reused + ["/hub"] * n

    asking(cut, use)


def test_nobody_there() -> None:
    async def use(transport: Transport, served: Served) -> None:
        transport = Transport(origins=["http://127.0.0.1:1", "https://no-such-host.invalid"])
        with pytest.raises(Unreachable, match=r"^no connection to http://127.0.0.1:1: Connection refused$"):
            await transport.post("http://127.0.0.1:1/x", timeout=WAIT)
        with pytest.raises(Unreachable, match=r"^no connection to https://no-such-host.invalid:443: no address is known"):
            await transport.post("https://no-such-host.invalid/x", timeout=WAIT)
        await transport.close()

    asking(answer(), use)


def test_no_answer_in_time() -> None:
    released = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async def use(transport: Transport, served: Served) -> None:
        with pytest.raises(Unreachable, match=rf"^{served.url}/x did not answer in 0.05 s$"):
            await transport.post(f"{served.url}/x", timeout=0.05)
        with pytest.raises(Unreachable, match=r"/x did not answer in 0.05 s$"):
            await transport.websocket(f"{served.url}/x", timeout=0.05)
        released.set()

    asking(silent, use)


def test_an_answer_that_is_not_http() -> None:
    async def main() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            if b"/cut" in request:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            elif b"/garbage" in request:
                writer.write(b"220 smtp at your service\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = Transport(origins=[url])
        with pytest.raises(ProtocolError, match=r"is not HTTP$"):
            await transport.post(f"{url}/garbage", timeout=WAIT)
        with pytest.raises(Unreachable, match=r"ended in the middle of an answer$"):
            await transport.post(f"{url}/cut", timeout=WAIT)
        with pytest.raises(Unreachable, match=r"closed the connection and answered nothing$"):
            await transport.post(f"{url}/nothing", timeout=WAIT)
        await transport.close()
        server.close()
        await server.wait_closed()

    run(main)


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxfeed.feeds.exchange.MAX_BODY", 1 << 20)

    async def use(transport: Transport, served: Served) -> None:
        with pytest.raises(ProtocolError, match=r"answered with more than 1 MiB$"):
            await transport.post(served.url, timeout=WAIT)

    asking(answer(text="x" * ((1 << 20) + 1)), use)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody signed, and its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"],
        capture_output=True, check=True,
    )  # fmt: skip
    path.write_bytes(made.stdout)
    return path


def test_a_certificate_that_is_not_trusted(certificate: Path) -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        async with serving(answer(), ssl_context=context) as served:
            transport = Transport(origins=[served.url])
            for ask in (transport.post, transport.websocket):
                with pytest.raises(
                    TlsFailed, match=rf"^the certificate of {served.url} is not trusted: self-signed cert"
                ) as caught:
                    await ask(f"{served.url}/x", timeout=WAIT)
                assert caught.value.permanent
            await transport.close()
            assert served.asked == []
            trusting = Transport(origins=[served.url], tls=ssl.create_default_context(cafile=certificate))
            assert (await trusting.post(served.url, timeout=WAIT)).status == 200
            await trusting.close()

    told: list[Any] = []
    run(main, told=told)
    assert {context["message"] for context in told} <= {"Error on transport creation for incoming connection"}  # the server's


def test_no_redirect_from_an_encrypted_address_to_one_that_is_not(certificate: Path) -> None:
    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        async with (
            serving(answer()) as plain,
            serving(answer(307, location=f"{plain.url}/x"), ssl_context=context) as served,
        ):
            trusting = Transport(origins=[served.url, plain.url], tls=ssl.create_default_context(cafile=certificate))
            for ask in (trusting.post, trusting.websocket):
                with pytest.raises(AddressRefused, match=r"from an encrypted address to one that is not$"):
                    await ask(f"{served.url}/x", timeout=WAIT)
            assert plain.asked == []
            await trusting.close()

    run(main)


def test_a_server_that_does_not_encrypt() -> None:
    async def use(_: Transport, served: Served) -> None:
        url = served.url.replace("http", "https")
        transport = Transport(origins=[url])
        with pytest.raises(TlsFailed, match=rf"^no encrypted connection to {url}: .+"):
            await transport.post(url, timeout=WAIT)
        await transport.close()

    asking(answer(), use)


REDIRECTS = [301, 302, 303, 307, 308]


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_within_the_origin_is_followed_once_more(status: int) -> None:
    bodies: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append(await request.text())
        if request.path == "/hub":
            # What servers do that add a slash: our own query comes back.
            return web.Response(status=status, headers={"Location": f"/hub/?{request.query_string}&node=7"})
        return web.Response(status=404)

    async def use(transport: Transport, served: Served) -> None:
        with pytest.raises(GatewayRefused, match=rf"^{served.url}/hub/ refused a WebSocket \(HTTP 404\)$"):
            await transport.websocket(f"{served.url}/hub", token=Secret(TOKEN), query={"id": Secret("abc")}, timeout=WAIT)
        assert served.paths == ["/hub", "/hub/"]
        assert dict(served.asked[1].query) == {"access_token": TOKEN, "id": "abc", "node": "7"}
        assert [len(request.query.getall("access_token")) for request in served.asked] == [1, 1]
        if status in (307, 308):
            assert (await transport.post(f"{served.url}/hub", {"a": 1}, timeout=WAIT)).status == 404
            assert [request.method for request in served.asked[2:]] == ["POST", "POST"]
            assert bodies[2:] == ['{"a":1}'] * 2
        else:
            with pytest.raises(ProtocolError, match=rf"/hub answered with a redirect \(HTTP {status}\), which a POST does not"):
                await transport.post(f"{served.url}/hub", {"a": 1}, timeout=WAIT)
            assert len(served.asked) == 3

    asking(handler, use)


@pytest.mark.parametrize("status", REDIRECTS)
def test_no_redirect_takes_our_token_elsewhere(status: int) -> None:
    async def use(transport: Transport, evil: Served) -> None:
        async def away(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{evil.url}/hub?access_token={TOKEN}"})

        async with serving(away) as served:
            ours = Transport(origins=[served.url])
            for place in ("query", "header"):
                with pytest.raises(AddressRefused) as caught:
                    await ours.websocket(f"{served.url}/hub", token=Secret(TOKEN), place=place, timeout=WAIT)
                assert str(caught.value) == (
                    f"{served.url}/hub redirects where no token may go: "
                    f"{evil.url} is not an allowed origin; allowed are {served.url}"
                )
                assert (caught.value.__cause__, caught.value.__context__) == (None, None)
            with pytest.raises(AddressRefused if status in (307, 308) else ProtocolError):
                await ours.post(f"{served.url}/hub", token=Secret(TOKEN), timeout=WAIT)
            await ours.close()
        assert evil.asked == []

    asking(answer(), use)


@pytest.mark.parametrize("location", [None, "", "ftp://127.0.0.1/", "http://[", "//", "http://user:pw@127.0.0.1/"])
def test_a_redirect_to_no_address(location: str | None) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={} if location is None else {"Location": location})

    async def use(transport: Transport, served: Served) -> None:
        for ask in (transport.post, transport.websocket):
            with pytest.raises((ProtocolError, AddressRefused)):
                await ask(f"{served.url}/hub", timeout=WAIT)

    asking(handler, use)


def test_redirects_for_ever() -> None:
    async def use(transport: Transport, served: Served) -> None:
        for ask in (transport.post, transport.websocket):
            served.asked.clear()
            with pytest.raises(ProtocolError, match=rf"^{served.url}/hub redirects more than 3 times$"):
                await ask(f"{served.url}/hub", timeout=WAIT)
            assert len(served.asked) == 4

    asking(answer(307, location="/hub"), use)


def test_messages_both_ways() -> None:
    async def echo(ws: web.WebSocketResponse) -> None:
        async for message in ws:
            assert message.type is aiohttp.WSMsgType.TEXT
            await ws.send_str(message.data)
            await ws.send_bytes(message.data.encode())

    async def use(socket: Socket) -> None:
        for data in ("ä\x1e", b"{}\x1e"):
            await socket.send(data)
            raw = data.encode() if isinstance(data, str) else data
            assert [await socket.receive(), await socket.receive()] == [raw, raw]
        assert socket.received_bytes == 2 * 3 + 2 * 3
        assert not socket.closed

    talking(echo, use)


def test_messages_are_delivered_without_a_turn_of_the_loop_between_them() -> None:
    async def many(ws: web.WebSocketResponse) -> None:
        for number in range(100):
            await ws.send_str(str(number))
        await ws.receive()

    async def use(socket: Socket) -> tuple[list[bytes], list[int], ConnectionLost]:
        loop = asyncio.get_running_loop()
        got: list[bytes] = []
        drains: list[int] = []
        enough: list[Any] = []

        def take(message: bytes) -> None:
            if len(got) == sum(drains):
                loop.call_soon(lambda: drains.append(len(got) - sum(drains)))
            got.append(message)
            if len(got) == 100:
                enough.append(loop.create_task(socket.send("enough")))

        with pytest.raises(ConnectionLost) as caught:
            await socket.deliver(take)
        return got, drains, caught.value

    got, drains, error = talking(many, use)
    assert got == [str(number).encode() for number in range(100)]
    assert sum(drains) == 100
    assert max(drains) > 10
    assert error.cause == "dropped"


def test_what_take_raises_passes() -> None:
    async def one(ws: web.WebSocketResponse) -> None:
        await ws.send_str("x")
        await ws.receive()

    async def use(socket: Socket) -> None:
        def take(_: bytes) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await socket.deliver(take)

    talking(one, use)


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (1000, b"", "was closed by the server (1000 normal)"),
        (1001, b"bye", "was closed by the server (1001 going away: bye)"),
        (4321, b"x" * 123, f"was closed by the server (4321: {'x' * 123})"),
    ],
)
def test_closed_by_the_server(code: int, reason: bytes, text: str) -> None:
    async def close(ws: web.WebSocketResponse) -> None:
        await ws.close(code=code, message=reason)

    async def use(socket: Socket) -> ConnectionLost:
        error = await lost(socket)
        assert socket.closed
        assert str(await lost(socket)) == str(error).replace(text, "was cut off, with no word of goodbye")
        return error

    error = talking(close, use)
    assert str(error).endswith(text)
    assert (error.cause, error.allow_reconnect, error.__context__) == ("dropped", None, None)


def test_cut_off() -> None:
    async def cut(ws: Any) -> None:
        transport = ws._req.transport
        transport.abort()

    error = talking(cut, lost)
    assert (error.cause, str(error)[-36:]) == ("dropped", "was cut off, with no word of goodbye")


def test_a_message_that_is_too_long() -> None:
    async def long(ws: web.WebSocketResponse) -> None:
        await ws.send_str("x" * 1000)
        await ws.send_str("x" * 1001)
        await ws.receive()

    async def use(socket: Socket) -> ConnectionLost:
        assert len(await socket.receive()) == 1000
        return await lost(socket)

    error = talking(long, use, max_size=1000)
    assert str(error).endswith("/hub sent a message of more than 1000 bytes (1009 message too big)")
    assert error.cause == "protocol"


def test_a_frame_against_the_rules() -> None:
    async def broken(ws: Any) -> None:
        transport = ws._req.transport
        transport.write(b"\xff\x00")
        await ws.receive()

    error = talking(broken, lost)
    assert str(error).endswith("sent what WebSockets do not allow (1002 protocol error)")
    assert error.cause == "protocol"


def test_pings_are_answered_and_the_round_trip_is_told() -> None:
    ponged: list[Any] = []

    async def pings(ws: Any) -> None:
        await ws.send_frame(b"are you there", aiohttp.WSMsgType.PING)
        ws._autoping = False
        async for message in ws:
            if message.type is aiohttp.WSMsgType.PING:
                await ws.pong(message.data)
            else:
                ponged.append((message.type, bytes(message.data)))

    async def use(socket: Socket) -> float:
        receiving = asyncio.create_task(socket.receive())
        seconds, other = await asyncio.gather(socket.ping(WAIT), socket.ping(WAIT))
        assert other >= 0
        late = asyncio.create_task(socket.ping(WAIT))
        await asyncio.sleep(0)
        await socket.close()
        with pytest.raises(ConnectionLost, match="was closed by us"):
            await late
        with pytest.raises(ConnectionLost):
            await receiving
        return seconds

    assert 0 <= talking(pings, use) < WAIT
    assert ponged == [(aiohttp.WSMsgType.PONG, b"are you there")]


def test_a_ping_that_nobody_answers() -> None:
    async def deaf(ws: web.WebSocketResponse) -> None:
        ws._autoping = False
        async for _ in ws:
            pass

    async def use(socket: Socket) -> None:
        receiving = asyncio.create_task(socket.receive())
        with pytest.raises(Unreachable, match=r"/hub did not answer a ping in 0.05 s"):
            await socket.ping(0.05)
        await socket.close()
        with pytest.raises(ConnectionLost):
            await receiving

    talking(deaf, use)


def test_after_closing_nothing_is_sent_or_received() -> None:
    async def wait(ws: web.WebSocketResponse) -> None:
        await ws.receive()

    async def use(socket: Socket) -> None:
        receiving = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        await socket.close()
        await socket.close()
        with pytest.raises(ConnectionLost):
            await receiving
        with pytest.raises(ConnectionLost, match="cannot be sent to any more"):
            await socket.send("x")
        await lost(socket)

    talking(wait, use)


def test_a_cancelled_handshake_leaves_nothing_and_tells_nothing() -> None:
    arrived, released = asyncio.Event(), asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        arrived.set()
        await released.wait()
        return web.Response()

    async def use(transport: Transport, served: Served) -> None:
        for ask in (transport.post, transport.websocket):
            arrived.clear()
            asked = asyncio.create_task(ask(f"{served.url}/hub", token=Secret(TOKEN), place="query", timeout=60))
            await arrived.wait()
            asked.cancel("because")
            with pytest.raises(asyncio.CancelledError) as caught:
                await asked
            assert caught.value.args == ("because",)
        released.set()

    asking(silent, use)


def test_closed() -> None:
    async def use(transport: Transport, served: Served) -> None:
        await transport.post(served.url, timeout=WAIT)
        await transport.close()
        await transport.close()
        with pytest.raises(RuntimeError, match="is closed"):
            await transport.post(served.url, timeout=WAIT)

    asking(answer(), use)


def test_a_session_of_ones_own() -> None:
    async def use(_: Transport, served: Served) -> None:
        made: list[aiohttp.ClientSession] = []

        def session() -> aiohttp.ClientSession:
            made.append(aiohttp.ClientSession(headers={"X-Whose": "mine"}, raise_for_status=True))
            return made[-1]

        transport = Transport(session, origins=[served.url, "http://sim.test"])
        assert made == []
        assert (await transport.post(served.url, timeout=WAIT)).status == 500
        assert served.asked[0].headers["X-Whose"] == "mine"
        with pytest.raises(GatewayRefused, match="HTTP 500"):
            await transport.websocket(served.url, timeout=WAIT)
        await transport.close()
        assert [one.closed for one in made] == [True]

    asking(answer(500), use)
