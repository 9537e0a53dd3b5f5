"""What a gateway reconnects by, and what stops its reading, replaced before it connects and not later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rxfeed.errors import ConnectionLost
from rxfeed.feeds.projectx.gateway import RECONNECT
from rxfeed.feeds.projectx.health import wire_of
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.valve import Valve
from tests.feeds.projectx.world import Heard, World, live


def test_streams_that_were_made_before_reconnect_by_what_is_used() -> None:
    async def use(world: World) -> None:
        trades = world.gateway.trades("MNQ")
        world.gateway.use(reconnect=Reconnect())
        heard = Heard(trades)
        await asyncio.sleep(10)
        world.simulator.fault("drop")
        await asyncio.sleep(20)
        assert heard.error is None
        assert world.gateway.stats.market.connections == 2

    live(use, gateway={"reconnect": None}, rate=20)


def test_none_is_something_to_use() -> None:
    async def use(world: World) -> None:
        world.gateway.use(reconnect=None)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        world.simulator.fault("drop")
        await asyncio.sleep(20)
        assert isinstance(heard.error, ConnectionLost)

    live(use, gateway={"reconnect": Reconnect()}, rate=20)


def test_what_was_given_can_be_told_from_what_was_not() -> None:
    mine, valve = Reconnect(), Valve()

    async def given(world: World) -> None:
        assert (world.gateway.reconnect, world.gateway.valve) == (mine, valve)
        world.gateway.use(valve=None)
        assert (world.gateway.reconnect, world.gateway.valve) == (mine, None)
        world.gateway.use(reconnect=None)
        assert (world.gateway.reconnect, world.gateway.valve) == (None, None)
        world.gateway.use()
        assert (world.gateway.reconnect, world.gateway.valve) == (None, None)

    async def not_given(world: World) -> None:
        assert world.gateway.reconnect is RECONNECT
        assert world.gateway.valve is None
        world.gateway.use(valve=valve)
        assert world.gateway.reconnect is RECONNECT
        assert world.gateway.valve is valve

    live(given, gateway={"reconnect": mine, "valve": valve})
    live(not_given, gateway={"reconnect": RECONNECT})


def test_the_valve_that_is_used_stops_the_reading_and_its_health_says_so() -> None:
    async def use(world: World) -> None:
        valve = Valve()
        world.gateway.use(valve=valve)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        assert wire_of(world.gateway).reading
        valve.hold(use)
        await asyncio.sleep(0.5)
        count = len(heard.items)
        await asyncio.sleep(14)
        assert len(heard.items) == count
        wire = wire_of(world.gateway)
        assert (wire.reading, wire.quiet) == (False, 0.0)
        valve.release(use)
        await asyncio.sleep(1)
        assert wire_of(world.gateway).reading
        assert len(heard.items) > count + 100

    live(use, rate=20)


async def subscribe(world: World) -> None:
    Heard(world.gateway.trades("MNQ"))


async def connect(world: World) -> None:
    Heard(world.gateway.orders(1))
    await asyncio.sleep(5)


async def leave(world: World) -> None:
    heard = Heard(world.gateway.trades("MNQ"))
    await asyncio.sleep(5)
    heard.dispose()
    await asyncio.sleep(5)


async def link(world: World) -> None:
    Heard(world.gateway.connect_once())
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (subscribe, "its market connection asked for"), (connect, "its user connection asked for"),
        (leave, "its market connection asked for"), (link, "its first connection asked for"),
    ],
)  # fmt: skip
def test_later_it_is_refused_and_nothing_changes(before: Callable[[World], Any], text: str) -> None:
    async def use(world: World) -> None:
        await before(world)
        with pytest.raises(RuntimeError, match=f"Gateway.* has had {text}: how it reconnects"):
            world.gateway.use(reconnect=Reconnect(), valve=Valve())
        assert (world.gateway.reconnect, world.gateway.valve) == (None, None)

    live(use, rate=20)


def test_what_was_asked_of_the_gateway_is_no_connection() -> None:
    async def use(world: World) -> None:
        await world.gateway.contract("MNQ")
        world.gateway.use(valve=Valve())
        await world.gateway.close()
        with pytest.raises(RuntimeError, match="is closed: how it reconnects"):
            world.gateway.use(valve=None)

    live(use)
