"""reactivex is synchronous: whoever is slow holds up the source, and the socket behind it. An async boundary lets the source go
on and keeps what waits, bounded; and what becomes of more than that is decided beforehand, counted and told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

from reactivex import Observable, abc

from rxfeed.events import Event
from rxfeed.frame import Frame
from rxfeed.kernels.pressure.backlog import PressureStats, check
from rxfeed.limits import CapacityLike
from rxfeed.model import Bar, Gap, Tick
from rxfeed.overflow import Block, Blocking, BlockThenConflate, Conflate, Overflowing, Sample, Simple, checked
from rxfeed.runs import RunObservable
from rxfeed.scheduler import Timed, clock_of, own_clock

from ._boundary import Boundary, Setting
from ._call import Called, call
from ._degraded import Degraded, degraded, mark
from ._names import checked as checked_name
from ._sink import sink

T = TypeVar("T")

_KEEPS: Final = (None, "error", "newest")
"""Policies that lose no element which is not replaced by a newer one."""


class Pressure(Called):
    """An operator, and the counts of its newest subscription."""

    def __init__(self, setting: Setting, call: str) -> None:
        super().__init__(call)
        self._setting = setting
        self._newest: Boundary | None = None

    @property
    def stats(self) -> PressureStats:
        """Ticks by what became of them: received = emitted + conflated + dropped + pending."""
        return PressureStats(0, 0, 0, 0, 0, 0) if self._newest is None else self._newest.stats

    def _bounded(self, source: Observable[Any]) -> Observable[Any]:
        setting = self._setting
        overflow, before = setting.overflow, degraded(source)
        then = overflow.then if isinstance(overflow, Blocking) else overflow
        conflates = then if isinstance(then, Conflate) else before and before.conflates
        loses = then not in _KEEPS or (before is not None and before.loses)

        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            boundary = self._newest = Boundary(setting, observer, setting.clock or own_clock(scheduler))
            return boundary.open(source, scheduler)

        return mark(RunObservable(subscribe), Degraded(repr(self), conflates, loses))


class Backpressure(Pressure):
    """What `backpressure` returns."""

    def __call__(self, source: Observable[T]) -> Observable[T]:
        return self._bounded(source)


class Conflating(Pressure):
    """What `backpressure` returns for `conflate`."""

    def __call__(self, source: Observable[Tick] | Observable[Frame[Tick]] | Observable[Tick | Bar]) -> Observable[Tick | Bar]:
        return self._bounded(source)


Alert = abc.ObserverBase[Event] | Callable[[Event], None] | None
Gaps = abc.ObserverBase[Gap] | Callable[[Gap], None] | None


@overload
def backpressure(
    capacity: CapacityLike,
    overflow: Conflate | BlockThenConflate,
    *,
    name: str = ...,
    alert: Alert = ...,
    gaps: Gaps = ...,
    scheduler: Timed = ...,
) -> Conflating: ...
@overload
def backpressure(
    *,
    overflow: Conflate | BlockThenConflate,
    name: str = ...,
    alert: Alert = ...,
    gaps: Gaps = ...,
    scheduler: Timed = ...,
) -> Conflating: ...
@overload
def backpressure(
    capacity: CapacityLike = ...,
    overflow: Simple | Sample | Block | None = ...,
    *,
    name: str = ...,
    alert: Alert = ...,
    gaps: Gaps = ...,
    scheduler: Timed = ...,
) -> Backpressure: ...
def backpressure(
    capacity: CapacityLike = 65_536,
    overflow: Overflowing | None = None,
    *,
    name: str = "backpressure",
    alert: Alert = None,
    gaps: Gaps = None,
    scheduler: Timed = None,
) -> Backpressure | Conflating:
    """Let the source go on while the consumer is busy: what comes waits, and is handed on in the loop's next turns.

        --a--b--c--|
        backpressure()
        --a--b--c--|

    What comes is only put in; at most 2 ms of each turn of the loop are spent on handing on, so that the socket is emptied
    first and timers are kept. Where more than `capacity` waits, `overflow` says what is done; ticks are kept in order of each
    symbol in any case. `rxfeed.overflow` has the policies that are more than a word; docs/overload.md compares them all.

    Args:
        capacity: ticks that may wait, 1 or more; of a frame each row, and it is cut where need be. Anything else is one. With
            `conflate` a partial bar that waits is one. Or a `Capacity` of `rxfeed.limits`, which follows memory: when there
            may be fewer than wait, the policy acts when the next one comes.
        overflow: "newest" (bars: of each only the newest snapshot stays, then the oldest go), "error" (behind what waits),
            "drop_oldest", "drop_latest", "latest" (never more than the newest waits), `conflate(windows)` (ticks that wait
            become partial bars, of which `bars(windows)` makes exact ones), `sample(windows)` (the newest 30 % whole, the
            older thinned out) or `block(valve)` (the source stops reading). By default "newest" for bars, "error" for others.
        name: what events call it.
        alert: an observer or a callable that hears `Pressed` at 95 % of the capacity, `Overflowed` when the policy begins to
            act, each once until `Relieved`, which is at 70 %. If it raises, that is told of, and it hears no more.
        gaps: an observer or a callable that hears a `Gap` for each symbol that lost ticks, before the ticks behind them are
            handed on. Give it to `bars(gaps=...)` too, so that no bar pretends to be whole. Never completed.
        scheduler: the clock of the events' time, or its scheduler; the subscriber's by default, if it is one of ours. Without
            one an event is as late as the newest tick that had been handed on.

    Returns:
        An operator from anything to the same, with `conflate` from ticks to ticks and partial bars; its `stats` count ticks.

    Raises:
        ValueError: a capacity below 1, or a policy that is none.
        RuntimeError: no asyncio loop runs (when it is subscribed).
        Overflow: as the stream's error, behind what waits.
        PartialRefused: what is put behind a conflating boundary cannot take partial bars (when the pipeline is made).

    Ends: with the source, behind what waits, in a later turn of the loop. A subscriber that raises ends its subscription; the
        loop's exception handler hears of it.
    Drops: what the policy says, and what waits when it is disposed of; `stats` counts all, `gaps` hears of ticks.
    Clock: none but for the time of events; the asyncio loop's own time, to give way to others after 2 ms.
    """
    text = call(backpressure, locals())
    check(capacity() if callable(capacity) else capacity)
    policy = None if overflow is None else checked(overflow)
    setting = Setting(
        checked_name(name), capacity, policy, sink(alert, "alert"), sink(gaps, "gaps"), clock_of(scheduler)
    )  # fmt: skip
    kind = Conflating if isinstance(policy, (Conflate, BlockThenConflate)) else Backpressure
    return kind(setting, text)
