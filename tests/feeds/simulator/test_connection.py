from __future__ import annotations

import json
from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.line import Timing
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import HELLO, MNQ, START, after, ask, connected


@pytest.mark.parametrize("version", [0, 1, 2])
def test_the_handshake_takes_versions_0_to_2(simulator: Simulator, version: int) -> None:
    one, ear = connected(simulator, greeted=False)
    one.receive(json.dumps({"protocol": "json", "version": version}) + "\x1e")
    assert (ear.take(), one.state, one.version) == ([{}], "open", version)


@pytest.mark.parametrize(
    ("hello", "says"),
    [
        ('{"protocol":"messagepack","version":1}', "The protocol 'messagepack' is not supported."),
        ('{"protocol":"json","version":3}', "The server does not support version 3 of the 'json' protocol."),
        ('{"protocol":"json"}', "The server does not support version None of the 'json' protocol."),
        ('{"protocol":"json","version":true}', "The server does not support version True of the 'json' protocol."),
        ("nonsense", "Error reading JSON."),
        ("[]", "Error reading JSON."),
    ],
)
def test_another_handshake_is_refused(simulator: Simulator, hello: str, says: str) -> None:
    one, ear = connected(simulator, greeted=False)
    one.receive(hello + "\x1e")
    assert (ear.take(), ear.ended, one.sent.end) == ([{"error": says}], 1000, "handshake refused")
    assert simulator.connections == {}


def test_a_handshake_may_come_in_pieces_and_with_messages_behind_it(simulator: Simulator) -> None:
    one, ear = connected(simulator, greeted=False)
    text = (HELLO + ask("SubscribeContractTrades", MNQ)).encode()
    for n in range(len(text)):
        one.receive(text[n : n + 1])
    assert ear.take() == [{}, {"type": 3, "invocationId": "1", "result": None}]
    assert list(one.subscriptions) == [("trades", MNQ)]


def test_who_does_not_shake_hands_is_closed(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = connected(simulator, greeted=False)
    after(clock, 14.9)
    assert ear.ended is None
    after(clock, 0.1)
    assert (ear.ended, one.sent.end, ear.frames) == (1000, "handshake timeout", [])


@pytest.mark.parametrize(
    ("hub", "target", "arguments", "error"),
    [
        ("market", "Heartbeat", [], "HubException: Method does not exist."),
        ("user", "SubscribeContractTrades", [MNQ], "HubException: Method does not exist."),
        ("market", "subscribeContractTrades", [MNQ], "HubException: Method does not exist."),
        ("market", "SubscribeContractTrades", [], "Invocation provides 0 argument(s) but target expects 1."),
        ("market", "SubscribeContractTrades", [7], "Error binding arguments, str expected."),
        ("market", "SubscribeContractTrades", ["MNQ"], "Contract 'MNQ' not found."),
        ("user", "SubscribeOrders", ["1"], "Error binding arguments, int expected."),
        ("user", "SubscribeOrders", [True], "Error binding arguments, int expected."),
        ("user", "SubscribeOrders", [99], "Account '99' not found."),
    ],
)
def test_an_invocation_that_cannot_be_made_is_answered_with_an_error(
    simulator: Simulator, hub: str, target: str, arguments: list[Any], error: str
) -> None:
    one, ear = connected(simulator, hub)
    one.receive(ask(target, *arguments, id="7"))
    (answer,) = ear.take()
    assert answer.keys() == {"type", "invocationId", "error"}
    assert (answer["type"], answer["invocationId"]) == (3, "7")
    assert answer["error"].startswith(f"Failed to invoke '{target}' due to an error on the server. ")
    assert answer["error"].endswith(error)
    one.receive(ask(target, *arguments, id=None))
    assert (ear.take(), one.subscriptions, one.open) == ([], {}, True)


def test_subscriptions_are_a_connections_own_and_can_be_taken_back(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    other, elsewhere = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    simulator.trade("MNQ", (21_500.25, 2), (21_500.5, 1, 2))
    (event,) = ear.take()
    assert (event["type"], event["target"]) == (1, "GatewayTrade")
    contract, rows = event["arguments"]
    assert contract == MNQ
    assert rows == [
        {"symbolId": "F.US.MNQ", "price": 21_500.25, "timestamp": "2026-01-05T14:30:00.0000000+00:00", "type": 0, "volume": 2},
        {"symbolId": "F.US.MNQ", "price": 21_500.5, "timestamp": "2026-01-05T14:30:00.0000000+00:00", "type": 1, "volume": 1},
    ]
    one.receive(ask("UnsubscribeContractTrades", MNQ, id=None))
    one.receive(ask("UnsubscribeContractTrades", MNQ, id=None))
    simulator.trade("MNQ", (21_500.25, 2))
    simulator.trade("ES", (5_900.25, 2))
    assert ear.take() == elsewhere.take() == []
    assert one.sent.of("trades", MNQ).row() == {
        "messages": 1, "elements": 2, "volume": 3, "ticks": 86_001 * 2 + 86_002, "last_seq": 1
    }  # fmt: skip
    assert simulator.truth.traded[MNQ].elements == 3
    assert other.sent.messages == 1


def test_pings_come_when_nothing_else_did(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    after(clock, 10)
    simulator.trade("MNQ", (21_500.25, 1))
    ear.take()
    after(clock, 14.9)
    assert ear.take() == []
    one.receive('{"type":6}\x1e')
    after(clock, 0.1)
    assert ear.take() == [{"type": 6}]
    after(clock, 15)
    assert ear.take() == [{"type": 6}]
    assert one.open


def test_a_silent_client_is_closed(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = connected(simulator)
    after(clock, 29.9)
    one.receive('{"type":6}\x1e')
    after(clock, 29.9)
    assert one.open
    after(clock, 0.1)
    *_, close = ear.take()
    assert close == {
        "type": 7, "error": "Client hasn't sent a message/ping within the configured ClientTimeoutInterval."
    }  # fmt: skip
    assert ear.ended == 1000


def test_what_is_no_json_ends_the_connection(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.receive("{oops}\x1e")
    assert ear.take() == [{"type": 7, "error": "Connection closed with an error. Error reading JSON."}]
    assert not one.open
    one.receive('{"type":6}\x1e')
    one.send_raw(b"late")
    assert ear.frames == []


def test_a_record_without_end_ends_the_connection(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.receive(b"x" * ((1 << 20) + 1))
    assert ear.take() == [{"type": 7, "error": "A record must be at most 1048576 bytes."}]


def test_unknown_types_and_cancellations_are_let_pass(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.receive('{"type":99}\x1e{"type":5,"invocationId":"1"}\x1e{}\x1e')
    assert (ear.take(), one.open, len(one.received)) == ([], True, 3)


def test_a_client_may_be_called_and_owes_a_completion(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.invoke("Question", 1, "two", id="q")
    assert ear.take() == [{"type": 1, "target": "Question", "arguments": [1, "two"], "invocationId": "q"}]
    one.receive('{"type":3,"invocationId":"q","error":"no"}\x1e')
    assert one.results["q"]["error"] == "no"


def test_a_client_may_close(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.receive('{"type":7}\x1e')
    assert (ear.ended, one.sent.end) == (1000, "closed by the client")


def test_a_new_subscriber_gets_a_whole_quote_and_then_what_changed(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    simulator.trade("MNQ", (21_500.25, 2))
    one.receive(ask("SubscribeContractQuotes", MNQ))
    completion, event = ear.take()
    assert completion["type"] == 3
    contract, quote = event["arguments"]
    assert (contract, quote["symbol"], quote["symbolName"]) == (MNQ, "F.US.MNQ", "/MNQ")
    assert (quote["lastPrice"], quote["bestBid"], quote["bestAsk"], quote["volume"]) == (21_500.25, 21_500.0, 21_500.25, 2)
    simulator.trade("MNQ", (21_500.25, 3))
    simulator.trade("MNQ", (21_500.25, 3))
    ear.take()
    simulator.trade("MNQ", (21_500.5, 1))
    (event,) = ear.take()
    changed = event["arguments"][1]
    assert changed.keys() == {
        "symbol", "lastPrice", "bestBid", "bestAsk", "change", "high", "volume", "timestamp", "lastUpdated"
    }  # fmt: skip
    simulator.quote("MNQ", bestBid=21_499.75)
    (event,) = ear.take()
    assert event["arguments"][1]["bestBid"] == 21_499.75
    assert "bestAsk" not in event["arguments"][1]


@pytest.mark.parametrize("shape", ["list", "dict", "nested"])
def test_shapes(simulator: Simulator, shape: Any) -> None:
    one, ear = connected(simulator)
    for kind in ("Trades", "MarketDepth"):
        one.receive(ask(f"SubscribeContract{kind}", MNQ, id=None))
    ear.take()
    simulator.depth("MNQ", (6, 0.0, 0), (1, 21_500.5, 4), shape=shape)
    if shape == "dict":
        assert [type(event["arguments"][1]) for event in ear.take()] == [dict, dict]
    elif shape == "list":
        (event,) = ear.take()
        assert [row["type"] for row in event["arguments"][1]] == [6, 1]
    else:
        (event,) = ear.take()
        assert event["arguments"][0][0] == MNQ
        assert [row["volume"] for row in event["arguments"][0][1]] == [0, 4]


def test_a_script_may_be_for_a_time(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    simulator.trade("MNQ", (21_500.25, 1), at=START + 3 * SECOND)
    simulator.raw(b"{}\x1e", at=START + 4 * SECOND, connection=one.id)
    after(clock, 2.9)
    assert ear.take() == []
    after(clock, 0.1)
    (event,) = ear.take()
    assert event["arguments"][1][0]["timestamp"] == "2026-01-05T14:30:03.0000000+00:00"
    after(clock, 1)
    assert ear.take() == [{}]


def test_unknown_contracts_and_prices_off_the_grid_are_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match=r"contract must be one of CON\.F\.US\.MNQ\.H26, CON\.F\.US\.EP\.H26, got 'CL'"):
        simulator.trade("CL", (70.0, 1))
    with pytest.raises(ValueError, match="must be a multiple of"):
        simulator.trade("ESH26", (5_900.1, 1))
    assert simulator.contract("ESH6").id == simulator.contract("ES").id == "CON.F.US.EP.H26"


def test_the_user_hub_tells_of_accounts_orders_positions_and_fills(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = connected(simulator, "user")
    one.receive(ask("SubscribeAccounts", id=None))
    for noun in ("Orders", "Positions", "Trades"):
        one.receive(ask(f"Subscribe{noun}", 1, id=None))
    after(clock, 5)
    events = ear.take()
    assert [event["target"] for event in events] == [
        "GatewayUserOrder", "GatewayUserOrder", "GatewayUserTrade", "GatewayUserPosition", "GatewayUserAccount"
    ]  # fmt: skip
    for event in events:
        ((row,),) = event["arguments"]
        assert row.keys() == {"action", "data"}
        assert None not in row["data"].values()
    placed, filled = (event["arguments"][0][0]["data"] for event in events[:2])
    assert (placed["status"], filled["status"], placed["id"]) == (1, 2, filled["id"])
    assert filled["fillVolume"] == filled["size"]
    assert "limitPrice" not in filled
    simulator.event("orders", 1, {"id": 1}, {"id": 2})
    ((first, second),) = ear.take()[0]["arguments"]
    assert (first["data"], second["data"]) == ({"id": 1}, {"id": 2})
    assert one.sent.of("orders", "1").elements == 4
    with pytest.raises(ValueError, match="account must be one of 1, got 7"):
        simulator.event("orders", 7, {})


def test_money_and_positions_add_up(simulator: Simulator, clock: VirtualClock) -> None:
    one, ear = connected(simulator, "user")
    one.receive(ask("SubscribeAccounts", id=None))
    one.receive(ask("SubscribePositions", 1, id=None))
    one.receive(ask("SubscribeTrades", 1, id=None))
    lots: dict[str, int] = {}
    paid: dict[str, float] = {}
    made: dict[str, float] = {}
    profit = 0.0
    for n in range(200):
        simulator.trade("MNQ", (21_500 + n % 7 * 0.25, 1))
        simulator.trade("ES", (5_900 - n % 5 * 0.25, 1, 2))
        one.receive('{"type":6}\x1e')
        after(clock, 5)
        for event in ear.take():
            if event["type"] == 6:
                continue
            row = event["arguments"][0][0]["data"]
            if event["target"] == "GatewayUserTrade":
                lots[row["contractId"]] = lots.get(row["contractId"], 0) + row["size"] * (-1 if row["side"] else 1)
                profit += row.get("profitAndLoss", 0.0) - row["fees"]
                id, listed = row["contractId"], simulator.contract(row["contractId"])
                made[id] = made.get(id, 0.0) + row.get("profitAndLoss", 0.0) / listed.tick_value * listed.tick_size
                paid[id] = paid.get(id, 0.0) + row["price"] * row["size"] * (-1 if row["side"] else 1)
            elif event["target"] == "GatewayUserPosition":
                held = lots[row["contractId"]]
                assert (row["size"], row["type"]) == (abs(held), 1 if held > 0 else 2 if held < 0 else 0)
                # What was paid is what is held, at its average price, less what was made.
                assert made[id] == pytest.approx(held * row["averagePrice"] - paid[id], abs=1.0)
            else:
                assert row["balance"] == pytest.approx(50_000 + profit)
    assert set(lots) == set(simulator.markets)


def test_one_users_events_are_no_others(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, users={"simulator": "a", "other": "b"})
    one, ear = connected(simulator, "user")
    one.receive(ask("SubscribeOrders", 2))
    assert ear.take()[0]["error"].endswith("Account '2' not found.")
    one.receive(ask("SubscribeAccounts", id=None))
    simulator.event("accounts", 2, {"id": 2})
    simulator.event("accounts", 1, {"id": 1})
    assert [event["arguments"][0][0]["data"] for event in ear.take()] == [{"id": 1}]
    simulator.stop()


def test_the_truth_keeps_messages_as_they_were_sent(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, keep=2)
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    simulator.trade("MNQ", (21_500.25, 1))
    assert [kept.payload for kept in simulator.truth.kept] == ear.frames
    simulator.trade("MNQ", (21_500.25, 1))
    assert [kept.payload for kept in simulator.truth.kept] == ear.frames[-2:]
    assert {(kept.connection, kept.time) for kept in simulator.truth.kept} == {(one.id, START)}
    simulator.stop()


def test_what_a_dead_socket_still_held_is_counted_as_not_sent(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    simulator.trade("MNQ", (21_500.25, 1))
    ear.stuck = True
    simulator.trade("MNQ", (21_500.5, 2))
    ear.unsent = 1  # one byte of it is still here
    simulator.trade("MNQ", (21_500.75, 4))
    simulator.trade("MNQ", (21_501.0, 8))
    simulator.fault("drop")
    assert one.sent.of("trades", MNQ).volume == 15
    assert one.sent.reached("trades", MNQ) == {"messages": 1, "elements": 1, "volume": 1, "ticks": 86_001}


def test_what_went_out_to_its_last_byte_is_counted_as_sent(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    ear.stuck = True
    simulator.trade("MNQ", (21_500.25, 1), (21_500.5, 2), bunch=1)
    before = one.sent.bytes
    simulator.trade("MNQ", (21_500.75, 4))
    ear.unsent = one.sent.bytes - before
    simulator.fault("drop")
    assert one.sent.reached("trades", MNQ)["volume"] == 3


def test_short_waits_hold_from_the_handshake_on(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, timing=Timing(ping=SECOND, silence=3 * SECOND))
    one, ear = connected(simulator)
    after(clock, 2)
    assert ear.take() == [{"type": 6}, {"type": 6}]
    after(clock, 1)
    assert not one.open


def test_who_takes_nothing_is_cut_off_as_a_send_that_does_not_end_is(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock)
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    simulator.trade("MNQ", (21_500.25, 1))
    ear.stuck = True
    simulator.trade("MNQ", (21_500.5, 2))
    after(clock, 9)
    assert one.open
    after(clock, 1)
    assert (one.sent.end, ear.ended) == ("too slow: it took nothing for 10 s", "aborted")
    assert list(simulator.truth.unseen(MNQ)) == [(1, 1)]
    assert clock.next_due is None


def test_who_takes_little_is_not_cut_off_for_that(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, timing=Timing(send=3 * SECOND))
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    ear.stuck = True
    for _ in range(10):
        simulator.trade("MNQ", (21_500.5, 2))
        after(clock, 2)
        ear.unsent -= 1
    assert one.open
    after(clock, 3)  # it last took something up to a second before that was looked for
    assert one.open
    after(clock, 1)
    assert one.sent.end == "too slow: it took nothing for 3 s"


def test_who_takes_all_again_in_time_is_forgiven(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, timing=Timing(send=3 * SECOND))
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    for _ in range(3):
        ear.stuck = True
        simulator.trade("MNQ", (21_500.5, 2))
        after(clock, 2.5)
        ear.stuck, ear.unsent = False, 0
        after(clock, 1)
    assert one.open
    simulator.stop()


def test_for_nobody_more_waits_than_the_gateway_keeps(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, timing=Timing(buffer=1_000))
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    before, ear.stuck = one.sent.bytes, True
    while one.open:
        assert one.sent.bytes - before <= 1_000
        simulator.trade("MNQ", (21_500.5, 2))
    assert (one.sent.end, ear.ended) == ("too slow", "aborted")
    assert list(simulator.truth.unseen(MNQ)) == [(0, simulator.truth.traded[MNQ].last_seq)]


def test_a_market_at_full_speed_waits_before_that(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate="max", clock=clock, timing=Timing(buffer=1 << 19))
    one, ear = connected(simulator)
    ear.stuck = True
    simulator.start()
    one.receive(ask("SubscribeContractTrades", MNQ))
    after(clock, 1)
    assert one.open
    assert 1 << 18 <= ear.unsent < 1 << 19
    simulator.stop()
