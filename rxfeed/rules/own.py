"""Rules of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Tick
from rxfeed.rules.base import ORDER, Blocks, Element, Mask, Rule


@dataclass(frozen=True, slots=True)
class Where(Rule):
    """Your own rule: passes what `check` says, or on frames, faster, what `expr` says. See `where`."""

    name: str
    check: Callable[[Any], bool]
    expr: pl.Expr | None = None

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        return None if self.check(element) else f"{self.name} must hold, got {element}"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        if self.expr is None:
            return Rule.passes(self, frame, instruments)
        good = frame.df.select(self.expr.fill_null(value=False)).to_series().to_numpy()
        order = frame.groups.order
        return good if order is None else good[order]


def where(name: str, check: Callable[[Any], bool], expr: pl.Expr | None = None) -> Where:
    """Return a rule that passes the elements for which `check` is true.

    Args:
        name: what rejects are counted under.
        check: from an element to whether it passes.
        expr: the same on the columns of a frame, which spares frames a call a row.
    """
    if not callable(check):
        raise TypeError(f"check must be a callable from an element to whether it passes, got {check!r}")
    if name in ORDER:
        raise ValueError(f"name must not be one of the built-in rules, got {name!r}")
    return Where(name, check, expr)
