"""Streams that come, go, fail and are closed at awkward moments: nobody is forgotten, and nothing is left over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loguru import logger
from reactivex import operators as rx

from rxfeed.errors import ConnectionLost, FeedError
from rxfeed.model import Tick, Undecoded
from tests.feeds.projectx.world import Heard, World, live


@pytest.mark.parametrize("wait", [0.0, 0.001, 0.01, 0.03, 0.1])
def test_closing_while_a_stream_is_on_its_way_ends_soon_and_completes_it(wait: float) -> None:
    async def use(world: World) -> None:
        world.network.latency = 0.01
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(wait)
        async with asyncio.timeout(5):
            await world.gateway.close()
        assert heard.completed
        await asyncio.sleep(1)
        assert world.simulator.connections == {}

    live(use)


def test_closing_does_not_wait_for_a_login_that_hangs() -> None:
    async def use(world: World) -> None:
        world.simulator.fault("hang:rest=10m")
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        async with asyncio.timeout(5):
            await world.gateway.close()
        assert heard.completed

    live(use)


def test_a_stream_that_is_looking_for_its_contract_when_another_loses_the_connection_leaves_none_open() -> None:
    async def use(world: World) -> None:
        first = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        world.network.latency = 0.05
        second = Heard(world.gateway.trades("MES"))
        world.simulator.fault("drop")
        await first.over.wait()
        await asyncio.sleep(5)
        if second.error is None:
            assert world.subscriptions() == [f"trades {world.id('MES')}"]
        else:
            assert world.gateway.stats.market.streams == 0
            assert not world.gateway.stats.market.connected
            assert world.simulator.connections == {}

    live(use)


@pytest.mark.parametrize("how", ["no on_error", "on_error raises"])
def test_every_stream_is_told_of_a_loss_whatever_the_others_do(how: str) -> None:
    async def use(world: World) -> None:
        told: list[str] = []
        sink = logger.add(lambda line: told.append(str(line)), level="ERROR")

        def fails(_: Exception) -> None:
            raise RuntimeError("my own fault")

        try:
            trades = world.gateway.trades("MNQ")
            _ = trades.subscribe(print) if how == "no on_error" else trades.subscribe(print, fails)
            heard = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(1)
            world.simulator.fault("drop")
            await asyncio.sleep(5)
        finally:
            logger.remove(sink)
        assert isinstance(heard.error, ConnectionLost)
        assert len(told) == 1
        assert ("no on_error was given" if how == "no on_error" else "my own fault") in told[0]

    live(use)


def test_every_stream_is_completed_when_the_gateway_is_closed_whatever_the_others_do() -> None:
    async def use(world: World) -> None:
        told: list[str] = []
        sink = logger.add(lambda line: told.append(str(line)), level="ERROR")

        def fails() -> None:
            raise RuntimeError("my own fault")

        try:
            world.gateway.trades("MNQ").subscribe(print, print, fails)
            heard, orders = Heard(world.gateway.trades("MNQ")), Heard(world.gateway.orders(1))
            await asyncio.sleep(1)
            await world.gateway.close()
        finally:
            logger.remove(sink)
        assert heard.completed
        assert orders.completed
        assert len(told) == 1
        assert "my own fault" in told[0]
        assert world.simulator.connections == {}

    live(use)


def test_rejects_that_raises_costs_no_trade() -> None:
    def fails(_: Undecoded) -> None:
        raise RuntimeError("my own fault")

    async def use(world: World) -> None:
        told: list[str] = []
        sink = logger.add(lambda line: told.append(str(line)), level="ERROR")
        try:
            heard = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(1)
            event = '{"type":1,"target":"GatewayTrade","arguments":["%s",[%s]]}\x1e'
            bad = '{"price":"1.5","timestamp":"2026-01-05T14:30:00Z","volume":1}'
            good = '{"price":1.5,"timestamp":"2026-01-05T14:30:00Z","volume":1}'
            for _ in range(2):
                world.simulator.raw((event % (world.id("MNQ"), f"{good},{bad},{good}")).encode())
                await asyncio.sleep(1)
        finally:
            logger.remove(sink)
        assert [tick.price for tick in heard.items] == [1.5] * 4
        assert world.gateway.stats.undecoded == 2
        assert len(told) == 1
        assert "my own fault" in told[0]

    live(use, gateway={"rejects": fails})


def test_going_from_one_contract_to_another_leaves_the_first() -> None:
    async def use(world: World) -> None:
        one = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        one.dispose()
        Heard(world.gateway.trades("MES"))
        await asyncio.sleep(1)
        assert world.subscriptions() == [f"trades {world.id('MES')}"]
        assert world.gateway.stats.market.connections == 1

    live(use)


def test_connect_once_ends_when_the_gateway_is_closed() -> None:
    async def use(world: World) -> None:
        links = Heard(world.gateway.connect_once("market"))
        await asyncio.sleep(1)
        async with asyncio.timeout(5):
            await world.gateway.close()
        assert links.completed
        assert world.simulator.connections == {}

    live(use)


def test_connect_once_whose_subscriber_raises_leaves_nothing() -> None:
    async def use(world: World) -> None:
        def fails(_: Any) -> None:
            raise RuntimeError("my own fault")

        errors: list[Exception] = []
        world.gateway.connect_once("market").subscribe(fails, errors.append)
        start = world.simulation.loop.time()
        await asyncio.sleep(1)
        await world.gateway.close()
        assert world.simulation.loop.time() < start + 5
        assert world.simulator.connections == {}
        assert [task for task in asyncio.all_tasks() if "rxfeed connection" in task.get_name()] == []

    live(use)


def test_a_connection_whose_task_somebody_cancels_is_lost_to_its_streams() -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        for task in asyncio.all_tasks():
            if "connection to" in task.get_name():
                task.cancel()
        await asyncio.sleep(5)
        assert isinstance(heard.error, FeedError)
        again = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        world.simulator.trade("MNQ", (21_500.0, 1))
        await asyncio.sleep(1)
        assert len(again.items) == 1

    live(use)


@pytest.mark.parametrize("depth", [100, 470, 600, 900, 5_000, 100_000])
@pytest.mark.parametrize("target", ["GatewayTrade", "GatewayUserOrder", "Unknown"])
def test_what_is_nested_without_end_is_rejected_by_itself(depth: int, target: str) -> None:
    async def use(world: World) -> None:
        heard, orders = Heard(world.gateway.trades("MNQ")), Heard(world.gateway.orders(1))
        await asyncio.sleep(1)
        nested = "[" * depth + "]" * depth
        trade = '{"price":1.5,"timestamp":"2026-01-05T14:30:00Z","volume":1}'
        good = f'{{"type":1,"target":"GatewayTrade","arguments":["{world.id("MNQ")}",[{trade}]]}}\x1e'
        bad = f'{{"type":1,"target":"{target}","arguments":["{world.id("MNQ")}",{nested}]}}\x1e'
        world.simulator.raw((good + bad + good).encode())
        world.simulator.raw(bad.encode(), hub="user")
        world.simulator.raw((good + f'{{"type":3,"invocationId":"99","result":{nested}}}\x1e' + good).encode())
        await asyncio.sleep(1)
        assert [tick.price for tick in heard.items] == [1.5] * 4
        assert (heard.error, orders.error) == (None, None)
        assert world.gateway.stats.undecoded > 0 or depth < 1000

    live(use)


def test_subscribing_and_disposing_inside_on_next() -> None:
    async def use(world: World) -> None:
        inner: list[Heard[Tick]] = []
        seen: list[Tick] = []

        def on_next(tick: Tick) -> None:
            seen.append(tick)
            if len(seen) == 2:
                outer.dispose()
                inner.append(Heard(world.gateway.trades("MNQ")))

        outer = world.gateway.trades("MNQ").subscribe(on_next)
        other = Heard(world.gateway.trades("MNQ").pipe(rx.take(3)))
        await asyncio.sleep(1)
        world.simulator.trade("MNQ", *[(float(price), 1) for price in range(1, 6)])
        await asyncio.sleep(1)
        assert [tick.price for tick in seen] == [1.0, 2.0]
        assert [tick.price for tick in other.items] == [1.0, 2.0, 3.0]
        assert other.completed
        world.simulator.trade("MNQ", (6.0, 1))
        await asyncio.sleep(1)
        assert [tick.price for tick in inner[0].items] == [6.0]
        assert world.gateway.stats.market[1:4] == (1, 1, 1)

    live(use)


def test_retrying_at_once_inside_on_error() -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ").pipe(rx.retry(5)))
        other = Heard(world.gateway.depth("MES").pipe(rx.retry(5)))
        for turn in range(3):
            await asyncio.sleep(5)
            world.simulator.trade("MNQ", (float(turn), 1))
            await asyncio.sleep(5)
            world.simulator.fault("drop")
        await asyncio.sleep(5)
        assert [tick.price for tick in heard.items] == [0.0, 1.0, 2.0]
        assert (heard.error, other.error) == (None, None)
        assert world.gateway.stats.market.connections == 4
        assert len(world.simulator.connections) == 1

    live(use)
