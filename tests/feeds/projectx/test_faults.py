"""Each fault of the simulator: which event, which log line and which recovery somebody gets who is subscribed to trades."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import pytest
from loguru import logger

from rxfeed.errors import ConnectionLost, FeedError, GatewayRefused, LoginRefused, TokenRefused, TooManyRequests, Unreachable
from rxfeed.feeds.projectx import deployment
from rxfeed.feeds.simulator.faults import FAULTS
from rxfeed.model import Tick
from tests.feeds.projectx.world import HOST, Heard, World, live

HUB = f"http://{HOST}/hubs/market"
CONNECTED = f"INFO connected to {HUB}"


class Loss(NamedTuple):
    """The stream ends with `ConnectionLost`; subscribing again mends it."""

    cause: str
    text: str
    allow_reconnect: bool | None = None


class Passes(NamedTuple):
    """The stream goes on; every trade that was sent arrives."""

    undecoded: int = 0
    log: str | None = None


LOST = "the connection to " + HUB
OPEN: dict[str, Loss | Passes] = {
    "drop": Loss("dropped", f"{LOST} was cut off, with no word of goodbye"),
    "close": Loss("closed", f"{HUB} closed the connection (we may reconnect)", True),
    "close-error": Loss("closed", f"{HUB} closed the connection: Connection closed with an error. (we may reconnect)", True),
    "close-final": Loss(
        "closed", f"{HUB} closed the connection: Connection closed with an error. (we shall not reconnect)", False
    ),
    "end": Loss("dropped", f"{LOST} was closed by the server (1001 going away)"),
    "end=1009": Loss("dropped", f"{LOST} was closed by the server (1009 message too big)"),
    "half-open": Loss("silent", f"{LOST} was silent for 30 s"),
    "black-hole": Loss("silent", f"{LOST} was silent for 30 s"),
    "mute": Loss("silent", f"{LOST} was silent for 30 s"),
    "logout": Loss("logout", f"{HUB} ended the session (GatewayLogout)"),
    "silence=60s": Passes(),
    "no-pings": Passes(),
    "split": Passes(),
    "join": Passes(),
    "malformed": Passes(1, "WARNING GatewayTrade cannot be read: Input data was truncated"),
    "malformed=25": Passes(25, "WARNING and 22 more like this in 60 s: GatewayTrade cannot be read"),
    "unknown": Passes(),
    "huge": Passes(),
    "duplicate": Passes(),
    "reorder": Passes(),
    "burst": Passes(),
    "skew": Passes(),
    "skew=-1h": Passes(),
    "hang": Passes(),
    "expire": Passes(),
    "redirect": Passes(),
} | {f"{code}": Passes() for code in (401, 404, 429, 500, 503)}


class Refusal(NamedTuple):
    """Nothing is subscribed to: one error, and as many logins as it says."""

    error: type[FeedError]
    text: str


BEFORE: dict[str, Refusal | None] = {
    "401:market": Refusal(TokenRefused, f"{HUB} does not take this token (HTTP 401"),
    "404:market": Refusal(GatewayRefused, f"{HUB} refused "),
    "429:market": Refusal(TooManyRequests, f"{HUB} wants fewer connections (HTTP 429)"),
    "500:market": Refusal(GatewayRefused, f"{HUB} refused "),
    "503:market": Refusal(GatewayRefused, f"{HUB} refused "),
    "hang:market": Refusal(Unreachable, f"{HUB} did not answer the handshake in 15 s"),
    "black-hole:market=60s": Refusal(Unreachable, f"{HUB}"),
    "401:rest": Refusal(LoginRefused, "does not let this user in with this key (HTTP 401)"),
    "503:rest=99": Refusal(GatewayRefused, "Auth/loginKey answered HTTP 503"),
    "429:rest": None,
    "500:rest": None,
    "503:rest": None,
    "redirect": None,
}


SIMULATOR_ONLY = {
    "expire-drop", "expire-close", "expire-logout", "outage", "down", "refuse", "slow", "fail", "holes", "blank",
    "late", "wrong", "no-seconds", "back",
}  # fmt: skip
"""Faults of which only the simulator's side is tested so far (tests/feeds/simulator): what a client should make of them is
the supervisor's and the tokens' to say. Each moves to a table above as soon as that is there."""


@contextmanager
def logged() -> Generator[list[str], None, None]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line).strip()), format="{level} {message}")
    try:
        yield lines
    finally:
        logger.remove(sink)


def sent(world: World) -> int:
    """How many trades went out to anybody."""
    connections = world.simulator.truth.connections.values()
    return sum(one.reached("trades", world.id("MNQ"))["elements"] for one in connections)


def test_no_fault_is_forgotten() -> None:
    named = {name.partition("=")[0].partition(":")[0] for name in (*OPEN, *BEFORE)}
    assert named | SIMULATOR_ONLY == set(FAULTS)
    assert not named & SIMULATOR_ONLY


@pytest.mark.parametrize("fault", OPEN)
def test_a_fault_of_an_open_connection(fault: str) -> None:
    expected = OPEN[fault]

    async def use(world: World) -> None:
        with logged() as lines:
            first = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(5)
            world.simulator.fault(fault)
            await asyncio.sleep(60)
            ticks: list[Tick] = list(first.items)
            if isinstance(expected, Passes):
                assert first.error is None
                log = [] if expected.log is None else [expected.log]
                assert lines == [CONNECTED, *log] or (lines[0] == CONNECTED and lines[-1:] == log)
            else:
                assert isinstance(first.error, ConnectionLost)
                assert (first.error.cause, str(first.error), first.error.allow_reconnect) == expected
                assert lines == [CONNECTED, f"WARNING {expected.text}"]
                again = Heard(world.gateway.trades("MNQ"))
                await asyncio.sleep(5)
                world.simulator.rate = 0
                await asyncio.sleep(1)
                assert len(again.items) > 30
                assert lines[2:] == [CONNECTED]
                ticks = first.items + again.items
                assert again.error is None
            world.simulator.rate = 0
            await asyncio.sleep(1)
            ticks = first.items if isinstance(expected, Passes) else ticks
            assert len(ticks) == sent(world) > 50
            assert [tick.seq for tick in ticks] == list(range(1, len(ticks) + 1))
            assert world.gateway.stats.undecoded == (expected.undecoded if isinstance(expected, Passes) else 0)
            assert world.gateway.stats.logins == (2 if fault == "logout" else 1)
            world.network.cut(HOST)
            world.network.heal(HOST)

    live(use, rate=20)


@pytest.mark.parametrize("negotiate", [False, True])
@pytest.mark.parametrize("fault", BEFORE)
def test_a_fault_before_the_connection(fault: str, negotiate: bool) -> None:
    expected = BEFORE[fault]

    async def use(world: World) -> None:
        with logged() as lines:
            world.simulator.fault(fault)
            heard = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(60)
            if expected is None:
                assert heard.error is None
                assert len(heard.items) > 50
                assert lines[-1] == CONNECTED
                return
            assert type(heard.error) is expected.error
            assert expected.text in str(heard.error)
            assert world.gateway.stats.logins == 1
            assert world.gateway.stats.market.connections == 0
            assert len(lines) <= 5
            # What could be asked for again is asked for again, with a new token where the old one was refused.
            if heard.error is not None and not heard.error.permanent and fault != "503:rest=99":  # type: ignore
                again = Heard(world.gateway.trades("MNQ"))
                await asyncio.sleep(5)
                assert again.error is None
                assert len(again.items) > 30
                assert world.gateway.stats.logins == (2 if expected.error is TokenRefused else 1)

    at = msgspec.structs.replace(deployment(f"http://{HOST}"), negotiate=negotiate)
    live(use, rate=20, gateway={"deployment": at})
