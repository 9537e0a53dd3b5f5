"""A feed that reconnects, or two lines that carry the same, say things twice, and a volume counted twice is wrong. Only an id
that the source gave tells a repetition from an equal trade: so a key is asked for, and there is none by default.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from reactivex import abc

from rxfeed.frame import Frame
from rxfeed.kernels.dedupe.kernel import DedupeKernel, DedupeStats
from rxfeed.times import Duration

from ._call import call
from ._gate import Gate, Quick
from ._sink import sink


class Dedupe(Gate[DedupeKernel, Any]):
    """What `dedupe` returns: an operator, and the counts of its newest subscription."""

    name = "dedupe"

    @property
    def stats(self) -> DedupeStats:
        """Elements by what became of them: received = emitted + duplicate."""
        return self._newest.stats

    def _quick(self, kernel: DedupeKernel) -> Mapping[type[Any], Quick]:
        return kernel.quick

    def _row(self, kernel: DedupeKernel, row: Any) -> list[Any]:
        if kernel.element(row):
            return [row]
        self._tell([row])
        return []

    def _frame(self, kernel: DedupeKernel, frame: Frame[Any]) -> Frame[Any] | None:
        keep = kernel.frame(frame)
        if keep is None:
            return frame if len(frame) else None
        if self._told is not None:
            self._tell(frame.filter(~keep).rows())
        return frame.filter(keep) if keep.any() else None


def dedupe(
    key: str | tuple[str, ...] | Callable[[Any], Hashable],
    horizon: Duration = "10m",
    *,
    capacity: int = 1_000_000,
    duplicates: abc.ObserverBase[Any] | Callable[[Any], None] | None = None,
) -> Dedupe:
    """Drop the elements whose key was seen before.

        --1--2--2--3--1--4--|
        dedupe("seq")
        --1--2-----3-----4--|

    The symbol and the kind (tick, quote or depth) belong to every key. A key is remembered from the element that passed with
    it until its symbol's watermark, the greatest time seen, has moved on by more than the horizon (and a 16th of it at most);
    an element that is dropped does not prolong that. What is further behind the watermark than the horizon cannot be judged:
    it passes if its key is not known, and is counted as `unchecked`. An unknown time moves no watermark. One from a wild
    future does, for good: then all that follows is `unchecked`, though a repetition is found as before, and keys go by
    `capacity` only; `validate` before this keeps such times out. On frames the same as row by row.

    Args:
        key: a field, or a tuple of fields, that the source gave: "seq", ("time", "seq"). For rows also a callable from the
            element to something hashable. Equal prints are real trades, so price and size are no key.
        horizon: how long a key is remembered, in event time; 1us or more.
        capacity: how many keys are remembered at most, of all symbols together. When it is reached, the sixteenth of them
            that were seen first go (`evicted` counts those).
        duplicates: an observer or a callable that hears each dropped element, as a row; never completed. A frame's come
            before what passes of it.

    Returns:
        An operator from rows or frames of ticks, quotes or depth to the same; a frame of which all rows pass is passed as it
        is, and one of which none do is not. Its `stats` count.

    Raises:
        ValueError: a key that is no field, a horizon under 1us, a capacity under 1.
        TypeError: a key of another type; or, as the stream's error, an element without the field, or a frame and a callable.

    Ends: with the source. Nothing is pending.
    Drops: what was seen before; `duplicates` hears of it.
    Clock: none; event time.
    """
    text = call(dedupe, locals())
    return Dedupe(lambda: DedupeKernel(key, horizon, capacity), sink(duplicates, "duplicates"), text)
