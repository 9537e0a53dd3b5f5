"""What a rule is, and in which order rules are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from rxfeed.errors import RxfeedError
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Depth, Quote, Tick

Element = Tick | Quote | Depth
Mask = npt.NDArray[np.bool_]
Blocks = Sequence[Instrument | None]
ORDER: Final = (
    "known_time", "finite", "positive", "on_grid", "size", "crossed", "empty", "future", "stale", "outside_session",
    "going_back", "jump",
)  # fmt: skip


class Rule:
    """A rule that looks at one element by itself. For your own, give it a `name` and write `reason`, or use `where`.

    `passes` is the same judgement on all rows of a frame; unless a rule has a faster way, it asks `reason` row by row.
    """

    name: str
    order: ClassVar[int] = 10

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        """Return why the element fails, or None if it passes."""
        raise NotImplementedError(f"{type(self).__name__} must say how it judges an element: write its method reason()")

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        """Return which rows pass, in the order of `frame.groups` (block i is of `instruments[i]`); None for all."""
        sizes = np.diff(frame.groups.starts).tolist()
        of_row = [i for i, n in zip(instruments, sizes, strict=True) for _ in range(n)]
        rows = frame.rows()
        order = range(len(rows)) if frame.groups.order is None else frame.groups.order.tolist()
        return np.array([self.reason(rows[at], i) is None for at, i in zip(order, of_row, strict=True)], np.bool_)


def prices(element: Element) -> tuple[float, ...]:
    """Return the prices that an element states."""
    if isinstance(element, Tick):
        return (element.price,)
    if isinstance(element, Quote):
        return tuple(p for p in (element.bid, element.ask, element.last) if p is not None)
    return () if element.price is None else (element.price,)


class RuleError(RxfeedError, ValueError):
    """Rules and instruments that do not fit together."""
