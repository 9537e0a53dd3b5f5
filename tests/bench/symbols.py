"""What a tick costs with one symbol and with a thousand, when a bar has as many ticks: the very same ticks, side by side."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import rxfeed
from rxfeed import Frame
from rxfeed import operators as ops
from tests.bench.market import TIMEFRAMES, Market, side_by_side
from tests.bench.measure import ratio, spent, take_turns
from tests.bench.peers import nothing

NUMBERS = (1, 10, 100, 1_000)
MOST = 1.5


def rows(market: Market) -> float:
    """Return ns of processor time a tick."""
    ticks = rxfeed.replay(market.rows)
    pipeline = ticks.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session="24x7"))
    return spent(lambda: pipeline.subscribe(nothing), cpu=True) / len(market)


def frames(market: Market) -> float:
    """Return elapsed ns a tick."""
    ticks = rxfeed.replay(Frame(market.df), frames=True)
    pipeline = ticks.pipe(ops.validate(), ops.bars(*TIMEFRAMES, session="24x7", frames=True))
    return spent(lambda: pipeline.subscribe(nothing), cpu=False) / len(market)


def run(count: int, rounds: int) -> list[dict[str, Any]]:
    """Return ns a tick by number of symbols, for rows and frames."""
    told: list[dict[str, Any]] = []
    markets = {str(number): side_by_side(count, number) for number in NUMBERS}
    for name, lane in {"rows": rows, "frames": frames}.items():
        for market in markets.values():
            lane(market.head(1_000))
        got = take_turns({number: partial(lane, market) for number, market in markets.items()}, rounds)
        told.append({
            "lane": name, "ns a tick": {number: statistics.median(values) for number, values in got.items()},
            "ticks a bar": {number: count / _bars(market) for number, market in markets.items()},
            "growth": ratio(got[str(NUMBERS[-1])], got[str(NUMBERS[0])]), "at most": MOST,
        })  # fmt: skip
    return told


def _bars(market: Market) -> int:
    made: list[int] = []
    source = rxfeed.replay(market.frame, frames=True).pipe(ops.bars(*TIMEFRAMES, session="24x7", frames=True))
    source.subscribe(lambda frame: made.append(len(frame)))
    return sum(made)
