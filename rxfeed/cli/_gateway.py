"""Which gateway is meant, by the environment; and the simulator inside, when none is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import aiohttp

from rxfeed.cli._errors import Usage, usage
from rxfeed.clock import Clock, LiveClock
from rxfeed.errors import AddressRefused, CredentialsError
from rxfeed.feeds.addresses import address
from rxfeed.feeds.projectx import TOPSTEPX, Credentials, Deployment, credentials_from, deployment
from rxfeed.feeds.projectx.deployment import GATEWAY
from rxfeed.feeds.projectx.symbols import is_id, meanings
from rxfeed.feeds.simulator import Simulator, serve
from rxfeed.feeds.simulator.listing import ROOTS, Listed, day_of, listing
from rxfeed.secret import Secret

SIMULATED = Credentials("simulator", Secret("simulator"))


@dataclass(frozen=True)
class World:
    """What a command is handed instead of taking it: so that a test runs it in a simulation."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=LiveClock)
    random: Random = field(default_factory=Random)
    session: Callable[[], aiohttp.ClientSession] | None = None
    serve: Callable[[Simulator], AbstractAsyncContextManager[str]] = serve


class Choice(NamedTuple):
    """Which gateway, and who we are there. No deployment: the simulator inside."""

    deployment: Deployment | None
    credentials: Credentials


def chosen(environ: Mapping[str, str]) -> Choice:
    """Return the gateway that the environment means.

    Raises:
        Usage: credentials by half, a gateway that is none, or a real one without credentials.
    """
    try:
        credentials = credentials_from(environ)
    except CredentialsError as error:
        raise Usage(f"{error}; with no credentials at all a simulator runs inside") from None
    named = environ.get(GATEWAY, "").strip()
    try:
        where = deployment(named) if named else None
    except AddressRefused as error:
        raise Usage(f"{GATEWAY}: {error}") from None
    if credentials is not None:
        return Choice(where or TOPSTEPX, credentials)
    if where is not None and not where.simulated:
        raise Usage(
            f"{GATEWAY} names {where}, but no credentials are set: set RXFEED_USER and RXFEED_KEY, "
            f"or unset {GATEWAY} and a simulator runs inside"
        )
    return Choice(where, SIMULATED)


def shown(deployment: Deployment) -> str:
    """Return how a gateway is called, with its host."""
    host = str(address(deployment.api, memory=True).host)
    return deployment.name if deployment.name.startswith(host) else f"{deployment.name} ({host})"


class Reached(NamedTuple):
    """A gateway that can be connected to."""

    deployment: Deployment
    credentials: Credentials
    simulator: Simulator | None
    """The one that runs inside."""

    @property
    def simulated(self) -> bool:
        """Whether its market is made up."""
        return self.deployment.simulated


@asynccontextmanager
async def reached(world: World, choice: Choice, make: Callable[[], Simulator]) -> AsyncGenerator[Reached, None]:
    """Start the simulator inside, if no other gateway is meant."""
    if choice.deployment is not None:
        yield Reached(choice.deployment, choice.credentials, None)
        return
    simulator = await asyncio.to_thread(make)  # which makes an hour of its market's past
    async with world.serve(simulator) as address:
        yield Reached(deployment(address), choice.credentials, simulator)


def simulator(
    world: World, symbols: Iterable[str], *, rate: Any, seed: int, faults: Iterable[str], life: str = "24h"
) -> Simulator:
    """Make the simulator that runs inside. It lists what is asked for, as far as it knows it.

    Raises:
        Usage: a rate, seed, life or fault that is not allowed.
    """
    listed: dict[str, Listed] = {}
    for symbol in symbols:
        listed |= _listed(symbol, world.clock.now)
    more: dict[str, Any] = {"faults": list(faults)} if faults else {}
    with usage():
        return Simulator(listed or None, rate=rate, seed=seed, clock=world.clock, token_life=life, past="1h", **more)


def _listed(symbol: str, now: int) -> dict[str, Listed]:
    if is_id(symbol.strip()):
        wanted = [symbol.strip().upper()]
    else:
        wanted = [f"{one.root}{one.month}{_year(one.year, now)}" for one in meanings(symbol)]
    for text in wanted:
        try:
            found = listing([text], now)
        except ValueError:
            continue
        if all(one.root in ROOTS for one in found.values()):
            return found
    return {}


def _year(digits: str, now: int) -> str:
    if len(digits) != 1:
        return digits
    first = day_of(now).year - 1
    return f"{(first + (int(digits) - first) % 10) % 100:02d}"
