"""A breaker as the policy of attempts: while it is open nobody knocks, and a hand opens and closes it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from math import inf
from typing import Any

from tenacity import wait_fixed

from rxfeed.attempts import Always, Attempt
from rxfeed.breaker import Breaker, BreakerChanged
from rxfeed.errors import Unreachable
from rxfeed.events import Connected, Event, Gapped, Lost, Retrying
from rxfeed.feeds.projectx import Gateway
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.times import SECOND
from tests.feeds.projectx.world import HOST, Heard, World, live


def of(events: list[Event], *kinds: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


def changes(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.was, event.state) for event in of(events, BreakerChanged)]


def guarded(world: World, **more: Any) -> Breaker:
    """Have the gateway, which nobody uses yet, reconnect through a breaker of this world's clock."""
    given: dict[str, Any] = {"window": 10, "minimum_calls": 3, "open_wait": 20} | more
    breaker = Breaker("gateway", clock=world.clock, **given)
    world.gateway.use(reconnect=Reconnect(policy=breaker, wait=wait_fixed(2)))
    return breaker


def begun(events: list[Event], start: int) -> list[float]:
    """When attempts failed, in seconds after `start`."""
    return [round((event.time - start) / SECOND, 1) for event in of(events, Retrying)]


def test_a_gateway_that_refuses_for_a_minute_opens_it_and_it_closes_with_the_first_trade() -> None:
    async def use(world: World) -> None:
        breaker = guarded(world)
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        assert breaker.metrics[2:4] == (1, 0)
        start = world.clock.now
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(60)
        assert heard.error is None
        # At once, and by tenacity's wait; that are two of three, which opens it, and then it is its open wait that counts.
        tries = begun(events.items, start)
        assert [round(b - a) for a, b in pairwise([0.0, *tries])] == [0, 2, 20, 20]
        assert [event.wait for event in of(events.items, Retrying)] == [2.0, 20.0, 20.0, 20.0]
        assert changes(events.items) == [
            ("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("open", "half_open"), ("half_open", "open"),
        ]  # fmt: skip
        assert isinstance(breaker.last_error, Unreachable)
        world.network.heal(HOST)
        await asyncio.sleep(10)
        assert world.gateway.stats.market.connections == 2
        assert changes(events.items)[5:] == [("open", "half_open"), ("half_open", "closed")]
        assert breaker.state == "closed"
        count = len(heard.items)
        await asyncio.sleep(5)
        assert len(heard.items) > count

    live(use, rate=20)


def test_forced_open_it_stays_down_until_it_is_reset_and_then_goes_on_at_once() -> None:
    async def use(world: World) -> None:
        breaker = guarded(world)
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        breaker.force_open()
        await asyncio.sleep(100)
        assert not of(events.items, Lost)  # what runs runs on
        world.simulator.fault("drop")
        await asyncio.sleep(3_600)
        assert world.gateway.stats.market.connections == 1
        assert world.simulator.connections == {}
        assert heard.error is None
        reset = world.clock.now
        breaker.reset()
        await asyncio.sleep(0.5)
        assert of(events.items, Connected)[-1].time - reset < SECOND / 100
        assert changes(events.items) == [("closed", "forced_open"), ("forced_open", "closed")]
        gaps = [event.gap for event in of(events.items, Gapped)]
        assert [gap.ongoing for gap in gaps] == [True, False]
        assert gaps[1].end - gaps[1].start > 3_600 * SECOND

    live(use, rate=20)


def test_a_reset_ends_the_open_wait_and_tenacitys_too() -> None:
    async def use(world: World) -> None:
        breaker = Breaker("gateway", clock=world.clock, minimum_calls=2, open_wait=300)
        world.gateway.use(reconnect=Reconnect(policy=breaker, wait=wait_fixed(200)))
        events, _ = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        for wait in (100, 250.4):  # while tenacity waits, and when only the breaker does
            await asyncio.sleep(100)
            world.network.cut(HOST)
            world.network.refuse(HOST)
            await asyncio.sleep(wait)
            assert breaker.state == "open"
            world.network.heal(HOST)
            reset = world.clock.now
            breaker.reset()
            await asyncio.sleep(0.5)
            assert 0 <= of(events.items, Connected)[-1].time - reset < SECOND / 100

    live(use, rate=20)


def test_a_change_that_lets_nobody_begin_shortens_no_wait() -> None:
    class Slow:
        """Lets try 5 s after `change`, and 5 s after it was made."""

        def __init__(self) -> None:
            self.next, self.listener = 0.0, [lambda _: None]

        def listen(self, listener: Any) -> Any:
            self.listener.append(listener)
            return lambda: None

        def delay(self) -> float:
            return max(0.0, self.next - asyncio.get_running_loop().time())

        def attempt(self) -> Attempt:
            return Always().attempt()

        def change(self) -> None:
            self.next = asyncio.get_running_loop().time() + 5
            for listener in self.listener:
                listener(Event(time=0))

    policy = Slow()

    async def use(world: World) -> None:
        events, _ = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(50)
        world.network.heal(HOST)
        policy.change()
        await asyncio.sleep(140)
        assert len(of(events.items, Connected)) == 1
        await asyncio.sleep(20)
        assert len(of(events.items, Connected)) == 2

    live(use, gateway={"reconnect": Reconnect(policy=policy, wait=wait_fixed(200), quiet=1_000)}, rate=20)


def test_forced_open_before_anything_it_says_that_the_next_attempt_may_not_begin() -> None:
    async def use(world: World) -> None:
        breaker = guarded(world)
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(20)
        world.network.cut(HOST)
        world.network.black_hole(HOST)
        await asyncio.sleep(5)
        breaker.force_open()
        await asyncio.sleep(60)
        assert of(events.items, Retrying)[-1].wait == inf
        assert "failed, again when it may: " in str(of(events.items, Retrying)[-1])
        count = len(of(events.items, Retrying))
        await asyncio.sleep(600)
        assert len(of(events.items, Retrying)) == count
        assert heard.error is None

    live(use, rate=20)


def test_closing_while_it_is_open_leaves_nothing_and_it_tells_the_gateway_no_more() -> None:
    async def use(world: World) -> None:
        breaker = guarded(world)
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(20)
        breaker.force_open()
        world.simulator.fault("drop")
        await asyncio.sleep(20)
        await world.gateway.close()
        assert heard.completed
        breaker.reset()
        assert changes(events.items) == [("closed", "forced_open")]
        assert len(breaker._listeners) == 0

    live(use, rate=20)


def test_both_hubs_share_it_and_each_change_is_told_once() -> None:
    async def use(world: World) -> None:
        guarded(world, minimum_calls=4)
        events = Heard(world.gateway.events)
        Heard(world.gateway.trades("MNQ"))
        Heard(world.gateway.orders(1))
        await asyncio.sleep(100)
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(15)
        assert changes(events.items) == [("closed", "open")]
        world.network.heal(HOST)
        await asyncio.sleep(30)
        assert changes(events.items)[1:] == [("open", "half_open"), ("half_open", "closed")]
        assert world.gateway.stats.market.connected
        assert world.gateway.stats.user.connected

    live(use, rate=20)


def test_it_may_be_given_when_the_gateway_is_made() -> None:
    breaker = Breaker("mine")
    reconnect = Reconnect(policy=breaker)

    async def use(world: World) -> None:
        events, gateway = Heard(world.gateway.events), world.gateway
        assert isinstance(gateway, Gateway)
        assert gateway.reconnect is reconnect
        breaker.force_open()
        assert changes(events.items) == [("closed", "forced_open")]
        gateway.use(reconnect=None)
        breaker.reset()
        assert len(events.items) == 1

    live(use, gateway={"reconnect": reconnect})
