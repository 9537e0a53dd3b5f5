"""A token changes and nothing is lost: what comes out is what one connection that never ended would have brought."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from rxfeed import operators as ops
from rxfeed.events import Connected, Event, Gapped, Lost, Rotated, RotationFailed, TokenChanged
from rxfeed.feeds.projectx.kinds import DEPTH, ORDERS, QUOTES, TRADES, HubName, Kind
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.model import ONGOING, Side
from tests.feeds.projectx.world import HOST, Heard, World, around, live

AGAIN = {"reconnect": Reconnect()}


class Control:
    """One connection beside, which no token change touches: what it brought is the truth."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rows: dict[str, list[Any]] = {}

    async def listen(self, *kinds: tuple[Kind, Any]) -> None:
        hubs: set[HubName] = {kind.hub for kind, _ in kinds}
        for hub in hubs:
            found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self.world.gateway.connect_once(hub).subscribe(found.set_result)
            link = await found
            link.to(lambda kind, batch: self.rows.setdefault(kind.name, []).extend(batch.rows()))
            for kind, called in kinds:
                if kind.hub == hub:
                    await link.subscribe(kind, *(() if called is None else (called,)))


def trade(tick: Any) -> tuple[Any, ...]:
    return tick.symbol, tick.time, tick.price, tick.size, tick.side


def same(got: Sequence[Any], truth: Sequence[Any]) -> None:
    """All that came, from the first that the control saw on, is what the control saw, in order."""
    a, b = list(map(trade, got)), list(map(trade, truth))
    assert len(a) > 100
    begin = a.index(b[0])
    assert a[begin:] == b


def of(events: list[Event], kind: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


async def quiet(world: World) -> None:
    world.simulator.rate = 0
    await asyncio.sleep(3)


async def new_token(world: World) -> None:
    """Have the token changed now, as a refresh would."""
    login = world.gateway._login
    held = login.held
    assert held is not None
    login.forget(held.secret)
    await login.token()
    hubs: tuple[HubName, ...] = ("market", "user")
    for hub in hubs:
        world.gateway.request("rotate", "there is a new token", hub=hub)


@pytest.mark.parametrize("latency", [0.0, 0.07])
def test_tokens_change_by_themselves_for_an_hour_and_nothing_is_lost(latency: float) -> None:
    async def use(world: World) -> None:
        world.network.latency = latency
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ", "MES"))
        await asyncio.sleep(2)
        control = Control(world)
        await control.listen((TRADES, world.id("MNQ")), (TRADES, world.id("MES")))
        await asyncio.sleep(1200)
        await quiet(world)
        for symbol in (world.symbol("MNQ"), world.symbol("MES")):
            same(*([t for t in ticks if t.symbol == symbol] for ticks in (heard.items, control.rows["trades"])))
        assert [tick.seq for tick in heard.items] == list(range(1, len(heard.items) + 1))
        rotations = of(events.items, Rotated)
        assert 3 <= len(rotations) == len(of(events.items, TokenChanged)) - 1
        assert not any(rotation.uncertain for rotation in rotations)
        assert not of(events.items, (Lost, Gapped, RotationFailed))
        assert len(world.simulator.connections) == 2

    live(use, gateway=AGAIN, rate=20, token_life="5m")


@pytest.mark.parametrize("seed", range(4))
def test_books_and_quotes_go_on_over_a_change_of_connection(seed: int) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.01 * seed
        gateway = world.gateway
        heard = Heard(gateway.trades("MNQ"))
        books = Heard(gateway.depth("MNQ").pipe(ops.order_book(5)))
        quotes = Heard(gateway.quotes("MNQ").pipe(ops.latest_quote()))
        raw = Heard(gateway.quotes("MNQ"))
        await asyncio.sleep(2)
        for _ in range(5):
            await new_token(world)
            await asyncio.sleep(7 + seed)
        await quiet(world)
        assert heard.error is books.error is quotes.error is None
        # A connection of its own is told the whole book at first: it must be the one that went over five connections.
        control = Control(world)
        await control.listen((DEPTH, world.id("MNQ")), (QUOTES, world.id("MNQ")))
        await asyncio.sleep(1)
        levels = {(row.side, row.price): row.size for row in control.rows["depth"] if row.price is not None}
        book = books.items[-1]
        assert list(book.asks) == [
            (price, levels[side, price]) for side, price in sorted(levels) if side == Side.SELL
        ][:5]  # fmt: skip
        (late,) = Heard(gateway.quotes("MNQ")).items or [quotes.items[-1]]
        assert (quotes.items[-1].bid, quotes.items[-1].ask) == (late.bid, late.ask) == (book.bids[0][0], book.asks[0][0])
        times = [quote.time for quote in raw.items]
        assert times == sorted(times)

    live(use, gateway=AGAIN, rate=20, seed=seed)


def test_orders_change_connections_with_none_lost_and_none_doubled() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        (account, *_) = await world.gateway.account_list()
        control = Control(world)
        await control.listen((ORDERS, account.id))
        orders = Heard(world.gateway.orders(account.id))
        await asyncio.sleep(2)
        for _ in range(10):
            await new_token(world)
            await asyncio.sleep(11)
        await asyncio.sleep(1)
        rotations = of(events.items, Rotated)
        assert len(rotations) == 10
        assert {rotation.hub for rotation in rotations} == {"user"}
        assert orders.error is None
        assert [(o.id, o.status, o.filled) for o in orders.items] == [
            (o.id, o.status, o.filled) for o in control.rows["orders"][-len(orders.items) :]
        ]
        assert len(orders.items) > 50

    live(use, gateway=AGAIN, rate=20, orders_every="700ms")


@pytest.mark.parametrize("fault", ["drop:market", "fail:subscribe", "hang:subscribe=50s", "refuse:upgrade=3"])
@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2])
def test_whatever_goes_wrong_meanwhile_no_trade_is_lost_in_silence(fault: str, wait: float) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.05
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        if not wait:
            world.simulator.fault(fault)
        asking = asyncio.ensure_future(new_token(world))
        await asyncio.sleep(0.3 + wait)
        if wait:
            world.simulator.fault(fault)
        await asyncio.sleep(150)
        await asking
        await quiet(world)
        assert heard.error is None
        gaps = [event.gap for event in of(events.items, Gapped) if not event.gap.ongoing]
        lost = of(events.items, Lost)
        assert bool(gaps) == bool(lost)
        if "drop" not in fault:
            assert not lost
        assert [tick.seq for tick in heard.items] == list(range(1, len(heard.items) + 1))
        missed = world.missed("MNQ", heard.items)
        assert bool(missed) == bool(lost)
        around(gaps, missed, heard.items)
        assert len(world.simulator.connections) == 1
        assert world.gateway.stats.market.topics == 1

    live(use, gateway=AGAIN, rate=50)


def test_the_old_connection_is_kept_while_the_new_one_cannot_be_had() -> None:
    async def use(world: World) -> None:
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(100)
        await new_token(world)  # its login is well, but then nothing connects
        world.simulator.fault("refuse:upgrade=5")
        await asyncio.sleep(200)
        await quiet(world)
        assert [type(event) for event in events.items if not isinstance(event, TokenChanged)] == [
            Connected, *[RotationFailed] * 5, Rotated,
        ]  # fmt: skip
        assert world.missed("MNQ", heard.items) == []

    live(use, gateway=AGAIN, rate=50)


@pytest.mark.parametrize("latency", [0.0, 0.05])
def test_a_gateway_of_one_session_is_noticed_and_served_by_break_before_make(latency: float) -> None:
    async def use(world: World) -> None:
        world.network.latency = latency
        events = Heard(world.gateway.events)
        heard = Heard(world.gateway.trades("MNQ"))
        for _ in range(5):
            await asyncio.sleep(100)
            await new_token(world)
        await asyncio.sleep(100)
        await quiet(world)
        assert heard.error is None
        kinds = [type(event).__name__ for event in events.items if not isinstance(event, (TokenChanged, Gapped))]
        assert kinds == ["Connected", "Rotated", "SingleSession", "Rotated", *["Lost", "Connected"] * 3]
        assert [event.cause for event in of(events.items, Lost)] == ["rotation"] * 3
        told = [event.gap for event in of(events.items, Gapped)]
        gaps = told[1::2]
        assert [gap.cause for gap in gaps] == ["overlap_uncertain"] * 2 + ["rotation"] * 3
        assert told[::2] == [msgspec.structs.replace(gap, end=ONGOING) for gap in gaps]
        assert [tick.seq for tick in heard.items] == list(range(1, len(heard.items) + 1))
        missed = world.missed("MNQ", heard.items)
        assert bool(missed) == bool(latency)
        around(gaps, missed, heard.items)
        assert len(world.simulator.truth.connections) == 6
        assert len(world.simulator.connections) == 1

    live(use, gateway=AGAIN, rate=50, sessions="one")


def test_topics_that_come_and_go_during_a_change_are_there_exactly_once() -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.1
        stays = Heard(world.gateway.trades("MNQ"))
        goes = Heard(world.gateway.trades("MES"))
        await asyncio.sleep(10)
        asking = asyncio.ensure_future(new_token(world))
        for step in range(12):
            await asyncio.sleep(0.1)
            if step == 6:
                goes.dispose()
            if step == 8:
                comes = Heard(world.gateway.quotes("MES"))
        await asking
        await asyncio.sleep(10)
        mnq, mes = world.id("MNQ"), world.id("MES")
        assert world.subscriptions() == sorted([f"trades {mnq}", f"quotes {mes}"])
        assert len(comes.items) > 10
        assert stays.error is comes.error is None
        assert len(world.simulator.connections) == 1

    live(use, gateway=AGAIN, rate=20)


@pytest.mark.parametrize("wait", [0.0, 0.2, 0.35, 0.5, 0.8])
def test_closing_at_any_moment_of_a_change_leaves_nothing(wait: float) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.05
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(10)
        asking = asyncio.ensure_future(new_token(world))
        await asyncio.sleep(wait)
        asking.cancel()
        await world.gateway.close()
        assert heard.completed
        world.network.cut(HOST)

    live(use, gateway=AGAIN, rate=20)


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("begun", [0.0, 0.3, 0.6])
def test_the_last_stream_leaves_in_the_middle_of_it_and_another_comes(begun: float, turns: int) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.05
        events = Heard(world.gateway.events)
        first = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(5)
        await new_token(world)
        await asyncio.sleep(begun)
        first.dispose()
        for _ in range(turns):
            await asyncio.sleep(0)
        second = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(5)
        assert len(second.items) > 20
        assert not of(events.items, (Lost, RotationFailed))
        second.dispose()

    live(use, gateway=AGAIN, rate=20)
