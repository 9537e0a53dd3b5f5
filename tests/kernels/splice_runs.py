"""Random changes of connection, judged by whoever knows the tape: `python -m tests.kernels.splice_runs 30000`.

A gateway sends each trade to every connection that is subscribed when it happens. Connections are first-in-first-out and may
end at any moment, with all that is under way. The tape has many equal prints, coarse times and steps back. What is judged is
which trade of the tape came out, by its number, not by what it looks like.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from heapq import heappop, heappush
from itertools import count, pairwise
from random import Random
from typing import Any, NamedTuple

from rxfeed.kernels.splice import Splice
from rxfeed.model import ONGOING, Gap, Tick

US, MS = 1_000, 1_000_000
NEVER = 1 << 62
BASE = 1_700_000_000_000_000_000


class Print(NamedTuple):
    """A trade of the tape."""

    symbol: str
    number: int
    """Of its symbol's trades."""
    sent: int
    tick: tuple[int, float, int, int]


class Setting(NamedTuple):
    """What a run is like."""

    resolution: int
    step_back: int
    slack: int
    same: float
    """The share of prints that look like the one before."""
    pace: dict[str, int]
    """Mean time between trades, by symbol."""
    length: int
    completions: bool
    """Whether the client hears and asks."""
    ask_again: bool
    lag: int
    """How far new's server is behind old's: then new says what old had said before."""
    old_dies: int
    new_dies: int
    timeout: int
    latencies: tuple[int, int]


class Verdict(NamedTuple):
    """How it went with one symbol."""

    how: str
    """certain, uncertain, kept."""
    wrong: str
    """Empty, or what was wrong."""
    worth: str
    """What was lost or doubled inside a gap, or out of order."""


def setting(rng: Random) -> Setting:
    """Draw what a run is like."""
    lagging = rng.random() < 0.1
    scale = 40 if lagging else 1  # a splice needs some time to find out
    length = scale * rng.choice([8, 15, 30]) * MS
    step = scale * rng.choice([0, 0, 50 * US, 1 * MS, 2 * MS])
    slack = scale * rng.choice([0, 0, 1 * MS, 5 * MS])
    pace = {"BUSY": scale * rng.choice([100, 200, 1000]) * US}
    if rng.random() < 0.7:
        pace["SLOW"] = length // rng.choice([2, 5, 20])
    if rng.random() < 0.5:
        pace["QUIET"] = length * rng.choice([2, 20])
    end = length * rng.uniform(0.1, 1.2)
    old_dies, new_dies = rng.choice([(0, 0), (0, 0), (1, 0), (0, 1), (1, 1)])
    near = rng.choice([end, end, 3 * MS])
    return Setting(
        resolution=scale * rng.choice([1, 100, 1 * MS, 1 * MS, 10 * MS]),
        step_back=step,
        slack=max(slack, step),
        same=rng.choice([0.3, 0.7, 0.95]),
        pace=pace,
        length=length,
        completions=not lagging and rng.random() < 0.8,
        ask_again=rng.random() < 0.5,
        lag=rng.choice([10, 100]) * MS if lagging else 0,
        old_dies=int(rng.uniform(0, near)) if old_dies else NEVER,
        new_dies=int(rng.uniform(0, near)) if new_dies else NEVER,
        timeout=int(length * rng.choice([0.3, 2, 2])),
        latencies=rng.choice([(100 * US, 5 * MS), (20 * MS, 500 * US), (1 * MS, 1 * MS), (0, 0), (5 * MS, 100 * US)]),
    )


def tape(rng: Random, s: Setting) -> list[Print]:
    """Draw the trades of all symbols in the order in which the gateway sends them."""
    prints: list[Print] = []
    for symbol, pace in s.pace.items():
        number, now, price, top = count(), 0.0, 100.0, 0
        while now < s.length:
            now += rng.expovariate(1 / pace)
            for _ in range(rng.randint(2, 30) if rng.random() < 0.2 else 1):
                if rng.random() > s.same:
                    price = 100.0 + rng.randint(-2, 2)
                size = 1 if rng.random() < s.same else rng.randint(1, 3)
                time = int(now) // s.resolution * s.resolution
                top = max(top, time)
                if s.step_back and rng.random() < 0.03:
                    back = rng.randint(0, s.step_back)
                    time = max(time - back // s.resolution * s.resolution, top - s.step_back)
                prints.append(Print(symbol, next(number), int(now), (BASE + time, price, size, 1)))
                now += rng.expovariate(1 / (3 * US)) * rng.choice([0, 1])
    prints.sort(key=lambda each: (each.sent, each.symbol, each.number))
    return prints


class World:
    """The gateway, the way to it, and the client that asks and tells the splice."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        self.s = s = setting(rng)
        self.tape = tape(rng, s)
        self.start = int(s.length * rng.uniform(0.1, 0.5))
        """When the splice is made."""
        self.old_dies, self.new_dies = self.start + s.old_dies, self.start + s.new_dies
        self.queue: list[tuple[int, int, str, tuple[Any, ...]]] = []
        self.order = count()
        self.arrived = {"old": 0, "new": 0}
        self.subscribed: dict[str, int] = {}
        self.numbers: dict[int, int] = {}
        self.ticks: list[Tick] = []
        self.said: dict[str, dict[str, list[int]]] = {"old": defaultdict(list), "new": defaultdict(list)}
        self.out: dict[str, list[Tick]] = defaultdict(list)
        self.gaps: list[Gap] = []
        self.splice: Splice | None = None
        self.over = {"old": False, "new": True}
        self.held: dict[str, list[Print]] = {"old": [], "new": []}
        self.until = {"old": -1, "new": -1}

    def at(self, when: int, what: str, *about: Any) -> None:
        heappush(self.queue, (when, next(self.order), what, about))

    def send(self, side: str, now: int, what: str, *about: Any) -> None:
        """From the gateway, over a connection."""
        latency = self.s.latencies[side == "new"]
        arrives = max(self.arrived[side], now + latency + int(self.rng.random() * 500 * US))
        self.arrived[side] = arrives
        self.at(arrives, what, side, *about)

    def run(self) -> None:
        """Let it all happen."""
        self.at(self.start, "begin")
        self.at(self.old_dies, "die", "old")
        self.at(self.new_dies, "die", "new")
        self.at(self.start + self.s.timeout, "timeout")
        # Each connection has a server of its own; new's may be behind.
        servers = ("old", 0, iter(self.tape)), ("new", self.s.lag, iter(self.tape))
        coming = [(next(prints), side, lag, prints) for side, lag, prints in servers]
        while True:
            first = min(coming, key=lambda each: each[0].sent + each[2], default=None)
            if first is not None and (not self.queue or first[0].sent + first[2] <= self.queue[0][0]):
                each, side, lag, prints = first
                now = each.sent + lag
                if side == "old" or self.subscribed.get(each.symbol, NEVER) <= now:
                    self.collect(side, each, now)
                coming.remove(first)
                following = next(prints, None)
                if following is not None:
                    coming.append((following, side, lag, prints))
                continue
            if not self.queue:
                break
            now, _, what, about = heappop(self.queue)
            if now >= NEVER:
                break
            if what == "list":
                self.send(about[0], now, "trades", about[1][:])
                about[1].clear()
            elif what == "subscribe":
                self.flush(now, "new")
                self.subscribed[about[0]] = now
                self.send("new", now, "completion", about[0])
            elif what == "ask":
                self.flush(now, about[0])
                self.send(about[0], now, "answer", *about[1:])
            else:
                self.client(now, what, about)

    def collect(self, side: str, each: Print, now: int) -> None:
        """A list of its own, and what follows within a moment is in it too."""
        if now > self.until[side]:
            self.until[side] = now + self.rng.choice([0, 0, 50, 500, 2000]) * US
            self.held[side] = []
            self.at(self.until[side], "list", side, self.held[side])
        self.held[side].append(each)

    def flush(self, now: int, side: str) -> None:
        """What is collected for a list goes out before an answer."""
        if self.held[side]:
            self.send(side, now, "trades", self.held[side][:])
            self.held[side].clear()
        self.until[side] = -1

    def client(self, now: int, what: str, about: tuple[Any, ...]) -> None:
        """What the hub would do."""
        splice = self.splice
        if what == "begin":
            self.splice = Splice(self.s.pace, slack=self.s.slack, since=self.tops())
            self.over["new"] = False
            for symbol in self.s.pace:
                self.at(now + self.s.latencies[1], "subscribe", symbol)
        elif what == "trades":
            side, prints = about
            if self.over[side] or not prints:
                return
            ticks = [Tick(each.symbol, *each.tick) for each in prints]
            self.ticks += ticks
            for each, tick in zip(prints, ticks, strict=True):
                self.numbers[id(tick)] = each.number
                self.said[side][each.symbol].append(each.number)
            if splice is None:
                self.take(ticks)
            else:
                self.take(splice.old(ticks) if side == "old" else splice.new(ticks))
        elif splice is None or self.over.get(str(about[0]) if about else "", False):
            if what == "die" and about[0] == "old":
                self.over["old"] = True
            return
        elif what == "completion" and self.s.completions:
            self.take(splice.new_subscribed(about[1]))
            self.at(now + self.s.latencies[0], "ask", "old", about[1], splice.mark(), 1)
        elif what == "answer":
            side, symbol, mark, again = about
            self.take(splice.old_answered(symbol, mark) if side == "old" else splice.new_answered(symbol, mark))
            if self.s.ask_again and again < 5 and splice.cut(symbol) is None:
                to = "new" if side == "old" else "old"
                self.at(now + self.s.latencies[to == "new"] + 2 * MS, "ask", to, symbol, splice.mark(), again + 1)
        elif what == "die":
            self.end(about[0])
        elif what == "timeout" and not self.over["old"] and not self.over["new"]:
            self.take(splice.settle())
            if splice.aborted:
                self.over["new"] = True
        if self.splice is not None and what != "begin" and not self.over["old"] and not self.over["new"]:
            assert self.splice is not None
            if not self.splice.pending:
                self.end("old")

    def end(self, side: str) -> None:
        assert self.splice is not None
        if self.over[side]:
            return
        self.over[side] = True
        self.take(self.splice.old_lost() if side == "old" else self.splice.new_lost())
        if self.over["old"] and self.over["new"]:  # the loss of a feed, which its hub tells of
            self.gaps += [Gap(symbol, top - self.s.slack, ONGOING, "lost") for symbol, top in self.tops().items()]

    def take(self, ticks: list[Tick]) -> None:
        if self.splice is not None:
            self.gaps += self.splice.gaps()
        for tick in ticks:
            self.out[tick.symbol].append(tick)

    def tops(self) -> dict[str, int]:
        return {symbol: max(tick.time for tick in ticks) for symbol, ticks in self.out.items()}

    # --- the judge

    def judge(self, symbol: str) -> Verdict:
        """Compare what came out with what was said."""
        assert self.splice is not None
        how = self.splice.cut(symbol) or "kept"
        old, new = self.said["old"][symbol], self.said["new"][symbol]
        due = sorted({*old, *new})
        out = [self.numbers[id(tick)] for tick in self.out[symbol]]
        if how != "uncertain":
            if out == due and (not due or due == list(range(due[0], due[-1] + 1))):
                return Verdict(how, "", "")
            if how == "certain" or self.over["old"] is False:
                return Verdict(how, differs(out, due), "")
        times = {each.number: each.tick[0] for each in self.tape if each.symbol == symbol}
        covered = [(gap.start, gap.end) for gap in self.gaps if gap.symbol == symbol]
        came = Counter(out)
        last = max([*due, -1])
        first = min(due, default=0)
        odd = [number for number in range(first, last + 1) if came[number] != 1]
        bare = [n for n in odd if not any(start <= times[n] <= end for start, end in covered)]
        wrong = f"{len(bare)} of {len(odd)} lost or doubled outside of the gaps" if bare else ""
        return Verdict(how, wrong, "odd" if odd else "disorder" if out != due else "")


def differs(out: list[int], due: list[int]) -> str:
    """Say how."""
    came, holes = Counter(out), [n for n, m in pairwise(due) if m > n + 1]
    lost, doubled = [n for n in due if not came[n]], [n for n in came if came[n] > 1]
    return f"lost {lost[:9]} doubled {doubled[:9]} in order {out == sorted(out)} holes after {holes}"


def runs(seeds: range) -> tuple[Counter[str], list[tuple[int, str, Verdict]]]:
    """Run; return how often each thing happened, and what was wrong."""
    counts: Counter[str] = Counter()
    wrong: list[tuple[int, str, Verdict]] = []
    for seed in seeds:
        world = World(seed)
        world.run()
        if world.splice is None:
            counts["no splice"] += 1
            continue
        for symbol in world.s.pace:
            verdict = world.judge(symbol)
            kind = "behind" if world.s.lag else "both live" if world.s.old_dies == world.s.new_dies == NEVER else "loss"
            counts[f"{kind}: {verdict.how}{' ' + verdict.worth if verdict.worth else ''}"] += 1
            if verdict.wrong:
                wrong.append((seed, symbol, verdict))
    return counts, wrong


def main() -> None:
    """Run as many as the command line says, and print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts, wrong = runs(range(first, first + number))
    for what, times in sorted(counts.items()):
        print(f"{times:8} {what}")
    for seed, symbol, verdict in wrong[:20]:
        print(seed, symbol, verdict)
    print(f"{len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
