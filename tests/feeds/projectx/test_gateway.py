"""The gateway's streams against the simulator, whose truth every count must equal."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from loguru import logger

from rxfeed import operators as ops
from rxfeed.errors import (
    ConnectionLost,
    CredentialsError,
    InvocationFailed,
    LoginRefused,
    UnknownContract,
    Unreachable,
)
from rxfeed.events import Connected, Event, TokenChanged
from rxfeed.feeds.projectx import Credentials, Gateway, deployment
from rxfeed.feeds.projectx.link import Link
from rxfeed.frame import Frame
from rxfeed.model import Bar, Depth, DepthKind, Quote, Tick, Undecoded
from rxfeed.runs import RunObserver
from rxfeed.secret import Secret
from rxfeed.times import SECOND, nanoseconds
from tests.feeds.projectx.world import HOST, KEY, Heard, World, live


def totals(ticks: list[Tick], world: World, root: str) -> tuple[int, int, int]:
    """Trades, volume, and price × size in whole ticks, as the truth has them."""
    listed = world.simulator.contract(root)
    mine = [tick for tick in ticks if tick.symbol == listed.symbol]
    return len(mine), sum(tick.size for tick in mine), sum(listed.ticks(tick.price) * tick.size for tick in mine)


def truth(world: World, root: str) -> tuple[int, int, int]:
    sent = world.simulator.truth.sent("trades", world.id(root))
    return sent.elements, sent.volume, sent.ticks


@pytest.mark.parametrize("shape", ["list", "dict", "nested"])
@pytest.mark.parametrize("frames", [False, True])
def test_every_trade_that_was_sent_is_a_tick(frames: bool, shape: str) -> None:
    async def use(world: World) -> None:
        heard: Heard[Any] = Heard(world.gateway.trades("MNQ", "MES", frames=frames))
        await asyncio.sleep(5)
        world.simulator.rate = 0
        await asyncio.sleep(1)
        ticks: list[Tick] = [tick for frame in heard.items for tick in frame.rows()] if frames else heard.items
        for root in ("MNQ", "MES"):
            assert totals(ticks, world, root) == truth(world, root) != (0, 0, 0)
        assert [tick.seq for tick in ticks] == list(range(1, len(ticks) + 1))
        assert all(tick.received is not None and tick.time <= tick.received for tick in ticks)
        if frames:
            assert all(isinstance(frame, Frame) for frame in heard.items)
            assert max(map(len, heard.items)) > 1
        assert len(world.simulator.connections) == 1

    live(use, rate=400, shape=shape)


def test_observers_share_one_connection_and_one_subscription_and_the_last_one_out_unsubscribes() -> None:
    async def use(world: World) -> None:
        gateway = world.gateway
        first, second = Heard(gateway.trades("MNQ")), Heard(gateway.trades("MES", "MNQ", frames=True))
        third = Heard(gateway.quotes("MNQ"))
        await asyncio.sleep(1)
        mnq, mes = world.id("MNQ"), world.id("MES")
        assert world.subscriptions() == sorted([f"trades {mnq}", f"trades {mes}", f"quotes {mnq}"])
        assert gateway.stats.market[:4] == (True, 3, 3, 1)
        assert gateway.stats.logins == 1
        world.simulator.trade("MNQ", (21_500.0, 1))
        world.simulator.trade("MES", (5_900.0, 2))
        await asyncio.sleep(1)
        assert [tick.symbol for tick in first.items] == [world.symbol("MNQ")]
        assert [row.symbol for frame in second.items for row in frame.rows()] == [world.symbol("MNQ"), world.symbol("MES")]
        first.dispose()
        third.dispose()
        await asyncio.sleep(1)
        assert world.subscriptions() == sorted([f"trades {mnq}", f"trades {mes}"])
        world.simulator.trade("MNQ", (21_500.0, 1))
        await asyncio.sleep(1)
        assert (len(first.items), sum(map(len, second.items))) == (1, 3)
        second.dispose()
        await asyncio.sleep(1)
        assert world.simulator.connections == {}
        assert gateway.stats.market[:4] == (False, 0, 0, 1)

    live(use)


def test_going_from_one_stream_to_another_keeps_the_connection() -> None:
    async def use(world: World) -> None:
        one = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        for _ in range(5):
            one.dispose()
            one = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(1)
            assert world.subscriptions() == [f"trades {world.id('MNQ')}"]
        assert world.gateway.stats.market.connections == 1

    live(use)


def test_a_stream_that_comes_and_goes_at_once_leaves_nothing() -> None:
    async def use(world: World) -> None:
        for wait in (0.0, 0.001, 0.01, 0.1, 1.0):
            heard = [Heard(world.gateway.trades("MNQ")), Heard(world.gateway.quotes("MES"))]
            await asyncio.sleep(wait)
            for each in heard:
                each.dispose()
            await asyncio.sleep(10)
            assert world.simulator.connections == {}
            assert not any(each.over.is_set() for each in heard)

    live(use)


def test_a_late_subscriber_to_quotes_is_told_what_the_others_know() -> None:
    async def use(world: World) -> None:
        first = Heard(world.gateway.quotes("MNQ"))
        await asyncio.sleep(1)
        world.simulator.quote("MNQ", bestBid=21_500.0, bestAsk=21_500.25, lastPrice=21_500.0, volume=5)
        world.simulator.quote("MNQ", bestBid=21_499.75)
        await asyncio.sleep(1)
        late = Heard(world.gateway.quotes("MNQ"))
        await asyncio.sleep(1)
        (whole,) = late.items
        assert (whole.bid, whole.ask, whole.last, whole.volume) == (21_499.75, 21_500.25, 21_500.0, 5)
        assert whole.time == first.items[-1].time
        world.simulator.quote("MNQ", bestAsk=21_500.5)
        await asyncio.sleep(1)
        assert late.items[1:] == first.items[-1:] != []
        assert late.items[1].bid is None

    live(use)


@pytest.mark.parametrize("frames", [False, True])
def test_a_late_subscriber_to_depth_gets_the_book_and_the_same_from_then_on(frames: bool) -> None:
    async def use(world: World) -> None:
        first, early = Heard(world.gateway.depth("MNQ").pipe(ops.order_book(10))), Heard(world.gateway.depth("MNQ"))
        await asyncio.sleep(5)
        depth: Any = world.gateway.depth("MNQ", frames=frames)
        late, raw = Heard(depth.pipe(ops.order_book(10))), Heard(depth)
        await asyncio.sleep(5)
        rows: list[Depth] = [row for frame in raw.items for row in frame.rows()] if frames else raw.items
        assert rows[0].kind == DepthKind.RESET
        assert len({row.received for row in rows[:20]}) == 1
        assert [row.seq for row in rows] == sorted({row.seq for row in rows})
        shown = {(book.received): (book.bids, book.asks) for book in first.items}
        seen = {(book.received): (book.bids, book.asks) for book in late.items[1:]}
        assert len(seen) > 50
        assert seen.items() <= shown.items()
        assert len(early.items) > len(rows)

    live(use, rate=50)


def test_an_unknown_symbol_is_one_streams_error() -> None:
    async def use(world: World) -> None:
        good, bad = Heard(world.gateway.trades("MNQ")), Heard(world.gateway.trades("MNQ", "XYZ"))
        await bad.over.wait()
        assert isinstance(bad.error, UnknownContract)
        assert re.match(r"no contract is called 'XYZ' at .*sim\.test.*; ", str(bad.error))
        await asyncio.sleep(1)
        world.simulator.trade("MNQ", (21_500.0, 1))
        await asyncio.sleep(1)
        assert len(good.items) == 1
        assert not good.over.is_set()

    live(use)


@pytest.mark.parametrize("symbols", [(), ("",), ("MNQ", ""), (" ",), (["MNQ", "MES"],), (None,)])
def test_no_symbol_is_refused_at_once(symbols: tuple[Any, ...]) -> None:
    async def use(world: World) -> None:
        with pytest.raises(ValueError, match="trades needs one symbol or more"):
            world.gateway.trades(*symbols)

    live(use)


@pytest.mark.parametrize("account", ["1", 1.0, None, True])
def test_what_is_no_account_is_refused_at_once(account: Any) -> None:
    async def use(world: World) -> None:
        for stream in (world.gateway.orders, world.gateway.positions, world.gateway.fills):
            with pytest.raises(ValueError, match="needs an account's id, a whole number"):
                stream(account)

    live(use)


def test_many_symbols_are_looked_up_in_one_session() -> None:
    made: list[Any] = []

    async def use(world: World) -> None:
        factory = world.gateway._transport._factory
        world.gateway._transport._factory = lambda: (made.append(None), factory())[1]
        heard = Heard(world.gateway.trades("MNQ", "MES", world.symbol("MNQ")))
        await asyncio.sleep(2)
        assert heard.error is None
        assert len(made) <= 2

    live(use)


def test_symbols_may_be_spelled_in_all_ways() -> None:
    async def use(world: World) -> None:
        listed = world.simulator.contract("MNQ")
        names = ["MNQ", "mnq", "/MNQ", listed.symbol, listed.name, listed.id]
        heard = [Heard(world.gateway.trades(name)) for name in names]
        await asyncio.sleep(2)
        world.simulator.trade("MNQ", (21_500.0, 1))
        await asyncio.sleep(1)
        assert [[tick.symbol for tick in each.items] for each in heard] == [[listed.symbol]] * len(names)
        assert world.subscriptions() == [f"trades {listed.id}"]

    live(use)


def test_a_loss_ends_every_stream_with_one_error_and_a_log_line_and_the_next_subscription_connects_anew() -> None:
    async def use(world: World) -> None:
        lines: list[str] = []
        sink = logger.add(lambda line: lines.append(str(line).strip()), format="{level} {message}")
        try:
            heard: list[Heard[Any]] = [Heard(world.gateway.trades("MNQ")), Heard(world.gateway.depth("MES"))]
            await asyncio.sleep(1)
            world.simulator.trade("MNQ", (21_500.0, 1))
            await asyncio.sleep(1)
            world.network.cut(HOST)
            for each in heard:
                await each.over.wait()
                assert isinstance(each.error, ConnectionLost)
                assert each.error.cause == "dropped"
            text = "the connection to http://sim.test/hubs/market was cut off, with no word of goodbye"
            assert str(heard[0].error) == text
            assert lines == ["INFO connected to http://sim.test/hubs/market", f"WARNING {text}"]
        finally:
            logger.remove(sink)
        world.network.heal(HOST)
        again = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        world.simulator.trade("MNQ", (21_500.25, 1))
        await asyncio.sleep(1)
        assert [tick.seq for tick in heard[0].items + again.items] == [1, 2]
        assert world.gateway.stats.market.connections == 2
        assert world.gateway.stats.logins == 1

    live(use)


CLOSE = b'{"type":7,"error":"maintenance","allowReconnect":true}\x1e'
LOGOUT = b'{"type":1,"target":"GatewayLogout","arguments":[]}\x1e'
LOSSES: dict[str, tuple[Any, str, str]] = {
    "close": (
        lambda world: world.simulator.raw(b'{"type":7,"error":"maintenance","allowReconnect":true}\x1e'),
        "closed",
        "maintenance",
    ),
    "logout": (
        lambda world: world.simulator.raw(b'{"type":1,"target":"GatewayLogout","arguments":[]}\x1e'),
        "logout",
        "GatewayLogout",
    ),
    "silence": (lambda world: world.network.black_hole(HOST), "silent", "silent for 30 s"),
}


@pytest.mark.parametrize("how", LOSSES)
def test_each_way_to_lose_a_connection_says_which(how: str) -> None:
    lose, cause, text = LOSSES[how]

    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        lose(world)
        await heard.over.wait()
        assert isinstance(heard.error, ConnectionLost)
        assert heard.error.cause == cause
        assert text in str(heard.error)
        world.network.heal(HOST)
        world.network.cut(HOST)

    live(use)


@pytest.mark.parametrize("fault", [RuntimeError("my own fault"), asyncio.CancelledError()])
def test_a_subscriber_that_raises_ends_its_own_subscription_only(fault: BaseException) -> None:
    async def use(world: World) -> None:
        told: list[str] = []
        sink = logger.add(lambda line: told.append(str(line)), level="ERROR")
        try:
            seen: list[Tick] = []

            def fails(tick: Tick) -> None:
                seen.append(tick)
                raise fault

            world.gateway.trades("MNQ").subscribe(fails)
            good = Heard(world.gateway.trades("MNQ"))
            await asyncio.sleep(1)
            for price in (1.0, 2.0, 3.0):
                world.simulator.trade("MNQ", (price, 1))
                await asyncio.sleep(1)
        finally:
            logger.remove(sink)
        assert (len(seen), len(good.items)) == (1, 3)
        assert world.gateway.stats.market.streams == 1
        assert len(told) == 1
        assert (str(fault) or "it raised CancelledError") in told[0]

    live(use)


def test_events_and_gaps_complete_with_the_gateway_and_one_who_raises_harms_nobody() -> None:
    async def use(world: World) -> None:
        gateway, told = world.gateway, list[Event]()

        def fails(event: Event) -> None:
            told.append(event)
            raise ZeroDivisionError

        gateway.events.subscribe(fails)
        heard = Heard(gateway.events), Heard(gateway.gaps)
        gateway.trades("MNQ").subscribe()
        await asyncio.sleep(1)
        assert told == heard[0].items
        assert [type(event) for event in told] == [TokenChanged, Connected]
        assert not heard[0].completed
        await gateway.close()
        await gateway.close()
        for each in (*heard, Heard(gateway.events), Heard(gateway.gaps)):
            assert each.completed
            assert each.error is None

    live(use)


def test_closing_the_gateway_completes_the_streams_so_that_last_bars_come_out() -> None:
    async def use(world: World) -> list[Bar]:
        scheduler = world.clock.scheduler
        bars = Heard(world.gateway.trades("MNQ").pipe(ops.validate(), ops.bars("1m", scheduler=scheduler)))
        await asyncio.sleep(1)
        world.simulator.trade("MNQ", (21_500.0, 3))
        await asyncio.sleep(1)
        assert bars.items == []
        await world.gateway.close()
        assert bars.completed
        with pytest.raises(RuntimeError, match="is closed"):
            world.gateway.trades("MNQ").subscribe()
        return bars.items

    (bar,) = live(use)
    assert bar.volume == 3


def test_ticks_come_in_runs_to_those_who_take_them() -> None:
    async def use(world: World) -> None:
        runs: list[int] = []
        ended: list[Any] = []
        observer = RunObserver(ended.append, lambda run: runs.append(len(run)), ended.append, lambda: ended.append("completed"))
        observer.to(world.gateway.trades("MNQ"), None)
        await asyncio.sleep(1)
        world.simulator.trade("MNQ", *[(21_500.0, 1)] * 25)
        await asyncio.sleep(1)
        assert sum(runs) == 25
        assert max(runs) >= 10
        assert ended == []

    live(use)


def test_wrong_credentials_are_one_request_and_one_error_for_all() -> None:
    async def use(world: World) -> None:
        heard: list[Heard[Any]] = [Heard(world.gateway.trades("MNQ")), Heard(world.gateway.quotes("MES"))]
        for each in heard:
            await each.over.wait()
            assert isinstance(each.error, LoginRefused)
            assert "a-wrong-key" not in str(each.error)
        await asyncio.sleep(100)
        assert world.gateway.stats.logins == 1
        again = Heard(world.gateway.trades("MNQ"))
        await again.over.wait()
        assert isinstance(again.error, LoginRefused)
        assert world.gateway.stats.logins == 1

    live(use, gateway={"credentials": Credentials("somebody", Secret("a-wrong-key"))})


def test_a_host_that_is_not_there_is_one_clear_error() -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await heard.over.wait()
        assert isinstance(heard.error, Unreachable)
        assert "nowhere.test" in str(heard.error)

    live(use, gateway={"deployment": deployment("http://nowhere.test")})


def test_what_cannot_be_read_is_told_and_counted_and_the_rest_passes() -> None:
    rejects: list[Undecoded] = []

    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        await asyncio.sleep(1)
        event = '{"type":1,"target":"GatewayTrade","arguments":["%s",[%s]]}\x1e'
        bad = '{"price":"1.5","timestamp":"2026-01-05T14:30:00Z","volume":1}'
        good = '{"price":1.5,"timestamp":"2026-01-05T14:30:00Z","volume":1}'
        world.simulator.raw((event % (world.id("MNQ"), f"{good},{bad},{good}")).encode())
        world.simulator.raw(b"<html>\x1e")
        await asyncio.sleep(1)
        assert [tick.price for tick in heard.items] == [1.5, 1.5]
        assert [(each.source, each.symbol) for each in rejects] == [("GatewayTrade", world.symbol("MNQ")), ("SignalR", None)]
        assert world.gateway.stats.undecoded == 2

    live(use, gateway={"rejects": rejects.append})


def test_events_of_the_user_hub_in_the_shapes_that_were_seen() -> None:
    async def use(world: World) -> None:
        account = 1
        gateway = world.gateway
        orders, positions = Heard(gateway.orders(account)), Heard(gateway.positions(account))
        fills, accounts = Heard(gateway.fills(account)), Heard(gateway.accounts())
        await asyncio.sleep(2)
        for each in (orders, positions, fills, accounts):
            assert each.error is None
        id, time = world.id("MNQ"), "2026-01-05T14:30:00.1234567+00:00"

        def say(target: str, *arguments: Any) -> None:
            message = {"type": 1, "target": target, "arguments": arguments}
            world.simulator.raw(json.dumps(message).encode() + b"\x1e", hub="user")

        order = {
            "id": 7,
            "accountId": 1,
            "contractId": id,
            "updateTimestamp": time,
            "status": 2,
            "type": 2,
            "side": 1,
            "size": 3,
        }
        say("GatewayUserOrder", order)
        say("GatewayUserOrder", [{"action": 1, "data": order}])
        say("GatewayUserOrder", {"action": 1, "data": order})
        say("GatewayUserOrder", [order, order])
        say("GatewayUserOrder", order | {"accountId": 2})
        say("GatewayUserPosition", {"id": 8, "accountId": 1, "contractId": id, "type": 1, "size": 2, "averagePrice": 21_500.25})
        fill = {"id": 9, "accountId": 1, "contractId": id, "price": 21_500.0, "size": 2, "side": 0, "profitAndLoss": None}
        say("GatewayUserTrade", fill)
        say("GatewayUserAccount", {"id": 1, "name": "mine", "balance": 5.5, "canTrade": True})
        await asyncio.sleep(1)
        assert len(orders.items) == 5
        first = orders.items[0]
        assert (first.id, first.symbol, first.status, first.side, first.size) == (7, world.symbol("MNQ"), 2, 2, 3)
        assert first.updated == 1_767_623_400_123_456_700
        assert (positions.items[0].size, positions.items[0].price) == (2, 21_500.25)
        assert (fills.items[0].price, fills.items[0].side, fills.items[0].profit) == (21_500.0, 1, None)
        assert (accounts.items[0].name, accounts.items[0].balance) == ("mine", 5.5)

    live(use)


def test_connect_once_is_one_connection_that_errors_when_lost() -> None:
    async def use(world: World) -> None:
        links: Heard[Link] = Heard(world.gateway.connect_once("market"))
        other: Heard[Link] = Heard(world.gateway.connect_once("market"))
        await asyncio.sleep(1)
        (link,), (second,) = links.items, other.items
        assert (link.epoch, second.epoch) == (1, 2)
        assert len(world.simulator.connections) == 2
        other.dispose()
        await asyncio.sleep(5)
        assert len(world.simulator.connections) == 1
        world.network.cut(HOST)
        await links.over.wait()
        assert isinstance(links.error, ConnectionLost)
        world.network.heal(HOST)
        await asyncio.sleep(100)
        assert world.simulator.connections == {}

    live(use)


def test_a_refused_subscription_is_that_streams_error() -> None:
    async def use(world: World) -> None:
        heard = Heard(world.gateway.trades("MNQ"))
        refused = Heard(world.gateway.orders(999))
        await asyncio.sleep(2)
        assert isinstance(refused.error, InvocationFailed)
        assert heard.error is None

    live(use)


def test_calls_and_streams_keep_no_session_open() -> None:
    async def use(world: World) -> None:
        contract = await world.gateway.contract("MNQ")
        assert (contract.id, contract.tick_size) == (world.id("MNQ"), 0.25)
        assert [each.symbol for each in await world.gateway.contracts("MES")][:1] == [world.symbol("MES")]
        assert world.network.open == []
        assert world.gateway.stats.logins == 1

    live(use)


@pytest.mark.parametrize("timeframe", ["1s", "5s", "1m"])
def test_history_is_what_the_stream_brought(timeframe: str) -> None:
    step = nanoseconds(timeframe)

    async def use(world: World) -> tuple[list[Tick], list[Bar]]:
        heard = Heard(world.gateway.trades("MNQ"))
        begin = world.clock.now + 60 * SECOND  # a trade or two are done before the first subscription
        await asyncio.sleep(150)
        world.simulator.rate = 0
        await asyncio.sleep(120)
        bars = await world.gateway.history("MNQ", timeframe, begin, begin + 180 * SECOND)
        return [tick for tick in heard.items if tick.time >= begin], bars.rows()

    ticks, bars = live(use, rate=20)
    windows: dict[int, list[Tick]] = {}
    for tick in ticks:
        windows.setdefault(tick.time // step * step, []).append(tick)
    expected = [
        (start, mine[0].price, max(prices), min(prices), mine[-1].price, sum(tick.size for tick in mine))
        for start, mine in sorted(windows.items())
        for prices in [[tick.price for tick in mine]]
    ]
    assert len(ticks) > 1_000
    assert [(bar.start, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == expected
    assert {bar.symbol for bar in bars} == {ticks[0].symbol}


def test_accounts_are_those_that_streams_want() -> None:
    async def use(world: World) -> None:
        (account,) = await world.gateway.account_list()
        orders = Heard(world.gateway.orders(account.id))
        await asyncio.sleep(30)
        assert orders.error is None
        assert orders.items
        assert {order.account for order in orders.items} == {account.id}

    live(use, rate=20)


def test_without_a_running_loop_it_says_what_it_needs() -> None:
    gateway = Gateway(Credentials("somebody", Secret(KEY)), deployment="http://127.0.0.1:1")
    errors: list[Exception] = []
    gateway.trades("MNQ").subscribe(print, errors.append)
    (error,) = errors
    assert isinstance(error, RuntimeError)
    assert "needs a running asyncio loop" in str(error)
    assert repr(gateway) == "Gateway(127.0.0.1:1)"


def test_without_credentials_it_says_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RXFEED_USER", "RXFEED_KEY", "RXFEED_CREDENTIALS", "PROJECT_X_USERNAME", "PROJECT_X_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CredentialsError, match="set RXFEED_USER and RXFEED_KEY, or RXFEED_CREDENTIALS"):
        Gateway()


def test_quotes_flow_into_whole_ones() -> None:
    async def use(world: World) -> list[Quote]:
        whole = Heard(world.gateway.quotes("MNQ").pipe(ops.latest_quote()))
        await asyncio.sleep(5)
        return whole.items

    quotes = live(use, rate=100)
    assert len(quotes) > 50
    assert all(quote.bid is not None and quote.ask is not None and quote.bid < quote.ask for quote in quotes)
