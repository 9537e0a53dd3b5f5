"""Feeds send of a quote only what has changed. Whoever wants the spread needs the other side too, and never an older one
laid over a newer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from reactivex import Observable, abc

from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.kernels.quotes import FIELDS, QuotesKernel, QuoteStats
from rxfeed.model import Quote

from ._call import Called, call
from ._degraded import refuse_losses, refuse_partials
from ._turns import Turns

Q = TypeVar("Q", Quote, Frame[Quote])


class LatestQuote(Called):
    """What `latest_quote` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, make: Callable[[], QuotesKernel], call: str) -> None:
        super().__init__(call)
        self._make = make
        self._newest = make()

    @property
    def stats(self) -> QuoteStats:
        """Quotes by what became of them: received = emitted + incomplete + stale."""
        return self._newest.stats

    def __call__(self, source: Observable[Q]) -> Observable[Q]:
        why = "it must miss no change of a quote; put it in front of the boundary"
        refuse_partials(source, "latest_quote", why)
        refuse_losses(source, "latest_quote", why)

        def subscribe(observer: abc.ObserverBase[Q], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._make()
            return _subscribe(source, observer, scheduler, kernel)

        return Observable(subscribe)


def _subscribe(
    source: Observable[Q], observer: abc.ObserverBase[Q], scheduler: abc.SchedulerBase | None, kernel: QuotesKernel
) -> abc.DisposableBase:
    emit, quote = observer.on_next, kernel.quote
    turns = Turns(observer)

    def take(element: Any) -> list[Any]:
        if is_frame(element) and element.kind is Quote:
            whole: Any = kernel.frame(element)
        elif isinstance(element, Quote):
            whole = quote(element)
        else:
            raise TypeError(f"latest_quote takes Quote or Frame[Quote], got {name_of(element)}")
        return [] if whole is None else [whole]

    def on_next(element: Any) -> None:
        if type(element) is not Quote or turns.busy:
            turns.take(lambda: take(element))
            return
        try:
            whole: Any = quote(element)
        except Exception as error:
            turns.fail(error)
            return
        if whole is not None:
            turns.busy = True
            try:
                emit(whole)
            except BaseException:
                turns.rest()
                raise
            turns.busy = False
            if turns.waiting:
                turns.go()

    return source.subscribe(on_next, turns.fail, turns.complete, scheduler=scheduler)


def latest_quote(*, need: Iterable[str] = ("bid", "ask")) -> LatestQuote:
    """Complete each quote with what was last known of its symbol; on frames the same as row by row.

        --1_--_3--2_--_4--__--|       bid and ask; _ is not said
        latest_quote()
        ------13--23--24--24--|

    A quote comes out with its own time, `seq` and `received`. None says nothing, so it deletes nothing. As bid and ask may
    come one after the other, a whole quote can be crossed for a moment: its spread is negative then.

    Args:
        need: which of bid, ask, bid_size, ask_size, last and volume must be known before a symbol's quotes come out.

    Returns:
        An operator from quotes, or frames of them, to the same; its `stats` count them.

    Raises:
        ValueError: `need` names something else.

    Ends: with the source. Nothing is pending: what is incomplete was never a whole quote.
    Drops: quotes until the first whole one (`stats` counts them as `incomplete`; what they say is kept), and quotes whose time
        is before that of their symbol's last one (`stale`). So let `validate` take out times in the future before.
    Clock: none; event time.
    """
    text = call(latest_quote, locals())
    names = (need,) if isinstance(need, str) else tuple(need)
    if wrong := [name for name in names if name not in FIELDS]:
        raise ValueError(f"need must be names out of {', '.join(FIELDS)}, got {wrong[0]!r}")
    return LatestQuote(lambda: QuotesKernel(names), text)
