"""The default composition, on one screen: ticks are checked and made into bars, and nobody has to wait for anybody.

source ── idle? ── boundary ── meter ── health ── validate ──┬── boundary ── who takes ticks
  │ retry, breaker                                           └── bars ── meter ──┬── boundary ── who takes bars
  └── gaps ───────────────────────────── repair ────────────────┘                 └── boundary ── …
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from reactivex import Observable, Subject, abc
from reactivex.disposable import CompositeDisposable

from rxfeed.breaker import Breaker
from rxfeed.clock import Clock
from rxfeed.events import Disagreed, Event
from rxfeed.feeds.healthserver import serve_health
from rxfeed.feeds.memory import ProcessMemory
from rxfeed.feeds.projectx import Contract
from rxfeed.feeds.projectx.health import health_of
from rxfeed.health import Health
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.bars.kernel import BarsStats
from rxfeed.kernels.meter import MeterStats
from rxfeed.kernels.pressure.backlog import PressureStats
from rxfeed.limits import CapacityLike, DynamicLimits
from rxfeed.listeners import Listeners
from rxfeed.logs import RateLimitedLog
from rxfeed.memory import MemoryProbe
from rxfeed.model import Bar, Gap, Reject, Tick
from rxfeed.overflow import Overflowing
from rxfeed.rules import Rule
from rxfeed.settings import Settings
from rxfeed.windows import Windows

from .carried import Carried
from .consumers import Consumers
from .fan import Fan
from .origin import History, Market, Origin, Parts, of_market, of_observable
from .stages import Given, Stage, Stages

_PATIENCE: Final = 5.0
"""Seconds that what waits behind the source may take to get into bars, when a feed is closed."""
_ONE_READ: Final = 8_192
"""Half of it has room for all that may be on its way when a socket stops being read: 256 KiB that were read at once, and
128 KiB that wait in aiohttp, at 105 bytes a trade.
"""


class FeedStats(NamedTuple):
    """Ticks by what became of them, at any moment; what is switched off has no figures."""

    source: PressureStats | None
    """At the boundary behind the source."""
    accepted: int
    rejected: int
    suspects: int
    """That wait until it is known whether they are right."""
    bars: BarsStats
    consumers: dict[str, PressureStats]
    """At the boundary in front of each consumer that is there."""
    departed: int
    """Consumers that were, and are no more."""
    meters: dict[str, MeterStats]


class Feed:
    """Bars of a source, as `rxfeed.pipeline` composes them. Use it as an `async with` block.

    Nothing is connected before somebody subscribes to `bars` or `ticks`; from then on it streams until it is closed or ends,
    however many come and go.
    """

    def __init__(
        self, source: Market | Observable[Tick], settings: Settings, *, rules: Sequence[Rule], windows: Windows | None,
        instruments: Instruments, history: History | None, rejects: Callable[[Reject], None] | None, tap: Stage | None,
        clock: Clock, random: Random, memory: MemoryProbe | None,
    ) -> None:  # fmt: skip
        self.settings: Final = settings
        self.windows: Final = settings.windows if windows is None else windows
        self._source, self._rules, self._given, self._history = source, tuple(rules), by_symbol(instruments), history
        self._rejects, self._tap, self._clock, self._random, self._memory = rejects, tap, clock, random, memory
        self._news: Listeners[Event] = Listeners(f"events of {self!r}")
        self._log = RateLimitedLog(clock)
        self._stack = AsyncExitStack()
        self._subscription: abc.DisposableBase | None = None
        self._opened = self._closed = False
        self._ticks: Fan[Tick] = Fan("ticks")
        self._bars: Fan[Bar] = Fan("bars")
        self._stages: Stages | None = None
        self._consumers: Consumers | None = None
        self.breaker: Breaker | None = None
        """Who says whether the source may be tried again; None where that is switched off, or before it is opened."""
        self.health: Health | None = None
        """How the feed is; None where that is switched off, or before it is opened."""
        self.health_address: str | None = None
        """Where health is served, such as `http://127.0.0.1:8787`."""
        self.limits: DynamicLimits | None = None
        """What capacities follow; None where that is switched off, or before it is opened."""
        self.contracts: tuple[Contract, ...] = ()
        """Of a gateway."""

    def __repr__(self) -> str:
        return f"Feed({self._source!r})" if not isinstance(self._source, Observable) else "Feed(Observable)"

    def __str__(self) -> str:
        return "\n".join([f"{self!r}:", *(f"  {stage}" for stage in self.stages)])

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- what it gives

    @property
    def bars(self) -> Observable[Bar]:
        """Bars from the subscription on, each subscriber behind a boundary of his own: who is slow gets of each bar the newest
        snapshot, and costs the others nothing.
        """
        return self._there[1].of(self._bars, "newest", "bars")

    def ticks(
        self, overflow: Overflowing = "error", *, gaps: abc.ObserverBase[Gap] | Callable[[Gap], None] | None = None
    ) -> Observable[Any]:
        """Return ticks that were accepted, from the subscription on, each subscriber behind a boundary of his own.

        Args:
            overflow: what becomes of more than may wait, as of `ops.backpressure`. With `overflow.conflate(feed.windows)`
                partial bars come among the ticks, of which `ops.bars(feed.windows)` makes exact ones.
            gaps: hears what was dropped, if the policy drops.
        """
        return self._there[1].of(self._ticks, overflow, "ticks", gaps)

    @property
    def events(self) -> Observable[Event]:
        """What happens from the subscription on: connections, tokens, gaps, repairs, breaker, boundaries, limits. It completes
        when the feed is closed.
        """
        return self._news.observable

    @property
    def stages(self) -> tuple[str, ...]:
        """What it is made of, in order, in words; `print(feed)` shows them. None before it is opened."""
        return () if self._stages is None else self._stages.said

    @property
    def stats(self) -> FeedStats:
        """The counts at this moment."""
        stages, consumers = self._there
        checked, bars = stages.checked and stages.checked.stats, stages.made.stats
        return FeedStats(
            stages.front and stages.front.stats,
            bars.received if checked is None else checked.emitted, 0 if checked is None else checked.rejected,
            0 if checked is None else checked.pending, bars, consumers.stats, consumers.departed,
            {name: meter.stats for name, meter in stages.meters.items()},
        )  # fmt: skip

    @property
    def rejected(self) -> dict[str, int]:
        """Ticks that were rejected, by rule; of `bars` itself too."""
        stages, _ = self._there
        found = Counter[str](stages.made.rejected)
        if stages.checked is not None:
            found.update(stages.checked.stats.by_rule)
        return dict(sorted(found.items()))

    @property
    def _there(self) -> tuple[Stages, Consumers]:
        if self._stages is None or self._consumers is None:
            raise RuntimeError("open the feed first: async with rxfeed.pipeline(...) as feed")
        return self._stages, self._consumers

    # --- its life

    async def open(self) -> None:
        """Look up contracts, and begin to watch memory and health.

        Raises:
            UnknownContract: a symbol that the gateway does not know.
            FeedError: the gateway cannot be asked, or refuses.
            PortRefused: health cannot be served there.
            ValueError: a gateway without symbols, or an observable with some.
            RuntimeError: it was opened before.
        """
        if self._opened:
            raise RuntimeError("a feed is opened once: make another by rxfeed.pipeline")
        self._opened = True
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> None:
        settings, features, clock, stack = self.settings, self.settings.features, self._clock, self._stack
        breaker = None
        if features.breaker:
            breaker = Breaker("source", **settings.breaker.model_dump(), clock=clock, random=self._random)
        gaps: Subject[Gap] = Subject()
        stack.callback(gaps.on_completed)
        carried = Carried(gaps.on_next)
        parts = Parts(settings, clock, self._random, self._news.tell, carried.put, breaker)
        if isinstance(self._source, Observable):
            origin = of_observable(self._source, self._history, parts)
        else:
            origin = await of_market(self._source, parts)
        stack.callback(origin.told.dispose)
        self.breaker, self.contracts = origin.breaker, origin.contracts
        if self.breaker is not None and origin.gateway is None:  # which tells of it itself
            stack.callback(self.breaker.listen(self._news.tell))
        if features.limits:
            probe = ProcessMemory() if self._memory is None else self._memory
            limits = DynamicLimits(probe, clock=clock, target=settings.memory.target, on_change=self._news.tell)
            self.limits = stack.enter_context(limits)
        if features.health:
            await self._watch(origin)
        least = 1 if origin.valve is None else _ONE_READ
        given = Given(
            settings, self.windows, self._rules, self._given, self._tap, clock, self.health,
            self._capacity("source", settings.capacities.source, least), self._news.tell, self._refused, self._disagreed,
        )  # fmt: skip
        self._stages = Stages(origin, given, gaps, carried)
        capacity = self._capacity("consumer", settings.capacities.consumer) if features.backpressure else None
        self._consumers = Consumers(capacity, clock, self._news.tell, self._start)

    async def _watch(self, origin: Origin) -> None:
        if origin.gateway is None:
            health = Health(self._clock, session=self.windows.session)
        else:
            health = health_of(origin.gateway, session=self.windows.session, clock=self._clock)
        self.health = self._stack.enter_context(health)
        self._stack.callback(self._news.add(health.heard))
        if self.settings.health_port is not None:
            served = serve_health(health, port=self.settings.health_port)
            self.health_address = await self._stack.enter_async_context(served)

    async def close(self) -> None:
        """Let go of the source, hand on what was under way, and end all streams. May be called again.

        Bars that are open come out PARTIAL, as at any end. Consumers get what waits for them in the loop's next turns.
        """
        if self._closed:
            return
        self._closed = True
        if self._stages is not None and self._subscription is not None:
            self._stages.ending.end()
            await self._handed_on()
            self._subscription.dispose()
        self._bars.complete()
        self._ticks.complete()
        await self._stack.aclose()
        self._log.close()
        self._news.end()

    async def _handed_on(self) -> None:
        """Wait until what waits behind the source is in bars, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._ticks.ended.wait()
                await self._bars.ended.wait()

    def _capacity(self, name: str, default: int, least: int = 1) -> CapacityLike:
        if self.limits is None:
            return default
        return self.limits.capacity(name, default=default, least=min(default, max(least, self.settings.capacities.least)))

    def _start(self) -> None:
        """Subscribe to the source, when the first has come: bars are there first, then the ticks that they are made of."""
        if self._subscription is not None or self._closed or self._stages is None:
            return
        scheduler = self._clock.scheduler
        self._subscription = running = CompositeDisposable()
        running.add(self._bars.into.to(self._stages.bars(self._ticks.out), scheduler))
        running.add(self._ticks.into.to(self._stages.ticks, scheduler))

    # --- what it hears

    def _refused(self, reject: Reject) -> None:
        if self.health is not None:
            self.health.rejected()
        if self._rejects is not None:
            self._rejects(reject)

    def _disagreed(self, reject: Reject) -> None:
        bar: Any = reject.element
        event = Disagreed(time=self._clock.now, bar=bar, text=reject.reason)
        self._news.tell(event)
        self._log.say(f"what history says of {bar.symbol}", "{}", event)
