"""What is measured: validation by all default rules, and every field of the bars of five timeframes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex.subject import Subject

import rxfeed
from rxfeed import Tick
from rxfeed import operators as ops
from tests.bench.market import SESSION, TIMEFRAMES, Market
from tests.bench.peers import Lane, nothing

KIND = "rows"
PACKAGES = ("rxfeed", "reactivex")
OWN = None


def own_source(ticks: list[Tick], sink: Callable[[Any], None] = nothing) -> None:
    """From the project's own source."""
    rxfeed.replay(ticks).pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION)).subscribe(sink)


def by_subject(ticks: list[Tick], sink: Callable[[Any], None] = nothing) -> None:
    """Driven as the plain pipeline is."""
    source: Subject[Tick] = Subject()
    source.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session=SESSION)).subscribe(sink)
    emit = source.on_next
    for tick in ticks:
        emit(tick)
    source.on_completed()


def _rows(market: Market) -> list[Tick]:
    return market.rows


def lanes() -> list[Lane]:
    return [
        Lane("rxfeed, own source", _rows, own_source, ours=True),
        Lane("rxfeed, Subject", _rows, by_subject),
    ]
