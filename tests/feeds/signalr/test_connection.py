"""A connection to a scripted hub: what it hands on, how it says that it is alive, and each way in which it ends."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from loguru import logger

from rxfeed.errors import ConnectionLost, InvocationFailed, ProtocolError, TokenRefused, Unreachable
from rxfeed.feeds.signalr import Connection, Timing
from rxfeed.feeds.signalr.codec import Codec
from rxfeed.feeds.transport import Transport
from rxfeed.testing import Simulation, simulate
from rxfeed.valve import Valve
from tests.feeds.signalr.scripted import SILENT, URL, Ear, Peer, Script, connected, hub, talk

TRADE: dict[str, Any] = {"type": 1, "target": "GatewayTrade", "arguments": ["C", []]}


async def listening(peer: Peer) -> None:
    await peer.handshake()
    await peer.until_gone()


async def ended(_: Connection, ear: Ear, __: Peer, simulation: Simulation) -> tuple[ConnectionLost, float]:
    await ear.over.wait()
    (lost,) = ear.lost
    assert isinstance(lost, ConnectionLost)
    return lost, simulation.loop.time()


def saying(*messages: dict[str, Any] | bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        await peer.send(*messages)
        await peer.until_gone()

    return script


def test_what_comes_at_once_is_handed_on_at_once_and_in_order() -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.send({}, TRADE, {"type": 6}, {**TRADE, "target": "Other"})
        await asyncio.sleep(1)
        for target in ("A", "B"):
            await peer.send({**TRADE, "target": target})
        await peer.until_gone()

    async def use(connection: Connection, ear: Ear, *_: object) -> None:
        await asyncio.sleep(0.5)
        assert ear.targets == [["GatewayTrade"], ["Other"]]  # a ping stood between them
        await asyncio.sleep(1)
        assert ear.targets[2:] == [["A", "B"]]
        assert connection.stats[1:3] == (5, 2)

    talk(use, script)


def test_pings_go_out_every_15_s_and_any_message_keeps_it_alive() -> None:
    heard: list[tuple[int, float]] = []

    async def script(peer: Peer) -> None:
        await peer.handshake()
        loop = asyncio.get_running_loop()
        for _ in range(20):
            try:
                async with asyncio.timeout(29):
                    while True:
                        heard.append(((await peer.hear())["type"], round(loop.time(), 6)))
            except TimeoutError:
                await peer.send({"type": 6})
        raise EOFError

    lost, at = talk(ended, script)
    assert heard[:4] == [(6, 15.0), (6, 30.0), (6, 45.0), (6, 60.0)]
    assert at > 20 * 15
    assert lost.cause == "dropped"


@pytest.mark.parametrize("pings", [True, False])
def test_thirty_seconds_of_silence_end_it(pings: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        if pings:
            await asyncio.sleep(20)
            await peer.send({"type": 6})
        await peer.until_gone()

    lost, at = talk(ended, script)
    assert (lost.cause, str(lost)) == ("silent", "the connection to http://hub.test/hubs/market was silent for 30 s")
    # The hub may be slow to let go; we are not.
    assert at == pytest.approx(50 if pings else 30, abs=2.1)


def test_a_peer_that_vanishes_is_noticed_though_pings_go_nowhere() -> None:
    async def use(connection: Connection, ear: Ear, peer: Peer, simulation: Simulation) -> None:
        await asyncio.sleep(10)
        simulation.network.black_hole("hub.test")
        lost, at = await ended(connection, ear, peer, simulation)
        assert lost.cause == "silent"
        assert at == pytest.approx(30, abs=2.1)
        assert not connection.open
        simulation.network.heal("hub.test")
        simulation.network.cut("hub.test")

    talk(use, listening)


@pytest.mark.parametrize(("said", "allow"), [({"allowReconnect": True}, True), ({"allowReconnect": False}, False), ({}, False)])
@pytest.mark.parametrize("error", [None, "Server shutting down"])
def test_a_close_message_ends_it_and_says_whether_to_come_back(said: dict[str, Any], allow: bool, error: str | None) -> None:
    message = {"type": 7, **said} | ({"error": error} if error else {})
    lost, _ = talk(ended, saying(TRADE, message, TRADE))
    assert (lost.cause, lost.allow_reconnect) == ("closed", allow)
    why = f": {error}" if error else ""
    assert str(lost) == f"{URL} closed the connection{why} (we {'may' if allow else 'shall not'} reconnect)"


def test_a_close_message_counts_though_the_websocket_ends_with_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        await peer.send(TRADE)
        await peer.send({"type": 7, "error": "maintenance", "allowReconnect": True})
        await peer.ws.close(code=1000)

    lost, _ = talk(ended, script)
    assert (lost.cause, lost.allow_reconnect) == ("closed", True)
    assert "maintenance" in str(lost)


def test_what_came_before_the_end_is_handed_on_before_the_end_is_told() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        for _ in range(50):
            await peer.send(TRADE)
        await peer.ws.close(code=1001, message=b"deploying")

    async def use(_: Connection, ear: Ear, *__: object) -> None:
        await ear.over.wait()
        assert sum(map(len, ear.drains)) == 50
        assert str(ear.lost[0]) == f"the connection to {URL} was closed by the server (1001 going away: deploying)"

    talk(use, script)


def test_a_drop_is_a_loss_told_once() -> None:
    async def use(connection: Connection, ear: Ear, peer: Peer, simulation: Simulation) -> None:
        simulation.network.cut("hub.test")
        lost, _ = await ended(connection, ear, peer, simulation)
        assert lost.cause == "dropped"
        await asyncio.sleep(100)
        assert len(ear.lost) == 1
        with pytest.raises(ConnectionLost) as caught:
            await connection.invoke("Anything")
        assert caught.value is lost

    talk(use, listening)


def test_garbage_is_told_and_the_rest_is_good() -> None:
    async def use(connection: Connection, ear: Ear, *_: object) -> None:
        await asyncio.sleep(1)
        assert ear.garbage == [b"<html>", b'{"type":3}']
        assert ear.targets == [["GatewayTrade"], ["GatewayTrade"]]
        assert connection.stats.garbage == 2
        assert connection.open

    talk(use, saying(TRADE, b"<html>\x1e", TRADE, b'{"type":3}\x1e', {"type": 99}), timing=SILENT)


def test_a_message_without_end_is_given_up() -> None:
    lost, _ = talk(ended, saying(b"x" * 600, b"x" * 600), max_message=1_000, timing=SILENT)
    assert lost.cause == "protocol"
    assert "1000 bytes" in str(lost)
    lost, _ = talk(ended, split_without_end, max_message=1_000, timing=SILENT)
    assert lost.cause == "protocol"
    assert "longer than 1000 bytes" in str(lost)


async def split_without_end(peer: Peer) -> None:
    await peer.handshake()
    for _ in range(3):
        await peer.send(b"x" * 600)
    await peer.until_gone()


def test_invocations_are_answered_each_to_its_own() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        first, second = await peer.hear(), await peer.hear()
        assert first == {"type": 1, "target": "Subscribe", "arguments": ["C"], "invocationId": "1"}
        await asyncio.sleep(0.25)
        await peer.send(
            {"type": 3, "invocationId": "2", "result": {"deep": [1]}}, {"type": 3, "invocationId": "9", "result": 1}
        )
        await peer.send({"type": 3, "invocationId": first["invocationId"]})
        assert second["arguments"] == []
        await peer.answer(error="Unknown hub method 'Nothing'")
        await peer.until_gone()

    async def use(connection: Connection, *_: object) -> None:
        results = await asyncio.gather(connection.invoke("Subscribe", "C"), connection.invoke("Get"))
        assert results == [None, {"deep": [1]}]
        assert connection.stats.round_trip == pytest.approx(0.25)
        with pytest.raises(InvocationFailed, match=re.escape(f"{URL} refused Nothing: Unknown hub method")) as caught:
            await connection.invoke("Nothing")
        assert caught.value.target == "Nothing"
        assert connection.stats[5:7] == (3, 3)

    talk(use, script)


def test_an_invocation_that_is_not_answered_fails_in_time_and_the_connection_stays() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        while True:
            await peer.hear()
            await peer.send({"type": 6})

    async def use(connection: Connection, ear: Ear, peer: Peer, simulation: Simulation) -> None:
        with pytest.raises(InvocationFailed, match="Slow was not answered in 15 s"):
            await connection.invoke("Slow")
        assert simulation.loop.time() == pytest.approx(15)
        assert connection.open

    talk(use, script)


def test_a_loss_fails_whoever_waits_for_an_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        await peer.hear()
        transport = peer.request.transport
        assert transport is not None
        transport.abort()

    async def use(connection: Connection, *_: object) -> None:
        with pytest.raises(ConnectionLost):
            await connection.invoke("Subscribe")

    talk(use, script)


def test_a_hub_that_wants_an_answer_gets_one() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        await peer.send({"type": 1, "invocationId": "7", "target": "Ask", "arguments": []})
        await peer.until_gone()

    async def use(_: Connection, ear: Ear, peer: Peer, __: Simulation) -> None:
        await asyncio.sleep(1)
        assert peer.said[-1] == {"type": 3, "invocationId": "7", "error": "this client has no result for Ask"}
        assert ear.targets == [["Ask"]]

    talk(use, script)


def test_closing_says_goodbye_and_tells_nobody_of_a_loss() -> None:
    async def use(connection: Connection, ear: Ear, peer: Peer, _: Simulation) -> None:
        await connection.close()
        await connection.close()
        await peer.gone.wait()
        assert peer.said[-1] == {"type": 7}
        assert ear.lost == []
        assert repr(connection) == "Connection(http://hub.test/hubs/market, closed)"

    talk(use, listening)


def test_closing_fails_whoever_waits_for_an_answer() -> None:
    async def use(connection: Connection, *_: object) -> None:
        asking = asyncio.ensure_future(connection.invoke("Slow"))
        await asyncio.sleep(1)
        await connection.close()
        with pytest.raises(ConnectionLost, match="closed by us"):
            await asking

    talk(use, listening)


def test_a_handler_that_raises_is_told_of_once_and_the_connection_goes_on() -> None:
    async def use(connection: Connection, ear: Ear, *_: object) -> None:
        told: list[str] = []
        sink = logger.add(lambda message: told.append(str(message)), format="{message}")
        connection._on_calls = lambda calls: 1 / 0
        try:
            await asyncio.sleep(1)
        finally:
            logger.remove(sink)
        assert len(told) == 1
        assert "ZeroDivisionError" in told[0]
        assert connection.open

    talk(use, saying(TRADE), timing=SILENT)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (
            b'{"error":"no such protocol"}\x1e',
            ProtocolError,
            f"{URL}: the handshake was refused: no such protocol",
        ),
        (b"hello\x1e", ProtocolError, "the handshake was refused: answered with 'hello' (5 bytes)"),
        (None, Unreachable, "http://hub.test/hubs/market did not answer the handshake in 15 s"),
        (b"", Unreachable, "http://hub.test/hubs/market ended the connection in the handshake: "),
    ],
)
def test_a_handshake_that_fails_is_one_error_and_leaves_nothing(
    answer: bytes | None, error: type[Exception], text: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        if answer:
            await peer.send(answer)
        if answer == b"":
            return
        await peer.until_gone()

    async def use(*_: object) -> None:
        raise AssertionError("connected")

    with pytest.raises(error, match=re.escape(text)):
        talk(use, script)


def test_the_token_goes_where_it_is_told_to() -> None:
    async def in_query(_: Connection, __: Ear, peer: Peer, ___: Simulation) -> None:
        assert peer.request.query["access_token"] == "a-token-of-some-length"
        assert "Authorization" not in peer.request.headers

    async def in_header(_: Connection, __: Ear, peer: Peer, ___: Simulation) -> None:
        assert peer.request.headers["Authorization"] == "Bearer a-token-of-some-length"
        assert "access_token" not in peer.request.query

    talk(in_query, listening)
    talk(in_header, listening, place="header")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_its_own_error(status: int) -> None:
    from aiohttp import web

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async def use(*_: object) -> None:
        raise AssertionError("connected")

    with pytest.raises(TokenRefused, match=f"HTTP {status} when negotiating"):
        talk(use, listening, negotiate=refuse)


def test_other_times_may_be_set() -> None:
    _, at = talk(ended, listening, timing=Timing(ping=2, silence=5))
    assert at == pytest.approx(5, abs=2.1)


def test_closing_as_soon_as_it_is_open_takes_no_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.handshake()
        await asyncio.sleep(10)
        await peer.until_gone()

    async def main(simulation: Simulation) -> float:
        async with hub(simulation, script):
            transport = Transport(simulation.network.session, origins=[URL])
            connection = await connected(transport, Ear())
            await connection.close()
            took = simulation.loop.time()
            await transport.close()
        return took

    assert simulate(main) < 5


def test_a_close_that_is_cancelled_closes_all_the_same() -> None:
    async def use(connection: Connection, *_: object) -> None:
        class Stuck:
            async def send(self, _: bytes) -> None:
                await asyncio.sleep(0.5)

        await asyncio.sleep(0.1)
        socket: Any = connection._socket
        stuck: Any = Stuck()
        connection._socket = stuck
        closing = asyncio.create_task(connection.close())
        await asyncio.sleep(0.1)
        closing.cancel()
        connection._socket = socket
        await asyncio.wait([closing])
        await asyncio.sleep(3)
        assert [task for task in asyncio.all_tasks() if "rxfeed" in task.get_name()] == []

    talk(use, listening)


@pytest.mark.parametrize("length", [100, 1 << 20])
def test_a_goodbye_that_is_huge_is_not_looked_through(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr("rxfeed.feeds.signalr.words.redacted", lambda text: (looked.append(len(text)), text)[1])
    lost, _ = talk(ended, saying({"type": 7, "error": "x" * length}))
    assert str(lost).count("x") >= min(length, 200)
    assert len(str(lost)) < 400
    assert sum(looked) < 1_000


def test_a_fault_of_our_own_in_reading_is_a_loss_that_says_so() -> None:
    async def use(connection: Connection, ear: Ear, peer: Peer, simulation: Simulation) -> tuple[ConnectionLost, float]:
        def broken(_: bytes) -> None:
            raise RuntimeError("never thought of")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Codec, "feed", lambda _self, data: broken(data))
            return await ended(connection, ear, peer, simulation)

    told: list[str] = []
    sink = logger.add(lambda line: told.append(str(line)), level="ERROR")
    try:
        lost, _ = talk(use, saying(TRADE))
    finally:
        logger.remove(sink)
    assert (lost.cause, str(lost)) == ("protocol", f"the connection to {URL} was given up: RuntimeError when reading")
    assert len(told) == 1
    assert "never thought of" in told[0]


def test_while_the_valve_is_shut_nothing_is_read_and_that_is_no_silence() -> None:
    valve = Valve()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.send({})
        asyncio.get_running_loop().create_task(peer.until_gone())
        for _ in range(100):
            await peer.send(TRADE)
            await asyncio.sleep(1)
        await peer.gone.wait()

    async def use(connection: Connection, ear: Ear, peer: Peer, _: Simulation) -> None:
        await asyncio.sleep(10.5)
        came = len(ear.drains)
        assert came >= 10
        who = object()
        valve.hold(who)
        await asyncio.sleep(60)
        assert len(ear.drains) <= came + 1  # what was under way
        assert connection.open
        assert ear.lost == []
        assert len([said for said in peer.said if said.get("type") == 6]) >= 4  # pings go out all the same
        valve.release(who)
        await asyncio.sleep(40)
        assert sum(map(len, ear.drains)) == 100

    talk(use, script, valve=valve)
    assert not valve.watched


def test_silence_is_counted_from_when_it_reads_again() -> None:
    valve = Valve()

    async def use(connection: Connection, ear: Ear, peer: Peer, simulation: Simulation) -> None:
        who = object()
        await asyncio.sleep(20)
        valve.hold(who)
        await asyncio.sleep(15)
        valve.release(who)
        lost, at = await ended(connection, ear, peer, simulation)
        assert lost.cause == "silent"
        assert at == pytest.approx(65, abs=2.1)

    talk(use, listening, valve=valve)


@pytest.mark.parametrize(("sent", "shut", "opened", "answered"), [
    (1, 5, 65, 66), (7, 5, 65, 66), (1, 5, 30, 12), (1, 5, 65, 99), (1, 5, 65, 80), (1, 65, 70, 99),
])  # fmt: skip
def test_while_nothing_is_read_no_answer_is_waited_for(sent: float, shut: float, opened: float, answered: float) -> None:
    """An answer is missed only when so much time was read; and how long it took does not count what was not."""
    valve = Valve()
    limit = 15.0
    unread = max(0.0, opened - max(shut, sent)) if shut < sent + limit else 0.0

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.send({})
        while (await peer.hear()).get("type") != 1:
            pass
        loop = asyncio.get_running_loop()
        hears = loop.create_task(peer.until_gone())
        if shut < answered < opened:  # what is under way when it is shut is read
            await asyncio.sleep(shut + 0.5 - loop.time())
            await peer.send({"type": 6})
        await asyncio.sleep(answered - loop.time())
        await peer.send({"type": 3, "invocationId": "1", "result": "yes"})
        await hears

    async def use(connection: Connection, _: Ear, __: Peer, simulation: Simulation) -> None:
        loop = simulation.loop
        loop.call_at(shut, valve.hold, valve)
        loop.call_at(opened, valve.release, valve)
        assert connection.stats.reading
        loop.call_at((shut + opened) / 2, lambda: told.append(connection.stats.reading))
        told: list[bool] = []
        await asyncio.sleep(sent - loop.time())
        asked = asyncio.ensure_future(connection.invoke("Say"))
        await asyncio.wait([asked])
        heard = answered if not shut < answered < opened else opened
        late = heard > sent + limit + unread
        assert loop.time() == pytest.approx(sent + limit + unread if late else heard, abs=0.1)
        assert isinstance(asked.exception(), InvocationFailed) if late else asked.result() == "yes"
        if not late:
            taken = connection.stats.round_trip
            assert taken == pytest.approx(heard - sent - (unread if heard >= opened else 0.0), abs=0.1)
        await asyncio.sleep(max(0.0, opened - loop.time()))
        assert told == [False]

    talk(use, script, valve=valve, timing=SILENT)


def test_a_connection_that_is_closed_while_the_valve_is_shut_ends_at_once() -> None:
    valve = Valve()

    async def use(connection: Connection, _: Ear, __: Peer, simulation: Simulation) -> None:
        valve.hold(valve)
        await asyncio.sleep(1)
        await connection.close()
        assert simulation.loop.time() < 4

    talk(use, listening, valve=valve)
    assert not valve.watched
