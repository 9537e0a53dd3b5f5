"""What a bar is measured by when it is not time: ticks, volume, notional, range or renko. Each is a value for `bars(by=...)`.

Such bars are a function of the ticks in the order of (time, seq) and of nothing else. Each tick is in exactly one bar, the
one whose threshold it reaches included: sizes are never split, so sums over bars are sums over ticks. No bar spans a close
of the session, and each session begins anew, so that from the second one on nothing depends on where the data begins.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["ticks", "volume", "notional", "range", "renko"]

_MOST: Final = 10**18
_MOST_KINDS: Final = 32


@dataclass(frozen=True, slots=True)
class By:
    """One measure and its threshold; made by `ticks`, `volume`, `notional`, `range` and `renko`."""

    kind: Kind
    size: float
    """An int for ticks and volume."""

    @property
    def timeframe(self) -> str:
        """What its bars are called: "ticks(1000)", "notional(1000000)", "range(0.25)"."""
        return f"{self.kind}({repr(self.size).removesuffix('.0')})"

    def __str__(self) -> str:
        return self.timeframe


def ticks(n: int) -> By:
    """Return bars of `n` ticks each.

    Raises:
        ValueError: not a whole number from 1 to 10**18.
    """
    return By("ticks", _whole("ticks", n))


def volume(lots: int) -> By:
    """Return bars that close with the tick that brings their volume to `lots` or more.

    Raises:
        ValueError: not a whole number from 1 to 10**18.
    """
    return By("volume", _whole("volume", lots))


def notional(amount: float) -> By:
    """Return bars that close with the tick that brings the sum of |price| × size to `amount`, but for a billionth, or more.

    What was turned over counts, so a negative price counts as its absolute value. The sum is kept in integers, each tick
    rounded to 2**-44 of `amount`: where bars close never depends on how ticks are cut into frames.

    Raises:
        ValueError: not finite, or not more than 0.
    """
    return By("notional", _positive("notional", amount))


def range(size: float) -> By:
    """Return bars that close with the tick that brings high - low to `size` or more.

    That is judged as nearly as floats can say, like `Instrument.on_grid`: to 2e-6 of `size` or 4 units in the last place of
    the price. A jump over several ranges is still one bar: no price is invented.

    Raises:
        ValueError: not finite, or not more than 0.
    """
    return By("range", _positive("range", size))


def renko(size: float) -> By:
    """Return bricks of `size` between the prices k × size: one up when the price reaches the next level above, one down when
    it reaches the next below; to turn back it must come two levels from the last brick's close.

    A brick opens and closes on levels, and these are its high and low: it has no wicks. It carries the sums and the first and
    last of the ticks since the brick before. A tick that completes several at once is in the first; the others have count 0,
    no first and last, and are FILLED. Each session begins anew from its first price. What completes no brick by the close, or
    by the end, is a bar of its ticks' own prices, flagged SHORT or PARTIAL. Levels are reached as nearly as for `range`.

    Raises:
        ValueError: not finite, or not more than 0.
    """
    return By("renko", _positive("renko", size))


def several(by: By | Sequence[By]) -> tuple[By, ...]:
    """Return one or several as a tuple.

    Raises:
        ValueError: none, more than 32, or one twice.
        TypeError: something else.
    """
    kinds = (by,) if isinstance(by, By) else tuple(by)
    for kind in kinds:
        if not isinstance(kind, By):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"by must be values of rxfeed.by, such as by.ticks(1000), got {kind!r}")
    if not 1 <= len(kinds) <= _MOST_KINDS:
        raise ValueError(f"by must be 1 to {_MOST_KINDS} values, got {len(kinds)}")
    if twice := [kind for i, kind in enumerate(kinds) if kind in kinds[:i]]:
        raise ValueError(f"by must differ, got {twice[0]} twice")
    return kinds


def _whole(kind: Kind, value: int) -> int:
    try:
        whole = operator.index(value)
    except TypeError:
        whole = 0
    if isinstance(value, bool) or not 1 <= whole <= _MOST:
        raise ValueError(f"{kind} must be a whole number from 1 to 10**18, got {value!r}")
    return whole


def _positive(kind: Kind, value: float) -> float:
    if isinstance(value, (bool, str)) or not isinstance(value, (int, float)) or not 0 < value < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{kind} must be finite and more than 0, got {value!r}")
    return float(value)
