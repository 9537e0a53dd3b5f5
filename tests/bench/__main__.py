"""`python -m tests.bench`: side by side with what rxfeed would replace, in one run; every figure is a median of rounds."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from tests.bench import lanes, long, operators, symbols
from tests.bench.found import found
from tests.bench.live import run as live
from tests.bench.market import DENSE, SPARSE, Market
from tests.bench.table import tables, text

SECTIONS = ("rows", "frames", "scale", "memory", "operators", "live")
LINEAR, GROWTH = 1.15, 5.0


class Plan(NamedTuple):
    """Ticks and rounds of each section."""

    rows: int
    frames: int
    symbols: int
    long: int
    operators: int
    rounds: int
    live: live.Plan


FULL = Plan(rows=200_000, frames=4_000_000, symbols=1_000_000, long=10_000_000, operators=100_000, rounds=5, live=live.FULL)
QUICK = Plan(rows=20_000, frames=400_000, symbols=100_000, long=1_000_000, operators=10_000, rounds=3, live=live.QUICK)
TINY = Plan(rows=300, frames=300, symbols=2_000, long=1_000, operators=300, rounds=1, live=live.TINY)


def machine() -> str:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    threads = f"{os.cpu_count()} processors, of which polars and duckdb use {pl.thread_pool_size()}"
    return f"{names[0] if names else platform.machine()}, {threads}, Python {platform.python_version()}"


def measure(plan: Plan, sections: frozenset[str], *, own: bool) -> dict[str, Any]:
    """Measure; show each table as soon as it is there. `own`: also peers that need an environment of their own."""
    figures: dict[str, Any] = {"versions": {}, "missing": {}}
    for kind, count, cpu in (("rows", plan.rows, True), ("frames", plan.frames, False)):
        if kind in sections:
            with found(kind, own=own) as peers:
                figures["versions"] |= peers.versions
                figures["missing"] |= peers.missing
                got = [lanes.run(peers, Market.of(count, rate), plan.rounds, cpu=cpu) for rate in (DENSE, SPARSE)]
                _show(figures, {kind: got})
            for name, why in peers.missing.items():
                print(f"\n{name} is not measured: {why}")
    if sections & {"scale", "memory"}:
        got = {lane: _long(lane, plan.long) for lane in long.LANES}
        if "scale" in sections:
            _show(figures, {"ticks": {lane: _linear(of["ns a tick"]) for lane, of in got.items()}})
            _show(figures, {"symbols": symbols.run(plan.symbols, plan.rounds)})
        if "memory" in sections:
            _show(figures, {"memory": {lane: _flat(of["MB"]) for lane, of in got.items()}})
    if "operators" in sections:
        _show(figures, {"operators": operators.run(plan.operators, 2 * plan.rounds - 1)})
    if "live" in sections:
        _show(figures, {"live": live.run(plan.live)})
    return figures


def _show(figures: dict[str, Any], new: Mapping[str, Any]) -> None:
    figures |= new
    for table in tables(new):
        print(text(table), flush=True)


def _long(lane: str, ticks: int) -> dict[str, dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.long", lane, str(ticks)], check=True, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    return json.loads(done.stdout)


def _linear(ns: dict[str, float]) -> dict[str, Any]:
    *fewer, whole = ns.values()
    return {"ns a tick": ns, "growth": whole / min(fewer), "at most": LINEAR}


def _flat(megabytes: dict[str, float]) -> dict[str, Any]:
    *_, early, late = megabytes.values()
    return {"MB": megabytes, "growth": late - early, "at most": GROWTH}


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the ticks: to try it, not to quote it")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="only this part; may be given again")
    args = parser.parse_args()
    sections = frozenset[str](args.only or SECTIONS)
    print(machine())
    figures = measure(QUICK if args.quick else FULL, sections, own=True)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(figures["versions"].items()))
    print(f"\n{versions}" if versions else "")
    if args.json:
        command = (
            "make bench" if sections == {*SECTIONS} else f"python -m tests.bench --only {' --only '.join(sorted(sections))}"
        )
        about = {"machine": machine(), "command": command, "date": f"{datetime.now(UTC):%Y-%m-%d}", "quick": args.quick}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({**about, **figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
