"""The frame lane: validation by all default rules and all 13 aggregates, on one processor."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import polars as pl

import rxfeed
from rxfeed import Frame, Tick
from rxfeed import operators as ops
from tests.bench.market import SESSION, TIMEFRAMES, Market
from tests.bench.peers import Check, Lane, nothing

KIND = "frames"
PACKAGES = ("rxfeed", "polars", "numpy")
OWN = None


SWITCH: Callable[[bool], AbstractContextManager[object]] | None = None
"""Turns the compiled kernel of the extra `fast` on or off for what runs inside, and raises Missing where it is not installed.

None while there is no such kernel; set it, and the table has a line and a column more."""


def run(ticks: Frame[Tick], sink: Callable[[Any], None] = nothing) -> None:
    """The pipeline of `rxfeed bars`: replay, validate, bars, as frames."""
    source = rxfeed.replay(ticks, frames=True)
    source.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION, frames=True)).subscribe(sink)


def bars(ticks: Frame[Tick]) -> pl.DataFrame:
    """All bars, as the check takes them."""
    out: list[pl.DataFrame] = []
    run(ticks, lambda frame: out.append(frame.df))
    return pl.concat(out).with_columns(pl.col("symbol").cast(pl.String), pl.col("start").to_physical())


def frame(market: Market) -> Frame[Tick]:
    return market.frame


def lanes() -> list[Lane]:
    def plain(ticks: Frame[Tick]) -> None:
        with nullcontext() if SWITCH is None else SWITCH(False):
            run(Frame(ticks.df))

    return [Lane("rxfeed, frames", frame, plain, ours=True), *_fast()]


def _fast() -> list[Lane]:
    if SWITCH is None:
        return []
    switch = SWITCH

    def compiled(ticks: Frame[Tick]) -> None:
        with switch(True):
            run(Frame(ticks.df))

    def made(ticks: Frame[Tick]) -> pl.DataFrame:
        with switch(True):
            return bars(Frame(ticks.df))

    return [Lane("rxfeed, frames, fast", frame, compiled, (Check(made),), ours=True)]
