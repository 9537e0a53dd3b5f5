"""Rows and frames: every peer compared with ours, then timed in turns with it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import polars as pl

from tests.bench.check import compared
from tests.bench.found import Found
from tests.bench.market import Market
from tests.bench.measure import ratio, spent, take_turns
from tests.bench.peers import Lane
from tests.bench.peers.rxfeed_frames import bars


def compare(lane: Lane, market: Market) -> list[tuple[str, str]]:
    """Compare all that a lane can make with our bars of the same ticks."""
    if not lane.checks:
        return []
    given = lane.prepare(market)
    ours = bars(market.frame)
    return [compared(lane, check, check.bars(given), ours) for check in lane.checks]


def run(found: Found, market: Market, rounds: int, *, cpu: bool) -> dict[str, Any]:
    """Compare, then measure; return what the table tells."""
    told: list[tuple[str, str]] = []
    runs: dict[str, Callable[[], float]] = {}
    for lane in found.lanes:
        share = market.head(lane.most or len(market))
        told += compare(lane, share)
        runs[lane.name] = partial(_ns_a_tick, lane, lane.prepare(share), len(share), cpu=cpu)
    rounds_of = take_turns(runs, rounds)
    made = bars(market.frame)
    return {
        "ticks": len(market),
        "ticks a 1s bar": len(market) / made.filter(pl.col("timeframe") == "1s").height,
        "compared": told,
        "lanes": sorted((_lane(lane, rounds_of, found, len(market)) for lane in found.lanes), key=_ours_first),
    }


def _ns_a_tick(lane: Lane, given: Any, ticks: int, *, cpu: bool) -> float:
    if lane.spent is not None:
        return lane.spent(given) / ticks
    return spent(partial(lane.run, given), cpu=cpu) / ticks


def _lane(lane: Lane, rounds_of: dict[str, list[float]], found: Found, ticks: int) -> dict[str, Any]:
    rounds = rounds_of[lane.name]
    faster = {} if lane.ours else {ours.name: ratio(rounds, rounds_of[ours.name]) for ours in found.ours}
    return {
        "name": lane.name, "ns a tick": statistics.median(rounds), "rounds": rounds, "threads": lane.threads,
        "ticks": min(ticks, lane.most or ticks),
        "times as fast": faster, "at least": lane.targets, "ours": lane.ours,
    }  # fmt: skip


def _ours_first(lane: dict[str, Any]) -> tuple[bool, float]:
    return not lane["name"].startswith("rxfeed"), lane["ns a tick"]
