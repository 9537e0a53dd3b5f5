"""What did not come says nothing. A number that was left out, or an open market that is silent, tells that something may be
missing: that is an event with bounds, which history can repair, and no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reactivex import abc

from rxfeed import sessions
from rxfeed.frame import Frame
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.gaps import GapsKernel, GapStats
from rxfeed.model import Depth, Gap, Quote, Tick
from rxfeed.sessions import Session
from rxfeed.times import Duration, nanoseconds

from ._call import call
from ._gate import Gate, Quick
from ._sink import sink


class DetectGaps(Gate[GapsKernel, Gap]):
    """What `detect_gaps` returns: an operator, and the counts of its newest subscription."""

    name = "detect_gaps"

    @property
    def stats(self) -> GapStats:
        """Elements, gaps by cause, and what is missing: received = emitted."""
        return self._newest.stats

    def _quick(self, kernel: GapsKernel) -> Mapping[type[Any], Quick]:
        return dict.fromkeys((Tick, Quote, Depth), kernel.quick)

    def _row(self, kernel: GapsKernel, row: Any) -> list[Any]:
        self._tell(kernel.element(row.symbol, row.time, row.seq))
        return [row]

    def _frame(self, kernel: GapsKernel, frame: Frame[Any]) -> Frame[Any] | None:
        self._tell(kernel.frame(frame))
        return frame


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
    text = call(detect_gaps, locals())
    if not sequence and silence is None:
        raise ValueError('detect_gaps needs sequence=True, a silence such as "30s", or both')
    if session is not None and silence is None:
        raise ValueError(f"session is for silence, which was not given, got {session!r}")
    ns = None if silence is None else nanoseconds(silence, name="silence")
    if ns == 0:
        raise ValueError(f"silence must be more than 0, got {silence!r}")
    hours, named = sessions.get(session or "24x7"), by_symbol(instruments)
    return DetectGaps(
        lambda: GapsKernel(sequence=sequence, silence=ns, session=hours, instruments=named), sink(gaps, "gaps"), text
    )  # fmt: skip
