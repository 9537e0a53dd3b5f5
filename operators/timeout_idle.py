"""A feed that is connected and silent is the fault that costs most, because nothing looks wrong. This makes silence an
error; but a market that is closed is silent by right, so it must know when that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeVar

from reactivex import Observable, abc

from rxfeed import sessions
from rxfeed.clock import Clock
from rxfeed.errors import Stale
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.idle import IdleKernel
from rxfeed.runs import RunObservable
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.sessions import Session
from rxfeed.times import NANOSECONDS, Duration, nanoseconds
from rxfeed.valve import Valve

from ._call import Called, call
from ._idle_shell import watch
from ._sink import Sink, sink

T = TypeVar("T")
Make = Callable[[int], IdleKernel]

_LONGEST: Final = 366 * NANOSECONDS["d"]


class TimeoutIdle(Called):
    """What `timeout_idle` returns."""

    def __init__(
        self, make: Make, tell: Sink[Stale] | None, clock: Clock | None, call: str, *, per_symbol: bool, valve: Valve | None
    ) -> None:
        super().__init__(call)
        self._make, self._tell, self._clock, self._per_symbol, self._valve = make, tell, clock, per_symbol, valve

    def __call__(self, source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            clock = self._clock or own_clock(scheduler)
            if clock is None:
                raise ValueError("timeout_idle needs a clock: give it or subscribe() a scheduler")
            kernel = self._make(clock.now)
            return watch(source, observer, scheduler, kernel, clock, self._tell, per_symbol=self._per_symbol, valve=self._valve)

        return RunObservable(subscribe)


def timeout_idle(
    *,
    first: Duration | None = None,
    between: Duration | None = None,
    session: str | Session | None = None,
    per: Literal["symbol"] | None = None,
    instruments: Instruments = None,
    on_idle: abc.ObserverBase[Stale] | Callable[[Stale], None] | None = None,
    valve: Valve | None = None,
    scheduler: Timed = None,
) -> TimeoutIdle:
    """Fail with `Stale` when nothing comes for too long although the market is open.

        --1--2-----------|
        timeout_idle(between=6)
        --1--2-----#

    Time counts only while the session is open. It begins anew at each open, after a night as after a break, so what is left
    of it at a close is not used up the next morning; and a silence that would be too long just at the close, or later, is
    none. An allowed time that is longer than the market is ever open is never over. Sessions by name know no holidays: hand
    in one that does, from `rxfeed.calendars`.

    It belongs directly behind the source of a market: behind `bars` an empty window that is filled would pass for life, and
    a user hub (orders, positions, fills) is silent by right whenever nobody trades.

    Args:
        first: how long the first element may take after subscribing; for ever by default.
        between: how long each later one may; for ever by default. One of the two is needed.
        session: when the market is open: a `Session` or its name; "24x7" by default.
        per: `"symbol"` watches each symbol by itself from its first element on; `first` remains the whole stream's. The first
            4,096 are told apart, those after them are watched as if they were one, called "other".
        instruments: with `per`: those with a session of their own use it.
        on_idle: an observer or a callable that hears the `Stale` instead of the stream, which goes on; again each time that
            as much time has passed, as long as it lasts. What it raises is the stream's error.
        valve: the one that stops the source's reading (`overflow.block`): while it is shut nothing can come, so time counts
            only while it is open.
        scheduler: the clock, or its scheduler; the subscriber's by default, if it is one of ours.

    Returns:
        An operator from anything to the same. A frame without rows is no sign of life.

    Raises:
        ValueError: neither `first` nor `between`, one of 0 or above 366 days, an unknown session or `per`, `per` without
            `between`, `instruments` without `per`, no clock (when it is subscribed).
        TypeError: no valve; or as the stream's error, with `per`, an element that has no symbol.
        Stale: as the stream's error; it has `since`, `allowed` and `symbol`. Trying again may help: it is not `permanent`.

    Ends: with the source, or with `Stale`, or with what `on_idle` raises; the source is let go of before that is told.
    Drops: nothing.
    Clock: the scheduler's, read once an element. One timer in all, which is moved when it fires and not when elements come.
    """
    text = call(timeout_idle, locals())
    if first is None and between is None:
        raise ValueError('timeout_idle needs first or between, such as between="30s"')
    if per not in (None, "symbol"):
        raise ValueError(f'per must be "symbol" or None, got {per!r}')
    if per is None and instruments is not None:
        raise ValueError('instruments are for per="symbol", which was not given')
    if per is not None and between is None:
        raise ValueError('per="symbol" needs between, such as between="30s"')
    if valve is not None and not isinstance(valve, Valve):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"valve must be a Valve of rxfeed.overflow, the one that the source has too, got {type(valve).__name__}"
        )
    longest, next_longest = _allowed(first, "first"), _allowed(between, "between")
    hours = sessions.get(session or "24x7")
    own = {s: sessions.get(i.session) for s, i in by_symbol(instruments).items() if i.session is not None}
    return TimeoutIdle(
        lambda now: IdleKernel(longest, next_longest, hours, own, now),
        sink(on_idle, "on_idle"), clock_of(scheduler), text, per_symbol=per is not None, valve=valve,
    )  # fmt: skip


def _allowed(value: Duration | None, name: str) -> int | None:
    if value is None:
        return None
    ns = nanoseconds(value, name=name)
    if not 0 < ns <= _LONGEST:
        raise ValueError(f"{name} must be more than 0 and at most 366d, got {value!r}")
    return ns
