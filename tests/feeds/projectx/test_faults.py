"""Each fault of the simulator: which event, which log line and which recovery somebody gets who is subscribed to trades."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import pytest
from loguru import logger

from rxfeed import operators as ops
from rxfeed.errors import (
    ConnectionLost,
    FeedError,
    GatewayRefused,
    InvocationFailed,
    LoginRefused,
    TokenRefused,
    TooManyRequests,
    Unreachable,
)
from rxfeed.events import Event, Lost, NotRepaired, Repaired, Retrying, TokenChanged
from rxfeed.feeds.projectx import deployment
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.simulator.faults import FAULTS
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import SECOND
from tests.feeds.projectx.world import HOST, Heard, World, around, live

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
    "silence=35s": Passes(),
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
    "refuse": Passes(),
    "slow": Passes(),
    "fail": Passes(),
    "holes": Passes(),
    "blank": Passes(),
    "late": Passes(),
    "wrong": Passes(),
    "no-seconds": Passes(),
    "back": Passes(),
    "expire-drop": Loss("dropped", f"{LOST} was cut off, with no word of goodbye"),
    "expire-close": Loss("closed", f"{HUB} closed the connection (we may reconnect)", True),
    "expire-logout": Loss("logout", f"{HUB} ended the session (GatewayLogout)"),
    "outage=30s": Loss("dropped", f"{LOST} was cut off, with no word of goodbye"),
    "down=30s": Loss("dropped", f"{LOST} was closed by the server (1001 going away)"),
} | {f"{code}": Passes() for code in (401, 404, 429, 500, 503)}


UNANSWERED = f"http://{HOST}:80 closed the connection and answered nothing"


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
    "refuse:market": Refusal(Unreachable, UNANSWERED),
    "outage:market=10s": Refusal(Unreachable, UNANSWERED),
    "down:market=10s": Refusal(GatewayRefused, f"{HUB} refused "),
    "refuse:rest": None,
    "fail:login": Refusal(GatewayRefused, "Auth/loginKey refused (errorCode 8): A simulated failure."),
    "fail:subscribe": Refusal(InvocationFailed, "SubscribeContractTrades"),
    "slow=5s": None,
}


LONG = {"slow=5s": 40, "malformed=25": 65, "hang:market": 60, "black-hole:market=60s": 80}
"""Seconds that a test must wait."""


class Costs(NamedTuple):
    """A fault costs the connection; with `reconnect` the stream goes on over another, and Gaps hold all that did not come."""

    loss: Loss
    tries: tuple[str, ...] = ()
    """Why attempts failed."""
    logins: int = 1
    told: str = "Lost Gapped {tries} Connected Gapped"


DROPPED = OPEN["drop"]
assert isinstance(DROPPED, Loss)
HANDSHAKE = f"{HUB} did not answer the handshake in 15 s"
SUBSCRIBE = f"SubscribeContractTrades was not answered in 15 s by {HUB}"
TOKEN = f"{HUB} does not take this token (HTTP 401)"
REFUSED = f"{HUB} refused a WebSocket"
AGAIN: dict[str, Costs] = {fault: Costs(loss) for fault, loss in OPEN.items() if isinstance(loss, Loss)}
AGAIN |= {fault: AGAIN[fault]._replace(logins=2) for fault in ("logout", "expire-logout")}
AGAIN |= {fault: AGAIN[fault]._replace(tries=(TOKEN,), logins=2) for fault in ("expire-drop", "expire-close")}
AGAIN["outage=30s"] = AGAIN["outage=30s"]._replace(tries=(UNANSWERED,) * 5)
AGAIN["down=30s"] = AGAIN["down=30s"]._replace(tries=(f"{REFUSED} (HTTP 503)",) * 5)
AGAIN |= {
    f"drop {more}": Costs(DROPPED, tries, logins)
    for more, tries, logins in (
        ("refuse=3", (UNANSWERED,) * 3, 1),
        ("hang:market=20s", (HANDSHAKE,) * 2, 1),
        ("hang:subscribe=20s", (SUBSCRIBE,) * 2, 1),
        ("fail:subscribe", (), 1),
        ("slow=5s", (), 1),
        ("redirect", (), 1),
        ("401:market", (TOKEN,), 2),
        ("404:market=2", (f"{REFUSED} (HTTP 404)",) * 2, 1),
        ("429:market", (f"{HUB} wants fewer connections (HTTP 429)",), 1),
        ("500:market", (f"{REFUSED} (HTTP 500)",), 1),
        ("503:market=3", (f"{REFUSED} (HTTP 503)",) * 3, 1),
    )
}
# Trades come before the Completion of their Subscribe: with the first a gap ends, and if the attempt fails another begins.
AGAIN["drop slow:subscribe=5s"] = Costs(DROPPED, told="Lost Gapped Gapped Connected")
AGAIN["drop slow:subscribe=20s slow:subscribe=0s@30s"] = Costs(
    DROPPED, (SUBSCRIBE,) * 2, told="Lost Gapped Gapped Gapped Retrying Gapped Gapped Retrying Connected Gapped"
)
AGAIN["drop slow:subscribe=20s slow:subscribe=0s@18s drop@5s"] = Costs(
    DROPPED, (DROPPED.text, SUBSCRIBE), told="Lost Gapped Gapped Gapped Retrying Gapped Gapped Retrying Connected Gapped"
)

REPAIRS: dict[str, type[Event]] = {
    "holes=100": NotRepaired, "blank@1s": Repaired, "late=2m": Repaired, "wrong=100": Repaired, "no-seconds=2m": Repaired,
    "503:history=2": Repaired, "fail:history=2": NotRepaired, "slow:history=20s": Repaired, "hang:history=20s": Repaired,
}  # fmt: skip
"""What becomes of the gap of a drop 2 s later, where history has a fault."""


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
    assert {name.partition("=")[0] for name in OPEN} == set(FAULTS)


@pytest.mark.parametrize("fault", OPEN)
def test_a_fault_of_an_open_connection(fault: str) -> None:
    expected = OPEN[fault]

    async def use(world: World) -> None:
        with logged() as lines:
            first = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(5)
            world.simulator.fault(fault)
            await asyncio.sleep(LONG.get(fault, 40))
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
            assert world.gateway.stats.logins == (1 if isinstance(expected, Passes) else AGAIN[fault].logins)
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
            await asyncio.sleep(LONG.get(fault, 20))
            if expected is None:
                assert heard.error is None
                assert len(heard.items) > 50
                assert lines[-1] == CONNECTED
                return
            assert type(heard.error) is expected.error
            assert expected.text in str(heard.error)
            assert world.gateway.stats.logins == 1
            assert world.gateway.stats.market.connections == (1 if expected.error is InvocationFailed else 0)
            assert len(lines) <= 5
            # What could be asked for again is asked for again, with a new token where the old one was refused.
            assert isinstance(heard.error, FeedError)
            if not heard.error.permanent and fault != "503:rest=99":
                again = Heard(world.gateway.trades("MNQ"))
                await asyncio.sleep(5)
                assert again.error is None
                assert len(again.items) > 30
                assert world.gateway.stats.logins == (2 if expected.error is TokenRefused or "login" in fault else 1)

    at = msgspec.structs.replace(deployment(f"http://{HOST}"), negotiate=negotiate)
    live(use, rate=20, gateway={"deployment": at})


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events if not isinstance(event, TokenChanged)]


async def begun(world: World) -> tuple[Heard[Event], Heard[Gap], Heard[Tick]]:
    world.network.latency = 0.05
    heard = Heard(world.gateway.events), Heard(world.gateway.gaps), Heard(world.gateway.trades("MNQ"))
    await asyncio.sleep(10)
    return heard


async def ended(world: World, ticks: list[Tick]) -> None:
    """Let what is under way come; the trades have gone on until now."""
    world.simulator.rate = 0
    await asyncio.sleep(1)
    assert world.clock.now - (ticks[-1].received or 0) < 2 * SECOND
    assert [tick.seq for tick in ticks] == list(range(1, len(ticks) + 1))
    assert world.subscriptions() == [f"trades {world.id('MNQ')}"]


@pytest.mark.parametrize("fault", AGAIN)
def test_with_reconnecting_the_trades_go_on_and_gaps_hold_what_did_not_come(fault: str) -> None:
    expected = AGAIN[fault]

    async def use(world: World) -> None:
        events, gaps, heard = await begun(world)
        for one in fault.split():
            world.simulator.fault(one)
        await asyncio.sleep(55)
        await ended(world, heard.items)
        assert heard.error is None
        told = expected.told.format(tries=" ".join(["Retrying"] * len(expected.tries)))
        assert kinds(events.items) == ["Connected", *told.split()]
        (lost,) = [event for event in events.items if isinstance(event, Lost)]
        assert (lost.cause, lost.text) == expected.loss[:2]
        assert tuple(event.text for event in events.items if isinstance(event, Retrying)) == expected.tries
        assert world.gateway.stats.logins == expected.logins
        opened, closed = gaps.items[::2], gaps.items[1::2]
        assert opened[0].cause == expected.loss.cause
        assert opened == [Gap(world.symbol("MNQ"), gap.start, ONGOING, gap.cause) for gap in closed]
        missed = world.missed("MNQ", heard.items)
        assert missed
        around(closed, missed, heard.items)

    live(use, rate=20, gateway={"reconnect": Reconnect()})


@pytest.mark.parametrize("fault", [fault for fault, expected in OPEN.items() if isinstance(expected, Passes)])
def test_what_costs_no_connection_is_no_gap(fault: str) -> None:
    async def use(world: World) -> None:
        events, _, heard = await begun(world)
        world.simulator.fault(fault)
        await asyncio.sleep(50 if fault == "silence=35s" else 15)
        await ended(world, heard.items)
        assert heard.error is None
        assert kinds(events.items) == ["Connected"]
        if fault not in ("duplicate", "reorder"):  # which `dedupe` and `bars` are for
            unsent = world.simulator.truth.trades(world.id("MNQ"), world.simulator.truth.unseen(world.id("MNQ")))
            missed = world.missed("MNQ", heard.items)
            assert [trade for trade in missed if trade not in unsent] == []
            assert bool(missed) == fault.startswith("silence")  # which nobody can tell from a market that is quiet

    live(use, rate=20, gateway={"reconnect": Reconnect()})


@pytest.mark.parametrize("fault", [fault for fault in BEFORE if fault != "503:rest=99"])
def test_with_reconnecting_a_stream_begins_as_soon_as_it_can(fault: str) -> None:
    expected = BEFORE[fault]

    async def use(world: World) -> None:
        world.network.latency = 0.05
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        world.simulator.fault(fault)
        await asyncio.sleep(LONG.get(fault, 20))
        if expected is not None and expected.error in (LoginRefused, InvocationFailed):
            assert type(heard.error) is expected.error
            assert expected.text in str(heard.error)
            return
        await ended(world, heard.items)
        assert heard.error is None
        tries = [event.text for event in events.items if isinstance(event, Retrying)]
        assert kinds(events.items) == [*(["Retrying"] * len(tries)), "Connected"]
        assert bool(tries) == ("market" in fault)  # a login is tried again, too, but that is no attempt to connect
        assert expected is None or not tries or expected.text in tries[0]
        assert world.missed("MNQ", heard.items) == []

    live(use, rate=20, gateway={"reconnect": Reconnect()})


@pytest.mark.parametrize("fault", REPAIRS)
def test_what_history_makes_of_a_gap(fault: str) -> None:
    async def use(world: World) -> None:
        told: list[Event] = []
        _, gaps, heard = await begun(world)
        mending = Heard(world.gateway.gaps.pipe(ops.repair(world.gateway.history, "1s", "1m", events=told.append)))
        world.simulator.fault(fault)
        await asyncio.sleep(2)
        world.simulator.fault("drop")
        await asyncio.sleep(720 if "holes" in fault else 300)
        await ended(world, heard.items)
        assert mending.error is None
        assert [type(event) for event in told] == [REPAIRS[fault]]
        assert [repair.gap for repair in mending.items] == (gaps.items[1:] if REPAIRS[fault] is Repaired else [])
        around(gaps.items[1:], world.missed("MNQ", heard.items), heard.items)

    live(use, rate=5, gateway={"reconnect": Reconnect()})
