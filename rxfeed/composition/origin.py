"""Where the ticks of a pipeline come from: a gateway, which knows how to come back, or any observable, which is made to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple, Protocol

import tenacity
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from rxfeed import operators as ops
from rxfeed.attempts import Always
from rxfeed.breaker import Breaker
from rxfeed.clock import Clock
from rxfeed.events import Event, Gapped
from rxfeed.feeds.projectx import Contract, Gateway
from rxfeed.feeds.projectx.gateway import RECONNECT
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.instrument import Instrument
from rxfeed.model import Gap, Tick
from rxfeed.retrying import backoff
from rxfeed.settings import Settings
from rxfeed.times import SECOND, nanoseconds
from rxfeed.valve import Valve

from .resumed import Resumed

History = Callable[..., Any]
"""Returns bars of a symbol, a timeframe, a start and an end, as `ops.repair` wants it."""


class Market(Protocol):
    """A source that knows its contracts, looks after its connections, and tells of its gaps: `Gateway`."""

    async def contract(self, symbol: str) -> Contract:
        """Return what a symbol means."""
        ...

    def trades(self, *symbols: str) -> Observable[Tick]:
        """Stream trades."""
        ...

    @property
    def history(self) -> History:
        """Bars of the time before."""
        ...

    @property
    def gaps(self) -> Observable[Gap]:
        """Where trades may be missing."""
        ...

    @property
    def events(self) -> Observable[Event]:
        """What happens."""
        ...

    def request(self, what: Any, why: str) -> None:
        """Ask for what may help."""
        ...


class Parts(NamedTuple):
    """What a source is handed, and hands on."""

    settings: Settings
    clock: Clock
    random: Random
    tell: Callable[[Event], None]
    gap: Callable[[Gap], None]
    breaker: Breaker | None


@dataclass(frozen=True, slots=True)
class Origin:
    """A source that is ready to be subscribed to."""

    ticks: Observable[Tick]
    told: abc.DisposableBase
    """Ends what it tells."""
    stages: tuple[str, ...]
    """What stands in it, in words."""
    contracts: tuple[Contract, ...]
    instruments: dict[str, Instrument]
    history: History | None
    gateway: Gateway | None
    valve: Valve | None
    """By which reading can be stopped."""
    breaker: Breaker | None
    """Who says whether it may be tried again."""


async def of_market(market: Market, parts: Parts) -> Origin:
    """Return a gateway's trades; it reconnects as the settings say, unless whoever made it said otherwise."""
    settings, features = parts.settings, parts.settings.features
    if not settings.symbols:
        raise ValueError('a gateway needs symbols, one or more, such as Settings(symbols="MNQ,MES") or RXFEED_SYMBOLS=MNQ,MES')
    stages: list[str] = []
    gateway, valve, breaker = market if isinstance(market, Gateway) else None, None, None
    if gateway is not None:
        how, breaker = _use(gateway, parts)
        stages.append(how)
        valve = gateway.valve
    found = {contract.id: contract for contract in [await market.contract(symbol) for symbol in settings.symbols]}
    trades: Observable[Tick] = market.trades(*found)
    stages.append(f"trades of {market!r}: {' '.join(contract.symbol for contract in found.values())}")
    if features.idle:
        idle = ops.timeout_idle(
            between=settings.idle.between, session=settings.session, scheduler=parts.clock.scheduler, valve=valve,
            on_idle=lambda stale: market.request("probe", str(stale)),
        )  # fmt: skip
        trades = idle(trades)
        stages.append(repr(idle))
    told = CompositeDisposable(
        market.gaps.subscribe(parts.gap, on_error=_nothing), market.events.subscribe(parts.tell, on_error=_nothing)
    )
    instruments = {contract.symbol: Instrument(contract.symbol, contract.tick_size) for contract in found.values()}
    return Origin(trades, told, tuple(stages), tuple(found.values()), instruments, market.history, gateway, valve, breaker)


def _use(gateway: Gateway, parts: Parts) -> tuple[str, Breaker | None]:
    """Have a gateway reconnect as the settings say; what it was made with, or is in use with, stays."""
    features, told = parts.settings.features, gateway.reconnect
    if told is not RECONNECT or not _unused(gateway, features.backpressure and gateway.valve is None):
        policy = None if told is None else told.policy
        how = "reconnecting as the gateway was told to" if told is not None else "a loss ends it, as the gateway was told"
        return how, policy if isinstance(policy, Breaker) else None
    if not features.retry:
        gateway.use(reconnect=None)
        return "a loss ends it", None
    waits = parts.settings.retry
    wait, stop = _patience(parts)
    policy = Always() if parts.breaker is None else parts.breaker
    gateway.use(reconnect=Reconnect(wait=wait, stop=stop, policy=policy))
    behind = "" if parts.breaker is None else f", behind {parts.breaker!r}"
    return f"reconnecting after {waits.first} to {waits.longest}{behind}", parts.breaker


def _unused(gateway: Gateway, valve: bool) -> bool:
    """Whether a gateway can still be told how; and give it a valve, if it is to have one."""
    try:
        gateway.use(valve=Valve() if valve else gateway.valve)
    except RuntimeError:  # somebody streams from it already
        return False
    return True


def of_observable(source: Observable[Tick], history: History | None, parts: Parts) -> Origin:
    """Return ticks of any observable, tried again when it fails or falls silent; what that may have cost is a gap."""
    settings, features = parts.settings, parts.settings.features
    if settings.symbols:
        raise ValueError(f"symbols are for a gateway; an observable gives what it gives, got {', '.join(settings.symbols)}")

    def tell(event: Event) -> None:
        parts.tell(event)
        if isinstance(event, Gapped):
            parts.gap(event.gap)

    resumed = Resumed(parts.clock, tell, number=settings.numbering == "arrival")
    stages: list[Any] = []
    if features.idle:
        between = settings.idle.between
        stages.append(
            ops.timeout_idle(first=between, between=between, session=settings.session, scheduler=parts.clock.scheduler)
        )
    if parts.breaker is not None:
        stages.append(ops.circuit_breaker(parts.breaker))
    if features.retry:
        wait, stop = _patience(parts)
        stages.append(ops.retry(wait=wait, stop=stop, told=resumed.lost, scheduler=parts.clock.scheduler))
    ticks: Observable[Any] = source
    for stage in (*stages, resumed):
        ticks = stage(ticks)
    said = (f"ticks of {type(source).__name__}", *map(repr, stages), f"numbered by {settings.numbering}")
    return Origin(ticks, Disposable(), said, (), {}, history, None, None, parts.breaker)


def _patience(parts: Parts) -> tuple[WaitBaseT, StopBaseT]:
    waits = parts.settings.retry
    first, longest = (nanoseconds(length) / SECOND for length in (waits.first, waits.longest))
    stop = tenacity.stop_after_attempt(waits.attempts) if waits.attempts else tenacity.stop_never
    return backoff(parts.random, first, longest), stop


def _nothing(_: object) -> None:
    """Nothing: the stream of trades ends with that error too."""
