"""A consumer that takes ten times its share, by each policy: what waits, how long the loop is held up, how soon it is over.

A turn of the loop is told in processor time, so that other programs on the machine do not count; recovery by the clock.

python -m tests.bench.overload [seconds]
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed import overflow
from rxfeed.model import Tick
from rxfeed.runs import RunObservable
from rxfeed.windows import Windows
from tests.loops import until

RATE = 10_000
"""Ticks a second, in a run every millisecond."""
CAPACITY = 5_000
SLOW = 10 / RATE
"""Seconds that the consumer spends on an element: ten times what it has."""
WINDOWS = Windows("1s")
POLICIES: dict[str, Any] = {
    "conflate": overflow.conflate(WINDOWS), "sample": overflow.sample(WINDOWS), "drop_oldest": "drop_oldest",
    "drop_latest": "drop_latest", "latest": "latest",
}  # fmt: skip


async def measure(policy: Any, seconds: float) -> str:
    made: list[Any] = []

    def attach(observer: Any, _: object = None) -> DisposableBase:
        made.append(observer)
        return Disposable()

    source = RunObservable[Any](attach)
    operator: Any = ops.backpressure(CAPACITY, policy)
    slow, stall = True, 0.0

    def consume(_: object) -> None:
        if slow:
            end = time.process_time() + SLOW
            while time.process_time() < end:
                pass

    subscription = operator(source).subscribe(consume)

    async def beat() -> None:
        nonlocal stall
        while True:
            before = time.process_time()
            await asyncio.sleep(0)
            stall = max(stall, time.process_time() - before)

    heart = asyncio.create_task(beat())
    begin, sent, worst = time.perf_counter(), 0, 0
    while (now := time.perf_counter() - begin) < seconds:
        due = int(now * RATE)
        made[0].on_run([Tick("A", n * 100_000, 100.0 + n % 9, 1, 0, n) for n in range(sent, due)])
        sent = due
        worst = max(worst, operator.stats.high_water)
        await asyncio.sleep(0.001)
    held, slow = stall, False
    over = time.perf_counter()
    await until(lambda: not operator.stats.pending)
    recovery = time.perf_counter() - over
    heart.cancel()
    subscription.dispose()
    stats = operator.stats
    assert stats.received == stats.emitted + stats.conflated + stats.dropped == sent
    share = [100 * part / sent for part in (stats.emitted, stats.conflated, stats.dropped)]
    return f"| {worst:,} | {held * 1e3:.1f} | {recovery * 1e3:.1f} | {share[0]:.1f} | {share[1]:.1f} | {share[2]:.1f} |"


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    print(f"{RATE:,} ticks/s for {seconds:g} s, capacity {CAPACITY:,}, {SLOW * 1e6:.0f} µs an element\n")
    print("| policy | most that waited | longest turn, ms | recovery, ms | whole, % | conflated, % | dropped, % |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, policy in POLICIES.items():
        print(f"| {name} {asyncio.run(measure(policy, seconds))}")


if __name__ == "__main__":
    main()
