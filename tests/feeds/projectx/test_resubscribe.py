"""All subscriptions anew, on a connection that is well: nothing doubled, and what may be missed is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxfeed import operators as ops
from rxfeed.events import Connected, Event, Gapped, Lost, Resubscribed, Rotated
from rxfeed.feeds.projectx.health import passing, watched
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.health import Limits
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import SECOND
from tests.feeds.projectx.test_rotation import new_token
from tests.feeds.projectx.world import Heard, World, live

AGAIN = {"reconnect": Reconnect()}


def of(events: list[Event], *kinds: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


def the(world: World, hub: str = "market") -> HubConnection:
    (one,) = [each for each in world.simulator.connections.values() if each.hub == hub]
    return one


def asked(world: World, hub: str = "market") -> list[tuple[str, Any]]:
    """What the hub was asked for, but for pings and probes."""
    said = [each for each in the(world, hub).received if each["type"] == 1 and each["target"] != "RxfeedProbe"]
    return [(each["target"], (each["arguments"] or [None])[0]) for each in said]


def forget(world: World, hub: str = "market") -> None:
    """Let the hub lose what a connection subscribed to."""
    one = the(world, hub)
    for kind, name in list(one.subscriptions):
        world.simulator.unsubscribe(one, kind, name)


def test_each_topic_is_unsubscribed_from_and_then_subscribed_to_once() -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.02
        events = Heard(world.gateway.events)
        heard = [
            Heard(world.gateway.trades("MNQ", "MES")),
            Heard(world.gateway.quotes("MNQ")),
            Heard(world.gateway.depth("MES")),
        ]
        await asyncio.sleep(10)
        before, had = world.subscriptions(), len(asked(world))
        for _ in range(20):
            world.gateway.request("resubscribe", "they are gone")
            world.gateway.request("probe", "is it alive?")
        await asyncio.sleep(10)
        assert world.subscriptions() == before
        new = asked(world)[had:]
        assert len(new) == 8
        for method, root in (("Trades", "MNQ"), ("Trades", "MES"), ("Quotes", "MNQ"), ("MarketDepth", "MES")):
            mine = [target for target, called in new if called == world.id(root) and target.endswith(f"Contract{method}")]
            assert mine == [f"UnsubscribeContract{method}", f"SubscribeContract{method}"]
        assert world.gateway.stats.market.connections == 1
        (said,) = of(events.items, Resubscribed)
        assert (said.topics, said.hub) == (4, "market")
        assert str(said).startswith("market subscribed to 4 anew in 0.")
        assert not of(events.items, Lost)
        # A request that stands in the same turn is moot; probes were answered by it.
        assert sum(each["type"] == 1 and each["target"] == "RxfeedProbe" for each in the(world).received) == 0
        assert all(each.error is None for each in heard)

    live(use, gateway=AGAIN, rate=50)


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_trade_is_doubled_and_what_is_missing_lies_in_the_gaps_that_are_told(latency: float, seed: int) -> None:
    async def use(world: World) -> None:
        world.network.latency = latency
        gaps, heard = Heard(world.gateway.gaps), Heard(world.gateway.trades("MNQ", "MES"))
        await asyncio.sleep(10)
        begun = {tick.symbol: tick.time for tick in reversed(heard.items)}
        for _ in range(5):
            world.gateway.request("resubscribe", "to see")
            await asyncio.sleep(5)
        world.simulator.rate = 0
        await asyncio.sleep(20)
        missing = 0
        for root in ("MNQ", "MES"):
            symbol = world.symbol(root)
            ended = [gap for gap in gaps.items if gap.symbol == symbol and not gap.ongoing]
            assert [gap.cause for gap in ended] == ["resubscribed"] * 5
            mine = [gap for gap in gaps.items if gap.symbol == symbol]
            assert mine == [each for gap in ended for each in (Gap(symbol, gap.start, ONGOING, gap.cause), gap)]
            got = [tick for tick in heard.items if tick.symbol == symbol]
            price = world.simulator.contract(root).price
            done = [trade for trade in world.simulator.truth.trades(world.id(root)) if trade.time >= begun[symbol]]
            assert [tick.seq for tick in heard.items] == list(range(1, len(heard.items) + 1))
            came = iter([(tick.time, tick.price, tick.size) for tick in got])
            next_one = next(came, None)
            for trade in done:
                if next_one == (trade.time, price(trade.ticks), trade.size):
                    next_one = next(came, None)
                    continue
                missing += 1
                assert any(gap.start <= trade.time <= gap.end for gap in ended), trade
            assert next_one is None, "a trade that was never done, or came twice, or out of order"
        assert missing > 0 or latency == 0

    live(use, gateway=AGAIN, rate=100, seed=seed, keep_trades=100_000)


def test_a_gap_is_not_ended_by_a_trade_that_was_on_its_way() -> None:
    async def use(world: World) -> None:
        world.network.latency = 1.0
        gaps, heard = Heard(world.gateway.gaps), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(20)
        start = heard.items[-1].time
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(2)
        assert heard.items[-1].time > start
        assert [gap.ongoing for gap in gaps.items] == [True]
        await asyncio.sleep(5)
        ongoing, ended = gaps.items
        assert (ongoing.start, ended.start) == (start, start)
        after = next(tick for tick in heard.items if tick.time == ended.end)
        steps = [(b.time - a.time) / SECOND for a, b in zip(heard.items, heard.items[1:], strict=False) if b.time > start]
        assert 1.5 < max(steps) < 3
        assert steps.index(max(steps)) < [tick for tick in heard.items if tick.time > start].index(after) + 1

    live(use, gateway=AGAIN, rate=20)


def test_a_contract_that_does_not_trade_ends_its_gap_by_itself() -> None:
    async def use(world: World) -> None:
        gaps = Heard(world.gateway.gaps)
        Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(10)
        ongoing, ended = gaps.items
        assert (ongoing.ongoing, ended.ongoing, ended.start) == (True, False, ongoing.start)
        assert ended.end - ended.start == pytest.approx(10 * SECOND, abs=SECOND)

    live(use, gateway=AGAIN, rate=0)


@pytest.mark.parametrize("fault", ["fail:subscribe", "hang:subscribe=20s"])
def test_where_the_hub_refuses_or_does_not_answer_there_is_a_new_connection(fault: str) -> None:
    async def use(world: World) -> None:
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(70)
        world.simulator.fault(fault)
        world.gateway.request("resubscribe", "no trade for 90 s")
        await asyncio.sleep(60)
        assert heard.error is None
        assert world.subscriptions() == [f"trades {world.id('MNQ')}"]
        assert not of(events.items, Resubscribed)
        (lost,) = of(events.items, Lost)
        assert lost.cause == "asked"
        assert lost.text.startswith("market: no trade for 90 s, and ")
        gaps = [event.gap for event in of(events.items, Gapped)]
        assert [(gap.cause, gap.ongoing) for gap in gaps] == [("resubscribed", True), ("resubscribed", False)]
        assert any(tick.time == gaps[1].end for tick in heard.items), "it ends with a trade"
        count = len(heard.items)
        await asyncio.sleep(5)
        assert len(heard.items) > count

    live(use, gateway=AGAIN, rate=20)


def test_what_is_subscribed_to_just_then_is_left_alone() -> None:
    async def use(world: World) -> None:
        Heard(world.gateway.trades("MNQ"))
        Heard(world.gateway.trades("MES")).dispose()
        await asyncio.sleep(10)
        world.network.latency = 0.5
        new = Heard(world.gateway.quotes("MNQ"))
        await asyncio.sleep(2.7)
        assert asked(world)[-1] == ("SubscribeContractQuotes", world.id("MNQ"))
        assert new.items == []
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(10)
        assert sum(target.endswith("ContractQuotes") for target, _ in asked(world)) == 1
        assert len(new.items) == 1

    live(use, gateway=AGAIN, rate=0)


def test_a_connection_that_ends_meanwhile_is_lost_for_its_own_reason() -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.5
        events, heard = Heard(world.gateway.events), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(70)
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(0.8)
        world.simulator.fault("drop")
        await asyncio.sleep(20)
        (lost,) = of(events.items, Lost)
        assert lost.cause == "dropped"
        assert not of(events.items, Resubscribed)
        assert heard.error is None
        assert world.gateway.stats.market.connections == 2
        ongoing, ended = [event.gap for event in of(events.items, Gapped)]
        assert ended.start == ongoing.start

    live(use, gateway=AGAIN, rate=20)


def test_what_makes_it_needless_is_done_instead() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        world.gateway.request("resubscribe", "they are gone")
        world.gateway.request("reconnect", "it is stale")
        await asyncio.sleep(20)
        assert len(of(events.items, Connected)) == 2
        world.network.latency = 0.2
        await new_token(world)
        await asyncio.sleep(0.1)
        world.gateway.request("resubscribe", "they are gone")
        await asyncio.sleep(20)
        assert len(of(events.items, Rotated)) == 1
        world.simulator.fault("drop")
        await asyncio.sleep(0.5)
        world.gateway.request("resubscribe", "they are gone")
        await asyncio.sleep(20)
        assert not of(events.items, Resubscribed)

    live(use, gateway=AGAIN, rate=20)


@pytest.mark.parametrize("when", [0.1, 0.6, 1.1, 1.6, 2.1])
@pytest.mark.parametrize("again", [False, True])
def test_streams_that_go_and_come_meanwhile_get_what_they_want_and_nothing_else(when: float, again: bool) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.5
        stays, goes = Heard(world.gateway.trades("MES")), Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(20)
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(when)
        goes.dispose()
        comes: Heard[Tick] | None = Heard(world.gateway.trades("MNQ")) if again else None
        await asyncio.sleep(10)
        wanted = [world.id("MES"), world.id("MNQ")] if again else [world.id("MES")]
        assert world.subscriptions() == [f"trades {each}" for each in wanted]
        world.simulator.trade("MES", (1.0, 1))
        world.simulator.trade("MNQ", (2.0, 1))
        await asyncio.sleep(2)
        assert [tick.price for tick in stays.items] == [1.0]
        assert comes is None or [tick.price for tick in comes.items] == [2.0]
        assert stays.error is None

    live(use, gateway=AGAIN, rate=0)


@pytest.mark.parametrize("wait", [0.0, 0.3, 0.9, 1.4])
def test_closing_meanwhile_leaves_nothing(wait: float) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.5
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(wait)
        await world.gateway.close()
        assert heard.completed

    live(use, gateway=AGAIN, rate=20)


def test_without_policies_a_refusal_ends_the_streams() -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        world.simulator.fault("fail:subscribe")
        world.gateway.request("resubscribe", "to see")
        await asyncio.sleep(10)
        assert "to see, and" in str(heard.error)

    live(use, rate=20)


def test_orders_are_subscribed_to_anew_too() -> None:
    async def use(world: World) -> None:
        Heard(world.gateway.orders(1))
        Heard(world.gateway.accounts())
        await asyncio.sleep(5)
        had = len(asked(world, "user"))
        world.gateway.request("resubscribe", "to see", hub="user")
        await asyncio.sleep(5)
        assert sorted(asked(world, "user")[had:], key=str) == [
            ("SubscribeAccounts", None), ("SubscribeOrders", 1), ("UnsubscribeAccounts", None), ("UnsubscribeOrders", 1)
        ]  # fmt: skip

    live(use, gateway=AGAIN)


def test_a_hub_that_forgot_what_was_subscribed_to_is_reminded_and_the_connection_is_kept() -> None:
    async def use(world: World) -> None:
        with watched(world.gateway, clock=world.clock, limits=Limits()) as health:
            events = Heard(world.gateway.events)
            bars = Heard(world.gateway.trades("MNQ").pipe(passing(health), ops.bars("1m", gaps=world.gateway.gaps)))
            gaps = Heard(world.gateway.gaps)
            await asyncio.sleep(20)
            forget(world)
            last = world.clock.now
            await asyncio.sleep(85)
            assert health.now().state == "stale"
            assert health.remedies == (1, 0, 0)
            await asyncio.sleep(10)
            assert health.now().state == "live"
            assert health.remedies == (1, 1, 0)
            assert world.gateway.stats.market.connections == 1
            assert not of(events.items, Lost)
            # All that was missed since the hub forgot is in the gap, not only what subscribing anew may have cost.
            (gap,) = [gap for gap in gaps.items if not gap.ongoing]
            assert gap.start <= last
            assert gap.end - gap.start > 85 * SECOND
            await asyncio.sleep(600)
            assert health.remedies == (1, 1, 0)
            assert bars.error is None

    live(use, gateway=AGAIN, rate=20)
