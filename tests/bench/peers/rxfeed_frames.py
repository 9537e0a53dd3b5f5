"""The frame lane: validation by all default rules and all 13 aggregates, on one processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

import rxfeed
from rxfeed import Frame, Tick
from rxfeed import operators as ops
from tests.bench.market import SESSION, TIMEFRAMES, Market
from tests.bench.peers import Lane, nothing

KIND = "frames"
PACKAGES = ("rxfeed", "polars", "numpy")
OWN = None


def run(ticks: Frame[Tick], sink: Callable[[Any], None] = nothing, *, fast: bool = False, chunk: int = 131_072) -> None:
    """The pipeline of `rxfeed bars`: replay, validate, bars, as frames."""
    source = rxfeed.replay(ticks, frames=True, chunk=chunk)
    pipeline = ops.validate(fast=fast), ops.bars(*TIMEFRAMES, session=SESSION, frames=True, fast=fast)
    source.pipe(*pipeline).subscribe(sink)


def bars(ticks: Frame[Tick], **more: Any) -> pl.DataFrame:
    """All bars, as the check takes them."""
    out: list[pl.DataFrame] = []
    run(ticks, lambda frame: out.append(frame.df), **more)
    return pl.concat(out).with_columns(pl.col("symbol").cast(pl.String), pl.col("start").to_physical())


def frame(market: Market) -> Frame[Tick]:
    return market.frame


def lanes() -> list[Lane]:
    return [Lane("rxfeed, frames", frame, lambda ticks: run(Frame(ticks.df)), ours=True)]
