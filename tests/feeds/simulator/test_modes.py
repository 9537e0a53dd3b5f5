"""How many sessions a user may have, and what becomes of connections whose token is no longer good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.doors import Ticket
from rxfeed.feeds.simulator.http import Answer, Request
from rxfeed.feeds.simulator.line import Timing
from rxfeed.feeds.simulator.modes import Sessions
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import HELLO, Ear, after

USERS = {"ann": "1", "ben": "2"}
LOGOUT = [(1, "GatewayLogout"), (7, None)]


@pytest.fixture
def simulator(clock: VirtualClock) -> Iterator[Simulator]:
    timing = Timing(3_600 * SECOND, 3_600 * SECOND)
    simulator = Simulator(("MNQ",), rate=0, clock=clock, users=USERS, token_life="60s", timing=timing)
    simulator.start()
    yield simulator
    simulator.stop()
    assert clock.next_due is None


def post(simulator: Simulator, endpoint: str, token: str | None = None, **body: Any) -> Answer:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return simulator.request(Request("POST", f"/api/{endpoint}", headers=headers, body=json.dumps(body).encode()))


def login(simulator: Simulator, user: str = "ann") -> str:
    return json.loads(post(simulator, "Auth/loginKey", userName=user, apiKey=USERS[user]).body)["token"]


def refreshed(simulator: Simulator, token: str) -> str:
    return json.loads(post(simulator, "Auth/validate", token).body)["newToken"]


def good(simulator: Simulator, token: str) -> bool:
    return post(simulator, "Account/search", token).status == 200


def enter(simulator: Simulator, token: str, hub: str = "market") -> Ticket | Answer:
    return simulator.enter(Request("GET", f"/hubs/{hub}", {"access_token": token}), hub)


def connected(simulator: Simulator, token: str, hub: str = "market", *, greeted: bool = True) -> Ear:
    ticket = enter(simulator, token, hub)
    assert isinstance(ticket, Ticket)
    ear = Ear()
    one = simulator.connect(ticket, ear)  # type: ignore[arg-type]
    if greeted:
        one.receive(HELLO)
        ear.take()
    return ear


def events(ear: Ear) -> list[tuple[int, str | None]]:
    return [(event["type"], event.get("target")) for event in ear.heard]


HOW = {"drop": ("aborted", []), "close": (1000, [(7, None)]), "logout": (1000, LOGOUT), "keep": (None, [])}


def test_two_tokens_are_good_at_once_unless_it_is_said_otherwise(simulator: Simulator) -> None:
    old = login(simulator)
    ear = connected(simulator, old)
    new = refreshed(simulator, old)
    assert (good(simulator, old), good(simulator, new), ear.ended) == (True, True, None)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("delay", ["", "=2s"])
def test_only_the_newest_token_is_good(simulator: Simulator, clock: VirtualClock, how: str, delay: str) -> None:
    simulator.sessions = ("newest" if how == "keep" else f"newest-{how}") + delay
    old, other = login(simulator), login(simulator, "ben")
    ears = [connected(simulator, old), connected(simulator, old, "user")]
    elsewhere = connected(simulator, other)
    new = refreshed(simulator, old)
    assert [good(simulator, token) for token in (old, new, other)] == [False, True, True]
    late = connected(simulator, new)
    if delay:
        assert [ear.ended for ear in ears] == [None, None]
        after(clock, 2)
    assert [(ear.ended, events(ear)) for ear in ears] == [HOW[how], HOW[how]]
    assert (elsewhere.ended, late.ended) == (None, None)
    newer = login(simulator)
    assert [good(simulator, token) for token in (old, new, newer, other)] == [False, False, True, True]
    if delay:
        after(clock, 2)
    assert late.ended == HOW[how][0]


@pytest.mark.parametrize("how", ["", "-drop", "-close", "-logout"])
@pytest.mark.parametrize("delay", ["", "=2s"])
def test_one_connection_to_each_hub(simulator: Simulator, clock: VirtualClock, how: str, delay: str) -> None:
    simulator.sessions = f"one{how}{delay}"
    token = login(simulator)
    user, ben = connected(simulator, token, "user"), connected(simulator, login(simulator, "ben"))
    first = connected(simulator, token)
    second = connected(simulator, token, greeted=False)
    after(clock, 3)
    assert first.ended is None
    next(one for one in reversed(simulator.connections.values())).receive(HELLO)  # now it is a session
    if delay:
        after(clock, 1.999)
        assert first.ended is None
        after(clock, 0.001)
    assert (first.ended, events(first)) == HOW[how[1:] or "close"]
    assert (second.ended, user.ended, ben.ended) == (None, None, None)


def test_a_second_connection_may_be_refused(simulator: Simulator) -> None:
    simulator.sessions = "one-refuse"
    token = login(simulator)
    first = connected(simulator, token)
    assert enter(simulator, token) == Answer(403)
    assert isinstance(enter(simulator, token, "user"), Ticket)
    assert isinstance(enter(simulator, login(simulator, "ben")), Ticket)
    assert first.ended is None
    simulator.fault("drop")
    assert isinstance(enter(simulator, token), Ticket)


def test_who_left_before_the_time_is_not_ended_again(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.sessions = "one-logout=2s"
    token = login(simulator)
    first = connected(simulator, token)
    connected(simulator, token)
    simulator.fault("drop")
    assert (first.ended, clock.next_due) == ("aborted", None)
    after(clock, 3)
    assert first.frames == []


@pytest.mark.parametrize("how", HOW)
def test_a_token_may_run_out_while_its_connection_is_open(simulator: Simulator, clock: VirtualClock, how: str) -> None:
    simulator.expiry = how
    after(clock, 0.5)  # tokens count whole seconds
    token = login(simulator)
    after(clock, 10)
    ear, user = connected(simulator, token), connected(simulator, token, "user")
    after(clock, 5)
    late = connected(simulator, refreshed(simulator, token))
    after(clock, 44.499)
    assert (good(simulator, token), ear.ended, user.ended) == (True, None, None)
    for one in (ear, user):
        one.take()
    after(clock, 0.001)
    assert not good(simulator, token)
    ended = [(one.ended, events(one)) for one in (ear, user)]
    assert ended == [HOW[how], HOW[how]]
    assert late.ended is None


def test_expiry_follows_the_servers_clock_and_may_be_set_at_any_time(simulator: Simulator, clock: VirtualClock) -> None:
    ear = connected(simulator, login(simulator))
    simulator.expiry = "drop"
    simulator.fault("skew=-30s")
    after(clock, 60)
    assert ear.ended is None
    simulator.fault("skew=0s")
    after(clock, 0.001)
    assert ear.ended == "aborted"
    other = connected(simulator, login(simulator))
    simulator.expiry = "keep"
    after(clock, 29)
    other.frames.clear()
    after(clock, 0.5)
    assert (other.ended, clock.next_due is None) == (None, False)
    simulator.fault("drop")
    assert clock.next_due is None


@pytest.mark.parametrize("how", HOW)
def test_all_tokens_may_expire_at_once(simulator: Simulator, how: str) -> None:
    token = login(simulator)
    ears = [connected(simulator, token), connected(simulator, login(simulator, "ben"), "user")]
    simulator.fault("expire" if how == "keep" else f"expire-{how}")
    assert not good(simulator, token)
    assert [(ear.ended, events(ear)) for ear in ears] == [HOW[how], HOW[how]]
    assert good(simulator, login(simulator))


@pytest.mark.parametrize(
    ("text", "sessions"),
    [
        ("many", Sessions()),
        ("newest", Sessions("newest")),
        (" newest-logout=1500ms ", Sessions("newest", "logout", 1_500_000_000)),
        ("one", Sessions("one", "close")),
        ("one-refuse", Sessions("one", "refuse")),
        ("one-drop=2m", Sessions("one", "drop", 120 * SECOND)),
    ],
)
def test_sessions_are_read_from_text_and_written_again(text: str, sessions: Sessions) -> None:
    assert Sessions.parse(text) == sessions
    assert Sessions.parse(str(sessions)) == sessions
    assert len(str(sessions)) <= 21


@pytest.mark.parametrize(
    "text", ["", "two", "many-drop", "many=2s", "newest-refuse", "one-keep", "one=", "one=soon", "oneclose"]
)
def test_what_are_no_sessions_is_refused(simulator: Simulator, text: str) -> None:
    with pytest.raises(ValueError, match="sessions must"):
        simulator.sessions = text
    with pytest.raises(ValueError, match="sessions must"):
        Simulator(("MNQ",), sessions=text)


def test_what_is_no_expiry_is_refused(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="expiry must be one of keep, drop, close, logout, got 'stay'"):
        simulator.expiry = "stay"
    with pytest.raises(ValueError, match="expiry must be one of"):
        Simulator(("MNQ",), expiry="stay")
    assert (simulator.expiry, simulator.sessions) == ("keep", "many")
