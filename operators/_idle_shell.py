"""One subscription of `timeout_idle`: the kernel between a source, a clock and an observer, with one timer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable, SingleAssignmentDisposable

from rxfeed.clock import Clock, Timer
from rxfeed.errors import Stale
from rxfeed.frame import is_frame, name_of
from rxfeed.kernels.idle import IdleKernel, Watch
from rxfeed.model import Tick
from rxfeed.runs import Run, RunObserver
from rxfeed.valve import Valve

from ._sink import Sink
from ._turns import Turns


def watch(
    source: Observable[Any],
    observer: abc.ObserverBase[Any],
    scheduler: abc.SchedulerBase | None,
    kernel: IdleKernel,
    clock: Clock,
    tell: Sink[Stale] | None,
    *,
    per_symbol: bool,
    valve: Valve | None,
) -> abc.DisposableBase:
    """Subscribe. Without `tell` the first that is too late is the stream's error. While `valve` is shut no time passes."""
    upstream = SingleAssignmentDisposable()
    timer: Timer | None = None
    armed: int | None = None
    begun = over = False
    shut: int | None = None
    leave: Callable[[], None] | None = None
    whole: Watch | None = None
    emit, get = observer.on_next, kernel.watches.get

    def stop() -> None:
        """Watch no more."""
        nonlocal over, whole, timer
        over, whole = True, None
        kernel.clear()
        if leave is not None:
            leave()
        if timer is not None:
            timer.cancel()
            timer = None

    turns = Turns(observer, stop)

    def arm() -> None:
        """Have the clock wake us when the kernel wants to look. Elements move that only back, so it is done lazily."""
        nonlocal timer, armed
        due = kernel.due if shut is None else None
        if due != armed:
            if timer is not None:
                timer.cancel()
            timer, armed = (None if due is None else clock.call_at(due, wake)), due

    def wake() -> None:
        nonlocal timer, armed
        timer = armed = None
        try:
            for stale in kernel.look(clock.now):
                if tell is None:
                    raise stale
                tell(stale)
                if over:
                    return
        except Exception as error:
            fail(error)
            return
        arm()

    def turned(now_shut: bool) -> None:
        """Count no time while the valve is shut."""
        nonlocal shut
        if now_shut:
            shut = clock.now
        elif shut is not None:
            since, shut = shut, None
            kernel.leave_out(since, clock.now)
        if not over:
            arm()

    def note(element: Any) -> None:
        """Take note of anything that is not a tick of what is watched already."""
        nonlocal whole, begun
        if is_frame(element) and not len(element):
            return
        now = clock.now
        symbols = _symbols(element) if per_symbol else ()
        if not begun:
            begun = True
            whole = kernel.begin(now, per_symbol=per_symbol)
        elif whole is not None:
            whole.last = now
        for symbol in symbols:
            known = get(symbol)
            if known is None:
                kernel.add(symbol, now)
            else:
                known.last = now
        arm()

    def of_stream(element: Any) -> None:
        if whole is not None and type(element) is Tick and not turns.busy:
            whole.last = clock.now
            emit(element)
        else:
            any_other(element)

    def of_symbol(element: Any) -> None:
        if type(element) is Tick and (known := get(element.symbol)) is not None and not turns.busy:
            known.last = clock.now
            emit(element)
        else:
            any_other(element)

    def any_other(element: Any) -> None:
        if noted(element):
            if turns.busy:
                turns.take(lambda: (element,))
            else:
                emit(element)

    def on_run(ticks: Run) -> None:
        if not noted(ticks):
            return
        if turns.busy:
            turns.take(lambda: ticks)
        else:
            turns.emit_run(ticks)

    def noted(element: Any) -> bool:
        if over:
            return False
        try:
            note(element)
        except Exception as error:
            fail(error)
            return False
        return True

    def fail(error: Exception) -> None:
        stop()
        upstream.dispose()
        turns.fail(error)

    def on_error(error: Exception) -> None:
        stop()
        turns.fail(error)

    def on_completed() -> None:
        stop()
        turns.complete()

    try:
        if valve is not None:
            leave = valve.watch(turned, heeds=False)
        arm()
        upstream.disposable = RunObserver(of_symbol if per_symbol else of_stream, on_run, on_error, on_completed).to(
            source, scheduler
        )
    except BaseException:
        turns.end()
        raise
    return CompositeDisposable(upstream, Disposable(turns.end))


def _symbols(element: Any) -> Iterable[str]:
    if isinstance(element, list):  # a run
        return dict.fromkeys([tick.symbol for tick in cast("Run", element)])
    if is_frame(element):
        return element.groups.symbols
    symbol = getattr(element, "symbol", None)
    if not isinstance(symbol, str):
        raise TypeError(f'timeout_idle(per="symbol") takes what has a symbol, or frames of it, got {name_of(element)}')
    return (symbol,)
