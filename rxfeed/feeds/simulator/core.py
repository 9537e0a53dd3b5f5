"""The simulator: a gateway that never was, with no socket of its own.

Requests and upgrades come in as values, records go out to outlets; time and chance are handed in. `server` puts aiohttp
around it, and a test may leave that out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

from rxfeed.clock import Clock, LiveClock
from rxfeed.feeds.readers import Source
from rxfeed.feeds.simulator import hubs
from rxfeed.feeds.simulator.connection import HubConnection, Outlet, Refused, Timing
from rxfeed.feeds.simulator.doors import Doors, Ticket
from rxfeed.feeds.simulator.http import Answer, Request, answer, refusal
from rxfeed.feeds.simulator.listing import Listed, listing
from rxfeed.feeds.simulator.market import Contract
from rxfeed.feeds.simulator.pacing import Pump, Rate, check_rate
from rxfeed.feeds.simulator.records import MARKET_KINDS, Deal, Encoder, Kind, Level, Record, Shape
from rxfeed.feeds.simulator.rest import Rest
from rxfeed.feeds.simulator.stamps import on_wire
from rxfeed.feeds.simulator.tape import Reel, Tape, recorded_tape, symbols_of, synthetic_tape
from rxfeed.feeds.simulator.tokens import Tokens
from rxfeed.feeds.simulator.truth import Totals, Truth
from rxfeed.times import Duration, nanoseconds

if TYPE_CHECKING:
    from aiohttp import web

USER: Final = "simulator"
KEY: Final = "simulator"
CONTRACTS: Final = ("MNQ", "MES", "NQ", "ES")
HIGH: Final = 1 << 20
"""Bytes that a socket may hold before a market at the rate "max" waits for it."""
HIGHEST: Final = 64 << 20
"""Bytes that a socket may hold before a connection is cut that does not keep up."""


class Simulator:
    """A simulated gateway: REST, both hubs, and a market of its own.

    Args:
        contracts: roots ("MNQ", its front month), months ("MNQZ26") or ids; the first ones trade most. With a tape, by
            default the tape's symbols.
        rate: trades a second over all contracts, 0 for none but scripted ones, "max" (or None) for as fast as the sockets
            take them, "tape" for the tape's own pace. At "max" the market stands still while nobody is subscribed to trades.
        seed: of market, ids and keys.
        clock: whose time it is; by default the machine's, with calls made by the running asyncio loop.
        random: instead of one made of the seed, for ids, keys and books.
        token_life: how long a token lasts, at least 1 s.
        users: who may log in, with which key.
        tape: a file, folder, table or frame of recorded ticks, as `replay` takes them. It plays once.
        map: rxfeed's name -> the tape's column.
        bunch: trades in a message at most.
        shape: of events: "list" as in real captures, "dict" as in the documents, "nested" as in a few captures.
        past: for how long the market has traded before it starts, so that there is history: ten trades a second.
        limits: whether REST's rates are limited as the gateway's are.
        timing: pings and timeouts of the hubs.
        keep: how many messages the truth keeps as they were sent.

    Raises:
        ValueError: a value that is not allowed; the text says which.
        InputError: a tape that cannot be read.
    """

    def __init__(
        self, contracts: Iterable[str] | None = None, *, rate: Rate | None = 100.0, seed: int = 0, clock: Clock | None = None,
        random: Random | None = None, token_life: Duration = "24h",  # noqa: S107  # a duration
        users: Mapping[str, str] | None = None,
        tape: Source | None = None, map: Mapping[str, str | None] | None = None, bunch: int = 10, shape: Shape = "list",
        past: Duration = 0, limits: bool = True, timing: Timing | None = None, keep: int = 0,
    ) -> None:  # fmt: skip
        if bunch < 1:
            raise ValueError(f"bunch must be at least 1 trade, got {bunch}")
        rate = check_rate(rate)
        self.clock: Final[Clock] = LiveClock() if clock is None else clock
        self.random: Final = Random(f"rxfeed simulator {seed}") if random is None else random  # noqa: S311  # no secrets here
        self.seed: Final = seed
        self.skew = 0
        """What the server's clock is off by, in nanoseconds."""
        self.users: Final = dict({USER: KEY} if users is None else users)
        self.tokens = Tokens(nanoseconds(token_life, name="token_life"), self.random)
        self.truth: Final = Truth(keep)
        self.timing: Final = timing or Timing()
        self.connections: Final[dict[str, HubConnection]] = {}
        """The hub connections that are there now, by id."""
        self._encoder = Encoder(shape)
        listed, played = _market(contracts, seed, self.clock.now, tape, map)
        self.markets: dict[str, Contract] = {id: self._contract(one, bunch) for id, one in listed.items()}
        self._order = list(self.markets.values())
        self._doors = Doors(self.random)
        self._rest = Rest(self, limits=limits)
        self._wanted: dict[tuple[Kind, str], int] = {}
        self._batch: list[Record] = []
        reel = Reel(played)
        self._past(reel, nanoseconds(past, name="past"))
        self._pump = Pump(
            self.clock, reel, rate, even=tape is not None, skew=lambda: self.skew, traded=self._traded, done=self._publish,
            ready=self._ready,
        )  # fmt: skip
        self._reel = reel
        self._running = False

    def __repr__(self) -> str:
        names = ", ".join(market.listed.symbol for market in self._order)
        return f"Simulator({names}, rate={self._pump.rate}, seed={self.seed}, {len(self.connections)} connections)"

    def _contract(self, listed: Listed, bunch: int) -> Contract:
        traded = self.truth.traded[listed.id] = Totals()
        return Contract(listed, self._encoder, Random(self.random.getrandbits(64)), traded, bunch)  # noqa: S311

    def _past(self, reel: Reel, length: int) -> None:
        """Trade before the start, for history's sake alone."""
        number, step = length * 10 // 1_000_000_000, 100_000_000
        begin = self.clock.now - number * step
        while number > 0:
            _, rows = reel.take(number)
            if not rows:
                return
            for n, (contract, ticks, size, side, bid, ask) in enumerate(rows):
                self._order[contract].before(Deal(on_wire(begin + n * step), ticks, size, side), bid, ask)
            number -= len(rows)
            begin += len(rows) * step

    def app(self) -> web.Application:
        """Return it as an aiohttp application: REST at /api, hubs at /hubs/market and /hubs/user, and /simulator."""
        from rxfeed.feeds.simulator.server import make_app

        return make_app(self)

    # Life

    def start(self) -> None:
        """Let the market trade."""
        self._running = True
        self._go()

    def stop(self) -> None:
        """Let the market stand still and cut all connections."""
        self._running = False
        self._pump.stop()
        for one in list(self.connections.values()):
            one.end("stopped", 1001)

    def _go(self) -> None:
        waits = self._pump.rate == "max" and not any(kind == "trades" for kind, _ in self._wanted)
        if self._running and not waits:
            self._pump.start()
        else:
            self._pump.stop()

    @property
    def rate(self) -> Rate:
        """Trades a second, "max" or "tape"; it may be set at any time."""
        return self._pump.rate

    @rate.setter
    def rate(self, rate: Rate | None) -> None:
        self._pump.set_rate(check_rate(rate))
        self._go()

    @property
    def now(self) -> int:
        """The server's time: the clock's, and what it is off by."""
        return self.clock.now + self.skew

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._running

    @property
    def ended(self) -> bool:
        """Whether the tape has been played to its end."""
        return self._reel.ended

    # Market

    def _traded(self, contract: int, deals: list[Deal], bid: int, ask: int) -> None:
        market = self._order[contract]
        market.trade(deals, bid, ask)
        self._make(market, deals)

    def _make(self, market: Contract, deals: Sequence[Deal], shape: Shape | None = None, bunch: int | None = None) -> None:
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
        for one in list(self.connections.values()):
            subscriptions = one.subscriptions
            if topics <= subscriptions.keys():
                one.deliver(batch)
            else:
                mine = [record for record in batch if record.topic in subscriptions]
                if mine:
                    one.deliver(mine)
            if one.unsent > HIGHEST:
                one.drop("too slow")

    def _ready(self) -> bool:
        return all(one.unsent < HIGH for one in self.connections.values())

    # Scripts

    def _find(self, contract: str) -> Contract:
        for market in self._order:
            listed = market.listed
            if contract in (listed.id, listed.symbol, listed.name, listed.root):
                return market
        raise ValueError(f"contract must be one of {', '.join(self.markets)}, got {contract!r}")

    def contract(self, name: str) -> Listed:
        """Return a contract by root, name, symbol or id.

        Raises:
            ValueError: there is none.
        """
        return self._find(name).listed

    def trade(
        self, contract: str, *trades: tuple[float, int] | tuple[float, int, int], time: int | None = None,
        at: int | None = None, shape: Shape | None = None, bunch: int | None = None,
    ) -> None:  # fmt: skip
        """Do trades, as one message if there are not more than a bunch.

        Args:
            contract: root, name, symbol or id.
            trades: `(price, size)` or `(price, size, side)`, side 1 buys and 2 sells.
            time: their time; by default the server's when they are done.
            at: when to do it, in nanoseconds since the epoch; by default now.
            shape: of the message, if not the simulator's.
            bunch: trades in a message at most, if not the simulator's.

        Raises:
            ValueError: no such contract, or a price off its grid.
        """
        market = self._find(contract)
        rows = [(market.listed.ticks(row[0]), row[1], row[2] if len(row) > 2 else 1) for row in trades]

        def do() -> None:
            stamp = on_wire(self.now if time is None else time)
            deals = [Deal(stamp, *row) for row in rows]
            market.trade(deals)
            self._make(market, deals, shape, bunch)
            self._publish()

        self._at(at, do)

    def quote(self, contract: str, *, time: int | None = None, at: int | None = None, shape: Shape | None = None,
              **fields: Any) -> None:  # fmt: skip
        """Send a quote with just these fields of the gateway's (`bestBid=21500.25`) to whoever is subscribed."""
        market = self._find(contract)

        def do() -> None:
            self._batch.append(market.scripted_quote(fields, self.now if time is None else time, shape))
            self._publish()

        self._at(at, do)

    def depth(
        self, contract: str, *levels: tuple[int, float, int], time: int | None = None, at: int | None = None,
        shape: Shape | None = None,
    ) -> None:  # fmt: skip
        """Send levels `(DomType, price, volume)` to whoever is subscribed; the market's own book knows nothing of them."""
        market = self._find(contract)
        rows = [Level(kind, market.listed.ticks(price), volume, volume) for kind, price, volume in levels]

        def do() -> None:
            self._batch += market.scripted_depth(rows, self.now if time is None else time, shape)
            self._publish()

        self._at(at, do)

    def raw(self, payload: bytes, *, hub: str | None = None, connection: str | None = None, at: int | None = None) -> None:
        """Send bytes as one WebSocket message to all connections, those of one hub, or one by its id."""

        def do() -> None:
            for one in self.picked(hub):
                if connection in (None, one.id):
                    one.send_raw(payload)

        self._at(at, do)

    def _at(self, when: int | None, action: Any) -> None:
        if when is None:
            action()
        else:
            self.clock.call_at(when, action)

    def picked(self, hub: str | None = None) -> list[HubConnection]:
        """Return the connections of a hub, or all, in the order in which they came."""
        return [one for one in self.connections.values() if hub in (None, one.hub)]

    # Hubs

    def subscribe(self, connection: HubConnection, kind: Kind, name: str) -> Sequence[Record]:
        """Subscribe a connection and return what it gets at once: a quote is whole at first, a book complete."""
        market = self.markets.get(name) if kind in MARKET_KINDS else None
        if kind in MARKET_KINDS and market is None:
            raise Refused(f"HubException: Contract '{name}' not found.")
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
        if connection.subscriptions.pop((kind, name), 0) is None:
            self._unwanted((kind, name))

    def _unwanted(self, topic: tuple[Kind, str]) -> None:
        self._wanted[topic] -= 1
        if not self._wanted[topic]:
            del self._wanted[topic]
            self._go()

    # The network's side

    def request(self, request: Request) -> Answer:
        """Answer a request that is no upgrade."""
        for hub in hubs.HUBS:
            if request.path == f"/hubs/{hub}/negotiate":
                if request.method != "POST":
                    return refusal(405, Allow="POST")
                return self._doors.negotiate(request, hub, self.tokens.user(request.token, self.now), self.clock.now)
        return self._rest.handle(request)

    def enter(self, request: Request, hub: str) -> Ticket | Answer:
        """Judge a WebSocket's upgrade."""
        return self._doors.enter(request, hub, self.tokens.user(request.token, self.now), self.clock.now)

    def leave(self, ticket: Ticket) -> None:
        """Give a ticket back that was not used."""
        self._doors.leave(ticket.id)

    def connect(self, ticket: Ticket, outlet: Outlet) -> HubConnection:
        """Begin a hub connection over a WebSocket that was let in."""
        one = HubConnection(
            ticket.id, ticket.hub, ticket.user, ticket.token, self.clock, outlet, self.timing,
            lambda connection, target, arguments: hubs.call(self, connection, target, arguments), self._left, self.truth.kept,
        )  # fmt: skip
        self.connections[one.id] = one
        self.truth.open(one.sent)
        return one

    def _left(self, connection: HubConnection) -> None:
        for topic in connection.subscriptions:
            self._unwanted(topic)
        self.connections.pop(connection.id, None)
        self._doors.leave(connection.id)

    # Users

    def accounts(self, user: str) -> list[dict[str, Any]]:
        """Return a user's accounts."""
        number = 1 + list(self.users).index(user)
        flags = {"canTrade": True, "isVisible": True, "simulated": True}
        return [{"id": number, "name": f"SIM-{number:04d}", "balance": 50_000.0, **flags}]

    def log_out(self, token: str) -> None:
        """End a session: the token is no longer good, and its connections are told."""
        self.tokens.revoke(token, self.now)

    def state(self) -> dict[str, Any]:
        """Return what there is: contracts, rate, connections and who is subscribed to what."""
        return {
            "simulated": True, "rate": self.rate, "ended": self.ended, "skew": self.skew,
            "contracts": [market.listed.row() for market in self._order],
            "connections": [
                {"id": one.id, "hub": one.hub, "user": one.user, "state": one.state,
                 "subscriptions": [f"{kind} {name}".strip() for kind, name in one.subscriptions]}
                for one in self.connections.values()
            ],
        }  # fmt: skip

    def control(self, request: Request) -> Answer:
        """Answer a request under `/simulator`."""
        if request.path == "/simulator/truth":
            return answer(self.truth.row())
        return answer(self.state()) if request.path == "/simulator" else refusal(404)


def _market(
    contracts: Iterable[str] | None, seed: int, now: int, tape: Source | None, map: Mapping[str, str | None] | None
) -> tuple[dict[str, Listed], Tape]:
    if tape is None:
        listed = listing(CONTRACTS if contracts is None else contracts, now)
        return listed, synthetic_tape(seed, listed.values())
    sizes = symbols_of(tape, map)
    listed = listing(list(sizes) if contracts is None else contracts, now, sizes)
    by_symbol = {
        symbol: one
        for symbol in sizes
        for one in listed.values()
        if symbol in (one.symbol, one.root, one.id, one.name)
    }  # fmt: skip
    if not by_symbol:
        raise ValueError(f"contracts must be of the tape's symbols {', '.join(sizes)}, got {', '.join(listed)}")
    return listed, recorded_tape(tape, by_symbol, map)
