"""Accounts: what the gateway says of them, and which may not trade."""

from __future__ import annotations

import asyncio
import re
from unittest.mock import patch

import pytest

from rxfeed.errors import ProtocolError
from rxfeed.feeds.projectx.accounts import Account, Accounts
from tests.feeds.projectx.gateway import Gateway, World, asking
from tests.feeds.projectx.world import Heard, live
from tests.feeds.projectx.world import World as Simulated

RAW = [
    {"id": 7, "name": "PRACTICE-1", "balance": 50_000.5, "canTrade": True, "isVisible": True, "simulated": True},
    {"id": "8", "name": "LIVE"},
]


def row(id: int, can_trade: object) -> dict[str, object]:
    return {"id": id, "name": f"ACCOUNT-{id}", "canTrade": can_trade}


def warnings(world: World) -> list[str]:
    return [re.sub(r"^.*?:\w+:\d+ ", "", line).strip() for line in world.simulation.logs.lines if "WARNING" in line]


def test_accounts() -> None:
    given = Gateway({"Account/search": {"accounts": RAW}})

    async def use(world: World) -> None:
        accounts = Accounts(world.login)
        assert await accounts.list() == [
            Account(7, "PRACTICE-1", 50_000.5, True, True, True),
            Account(8, "LIVE", None, None, True, None),
        ]
        assert await accounts.list(only_active=False)
        assert [asked.body for asked in given.asked[1:]] == [{"onlyActiveAccounts": True}, {"onlyActiveAccounts": False}]
        assert warnings(world) == []

    asking(given, use)


NONE = "the gateway lists no active account: there are no orders, positions and fills to follow; market data goes on"


def test_none() -> None:
    answers: list[object] = [[], None, [], [row(1, True)], [], [{"name": "no id"}]]

    async def use(world: World) -> None:
        accounts = Accounts(world.login)
        assert await accounts.list(only_active=False) == []
        assert warnings(world) == []
        for answer in answers[1:5]:
            assert bool(await accounts.list()) == bool(answer)
        assert warnings(world) == [NONE, NONE]
        with pytest.raises(ProtocolError):
            await accounts.list()
        assert warnings(world) == [NONE, NONE]

    asking(Gateway({"Account/search": [{"accounts": answer} for answer in answers]}), use)


def test_an_account_that_may_not_trade_is_said_once() -> None:
    answers = [
        [row(1, False), row(2, True), row(3, False)],
        [row(1, False), row(2, True), row(3, False)],
        [row(1, True), row(2, False), row(3, False)],
        [row(1, False), row(2, False)],
    ]
    given = Gateway({"Account/search": [{"accounts": answer} for answer in answers]})

    async def use(world: World) -> None:
        accounts = Accounts(world.login)
        for answer in answers:
            assert [account.can_trade for account in await accounts.list()] == [each["canTrade"] for each in answer]
        assert warnings(world) == [
            f"no orders are taken for account {which} (canTrade is false); market data goes on"
            for which in ("1 (ACCOUNT-1), 3 (ACCOUNT-3)", "2 (ACCOUNT-2)", "1 (ACCOUNT-1)")
        ]

    asking(given, use)


def test_market_data_goes_on_without_an_account_that_may_trade() -> None:
    async def use(world: Simulated) -> None:
        trades, own = Heard(world.gateway.trades("MNQ")), Heard(world.gateway.accounts())
        found = world.simulator.accounts("somebody")
        with patch.object(world.simulator, "accounts", lambda _: [{**each, "canTrade": False} for each in found]):
            assert await world.gateway.account_list() == []
        await asyncio.sleep(5)
        assert len(trades.items) > 50
        assert (trades.error, own.error) == (None, None)
        assert NONE in world.simulation.logs.text

    live(use, rate=20)
