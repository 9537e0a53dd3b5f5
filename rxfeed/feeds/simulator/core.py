"""The simulator: a gateway that never was, with no socket of its own.

Requests and upgrades come in as values, records go out to outlets; time and chance are handed in. `server` puts aiohttp
around it, and a test may leave that out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from rxfeed.clock import Clock, LiveClock
from rxfeed.feeds.readers import Source
from rxfeed.feeds.simulator import hubs
from rxfeed.feeds.simulator.archive import Archive
from rxfeed.feeds.simulator.board import Board
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.feeds.simulator.doors import Doors, Ticket
from rxfeed.feeds.simulator.faults import Fault
from rxfeed.feeds.simulator.floor import Floor
from rxfeed.feeds.simulator.gate import places_of
from rxfeed.feeds.simulator.http import Answer, Request, refusal
from rxfeed.feeds.simulator.line import Outlet, Timing
from rxfeed.feeds.simulator.modes import Ending, Sessions, ending
from rxfeed.feeds.simulator.pacing import Rate, check_rate
from rxfeed.feeds.simulator.programme import listed_with_tape
from rxfeed.feeds.simulator.records import Encoder, Record, Shape
from rxfeed.feeds.simulator.repeats import repeating
from rxfeed.feeds.simulator.rest import Rest
from rxfeed.feeds.simulator.tape import Reel
from rxfeed.feeds.simulator.tokens import Tokens
from rxfeed.feeds.simulator.truth import Truth
from rxfeed.feeds.simulator.usher import Usher
from rxfeed.times import SECOND, Duration, nanoseconds

if TYPE_CHECKING:
    from aiohttp import web

USER: Final = "simulator"
KEY: Final = "simulator"


class Simulator(Floor):
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
        sessions: "many", "newest" (token) or "one" (connection to each hub), and what becomes of the others:
            `rxfeed.feeds.simulator.modes`.
        expiry: what happens to connections when their token runs out: "keep", "drop", "close" or "logout".
        users: who may log in, with which key.
        tape: a file, folder, table or frame of recorded ticks, as `replay` takes them. It plays once.
        map: rxfeed's name -> the tape's column.
        faults: what goes wrong, and when, from `start` on: see `rxfeed.feeds.simulator.faults`.
        bunch: trades in a message at most.
        shape: of events: "list" as in real captures, "dict" as in the documents, "nested" as in a few captures.
        resolution: what the times of trades are cut to, a multiple of 100 ns: with "1s" all trades of a second say the same.
        repeats: which share of the tape's trades repeat their contract's trade before, price, size and side.
        lag: how far behind with its trades a connection may be: each one is so by a time of its own, up to this.
        past: for how long the market has traded before it starts, so that there is history: ten trades a
            second. Not with a tape.
        orders_every: how often each account does an order, while somebody listens to the user hub; 0 is never.
        limits: whether REST's rates are limited as the gateway's are.
        timing: pings and timeouts of the hubs, and when a client that does not keep up is cut off.
        keep: how many messages the truth keeps as they were sent.
        keep_trades: how many trades of each contract it keeps, sent or not.

    Raises:
        ValueError: a value that is not allowed; the text says which.
        InputError: a tape that cannot be read.
    """

    def __init__(
        self, contracts: Iterable[str] | None = None, *, rate: Rate | None = 100.0, seed: int = 0, clock: Clock | None = None,
        random: Random | None = None, token_life: Duration = "24h",  # noqa: S107  # a duration
        sessions: str = "many", expiry: str = "keep", users: Mapping[str, str] | None = None, tape: Source | None = None,
        map: Mapping[str, str | None] | None = None, faults: Iterable[Fault | str] = (), bunch: int = 10,
        shape: Shape = "list", resolution: Duration = "100ns", repeats: float = 0.0, lag: Duration = 0,
        past: Duration = 0, orders_every: Duration = "5s", limits: bool = True,
        timing: Timing | None = None, keep: int = 0, keep_trades: int = 0,
    ) -> None:  # fmt: skip
        if bunch < 1:
            raise ValueError(f"bunch must be at least 1 trade, got {bunch}")
        if isinstance(seed, bool) or seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        if tape is not None and past != 0:
            raise ValueError("past must be 0 with a tape, whose trades are all played")
        clock = LiveClock() if clock is None else clock
        random = Random(f"rxfeed simulator {seed}") if random is None else random  # noqa: S311  # it is a simulation
        self.seed: Final = seed
        self.users: Final = dict({USER: KEY} if users is None else users)
        self._faults = [fault if isinstance(fault, Fault) else Fault.parse(fault) for fault in faults]
        self.tokens = Tokens(nanoseconds(token_life, name="token_life"), random)
        self.timing: Final = timing or Timing()
        self.usher: Final = Usher(self, Sessions.parse(sessions), ending(expiry))
        self.archive: Final = Archive(clock, seed)
        rate = check_rate(rate)
        listed, played = listed_with_tape(contracts, seed, clock.now, tape, map)
        super().__init__(
            listed, Reel(repeating(played, repeats, seed)), rate, clock=clock, random=random, truth=Truth(keep, keep_trades),
            encoder=Encoder(shape), bunch=bunch, even=tape is not None, users=self.users,
            orders_every=nanoseconds(orders_every, name="orders_every"),
            resolution=nanoseconds(resolution, name="resolution"), lag=nanoseconds(lag, name="lag"),
        )  # fmt: skip
        self._past(nanoseconds(past, name="past"))
        self._doors = Doors(random)
        self._rest = Rest(self, limits=limits)
        self._board = Board(self)

    def __repr__(self) -> str:
        names = ", ".join(market.listed.symbol for market in self.markets.values())
        return f"Simulator({names}, rate={self.rate}, seed={self.seed}, {len(self.connections)} connections)"

    # Life

    def app(self) -> web.Application:
        """Return it as an aiohttp application: REST at /api, hubs at /hubs/market and /hubs/user, and /simulator.

        It is started and stopped with the application.
        """
        from rxfeed.feeds.simulator.server import make_app

        return make_app(self)

    def start(self) -> None:
        """Let the market trade, and the faults come that it was made with."""
        if not self._running:
            self._running = True
            self._go()
            for fault in self._faults:
                self.fault(fault)

    def stop(self) -> None:
        """Let the market stand still, call off the faults that are still to come, and close all connections."""
        self._running = False
        self._go()
        self._board.stop()
        for one in list(self.connections.values()):
            one.end("stopped", 1001)

    def fault(self, fault: Fault | str) -> Callable[[], None]:
        """Let a fault happen, at once or when it says, and return what calls it off.

        Raises:
            ValueError: there is no such fault.
        """
        return self._board.add(fault if isinstance(fault, Fault) else Fault.parse(fault))

    @property
    def sessions(self) -> str:
        """How many sessions a user may have, as text; it may be set at any time."""
        return str(self.usher.sessions)

    @sessions.setter
    def sessions(self, text: str) -> None:
        self.usher.sessions = Sessions.parse(text)

    @property
    def expiry(self) -> Ending:
        """What happens to connections when their token runs out; it may be set at any time."""
        return self.usher.expiry

    @expiry.setter
    def expiry(self, text: str) -> None:
        self.usher.expiry = ending(text)

    @property
    def faults(self) -> dict[str, int]:
        """How often each fault has happened."""
        return dict(self._board.counts)

    # The network's side

    def request(self, request: Request) -> Answer:
        """Answer a request that is no upgrade."""
        places = places_of(request)
        instead = self._board.gate.meet(request, places)
        if instead is not None:
            return instead
        hub = places[0]
        if request.path != f"/hubs/{hub}/negotiate":
            given = self._rest.handle(request)
        elif request.method != "POST":
            given = refusal(405, Allow="POST")
        else:
            given = self._doors.negotiate(request, hub, self.tokens.user(request.token, self.now), self.clock.now)
        late = self._board.gate.late(*places)
        return replace(given, wait=late / SECOND) if late else given

    def enter(self, request: Request, hub: str) -> Ticket | Answer:
        """Judge a WebSocket's upgrade."""
        places = places_of(request, upgrade=True)
        instead = self._board.gate.meet(request, places)
        if instead is not None:
            return instead
        user = self.tokens.user(request.token, self.now)
        if user is not None and self.usher.refuses(hub, user):
            return refusal(403)
        ticket = self._doors.enter(request, hub, user, self.clock.now)
        late = self._board.gate.late(*places)
        return ticket._replace(wait=late / SECOND) if late and isinstance(ticket, Ticket) else ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a ticket back that was not used."""
        self._doors.leave(ticket.id)

    def connect(self, ticket: Ticket, outlet: Outlet) -> HubConnection:
        """Begin a hub connection over a WebSocket that was let in."""
        one = HubConnection(
            ticket.id, ticket.hub, ticket.user, ticket.token, self.clock, outlet, self.timing,
            self._call, self._left, self.truth.kept, self.usher.greeted,
        )  # fmt: skip
        self.connections[one.id] = one
        self.truth.open(one.sent)
        self._lags.connected(one)
        self._board.connected(one)
        self.usher.connected(one)
        return one

    def _call(self, connection: HubConnection, target: str, arguments: list[Any]) -> Sequence[Record]:
        connection.answers_after = 0
        if target.startswith("Subscribe"):
            self._board.gate.subscribing()
            connection.answers_after = self._board.gate.late("subscribe")
        return hubs.call(self, connection, target, arguments)

    def _left(self, connection: HubConnection) -> None:
        for topic in connection.subscriptions:
            self._unwanted(topic)
        self.connections.pop(connection.id, None)
        self._doors.leave(connection.id)
        self._board.left(connection)
        self.usher.left(connection)

    # Users

    def accounts(self, user: str) -> list[dict[str, Any]]:
        """Return a user's accounts."""
        return self._desk.of(user)

    def issue(self, user: str) -> str:
        """Return a new token for a user, who may lose the older ones by it."""
        token = self.tokens.issue(user, self.now)
        self.usher.issued(user)
        return token

    def log_out(self, token: str) -> None:
        """End a session: the token is no longer good, and its connections are told by GatewayLogout and closed."""
        self.tokens.revoke(token, self.now)
        for one in self.picked():
            if one.token == token:
                one.log_out()
