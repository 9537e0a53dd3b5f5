"""A feed that is down is tried again, and again by each of its streams. A breaker that they share makes them stop together,
gives them something else meanwhile, and lets one try before all come back.
"""

from __future__ import annotations

from typing import Any, TypeVar

from reactivex import Observable, abc

from rxfeed.breaker import Breaker
from rxfeed.runs import RunObservable

from ._call import Called, call
from ._circuit import CircuitSubscription

T = TypeVar("T")


class Broken(Called):
    """What `circuit_breaker` returns: an operator that asks its breaker before it subscribes."""

    def __init__(self, breaker: Breaker, fallback: Observable[Any] | None, call: str) -> None:
        super().__init__(call)
        self.breaker, self._fallback = breaker, fallback

    def __call__(self, source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            return CircuitSubscription(self.breaker, source, self._fallback, observer, scheduler).open()

        return RunObservable(subscribe)


def circuit_breaker(breaker: Breaker, *, fallback: Observable[Any] | None = None) -> Broken:
    """Subscribe only if a breaker lets it, and tell the breaker how that went.

        --1--2--#
        circuit_breaker(Breaker("feed"))
        --1--2--#

    An attempt has succeeded with its first element, with completion, or after the breaker's `healthy_after`; from then on
    elements pass as they are, and an error does not count. One that fails before is counted. Put `retry` behind it, which waits
    for as long as `CircuitOpen` says.

    Args:
        breaker: a `Breaker`; streams that share one stop and begin together.
        fallback: subscribed to when the breaker lets nobody through, instead of an error; left as soon as an attempt has
            succeeded, and tried beside it when the breaker lets one through. If it completes, there is silence until then.

    Returns:
        An operator from anything to the same.

    Raises:
        TypeError: no breaker, or a fallback that is not observable.

    Ends: with the source's completion; with its error, and with `CircuitOpen` where it may not try, unless there is a fallback
    for that; with the fallback's error. Half open, an attempt that shows nothing for `half_open_wait` is ended.
    Drops: nothing of its own; an attempt that fails beside the fallback is told to the breaker alone.
    Clock: the breaker's; timers only while an attempt has not succeeded.
    """
    text = call(circuit_breaker, locals())
    if not isinstance(breaker, Breaker):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"breaker must be a Breaker, got {type(breaker).__name__}")
    if fallback is not None and not isinstance(fallback, Observable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"fallback must be an observable, got {type(fallback).__name__}")
    return Broken(breaker, fallback, text)
