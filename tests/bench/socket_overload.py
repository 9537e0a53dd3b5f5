"""A gateway that sends three times what we can take: what is read, what waits, what is lost and by whom, and what bars say.

    python -m tests.bench.socket_overload [seconds of overload]

The gateway is the simulator in a process of its own, behind a real socket; what takes its trades is `rxfeed.pipeline(gateway,
settings)` as it is. In it is a stage of a user's that takes 10 us a trade, as without one no simulator could send three times
what we take. First it gives as much as is taken, which is what we can take; then three times that, and at last a tenth of it.
What did not come is held against the gaps that were told, trade by trade, and bars against the simulator's.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import psutil
from reactivex import Observable

import rxfeed
from rxfeed.events import Event, Gapped, Lost
from rxfeed.feeds.projectx import Credentials, Gateway, deployment
from rxfeed.feeds.simulator import Simulator, serve
from rxfeed.feeds.simulator.line import Timing
from rxfeed.model import Bar, Flag, Gap, Tick
from rxfeed.runs import Run, RunObservable, RunObserver, run_into
from rxfeed.secret import Secret
from rxfeed.settings import Settings
from rxfeed.times import SECOND

SYMBOLS = ("MNQ", "MES")
TIMEFRAMES = ("1s", "5s")
CEILING, AFTER = 8.0, 10.0
"""Seconds in which it is found out what we can take; and at a tenth of that, so that gaps are mended."""
PATIENCE = 90.0
"""History's word that nobody traded in a second is believed after a minute."""
BUFFER = 32 << 20
"""Bytes that the gateway keeps for who does not read, before it cuts him off."""
PROBE = 0.002
WORK = 10e-6
"""Seconds a trade that a user's stage takes."""


# The gateway's side


class Served:
    """A simulator in another process, that does as it is told."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.address: str = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return msgspec.json.decode(self._process.stdout.readline())

    async def ask(self, what: str, **given: Any) -> Any:
        """Have it do something, and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode([what, given]) + b"\n")
        self._process.stdin.flush()
        return await asyncio.get_running_loop().run_in_executor(None, self._read)


@contextmanager
def served() -> Generator[Served, None, None]:
    """Run a simulator that trades as fast as it is listened to."""
    command = [sys.executable, "-m", "tests.bench.socket_overload", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Served(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


async def _serve() -> None:
    simulator = Simulator(SYMBOLS, rate="max", limits=False, keep_trades=1 << 24, timing=Timing(buffer=BUFFER))
    loop = asyncio.get_running_loop()
    async with serve(simulator) as address:
        print(msgspec.json.encode(address).decode(), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            what, given = msgspec.json.decode(line)
            print(msgspec.json.encode(_DOES[what](simulator, **given)).decode(), flush=True)


def _set_rate(simulator: Simulator, rate: Any) -> dict[str, Any]:
    simulator.rate = rate
    return _counts(simulator)


def _counts(simulator: Simulator) -> dict[str, Any]:
    sent = simulator.truth.connections.values()
    ids = list(simulator.markets)
    return {
        "traded": sum(totals.elements for totals in simulator.truth.traded.values()),
        "out": sum(len(one.trades(id)) for one in sent for id in ids),
        "held": sum(one.of("trades", id).elements - len(one.trades(id)) for one in sent for id in ids),
        "ends": Counter(one.end for one in sent if one.end is not None),
        "waits": max((one.unsent for one in simulator.connections.values()), default=0),
    }


def _outside(simulator: Simulator, symbol: str, first: int, gaps: list[list[int]]) -> list[int]:
    """Return how many trades there were from `first` on outside of gaps, and a sum of their times."""
    ledger: Any = simulator.truth.ledgers[simulator.contract(symbol).id]
    return outside(np.array(ledger._columns[0], dtype=np.int64), first, gaps)  # all of them at once, which only this needs


def _bars(simulator: Simulator, symbol: str, timeframe: str) -> list[Any]:
    return [list(bar) for bar in simulator.bars(symbol, timeframe)]


_DOES: Any = {"rate": _set_rate, "counts": _counts, "outside": _outside, "bars": _bars}


def outside(times: np.ndarray[Any, Any], first: int, gaps: list[list[int]]) -> list[int]:
    """Return how many of these times lie outside of gaps, from `first` on, and a sum that depends on each of them."""
    within = times < first
    for start, end in gaps:
        within |= (times >= start) & (times <= end)
    rest = times[~within] - first
    return [len(rest), int((rest * (rest % 1_009 + 1)).sum())]


# Our side


class Watch:
    """Looks at the loop, the memory and the valve all the time."""

    def __init__(self, gateway: Gateway) -> None:
        self.process, self.loop = psutil.Process(), asyncio.get_running_loop()
        self.phase = "ceiling"
        self.late: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.memory: dict[str, int] = {}
        self.shut: dict[str, list[float]] = {}
        self._since: float | None = None
        self._looked = 0
        self._due, self._used = self.loop.time() + PROBE, time.thread_time()
        self._timer = self.loop.call_at(self._due, self._look)
        assert gateway.valve is not None
        self._leave = gateway.valve.watch(self._valve, heeds=False)

    def _valve(self, shut: bool) -> None:
        now = time.perf_counter()
        if shut:
            self._since = now
        elif self._since is not None:
            self.shut.setdefault(self.phase, []).append(now - self._since)
            self._since = None

    def _look(self) -> None:
        phase, now, used = self.phase, self.loop.time(), time.thread_time()
        self.late[phase] = max(self.late.get(phase, 0.0), now - self._due)
        self.cpu[phase] = max(self.cpu.get(phase, 0.0), used - self._used)
        self._looked += 1
        if self._looked % 50 == 0:
            self.memory[phase] = max(self.memory.get(phase, 0), self.process.memory_info().rss)
        self._due, self._used = self.loop.time() + PROBE, time.thread_time()
        self._timer = self.loop.call_at(self._due, self._look)

    def say(self, before: int) -> None:
        """Tell what was seen, phase by phase."""
        for phase, late in self.late.items():
            shut = self.shut.get(phase, [])
            loop = f"loop late by at most {late * 1e3:.0f} ms ({self.cpu[phase] * 1e3:.0f} ms of processor time)"
            memory = f"memory at most {self.memory.get(phase, 0) >> 20} MiB ({before >> 20} before)"
            longest = max(shut, default=0.0) * 1e3
            unread = f"nothing read {len(shut)} times, for {sum(shut):.1f} s in all, at most {longest:.0f} ms at once"
            print(f"{phase:>9}: {loop}; {memory}; {unread}")
        print(f"memory now {self.process.memory_info().rss >> 20} MiB")

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()
        self._leave()


class Taken:
    """A user's stage: it notes the time of each trade that came through the first boundary, and takes its time for each."""

    def __init__(self) -> None:
        self.times: dict[str, array[int]] = {}

    def __call__(self, source: Observable[Tick]) -> Observable[Tick]:
        def subscribe(observer: Any, scheduler: Any = None) -> Any:
            run = run_into(observer)

            def on_run(ticks: Run) -> None:
                until = time.perf_counter() + WORK * len(ticks)
                for tick in ticks:
                    times = self.times.get(tick.symbol)
                    if times is None:
                        times = self.times[tick.symbol] = array("q")
                    times.append(tick.time)
                while time.perf_counter() < until:
                    pass
                run(ticks)

            return RunObserver(lambda tick: on_run([tick]), on_run, observer.on_error, observer.on_completed).to(
                source, scheduler
            )

        return RunObservable(subscribe)


async def main(seconds: float) -> None:
    """Measure and print."""
    taken, events, bars = Taken(), list[Event](), dict[Any, Bar]()
    with served() as simulator:
        settings = Settings(symbols=SYMBOLS, timeframes=TIMEFRAMES, session="24x7")
        gateway = Gateway(Credentials("simulator", Secret("simulator")), deployment=deployment(simulator.address))
        async with gateway, rxfeed.pipeline(gateway, settings, tap=taken) as feed:
            feed.events.subscribe(events.append)
            ended: list[Any] = []
            feed.bars.subscribe(lambda bar: bars.__setitem__(bar.identity, bar), ended.append)

            def through() -> int:
                source = feed.stats.source
                return 0 if source is None else source.emitted

            await _until(lambda: through() > 0)
            watch = Watch(gateway)
            before = psutil.Process().memory_info().rss
            await asyncio.sleep(CEILING / 4)
            begin, had = time.perf_counter(), through()
            await asyncio.sleep(CEILING * 3 / 4)
            ceiling = (through() - had) / (time.perf_counter() - begin)

            watch.phase, began = "overload", time.perf_counter()
            start = await simulator.ask("rate", rate=min(3 * ceiling, 1_000_000))
            had, most = through(), 0
            while time.perf_counter() - began < seconds:
                await asyncio.sleep(1)
                now = await simulator.ask("counts")
                most = max(most, now["waits"])
            took = time.perf_counter() - began
            middle = await simulator.ask("rate", rate=ceiling / 10)
            offered, passed = (middle["traded"] - start["traded"]) / took, (through() - had) / took

            watch.phase, over = "after", time.perf_counter()
            await _until(lambda: time.time_ns() - max(times[-1] for times in taken.times.values()) < SECOND // 2)
            recovered = time.perf_counter() - over
            watch.phase = "a tenth"
            await asyncio.sleep(AFTER)
            counts = await simulator.ask("rate", rate=0)
            gaps = _gaps(events)
            await _until(lambda: _mended(bars), PATIENCE)
            await asyncio.sleep(7)  # until the last bars have closed
            watch.close()
            source, limit = feed.stats.source, settings.capacities.source
            assert source is not None
            offer = f"offered for {took:.0f} s: {offered:,.0f}/s; taken meanwhile: {passed:,.0f}/s"
            print(f"what we take: {ceiling:,.0f} trades/s; {offer}")
            cut = f"held by the gateway when it cut us off {counts['held']:,}"
            print(f"traded {counts['traded']:,}; went out {counts['out']:,}; {cut}")
            print(f"connections ended: {counts['ends']}; most that waited at the gateway {most / 2**20:.0f} MiB")
            waited = f"most that waited {source.high_water:,} of {limit:,}"
            print(f"boundary: received {source.received:,}, dropped {source.dropped:,}, {waited}")
            watch.say(before)
            print(f"up to date {recovered:.1f} s after the overload")
            await _losses(simulator, taken, gaps)
            await _compared(simulator, bars)
            said = Counter(f"{type(event).__name__}{f' {event.cause}' if isinstance(event, Lost) else ''}" for event in events)
            print(f"events: {dict(said)}; rejected: {feed.rejected}; {feed.health and feed.health.now()}; {ended}")


async def _until(true: Callable[[], bool], patience: float = 300.0) -> None:
    until = time.perf_counter() + patience
    while time.perf_counter() < until and not true():  # noqa: ASYNC110  # nobody would tell
        await asyncio.sleep(0.02)


def _gaps(events: list[Event]) -> dict[tuple[str, int], Gap]:
    return {(event.gap.symbol, event.gap.start): event.gap for event in events if isinstance(event, Gapped)}


def _mended(bars: dict[Any, Bar]) -> bool:
    """Whether no bar says any more that trades may be missing, but for those in which we began."""
    begun: dict[tuple[str, str], int] = {}
    for bar in bars.values():
        key = bar.symbol, bar.timeframe
        begun[key] = min(begun.get(key, bar.start), bar.start)
    return not any(bar.flags & Flag.GAP and bar.start > begun[bar.symbol, bar.timeframe] for bar in bars.values())


async def _losses(simulator: Served, taken: Taken, gaps: dict[tuple[str, int], Gap]) -> None:
    print(f"gaps: {dict(Counter(gap.cause for gap in gaps.values()))}, {sum(gap.ongoing for gap in gaps.values())} without end")
    for symbol, times in taken.times.items():
        ours = np.frombuffer(times, dtype=np.int64)
        mine = [[gap.start, gap.end] for gap in gaps.values() if gap.symbol == symbol]
        first, length = int(ours[0]), sum(end - start for start, end in mine) / SECOND
        got, theirs = outside(ours, first, mine), await simulator.ask("outside", symbol=symbol, first=first, gaps=mine)
        same = "the same" if got == theirs else f"NOT the {theirs[0]:,}"
        told = f"{len(mine)} gaps of {length:.1f} s in all"
        print(f"{symbol}: {told}; outside of them {got[0]:,} trades came, {same} that were done")


async def _compared(simulator: Served, bars: dict[Any, Bar]) -> None:
    for symbol in sorted({bar.symbol for bar in bars.values()}):
        for timeframe in TIMEFRAMES:
            rows = await simulator.ask("bars", symbol=symbol, timeframe=timeframe)
            true = {row[0]: row for row in rows}
            mine = sorted(
                (bar for bar in bars.values() if (bar.symbol, bar.timeframe) == (symbol, timeframe)), key=lambda bar: bar.start
            )
            found = Counter[str]()
            for bar in mine[1:]:  # the first one had begun before us
                kind = "flagged GAP" if bar.flags & Flag.GAP else "mended" if bar.flags & Flag.REPAIRED else "whole"
                row = [bar.start, bar.end, bar.open, bar.high, bar.low, bar.close, bar.volume]
                found[kind if kind == "flagged GAP" or row == true.get(bar.start) else f"{kind}, and WRONG"] += 1
            missing = [start for start in true if start > mine[0].start and start not in {bar.start for bar in mine}]
            print(f"{symbol} {timeframe} bars: {dict(found)}, {len(missing)} missing")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(_serve())
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0))
