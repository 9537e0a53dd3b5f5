"""One subscription of `backpressure`: input only enqueues, and a turn of the loop hands on for two milliseconds at most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from reactivex import Observable, abc

from rxfeed.clock import Clock
from rxfeed.events import Event, Overflowed, Pressed, Relieved
from rxfeed.failures import stage_of, tell
from rxfeed.frame import Frame, is_frame
from rxfeed.kernels.pressure.backlog import Backlog, Block, PressureStats
from rxfeed.kernels.pressure.make import backlog
from rxfeed.limits import CapacityLike
from rxfeed.model import Bar, Gap, Tick
from rxfeed.overflow import Blocking, Overflowing
from rxfeed.runs import Run, RunObserver
from rxfeed.times import SECOND

from ._loop import LONGEST, MOST, running_loop
from ._reading import Reading
from ._sink import Sink

_FIRST: Final = 4
_MOST_RUN: Final = 128
"""Ticks that are handed on together: after each such piece we look at the time."""
_MOST_SINGLE: Final = 16
"""Likewise, to somebody who takes them one by one."""
_MOST_ROWS: Final = 16_384
"""Likewise, rows of a frame."""
_FEWEST_ROWS: Final = 256
_LONG, _QUICK, _GOOD = LONGEST / 2, LONGEST / 8, LONGEST / 4
"""Seconds a piece: shorter pieces from here, longer ones below this, and what they then shall take."""

_DOES: Final = {
    "newest": "of each bar only the newest snapshot is kept, and then the oldest bars go",
    "error": "the stream ends behind what waits",
    "drop_oldest": "the oldest go",
    "drop_latest": "what comes goes",
    "conflate": "ticks that wait are merged into partial bars",
    "sample": "the older ticks that wait are thinned out",
    "latest": "only the newest stays",
}


class Setting:
    """What a subscription is made of."""

    __slots__ = ("alert", "capacity", "clock", "gaps", "name", "overflow")

    overflow: Overflowing | None

    def __init__(
        self, name: str, capacity: CapacityLike, overflow: Overflowing | None, alert: Sink[Event] | None,
        gaps: Sink[Gap] | None, clock: Clock | None,
    ) -> None:  # fmt: skip
        self.name, self.capacity, self.overflow = name, capacity, overflow
        self.alert, self.gaps, self.clock = alert, gaps, clock

    def backlog(self, overflow: Overflowing | None = None) -> Backlog:
        """Return an empty one."""
        policy = overflow or self.overflow or "error"
        return backlog(self.most(), policy, gaps=self.gaps is not None)

    def most(self) -> int:
        """Return how many may wait now."""
        capacity = self.capacity
        return capacity if isinstance(capacity, int) else capacity()


class Boundary(abc.DisposableBase):
    """Between a source that pushes and an observer that is handed what it has time for."""

    __slots__ = (
        "_alert", "_clock", "_draining", "_dynamic", "_ended", "_error", "_fresh", "_hand_run", "_handle", "_loop",
        "_observer", "_over", "_piece", "_reading", "_room", "_rows", "_said", "_setting", "_time", "_undecided", "_upstream",
        "backlog",
    )  # fmt: skip

    def __init__(self, setting: Setting, observer: abc.ObserverBase[Any], clock: Clock | None) -> None:
        self._setting, self._observer, self._clock = setting, observer, clock
        self.backlog = setting.backlog()
        self._loop = running_loop("backpressure")
        self._undecided = setting.overflow is None
        self._dynamic = not isinstance(setting.capacity, int)
        self._hand_run = observer.on_run if isinstance(observer, RunObserver) else None
        self._alert = setting.alert
        self._piece, self._rows = _FIRST, _MOST_ROWS
        self._handle: asyncio.Handle | None = None
        self._draining = self._ended = self._over = False
        self._error: Exception | None = None
        self._upstream: abc.DisposableBase | None = None
        self._fresh: list[Tick] = []
        self._said: list[Callable[[int], Event]] = []
        self._time = 0
        what = setting.overflow
        self._reading = Reading(what, self.backlog.capacity, self._loop, self._unread) if isinstance(what, Blocking) else None
        self._room = self.backlog.room if self._reading is None else 1

    def open(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> Boundary:
        """Subscribe to the source."""
        input = RunObserver(self._on_next(), self._on_run, self._end, self._end)
        upstream = input.to(source, scheduler)
        self._upstream = upstream
        if self._over or self._ended:
            upstream.dispose()
        return self

    @property
    def stats(self) -> PressureStats:
        """What became of the ticks so far."""
        self._flush()
        return self.backlog.stats

    def dispose(self) -> None:
        """Let go of the source, and drop what waits."""
        if not self._over:
            self._close()

    # --- in

    def _on_next(self) -> Callable[[Any], None]:
        # Ticks that come one by one are gathered, and put in as if they had come together: that is all one costs here.
        fresh, append = self._fresh, self._fresh.append

        def on_next(element: Any) -> None:
            if self._ended:
                return
            if type(element) is Tick:
                append(element)
                if len(fresh) >= self._room:
                    self._flush()
                if self._handle is None:
                    self._wake()
                return
            self._flush()
            if self._undecided:
                self._decide(element)
            self._put(self.backlog.put, element)

        return on_next

    def _on_run(self, ticks: Run) -> None:
        if not self._ended:
            self._flush()
            self._put(self.backlog.run, ticks)

    def _flush(self) -> None:
        """Put in what was gathered."""
        if self._fresh:
            ticks = self._fresh[:]
            self._fresh.clear()
            self._put(self.backlog.run, ticks)
            self._room = 1 if self._reading is not None else self.backlog.room

    def _put(self, put: Callable[[Any], bool], what: Any) -> None:
        try:
            if self._dynamic:
                self._resize()
            taken = put(what)
        except Exception as error:
            self._stop(error)
            return
        if not taken:
            self._stop(self.backlog.error())
        elif self._handle is None:
            self._wake()
        if self._reading is not None:
            self._reading.more(self.backlog.load)

    def _resize(self) -> None:
        most = self._setting.most()
        if most != self.backlog.capacity:
            self.backlog.resize(most)
            if self._reading is not None:
                self._reading.resize(most)

    def _decide(self, element: Any) -> None:
        """Without a policy it is the first element that decides: bars have an identity, and nothing else has."""
        if not self.backlog.received and (isinstance(element, Bar) or (is_frame(element) and element.kind is Bar)):
            self.backlog = self._setting.backlog("newest")
        self._undecided = False

    def _stop(self, error: Exception) -> None:
        """End it ourselves, behind what waits."""
        self._end(error)
        if self._upstream is not None:
            self._upstream.dispose()

    def _end(self, error: Exception | None = None) -> None:
        self._flush()
        if not self._ended and not self._over:
            self._ended, self._error = True, error
            if self._handle is None:
                self._wake()

    def _wake(self) -> None:
        if self._loop.is_closed():
            self._close()
        elif not self._draining:
            self._handle = self._loop.call_soon(self._drain)

    # --- out

    def _drain(self) -> None:
        self._handle = None
        self._draining = True
        try:
            self._hand_on()
        except (Exception, asyncio.CancelledError) as error:
            if not self._over:
                self._close()
            # There is nobody above a turn of the loop to raise to.
            text = f"rxfeed {self._setting.name}: a subscriber raised, which ends its subscription"
            self._loop.call_exception_handler({"message": text, "exception": error})
        finally:
            self._draining = False
            if not self._over and self._handle is None and (self.backlog or self._ended):
                self._wake()

    def _hand_on(self) -> None:
        backlog, time, reading = self.backlog, self._loop.time, self._reading
        begin = time()
        until, left, fresh = begin + LONGEST, MOST, self._fresh
        self._flush()
        while backlog:
            block = backlog.take(min(self._piece, left), self._rows)
            if reading is not None:
                reading.less(backlog.load)
            if backlog.lost or backlog.notices or self._said:
                self._told(block)
            if self._over:
                backlog.unsent(block)
                return
            self._give(block)
            if self._over:
                return
            now = time()
            self._adapt(block, now - begin)
            left -= len(block) // 64 + 1 if isinstance(block, Frame) else len(block)
            if left <= 0 or now >= until:
                return
            begin = now
            if fresh:
                self._flush()
        if self._ended:
            self._finish()
        elif backlog.notices or self._said:
            self._told([])

    def _give(self, block: Block) -> None:
        if isinstance(block, Frame):
            self._observer.on_next(block)
            return
        if self._hand_run is not None and block.__class__ is list:
            self._hand_run(block)
            return
        emit, done = self._observer.on_next, 0
        try:
            for element in block:
                done += 1
                emit(element)
                if self._over:
                    break
        finally:
            if done < len(block):
                self.backlog.unsent(block[done:])

    def _adapt(self, block: Block, spent: float) -> None:
        """Hand on less together to who is slow, so that a turn of the loop stays short, and more to who is quick."""
        count = len(block)
        if isinstance(block, Frame):
            if spent > _LONG:
                self._rows = max(_FEWEST_ROWS, int(count * _GOOD / spent))
            elif count == self._rows and spent < _QUICK:
                self._rows = min(2 * self._rows, _MOST_ROWS)
        elif spent > _LONG:
            self._piece = max(1, int(count * _GOOD / spent))
        elif count == self._piece and spent < _QUICK:
            self._piece = min(2 * self._piece, _MOST_SINGLE if self._hand_run is None else _MOST_RUN)

    def _finish(self) -> None:
        if self.backlog.lost or self.backlog.notices or self._said:
            self._told([])
            if self._over:
                return
        error = self._error
        self._close()
        if error is None:
            self._observer.on_completed()
        else:
            self._observer.on_error(error)

    def _close(self) -> None:
        self._over = self._ended = True
        with suppress(Exception):  # it is dropped at once
            self.backlog.run(self._fresh[:])
        self._fresh.clear()
        self.backlog.clear()
        if self._reading is not None:
            self._reading.close()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._upstream is not None:
            self._upstream.dispose()

    # --- told

    def _told(self, block: Block) -> None:
        """Tell what was lost, before what comes after it, and what the backlog is like."""
        backlog, setting = self.backlog, self._setting
        gaps = backlog.take_gaps()
        if gaps and setting.gaps is not None:
            try:
                for gap in gaps:
                    setting.gaps(gap)
            except Exception as error:
                self._fail(error)
                return
        notices, backlog.notices = backlog.notices, []
        said, self._said = self._said, []
        if self._alert is None:
            return
        now = self._now(block)
        events = [event(now) for event in said]
        for notice in notices:
            match notice:
                case "pressed":
                    events.append(Pressed(time=now, stage=setting.name, pending=backlog.load, capacity=backlog.capacity))
                case "overflowed":
                    text = _DOES[backlog.policy]
                    events.append(Overflowed(time=now, stage=setting.name, policy=backlog.policy, text=text))
                case "relieved":
                    conflated, dropped = backlog.since
                    events.append(Relieved(time=now, stage=setting.name, conflated=conflated, dropped=dropped))
        for event in events:
            self._say(event)

    def _fail(self, error: Exception) -> None:
        self._close()
        self._observer.on_error(error)

    def _say(self, event: Event) -> None:
        alert = self._alert
        if alert is None:
            return
        try:
            alert(event)
        except Exception as error:
            self._alert = None  # it is told of once, and costs no tick
            tell(None, f"{stage_of(alert)}, which takes alerts", "on_next", error, event)

    def _now(self, block: Block) -> int:
        if self._clock is not None:
            return self._clock.now
        if isinstance(block, list) and block:
            time = getattr(block[-1], "time", None)
            self._time = time if isinstance(time, int) else self._time
        return self._time

    def _unread(self) -> None:
        """Nothing was read for as long as is allowed."""
        what = self._setting.overflow
        assert isinstance(what, Blocking)
        longest, then = what.longest / SECOND, _DOES[self.backlog.policy]
        text = f"nothing was read for {longest:g} s, and now it is again; when it is full, {then}"
        stage = self._setting.name
        self._said.append(lambda now: Overflowed(time=now, stage=stage, policy="block", text=text))
        if self._handle is None:
            self._wake()
