"""The default composition, on one screen: a gateway's trades, checked, as bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from reactivex import Observable, Subject, abc, merge
from reactivex import operators as rx
from reactivex.disposable import CompositeDisposable

from rxfeed import operators as ops
from rxfeed.clock import Clock, LiveClock
from rxfeed.events import Disagreed, Event
from rxfeed.feeds.backfill import Backfill
from rxfeed.feeds.broadcast import Broadcast
from rxfeed.feeds.projectx import Contract, Gateway
from rxfeed.instrument import Instrument, Instruments, by_symbol
from rxfeed.model import Bar, Gap, Reject, Tick
from rxfeed.rules import DEFAULT, Rule
from rxfeed.times import NANOSECONDS, SECOND, Duration, nanoseconds
from rxfeed.windows import MOST_TIMEFRAMES, Windows

_MINUTE: Final = NANOSECONDS["m"]

Stage = Callable[[Observable[Tick]], Observable[Tick]]


class Live:
    """What `live` returns: bars to subscribe to, what happens to the feed, and the counts of what became of the trades.

    At every moment: trades = `checked.stats.rejected` + `.pending` + `made.stats.closed` + `.open` + `.rejected` +
    `.outside_session`.
    """

    def __init__(
        self, gateway: Gateway, contracts: Sequence[Contract], windows: Windows, *, rules: Sequence[Rule], lateness: Duration,
        horizon: Duration, grace: Duration | None, updates: Duration | None, fill: bool, instruments: dict[str, Instrument],
        rejects: Callable[[Reject], None] | None, tap: Stage | None, clock: Clock, repair: bool, backfill: int | None,
    ) -> None:  # fmt: skip
        self.contracts: Final = tuple(contracts)
        self.windows: Final = windows
        self._gateway, self._tap, self._clock, self._backfill = gateway, tap, clock, backfill
        self._news: Broadcast[Event] = Broadcast(f"events of {self!r}")
        self._rejects, self._disagreed, self._used = rejects, 0, False
        mends = (repair and any(level.timeframe.step % SECOND == 0 for level in windows.levels)) or backfill is not None
        inner = _with_minutes(windows) if mends else windows
        self._hides = inner is not windows
        self._checked = partial(ops.validate, *rules, instruments=instruments, rejects=rejects)
        self._made = partial(
            ops.bars, inner, lateness=lateness, horizon=horizon, grace=grace, updates=updates,
            fill="previous" if fill else None, instruments=instruments, rejects=self._reject, scheduler=clock.scheduler,
        )  # fmt: skip
        self._repair = None
        if mends:
            longest = max(nanoseconds("1d"), 2 * (backfill or 0)) / SECOND
            self._repair = partial(
                ops.repair, gateway.history, inner, instruments=instruments, longest=longest, scheduler=clock.scheduler
            )
        self._compose()
        self.bars: Final[Observable[Bar]] = Observable(self._subscribe)

    def __repr__(self) -> str:
        return f"Live({' '.join(contract.symbol for contract in self.contracts)})"

    @property
    def events(self) -> Observable[Event]:
        """What happens from the subscription on, at the gateway and to gaps. It completes with the gateway."""
        return merge(self._gateway.events.pipe(rx.do_action(on_completed=self._news.complete)), self._news.stream)

    def _compose(self) -> None:
        """Make the stages of one subscription."""
        gaps: Subject[Gap] = Subject()
        self.checked = self._checked()
        trades = self._gateway.trades(*(contract.id for contract in self.contracts))
        ticks = self.checked(trades if self._tap is None else self._tap(trades))
        if self._repair is None:
            self.made = self._made(gaps=gaps)
        else:
            before = None
            if self._backfill is not None:
                symbols = [contract.symbol for contract in self.contracts]
                before = Backfill(symbols, self._backfill, self._clock, gaps.on_next)
                ticks = before(ticks)
            self.made = self._made(gaps=gaps, repairs=gaps.pipe(self._repair(events=partial(self._heard, before))))
        bars = self.made(ticks)
        names = {timeframe.name for timeframe in self.windows.timeframes}
        self._gaps, self._stream = gaps, bars.pipe(rx.filter(lambda bar: bar.timeframe in names)) if self._hides else bars

    def _subscribe(self, observer: abc.ObserverBase[Bar], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        if self._used:
            self._compose()
        self._used = True
        return CompositeDisposable(
            self._gateway.gaps.subscribe(self._gaps.on_next), self._stream.subscribe(observer, scheduler=scheduler)
        )

    def _heard(self, before: Backfill | None, event: Event) -> None:
        if before is not None:
            before.heard(event)
        self._news.tell(event)

    def _reject(self, reject: Reject) -> None:
        if not isinstance(reject.element, Bar):
            if self._rejects is not None:
                self._rejects(reject)
            return
        event = Disagreed(time=self._clock.now, bar=reject.element, text=reject.reason)
        self._news.tell(event)
        self._disagreed += 1
        if str(self._disagreed).strip("0") == "1":  # the 1st, 10th, 100th: whatever comes, the log stays readable
            from loguru import logger  # costs 30 ms, and mostly all is well

            logger.warning("{} ({} so far)", event, self._disagreed)

    def subscribe(
        self, on_next: Callable[[Bar], None], on_error: Callable[[Exception], None], on_completed: Callable[[], None]
    ) -> abc.DisposableBase:
        """Subscribe to the bars."""
        return self.bars.subscribe(on_next, on_error, on_completed)


def _with_minutes(windows: Windows) -> Windows:
    """Return windows with minutes below, so that an hour or a day need not be over before history can tell of it."""
    finest = windows.levels[0].timeframe
    few = finest.step == 0 or (finest.step > _MINUTE and finest.step % _MINUTE == 0)
    if not few or len(windows.timeframes) == MOST_TIMEFRAMES:
        return windows
    return Windows("1m", *windows.timeframes, session=windows.session, anchor=windows.anchor)


async def live(
    gateway: Gateway,
    *symbols: str,
    windows: Windows | Sequence[str] = ("1m",),
    rules: Sequence[Rule] = DEFAULT,
    lateness: Duration = 0,
    horizon: Duration = "10m",
    grace: Duration | None = "1s",
    updates: Duration | None = None,
    fill: bool = False,
    instruments: Instruments = None,
    rejects: Callable[[Reject], None] | None = None,
    tap: Stage | None = None,
    clock: Clock | None = None,
    repair: bool = True,
    backfill: Duration | None = None,
) -> Live:
    """Compose a gateway's trades into bars: symbols looked up, trades checked by tick size, windows closed by the clock.

    Args:
        gateway: where the trades come from.
        symbols: roots ("MNQ"), contracts ("MNQZ26") or ids; one or more.
        windows: timeframes such as "1m", or a `Windows` value with session and anchor.
        rules: what a trade must be; by default `rules.DEFAULT`.
        lateness: how long windows stay open after their end, in event time.
        horizon: how far back a trade may be and still be merged into its window.
        grace: how long after its end, by the clock, a window of a quiet symbol closes; more than trades take to get here.
            None: the clock closes none.
        updates: how often open bars are shown, as snapshots of revision -1; None never.
        fill: whether empty windows get a bar from the close before.
        instruments: to be used instead of what the gateway says of tick sizes.
        rejects: called with each trade that was refused.
        tap: a stage between the gateway and the first check, to measure or to record.
        clock: the gateway's; by default the machine's.
        repair: whether what gaps may have cost is asked of the gateway's history (`ops.repair`). Bars that gaps touch are
            flagged GAP in any case, and come out again when they are mended. Windows shorter than a second are not.
        backfill: bars from so long ago until now come from history, in every timeframe, and live bars continue them: those
            that are over come out first, and those around the start when they are. Trades are subscribed to when history has
            answered, after 10 s at most. None: none, and the first bar of each timeframe is flagged GAP.

    Returns:
        The bars, what happens to the feed, and what counts. Nothing is connected before they are subscribed to.

    Raises:
        UnknownContract: a symbol that the gateway does not know.
        FeedError: the gateway cannot be asked, or refuses.
        ValueError: a timeframe or a duration that is not allowed, or no symbol.

    Example:
        >>> from rxfeed import Gateway, pipeline
        >>> async def main():
        ...     async with Gateway() as gateway:
        ...         feed = await pipeline.live(gateway, "MNQ", "MES", windows=("1m", "5m"))
        ...         async for bar in feed.bars.pipe(ops.to_async_iter()):
        ...             print(bar)
    """
    if not symbols:
        raise ValueError('live needs one symbol or more, such as "MNQ"')
    length = None if backfill is None else nanoseconds(backfill, name="backfill")
    found = {contract.id: contract for contract in [await gateway.contract(symbol) for symbol in symbols]}
    told = {contract.symbol: Instrument(contract.symbol, contract.tick_size) for contract in found.values()}
    return Live(
        gateway, list(found.values()), windows if isinstance(windows, Windows) else Windows(*windows), rules=rules,
        lateness=lateness, horizon=horizon, grace=grace, updates=updates, fill=fill, instruments=told | by_symbol(instruments),
        rejects=rejects, tap=tap, clock=LiveClock() if clock is None else clock, repair=repair, backfill=length,
    )  # fmt: skip
