"""`bars(by=...)`: what it returns, and one subscription of it, the kernel between a source, a clock and an observer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.by import By
from rxfeed.clock import Clock, Timer
from rxfeed.errors import PartialRefused
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.instrument import Instrument
from rxfeed.kernels.by.kernel import FRAME_ROWS, ByKernel, ByStats
from rxfeed.model import Bar, Reject, Tick
from rxfeed.scheduler import own_clock
from rxfeed.sessions import Session
from rxfeed.times import FOREVER

from ._sink import Sink
from ._turns import Turns
from ._zone_watch import ZoneWatch

Out = TypeVar("Out", Bar, Frame[Bar])


@dataclass(frozen=True, slots=True)
class BySettings:
    """The arguments of `bars(by=...)`, checked; durations in ns."""

    kinds: tuple[By, ...]
    session: str | Session
    lateness: int
    updates: int | None
    grace: int | None
    instruments: Mapping[str, Instrument]
    rejects: Sink[Reject] | None
    frames: bool
    clock: Clock | None

    def kernel(self) -> ByKernel:
        return ByKernel(self.kinds, session=self.session, lateness=self.lateness, instruments=self.instruments)


class ByBars(Generic[Out]):
    """What `bars(by=...)` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, settings: BySettings) -> None:
        self._settings = settings
        self._newest = settings.kernel()

    @property
    def by(self) -> tuple[By, ...]:
        """What its bars are measured by."""
        return self._settings.kinds

    @property
    def stats(self) -> ByStats:
        """Ticks by what became of them: received = closed + open + rejected + outside_session."""
        return self._newest.stats

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected ticks by rule: `finite` and `late`."""
        return self._newest.rejected

    def __call__(self, source: Observable[Tick] | Observable[Frame[Tick]] | Observable[Any]) -> Observable[Out]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._settings.kernel()
            return ByShell(self._settings, kernel, observer, scheduler).run(source)

        return Observable(subscribe)


class ByShell:
    """Hands elements and marks to the kernel and its bars to the observer, one after the other."""

    __slots__ = (
        "clock", "kernel", "mark_at", "mark_timer", "next_update", "scheduler", "seen", "settings", "turns", "update_timer",
        "watch",
    )  # fmt: skip

    def __init__(
        self, settings: BySettings, kernel: ByKernel, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None
    ) -> None:
        self.settings, self.kernel, self.scheduler = settings, kernel, scheduler
        self.clock = settings.clock or own_clock(scheduler)
        kernel.tally.heard = settings.rejects is not None
        self.watch = ZoneWatch(kernel.plan.sessions)
        self.turns = Turns(observer, self._stop)
        self.mark_timer: Timer | None = None
        self.mark_at = FOREVER
        self.update_timer: Timer | None = None
        self.next_update = -FOREVER
        self.seen: dict[tuple[str, str, int], int | None] = {}

    def run(self, source: Observable[Any]) -> abc.DisposableBase:
        """Subscribe to the source; the disposable ends it and every timer."""
        try:
            upstream = source.subscribe(self._on_next(), self.turns.fail, self._on_completed, scheduler=self.scheduler)
        except BaseException:
            self._stop()
            raise
        return CompositeDisposable(upstream, Disposable(self.turns.end))

    def _on_next(self) -> Callable[[Any], None]:
        """Make the way of an element: an ordinary tick ends in the kernel, and what it closes goes straight out."""
        turns, kernel, step, watch = self.turns, self.kernel, self._step, self.watch
        tick, rejects = kernel.tick, kernel.tally.rejects
        minded, mind = self.settings.updates is not None or self.clock is not None, self._mind
        frames = self.settings.frames

        def on_next(element: Any) -> None:
            if type(element) is Tick and not turns.busy:
                try:
                    bars = tick(element)
                except Exception as error:
                    turns.fail(error)
                    return
                if bars is None:
                    if minded:
                        mind(element.time)
                elif minded or frames or rejects or element.time >= watch.next:
                    step(lambda: self._taken(element.time, bars))
                elif bars:
                    turns.emit(bars)
            elif is_frame(element) and element.kind is Tick and len(element) > FRAME_ROWS:
                # In pieces that fit the cache; what one closes is out before the next can fail.
                pieces = range(0, len(element), FRAME_ROWS)
                step(*[lambda at=at: self._take(element.slice(at, FRAME_ROWS)) for at in pieces])
            else:
                step(lambda: self._take(element))

        return on_next

    def _mind(self, time: int) -> None:
        """Look after the timers and updates when a tick has closed nothing."""
        if self.turns.ended:
            return  # a source that has not heard of it yet must arm no timer
        if self.clock is None:
            if time >= self.next_update:
                self._step(lambda: self._taken(time, []))
            return
        if self.update_timer is None:
            self._arm_update()
        if self.kernel.rows.earliest < self.mark_at and self.settings.grace is not None:
            self._arm_mark()

    def _step(self, *acts: Callable[[], list[Any]]) -> None:
        try:
            self.turns.take(*acts)
        finally:
            if self.clock is not None and not self.turns.ended and (self.turns.cut or not self.turns.busy):
                self._arm_mark()

    # --- input

    def _take(self, element: Any) -> list[Any]:
        kernel = self.kernel
        if type(element) is Tick:
            return self._taken(element.time, kernel.tick(element) or [])
        if isinstance(element, Bar) or (is_frame(element) and element.kind is Bar):
            raise PartialRefused(
                "bars(by=...) takes ticks only: a partial bar does not say at which of its ticks a threshold was reached, "
                f"got {element}"
            )
        if not (is_frame(element) and element.kind is Tick):
            raise TypeError(f"bars(by=...) takes Tick or Frame[Tick], got {name_of(element)}")
        if not len(element):
            return []
        self._arm_update()
        self.watch.see(int(element.column("time").max()))
        if self.settings.frames and self.settings.updates is None:
            frame = kernel.frame_to_frame(element)
            self._report()
            return [] if frame is None else [frame]
        bars = kernel.frame(element)
        return self._shaped(bars + self._event_updates(max(kernel.watermarks().values(), default=-FOREVER)))

    def _taken(self, time: int, bars: list[Bar]) -> list[Any]:
        self._arm_update()
        self.watch.see(time)
        return self._shaped(bars + self._event_updates(time))

    def _shaped(self, bars: list[Bar]) -> list[Any]:
        """What the observer gets, as rows or as a frame."""
        self._report()
        if self.settings.frames:
            return [Frame.of(bars)] if bars else []
        return bars

    def _report(self) -> None:
        if self.kernel.tally.rejects:
            rejects = self.kernel.take_rejects()
            if self.settings.rejects is not None:
                for reject in rejects:
                    self.settings.rejects(reject)

    # --- updates

    def _event_updates(self, time: int) -> list[Bar]:
        """Without a clock: snapshots when event time has moved on enough."""
        period = self.settings.updates
        if period is None or self.clock is not None or time < self.next_update:
            return []
        self.next_update = time + period
        return self._changed()

    def _changed(self) -> list[Bar]:
        """Snapshots of the open bars that are not as they were at the last time."""
        bars = self.kernel.partials()
        out = [b for b in bars if self.seen.get(b.identity, -1) != b.count]
        self.seen = {b.identity: b.count for b in bars}
        return out

    # --- time

    def _arm_mark(self) -> None:
        """Have the clock wake us when something is due next; sooner if something has come that is due before."""
        clock, grace, rows = self.clock, self.settings.grace, self.kernel.rows
        if clock is None or grace is None:
            return
        if self.mark_timer is not None:
            if rows.earliest >= self.mark_at:
                return
            self.mark_timer.cancel()
            self.mark_timer = None
        rows.earliest = FOREVER
        due = self.kernel.due()
        if due is not None:
            self.mark_at = due
            self.mark_timer = clock.call_at(max(due + grace, clock.now), self._mark)

    def _mark(self) -> None:
        clock, grace = self.clock, self.settings.grace
        assert clock is not None
        assert grace is not None
        self.mark_timer, self.mark_at = None, FOREVER
        self._step(lambda: self._marked(clock.now - grace))

    def _marked(self, time: int) -> list[Any]:
        self.watch.see(time)
        return self._shaped(self.kernel.mark(time))

    def _arm_update(self) -> None:
        if self.clock is not None and self.settings.updates is not None and self.update_timer is None:
            self.update_timer = self.clock.call_at(self.clock.now + self.settings.updates, self._update)

    def _update(self) -> None:
        self.update_timer = None  # armed again by what comes next: nothing changes by itself
        self._step(lambda: self._shaped(self._changed()))

    # --- end

    def _on_completed(self) -> None:
        clock = self.clock
        marked = [] if clock is None else [lambda: self._marked(clock.now)]
        self.turns.complete(*marked, lambda: self._shaped(self.kernel.finish()))

    def _stop(self) -> None:
        for timer in (self.mark_timer, self.update_timer):
            if timer is not None:
                timer.cancel()
        self.mark_timer = self.update_timer = None
