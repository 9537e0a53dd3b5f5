"""One subscription of `bars`, by time or by something else: the kernel between a source, a clock and an observer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.clock import Timer
from rxfeed.errors import RepairRefused
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.model import Bar, Repair, Tick
from rxfeed.runs import Run, RunObserver
from rxfeed.scheduler import own_clock
from rxfeed.times import FOREVER

from ._bars_settings import K, Settings
from ._beside import Beside
from ._call import Called
from ._turns import Turns
from ._zone_watch import ZoneWatch

_PARTS: Final = 10
"""Of the grace: so much event time passes at most until it is looked again how late ticks that come one by one are."""


class Shell(Generic[K]):
    """Hands elements and marks to the kernel and its bars to the observer, one after the other."""

    __slots__ = (
        "behind", "beside", "clock", "filler", "frontier", "kernel", "look", "mark_due", "mark_end", "mark_timer",
        "next_update", "often", "scheduler", "seen", "settings", "turns", "update_timer", "watch",
    )  # fmt: skip

    def __init__(
        self, settings: Settings[K], kernel: K, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None
    ) -> None:
        self.settings, self.kernel, self.scheduler = settings, kernel, scheduler
        self.clock = settings.clock or own_clock(scheduler)
        kernel.tally.heard = settings.rejects is not None
        self.filler = None if settings.filler is None else settings.filler(kernel)
        self.watch = ZoneWatch(kernel.plan.sessions)
        self.beside = Beside(settings.call)
        self.turns = Turns(observer, self._stop)
        self.mark_timer: Timer | None = None
        self.mark_end = self.mark_due = FOREVER
        # How far what came last was behind the clock: what is still on its way is so too, and closes its windows itself.
        self.behind = 0
        self.frontier = -FOREVER
        self.often = 0 if settings.grace is None else settings.grace // _PARTS
        self.look = FOREVER if self.clock is None or settings.grace is None else -FOREVER
        self.update_timer: Timer | None = None
        self.next_update = -FOREVER
        self.seen: dict[tuple[str, str, int], tuple[Any, ...]] = {}

    def run(self, source: Observable[Any]) -> abc.DisposableBase:
        """Subscribe to the source; the disposable ends it and every timer."""
        on_next = self._on_next()
        try:
            # Before the source: what was lost is told before what comes after.
            for name, kind, other in self.settings.beside:
                self.beside.open(
                    name, other, lambda element, name=name, kind=kind: self._hear(name, kind, element), self.scheduler
                )
            observer = RunObserver(on_next, self._on_run(on_next), self.turns.fail, self._on_completed)
            upstream = observer.to(source, self.scheduler)
        except BaseException:
            self._stop()
            raise
        return CompositeDisposable(upstream, Disposable(self.turns.end))

    def _on_next(self) -> Callable[[Any], None]:
        """Make the way of an element: an ordinary tick ends in the kernel, and what it closes goes straight out."""
        turns, tick, step, rejects = self.turns, self.kernel.tick, self._step, self.kernel.tally.rejects
        settings, watch, most = self.settings, self.watch, self.kernel.most_rows
        by_event = self.clock is None and settings.updates is not None
        by_clock = self.clock is not None and settings.updates is not None
        plain = self.clock is None and not by_event and self.filler is None and not settings.frames

        def on_next(element: Any) -> None:
            if type(element) is Tick and not turns.busy:
                try:
                    bars = tick(element)
                except Exception as error:
                    turns.fail(error)
                    return
                if by_clock and self.update_timer is None:
                    self._arm_update()
                if element.time >= self.look:
                    self._came(element.time)
                if bars is None:
                    if by_event and element.time >= self.next_update:
                        step(lambda: self._taken(element, []))
                elif not plain or rejects or element.time >= watch.next:
                    step(lambda: self._taken(element, bars))
                elif bars:
                    turns.emit(bars)
            elif is_frame(element) and element.kind is Tick and len(element) > most:
                # In pieces that fit the cache; what one closes is out before the next can fail.
                pieces = range(0, len(element), most)
                step(*[lambda at=at: self._take(element.slice(at, most)) for at in pieces])
            else:
                step(lambda: self._take(element))

        return on_next

    def _on_run(self, on_next: Callable[[Any], None]) -> Callable[[Run], None]:
        """Make the way of ticks that come together: no time passes between them, so what they close goes out at once."""
        turns, run = self.turns, self.kernel.run
        settings = self.settings
        alone = self.filler is not None or settings.updates is not None or settings.frames

        def on_run(ticks: Run) -> None:
            if alone or turns.busy:
                rest = iter(ticks)
                try:
                    for tick in rest:
                        if turns.ended:  # a subscriber may have left inside
                            return
                        on_next(tick)
                except BaseException:
                    # A subscriber raised, and a source may go on all the same.
                    turns.keep(*[lambda tick=tick: self._take(tick) for tick in rest])
                    raise
                return
            bars: list[Bar] = []
            try:
                run(ticks, bars)
            except Exception as error:
                turns.fail(error, lambda: self._shaped(bars, {}, list))
                return
            if bars or self.kernel.tally.rejects or self.clock is not None:
                if ticks:
                    self.watch.see(ticks[-1].time)
                    self._came(ticks[-1].time)
                self._step(lambda: self._shaped(bars, {}, list))

        return on_run

    def _step(self, *acts: Callable[[], list[Any]]) -> None:
        try:
            self.turns.take(*acts)
        finally:
            if self.clock is not None and not self.turns.ended and (self.turns.cut or not self.turns.busy):
                self._arm_mark()

    # --- input

    def _take(self, element: Any) -> list[Any]:
        kernel = self.kernel
        if self.update_timer is None:
            self._arm_update()
        if type(element) is Tick:
            return self._taken(element, kernel.tick(element) or [])
        if isinstance(element, Bar):
            return self._taken(element, kernel.partial(element))
        if is_frame(element) and element.kind is Tick:
            if not len(element):
                return []
            last = element.bounds("time")[1]
            self.watch.see(last)
            self._came(last)
            if self.settings.frames and self.filler is None and self.settings.updates is None:
                frame = kernel.frame_to_frame(element)
                self._report()
                return [] if frame is None else [frame]
            return self._shaped(kernel.frame(element), self._marks(), lambda: self._event_updates(None))
        raise self.settings.refusal(element)

    def _taken(self, element: Tick | Bar, bars: list[Bar]) -> list[Any]:
        time = element.time if isinstance(element, Tick) else element.last_time
        if time is not None:
            self.watch.see(time)
            self._came(time)
        mark = None if self.filler is None else self.kernel.watermark(element.symbol)
        marks = {} if mark is None else {element.symbol: mark}
        return self._shaped(bars, marks, lambda: self._event_updates(time))

    def _marks(self) -> Mapping[str, int]:
        """Until where empty windows are to be filled."""
        return {} if self.filler is None else self.kernel.watermarks()

    # --- gaps and history

    def _hear(self, name: str, kind: type[Any], element: Any) -> None:
        self._step(lambda: self._mended(name, kind, element))

    def _mended(self, name: str, kind: type[Any], element: Any) -> list[Any]:
        mend, clock, grace = self.settings.mend, self.clock, self.settings.grace
        assert mend is not None
        # While nothing is open no mark is made; what is over by the clock is over for history too.
        marked = (
            self._marked(clock.now - grace - self.behind)
            if isinstance(element, Repair) and clock is not None and grace is not None
            else []
        )
        try:
            if not isinstance(element, kind):
                raise RepairRefused(f"{name} must be of {kind.__name__}, got {name_of(element)}")
            bars = mend(self.kernel, element)
        except RepairRefused as error:
            self.beside.refused(error)  # the ticks are right all the same
            return marked
        if self.filler is not None:
            bars = self.filler.mended(bars)
        return [*marked, *self._out(bars)]

    # --- updates

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
        now = {b.identity: (b.count, b.volume, b.flags, b.open, b.high, b.low, b.close) for b in bars}
        out = [b for b in bars if self.seen.get(b.identity) != now[b.identity]]
        self.seen = now
        return out

    # --- output

    def _shaped(self, bars: list[Bar], watermarks: Mapping[str, int], updates: Callable[[], list[Bar]]) -> list[Any]:
        """What the observer gets: bars, filled ones among them, and updates, as rows or as a frame."""
        if self.filler is not None:
            bars = self.filler.through(bars, watermarks)
        return self._out(bars + updates())

    def _out(self, bars: list[Bar]) -> list[Any]:
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

    # --- time

    def _came(self, time: int) -> None:
        """Note how late the newest tick comes, if that is more than the grace. Where ticks wait before us or in the network, or
        the exchange's clock is slow, a clock that did not wait for them would close their windows early, and make each of them
        a revision.
        """
        clock, grace = self.clock, self.settings.grace
        if clock is not None and grace is not None and time >= self.frontier:
            self.frontier, self.look = time, time + self.often
            late = clock.now - time
            self.behind = late if late > grace else 0

    def _arm_mark(self) -> None:
        """Have the clock wake us when something is due next; sooner if something has come that is due before."""
        clock, grace = self.clock, self.settings.grace
        if clock is None or grace is None:
            return
        early = self.mark_due - self.mark_end - grace - self.behind > self.often  # we have caught up since
        sooner = self.kernel.opened_before(self.mark_end) or early
        if self.mark_timer is not None:
            if not sooner:
                return
            self.mark_timer.cancel()
            self.mark_timer = None
        ends = [end for end in (self.kernel.due(), None if self.filler is None else self.filler.due()) if end is not None]
        if ends:
            self.mark_end = min(ends)
            self.mark_due = max(self.mark_end + grace + self.behind, clock.now)
            self.mark_timer = clock.call_at(self.mark_due, self._mark)

    def _mark(self) -> None:
        clock, grace = self.clock, self.settings.grace
        assert clock is not None
        assert grace is not None
        self.mark_timer, self.mark_end, self.mark_due = None, FOREVER, FOREVER
        self._step(lambda: self._marked(clock.now - grace - self.behind))

    def _marked(self, time: int) -> list[Any]:
        self.watch.see(time)
        bars = self.kernel.mark(time)
        return self._shaped(bars, self._marks(), list)

    def _arm_update(self) -> None:
        # A source that has not heard of the end yet must arm no timer.
        if self.clock is not None and self.settings.updates is not None and not self.turns.ended:
            self.update_timer = self.clock.call_at(self.clock.now + self.settings.updates, self._update)

    def _update(self) -> None:
        self.update_timer = None  # armed again by what comes next: nothing changes by itself
        self._step(lambda: self._shaped([], {}, self._changed))

    # --- end

    def _on_completed(self) -> None:
        clock = self.clock
        marked = [] if clock is None else [lambda: self._marked(clock.now)]
        self.turns.complete(*marked, lambda: self._shaped(self.kernel.finish(), {}, list))

    def _stop(self) -> None:
        self.beside.close()
        for timer in (self.mark_timer, self.update_timer):
            if timer is not None:
                timer.cancel()
        self.mark_timer = self.update_timer = None


class Made(Called, Generic[K]):
    """An operator, and the counts of its newest subscription."""

    def __init__(self, settings: Settings[K]) -> None:
        super().__init__(settings.call)
        self._settings = settings
        self._newest = settings.kernel()

    def _subscribed(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._settings.kernel()
            return Shell(self._settings, kernel, observer, scheduler).run(source)

        return Observable(subscribe)
