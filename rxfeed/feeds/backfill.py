"""The time before the start is a gap like any other: it begins as long ago as one wishes, and ends with the first trade.

What history has of it comes out before the first trade does: the stream is subscribed to when history has answered, and what
is missed meanwhile is in the gap too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable, SingleAssignmentDisposable

from rxfeed.clock import Clock, Timer
from rxfeed.events import Backfilled, Event
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.runs import Run, RunObservable, RunObserver
from rxfeed.times import SECOND

CAUSE: Final = "backfill"
PATIENCE: Final = 10 * SECOND
"""So long the stream waits for history. What comes later comes as revisions."""


class Backfill:
    """The gaps of one start.

    Args:
        symbols: whose.
        length: how far back, ns; 0 for no more than the windows in which it begins.
        clock: what time it is, as far as we know.
        tell: hears the gaps: each when it begins, and again with its end before the first trade is handed on.
    """

    def __init__(self, symbols: Iterable[str], length: int, clock: Clock, tell: Callable[[Gap], None]) -> None:
        self._symbols = tuple(symbols)
        self._length, self._clock, self._tell = length, clock, tell
        self._open: dict[str, Gap] = {}
        self._unanswered: set[str] = set()
        self._begin: Callable[[], None] | None = None

    def heard(self, event: Event) -> None:
        """Take note of what is told of the repair."""
        if isinstance(event, Backfilled):
            self._unanswered.discard(event.gap.symbol)
            if not self._unanswered and self._begin is not None:
                begin, self._begin = self._begin, None
                begin()

    def __call__(self, trades: Observable[Tick]) -> Observable[Tick]:
        """Return trades that are subscribed to when history has answered, or has had its time to; the gaps begin at once."""

        def subscribe(observer: abc.ObserverBase[Tick], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            now = self._clock.now
            self._open = {symbol: Gap(symbol, now - self._length, ONGOING, CAUSE) for symbol in self._symbols}
            self._unanswered = set(self._symbols)
            upstream, timer = SingleAssignmentDisposable(), SerialDisposable()

            def start() -> None:
                self._begin = None
                timer.dispose()
                upstream.disposable = _Firsts(observer, self._first, self._open).to(trades, scheduler)

            # In a turn of its own, when what history said is out.
            self._begin = lambda: _cancelling(timer, self._clock.call_at(self._clock.now, start))
            _cancelling(timer, self._clock.call_at(now + PATIENCE, start))
            for gap in list(self._open.values()):
                self._tell(gap)

            def stop() -> None:
                self._begin = None

            return CompositeDisposable(Disposable(stop), timer, upstream)

        return RunObservable(subscribe)

    def _first(self, tick: Tick) -> None:
        gap = self._open.pop(tick.symbol)
        self._tell(Gap(gap.symbol, gap.start, max(gap.start, tick.time), CAUSE))


def _cancelling(held: SerialDisposable, timer: Timer) -> None:
    held.disposable = Disposable(timer.cancel)


class _Firsts(RunObserver):
    """Tells of each symbol's first trade before it hands it on. When there are no more to come, it costs next to nothing."""

    __slots__ = ("_first", "_observer", "_waiting")

    def __init__(self, observer: abc.ObserverBase[Any], first: Callable[[Tick], None], waiting: dict[str, Gap]) -> None:
        super().__init__(self._look, self._look_run, observer.on_error, observer.on_completed)
        self._observer, self._first, self._waiting = observer, first, waiting

    def to(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        """Subscribe to a source."""
        if isinstance(source, RunObservable):
            return super().to(source, scheduler)
        # Not as the functions that it has now: they change.
        return source.subscribe(self.on_next, self.on_error, self.on_completed, scheduler=scheduler)

    def _look(self, tick: Tick) -> None:
        if tick.symbol in self._waiting:
            self._first(tick)
            self._pass_on()
        self._observer.on_next(tick)

    def _look_run(self, ticks: Run) -> None:
        for tick in ticks:
            if tick.symbol in self._waiting:
                self._first(tick)
        self._pass_on()
        if isinstance(self._observer, RunObserver):
            self._observer.on_run(ticks)
        else:
            for tick in ticks:
                self._observer.on_next(tick)

    def _pass_on(self) -> None:
        if not self._waiting:
            self._on_next = self._observer.on_next
            if isinstance(self._observer, RunObserver):
                self._on_run = self._observer.on_run
