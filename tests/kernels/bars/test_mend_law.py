"""The law of repair: ticks are lost, gaps told, history asked at any moment; the table ends as the whole tape would make it."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.model import ONGOING, Bar, Flag, Gap, Repair, Tick
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests import oracle_bars as oracle
from tests.builders import HOUR, MINUTE, T0, frame, frame_lane

MARKETS: dict[str, oracle.Market] = {"CME": oracle.CME, "24x7": oracle.always("UTC")}
TIMEFRAMES = (
    ("1s", "1m", "1h"), ("1s",), ("2m", "5m"), ("1s", "5s", "1m", "4h", "1d"), ("1s", "1d"), ("1m", "7m", "1d", "1w"),
    ("90s", "1m"), ("1s", "2s", "5s"),
)  # fmt: skip
STEPS = (0, 0, SECOND // 4, SECOND, 7 * SECOND, 40 * SECOND, 3 * MINUTE, 20 * MINUTE)


class Hole(NamedTuple):
    """A gap, by which level it is mended (None: not), and what was lost."""

    symbol: str
    first: int
    last: int
    level: int | None
    lost: frozenset[int]


@dataclass
class Tape:
    """What happened: ticks in order of arrival, those that were lost, and when gaps and repairs are told."""

    timeframes: tuple[str, ...]
    market: str
    lateness: int
    horizon: int
    ticks: list[Tick]
    holes: list[Hole] = field(default_factory=list[Hole])
    events: list[Any] = field(default_factory=list[Any])

    def kernel(self, fast: bool) -> BarsKernel:
        windows = Windows(*self.timeframes, session=self.market)
        return BarsKernel(windows, lateness=self.lateness, horizon=self.horizon, fast=fast, mends=True)

    def window(self, timeframe: str, time: int) -> oracle.Window:
        found = oracle.window(MARKETS[self.market], timeframe, "session", time)
        assert found is not None
        return found

    def hull(self, timeframe: str, hole: Hole) -> tuple[int, int]:
        """The whole windows that a gap touches."""
        return self.window(timeframe, hole.first).start, self.window(timeframe, hole.last).end

    def history(self, timeframe: str, hole: Hole) -> Repair:
        start, end = self.hull(timeframe, hole)
        groups: dict[oracle.Window, list[Tick]] = {}
        for tick in self.ticks:
            if tick.symbol == hole.symbol and start <= tick.time < end:
                groups.setdefault(self.window(timeframe, tick.time), []).append(tick)
        bars = [
            Bar(hole.symbol, timeframe, w.start, w.end, *prices(ticks), *[None] * 8, date.min)  # pyright: ignore
            for w, ticks in groups.items()
        ]
        return Repair(Gap(hole.symbol, hole.first, hole.last, "test"), timeframe, start, end, tuple(bars))


def prices(ticks: list[Tick]) -> tuple[float, float, float, float, int]:
    ordered = sorted(ticks, key=lambda t: (t.time, t.seq))
    all_ = [t.price for t in ordered]
    return all_[0], max(all_), min(all_), all_[-1], sum(t.size for t in ordered)


def random_tape(seed: int, rows: int) -> Tape:
    rng = random.Random(seed)
    lateness = rng.choice((0, 0, SECOND // 2, 5 * SECOND, 90 * SECOND))
    horizon = rng.choice((10 * SECOND, 10 * MINUTE, 10 * MINUTE, 2 * HOUR))
    now, made = T0 + rng.randrange(-3, 3) * HOUR - rng.randrange(100) * SECOND, list[tuple[int, int, Tick]]()
    steps = STEPS[: rng.randrange(3, len(STEPS) + 1)]
    for seq in range(rows):
        now += rng.choice(steps)
        delay = rng.choice((0, 0, 0, 0, SECOND, horizon // 3))
        tick = Tick(rng.choice("AAAB"), now, rng.randrange(1, 40) / 4, rng.randrange(1, 9), rng.randrange(3), seq)
        made.append((now + delay, seq, tick))
    made.sort()
    return Tape(rng.choice(TIMEFRAMES), rng.choice(sorted(MARKETS)), lateness, horizon, [t for *_, t in made])


def with_holes(tape: Tape, seed: int) -> Tape:
    """Lose stretches, and tell of them and of history at moments that the seed chooses."""
    rng = random.Random(seed)
    probe = tape.kernel(fast=False).plan
    extra: dict[int, list[Any]] = {}
    lost: set[int] = set()
    at = 0
    last_wanted: list[tuple[int, Hole, Repair]] = []
    n = len(tape.ticks)
    newest: dict[str, int] = {}
    while at < n and rng.random() < 0.8:
        begin = at + rng.randrange(1, max(2, n // 3))
        end = begin + rng.randrange(0, max(2, n // 4))
        at = end
        for symbol in rng.choice(("A", "A", "AB")):
            own = [i for i, t in enumerate(tape.ticks) if t.symbol == symbol]
            gone = [i for i in own if begin <= i < end and i not in lost]
            before = [i for i in own if i < begin and i not in lost]
            after = [i for i in own if i >= end]
            if not before or not after:
                continue
            at = max(at, after[0] + 1)
            first = min(tape.ticks[i].time for i in [*gone, before[-1]])
            if any(hole.symbol == symbol and hole.first == first for hole in tape.holes):
                continue  # a gap is known by its start
            last = max(first, *(tape.ticks[i].time for i in [*gone, after[0]]))
            levels = [None, 0, 0, 0] + [1] * (len(probe.names) > 1 and probe.names[1] not in ("1d", "1w"))
            hole = Hole(symbol, first, last, rng.choice(levels), frozenset(gone))
            lost |= set(gone)
            tape.holes.append(hole)
            gap = Gap(symbol, first, last, "test")

            here = [i for i in own if i not in lost]

            def in_time(place: int, first: int = first, here: list[int] = here) -> bool:
                """Whether nothing that the gap touches is past the horizon, wherever marks may have brought the watermark."""
                marked = max((tape.ticks[i].time for i in here if i < place), default=0)
                return tape.window(probe.names[0], first).end > marked - tape.horizon * 2 // 3

            told = after[0] + 1 + rng.randrange(0, 6)
            lasts = not in_time(min(told, n)) or rng.random() < 0.5
            if lasts:
                extra.setdefault(begin, []).append(Gap(symbol, first, ONGOING, "test"))
            else:
                told = told if rng.random() < 0.5 else after[0]
            # Else a repair alone tells of it, as soon as it may; it comes again later.
            by_repair = hole.level is not None and not lasts and rng.random() < 0.3
            if not by_repair:
                extra.setdefault(min(told, n), []).append(gap)
            if hole.level is not None:
                repair = tape.history(probe.names[hole.level], hole)
                for _ in range(rng.choice((0, 1, 1, 2))):
                    extra.setdefault(rng.randrange(min(told, n), n + 1), []).append(repair)
                if by_repair:
                    extra.setdefault(min(told, n), []).append(repair)
                last_wanted.append((repair.end, hole, repair))
    for i, tick in enumerate(tape.ticks):
        tape.events += extra.get(i, [])
        if i not in lost:
            tape.events.append(tick)
            newest[tick.symbol] = max(newest.get(tick.symbol, 0), tick.time)
            if rng.random() < 0.05:  # not so far that what a gap touches would be past the horizon before it is told
                tape.events.append(min(tick.time, min(newest.values()) + tape.horizon // 3))
    tape.events += extra.get(n, [])
    if last_wanted:
        # Whatever came too early comes again once its windows are over.
        tape.events.append(max(end for end, *_ in last_wanted) + tape.lateness)
        tape.events += [repair for *_, repair in last_wanted]
    return tape


def run(tape: Tape, seed: int, ways: str, pieces: tuple[int, ...], fast: bool, moves: float) -> tuple[BarsKernel, list[Bar]]:
    rng = random.Random(seed)
    kernel, out, fed = tape.kernel(fast), list[Bar](), 0
    at = 0
    while at < len(tape.events):
        event = tape.events[at]
        at += 1
        if isinstance(event, Gap):
            out += kernel.gap(event)
        elif isinstance(event, Repair):
            out += kernel.replace(event)
        elif isinstance(event, int):
            out += kernel.mark(event)
        else:
            ticks = [event]
            limit = rng.choice(pieces)
            while at < len(tape.events) and len(ticks) < limit and isinstance(tape.events[at], Tick):
                ticks.append(tape.events[at])
                at += 1
            fed += len(ticks)
            way = rng.choice(ways)
            if way == "t":
                for tick in ticks:
                    out += kernel.tick(tick) or []
            elif way == "r":
                kernel.run(ticks, out)
            elif way == "f":
                out += kernel.frame(frame(ticks))
            else:
                found = kernel.frame_to_frame(frame(ticks))
                out += [] if found is None else found.rows()
        if moves and rng.random() < moves:
            fresh = tape.kernel(fast)
            fresh.restore(kernel.snapshot())
            assert (fresh.stats, fresh.mended, fresh.watermarks()) == (kernel.stats, kernel.mended, kernel.watermarks())
            kernel = fresh
        stats = kernel.stats
        assert stats.received == fed == stats.closed + stats.open + stats.rejected + stats.outside_session
    out += kernel.finish()
    return kernel, out


def expected(tape: Tape, kernel: BarsKernel) -> dict[tuple[str, str, int], tuple[Any, ...]]:
    """By the tape alone, each bar: its end, open to volume, flags, and its count where only live ticks made it."""
    lost = frozenset[int]().union(*(hole.lost for hole in tape.holes))
    live = [e for e in tape.events if isinstance(e, Tick)]
    began = live[0].time if live else 0
    plan = kernel.plan
    above: list[set[int]] = [{i} for i in range(len(plan.names))]
    for i, source in enumerate(plan.sources):
        for reach in above:
            if i and source in reach:
                reach.add(i)
    table: dict[tuple[str, str, int], tuple[Any, ...]] = {}
    for level, timeframe in enumerate(plan.names):
        if not plan.emitted[level]:
            continue
        for symbol in "AB":
            holes = [hole for hole in tape.holes if hole.symbol == symbol]
            cover = [
                tape.hull(plan.names[hole.level], hole)
                for hole in holes if hole.level is not None and level in above[hole.level]
            ]  # fmt: skip
            groups: dict[oracle.Window, list[Tick]] = {}
            for i, tick in enumerate(tape.ticks):
                if tick.symbol == symbol and (i not in lost or any(lo <= tick.time < hi for lo, hi in cover)):
                    groups.setdefault(tape.window(timeframe, tick.time), []).append(tick)
            for window, ticks in groups.items():
                start, end = window.start, window.end
                open_ = [(h.first, h.last + 1) for h in holes] + [(start, began)] * (start < began)
                left = [(max(lo, start), min(hi, end)) for lo, hi in open_ if lo < end and hi > start]
                gap = any(not_covered(lo, hi, cover) for lo, hi in left)
                mended = any(lo < end and hi > start for lo, hi in cover)
                flags = Flag.GAP * gap | Flag.REPAIRED * mended
                table[symbol, timeframe, start] = (end, *prices(ticks), int(flags), None if mended else len(ticks))
    return table


def not_covered(lo: int, hi: int, cover: list[tuple[int, int]]) -> bool:
    for first, last in sorted(cover):
        if first <= lo < last:
            lo = last
    return lo < hi


Lane = Literal["plain", "fast"]


def check(seed: int, rows: int, ways: str, pieces: tuple[int, ...], lane: Any, fast: bool, moves: float) -> None:
    tape = with_holes(random_tape(seed, rows), seed)
    with lane:
        kernel, out = run(tape, seed, ways, pieces, fast, moves)
    table: dict[tuple[str, str, int], Bar] = {}
    for bar in out:
        last = table.get(bar.identity)
        assert bar.revision > (-1 if last is None else last.revision), (bar, last)
        table[bar.identity] = bar
    want = expected(tape, kernel)
    kept = Flag.GAP | Flag.REPAIRED
    got = {
        key: (
            b.end,
            b.open,
            b.high,
            b.low,
            b.close,
            b.volume,
            int(b.flags & kept),
            None if b.flags & Flag.REPAIRED else b.count,
        )
        for key, b in table.items()
    }
    assert got.keys() == want.keys(), sorted(got.keys() ^ want.keys())
    for key, value in want.items():
        assert got[key] == value, (key, got[key], value)
    assert kernel.mended.disagreements == 0
    assert set(kernel.rejected) <= {"repaired"}


WAYS = st.sampled_from(("t", "r", "f", "c", "tr", "fc", "trfc"))
PIECES = st.sampled_from(((1,), (2, 3), (1, 2, 5, 9), (100,)))
LANES = st.sampled_from((None, (1, 3), (1, 65_536), (3, 100)))


@settings(max_examples=250)
@given(st.integers(0, 2**32), st.integers(2, 60), WAYS, PIECES, LANES)
def test_any_loss_told_and_mended_at_any_moment(
    seed: int, rows: int, ways: str, pieces: tuple[int, ...], lane: tuple[int, int] | None
) -> None:
    check(seed, rows, ways, pieces, nullcontext() if lane is None else frame_lane(*lane), False, 0.0)


@settings(max_examples=80)
@given(st.integers(0, 2**32), st.integers(2, 40), WAYS, PIECES)
def test_a_snapshot_holds_gaps_and_history(seed: int, rows: int, ways: str, pieces: tuple[int, ...]) -> None:
    check(seed, rows, ways, pieces, frame_lane(1), False, 0.3)


@pytest.mark.parametrize("seed", range(25))
def test_compiled_loops_mend_alike(seed: int) -> None:
    pytest.importorskip("numba", reason="numba (extra fast) is not installed")
    check(seed, 80, "fcc", (1, 7, 40), frame_lane(1, 50), True, 0.05)
