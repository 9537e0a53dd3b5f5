"""A feed sends the changes of an order book, one level at a time. A book that missed one, or mixes two connections, looks as
good as a right one; so none is shown that is not known to be whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.book import Book
from rxfeed.clock import Clock, Timer
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.kernels.book.kernel import BookKernel, BookStats
from rxfeed.model import Depth, Reject
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.times import FOREVER, Duration, nanoseconds

from ._call import Called, call
from ._degraded import refuse_losses, refuse_partials
from ._sink import Sink, sink
from ._turns import Turns

_PIECE = 4_096
"""Rows of a frame whose Books are made at a time: each of them may make one, and a Book is large."""


class OrderBook(Called):
    """What `order_book` returns: an operator, and the counts of its newest subscription."""

    def __init__(
        self, make: Callable[[Clock | None], BookKernel], clock: Clock | None, faults: Sink[Reject] | None, call: str
    ) -> None:
        super().__init__(call)
        self._make, self._clock, self._faults = make, clock, faults
        self._newest = make(None)

    @property
    def stats(self) -> BookStats:
        """Elements by what became of them: received = applied + rejected + unready + stale."""
        return self._newest.stats

    def __call__(self, source: Observable[Depth] | Observable[Frame[Depth]]) -> Observable[Book]:
        def subscribe(observer: abc.ObserverBase[Book], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            clock = self._clock or own_clock(scheduler)
            kernel = self._newest = self._make(clock)
            return _subscribe(source, observer, scheduler, clock, kernel, self._faults)

        why = "it must miss no change of a book; put it in front of the boundary"
        refuse_partials(source, "order_book", why)
        refuse_losses(source, "order_book", why)
        return Observable(subscribe)


def _subscribe(
    source: Observable[Any],
    observer: abc.ObserverBase[Book],
    scheduler: abc.SchedulerBase | None,
    clock: Clock | None,
    kernel: BookKernel,
    faults: Sink[Reject] | None,
) -> abc.DisposableBase:
    kernel.heard = faults is not None
    emit, found = observer.on_next, kernel.faults
    timer: Timer | None = None
    timer_at = FOREVER

    def stop() -> None:
        nonlocal timer, timer_at
        if timer is not None:
            timer.cancel()
        timer, timer_at = None, FOREVER

    turns = Turns(observer, stop)

    def arm() -> None:
        nonlocal timer, timer_at
        stop()
        if clock is not None:
            timer_at = kernel.due
            timer = clock.call_at(timer_at, wake)

    def wake() -> None:
        stop()
        turns.take(lambda: told(kernel.elapse()))

    def told(books: Sequence[Book]) -> Sequence[Book]:
        """Report what was found, before the Books; see to the timer."""
        if kernel.due < timer_at:
            arm()
        for fault in kernel.take_faults():
            if faults is not None:
                faults(fault)
        return books

    def take(element: Any) -> Sequence[Book]:
        if is_frame(element) and element.kind is Depth:
            return told(kernel.frame(element))
        if isinstance(element, Depth):
            return told(kernel.element(element))
        raise TypeError(f"order_book takes Depth or Frame[Depth], got {name_of(element)}")

    def on_next(element: Any) -> None:
        if type(element) is Depth and not turns.busy:
            try:
                books = kernel.element(element)
            except Exception as error:
                turns.fail(error)
                return
            if found or kernel.due < timer_at:
                turns.take(lambda: told(books))
            elif len(books) > 1:
                turns.emit(books)
            elif books:
                turns.busy = True
                try:
                    emit(books[0])
                except BaseException:
                    turns.rest()
                    raise
                turns.busy = False
                if turns.waiting:
                    turns.go()
        elif is_frame(element) and len(element) > _PIECE:
            pieces = range(0, len(element), _PIECE)
            turns.take(*[lambda at=at: take(element.slice(at, _PIECE)) for at in pieces])
        else:
            turns.take(lambda: take(element))

    def on_error(error: Exception) -> None:
        turns.fail(error, kernel.flush)

    def on_completed() -> None:
        turns.complete(lambda: told(kernel.finish()))

    return CompositeDisposable(source.subscribe(on_next, on_error, on_completed, scheduler=scheduler), Disposable(turns.end))


def order_book(
    depth: int = 10,
    *,
    every: Duration | None = None,
    levels: int = 10_000,
    faults: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = None,
    scheduler: Timed = None,
) -> OrderBook:
    """Build each symbol's order book from its resets and levels, and emit it as a `Book` when its best levels change.

        --b99--(R,b99,a102)--b98--b100--(b103,a104,a102x0)--|     bids, asks, Reset; in brackets: one message
        order_book(depth=1)
        ---------------------A----B-----C-------------------|

    There is no book before the first RESET: deltas alone would look like one, with levels missing. After a RESET nothing
    is shown until the group of the first levels is over, so that no snapshot comes out half built. A group is what has one
    `received`, as all levels of a message must have, or one `time` where that is not known. It is over when the symbol's
    next element comes, on completion, and, with a clock, 100 ms after its first one.

    A book belongs to one connection: with a newer `epoch` it is empty and waits for that epoch's RESET. A book that is
    crossed (bid above ask) at the end of a group has missed something: it is reported and thrown away, until the next
    RESET. Within a group a crossed book is held. A locked one (bid equal to ask) is shown: where books of several venues
    are put together, that is real.

    Args:
        depth: how many levels a side a Book has at most; 1 or more. A change below them makes no Book.
        every: at most one Book a symbol in each period, the last state: periods of the clock when there is one, else of
            event time, when the first element of a later period comes. None: one for each element that changes it.
        levels: how many levels are kept on a side, `depth` or more; over it the worst are let go (`stats` counts them as
            `cut`), and are missing if as many others go.
        faults: an observer or a callable that hears a `Reject` of each element that can be no change (rules kind, empty,
            finite, size, side) and of the one that crossed a book (rule crossed). It is never completed.
        scheduler: the clock, or its scheduler; the subscriber's by default, if it is one of ours.

    Returns:
        An operator from depth, or frames of it, to Books; its `stats` count the elements.

    Raises:
        ValueError: `depth`, `every` or `levels` out of range.

    Ends: on completion groups and periods are over, and what they held goes out. Before an error what waits for the end of
        its period goes out too, but nothing of a group that may have been cut short.
    Drops: elements that are not valid, are of an older epoch, or come while there is no book; `stats` counts each.
    Clock: the scheduler's for `every` and for groups, one timer at a time; without one, event time.
    """
    text = call(order_book, locals())
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    if levels < depth:
        raise ValueError(f"levels must be at least depth, which is {depth}, got {levels}")
    period = None if every is None else nanoseconds(every, name="every")
    if period == 0:
        raise ValueError(f"every must be more than 0, got {every!r}")
    return OrderBook(
        lambda clock: BookKernel(depth, levels, every=period, clock=clock), clock_of(scheduler), sink(faults, "faults"), text
    )
