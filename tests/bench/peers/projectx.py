"""project-x-py's live path: the trade callback that its RealtimeDataManager registers with the client, one manager a symbol.

It stamps ticks on arrival, lets one pass in a millisecond, and has no daily bars: that part of it raises, is logged, and goes
on. It is timed as it is, on the real clock, where a tick takes it longer than its gate. For the comparison its clock is set
to each tick's own time, as if the tick had arrived at once: then what the gate takes shows, and, with the gate open, that
the rest is right. Its timer, which puts empty bars where no tick came, is stopped for that, since what it does depends on
how fast the machine is. It needs Python 3.12.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.bench.peers import SECOND, Check, Lane, Own, PeerBar, Ticks, bar, need, nothing

KIND = "rows"
PACKAGES = ("project-x-py",)
OWN = Own(("project-x-py==4.4.1",), (3, 12), (3, 12))
NAMES = {"1s": "1sec", "1m": "1min", "5m": "5min", "1h": "1hr", "1d": "1day"}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICRO = datetime.timedelta(microseconds=1)
Callback = Callable[[dict[str, Any]], Awaitable[None]]


class _Gateway:
    """Both clients that a manager is handed: it knows the instrument, has one old bar, and hands out its callbacks."""

    def __init__(self, symbol: str, begin: int) -> None:
        self.symbol, self.begin = symbol, begin
        self.trade: Callback | None = None

    async def get_instrument(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(id=f"CON.F.US.{self.symbol}.H25", tickSize=0.01, symbolId=f"F.US.{self.symbol}")

    async def get_bars(self, *_: object, **__: object) -> Any:
        """One bar of a week before, since a manager without history makes no bars."""
        old = EPOCH + (self.begin - 7 * 86_400 * SECOND) // 1000 * MICRO
        pl = need("polars")
        frame = pl.DataFrame({"timestamp": [old], "open": [1.0], "high": [1.0], "low": [1.0], "close": [1.0], "volume": [0]})
        return frame.with_columns(pl.col("timestamp").dt.convert_time_zone("America/Chicago"))

    def is_connected(self) -> bool:
        return True

    async def subscribe_market_data(self, _: list[str]) -> bool:
        return True

    async def unsubscribe_market_data(self, _: list[str]) -> bool:
        return True

    async def add_callback(self, event: str, callback: Callback) -> None:
        if event == "market_trade":
            self.trade = callback

    async def remove_callback(self, *_: object) -> None:
        pass


async def _drive(ticks: Ticks, moved: Callable[[int], None], *, gate: bool, timer: bool) -> dict[str, Any]:
    """Feed the callbacks, one tick after the other; return the managers by symbol."""
    manager = need("project_x_py.realtime_data_manager").RealtimeDataManager
    bus = need("project_x_py").EventBus()
    gateways = {symbol: _Gateway(symbol, ticks.time[0]) for symbol in dict.fromkeys(ticks.symbol)}
    managers: dict[str, Any] = {}
    for symbol, gateway in gateways.items():
        managers[symbol] = one = manager(symbol, gateway, gateway, event_bus=bus, timeframes=list(NAMES.values()))
        await one.initialize()
        await one.start_realtime_feed()
        if not timer:
            await one._stop_bar_timer_task()
        if not gate:
            one._min_update_interval = -1.0  # an open gate lets the same instant pass
    for symbol, at, price, size, side in zip(*ticks, strict=True):
        moved(at)
        trade = gateways[symbol].trade
        assert trade is not None
        data = {"symbolId": f"F.US.{symbol}", "price": price, "timestamp": "", "volume": size, "type": 0 if side == 1 else 1}
        await trade({"contract_id": "", "data": data})
        await asyncio.sleep(0)  # its events are tasks
    for one in managers.values():
        await one.stop_realtime_feed()
    return managers


def run(ticks: Ticks) -> None:
    """On the real clock."""
    with _quiet():
        asyncio.run(_drive(ticks, nothing, gate=True, timer=True))


def _bars(*, gate: bool) -> Callable[[Ticks], list[PeerBar]]:
    def bars(ticks: Ticks) -> list[PeerBar]:
        with _quiet(), _clock() as moved:
            managers = asyncio.run(_drive(ticks, moved, gate=gate, timer=False))
        found: list[PeerBar] = []
        for symbol, one in managers.items():
            for timeframe, name in NAMES.items():
                rows = one.data[name].rows()[1:]
                found += [bar(symbol, timeframe, (at - EPOCH) // MICRO * 1000, ohlcv) for at, *ohlcv in rows]
        return found

    return bars


@contextmanager
def _clock() -> Iterator[Callable[[int], None]]:
    """Set what it takes for the time of arrival."""
    now = [0]

    class Arrival(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return (EPOCH + now[0] // 1000 * MICRO).astimezone(tz)

    def moved(at: int) -> None:
        now[0] = at

    processing = need("project_x_py.realtime_data_manager.data_processing")
    arrived = mock.patch.object(time, "time", side_effect=lambda: now[0] / 1e9)
    with mock.patch.object(processing, "datetime", Arrival), arrived:
        yield moved


@contextmanager
def _quiet() -> Iterator[None]:
    """It logs an error a tick for the daily bars."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def lanes() -> list[Lane]:
    need("project_x_py")
    short = tuple(name for name in NAMES if name != "1d")
    checks = Check(_bars(gate=False), short, name="with its gate open"), Check(_bars(gate=True), short, exact=False)
    return [Lane("project-x-py, live path", lambda ticks: ticks, run, checks, most=300)]
