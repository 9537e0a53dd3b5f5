"""What `rxfeed doctor` looks at, one thing after another, and what to do about what is wrong."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from reactivex import abc

from rxfeed.cli._errors import Usage
from rxfeed.cli._gateway import Reached, World, reached, shown, simulator
from rxfeed.cli._gateway import chosen as chosen_by
from rxfeed.cli._market import MarketHours
from rxfeed.cli._totals import duration
from rxfeed.errors import (
    CredentialsError,
    FeedError,
    LoginRefused,
    TlsFailed,
    TokenRefused,
    TooManyRequests,
    UnknownContract,
    Unreachable,
)
from rxfeed.feeds.addresses import address, origin
from rxfeed.feeds.projectx import Contract, Deployment, Gateway, credentials_from
from rxfeed.feeds.projectx.credentials import FILE, KEY, PROJECT_X_KEY, PROJECT_X_USER, USER
from rxfeed.feeds.projectx.deployment import GATEWAY, deployment_from
from rxfeed.feeds.projectx.kinds import ACCOUNTS, QUOTES, TRADES, HubName
from rxfeed.feeds.projectx.link import Link
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.transport import Answer, Transport
from rxfeed.sessions import get
from rxfeed.times import SECOND

T = TypeVar("T")
State = Literal["ok", "warning", "failed", "skipped"]

FUTURE: Final = 5.0
"""Seconds that a trade may be ahead of our clock before the rule `future` rejects it."""
_STALE: Final = SECOND
"""How old a Date may be: servers make it once a second."""
_TIMEOUT: Final = 10.0
_FIRST: Final = 5.0
_SECOND_SESSION: Final = "this opens a session of its own: a gateway that allows one only may end another one of yours"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    todo: str | None = None
    """What to do."""

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it for people."""
        lines = [f"{_MARKS[self.state]:7}  {self.name:11}  {self.found}"]
        return lines if self.todo is None else [*lines, f"{'':7}  {'':11}  -> {self.todo}"]


_MARKS: Final[dict[State, str]] = {"ok": "ok", "warning": "WARNING", "failed": "FAILED", "skipped": "-"}


async def examine(world: World, symbol: str, *, login: bool) -> AsyncGenerator[Check, None]:
    """Look at everything between here and the first trade; what cannot be looked at is left out.

    Args:
        world: environment, clock and network.
        symbol: what is subscribed to.
        login: whether to log in, which opens a session.
    """
    credentials = look_at_credentials(world.environ)
    yield credentials
    try:
        choice = chosen_by(world.environ)
    except Usage as error:
        if credentials.state == "ok":
            yield Check("gateway", "failed", str(error), f"set {GATEWAY} to topstepx, demo or an address, or unset it")
            return
        choice, login = None, False
    if choice is None:
        # Whether the host can be reached does not depend on who we are.
        try:
            where = deployment_from(world.environ)
        except FeedError as error:
            yield Check("gateway", "failed", f"{GATEWAY}: {error}", f"set {GATEWAY} to topstepx, demo or an address")
            return
        async with aclosing(_hosts(world, where)) as checks:
            async for check in checks:
                yield check
        yield Check("login", "skipped", "not tried without credentials, nor are the hubs")
        return

    def make() -> Simulator:
        return simulator(world, [symbol], rate=100.0, seed=0, faults=())

    async with reached(world, choice, make) as there:
        if login and there.simulator is None:
            yield Check("session", "warning", _SECOND_SESSION, "rxfeed doctor --no-login leaves that out")
        good = True
        async with aclosing(_hosts(world, there.deployment, inside=there.simulator is not None)) as checks:
            async for check in checks:
                yield check
                good = good and not (check.name in ("api", "hubs") and check.state == "failed")
        if not login:
            yield Check("login", "skipped", "not tried (--no-login), nor are the hubs")
        elif not good:
            yield Check("login", "skipped", "not tried, as its host is not reached, nor are the hubs")
        else:
            async with aclosing(_session(world, there, symbol)) as checks:
                async for check in checks:
                    yield check


def look_at_credentials(environ: Mapping[str, str]) -> Check:
    """Tell where the credentials come from; what they are is not told."""
    try:
        found = credentials_from(environ)
    except CredentialsError as error:
        return Check("credentials", "failed", str(error), f"set {USER} and {KEY}, or {FILE} to a file of yours with mode 600")
    if found is None:
        if environ.get(GATEWAY, "").strip():
            return Check("credentials", "ok", "none are set")
        return Check(
            "credentials", "ok", "none are set, so rxfeed run starts a simulator inside, and that is looked at here",
            f"for a real gateway set {USER} and {KEY}, or {FILE} to a file of yours",
        )  # fmt: skip
    if USER in environ:
        return Check("credentials", "ok", f"{USER} and {KEY}")
    if FILE in environ:
        path = Path(environ[FILE].strip()).expanduser()
        mode = f" (mode {stat.S_IMODE(path.stat().st_mode):o})" if os.name == "posix" else ""
        return Check("credentials", "ok", f"{FILE}: {path}{mode}")
    return Check("credentials", "ok", f"{PROJECT_X_USER} and {PROJECT_X_KEY}")


async def _hosts(world: World, where: Deployment, *, inside: bool = False) -> AsyncGenerator[Check, None]:
    simulated = ", SIMULATED" + (" (inside)" if inside else "") if where.simulated else ""
    yield Check("gateway", "ok", f"{shown(where)}{simulated}")
    transport = Transport(world.session, origins=where.origins)
    dated: tuple[int, Answer, int] | None = None
    try:
        for name, url in (("api", f"{where.api}/Status/ping"), ("hubs", where.market)):
            began = world.clock.now
            at = origin(address(url, memory=True))
            try:
                answer = await transport.get(url, timeout=_TIMEOUT)
            except FeedError as error:
                yield Check(name, "failed", str(error), _todo(error, at))
                continue
            ended = world.clock.now
            if dated is None and answer.date is not None:
                dated = began, answer, ended
            broken = answer.status >= 500
            yield Check(
                name, "warning" if broken else "ok", f"{at} answers in {duration(ended - began)} (HTTP {answer.status})",
                "the host is there, but broken: wait, or look at its status page" if broken else None,
            )  # fmt: skip
    finally:
        await transport.close()
    if dated is None:
        yield Check("clock", "skipped", "not judged: no answer told the server's time")
    else:
        yield look_at_clock(*dated)


def look_at_clock(began: int, answer: Answer, ended: int) -> Check:
    """Compare our clock with the server's, which tells whole seconds."""
    assert answer.date is not None
    # The server's time was in [date, date + 1 s) at some instant between `began` and `ended`.
    low, high = answer.date * SECOND - ended, (answer.date + 1) * SECOND - began
    ntp = "set this machine's clock by NTP"
    if low <= _STALE and high >= -_STALE:
        return Check("clock", "ok", "agrees with the server's, which tells whole seconds")
    if low > 0:
        behind = low / SECOND
        if behind > FUTURE:
            return Check("clock", "failed", f"{behind:.1f} s behind the server's: every trade would be rejected (future)", ntp)
        return Check("clock", "warning", f"{behind:.1f} s behind the server's: windows close that much too late", ntp)
    ahead = -high / SECOND
    return Check(
        "clock", "warning", f"{ahead:.1f} s ahead of the server's: windows close too early, and bars come out again",
        f"{ntp}, or give --grace {ahead + 1:.0f}s",
    )  # fmt: skip


async def _session(world: World, there: Reached, symbol: str) -> AsyncGenerator[Check, None]:
    gateway = Gateway(
        there.credentials, deployment=there.deployment, session=world.session, clock=world.clock, random=world.random
    )  # fmt: skip
    async with gateway, gateway.held():
        began = world.clock.now
        contract: Contract | None = None
        try:
            contract = await gateway.contract(symbol)
        except UnknownContract as error:
            yield _logged_in(world.clock.now - began)
            yield Check("contract", "failed", str(error), "name another one: rxfeed doctor SYMBOL")
        except FeedError as error:
            yield Check("login", "failed", str(error), _todo(error, origin(address(there.deployment.api, memory=True))))
            return
        else:
            yield _logged_in(world.clock.now - began)
            yield Check("contract", "ok", f"{symbol} is {contract}, tick size {contract.tick_size:g}")
        if contract is not None:
            wanted = contract
            yield await _hub(world, there, gateway, "market", lambda link: _market(world, there, link, wanted))
        yield await _hub(world, there, gateway, "user", _user)


def _logged_in(took: int) -> Check:
    return Check("login", "ok", f"let in, and contracts searched, in {duration(took)}")


async def _hub(
    world: World, there: Reached, gateway: Gateway, hub: HubName, use: Callable[[Link], Coroutine[Any, Any, Check]]
) -> Check:
    url = there.deployment.market if hub == "market" else there.deployment.user
    opened: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
    lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def on_error(error: Exception) -> None:
        if not lost.done():
            lost.set_result(error)

    connection: abc.DisposableBase = gateway.connect_once(hub).subscribe(opened.set_result, on_error)
    work: asyncio.Task[Check] | None = None
    try:
        await asyncio.wait((opened, lost), return_when=asyncio.FIRST_COMPLETED)
        if opened.done():
            work = asyncio.create_task(use(opened.result()), name=f"rxfeed doctor {hub}")
            await asyncio.wait((work, lost), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
        error = lost.result()
    except FeedError as wrong:
        error = wrong
    finally:
        if work is not None:
            work.cancel()
            await asyncio.wait([work])
        connection.dispose()
    return Check(f"{hub} hub", "failed", str(error), _todo(error, origin(address(url, memory=True))))


async def _market(world: World, there: Reached, link: Link, contract: Contract) -> Check:
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def came(kind: Any, batch: Any) -> None:
        if not first.done():
            first.set_result(kind.name)

    link.to(came)
    began = world.clock.now
    await link.subscribe(TRADES, contract.id)
    await link.subscribe(QUOTES, contract.id)
    round_trip = link.connection.stats.round_trip or 0.0
    said = f"connected, {contract.symbol} subscribed, round trip {duration(round(round_trip * SECOND))}"
    await asyncio.wait([first], timeout=_FIRST)
    if first.done():
        return Check("market hub", "ok", f"{said}, first of {first.result()} after {duration(world.clock.now - began)}")
    closed = MarketHours(get("24x7" if there.simulated else "CME"), world.clock).state()
    if closed is not None:
        return Check("market hub", "ok", f"{said}; nothing came in {_FIRST:g} s, as {closed}")
    return Check(
        "market hub", "warning", f"{said}, but nothing came in {_FIRST:g} s, though the market should be open",
        "is it a holiday, or is the contract not traded? Does your subscription include this market's data?",
    )  # fmt: skip


async def _user(link: Link) -> Check:
    await link.subscribe(ACCOUNTS)
    round_trip = link.connection.stats.round_trip or 0.0
    return Check("user hub", "ok", f"connected, accounts subscribed, round trip {duration(round(round_trip * SECOND))}")


def _todo(error: Exception, at: str) -> str:
    match error:
        case LoginRefused():
            return "check the user and the key where you made it: it may be revoked, or of another firm (RXFEED_GATEWAY)"
        case TlsFailed():
            return f"nothing was sent. Is there a proxy that shows a certificate of its own for {at}? Is this clock right?"
        case TooManyRequests():
            return "wait a minute; does something else log in again and again with these credentials?"
        case TokenRefused():
            return "the login was good, but the hub does not take its token: does another session of yours end this one?"
        case Unreachable():
            return f"is {at} the right address ({GATEWAY})? Do this machine's network, firewall and proxy let it through?"
        case _:
            return "try again; if it stays, the gateway is broken or has changed, and this is worth an issue"
