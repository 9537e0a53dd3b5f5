"""The ProjectX gateway: futures, live, as observables.

from rxfeed.feeds import projectx

async with projectx.Gateway() as gateway:
    gateway.trades("MNQ").pipe(ops.validate(), ops.bars("1m", session="CME"), ops.subscribe(print))
"""

from __future__ import annotations

from rxfeed.feeds.projectx.accounts import Account
from rxfeed.feeds.projectx.contracts import Contract
from rxfeed.feeds.projectx.credentials import Credentials, clean_environment, credentials_from
from rxfeed.feeds.projectx.deployment import DEMO, TOPSTEPX, Deployment, deployment, deployment_from
from rxfeed.feeds.projectx.gateway import Gateway, GatewayStats
from rxfeed.feeds.projectx.user import Fill, Order, OrderStatus, OrderType, Position, PositionType

__all__ = [
    "DEMO",
    "TOPSTEPX",
    "Account",
    "Contract",
    "Credentials",
    "Deployment",
    "Fill",
    "Gateway",
    "GatewayStats",
    "Order",
    "OrderStatus",
    "OrderType",
    "Position",
    "PositionType",
    "clean_environment",
    "credentials_from",
    "deployment",
    "deployment_from",
]
