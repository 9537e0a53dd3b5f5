from __future__ import annotations

import json
from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import FAULTS, Fault, Simulator
from rxfeed.feeds.simulator.faults import table
from rxfeed.feeds.simulator.http import Answer, Request
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import MNQ, START, Ear, after, ask, connected, deals, token


def listener(simulator: Simulator, hub: str = "market") -> tuple[Any, Ear]:
    one, ear = connected(simulator, hub)
    if hub == "market":
        one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    return one, ear


def prices(events: list[dict[str, Any]]) -> list[float]:
    return [row["price"] for event in events if event.get("target") == "GatewayTrade" for row in deals(event)[1]]


def post(simulator: Simulator, path: str, **query: str) -> Answer:
    headers = {"authorization": f"Bearer {token(simulator)}", "host": "sim.test"}
    return simulator.request(Request("POST", path, query, headers))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", Fault("drop")),
        ("drop@30s", Fault("drop", at="30s")),
        ("drop/30s", Fault("drop", every="30s")),
        (" close-final:market@1m ", Fault("close-final", place="market", at="1m")),
        ("silence:user=20s/2m", Fault("silence", "20s", "user", every="2m")),
        ("skew=-30s", Fault("skew", "-30s")),
        ("401:rest=3", Fault("401", "3", "rest")),
        ("redirect=http://127.0.0.1:5171/hubs/market@5s", Fault("redirect", "http://127.0.0.1:5171/hubs/market", at="5s")),
        ("redirect=http://127.0.0.1:5171/hubs/market", Fault("redirect", "http://127.0.0.1:5171/hubs/market")),
    ],
)
def test_faults_are_read_from_text_and_written_again(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("dorp", "a fault must be one of drop, close, .*, got 'dorp'"),
        ("", 'a fault must look like "drop", "drop@30s"'),
        ("drop@", "a fault must look like"),
        ("drop@soon", "a fault must look like"),
        ("drop/0s", "must be at least 1 ms apart"),
        ("drop=3", "fault drop takes no value, got '3'"),
        ("drop:sea", "place of fault drop must be one of market, user, got 'sea'"),
        ("drop:rest", "place of fault drop must be one of market, user, got 'rest'"),
        ("401:subscribe", "place of fault 401 must be one of market, user, negotiate, upgrade, rest, login, "),
        ("expire:market", "fault expire takes no place, got 'market'"),
        ("slow=soon", "value of fault slow must look like"),
        ("silence=long", "value of fault silence must look like"),
        ("duplicate=0", "value of fault duplicate must be a number from 1"),
        ("duplicate=-1", "value of fault duplicate must be a number from 1"),
        ("end=99", "value of fault end must be a number from 1000 to 4999"),
        ("skew=x", "value of fault skew must look like"),
        ("redirect=ftp://x", "value of fault redirect must be an address such as"),
    ],
)
def test_what_is_no_fault_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Fault.parse(text)


def test_a_fault_is_once_or_again_and_again_and_not_both() -> None:
    with pytest.raises(ValueError, match="not both"):
        Fault("drop", at=1, every=2)


def test_every_fault_is_in_the_table_and_can_happen(simulator: Simulator) -> None:
    listener(simulator)
    for name in FAULTS:
        assert f"\n{name}" in f"\n{table()}"
        simulator.fault(name)
    assert simulator.faults == dict.fromkeys(FAULTS, 1)


def test_once_again_and_again_and_called_off(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.fault("malformed@3s")
    simulator.fault("unknown/2s")
    cancel = simulator.fault("burst/1s")
    after(clock, 2.5)
    assert simulator.faults == {"unknown": 1, "burst": 2}
    cancel()
    cancel()
    after(clock, 3.5)
    assert simulator.faults == {"unknown": 3, "burst": 2, "malformed": 1}


def test_faults_it_was_made_with_come_from_its_start_on(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, faults=["drop@1s", Fault("401")])
    after(clock, 5)
    assert simulator.faults == {}
    simulator.start()
    simulator.start()
    assert simulator.faults == {"401": 1}
    after(clock, 1)
    assert simulator.faults == {"401": 1, "drop": 1}
    simulator.stop()


@pytest.mark.parametrize(
    ("fault", "ended", "messages"),
    [
        ("drop", "aborted", []),
        ("close", 1000, [{"type": 7, "allowReconnect": True}]),
        ("close-error", 1000, [{"type": 7, "error": "Connection closed with an error.", "allowReconnect": True}]),
        ("close-final", 1000, [{"type": 7, "error": "Connection closed with an error.", "allowReconnect": False}]),
        ("end", 1001, []),
        ("end=1011", 1011, []),
    ],
)
def test_how_a_connection_may_end(simulator: Simulator, fault: str, ended: object, messages: list[Any]) -> None:
    one, ear = listener(simulator)
    user, elsewhere = listener(simulator, "user")
    simulator.fault(f"{fault.partition('=')[0]}:market" + (f"={fault.partition('=')[2]}" if "=" in fault else ""))
    assert (ear.take(), ear.ended, one.state) == (messages, ended, "closed")
    assert list(simulator.connections.values()) == [user]
    assert elsewhere.ended is None
    simulator.trade("MNQ", (21_500.0, 1))
    assert ear.frames == []


@pytest.mark.parametrize("fault", ["half-open", "black-hole"])
def test_a_connection_may_die_without_a_word(simulator: Simulator, clock: VirtualClock, fault: str) -> None:
    one, ear = listener(simulator)
    simulator.fault(fault)
    simulator.trade("MNQ", (21_500.0, 1))
    one.receive(ask("SubscribeContractQuotes", MNQ))
    after(clock, 60)
    assert (ear.frames, ear.ended, ear.stranded, one.sent.end) == ([], None, True, fault)
    assert one.sent.of("trades", MNQ).elements == 0


def test_in_a_black_hole_nothing_new_is_answered_until_it_ends(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.fault("black-hole=10s")
    after(clock, 4)
    assert post(simulator, "/hubs/market/negotiate") == Answer(0, hang=6.0)
    assert post(simulator, "/api/Account/search") == Answer(0, hang=6.0)
    assert simulator.enter(Request("GET", "/hubs/user", {"access_token": token(simulator)}), "user") == Answer(0, hang=6.0)
    after(clock, 6)
    assert post(simulator, "/hubs/market/negotiate").status == 200
    listener(simulator)


def test_hanging_in_the_handshake(simulator: Simulator, clock: VirtualClock) -> None:
    _, before = listener(simulator)
    simulator.fault("hang:market=5s")
    one, ear = connected(simulator, greeted=False)
    one.receive('{"protocol":"json","version":1}\x1e')
    simulator.trade("MNQ", (21_500.0, 1))
    assert prices(before.take()) == [21_500.0]
    listener(simulator, "user")
    after(clock, 100)
    assert (ear.frames, ear.ended, one.state) == ([], None, "handshake")
    listener(simulator)


def test_silence_with_and_without_pings(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = listener(simulator)
    simulator.fault("silence=20s")
    late, also = listener(simulator)
    simulator.trade("MNQ", (21_500.0, 1))
    after(clock, 15)
    assert ear.take() == also.take() == [{"type": 6}]
    one.receive(ask("Nope"))
    assert ear.take()[0]["type"] == 3
    after(clock, 5)
    simulator.trade("MNQ", (21_500.25, 1))
    assert prices(ear.take()) == prices(also.take()) == [21_500.25]
    assert one.sent.of("trades", MNQ).elements == late.sent.of("trades", MNQ).elements == 1
    simulator.fault("mute=40s")
    simulator.trade("MNQ", (21_500.5, 1))
    one.receive(ask("Nope"))
    after(clock, 39)
    assert (ear.frames, one.open) == ([], True)
    _, newer = listener(simulator)
    after(clock, 1)
    simulator.trade("MNQ", (21_500.75, 1))
    assert prices(ear.take()) == prices(newer.take()) == [21_500.75]


def test_data_without_pings(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = listener(simulator)
    simulator.fault("no-pings=25s")
    after(clock, 20)
    assert ear.frames == []
    simulator.trade("MNQ", (21_500.0, 1))
    assert prices(ear.take()) == [21_500.0]
    one.receive('{"type":6}\x1e')
    after(clock, 20)
    assert ear.take() == [{"type": 6}]
    simulator.fault("no-pings=20s")
    _, newer = listener(simulator)
    after(clock, 19)
    assert newer.frames == []


def test_logout_is_pushed_on_both_hubs(simulator: Simulator) -> None:
    (_, one), (_, other) = listener(simulator), listener(simulator, "user")
    simulator.fault("logout")
    assert [event["target"] for event in one.take() + other.take()] == ["GatewayLogout"] * 2


def test_tokens_may_expire_at_once(simulator: Simulator) -> None:
    old = token(simulator)
    simulator.fault("expire")
    assert simulator.tokens.user(old, simulator.now) is None
    assert post(simulator, "/api/Account/search").status == 200


def test_split_records_are_whole_together_and_counted_once(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = listener(simulator)
    simulator.fault("split=5s")
    for n in range(20):
        simulator.trade("MNQ", (21_500.0 + n, 1))
    assert len(ear.frames) == 40
    assert not any(frame.endswith(b"\x1e") and frame.startswith(b"{") for frame in ear.frames)
    text = b"".join(ear.frames)
    assert prices([json.loads(part) for part in text.split(b"\x1e")[:-1]]) == [21_500.0 + n for n in range(20)]
    assert one.sent.of("trades", MNQ).row() == simulator.truth.traded[MNQ].row()
    after(clock, 5)
    ear.frames.clear()
    simulator.trade("MNQ", (21_500.0, 1))
    assert prices(ear.take()) == [21_500.0]


def test_joined_records_are_one_message_and_counted_each(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    one.receive(ask("SubscribeContractQuotes", MNQ, id=None))
    ear.take()
    simulator.fault("join")
    simulator.trade("MNQ", (21_500.0, 1), (21_500.25, 1), bunch=1)
    (frame,) = ear.frames
    assert frame.count(b"\x1e") == 3
    assert [event["target"] for event in ear.take()] == ["GatewayQuote", "GatewayTrade", "GatewayTrade"]
    assert one.sent.of("trades", MNQ).row() == simulator.truth.traded[MNQ].row()
    assert one.sent.of("quotes", MNQ).messages == 2


def test_malformed_and_unknown_records(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    simulator.fault("malformed=2")
    assert len(ear.frames) == 2
    for frame in ear.frames:
        with pytest.raises(json.JSONDecodeError):
            json.loads(frame[:-1])
    ear.frames.clear()
    simulator.fault("unknown")
    assert [(event["type"], event.get("target")) for event in ear.take()] == [(99, None), (1, "GatewayNews")]
    assert one.sent.of("trades", MNQ).messages == 0


def test_a_huge_message_is_real_trades(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    simulator.fault("huge=1048576")
    (frame,) = ear.frames
    assert 1 << 20 <= len(frame) < 1.3 * (1 << 20)
    assert len(prices(ear.take())) == one.sent.of("trades", MNQ).elements == simulator.truth.traded[MNQ].elements


def test_duplicates_and_reordering(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    simulator.fault("duplicate=2")
    for n in range(3):
        simulator.trade("MNQ", (21_500.0 + n, 1))
    assert prices(ear.take()) == [21_500.0, 21_500.0, 21_501.0, 21_501.0, 21_502.0]
    assert (one.sent.of("trades", MNQ).elements, simulator.truth.traded[MNQ].elements) == (5, 3)
    simulator.fault("reorder=2")
    for n in range(5):
        simulator.trade("MNQ", (21_500.0 + n, 1))
    assert prices(ear.take()) == [21_501.0, 21_500.0, 21_503.0, 21_502.0, 21_504.0]
    assert one.sent.of("trades", MNQ).elements == 10


def test_a_burst_is_the_markets_own_next_trades(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    simulator.fault("burst=10000")
    assert sum(totals.elements for totals in simulator.truth.traded.values()) == 10_000
    assert len(prices(ear.take())) == one.sent.of("trades", MNQ).elements == simulator.truth.traded[MNQ].elements > 5_000


def test_the_servers_clock_may_be_off(simulator: Simulator, clock: VirtualClock) -> None:
    _, ear = listener(simulator)
    simulator.fault("skew=-1h")
    simulator.trade("MNQ", (21_500.0, 1))
    assert deals(ear.take()[0])[1][0]["timestamp"] == "2026-01-05T13:30:00.0000000+00:00"
    assert simulator.tokens.expires(token(simulator)) == START + 23 * 3_600 * SECOND
    assert post(simulator, "/api/Account/search").status == 200
    simulator.fault("burst=100")
    stamps = {row["timestamp"][:19] for event in ear.take() for row in deals(event)[1]}
    assert stamps == {"2026-01-05T13:30:00"}
    simulator.fault("skew=0s")
    assert simulator.now == clock.now


def test_the_next_negotiation_may_lead_elsewhere(simulator: Simulator) -> None:
    simulator.fault("redirect:market")
    simulator.fault("redirect=http://other.test/hubs/market")
    assert json.loads(post(simulator, "/hubs/user/negotiate", access_token="t").body) == {
        "url": "http://other.test/hubs/market", "accessToken": "t"
    }  # fmt: skip
    assert json.loads(post(simulator, "/hubs/market/negotiate", access_token="t").body)["url"] == "http://sim.test/hubs/market"
    assert "connectionId" in json.loads(post(simulator, "/hubs/market/negotiate").body)


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_the_next_requests_may_fail(simulator: Simulator, status: int) -> None:
    simulator.fault(f"{status}:rest=2")
    simulator.fault(f"{status}:market")
    upgrade = Request("GET", "/hubs/market", {"access_token": token(simulator)})
    assert [post(simulator, "/api/Account/search").status for _ in range(3)] == [status, status, 200]
    refused = simulator.enter(upgrade, "market")
    assert isinstance(refused, Answer)
    assert refused.status == status
    assert refused.headers == ({"Retry-After": "2"} if status == 429 else {})
    assert not isinstance(simulator.enter(upgrade, "market"), Answer)
