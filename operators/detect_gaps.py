"""What did not come says nothing. A number that was left out, or an open market that is silent, tells that something may be
missing: that is an event with bounds, which history can repair, and no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc

from rxfeed import sessions
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.gaps import GapsKernel, GapStats
from rxfeed.model import Bar, Depth, Gap, Quote, Tick
from rxfeed.sessions import Session
from rxfeed.times import Duration, nanoseconds

from ._sink import Sink, sink
from ._turns import Turns

E = TypeVar("E", bound=Tick | Quote | Depth | Frame[Tick] | Frame[Quote] | Frame[Depth])


class DetectGaps:
    """What `detect_gaps` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, make: Callable[[], GapsKernel], gaps: Sink[Gap] | None) -> None:
        self._make = make
        self._gaps = gaps
        self._newest = make()

    @property
    def stats(self) -> GapStats:
        """Elements, gaps by cause, and what is missing: received = emitted."""
        return self._newest.stats

    def __call__(self, source: Observable[E]) -> Observable[E]:
        def subscribe(observer: abc.ObserverBase[E], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._make()
            return _subscribe(source, observer, scheduler, kernel, self._gaps)

        return Observable(subscribe)


def _subscribe(
    source: Observable[E],
    observer: abc.ObserverBase[E],
    scheduler: abc.SchedulerBase | None,
    kernel: GapsKernel,
    heard: Sink[Gap] | None,
) -> abc.DisposableBase:
    emit, quick = observer.on_next, kernel.quick
    turns = Turns(observer)

    def judge(element: Any) -> list[Any]:
        if isinstance(element, (Tick, Quote, Depth)):
            gaps = kernel.element(element.symbol, element.time, element.seq)
        elif is_frame(element) and element.kind is not Bar:
            gaps = kernel.frame(element)
        else:
            raise TypeError(f"detect_gaps takes Tick, Quote, Depth or frames of them, got {name_of(element)}")
        if heard is not None:
            for gap in gaps:
                heard(gap)
        return [element]

    def on_next(element: E) -> None:
        if not turns.busy:
            kind = type(element)
            try:
                ordinary = (kind is Tick or kind is Quote or kind is Depth) and quick(element)
            except Exception as error:
                turns.fail(error)
                return
            if ordinary:
                turns.busy = True
                try:
                    emit(element)
                except BaseException:
                    turns.rest()
                    raise
                turns.busy = False
                if turns.waiting:
                    turns.go()
                return
        turns.take(lambda: judge(element))

    return source.subscribe(on_next, turns.fail, turns.complete, scheduler=scheduler)


def detect_gaps(
    *,
    sequence: bool = False,
    silence: Duration | None = None,
    session: str | Session | None = None,
    instruments: Instruments = None,
    gaps: abc.ObserverBase[Gap] | Callable[[Gap], None] | None = None,
) -> DetectGaps:
    """Report what may be missing, and pass every element as it is.

        --1--2--5--4--6--|
        detect_gaps(sequence=True)
        --1--2--5--4--6--|        gaps hears of 3 to 4 at 5

    By `sequence`: a `seq` that is more than one above its symbol's greatest leaves a gap, from the time of that element to
    the time of this one (cause "sequence: 2 missing, 3 to 4"). A lower one that fills a gap counts as `late`, any other as
    nothing, as it was seen before. One that falls back by more than 1,024 while time goes on begins a new numbering, and what
    lies between is no gap. Of each symbol the newest 64 gaps are remembered.

    By `silence`: a gap is when the next element of a symbol is later than that after its newest, counted only while the market
    is open (cause "silence: more than 30 s of open market"): a night, a weekend or a holiday is none. Elements that come late
    do not matter; but two in a row that are more than 10 minutes behind do: time was wild before, or begins again, and it
    goes on from there. Unknown times are left out. On frames the same as row by row.

    Args:
        sequence: whether the source counts each symbol's elements in `seq`: 1, 2, 3. Not for numbers that rxfeed's readers
            give out, which count the rows of all symbols.
        silence: how long an open market may be silent.
        session: when it is open: a `Session` or its name; "24x7" by default. For `silence` only.
        instruments: those with a session of their own use it.
        gaps: an observer or a callable that hears each `Gap` before the element that revealed it is emitted; those of a
            frame in the order of its rows, before the frame. It is never completed.

    Returns:
        An operator from rows or frames of ticks, quotes or depth to the same; its `stats` count gaps and what is missing.

    Raises:
        ValueError: neither `sequence` nor `silence`, a silence of 0, a session that is unknown or without `silence`.
        TypeError: as the stream's error, another element; among them partial bars, in which single elements cannot be told.

    Ends: with the source. A silence that nothing ends is not reported.
    Drops: nothing.
    Clock: none; event time.
    """
    if not sequence and silence is None:
        raise ValueError('detect_gaps needs sequence=True, a silence such as "30s", or both')
    if session is not None and silence is None:
        raise ValueError(f"session is for silence, which was not given, got {session!r}")
    ns = None if silence is None else nanoseconds(silence, name="silence")
    if ns == 0:
        raise ValueError(f"silence must be more than 0, got {silence!r}")
    hours, named = sessions.get(session or "24x7"), by_symbol(instruments)
    return DetectGaps(
        lambda: GapsKernel(sequence=sequence, silence=ns, session=hours, instruments=named), sink(gaps, "gaps")
    )  # fmt: skip
