"""One subscription of `bars`: the kernel between a source, a clock and an observer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.clock import Timer
from rxfeed.frame import Frame, is_frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.bars import BarsKernel
from rxfeed.kernels.fill import Filler
from rxfeed.model import Bar, Reject, Tick
from rxfeed.scheduler import clock_of
from rxfeed.times import FOREVER
from rxfeed.windows import Windows

from ._sink import Sink
from ._zone_watch import ZoneWatch


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `bars`, checked; durations in ns."""

    windows: Windows
    lateness: int
    horizon: int
    updates: int | None
    fill: bool
    grace: int | None
    instruments: Mapping[str, Instrument] | None
    rejects: Sink[Reject] | None
    frames: bool
    scheduler: abc.SchedulerBase | None

    def kernel(self) -> BarsKernel:
        return BarsKernel(self.windows, lateness=self.lateness, horizon=self.horizon, instruments=self.instruments)


class Shell:
    """Hands elements to the kernel and its bars to the observer, one after the other whatever is re-entrant."""

    __slots__ = (
        "busy", "clock", "counts", "ended", "filler", "kernel", "mark_timer", "next_update", "observer", "settings",
        "update_timer", "waiting", "watch",
    )  # fmt: skip

    def __init__(
        self, settings: Settings, kernel: BarsKernel, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None
    ) -> None:
        self.settings, self.kernel, self.observer = settings, kernel, observer
        self.clock = clock_of(settings.scheduler or scheduler)
        self.filler = Filler(kernel.plan) if settings.fill else None
        self.watch = ZoneWatch(kernel.plan.sessions)
        self.waiting: deque[Callable[[], list[Any]]] = deque()
        self.busy = False
        self.ended = False
        self.mark_timer: Timer | None = None
        self.update_timer: Timer | None = None
        self.next_update = -FOREVER
        self.counts: dict[tuple[str, str], tuple[int, int | None]] = {}

    def run(self, source: Observable[Any]) -> abc.DisposableBase:
        """Subscribe to the source; the disposable ends it and every timer."""
        if self.clock is not None and self.settings.updates is not None:
            self._arm_update()
        return CompositeDisposable(
            source.subscribe(self._on_next(), self._on_error, self._on_completed), Disposable(self._stop)
        )

    def _on_next(self) -> Callable[[Any], None]:
        step, tick = self.step, self.kernel.tick
        settings, emit, rejects = self.settings, self.observer.on_next, self.kernel.tally.rejects
        watch = self.watch
        by_event = self.clock is None and settings.updates is not None
        plain = self.clock is None and not by_event and self.filler is None and not settings.frames

        def on_next(element: Any) -> None:
            if self.busy:
                self.waiting.append(lambda: self._take(element))
                return
            if type(element) is Tick:
                try:
                    bars = tick(element)
                except Exception as error:
                    self._on_error(error)
                    return
                if plain:
                    if bars is None:
                        return
                    if element.time >= watch.next:
                        watch.see(element.time)
                    if bars:
                        self.busy = True
                        try:
                            for bar in bars:
                                emit(bar)
                        finally:
                            self.busy = False
                    if rejects or self.waiting:
                        step(list)
                    return
                if bars is not None or (by_event and element.time >= self.next_update):
                    step(lambda: self._taken(element, bars or []))
                return
            step(lambda: self._take(element))

        return on_next

    def step(self, act: Callable[[], list[Any]]) -> None:
        """Run `act`, then emit what it returns; whatever comes in meanwhile waits behind."""
        self.waiting.append(act)
        if self.busy:
            return
        self.busy = True
        try:
            while self.waiting and not self.ended:
                try:
                    out = self.waiting.popleft()()
                    self._report()
                except Exception as error:
                    self._on_error(error)
                    return
                emit = self.observer.on_next
                for one in out:
                    emit(one)
        finally:
            self.busy = False
        if self.clock is not None and not self.ended and self.mark_timer is None:
            self._arm_mark()

    # --- input

    def _take(self, element: Any) -> list[Any]:
        kernel = self.kernel
        if type(element) is Tick:
            return self._taken(element, kernel.tick(element) or [])
        if isinstance(element, Bar):
            return self._taken(element, kernel.partial(element))
        if is_frame(element) and element.kind is Tick:
            if len(element):
                self.watch.see(int(element.column("time").max()))
            if self.settings.frames and self.filler is None and self.settings.updates is None:
                frame = kernel.frame_to_frame(element)
                return [] if frame is None else [frame]
            return self._shaped(kernel.frame(element), kernel.watermarks(), self._event_updates(None))
        kind = f"Frame[{element.kind.__name__}]" if is_frame(element) else type(element).__name__
        raise TypeError(f"bars takes Tick, Frame[Tick] or partial Bar, got {kind}")

    def _taken(self, element: Tick | Bar, bars: list[Bar]) -> list[Any]:
        time = element.time if isinstance(element, Tick) else element.last_time
        if time is not None:
            self.watch.see(time)
        updates = self._event_updates(time)
        if self.filler is None:
            return self._shaped(bars, {}, updates)
        mark = self.kernel.watermark(element.symbol)
        return self._shaped(bars, {} if mark is None else {element.symbol: mark}, updates)

    def _event_updates(self, time: int | None) -> list[Bar]:
        """Without a clock: snapshots when event time has moved on enough."""
        period = self.settings.updates
        if period is None or self.clock is not None:
            return []
        if time is None:
            time = max(self.kernel.watermarks().values(), default=-FOREVER)
        if time < self.next_update:
            return []
        self.next_update = time + period
        return self._changed()

    def _changed(self) -> list[Bar]:
        """Snapshots of the open bars that are not as they were at the last time."""
        bars = self.kernel.partials()
        seen = {(b.symbol, b.timeframe): (b.start, b.count) for b in bars}
        out = [b for b in bars if self.counts.get((b.symbol, b.timeframe)) != (b.start, b.count)]
        self.counts = seen
        return out

    # --- output

    def _shaped(self, bars: list[Bar], watermarks: Mapping[str, int], updates: list[Bar]) -> list[Any]:
        if self.filler is not None:
            bars = self.filler.through(bars, watermarks)
        if updates:
            bars = bars + updates
        if self.settings.frames:
            return [Frame.of(bars, Bar)] if bars else []
        return bars

    def _report(self) -> None:
        if self.kernel.tally.rejects:
            rejects = self.kernel.take_rejects()
            if self.settings.rejects is not None:
                for reject in rejects:
                    self.settings.rejects(reject)

    # --- time

    def _arm_mark(self) -> None:
        grace = self.settings.grace
        due = None if grace is None else self.kernel.due()
        if due is not None and self.clock is not None and grace is not None:
            self.mark_timer = self.clock.call_at(max(due + grace, self.clock.now), self._mark)

    def _mark(self) -> None:
        clock, grace = self.clock, self.settings.grace
        assert clock is not None
        assert grace is not None
        self.mark_timer = None
        self.step(lambda: self._marked(clock.now - grace))

    def _marked(self, time: int) -> list[Any]:
        self.watch.see(time)
        return self._shaped(self.kernel.mark(time), self.kernel.watermarks(), [])

    def _arm_update(self) -> None:
        assert self.clock is not None
        assert self.settings.updates is not None
        self.update_timer = self.clock.call_at(self.clock.now + self.settings.updates, self._update)

    def _update(self) -> None:
        self.step(lambda: self._shaped([], {}, self._changed()))
        if not self.ended:
            self._arm_update()

    # --- end

    def _on_completed(self) -> None:
        def last() -> list[Any]:
            out: list[Any] = []
            if self.clock is not None:
                out = self._marked(self.clock.now)
            return out + self._shaped(self.kernel.finish(), {}, [])

        def complete() -> list[Any]:
            self._stop()
            self.observer.on_completed()
            return []

        self.step(last)
        self.step(complete)

    def _on_error(self, error: Exception) -> None:
        self._stop()
        self.observer.on_error(error)

    def _stop(self) -> None:
        self.ended = True
        self.waiting.clear()
        for timer in (self.mark_timer, self.update_timer):
            if timer is not None:
                timer.cancel()
        self.mark_timer = self.update_timer = None
