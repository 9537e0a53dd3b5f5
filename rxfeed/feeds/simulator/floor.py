"""The trading floor: the markets, who is subscribed to what, and the pump that makes them trade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

from rxfeed.clock import Clock, Timer
from rxfeed.feeds.simulator.connection import HubConnection, Refused
from rxfeed.feeds.simulator.desk import Desk
from rxfeed.feeds.simulator.lags import Lags
from rxfeed.feeds.simulator.listing import Listed
from rxfeed.feeds.simulator.market import Contract
from rxfeed.feeds.simulator.pacing import Pump, Rate, check_rate
from rxfeed.feeds.simulator.records import MARKET_KINDS, Deals, Encoder, Kind, Record, Shape
from rxfeed.feeds.simulator.scripts import Scripts
from rxfeed.feeds.simulator.stamps import GRAIN
from rxfeed.feeds.simulator.tape import Reel
from rxfeed.feeds.simulator.truebars import TrueBar, true_bars
from rxfeed.feeds.simulator.truth import Truth
from rxfeed.times import FOREVER, SECOND, Duration, nanoseconds

_PAST_STEP: Final = SECOND // 10
_TRADE_BYTES: Final = 105
"""What a trade takes in a message, at least."""


class Floor(Scripts):
    """Markets and subscriptions. `Simulator` adds the network's side and is what people use."""

    def __init__(
        self, listed: Mapping[str, Listed], reel: Reel, rate: Rate, *, clock: Clock, random: Random, truth: Truth,
        encoder: Encoder, bunch: int, even: bool, users: Iterable[str], orders_every: int, resolution: int, lag: int,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.random: Final = random
        self.truth: Final = truth
        self.skew = 0
        """What the server's clock is off by, in nanoseconds."""
        self.connections: Final[dict[str, HubConnection]] = {}
        """The hub connections that are there now, by id."""
        self.markets: dict[str, Contract] = {}
        """The markets, by contract id."""
        for one in listed.values():
            traded, ledger = truth.begin(one.id)
            own = Random(random.getrandbits(64))  # noqa: S311  # a market's, no secret
            self.markets[one.id] = Contract(one, encoder, own, traded, ledger, bunch)
        self._order = list(self.markets.values())
        self._wanted: dict[tuple[Kind, str], int] = {}
        self._batch: list[Record] = []
        self._reel = reel
        if resolution < GRAIN or resolution % GRAIN:
            raise ValueError(f"resolution must be 100 ns or a multiple of it, got {resolution} ns")
        self._resolution = resolution
        self._back = 0
        self._lags = Lags(clock, random, lag, self._deliver)
        self._pump = Pump(
            clock,
            reel,
            rate,
            even=even,
            skew=lambda: self.skew,
            grain=resolution,
            traded=self._traded,
            done=self._publish,
            ready=self._ready,
        )
        self._running = False
        self._desk = Desk(users, Random(random.getrandbits(64)), self._tell)  # noqa: S311
        self._orders_every = orders_every
        self._orders: Timer | None = None

    @property
    def now(self) -> int:
        """The server's time: the clock's, and what it is off by."""
        return self.clock.now + self.skew

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._running

    @property
    def lag(self) -> int:
        """By how many nanoseconds a new connection may be behind with its trades; it may be set at any time."""
        return self._lags.most

    @lag.setter
    def lag(self, lag: Duration) -> None:
        self._lags.set(nanoseconds(lag, name="lag"))

    @property
    def ended(self) -> bool:
        """Whether the tape has been played to its end."""
        return self._reel.ended

    @property
    def rate(self) -> Rate:
        """Trades a second, "max" or "tape"; it may be set at any time."""
        return self._pump.rate

    @rate.setter
    def rate(self, rate: Rate | None) -> None:
        self._pump.set_rate(check_rate(rate))
        self._go()

    def _go(self) -> None:
        """Let run what somebody wants: a market at the rate "max" only for subscribers, the trader only for listeners."""
        kinds = {kind for kind, _ in self._wanted}
        if self._running and (self._pump.rate != "max" or "trades" in kinds):
            self._pump.start()
        else:
            self._pump.stop()
        wanted = self._running and self._orders_every > 0 and bool(kinds.difference(MARKET_KINDS))
        if wanted and self._orders is None:
            self._orders = self.clock.call_at(self.clock.now + self._orders_every, self._order_now)
        elif not wanted and self._orders is not None:
            self._orders.cancel()
            self._orders = None

    def _order_now(self) -> None:
        self._orders = None
        self._desk.trade(self._order, self.now)
        self._go()

    def _past(self, length: int) -> None:
        """Trade before the start, for history's sake alone: ten trades a second."""
        number = length // _PAST_STEP
        at = self.clock.now - number * _PAST_STEP
        while number > 0:
            count, taken = self._reel.take(number)
            for take in taken:
                times = [self._stamp(at + n * _PAST_STEP) for n in take.places]
                self._order[take.contract].before(Deals(times, take.ticks, take.size, take.side), take.bid, take.ask)
            number = number - count if count else 0
            at += count * _PAST_STEP

    # What the markets do

    def _traded(self, contract: int, deals: Deals, bid: int, ask: int) -> None:
        market = self._order[contract]
        back, self._back = self._back, 0
        if back:  # the first one is earlier than it is, and the others follow as they are
            early = Deals([max(0, self._stamp(deals.time[0] - back))], *(column[:1] for column in deals[1:]))
            market.trade(early, bid, ask)
            self._make(market, early)
            deals = Deals(*(column[1:] for column in deals))
        if deals.time:
            market.trade(deals, bid, ask)
            self._make(market, deals)

    def step_back(self, by: int) -> None:
        """Let the tape's next trade say that it was done so much earlier, in nanoseconds."""
        self._back = by

    def _stamp(self, time: int) -> int:
        return time // self._resolution * self._resolution

    def _make(self, market: Contract, deals: Deals, shape: Shape | None = None, bunch: int | None = None) -> None:
        wanted, id = self._wanted, market.listed.id
        if wanted:
            if ("quotes", id) in wanted:
                self._batch += market.quote_records(market.time)
            if ("trades", id) in wanted:
                self._batch += market.trade_records(deals, shape, bunch)
            if ("depth", id) in wanted:
                self._batch += market.depth_records(market.time)

    def _publish(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        topics = {record.topic for record in batch}
        now_or_later = self._lags.part(batch) if self._lags else None
        for one in list(self.connections.values()):
            if now_or_later is not None and (one.lag or one.behind):
                self._lags.later(one, now_or_later.later)
                self._deliver(one, now_or_later.now)
            elif topics <= one.subscriptions.keys():
                one.deliver(batch)
            else:
                self._deliver(one, batch)

    def _deliver(self, one: HubConnection, batch: Sequence[Record]) -> None:
        subscriptions = one.subscriptions
        mine = [record for record in batch if record.topic in subscriptions]
        if mine:
            one.deliver(mine)

    def _ready(self) -> bool:
        return all(one.eager for one in self.connections.values())

    def _tell(self, user: str, record: Record) -> None:
        for one in self.picked("user"):
            kind, account = record.topic
            if one.user == user and (kind, "" if kind == "accounts" else account) in one.subscriptions:
                one.deliver([record])

    def burst(self, trades: int) -> None:
        """Do the tape's next trades at once."""
        while trades > 0 and (taken := self._pump.burst(trades)):
            trades -= taken

    def huge(self, size: int) -> None:
        """Send one message of at least so many bytes: real trades of the first contract somebody is subscribed to."""
        market = next((one for one in self._order if ("trades", one.listed.id) in self._wanted), self._order[0])
        deals = Deals.of([(self._stamp(self.now), market.bid, 1, 2)] * (size // _TRADE_BYTES + 1))
        market.trade(deals, market.bid, market.ask)
        self._make(market, deals, "list", len(deals.time))
        self._publish()

    def bars(self, contract: str, timeframe: Duration, start: int = 0, end: int = FOREVER) -> list[TrueBar]:
        """Return the true bars of all that was traded, sent to somebody or not: see `true_bars`.

        Args:
            contract: root, name, symbol or id.
            timeframe: such as "1s" or "5m"; one that is no whole seconds needs `keep_trades`.
            start: the first bar begins then or later, in nanoseconds since the epoch.
            end: and the last one before.

        Raises:
            ValueError: no such contract or timeframe, or no longer kept.
        """
        market = self._find(contract)
        return true_bars(market.listed, market.history, market.ledger, timeframe, start, end)

    # Subscriptions

    def picked(self, hub: str | None = None) -> list[HubConnection]:
        """Return the connections of a hub, or all, in the order in which they came."""
        return [one for one in self.connections.values() if hub in (None, one.hub)]

    def subscribe(self, connection: HubConnection, kind: Kind, name: str) -> Sequence[Record]:
        """Subscribe a connection and return what it gets at once: a quote is whole at first, a book complete."""
        market = self.markets.get(name) if kind in MARKET_KINDS else None
        if kind in MARKET_KINDS and market is None:
            raise Refused(f"HubException: Contract '{name}' not found.")
        if kind not in MARKET_KINDS and name and not self._desk.owns(connection.user, name):
            raise Refused(f"HubException: Account '{name}' not found.")
        if (kind, name) not in connection.subscriptions:
            connection.subscriptions[kind, name] = None
            self._wanted[kind, name] = self._wanted.get((kind, name), 0) + 1
            self._go()
        if market is None:
            return ()
        if kind == "quotes":
            return market.quote_snapshot(self.now)
        return market.depth_snapshot(self.now) if kind == "depth" else ()

    def unsubscribe(self, connection: HubConnection, kind: Kind, name: str) -> None:
        """Take a subscription back, if there is one."""
        if (kind, name) in connection.subscriptions:
            del connection.subscriptions[kind, name]
            self._unwanted((kind, name))

    def _unwanted(self, topic: tuple[Kind, str]) -> None:
        self._wanted[topic] -= 1
        if not self._wanted[topic]:
            del self._wanted[topic]
            self._go()
