"""Connections that change under load, over real sockets: tokens that change, drops with their repair, a server that is down.

Every trade that came is held against the simulator's own list of what was traded, by number; every bar against its bars.

python -m tests.bench.changes [times [changes|drops|down]]
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left, bisect_right
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import rxfeed
from rxfeed import Gateway, Settings, Tick
from rxfeed.events import Connected, Event, Gapped, Lost, Retrying, Rotated
from rxfeed.feeds.projectx import Credentials, deployment
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.simulator import Simulator, serve
from rxfeed.model import Bar, Flag, Gap
from rxfeed.secret import Secret
from tests.feeds.projectx.world import KEY

RATE = 5_000.0
SYMBOL = "MNQ"


class Bench:
    """A simulator and a gateway in one process, and what came."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ticks: list[Tick] = []
        self.bars: dict[Any, Bar] = {}
        self.at: list[float] = []

    async def open(self, stack: AsyncExitStack) -> None:
        self.simulator = Simulator(
            (SYMBOL,), rate=RATE, seed=1, users={"somebody": KEY}, limits=False, keep_trades=10_000_000
        )  # fmt: skip
        address = await stack.enter_async_context(serve(self.simulator))
        self.gateway = await stack.enter_async_context(
            Gateway(Credentials("somebody", Secret(KEY)), deployment=deployment(address), reconnect=Reconnect(quiet="200ms"))
        )
        self.contract = self.simulator.contract(SYMBOL)
        settings = Settings(symbols=SYMBOL, timeframes="1s", session="24x7")
        feed = await stack.enter_async_context(rxfeed.pipeline(self.gateway, settings, tap=self._tap))
        feed.events.subscribe(self.events.append)
        feed.bars.subscribe(self._bar, print)
        await asyncio.sleep(2)

    def _tap(self, source: Any) -> Any:
        from reactivex import operators as rx

        def note(tick: Tick) -> None:
            self.ticks.append(tick)
            self.at.append(time.perf_counter())

        return source.pipe(rx.do_action(note))

    def _bar(self, bar: Bar) -> None:
        self.bars[bar.identity] = bar

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def pauses(self, begin: float, end: float) -> float:
        """The longest time between two trades in a stretch of the clock."""
        since = bisect_left(self.at, begin)  # or looking would itself be a pause
        at = self.at[since : bisect_right(self.at, end)]
        return max((b - a for a, b in pairwise(at)), default=0.0)

    def compared(self) -> tuple[int, int, int, bool]:
        """Trades since the first that came: traded, lost, doubled, and whether those that came are in order."""
        size = self.contract.tick_size
        truth = self.simulator.truth.trades(self.contract.id)
        theirs = [(t.time, t.ticks, t.size, t.side) for t in truth]
        ours = [(t.time, round(t.price / size), t.size, t.side) for t in self.ticks]
        first = theirs.index(ours[0])
        theirs = theirs[first:]
        at, lost, doubled = 0, 0, 0
        for trade in ours:
            found = at
            while found < len(theirs) and theirs[found] != trade and found - at < 100_000:
                found += 1
            if found < len(theirs) and theirs[found] == trade:
                lost += found - at
                at = found + 1
            else:
                doubled += 1
        return len(theirs), lost, doubled, doubled == 0


async def changes(times: int) -> None:
    """Change the token again and again; between two changes as long without one, to compare with."""
    async with AsyncExitStack() as stack:
        bench = Bench()
        await bench.open(stack)
        with_change: list[float] = []
        without: list[float] = []
        for _ in range(times):
            login = bench.gateway._login
            held = login.held
            assert held is not None
            login.forget(held.secret)
            await login.token()
            count, begin = len(bench.of(Rotated)), time.perf_counter()
            bench.gateway.request("rotate", "there is a new token")
            while len(bench.of(Rotated)) == count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            between = time.perf_counter()
            await asyncio.sleep(between - begin)
            with_change.append(bench.pauses(begin, between))
            without.append(bench.pauses(between, time.perf_counter()))
        bench.simulator.rate = 0
        await asyncio.sleep(2)
        traded, lost, doubled, ordered = bench.compared()
        rotations = bench.of(Rotated)
        uncertain = sum(bool(rotation.uncertain) for rotation in rotations)
        took = sorted(rotation.seconds for rotation in rotations)
        print(
            f"{len(rotations)} token changes under {RATE:,.0f} trades/s: {traded:,} traded, {lost} lost, {doubled} doubled, "
            f"in order: {ordered}, {uncertain} uncertain, {len(bench.of(Gapped))} gaps; took {took[len(took) // 2]:.2f} s "
            f"(longest {took[-1]:.2f})"
        )
        for what, pauses in (("a change", sorted(with_change)), ("no change, for as long", sorted(without))):
            half, longest = pauses[len(pauses) // 2], ", ".join(f"{pause * 1e3:.0f}" for pause in pauses[-3:])
            print(f"  longest pause of two trades, with {what}: half at most {half * 1e3:.0f} ms, the longest {longest} ms")


async def drops(times: int) -> None:
    """Cut the connection again and again."""
    async with AsyncExitStack() as stack:
        bench = Bench()
        await bench.open(stack)
        for _ in range(times):
            count = len([gap for gap in bench.of(Gapped) if not gap.gap.ongoing])
            bench.simulator.fault("drop")
            while len([gap for gap in bench.of(Gapped) if not gap.gap.ongoing]) == count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.5)
        await asyncio.sleep(12)
        bench.simulator.rate = 0
        await asyncio.sleep(10)
        gaps: list[Gap] = [event.gap for event in bench.of(Gapped) if not event.gap.ongoing]
        unseen = bench.simulator.truth.unseen(bench.contract.id)
        missed = bench.simulator.truth.trades(bench.contract.id, unseen)
        first = bench.ticks[0].time
        missed = [trade for trade in missed if trade.time >= first]
        outside = [trade for trade in missed if not any(gap.start <= trade.time <= gap.end for gap in gaps)]
        true = {bar.start: bar for bar in bench.simulator.bars(SYMBOL, "1s")}
        same = differ = flagged = 0
        for bar in list(bench.bars.values()):
            if bar.flags & (Flag.GAP | Flag.PARTIAL):
                flagged += 1
                continue
            one = true[bar.start]
            if (bar.open, bar.high, bar.low, bar.close, bar.volume) == (one.open, one.high, one.low, one.close, one.volume):
                same += 1
            else:
                differ += 1
        print(
            f"{len(bench.of(Lost))} drops under {RATE:,.0f} trades/s: {len(gaps)} gaps, {len(missed):,} trades lost, "
            f"{len(outside)} outside the gaps; after repair {same} bars of 1s equal the market's, {differ} differ, "
            f"{flagged} say that they may"
        )


async def down() -> None:
    """Have the server refuse for a minute."""
    async with AsyncExitStack() as stack:
        bench = Bench()
        await bench.open(stack)
        bench.simulator.fault("down=60s")
        begin = time.perf_counter()
        await asyncio.sleep(60)
        back = time.time_ns()
        count = len(bench.of(Connected))
        while len(bench.of(Connected)) == count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        tries = bench.of(Retrying)
        apart = [(b.time - a.time) / 1e9 for a, b in pairwise(tries)]
        late = (bench.of(Connected)[-1].time - back) / 1e9
        print(
            f"a server that refuses for {time.perf_counter() - begin - late:.0f} s: {len(tries)} attempts failed, at least "
            f"{min(apart):.2f} s apart; live again {late:.2f} s after it was back, the step was {tries[-1].wait:.2f} s"
        )


async def main(times: int, what: str) -> None:
    if what in ("all", "changes"):
        await changes(times)
    if what in ("all", "drops"):
        await drops(times)
    if what in ("all", "down"):
        await down()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2] if len(sys.argv) > 2 else "all"))
