from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.http import Answer, Request
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import MNQ, START, connected, token


@pytest.fixture
def simulator(clock: VirtualClock) -> Iterator[Simulator]:
    simulator = Simulator(("MNQ", "NQ", "ESZ26"), rate=0, clock=clock, token_life="60s")
    yield simulator
    simulator.stop()


def ask(simulator: Simulator, path: str, body: Any = None, *, bearer: str | None = "", method: str = "POST") -> Answer:
    bearer = token(simulator) if bearer == "" else bearer
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return simulator.request(Request(method, path, {}, headers, data))


def told(simulator: Simulator, path: str, body: Any = None) -> dict[str, Any]:
    given = ask(simulator, path, body)
    assert given.status == 200
    return json.loads(given.body)


def test_login_gives_a_token_of_three_parts_that_says_when_it_ends(simulator: Simulator) -> None:
    given = ask(simulator, "/api/Auth/loginKey", {"userName": "simulator", "apiKey": "simulator"}, bearer=None)
    body = json.loads(given.body)
    assert (body["success"], body["errorCode"], body["errorMessage"]) == (True, 0, None)
    claims = jwt.decode(body["token"], options={"verify_signature": False})
    assert (claims["iat"], claims["exp"]) == (START // SECOND, START // SECOND + 60)
    assert jwt.get_unverified_header(body["token"])["alg"] == "HS256"
    assert ask(simulator, "/api/Account/search", bearer=body["token"]).status == 200


@pytest.mark.parametrize(("user", "key"), [("simulator", "wrong"), ("nobody", "simulator"), ("", "")])
def test_wrong_credentials_are_200_with_an_error(simulator: Simulator, user: str, key: str) -> None:
    given = ask(simulator, "/api/Auth/loginKey", {"userName": user, "apiKey": key}, bearer=None)
    assert given.status == 200
    assert json.loads(given.body) == {
        "token": None, "success": False, "errorCode": 3, "errorMessage": "Invalid credentials."
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"{", b"[]", {"userName": "simulator"}, {"userName": 1, "apiKey": 2}])
def test_a_login_that_is_none_is_400(simulator: Simulator, body: Any) -> None:
    assert ask(simulator, "/api/Auth/loginKey", body, bearer=None).status == 400


def test_a_token_lasts_as_long_as_it_says(simulator: Simulator, clock: VirtualClock) -> None:
    mine = token(simulator)
    clock.advance_to(START + 60 * SECOND - 1)
    assert ask(simulator, "/api/Account/search", bearer=mine).status == 200
    fresh = json.loads(ask(simulator, "/api/Auth/validate", bearer=mine).body)["newToken"]
    clock.advance_to(START + 60 * SECOND)
    late = ask(simulator, "/api/Account/search", bearer=mine)
    assert (late.status, late.body) == (401, b"")
    assert ask(simulator, "/api/Auth/validate", bearer=mine).status == 401
    assert ask(simulator, "/api/Account/search", bearer=fresh).status == 200
    for place in ({"access_token": mine}, {}):
        upgrade = Request("GET", "/hubs/market", place, {"authorization": f"Bearer {mine}"})
        refused = simulator.enter(upgrade, "market")
        assert isinstance(refused, Answer)
        assert refused.status == 401
        assert simulator.request(Request("POST", "/hubs/market/negotiate", place)).status == 401


def test_a_token_that_is_not_ours_is_401(simulator: Simulator) -> None:
    head, claims, signature = token(simulator).split(".")
    forged = jwt.encode({"sub": "simulator", "exp": 9_999_999_999, "jti": "1"}, "x" * 32, algorithm="HS256")
    unsigned = jwt.encode({"sub": "simulator", "exp": 9_999_999_999, "jti": "1"}, None, algorithm="none")
    for bad in (None, "x", f"{head}.{claims}.", f"{head}.{claims}x.{signature}", forged, unsigned):
        assert ask(simulator, "/api/Account/search", bearer=bad).status == 401


def test_the_header_is_the_only_place_for_a_token_of_rest(simulator: Simulator) -> None:
    request = Request("POST", "/api/Account/search", {"access_token": token(simulator)})
    assert simulator.request(request).status == 401


def test_logout_ends_the_session_and_its_connections(simulator: Simulator) -> None:
    one, ear = connected(simulator)
    other, elsewhere = connected(simulator)
    assert json.loads(ask(simulator, "/api/Auth/logout", bearer=one.token).body)["success"] is True
    assert [(event["type"], event.get("target")) for event in ear.take()] == [(1, "GatewayLogout"), (7, None)]
    assert (ear.ended, elsewhere.ended, other.open) == (1000, None, True)
    assert ask(simulator, "/api/Account/search", bearer=one.token).status == 401
    assert ask(simulator, "/api/Account/search", bearer=other.token).status == 200


def test_accounts_are_simulated(simulator: Simulator) -> None:
    assert told(simulator, "/api/Account/search", {"onlyActiveAccounts": True})["accounts"] == [
        {"id": 1, "name": "SIM-0001", "balance": 50_000.0, "canTrade": True, "isVisible": True, "simulated": True}
    ]


def test_contracts_are_found_by_text_and_by_id(simulator: Simulator) -> None:
    def names(body: dict[str, Any]) -> list[str]:
        return [row["name"] for row in body["contracts"]]

    assert names(told(simulator, "/api/Contract/search", {"searchText": "nq", "live": False})) == ["MNQH6", "NQH6"]
    assert names(told(simulator, "/api/Contract/search", {"searchText": "XYZ", "live": False})) == []
    assert names(told(simulator, "/api/Contract/search", {})) == ["MNQH6", "NQH6", "ESZ6"]
    assert names(told(simulator, "/api/Contract/available", {"live": False})) == ["MNQH6", "NQH6"]
    row = told(simulator, "/api/Contract/searchById", {"contractId": "CON.F.US.ENQ.H26"})["contract"]
    assert row == {
        "id": "CON.F.US.ENQ.H26", "name": "NQH6", "description": "E-mini NASDAQ-100: March 2026 (simulated)",
        "tickSize": 0.25, "tickValue": 5.0, "activeContract": True, "symbolId": "F.US.ENQ",
    }  # fmt: skip
    missing = told(simulator, "/api/Contract/searchById", {"contractId": "CON.F.US.NQ.H26"})
    assert (missing["success"], missing["errorCode"], missing["contract"]) == (False, 1, None)


def test_ping_needs_no_token(simulator: Simulator) -> None:
    assert ask(simulator, "/api/Status/ping", bearer=None, method="GET").body == b'"pong"'
    assert ask(simulator, "/api/Status/ping", bearer=None).status == 405


def test_other_paths_and_methods(simulator: Simulator) -> None:
    assert ask(simulator, "/api/Nothing").status == 404
    assert ask(simulator, "/hubs/other/negotiate").status == 404
    assert ask(simulator, "/api/Account/search", method="GET").status == 405
    assert ask(simulator, "/hubs/market/negotiate", method="GET").status == 405
    assert ask(simulator, "/api/Account/search", b"{oops").status == 400


BARS = {
    "contractId": MNQ, "live": False, "startTime": "2026-01-05T14:00:00Z", "endTime": "2026-01-05T15:00:00+00:00", "unit": 1,
    "unitNumber": 1, "limit": 100, "includePartialBar": True,
}  # fmt: skip


def test_bars_are_of_the_trades_newest_first(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.trade("MNQ", (21_500.25, 1), (21_502.0, 2), (21_499.0, 3), (21_500.0, 4))
    clock.advance_to(START + 61 * SECOND)
    simulator.trade("MNQ", (21_501.0, 5))
    seconds = told(simulator, "/api/History/retrieveBars", BARS)["bars"]
    assert seconds == [
        {"t": "2026-01-05T14:31:01+00:00", "o": 21_501.0, "h": 21_501.0, "l": 21_501.0, "c": 21_501.0, "v": 5},
        {"t": "2026-01-05T14:30:00+00:00", "o": 21_500.25, "h": 21_502.0, "l": 21_499.0, "c": 21_500.0, "v": 10},
    ]
    whole = told(simulator, "/api/History/retrieveBars", BARS | {"includePartialBar": False})["bars"]
    assert whole == seconds[1:]
    (hour,) = told(simulator, "/api/History/retrieveBars", BARS | {"unit": 3})["bars"]
    assert hour == {"t": "2026-01-05T14:00:00+00:00", "o": 21_500.25, "h": 21_502.0, "l": 21_499.0, "c": 21_501.0, "v": 15}
    assert told(simulator, "/api/History/retrieveBars", BARS | {"unit": 3, "includePartialBar": False})["bars"] == []
    assert told(simulator, "/api/History/retrieveBars", BARS | {"limit": 1})["bars"] == seconds[:1]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"contractId": "MNQ"}, 1), ({"unit": 7}, 2), ({"unit": "1"}, 2), ({"unitNumber": 0}, 3), ({"limit": 0}, 4)],
)
def test_bars_that_cannot_be_had(simulator: Simulator, change: dict[str, Any], code: int) -> None:
    body = told(simulator, "/api/History/retrieveBars", BARS | change)
    assert (body["success"], body["errorCode"], body["bars"]) == (False, code, None)


def test_a_time_that_is_none_is_400(simulator: Simulator) -> None:
    assert ask(simulator, "/api/History/retrieveBars", BARS | {"startTime": "soon"}).status == 400
    assert ask(simulator, "/api/History/retrieveBars", BARS | {"endTime": None}).status == 400


def test_history_takes_30_requests_in_30_seconds_and_the_rest_200_in_60(simulator: Simulator, clock: VirtualClock) -> None:
    for n in range(30):
        clock.advance_to(START + n * SECOND // 2)
        assert ask(simulator, "/api/History/retrieveBars", BARS).status == 200
    refused = ask(simulator, "/api/History/retrieveBars", BARS)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "16")
    clock.advance_to(START + 30 * SECOND - 1)
    assert ask(simulator, "/api/History/retrieveBars", BARS).headers["Retry-After"] == "1"
    clock.advance_to(START + 30 * SECOND)
    assert ask(simulator, "/api/History/retrieveBars", BARS).status == 200
    assert ask(simulator, "/api/History/retrieveBars", BARS).status == 429
    statuses = [ask(simulator, "/api/Account/search").status for _ in range(201)]
    assert statuses == [200] * 200 + [429]
    assert ask(simulator, "/api/Contract/search", {}).headers["Retry-After"] == "60"


def test_limits_can_be_left_out(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, limits=False)
    assert {ask(simulator, "/api/History/retrieveBars", BARS).status for _ in range(100)} == {200}


def test_negotiation(simulator: Simulator, clock: VirtualClock) -> None:
    mine = token(simulator)

    def negotiate(**query: str) -> dict[str, Any]:
        return json.loads(simulator.request(Request("POST", "/hubs/market/negotiate", {"access_token": mine, **query})).body)

    def enter(id: str, hub: str = "market") -> Any:
        return simulator.enter(Request("GET", f"/hubs/{hub}", {"access_token": mine, "id": id}), hub)

    zero, one = negotiate(), negotiate(negotiateVersion="1")
    assert zero["negotiateVersion"] == 0
    assert "connectionToken" not in zero
    assert one["connectionToken"] != one["connectionId"]
    assert one["availableTransports"] == [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]
    assert enter(zero["connectionId"]).id == zero["connectionId"]
    assert enter(one["connectionId"]).status == 404
    assert enter(one["connectionToken"], "user").status == 404
    ticket = enter(one["connectionToken"])
    assert ticket.id == one["connectionId"]
    assert enter(one["connectionToken"]).status == 409
    simulator.leave(ticket)
    assert enter(one["connectionToken"]).status == 404
    late = negotiate(negotiateVersion="1")["connectionToken"]
    clock.advance_to(START + 59 * SECOND)
    mine = token(simulator)
    clock.advance_to(START + 60 * SECOND)
    assert enter(late).status == 404
