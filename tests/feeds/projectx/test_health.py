"""The health of a live connection, through the simulator's faults: each state, and the way back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxfeed import operators as ops
from rxfeed.events import Connected, Lost
from rxfeed.feeds.projectx.health import health_of, passing, watched, wire_of
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.health import Health, Limits, Report
from rxfeed.valve import Valve
from tests.feeds.projectx.world import Heard, World, live

AGAIN = {"reconnect": Reconnect()}


class Watched:
    """A world with a health, and what it told."""

    def __init__(self, world: World, health: Health) -> None:
        self.world, self.health = world, health
        self.told: list[Report] = []
        health.on_change(self.told.append)
        self.events: Heard[Any] = Heard(world.gateway.events)
        self.trades = Heard(world.gateway.trades("MNQ").pipe(passing(health)))

    @property
    def states(self) -> list[str]:
        return [report.state for report in self.told]

    def after(self, event: type) -> Any:
        return next(each for each in self.events.items if isinstance(each, event))


def through(*faults: str, seconds: float, **limits: Any) -> tuple[list[str], list[list[str]], list[Any]]:
    """States and reasons of a feed that is well for 20 s, then meets faults, and `seconds` later is well again."""

    async def use(world: World) -> tuple[list[str], list[list[str]], list[Any]]:
        with watched(world.gateway, clock=world.clock, limits=Limits(**limits)) as health:
            feed = Watched(world, health)
            await asyncio.sleep(20)
            assert feed.states == ["live"]
            for fault in faults:
                world.simulator.fault(fault)
            await asyncio.sleep(seconds)
            assert feed.trades.error is None
            assert str(health.now()) == "live", str(health.now())
            lost = [event for event in feed.events.items if isinstance(event, Lost)]
            return feed.states, [[reason.name for reason in report.reasons] for report in feed.told], lost

    return live(use, gateway=AGAIN, rate=20)


@pytest.mark.parametrize("fault", ["drop", "close", "end", "logout"])
def test_a_loss_is_connecting_and_then_live(fault: str) -> None:
    states, reasons, lost = through(fault, seconds=30)
    assert states == ["live", "connecting", "live"]
    assert reasons[1] == ["unconnected"]
    assert len(lost) == 1


def test_an_outage_is_down_until_it_is_over() -> None:
    states, reasons, _ = through("outage=90s", seconds=180)
    assert states == ["live", "connecting", "down", "live"]
    assert reasons[2] == ["unconnected", "gap"]


@pytest.mark.parametrize("fault", ["mute=2m", "half-open", "black-hole:market=25s"])
def test_a_connection_that_brings_nothing_is_degraded_before_it_is_lost(fault: str) -> None:
    states, reasons, lost = through(fault, seconds=150)
    assert states[:3] == ["live", "degraded", "connecting"]
    assert reasons[1] == ["quiet"]
    assert states[-1] == "live"
    assert [event.cause for event in lost] == ["silent"]


def test_silence_with_pings_is_stale_a_probe_finds_it_alive_and_a_new_connection_is_asked_for() -> None:
    states, _, lost = through("silence=5m", seconds=400)
    assert states == ["live", "stale", "live"]
    assert [event.cause for event in lost] == ["asked"]
    assert "no trade for 18" in lost[0].text


def test_a_servers_clock_that_is_set_is_no_delay() -> None:
    states, _, lost = through("skew=1h", "skew=0s", seconds=60)
    assert (states, lost) == (["live"], [])

    async def use(world: World) -> None:
        with watched(world.gateway, clock=world.clock) as health:
            feed = Watched(world, health)
            for skew in ("1h", "0s", "-1h", "0s"):
                await asyncio.sleep(20)
                world.simulator.fault(f"skew={skew}")
            await asyncio.sleep(20)
            assert feed.states == ["live"]

    live(use, gateway=AGAIN, rate=20)


def test_a_slow_answer_degrades_and_a_probe_tells_that_others_are_quick() -> None:
    async def use(world: World) -> None:
        world.simulator.fault("slow:subscribe=5s")
        with watched(world.gateway, clock=world.clock) as health:
            feed = Watched(world, health)
            await asyncio.sleep(20)
            assert feed.states == ["live", "degraded", "live"]
            assert str(feed.told[1]).startswith("degraded: the round trip takes 5.0 s")
            assert health.remedies == (1, 0, 0)
            assert feed.events.items[-1] is feed.after(Connected)  # it was not given up for that

    live(use, gateway=AGAIN, rate=20)


def test_a_key_that_is_refused_is_down_for_good() -> None:
    async def use(world: World) -> None:
        with watched(world.gateway, clock=world.clock) as health:
            feed = Watched(world, health)
            await asyncio.sleep(10)
            for fault in ("expire", "401:rest=1000", "logout"):
                world.simulator.fault(fault)
            await asyncio.sleep(100)
            assert feed.states == ["live", "connecting", "down"]
            assert str(health.now()).startswith("down: given up: ")
            assert health.remedies == (0, 0, 0)

    live(use, gateway=AGAIN, rate=20)


def test_what_it_is_fed_with() -> None:
    async def use(world: World) -> None:
        assert wire_of(world.gateway) == (False, False, None, None, None, None, True)
        with watched(world.gateway, clock=world.clock) as health:
            assert health.now().reasons[0].name == "unwanted"
            feed = Watched(world, health)
            await asyncio.sleep(30)
            wire = wire_of(world.gateway)
            assert (wire.connected, wire.wanted) == (True, True)
            assert wire.quiet is not None
            assert 0 <= wire.quiet < 1
            assert wire.round_trip is not None
            assert 0 <= wire.round_trip < 1
            assert wire.token_age == pytest.approx(30, abs=1)
            assert wire.token_left == pytest.approx(86_400 - 30, abs=1)
            assert health.now().totals.trades == len(feed.trades.items) > 300
            await asyncio.sleep(60)
            assert health.latency.late is not None
            assert health.latency.behind is not None
            assert feed.after(Connected).epoch == 1
            feed.trades.dispose()
            await asyncio.sleep(100)
            assert str(health.now()) == "connecting: nobody is subscribed"

    live(use, gateway=AGAIN, rate=20)


def test_frames_and_rows_are_seen_alike_and_handed_on_as_they_are() -> None:
    async def use(world: World) -> None:
        rows, frames = health_of(world.gateway, clock=world.clock), health_of(world.gateway, clock=world.clock)
        plain = Heard(world.gateway.trades("MNQ"))
        one = Heard(world.gateway.trades("MNQ").pipe(passing(rows)))
        ran = Heard(world.gateway.trades("MNQ").pipe(passing(rows), ops.where(lambda tick: True)))
        framed = Heard(world.gateway.trades("MNQ", frames=True).pipe(passing(frames)))
        await asyncio.sleep(20)
        world.simulator.rate = 0
        await asyncio.sleep(1)
        assert one.items == ran.items == plain.items
        assert rows.now().totals.trades == 2 * len(plain.items)
        assert sum(len(frame) for frame in framed.items) == frames.now().totals.trades == len(plain.items)
        assert frames.now().offset == rows.now().offset

    live(use, gateway=AGAIN, rate=20)


def test_a_quiet_user_hub_is_well() -> None:
    async def use(world: World) -> None:
        with watched(world.gateway, clock=world.clock, hub="user", limits=Limits(between=None)) as health:
            heard = Heard(world.gateway.accounts())
            await asyncio.sleep(600)
            assert health.now().state == "live"
            heard.dispose()

    live(use, gateway=AGAIN, rate=0)


def test_it_ends_with_its_gateway() -> None:
    async def use(world: World) -> None:
        with watched(world.gateway, clock=world.clock) as health:
            Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(10)
            await world.gateway.close()
            await asyncio.sleep(10)
            assert health.now().state == "connecting"

    live(use, gateway=AGAIN, rate=20)


def test_a_gateways_figures_can_be_read_when_no_loop_runs_any_more() -> None:
    async def use(world: World) -> World:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        heard.dispose()
        return world

    world = live(use, gateway=AGAIN, rate=20)
    assert (world.gateway.stats.token_age, world.gateway.stats.token_left) == (None, None)


def test_while_a_consumer_is_full_nothing_is_stale_nothing_is_asked_for_and_nothing_is_lost() -> None:
    valve = Valve()

    async def use(world: World) -> None:
        with watched(world.gateway, clock=world.clock) as health:
            feed = Watched(world, health)
            idle = Heard(
                feed.world.gateway.trades("MNQ").pipe(ops.timeout_idle(between="30s", valve=valve, scheduler=world.clock))
            )
            await asyncio.sleep(20)
            valve.hold(use)
            await asyncio.sleep(60)
            world.gateway.request("probe", "is it alive?")  # its answer waits in the socket
            await asyncio.sleep(60)
            assert str(health.now()) == "degraded: not reading: a consumer is full"
            assert health.remedies == (0, 0, 0)
            valve.release(use)
            await asyncio.sleep(60)
            assert str(health.now()) == "live"
            assert "stale" not in feed.states
            assert (idle.error, idle.items) == (None, feed.trades.items)
            assert world.gateway.stats.market.connections == 1
            count = len(feed.trades.items)
            assert [tick.seq for tick in feed.trades.items] == list(range(1, count + 1))
            assert count > 20 * 150 / 2

    live(use, gateway={**AGAIN, "valve": valve}, rate=20)
