"""The ProjectX gateway: trades, quotes, depth and one's own orders as observables, and what REST knows as calls."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self, overload

import aiohttp
from msgspec import UNSET, UnsetType
from reactivex import Observable
from reactivex import operators as ops

from rxfeed.clock import Clock, LiveClock
from rxfeed.errors import CredentialsError
from rxfeed.events import Event, Gapped
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.signalr import DEFAULT, Timing
from rxfeed.feeds.supervisor import Request
from rxfeed.feeds.tasks import Tasks
from rxfeed.feeds.tokens import TokenSource
from rxfeed.feeds.transport import Transport
from rxfeed.frame import Frame
from rxfeed.listeners import Listeners
from rxfeed.model import Bar, Depth, Gap, Quote, Tick, Undecoded
from rxfeed.sessions import Session
from rxfeed.valve import Valve

from .accounts import Account, Accounts
from .contracts import Contract, Contracts
from .credentials import Credentials, credentials_from
from .deployment import Deployment, deployment_from
from .deployment import deployment as named
from .history import History
from .hub import Hub, HubStats
from .kinds import ACCOUNTS, DEPTH, FILLS, ORDERS, POSITIONS, QUOTES, TRADES, HubName, Kind
from .link import Counters, Link
from .links import Links
from .login import Login
from .rejects import Rejects
from .rest import Rest
from .subjects import of_account, of_all, of_contracts
from .user import Fill, Order, Position

RECONNECT: Final = Reconnect()
"""How a gateway reconnects if nobody says: `gateway.reconnect is RECONNECT` tells that nobody did."""


class GatewayStats(NamedTuple):
    """What a gateway is doing."""

    market: HubStats
    user: HubStats
    logins: int
    token_age: float | None
    """Seconds since the token was asked for; None where there is none."""
    undecoded: int
    """Elements and messages that could not be read."""
    token_left: float | None = None
    """Seconds until it runs out, negative afterwards."""


class Gateway:
    """A gateway, with one connection to each of its hubs while somebody needs it.

    Streams connect when they are subscribed to, share connections and subscriptions, and end with an error when the connection
    is lost. Use it as an `async with` block, or `close` it.

    Args:
        credentials: who we are; by default those of the environment (RXFEED_USER and RXFEED_KEY, or RXFEED_CREDENTIALS, or
            PROJECT_X_USERNAME and PROJECT_X_API_KEY).
        deployment: which gateway: a `Deployment`, "topstepx", "demo" or an address; by default the one that RXFEED_GATEWAY
            names, else TopstepX.
        tokens: another way to log in than by user and key; then no credentials are looked for.
        session: makes the aiohttp session; by default one over real sockets.
        clock: what time elements were received at; by default the machine's.
        random: decides on the jitter of what is tried again.
        timing: pings and timeouts of the hubs.
        reconnect: when a lost connection is tried again; by default always, with waits from 1 s to 30 s, unless somebody has
            to change something first. None ends the streams with the first error.
        live: the exchange's live data, rather than that of the simulated subscription which most users have.
        rejects: called with what could not be read, until it raises. It is counted in any case.
        tls: whom to trust; by default as aiohttp does.
        valve: while it is shut the market hub's connection reads nothing; hand it to `overflow.block` too.

    Raises:
        CredentialsError: none are given, or half of them, or others can read the file.
        AddressRefused: an address that no token may be sent to.
        ValueError: credentials and tokens are given.

    Example:
        >>> from rxfeed import operators as ops
        >>> async def main():
        ...     async with Gateway() as gateway:
        ...         bars = gateway.trades("MNQ").pipe(ops.validate(), ops.bars("1m", session="CME"))
        ...         async for bar in bars.pipe(ops.to_async_iter()):
        ...             print(bar)
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        deployment: Deployment | str | None = None,
        tokens: TokenSource | None = None,
        session: Callable[[], aiohttp.ClientSession] | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        timing: Timing = DEFAULT,
        reconnect: Reconnect | None = RECONNECT,
        live: bool = False,
        rejects: Callable[[Undecoded], object] | None = None,
        tls: ssl.SSLContext | None = None,
        valve: Valve | None = None,
    ) -> None:
        if credentials is not None and tokens is not None:
            raise ValueError("give credentials or tokens, not both")
        source = tokens or credentials or credentials_from(os.environ)
        if source is None:
            raise CredentialsError("no credentials: set RXFEED_USER and RXFEED_KEY, or RXFEED_CREDENTIALS to a file of yours")
        if deployment is None:
            deployment = deployment_from(os.environ)
        self.deployment: Final = named(deployment) if isinstance(deployment, str) else deployment
        self._clock = LiveClock() if clock is None else clock
        self._live = live
        self._rejected = Rejects(self._clock, rejects)
        self._tasks = Tasks(f"gateway {self.deployment.name}")
        self._transport = Transport(session, origins=self.deployment.origins, tls=tls)
        self._random = random or Random()  # noqa: S311
        self._reconnect = reconnect
        rest = Rest(self._transport, self.deployment, random=self._random)
        self._news: Listeners[Event] = Listeners(f"events of {self!r}")
        self._login = Login(rest, source, clock=self._clock, random=self._random, told=self._news.tell)
        self._contracts = Contracts(self._login, live=live)
        self._accounts = Accounts(self._login)
        self._counters = Counters()
        self._links = Links(
            self.deployment, self._transport, self._login, clock=self._clock, counters=self._counters, timing=timing,
            valve=valve, reject=self._rejected.take, tasks=self._tasks,
        )  # fmt: skip
        self._hubs = {name: self._hub(name) for name in ("market", "user")}
        self._closed = False
        self._unlisten = self._hearing()

    def __repr__(self) -> str:
        return f"Gateway({self.deployment})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def stats(self) -> GatewayStats:
        """What it is doing now."""
        market, user, tokens = self._hubs["market"].stats, self._hubs["user"].stats, self._login.tokens
        try:
            age, left = tokens.age, tokens.left
        except RuntimeError:  # no loop is running, on whose time they are counted
            age = left = None
        return GatewayStats(market, user, self._login.logins, age, self._rejected.count, left)

    @property
    def events(self) -> Observable[Event]:
        """What happens from the subscription on: connections, tokens, gaps. It completes when the gateway is closed."""
        return self._news.observable

    @property
    def gaps(self) -> Observable[Gap]:
        """Where trades may be missing, as `bars(gaps=...)` takes it: an ongoing gap comes again with its end."""
        return self._news.observable.pipe(ops.filter(lambda event: isinstance(event, Gapped)), ops.map(_gap))

    @property
    def reconnect(self) -> Reconnect | None:
        """How lost connections are got back, as it was given; `RECONNECT` where it was not."""
        return self._reconnect

    @property
    def valve(self) -> Valve | None:
        """What stops the market hub's reading; None where nothing was given."""
        return self._links.valve

    def use(self, *, reconnect: Reconnect | UnsetType | None = UNSET, valve: Valve | UnsetType | None = UNSET) -> None:
        """Replace how it reconnects and what stops its reading, before it connects; what is left out stays as it is.

        Args:
            reconnect: as for the gateway.
            valve: likewise.

        Raises:
            RuntimeError: a stream has been subscribed to, or a hub has been connected to, or the gateway is closed.
        """
        used = [name for name, hub in self._hubs.items() if hub.used]
        if used or self._counters.epochs or self._closed:
            why = "is closed" if self._closed else f"has had its {used[0] if used else 'first'} connection asked for"
            raise RuntimeError(
                f"{self!r} {why}: how it reconnects and what stops its reading can be replaced only before anything of it is "
                "subscribed to"
            )
        if valve is not UNSET:
            self._links.valve = valve
        if reconnect is not UNSET:
            self._reconnect = reconnect
            for hub in self._hubs.values():
                hub.use(reconnect)
            self._unlisten()
            self._unlisten = self._hearing()

    def request(self, what: Request, why: str, *, hub: HubName = "market") -> None:
        """Ask for a new connection; requests that come together are one.

        Args:
            what: "rotate" opens a successor and goes over to it when the token has changed, with nothing lost; "reconnect"
                ends the connection and opens another; "resubscribe" subscribes to everything anew on the same connection, or
                does as "reconnect" if the hub refuses; "probe" does so if the hub does not answer.
            why: for the log and for events.
            hub: "market" or "user".
        """
        self._hubs[hub].request(what, why)

    # Streams of the market

    @overload
    def trades(self, *symbols: str, frames: Literal[False] = False) -> Observable[Tick]: ...
    @overload
    def trades(self, *symbols: str, frames: Literal[True]) -> Observable[Frame[Tick]]: ...
    def trades(self, *symbols: str, frames: bool = False) -> Observable[Any]:
        """Stream trades.

        Args:
            symbols: roots ("MNQ": its active contract), contracts ("MNQZ26", "MNQZ6") or ids; one or more.
            frames: a frame of all that one drain of the socket brought, rather than ticks one by one.

        Returns:
            An observable that must be subscribed to in a running asyncio loop. It errors with UnknownContract for a symbol
            that is not known, and with ConnectionLost when the connection is lost; it completes when the gateway is closed.
        """
        return self._market(TRADES, symbols, frames=frames)

    @overload
    def quotes(self, *symbols: str, frames: Literal[False] = False) -> Observable[Quote]: ...
    @overload
    def quotes(self, *symbols: str, frames: Literal[True]) -> Observable[Frame[Quote]]: ...
    def quotes(self, *symbols: str, frames: bool = False) -> Observable[Any]:
        """Stream quotes as they are sent: of each, only what has changed (`ops.latest_quote` makes them whole).

        Arguments and end are those of `trades`.
        """
        return self._market(QUOTES, symbols, frames=frames)

    @overload
    def depth(self, *symbols: str, frames: Literal[False] = False) -> Observable[Depth]: ...
    @overload
    def depth(self, *symbols: str, frames: Literal[True]) -> Observable[Frame[Depth]]: ...
    def depth(self, *symbols: str, frames: bool = False) -> Observable[Any]:
        """Stream the changes of order books (`ops.order_book` makes books of them); a reset begins each.

        Arguments and end are those of `trades`.
        """
        return self._market(DEPTH, symbols, frames=frames)

    # Streams of the user

    def accounts(self) -> Observable[Account]:
        """Stream changes of one's accounts. It ends as `trades` does."""
        return self._hubs["user"].stream(ACCOUNTS, of_all, "accounts", frames=False, everything=True)

    def orders(self, account: int) -> Observable[Order]:
        """Stream changes of an account's orders. It ends as `trades` does.

        Args:
            account: its id.
        """
        return self._of_account(ORDERS, account)

    def positions(self, account: int) -> Observable[Position]:
        """Stream changes of an account's positions. It ends as `trades` does.

        Args:
            account: its id.
        """
        return self._of_account(POSITIONS, account)

    def fills(self, account: int) -> Observable[Fill]:
        """Stream an account's own trades. It ends as `trades` does.

        Args:
            account: its id.
        """
        return self._of_account(FILLS, account)

    # Calls

    async def contract(self, symbol: str) -> Contract:
        """Return the contract that a root ("MNQ"), a contract ("MNQZ26") or an id means.

        Raises:
            UnknownContract: there is none; the text tells what is like it.
            FeedError: the gateway cannot be asked, or refuses.
        """
        async with self.held():
            return await self._contracts.resolve(symbol)

    async def contracts(self, text: str) -> list[Contract]:
        """Return the contracts that the gateway finds for a text.

        Raises:
            FeedError: the gateway cannot be asked, or refuses.
        """
        async with self.held():
            return await self._contracts.search(text)

    async def account_list(self) -> list[Account]:
        """Return one's accounts, whose ids `orders`, `positions` and `fills` want. The log tells which may not trade.

        Raises:
            FeedError: the gateway cannot be asked, or refuses.
        """
        async with self.held():
            return await self._accounts.list()

    async def history(self, symbol: str, timeframe: str, start: int, end: int, *, session: str | Session = "CME") -> Frame[Bar]:
        """Return the bars that the gateway kept, oldest first: those that begin in `[start, end)` and are complete.

        Open, high, low, close and volume are known; the other sums are null, and the flag is REPAIRED.

        Args:
            symbol: a root, a contract or an id.
            timeframe: whole seconds, minutes or hours, less than a day: "1s", "5m", "1h".
            start: nanoseconds since the epoch, UTC; so is `end`.
            session: when the market trades, or its name.

        Raises:
            ValueError: no such timeframe, or an empty stretch of time.
            UnknownContract: no such contract.
            FeedError: the gateway cannot be asked, refuses, or answers what makes no sense.
        """
        async with self.held():
            contract = await self._contracts.resolve(symbol)
            return await History(self._login, session=session, live=self._live).bars(contract, timeframe, start, end)

    def connect_once(self, hub: HubName = "market") -> Observable[Link]:
        """Return one connection of a hub as an observable, for whoever wants to decide on what follows a loss.

        It emits the open link and errors when that is lost, and never tries again; it completes when the gateway is closed.
        Each subscription is a connection of its own; disposing of it closes the connection.

        Args:
            hub: "market" or "user".
        """
        return self._links.once(hub)

    async def close(self) -> None:
        """Complete all streams and close all connections. May be called again."""
        for hub in self._hubs.values():
            hub.close()
        self._closed = True
        self._unlisten()
        self._links.close()
        self._news.end()
        await self._tasks.settled()
        await self._login.close()
        await self._transport.close()
        self._rejected.close()

    def held(self) -> AbstractAsyncContextManager[None]:
        """Keep the HTTP session open between calls and streams; it is closed with the last who needs it."""
        return self._transport.held()

    def _hub(self, name: HubName) -> Hub:
        return Hub(
            name, f"the {name} hub of {self!r}", self._links.once(name), outdated=self._links.outdated,
            keep=self._login.tokens.keep, reconnect=self._reconnect, clock=self._clock, random=self._random,
            counters=self._counters, tasks=self._tasks, told=self._news.tell,
        )  # fmt: skip

    def _hearing(self) -> Callable[[], None]:
        """Tell what the policy of attempts tells, such as a breaker that opens; what is returned ends that."""
        return self._reconnect.listen(self._news.tell) if self._reconnect is not None else lambda: None

    def _market(self, kind: Kind, symbols: tuple[str, ...], *, frames: bool) -> Observable[Any]:
        wanted = of_contracts(kind, symbols, contract=self.contract, held=self.held)
        return self._hubs["market"].stream(kind, wanted, f"{kind.name} {' '.join(symbols)}", frames=frames)

    def _of_account(self, kind: Kind, account: int) -> Observable[Any]:
        return self._hubs["user"].stream(kind, of_account(kind, account), f"{kind.name} {account}", frames=False)


def _gap(event: Event) -> Gap:
    assert isinstance(event, Gapped)
    return event.gap
