"""What comes out of the gateway, looked at where it enters the pipeline: how much, how fast, how late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from reactivex import Observable, abc

from rxfeed.clock import Clock
from rxfeed.feeds.projectx import Contract
from rxfeed.kernels.meter import Distribution, Pace, Summary
from rxfeed.model import UNKNOWN_TIME, Tick
from rxfeed.runs import Run, RunObservable, RunObserver, run_into
from rxfeed.times import SECOND

_GATHERED: Final = 2_048


@dataclass(slots=True)
class Seen:
    """What came of one symbol."""

    contract: Contract
    count: int = 0
    volume: int = 0
    ticks: int = 0
    """Sum of price, in whole ticks, times size: exact, so that it can be compared."""
    last: Tick | None = None
    before: float = 0.0
    """The last price that was another one."""
    pace: Pace = field(default_factory=lambda: Pace(SECOND))


class Watch:
    """A stage that hands trades on and takes note of them.

    Args:
        clock: what time it is.
    """

    def __init__(self, clock: Clock) -> None:
        self.by_symbol: Final[dict[str, Seen]] = {}
        self.received = 0
        self.newest: int | None = None
        """When the last trade was received."""
        self.pace: Final = Pace(SECOND)
        self._clock = clock
        self._work, self._lag = Distribution(), Distribution()
        self._worked: list[int] = []
        self._lagged: list[int] = []

    def expect(self, contracts: tuple[Contract, ...]) -> None:
        """Say which contracts will come."""
        self.by_symbol.update({contract.symbol: Seen(contract) for contract in contracts})

    @property
    def work(self) -> Summary | None:
        """Nanoseconds from when trades were received until their bars were made."""
        self._fold()
        return self._work.summary()

    @property
    def lag(self) -> Summary | None:
        """Nanoseconds from a trade's own time until it was received; both clocks' errors are in it."""
        self._fold()
        return self._lag.summary()

    def __call__(self, source: Observable[Tick]) -> Observable[Tick]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            run, one = run_into(observer), observer.on_next

            def on_run(ticks: Run) -> None:
                self._count(ticks)
                run(ticks)
                self._measure(ticks)

            def on_next(tick: Tick) -> None:
                self._count([tick])
                one(tick)
                self._measure([tick])

            return RunObserver(on_next, on_run, observer.on_error, observer.on_completed).to(source, scheduler)

        return RunObservable(subscribe)

    def _count(self, ticks: Run) -> None:
        now = self._clock.now
        self.received += len(ticks)
        self.newest = now
        self.pace.tick(now, len(ticks))
        by_symbol, lagged = self.by_symbol, self._lagged
        for tick in ticks:
            seen = by_symbol[tick.symbol]
            last = seen.last
            if last is not None and last.price != tick.price:
                seen.before = last.price
            seen.count += 1
            seen.volume += tick.size
            price = tick.price / seen.contract.tick_size
            if price - price == 0.0:  # neither infinite nor NaN
                seen.ticks += round(price) * tick.size
            seen.last = tick
            seen.pace.tick(now, 1)
            if tick.received is not None and tick.time != UNKNOWN_TIME:
                lagged.append(tick.received - tick.time)

    def _measure(self, ticks: Run) -> None:
        received = ticks[0].received
        if received is not None:
            self._worked.append(self._clock.now - received)
        if len(self._lagged) >= _GATHERED or len(self._worked) >= _GATHERED:
            self._fold()

    def _fold(self) -> None:
        for values, distribution in ((self._worked, self._work), (self._lagged, self._lag)):
            if values:
                distribution.add(np.array(values, np.int64))
                values.clear()
