"""`python -m tests.bench [--quick] [--json FILE]`: one table, every figure a median of runs that took turns."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.bench import frames, rows

DENSE, SPARSE = 400.0, 40.0


def machine() -> str:
    """What the figures were measured on."""
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the ticks: to try it, not to quote it")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    tenth = 10 if args.quick else 1
    print(machine())
    out: dict[str, object] = {"machine": machine(), "command": "python -m tests.bench"}
    print(f"\n{'validate + bars of 1s 1m 5m 1h 1d, 8 symbols':<58}{'ns a tick':>10}{'ratio':>8}{'at least':>9}")
    for rate in (DENSE, SPARSE):
        got = rows.run(300_000 // tenth, 5, rate)
        out[f"rows at {rate:g}/s"] = got
        _rows(
            f"rows, {got['ticks a 1s bar']:.0f} ticks a 1s bar",
            got,
            "plain reactivex",
            {"rxfeed, own source": 6, "rxfeed, Subject": 3},
        )
    for rate in (DENSE, SPARSE):
        got = frames.run(5_000_000 // tenth, 5, rate)
        out[f"frames at {rate:g}/s"] = got
        _rows(f"frames, {got['ticks a 1s bar']:.0f} ticks a 1s bar", got, "polars eager", {"rxfeed, frames": 3.5})
    print(f"\n{'memory: growth from 10^6 to 10^7 ticks':<58}{'MB':>10}{'':>8}{'at most':>9}")
    for lane in ("rows", "frames"):
        command = [sys.executable, "-m", "tests.bench.memory", lane, str(10_000_000 // tenth), str(DENSE)]
        growth = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        out[f"memory, {lane}"] = growth
        print(f"{lane:<58}{growth:>10.1f}{'':>8}{5:>9}")
    if args.json:
        Path(args.json).write_text(json.dumps(out, indent=2) + "\n")


def _rows(title: str, got: dict[str, float], base: str, targets: dict[str, float]) -> None:
    print(f"{title}: {base:<{56 - len(title)}}{got[base]:>10.0f}")
    for name, target in targets.items():
        print(f"{title}: {name:<{56 - len(title)}}{got[name]:>10.0f}{got[base] / got[name]:>8.1f}{target:>9}")


if __name__ == "__main__":
    main()
