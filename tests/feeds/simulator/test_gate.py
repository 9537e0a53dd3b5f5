"""What requests, upgrades and Subscribe calls get instead, each place by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.doors import Ticket
from rxfeed.feeds.simulator.http import Answer, Request
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import MNQ, START, after, ask, connected, deals, token

PATHS = {
    "login": "/api/Auth/loginKey", "validate": "/api/Auth/validate", "accounts": "/api/Account/search",
    "contracts": "/api/Contract/available", "history": "/api/History/retrieveBars", "negotiate": "/hubs/market/negotiate",
    "upgrade": "/hubs/market",
}  # fmt: skip


DAY = {"startTime": "2026-01-05T00:00:00Z", "endTime": "2026-01-06T00:00:00Z"}
BODIES: dict[str, Any] = {
    "login": {"userName": "simulator", "apiKey": "simulator"},
    "history": {"contractId": MNQ, "unit": 2, "unitNumber": 1, **DAY},
}


def sent(simulator: Simulator, place: str, hub: str = "market") -> Answer:
    """One request of a kind; an upgrade that is let in counts as 200."""
    path = PATHS[place].replace("market", hub)
    headers = {"authorization": f"Bearer {token(simulator)}"}
    if place == "upgrade":
        ticket = simulator.enter(Request("GET", path, {"access_token": token(simulator)}), hub)
        return ticket if isinstance(ticket, Answer) else Answer(200, wait=ticket.wait)
    body = BODIES.get(place, {"searchText": "MNQ"})
    return simulator.request(Request("POST", path, headers=headers, body=json.dumps(body).encode()))


def statuses(simulator: Simulator, hub: str = "market") -> dict[str, int]:
    return {place: sent(simulator, place, hub).status for place in PATHS}


@pytest.mark.parametrize("place", PATHS)
@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_a_status_is_of_one_place_and_so_often(simulator: Simulator, place: str, status: int) -> None:
    simulator.fault(f"{status}:{place}=2")
    assert statuses(simulator) == dict.fromkeys(PATHS, 200) | {place: status}
    assert statuses(simulator, "user") == dict.fromkeys(PATHS, 200) | {place: status}
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)


def test_places_that_hold_others(simulator: Simulator) -> None:
    simulator.fault("500:rest=5")
    assert statuses(simulator) == dict.fromkeys(PATHS, 500) | {"negotiate": 200, "upgrade": 200}
    simulator.fault("500:user=2")
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)
    assert statuses(simulator, "user") == dict.fromkeys(PATHS, 200) | {"negotiate": 500, "upgrade": 500}
    simulator.fault("500=7")
    assert statuses(simulator) == dict.fromkeys(PATHS, 500)
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)


@pytest.mark.parametrize(
    ("place", "code", "empty"),
    [
        ("login", 8, "token"),
        ("validate", 3, "newToken"),
        ("accounts", 1, "accounts"),
        ("contracts", 1, "contracts"),
        ("history", 1, "bars"),
    ],
)
def test_a_failure_is_a_success_of_http(simulator: Simulator, place: str, code: int, empty: str) -> None:
    simulator.fault(f"fail:{place}")
    for other in PATHS:
        answered = sent(simulator, other)
        assert answered.status == 200
        if other == place:
            told = {"success": False, "errorCode": code, "errorMessage": "A simulated failure.", empty: None}
            assert json.loads(answered.body) == told
        elif other != "upgrade" and other != "negotiate":
            assert json.loads(answered.body)["success"] is True
    assert json.loads(sent(simulator, place).body)["success"] is True


def test_a_failure_of_no_place_passes_by_what_has_no_envelope(simulator: Simulator) -> None:
    simulator.fault("fail")
    assert sent(simulator, "negotiate").status == sent(simulator, "upgrade").status == 200
    assert json.loads(simulator.request(Request("GET", "/api/Status/ping")).body) == "pong"
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    assert "error" not in ear.take()[0]
    assert json.loads(sent(simulator, "validate").body)["success"] is False


@pytest.mark.parametrize("place", PATHS)
def test_one_place_may_hang_for_a_while(simulator: Simulator, clock: VirtualClock, place: str) -> None:
    simulator.fault(f"hang:{place}=40s")
    after(clock, 39)
    assert statuses(simulator) == dict.fromkeys(PATHS, 200) | {place: 0}
    assert sent(simulator, place).hang == 600
    after(clock, 1)
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)


def test_a_hub_that_hangs_does_so_in_the_handshake(simulator: Simulator) -> None:
    simulator.fault("hang:market")
    simulator.fault("hang")
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)


@pytest.mark.parametrize("place", PATHS)
def test_one_place_may_be_slow_until_it_is_not(simulator: Simulator, clock: VirtualClock, place: str) -> None:
    simulator.fault(f"slow:{place}=3s")
    after(clock, 3_600)
    assert {one: sent(simulator, one).wait for one in PATHS} == dict.fromkeys(PATHS, 0.0) | {place: 3.0}
    assert sent(simulator, place).status == 200
    simulator.fault(f"slow:{place}=0s")
    assert sent(simulator, place).wait == 0


def test_everything_may_be_slow(simulator: Simulator) -> None:
    simulator.fault("slow=1500ms")
    simulator.fault("slow:rest=1s")
    assert {one: sent(simulator, one).wait for one in PATHS} == dict.fromkeys(PATHS, 1.5)
    simulator.fault("slow=0s")
    assert {one: sent(simulator, one).wait for one in PATHS} == dict.fromkeys(PATHS, 1.0) | {"negotiate": 0, "upgrade": 0}
    simulator.fault("slow")
    _, ear = listener(simulator)
    assert ear.take() == [{"type": 3, "invocationId": "1", "result": None}]


@pytest.mark.parametrize(
    ("place", "asked"),
    [
        ("", "upgrade"),
        ("", "login"),
        (":rest", "validate"),
        (":history", "history"),
        (":upgrade", "upgrade"),
        (":user", "negotiate"),
    ],
)
def test_what_is_refused_gets_no_answer_so_often(simulator: Simulator, place: str, asked: str) -> None:
    simulator.fault(f"refuse{place}=2")
    assert [sent(simulator, asked, "user").status for _ in range(3)] == [0, 0, 200]
    simulator.fault(f"refuse{place}")
    assert sent(simulator, asked, "user") == Answer(0)


@pytest.mark.parametrize(("fault", "status", "ended", "why"), [("outage", 0, "aborted", "outage"), ("down", 503, 1001, "down")])
def test_an_outage_ends_what_is_open_and_lets_nothing_in_until_it_is_over(
    simulator: Simulator, clock: VirtualClock, fault: str, status: int, ended: object, why: str
) -> None:
    one, ear = listener(simulator)
    user, other = connected(simulator, "user")
    simulator.fault(f"{fault}=1m")
    assert (ear.ended, other.ended, one.sent.end, user.sent.end) == (ended, ended, why, why)
    after(clock, 59)
    assert statuses(simulator) == dict.fromkeys(PATHS, status)
    after(clock, 1)
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)


def test_an_outage_may_be_of_one_hub_or_one_endpoint(simulator: Simulator) -> None:
    _, ear = listener(simulator)
    _, other = connected(simulator, "user")
    simulator.fault("outage:user")
    simulator.fault("down:history")
    assert (ear.ended, other.ended) == (None, "aborted")
    assert statuses(simulator) == dict.fromkeys(PATHS, 200) | {"history": 503}
    assert statuses(simulator, "user") == dict.fromkeys(PATHS, 200) | {"history": 503, "negotiate": 0, "upgrade": 0}


def test_an_hour_without_network(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.rate = 10
    one, ear = listener(simulator)
    simulator.fault("black-hole=1h")
    for _ in range(12):
        left = (START - clock.now) / SECOND + 3_600
        assert {place: sent(simulator, place).hang for place in PATHS} == dict.fromkeys(PATHS, left)
        after(clock, 300)
    assert statuses(simulator) == dict.fromkeys(PATHS, 200)
    assert (ear.take()[1:], ear.stranded, one.sent.end) == ([], True, "black-hole")
    # The market went on all the same.
    assert sum(totals.elements for totals in simulator.truth.traded.values()) > 35_000


# Subscribe


def listener(simulator: Simulator) -> tuple[Any, Any]:
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ))
    return one, ear


def test_a_subscribe_may_be_refused_once(simulator: Simulator) -> None:
    simulator.fault("fail:subscribe")
    one, ear = listener(simulator)
    (told,) = ear.take()
    assert (told["type"], told["invocationId"]) == (3, "1")
    assert told["error"].endswith("due to an error on the server. HubException: The subscription failed.")
    assert not one.subscriptions
    one.receive(ask("UnsubscribeContractTrades", MNQ))
    one.receive(ask("SubscribeContractTrades", MNQ))
    assert [("error" in event) for event in ear.take()] == [False, False]
    assert list(one.subscriptions) == [("trades", MNQ)]


def test_a_subscribe_may_be_lost(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.fault("hang:subscribe=10s")
    one, ear = listener(simulator)
    simulator.trade("MNQ", (21_500.0, 1))
    assert (ear.frames, dict(one.subscriptions)) == ([], {})
    one.receive(ask("UnsubscribeContractTrades", MNQ))
    assert len(ear.take()) == 1
    after(clock, 10)
    one.receive(ask("SubscribeContractTrades", MNQ))
    assert len(ear.take()) == 1


def test_a_completion_may_come_after_the_first_trades(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.fault("slow:subscribe=5s")
    one, ear = listener(simulator)
    simulator.trade("MNQ", (21_500.0, 1))
    assert [event["target"] for event in ear.take()] == ["GatewayTrade"]
    after(clock, 2)
    simulator.fault("slow:subscribe=0s")
    one.receive(ask("UnsubscribeContractTrades", MNQ, id="2"))  # no Completion overtakes another
    assert ear.frames == []
    after(clock, 3)
    assert [(event["type"], event["invocationId"]) for event in ear.take()] == [(3, "1"), (3, "2")]
    one.receive(ask("SubscribeContractTrades", MNQ, id="3"))
    assert [event["invocationId"] for event in ear.take()] == ["3"]


def test_a_completion_that_is_late_dies_with_its_connection(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.fault("slow:subscribe=5s")
    _, ear = listener(simulator)
    simulator.fault("drop")
    assert clock.next_due is None
    assert ear.frames == []


def test_a_late_answer_of_an_upgrade_is_a_ticket(simulator: Simulator) -> None:
    simulator.fault("slow:upgrade=5s")
    ticket = simulator.enter(Request("GET", "/hubs/market", {"access_token": token(simulator)}), "market")
    assert isinstance(ticket, Ticket)
    assert ticket.wait == 5.0


def test_trades_of_a_hub_that_answers_late_are_counted(simulator: Simulator) -> None:
    simulator.fault("slow:subscribe")
    one, ear = listener(simulator)
    simulator.trade("MNQ", (21_500.0, 1), (21_500.25, 2))
    assert [row["price"] for event in ear.take() for row in deals(event)[1]] == [21_500.0, 21_500.25]
    assert one.sent.of("trades", MNQ).elements == 2
