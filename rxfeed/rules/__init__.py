"""The rules of `validate`: what an element must be to be believed. Each is a value; the kernel keeps what they remember.

Their order is fixed: `known_time`, `finite`, `positive`, `on_grid`, `size`, `crossed`, `empty`, `future`, `stale`,
`outside_session`, your own, `going_back`, `jump`. The first that fails names the reason.
"""

from __future__ import annotations

from typing import Final

from rxfeed.rules.base import ORDER, Blocks, Element, Mask, Rule, RuleError, prices
from rxfeed.rules.before import GoingBack, Jump
from rxfeed.rules.own import Where, where
from rxfeed.rules.said import Crossed, Empty, Finite, OnGrid, Positive, Size
from rxfeed.rules.when import Future, KnownTime, OutsideSession, Stale

DEFAULT: Final[tuple[Rule, ...]] = (
    KnownTime(), Finite(), Positive(), OnGrid(), Size(), Crossed(), Empty(), Future(), Jump(),
)  # fmt: skip
"""What `validate()` asks when it is given no rules."""

__all__ = [
    "DEFAULT", "ORDER", "Blocks", "Crossed", "Element", "Empty", "Finite", "Future", "GoingBack", "Jump", "KnownTime", "Mask",
    "OnGrid", "OutsideSession", "Positive", "Rule", "RuleError", "Size", "Stale", "Where", "prices", "where",
]  # fmt: skip
