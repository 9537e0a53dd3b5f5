"""A connection that is lost is got back, by one supervisor; streams live on, and what they may have missed is told."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from tenacity import stop_after_attempt, wait_fixed

from rxfeed.attempts import Attempt
from rxfeed.errors import ConnectionLost, LoginRefused, Unreachable
from rxfeed.events import Connected, Event, Gapped, GaveUp, Lost, Retrying, TokenChanged
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import SECOND
from tests.feeds.projectx.world import HOST, Heard, World, live

AGAIN = {"reconnect": Reconnect()}


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events if not isinstance(event, TokenChanged)]


@pytest.mark.parametrize("fault", ["drop", "close", "close-error", "close-final", "end", "half-open", "mute", "logout"])
def test_a_stream_lives_through_a_loss_and_the_gap_is_told(fault: str) -> None:
    async def use(world: World) -> None:
        events, gaps = Heard(world.gateway.events), Heard(world.gateway.gaps)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        before: list[Tick] = list(heard.items)
        world.simulator.fault(fault)
        await asyncio.sleep(120)
        world.simulator.rate = 0
        await asyncio.sleep(1)
        assert heard.error is None
        assert [event for event in kinds(events.items) if event != "Retrying"] == [
            "Connected", "Lost", "Gapped", "Connected", "Gapped",
        ]  # fmt: skip
        ongoing, ended = gaps.items
        assert ongoing == Gap(world.symbol("MNQ"), ongoing.start, ONGOING, lost(events.items).cause)
        assert ended.start == ongoing.start
        after = heard.items[next(at for at, tick in enumerate(heard.items) if tick.time > ongoing.start) :]
        assert (ended.start, ended.end) == (
            before[-1].time if fault not in ("half-open", "mute") else ended.start,
            after[0].time,
        )
        assert [tick.seq for tick in heard.items] == list(range(1, len(heard.items) + 1))
        assert world.subscriptions() == [f"trades {world.id('MNQ')}"]
        assert world.gateway.stats.market.connections == 2
        assert world.gateway.stats.logins == (2 if fault == "logout" else 1)

    live(use, gateway=AGAIN, rate=20)


def lost(events: list[Event]) -> Lost:
    return next(event for event in events if isinstance(event, Lost))


def test_after_an_hour_without_network_everything_wanted_is_back_exactly_once() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        trades = Heard(world.gateway.trades("MNQ"))
        quotes = Heard(world.gateway.quotes("MNQ", "MES"))
        dropped = Heard(world.gateway.trades("MES"))
        await asyncio.sleep(10)
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(1800)
        made = Heard(world.gateway.depth("MES"))
        twice = Heard(world.gateway.trades("MNQ"))
        dropped.dispose()
        await asyncio.sleep(1800)
        count = len(trades.items)
        world.network.heal(HOST)
        await asyncio.sleep(60)
        assert [heard.error for heard in (trades, quotes, dropped, made, twice)] == [None] * 5
        mnq, mes = world.id("MNQ"), world.id("MES")
        assert world.subscriptions() == sorted([f"trades {mnq}", f"quotes {mnq}", f"quotes {mes}", f"depth {mes}"])
        assert len(trades.items) > count
        assert len(made.items) > 10
        assert twice.items == trades.items[-len(twice.items) :]
        tries = [event for event in events.items if isinstance(event, Retrying)]
        assert 3600 / 30 * 0.9 < len(tries) < 3600 / 15 * 1.2
        assert max(event.wait for event in tries) <= 30
        assert [event.attempts for event in events.items if isinstance(event, Connected)] == [1, len(tries) + 1]
        gaps = [event.gap for event in events.items if isinstance(event, Gapped)]
        assert [(gap.symbol[:3], gap.ongoing) for gap in gaps] == [
            ("MNQ", True), ("MES", True), ("MES", False), ("MNQ", False)
        ]  # fmt: skip
        assert 3600 * SECOND < gaps[3].end - gaps[3].start < 3640 * SECOND

    live(use, gateway=AGAIN, rate=10)


def test_a_server_that_refuses_for_a_minute_is_live_again_within_a_step() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(60)
        tries = [event for event in events.items if isinstance(event, Retrying)]
        world.network.heal(HOST)
        back = world.clock.now
        await asyncio.sleep(35)
        connected = [event for event in events.items if isinstance(event, Connected)]
        assert len(connected) == 2
        assert connected[1].time - back <= (tries[-1].wait + 0.5) * SECOND
        begun = [event.time for event in tries]
        assert all(b - a >= SECOND for a, b in pairwise(begun))
        assert heard.error is None

    live(use, gateway=AGAIN, rate=10)


def test_what_somebody_has_to_change_first_ends_the_streams_with_one_clear_error() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        world.simulator.fault("expire")
        world.simulator.fault("401:rest=1000")
        world.simulator.fault("logout")
        await asyncio.sleep(60)
        assert isinstance(heard.error, LoginRefused)
        assert kinds(events.items) == ["Connected", "Lost", "Gapped", "GaveUp"]
        assert "does not let this user in" in str(events.items[-1])

    live(use, gateway=AGAIN, rate=10)


def test_tenacitys_policies_decide() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(5)
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(100)
        assert isinstance(heard.error, Unreachable)
        # The loss itself counts as the first failure: the connection had not lived for a quiet minute.
        tries = [event for event in events.items if isinstance(event, Retrying)]
        assert [event.wait for event in tries] == [7.0, 7.0]
        assert isinstance(events.items[-1], GaveUp)
        world.network.heal(HOST)
        again = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(5)
        assert again.error is None
        assert again.items

    live(use, gateway={"reconnect": Reconnect(wait=wait_fixed(7), stop=stop_after_attempt(4))}, rate=10)


class Spy:
    """A policy that lets try every 20 s, and notes what it is told."""

    def __init__(self) -> None:
        self.next = 0.0
        self.told: list[Any] = []
        self.flying = 0
        self.begun = asyncio.Event()

    def delay(self) -> float:
        return max(0.0, self.next - asyncio.get_running_loop().time())

    def attempt(self) -> Attempt:
        assert self.flying == 0
        self.flying += 1
        self.begun.set()
        self.next = asyncio.get_running_loop().time() + 20
        spy = self

        class Noted:
            def succeeded(self) -> None:
                spy.flying -= 1
                spy.told.append("succeeded")

            def failed(self, error: Exception) -> None:
                spy.flying -= 1
                spy.told.append(type(error).__name__)

            def abandoned(self) -> None:
                spy.flying -= 1
                spy.told.append("abandoned")

        return Noted()


def test_the_attempt_policy_is_asked_before_and_told_after_each_attempt() -> None:
    spy = Spy()

    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(30)
        assert spy.told == ["succeeded"]
        world.network.cut(HOST)
        world.network.refuse(HOST)
        await asyncio.sleep(70)
        assert spy.told == ["succeeded", "Unreachable", "Unreachable", "Unreachable", "Unreachable"]
        world.network.heal(HOST)
        world.simulator.rate = 0
        await asyncio.sleep(15)
        assert spy.told[5:] == []
        await asyncio.sleep(10)
        assert spy.told[5:] == ["succeeded"]  # it brings nothing, and is called healthy after 10 s
        spy.begun.clear()
        world.network.cut(HOST)
        await spy.begun.wait()
        heard.dispose()
        await asyncio.sleep(1)
        assert spy.told[6:] == ["abandoned"]

    live(use, gateway={"reconnect": Reconnect(policy=spy)}, rate=10)


def test_requests_are_coalesced_and_made_once() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        for _ in range(50):
            world.gateway.request("reconnect", "it is stale")
            world.gateway.request("probe", "is it alive?")
        await asyncio.sleep(20)
        assert world.gateway.stats.market.connections == 2
        (said,) = [event for event in events.items if isinstance(event, Lost)]
        assert (said.cause, said.text) == ("asked", "market: it is stale")
        for _ in range(50):
            world.gateway.request("probe", "is it alive?")
            world.gateway.request("rotate", "a new token")  # but there is none
        await asyncio.sleep(20)
        assert world.gateway.stats.market.connections == 2
        world.simulator.fault("mute=20s")
        await asyncio.sleep(1)
        world.gateway.request("probe", "is it alive?")
        await asyncio.sleep(18)
        assert world.gateway.stats.market.connections == 3
        last = [event for event in events.items if isinstance(event, Lost)][-1]
        assert "is it alive?, and RxfeedProbe was not answered in 15 s" in last.text
        assert heard.error is None

    live(use, gateway=AGAIN, rate=10)


def test_a_subscription_that_the_hub_refuses_ends_its_streams_only() -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        other = Heard(world.gateway.trades("MES"))
        await asyncio.sleep(5)
        world.network.cut(HOST)
        await asyncio.sleep(20)
        assert heard.error is None
        assert other.error is None
        assert world.gateway.stats.market.connections == 2

    live(use, gateway=AGAIN, rate=10)


def test_without_policies_the_first_loss_is_the_streams_error() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(5)
        world.network.cut(HOST)
        await asyncio.sleep(5)
        assert isinstance(heard.error, ConnectionLost)
        assert kinds(events.items) == ["Connected", "Lost", "GaveUp"]

    live(use, rate=10)


@pytest.mark.parametrize("wait", [0.0, 0.4, 0.9, 3.0, 20.0])
def test_closing_at_any_moment_of_a_reconnect_leaves_nothing(wait: float) -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(5)
        world.network.cut(HOST)
        world.network.black_hole(HOST)
        await asyncio.sleep(wait)
        await world.gateway.close()
        assert heard.completed

    live(use, gateway=AGAIN, rate=10)


@pytest.mark.parametrize("name", ["attempt", "spacing", "quiet", "healthy_after", "rotation"])
@pytest.mark.parametrize("value", [0, -1, "soon", float("nan")])
def test_impossible_durations_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Reconnect(**{name: value})
