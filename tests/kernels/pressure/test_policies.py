"""Each policy against a plain model, step by step: what waits, in which order, and what became of every tick."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rxfeed import overflow
from rxfeed.frame import Frame, is_frame
from rxfeed.kernels.pressure.backlog import Backlog, PressureStats
from rxfeed.kernels.pressure.make import backlog
from rxfeed.model import Bar, Tick
from rxfeed.times import SECOND
from tests.builders import T0, bar, tick

CAPACITY = 10


def uncut(block: Any) -> list[Any]:
    return block.rows() if is_frame(block) else list(block)


class Dropping(RuleBasedStateMachine):
    """`error`, `drop_oldest`, `drop_latest` and `latest`: a list of what waits says it all."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Tick] = []
        self.received = self.emitted = self.dropped = self.count = 0
        self.lost: dict[str, list[int]] = defaultdict(list)
        self.kernel: Backlog | None = None
        self.capacity = self.most = CAPACITY
        self.over = False

    @precondition(lambda self: self.kernel is None)
    @rule(policy=st.sampled_from(["error", "drop_oldest", "drop_latest", "latest"]))
    def make(self, policy: Any) -> None:
        self.policy = policy
        self.kernel = backlog(CAPACITY, policy)

    def ticks(self, count: int) -> list[Tick]:
        made = [tick(self.count + i, 100.0, symbol="AB"[(self.count + i) % 2], seq=self.count + i) for i in range(count)]
        self.count += count
        return made

    @precondition(lambda self: self.kernel is not None and not self.over)
    @rule(count=st.integers(1, 130), how=st.sampled_from(["single", "run", "single", "run", "frame"]))
    def put(self, count: int, how: str) -> None:
        assert self.kernel is not None
        count = count if how == "run" or count < 2 * CAPACITY else count % CAPACITY + 1
        elements = self.ticks(count)
        if how == "single":
            for each in elements:
                if not self.over:
                    self.take_in([each], self.kernel.put(each))
        else:
            taken = self.kernel.run(elements) if how == "run" else self.kernel.put(Frame.of(elements))
            self.take_in(elements, taken, frame=how == "frame")

    def take_in(self, elements: list[Tick], taken: bool, *, frame: bool = False) -> None:
        self.received += len(elements)
        most, everything = self.capacity, self.waiting + elements
        lost: list[Tick] = []
        if self.policy == "latest":
            keep = min(most if frame else 1, len(elements))
            lost, self.waiting = self.waiting + elements[:-keep], elements[-keep:]
        elif self.policy == "drop_oldest":
            lost, self.waiting = everything[:-most], everything[-most:]
        else:
            lost, self.waiting = everything[most:], everything[:most]
        assert taken == (self.policy != "error" or not lost)
        self.over = not taken
        self.drop(lost)

    def drop(self, lost: list[Tick]) -> None:
        self.dropped += len(lost)
        for each in lost:
            self.lost[each.symbol].append(each.time)

    @precondition(lambda self: bool(self.kernel))
    @rule(most=st.integers(1, 12))
    def take(self, most: int) -> None:
        assert self.kernel
        got = uncut(self.kernel.take(most))
        assert 1 <= len(got) <= most
        assert got == self.waiting[: len(got)]
        del self.waiting[: len(got)]
        self.emitted += len(got)

    @precondition(lambda self: bool(self.kernel))
    @rule(most=st.integers(2, 12))
    def take_and_not_hand_on(self, most: int) -> None:
        assert self.kernel
        got: Any = self.kernel.take(most)
        rest = got.slice(1, len(got) - 1) if is_frame(got) else got[1:]
        self.kernel.unsent(rest)
        del self.waiting[: len(got)]
        self.emitted += 1
        self.dropped += len(got) - 1

    @precondition(lambda self: self.kernel is not None)
    @rule(most=st.integers(3, 15))
    def resize(self, most: int) -> None:
        assert self.kernel is not None
        self.kernel.resize(most)  # what waits beyond it stays until more comes
        self.capacity, self.most = most, max(self.most, most)

    @precondition(lambda self: self.kernel is not None)
    @rule()
    def ask_for_gaps(self) -> None:
        assert self.kernel is not None
        found = {gap.symbol: (gap.start, gap.end, gap.cause) for gap in self.kernel.take_gaps()}
        assert found == {s: (min(t), max(t), f"overload: {len(t)} dropped") for s, t in self.lost.items()}
        self.lost.clear()

    @precondition(lambda self: self.kernel is not None)
    @rule()
    def clear(self) -> None:
        assert self.kernel is not None
        self.kernel.clear()
        self.dropped += len(self.waiting)
        self.waiting.clear()

    @invariant()
    def all_is_accounted_for(self) -> None:
        if self.kernel is not None:
            assert self.kernel.stats[:5] == (self.received, self.emitted, 0, self.dropped, len(self.waiting))
            assert bool(self.kernel) == bool(self.waiting)
            assert len(self.waiting) <= self.kernel.stats.high_water <= self.most


class Newest(RuleBasedStateMachine):
    """`newest`: those that have a newer one go first, the one that was replaced first before the others; then the oldest."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = backlog(4, "newest")
        self.waiting: list[Bar] = []
        self.older: list[Bar] = []
        self.counts = [0, 0, 0, 0]
        self.revision = 0

    @rule(window=st.integers(0, 6), symbol=st.sampled_from("AB"))
    def put(self, window: int, symbol: str) -> None:
        self.revision += 1
        one = bar(symbol=symbol, start=T0 + window * SECOND, revision=self.revision)
        assert self.kernel.put(one)
        self.counts[0] += 1
        self.older += [each for each in self.waiting if each.identity == one.identity and each not in self.older]
        self.waiting.append(one)
        if len(self.waiting) > 4:
            gone = self.older[0] if self.older else self.waiting[0]
            self.counts[2 if self.older else 3] += 1
            self.waiting.remove(gone)
            if gone in self.older:
                self.older.remove(gone)

    @precondition(lambda self: bool(self.waiting))
    @rule(most=st.integers(1, 5))
    def take(self, most: int) -> None:
        got = uncut(self.kernel.take(most))
        assert got == self.waiting[:most]
        del self.waiting[:most]
        self.older = [each for each in self.older if each in self.waiting]
        self.counts[1] += len(got)

    @rule()
    def clear(self) -> None:
        self.kernel.clear()
        self.counts[3] += len(self.waiting)
        self.waiting.clear()
        self.older.clear()

    @invariant()
    def all_is_accounted_for(self) -> None:
        assert self.kernel.stats[:5] == (*self.counts, len(self.waiting))


WINDOW = 60 * SECOND


class Sampled(RuleBasedStateMachine):
    """`sample`: of each window what came first, last, highest and lowest is there; the newest are all there; in order."""

    def __init__(self) -> None:
        super().__init__()
        self.capacity = self.most = self.least = 60
        self.kernel = backlog(self.capacity, overflow.sample("60s"))
        self.came: list[Tick] = []
        self.out: list[Tick] = []
        self.frames = False

    @rule(
        count=st.integers(1, 120),
        seed=st.integers(0, 1 << 16),
        how=st.sampled_from(["single", "run", "single", "run", "frame"]),
    )
    def put(self, count: int, seed: int, how: str) -> None:
        random = Random(seed)
        now = self.came[-1].time if self.came else T0
        made: list[Tick] = []
        for _ in range(count):
            now += random.randrange(200) * SECOND // 1_000
            made.append(Tick(random.choice("AB"), now, random.randrange(900, 1_100) / 10, 1, 0, len(self.came) + len(made)))
        self.frames = self.frames or (how == "frame" and not self.came)  # a stream is of rows or of frames
        self.came += made
        self.most = self.capacity
        if self.frames:
            assert self.kernel.put(Frame.of(made))
        elif how == "single":
            assert all(self.kernel.put(each) for each in made)
        else:
            assert self.kernel.run(made)

    @precondition(lambda self: bool(self.kernel))
    @rule(most=st.integers(1, 40))
    def take(self, most: int) -> None:
        got = uncut(self.kernel.take(most))
        assert 1 <= len(got) <= most
        self.out += got

    @rule(capacity=st.integers(30, 90))
    def resize(self, capacity: int) -> None:
        self.kernel.resize(capacity)
        self.capacity, self.most, self.least = capacity, max(self.most, capacity), min(self.least, capacity)

    @invariant()
    def all_is_accounted_for(self) -> None:
        stats = self.kernel.stats
        assert stats.received == len(self.came)
        assert stats.emitted == len(self.out)
        assert stats.received == stats.emitted + stats.dropped + stats.pending
        assert stats.conflated == 0
        assert stats.pending <= self.most

    def teardown(self) -> None:
        pending = self.kernel.stats.pending
        lost = self.kernel.take_gaps()
        rest: list[Tick] = []
        while self.kernel:
            rest += uncut(self.kernel.take(1_000))
        assert len(rest) == pending
        self.out += rest
        order = [t.seq for t in self.out]
        assert order == sorted(set(order))
        there = set(order)
        gone = [t for t in self.came if t.seq not in there]
        for symbol in {t.symbol for t in gone}:
            times = [t.time for t in gone if t.symbol == symbol]
            bounds = next((gap.start, gap.end, gap.cause) for gap in lost if gap.symbol == symbol)
            assert bounds == (min(times), max(times), f"overload: {len(times)} dropped")
        windows: dict[tuple[str, int], list[Tick]] = defaultdict(list)
        for each in self.came:
            windows[each.symbol, each.time // WINDOW].append(each)
        if 4 * len(windows) > self.least * 0.6:
            return  # then even those may have had to go
        for ticks in windows.values():
            assert {ticks[0].seq, ticks[-1].seq} <= there
            kept = [t.price for t in ticks if t.seq in there]
            assert (max(kept), min(kept)) == (max(t.price for t in ticks), min(t.price for t in ticks))


TestDropping = Dropping.TestCase
TestNewest = Newest.TestCase
TestSampled = Sampled.TestCase
Dropping.TestCase.settings = Newest.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
Sampled.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)


def test_the_newest_share_stays_whole_and_the_older_are_thinned_evenly() -> None:
    kernel = backlog(1_000, overflow.sample("1h"))
    made = [tick(n / 1_000, 100.0 + n % 7, seq=n) for n in range(5_000)]
    for each in made:
        kernel.put(each)
    got = [t.seq for t in uncut_all(kernel)]
    assert set(range(4_700, 5_000)) <= set(got)
    assert got[0] == 0
    old = [seq for seq in got if seq < 4_700]
    assert 200 < len(old) <= 700
    # No stretch of the older ones is without any.
    assert max(b - a for a, b in pairwise(old)) < 500


def uncut_all(kernel: Backlog) -> list[Any]:
    out: list[Any] = []
    while kernel:
        out += uncut(kernel.take(10_000))
    return out


def test_frames_of_bars_keep_the_newest_of_each() -> None:
    kernel = backlog(3, "newest")
    first = Frame.of([bar(start=T0 + n * SECOND, end=T0 + (n + 1) * SECOND) for n in range(3)])
    second = Frame.of([bar(start=T0 + n * SECOND, end=T0 + (n + 1) * SECOND, revision=1) for n in (1, 2)])
    assert kernel.put(first)
    assert kernel.put(second)
    got = uncut_all(kernel)
    assert [((b.start - T0) // SECOND, b.revision) for b in got] == [(0, 0), (1, 1), (2, 1)]
    assert kernel.stats == PressureStats(5, 3, 2, 0, 0, 3)


@pytest.mark.parametrize(
    ("policy", "element", "text"),
    [
        ("newest", tick(), "backpressure by 'newest' takes Bar or .*, got Tick"),
        (overflow.sample("1s"), bar(), r"by 'sample' takes Tick or Frame\[Tick\], got Bar"),
        (overflow.sample("1s"), Frame.of([bar()]), r"got Frame\[Bar\]"),
        (overflow.conflate("1s"), 3, r"by 'conflate' takes Tick, Frame\[Tick\] or partial Bar, got int"),
        (overflow.conflate("1s"), Frame.of([bar()]), r"got Frame\[Bar\]"),
    ],
)
def test_what_a_policy_cannot_take_is_refused(policy: Any, element: Any, text: str) -> None:
    kernel = backlog(3, policy)
    with pytest.raises(TypeError, match=text):
        kernel.run([element]) if policy == "newest" else kernel.put(element)
    assert kernel.stats == PressureStats(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("capacity", [0, -1, True, 2.5, "9", None])
@pytest.mark.parametrize("policy", ["error", "newest", overflow.conflate("1s"), overflow.sample("1s")])
def test_an_impossible_capacity_is_refused(policy: Any, capacity: Any) -> None:
    with pytest.raises(ValueError, match="capacity must be"):
        backlog(capacity, policy)


@pytest.mark.parametrize("policy", ["error", "drop_oldest", overflow.conflate("1s"), overflow.sample("1s")])
def test_pressure_is_noticed_once_until_there_is_room_again(policy: Any) -> None:
    kernel = backlog(100, policy)
    made = iter([tick(n / 10, seq=n) for n in range(1_000)])

    def put(count: int) -> list[str]:
        for _ in range(count):
            kernel.put(next(made))
        told, kernel.notices = kernel.notices, []
        return list(told)

    assert put(94) == []
    assert put(1) == ["pressed"]
    assert put(5) == []
    kernel.take(29)
    assert put(0) == []
    kernel.take(1)
    assert put(0) == ["relieved"]
    assert put(24) == []
    assert put(1) == ["pressed"]
    assert put(5) == []
    assert put(50) == ["overflowed"]
    assert put(50) == []


def test_latest_knows_no_pressure() -> None:
    kernel = backlog(1, "latest")
    for n in range(9):
        kernel.put(tick(n))
    assert kernel.notices == []
