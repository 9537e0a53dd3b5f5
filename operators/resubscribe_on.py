"""A token ends, and with it the connection that it opened. Whoever opens the next one in time, and lets go of the old one only
when it is known which trades both have said, loses none and has none twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.events import Event
from rxfeed.frame import Frame
from rxfeed.model import Tick
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.times import Duration, nanoseconds

from ._call import Called, call
from ._rotation import Rotation
from ._sink import sink

T = TypeVar("T", Tick, Frame[Tick])


class ResubscribeOn(Called):
    """What `resubscribe_on` returns: an operator."""

    def __init__(self, subscribe: Callable[..., abc.DisposableBase], call: str) -> None:
        super().__init__(call)
        self._subscribe = subscribe

    def __call__(self, source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            return self._subscribe(source, observer, scheduler)

        return Observable(subscribe)


def resubscribe_on(
    tokens: Observable[Any],
    *,
    timeout: Duration = "30s",
    scheduler: Timed = None,
    events: abc.ObserverBase[Event] | Callable[[Event], None] | None = None,
) -> ResubscribeOn:
    """Subscribe to the source anew whenever `tokens` emits, and splice the two connections: every trade once, in order.

        --1--2--3--4--5--|
        resubscribe_on(never())
        --1--2--3--4--5--|

    The old connection is followed until it is certain, for every symbol, which of its trades the new one began with
    (`rxfeed.kernels.splice`); then the new one is, and the old one is disposed of. It is certain where both have said the same
    trades for longer than event time steps back. Where trade is too slow for that, the timeout has six looks: what one
    connection had said at a look, the other has said by the next. So it is assumed that a connection which has said
    anything is subscribed to everything, and that neither is behind the other by a sixth of the timeout.

    If the new connection fails, says nothing at all, or says by the end of the timeout what the old one does not, the old one
    is kept, and the next token is another occasion. If the old one ends first, what is held of the new one comes out, and a
    gap tells what may be missing. What is asked for during a change is done after it, once.

    Args:
        tokens: any element asks for a new connection; one that is replayed on subscription does so too.
        timeout: how long both connections may be open.
        scheduler: the clock, or its scheduler; the subscriber's by default, if it is one of ours.
        events: an observer or a callable that hears `Rotated`, `RotationFailed` and `Gapped`, before the trades that follow.
            It is never completed.

    Returns:
        An operator from ticks, or frames of ticks, to the same. The source is cold: each subscription is a connection of its
        own, which uses the newest token. `seq` stays as each connection counts it.

    Raises:
        TypeError, ValueError: `tokens` is no observable; a timeout of 0; no clock (when it is subscribed); or, as the
            stream's error, another element.

    Ends: with the connection that is followed, when there is no other; with an error of `tokens`, but not with their end.
    Drops: what both connections say, once. At most 100,000 trades are held; over it the old connection is kept.
    Clock: the scheduler's; one timer during a change.
    """
    text = call(resubscribe_on, locals())
    if not isinstance(tokens, Observable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"tokens must be an Observable, got {type(tokens).__name__}")
    ns = nanoseconds(timeout, name="timeout")
    if ns == 0:
        raise ValueError(f"timeout must be more than 0, got {timeout!r}")
    given, tell = clock_of(scheduler), sink(events, "events")

    def subscribe(
        source: Observable[Any], observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None
    ) -> abc.DisposableBase:
        clock = given or own_clock(scheduler)
        if clock is None:
            raise ValueError("resubscribe_on needs a clock: give it or subscribe() a scheduler")
        rotation = Rotation(source, observer, scheduler, clock, ns, tell or _unheard)
        try:
            rotation.open(tokens)
        except BaseException:
            rotation.turns.end()
            raise
        return Disposable(rotation.turns.end)

    return ResubscribeOn(subscribe, text)


def _unheard(_: Event) -> None:
    pass
