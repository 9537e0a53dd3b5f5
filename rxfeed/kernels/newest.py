"""The newest element of each period, or of each key in it: what `sample_every` and `throttle_latest` have in common.

Periods begin at multiples of their length, on whatever clock the caller reads, and an element is of the period it comes in.
So nothing depends on when somebody subscribed, nor on whether a timer or the next element is there first.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, cast

import polars as pl

from rxfeed.frame import Frame, name_of
from rxfeed.kernels.keys import Key, key_of
from rxfeed.times import FOREVER


class NewestStats(NamedTuple):
    """Rows by what became of them; those of a frame one by one. received = emitted + dropped + pending."""

    received: int
    emitted: int
    dropped: int
    """Newer ones took their place, or nobody waited for the end of their period."""
    pending: int
    """One, or one a key, until their period ends."""


class NewestKernel:
    """What waits for the end of its period.

    Args:
        name: of the operator, for error texts.
        period: in ns, more than 0.
        key: a field's name or, of rows alone, a callable.
        leading: whether the first of a period goes out at once, unless the one before left something for this one.

    Raises:
        TypeError, ValueError: a key that is neither.
    """

    __slots__ = (
        "_emitted", "_key", "_key_of", "_kind", "_leading", "_name", "_passed", "_period", "_received", "_start", "end",
        "waiting",
    )  # fmt: skip

    def __init__(self, name: str, period: int, key: Key = None, *, leading: bool = False) -> None:
        self._name, self._period, self._leading = name, period, leading
        self._key, self._key_of = key, key_of(key)
        self._start = FOREVER
        self.end = -FOREVER
        """When the present period is over."""
        self.waiting: dict[Hashable, Any] = {}
        """By key, in the order in which they came."""
        self._passed: set[Hashable] = set()  # keys of which something went out in this period; only if `leading`
        self._kind: type[Any] | None = None  # of the frames that come, if it is frames
        self._received = self._emitted = 0

    @property
    def stats(self) -> NewestStats:
        """What became of the rows so far."""
        pending = len(self.waiting)
        return NewestStats(self._received, self._emitted, self._received - self._emitted - pending, pending)

    def add(self, element: Any, now: int) -> Sequence[Any]:
        """Take an element that came at a clock's time, and return what goes out now."""
        if type(element) is Frame:
            return self._frame(cast("Frame[Any]", element), now)
        key_of = self._key_of
        key = None if key_of is None else key_of(element)
        out = () if self._start <= now < self.end else self.turn(now)
        self._received += 1
        if self._leading and key not in self._passed:
            self._passed.add(key)
            self._emitted += 1
            return [*out, element]
        if key_of is not None:
            self.waiting.pop(key, None)
        self.waiting[key] = element
        return out

    def turn(self, now: int) -> Sequence[Any]:
        """End a period, and begin the one that `now` is in; return what waited for that."""
        self._start = now - now % self._period
        self.end = self._start + self._period
        return self.flush()

    def flush(self) -> Sequence[Any]:
        """Return what waits."""
        waiting, passed = self.waiting, self._passed
        if passed:
            passed.clear()
        if not waiting:
            return ()
        if self._leading:
            passed.update(waiting)
        rows = list(waiting.values())
        waiting.clear()
        self._emitted += len(rows)
        return rows if self._kind is None else [Frame.of(rows, self._kind)]

    def clear(self) -> None:
        """Drop what waits."""
        self.waiting.clear()
        self._passed.clear()

    def _frame(self, frame: Frame[Any], now: int) -> Sequence[Any]:
        key, df = self._key, frame.df
        if key is None:
            df = df if df.height <= 2 else df[[0, -1]]
        elif isinstance(key, str):
            # Of a key's rows that come at one time, all but the first and the last make no difference.
            df = df.filter(pl.col(key).is_first_distinct() | pl.col(key).is_last_distinct())
        else:
            raise TypeError(f"{self._name} with a callable key takes rows, got {name_of(frame)}; give it the field's name")
        rows: list[Any] = Frame(df, frame.kind).rows()
        if not rows:
            return ()
        out = () if self._start <= now < self.end else self.turn(now)
        first = [passed for row in rows for passed in self.add(row, now)]
        self._received += len(frame) - len(rows)
        self._kind = frame.kind
        return [*out, Frame.of(first, frame.kind)] if first else out
