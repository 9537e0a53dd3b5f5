"""The end of a pipeline subscribes to what is before it, and must be able to let go of it at any time from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable
from reactivex.scheduler import CurrentThreadScheduler

from rxfeed.scheduler import Timed, clock_of

T = TypeVar("T")


def scheduler_of(timed: Timed) -> abc.SchedulerBase | None:
    """Return what a subscription is handed: a scheduler as it is, and a clock's own.

    Raises:
        TypeError: it is neither.
    """
    if timed is None or isinstance(timed, abc.SchedulerBase):
        return timed
    clock = clock_of(timed)
    return None if clock is None else clock.scheduler


class Upstream:
    """One subscription, which can be ended while it is still being made, from inside its own first element."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = SingleAssignmentDisposable()

    def open(
        self,
        source: Observable[T],
        on_next: Callable[[T], None],
        on_error: Callable[[Exception], None],
        on_completed: Callable[[], None],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        """Subscribe. What the source raises by itself goes to `on_error`."""

        def run(*_: object) -> None:
            self._held.disposable = source.subscribe(on_next, on_error, on_completed, scheduler=scheduler)

        # In the trampoline a source that emits at once, as a replay does, waits until `subscribe` has returned.
        trampoline = CurrentThreadScheduler.singleton()
        if trampoline.schedule_required():
            trampoline.schedule(run)
        else:
            run()

    def close(self) -> None:
        """End it; again is nothing."""
        self._held.dispose()
