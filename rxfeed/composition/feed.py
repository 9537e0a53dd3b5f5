"""The default composition, on one screen: ticks are checked and made into bars, and nobody has to wait for anybody.

source ── idle? ── boundary ── meter ── health ── validate ──┬── boundary ── who takes ticks
  │ retry, breaker                                           └── bars ── meter ──┬── boundary ── who takes bars
  └── gaps ───────────────────────────── repair ────────────────┘                 └── boundary ── …
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from reactivex import Observable, Subject, abc
from reactivex import operators as rx
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed import operators as ops
from rxfeed.breaker import Breaker
from rxfeed.clock import Clock
from rxfeed.events import Disagreed, Event, Gapped
from rxfeed.feeds.backfill import Backfill
from rxfeed.feeds.healthserver import serve_health
from rxfeed.feeds.memory import ProcessMemory
from rxfeed.feeds.projectx import Contract
from rxfeed.feeds.projectx.health import health_of, passing
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
from rxfeed.overflow import Overflowing, block
from rxfeed.rules import Rule
from rxfeed.runs import RunObservable
from rxfeed.settings import Settings
from rxfeed.times import NANOSECONDS, SECOND, nanoseconds
from rxfeed.windows import MOST_TIMEFRAMES, Windows

from .carried import Carried
from .fan import Fan
from .origin import History, Market, Origin, Parts, of_market, of_observable

Stage = Callable[[Observable[Tick]], Observable[Tick]]
_MINUTE: Final = NANOSECONDS["m"]


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
        self._gaps: Subject[Gap] = Subject()
        self._carried: Carried | None = None
        self._ticks: Fan[Tick] = Fan("ticks")
        self._bars: Fan[Bar] = Fan("bars")
        self._consumers: dict[str, Any] = {}
        self._count = self._departed = 0
        self._meters: dict[str, Any] = {}
        self._front: Any = None
        self._checked: Any = None
        self._made: Any = None
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
        self.stages: tuple[str, ...] = ()
        """What it is made of, in order, in words; `print(feed)` shows them."""

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
        return self._consumer(self._bars, "newest", "bars")

    def ticks(
        self, overflow: Overflowing = "error", *, gaps: abc.ObserverBase[Gap] | Callable[[Gap], None] | None = None
    ) -> Observable[Any]:
        """Return ticks that were accepted, from the subscription on, each subscriber behind a boundary of his own.

        Args:
            overflow: what becomes of more than may wait, as of `ops.backpressure`. With `overflow.conflate(feed.windows)`
                partial bars come among the ticks, of which `ops.bars(feed.windows)` makes exact ones.
            gaps: hears what was dropped, if the policy drops.
        """
        return self._consumer(self._ticks, overflow, "ticks", gaps)

    @property
    def events(self) -> Observable[Event]:
        """What happens from the subscription on: connections, tokens, gaps, repairs, breaker, boundaries, limits. It completes
        when the feed is closed.
        """
        return self._news.observable

    @property
    def stats(self) -> FeedStats:
        """The counts at this moment."""
        checked = self._checked.stats if self._checked is not None else None
        bars: BarsStats = self._made.stats
        taken = bars.received
        return FeedStats(
            self._front.stats if self._front is not None else None,
            taken if checked is None else checked.emitted, 0 if checked is None else checked.rejected,
            0 if checked is None else checked.pending, bars,
            {name: boundary.stats for name, boundary in self._consumers.items()}, self._departed,
            {name: meter.stats for name, meter in self._meters.items()},
        )  # fmt: skip

    @property
    def rejected(self) -> dict[str, int]:
        """Ticks that were rejected, by rule; of `bars` itself too."""
        found = Counter[str](self._made.rejected)
        if self._checked is not None:
            found.update(self._checked.stats.by_rule)
        return dict(sorted(found.items()))

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
        settings, stack = self.settings, self._stack
        breaker = _breaker(settings, self._clock, self._random) if settings.features.breaker else None
        parts = Parts(settings, self._clock, self._random, self._tell, self._gap, breaker)
        if isinstance(self._source, Observable):
            origin = of_observable(self._source, self._history, parts)
        else:
            origin = await of_market(self._source, parts)
        stack.callback(origin.told.dispose)
        self.breaker = origin.breaker
        if self.breaker is not None and origin.gateway is None:
            stack.callback(self.breaker.listen(self._tell))
        self.contracts = origin.contracts
        if settings.features.limits:
            probe = ProcessMemory() if self._memory is None else self._memory
            limits = DynamicLimits(probe, clock=self._clock, target=settings.memory.target, on_change=self._tell)
            self.limits = stack.enter_context(limits)
        if settings.features.health:
            await self._watch(origin)
        self._compose(origin)

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
        """End all streams, and let go of the source. May be called again."""
        if self._closed:
            return
        self._closed = True
        if self._subscription is not None:
            self._subscription.dispose()
        await self._stack.aclose()
        self._bars.complete()
        self._ticks.complete()
        self._gaps.on_completed()
        self._log.close()
        self._news.end()

    # --- what it is made of

    def _compose(self, origin: Origin) -> None:
        """Make the stages; nothing is subscribed to yet."""
        settings, features, clock = self.settings, self.settings.features, self._clock
        instruments = origin.instruments | self._given
        length = None if settings.backfill is None else nanoseconds(settings.backfill)
        history = origin.history if features.repair and (length is not None or _mendable(self.windows)) else None
        if length is not None and history is None:
            raise ValueError("backfill needs a history and features.repair, and one of them is missing")
        stages: list[Any] = []
        if features.backpressure:
            full: Any = "drop_oldest" if origin.valve is None else block(origin.valve, then="drop_oldest")
            front: Any = _boundary(
                self._capacity("source", settings.capacities.source), full, name="source", alert=self._tell,
                gaps=self._dropped, scheduler=clock.scheduler,
            )  # fmt: skip
            self._front = front
            self._carried = Carried(lambda: front.stats, self._gaps.on_next)
            stages += [front, self._carried]
        if features.meters:
            stages.append(self._meter("ticks"))
        if self._tap is not None:
            stages.append(self._tap)
        if self.health is not None:
            stages.append(passing(self.health))
        if features.validation:
            self._checked = ops.validate(*self._rules, instruments=instruments, rejects=self._refused)
            stages.append(self._checked)
        before = None
        if length is not None:
            before = Backfill([contract.symbol for contract in origin.contracts], length, clock, self._gaps.on_next)
            stages.append(before)
        inner, repairs = self.windows, None
        if history is not None:
            inner = _with_minutes(self.windows)
            repair = ops.repair(
                history, inner, instruments=instruments, longest=max(nanoseconds("1d"), 2 * (length or 0)) / SECOND,
                scheduler=clock.scheduler, events=partial(self._mended, before),
            )  # fmt: skip
            repairs = self._gaps.pipe(repair)
        self._made = ops.bars(
            inner, lateness=settings.lateness, horizon=settings.horizon, grace=settings.grace, updates=settings.updates,
            fill="previous" if settings.fill else None, instruments=instruments, rejects=self._reject,
            gaps=self._gaps, repairs=repairs, scheduler=clock.scheduler,
        )  # fmt: skip
        ticks: Observable[Any] = origin.ticks
        for stage in stages:
            ticks = stage(ticks)
        self._input = ticks
        self._hides = inner is not self.windows
        said = [repr(stage) for stage in stages if type(stage).__module__.startswith(ops.__name__)]
        mending = "; gaps are mended from history" if history is not None else ""
        behind = "each consumer behind a boundary of his own" if features.backpressure else "consumers, called directly"
        told = (*origin.stages, *said, f"{self._made!r}{mending}", behind)
        # All have the feed's clock, and it stands in none of the lines.
        self.stages = tuple(stage.replace(f", scheduler={clock.scheduler!r}", "") for stage in told)

    def _capacity(self, name: str, default: int) -> CapacityLike:
        if self.limits is None:
            return default
        return self.limits.capacity(name, default=default, least=min(default, self.settings.capacities.least))

    def _meter(self, name: str) -> Any:
        meter = self._meters[name] = ops.meter(name, scheduler=self._clock.scheduler)
        return meter

    def _start(self) -> None:
        """Subscribe to the source: bars are there first, then the ticks that they are made of."""
        scheduler = self._clock.scheduler
        bars: Observable[Any] = self._made(self._ticks.out)
        if self._hides:
            names = {timeframe.name for timeframe in self.windows.timeframes}
            bars = bars.pipe(rx.filter(lambda bar: bar.timeframe in names))
        if self.settings.features.meters:
            bars = self._meter("bars")(bars)
        self._subscription = running = CompositeDisposable()
        running.add(self._bars.into.to(bars, scheduler))
        running.add(self._ticks.into.to(self._input, scheduler))

    def _consumer(self, fan: Fan[Any], overflow: Overflowing, what: str, gaps: Any = None) -> Observable[Any]:
        if not self.stages:
            raise RuntimeError("open the feed first: async with rxfeed.pipeline(...) as feed")
        if not self.settings.features.backpressure:
            return RunObservable(lambda observer, _=None: self._joined(fan, observer))
        self._count += 1
        name = f"{what} {self._count}"
        policy: Any = overflow
        boundary = _boundary(
            self._capacity("consumer", self.settings.capacities.consumer), policy, name=name, alert=self._tell, gaps=gaps,
            scheduler=self._clock.scheduler,
        )  # fmt: skip
        return boundary(RunObservable(lambda observer, _=None: self._joined(fan, observer, name, boundary)))

    def _joined(self, fan: Fan[Any], observer: Any, name: str = "", boundary: Any = None) -> abc.DisposableBase:
        place = fan.join(observer)
        if boundary is not None:
            self._consumers[name] = boundary

        def leave() -> None:
            place.dispose()
            if self._consumers.pop(name, None) is not None:
                self._departed += 1

        if self._subscription is None and not self._closed:
            self._start()
        return Disposable(leave)

    # --- what it hears

    def _tell(self, event: Event) -> None:
        self._news.tell(event)

    def _gap(self, gap: Gap) -> None:
        """Take a gap of the source, which waits where its ticks do."""
        if self._carried is None:
            self._gaps.on_next(gap)
        else:
            self._carried.put(gap)

    def _dropped(self, gap: Gap) -> None:
        """Take a gap of our own making: ticks that had to go at the boundary behind the source."""
        self._tell(Gapped(time=self._clock.now, gap=gap))
        self._gaps.on_next(gap)

    def _mended(self, before: Backfill | None, event: Event) -> None:
        if before is not None:
            before.heard(event)
        self._tell(event)

    def _refused(self, reject: Reject) -> None:
        if self.health is not None:
            self.health.rejected()
        if self._rejects is not None:
            self._rejects(reject)

    def _reject(self, reject: Reject) -> None:
        """Take what `bars` refuses: a tick, or a bar of history that says something else."""
        if not isinstance(reject.element, Bar):
            self._refused(reject)
            return
        event = Disagreed(time=self._clock.now, bar=reject.element, text=reject.reason)
        self._tell(event)
        self._log.say(f"what history says of {reject.element.symbol}", "{}", event)


_boundary: Final[Callable[..., Any]] = ops.backpressure  # which policy it is, only settings know


def _breaker(settings: Settings, clock: Clock, random: Random) -> Breaker:
    return Breaker("source", **settings.breaker.model_dump(), clock=clock, random=random)


def _mendable(windows: Windows) -> bool:
    """Whether history can tell of any of them: it knows no parts of seconds."""
    return any(level.timeframe.step % SECOND == 0 for level in windows.levels)


def _with_minutes(windows: Windows) -> Windows:
    """Return windows with minutes below, so that an hour or a day need not be over before history can tell of it."""
    finest = windows.levels[0].timeframe
    few = finest.step == 0 or (finest.step > _MINUTE and finest.step % _MINUTE == 0)
    if not few or len(windows.timeframes) == MOST_TIMEFRAMES:
        return windows
    return Windows("1m", *windows.timeframes, session=windows.session, anchor=windows.anchor)
