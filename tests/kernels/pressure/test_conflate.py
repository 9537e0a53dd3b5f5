"""The law of `conflate`: whatever waits and is merged, the bars are those of the ticks without pressure, bit for bit."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed import overflow
from rxfeed.errors import PartialRefused
from rxfeed.frame import Frame, is_frame
from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.kernels.pressure.backlog import Backlog
from rxfeed.kernels.pressure.make import backlog
from rxfeed.model import Bar, Flag, Tick
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import T0, bar, tick

WINDOWS = Windows("1s", "5s", "1m", session="CME")


def final(bars: list[Bar]) -> dict[tuple[str, str, int], Bar]:
    """What the law promises: the last of each identity, but for its revision and that it says it was conflated."""
    return {each.identity: msgspec.structs.replace(each, revision=0, flags=each.flags & ~Flag.CONFLATED) for each in bars}


def fed(kernel: BarsKernel, elements: list[Any]) -> list[Bar]:
    out: list[Bar] = []
    for each in elements:
        if is_frame(each):
            out += kernel.frame(each)
        else:
            out += kernel.partial(each) if isinstance(each, Bar) else kernel.tick(each) or []
    return out


def tape(random: Random, count: int) -> list[Tick]:
    """Equal times, steps back, prices that are no numbers, and times at which the market is closed."""
    made: list[Tick] = []
    now = T0
    for seq in range(count):
        now += random.choice([0, 0, 1, 5, 40]) * SECOND // 1_000
        if random.random() < 0.001:
            now += 3_600 * 11 * SECOND
        time = now - random.choice([0] * 60 + [1, 700, 3_000, 90_000]) * SECOND // 1_000
        price = float("nan") if random.random() < 0.02 else random.randrange(400, 480) / 4
        if made and made[-1].time == time and random.random() < 0.5:  # the later number first
            made[-1], seq = msgspec.structs.replace(made[-1], seq=seq), made[-1].seq
        made.append(Tick(random.choice("AAB"), time, price, random.randrange(1, 9), random.randrange(3), seq))
    return made


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1 << 32), capacity=st.integers(60, 160), horizon=st.sampled_from([0, 1, 2 * SECOND, 600 * SECOND]),
    how=st.sampled_from(["single", "run", "run", "frame", "twice"]),
)  # fmt: skip
def test_bars_are_the_same_as_without_pressure(seed: int, capacity: int, horizon: int, how: str) -> None:
    random = Random(seed)
    ticks = tape(random, 500)
    kernel = backlog(capacity, overflow.conflate(WINDOWS))
    behind = backlog(capacity, overflow.conflate(WINDOWS))
    got: list[Any] = []
    at = 0
    while at < len(ticks) or kernel:
        piece = ticks[at : at + random.randrange(90)]
        at += len(piece)
        if how == "single":
            for each in piece:
                kernel.put(each)
        elif piece:
            kernel.put(Frame.of(piece)) if how == "frame" else kernel.run(piece)
        for _ in range(random.randrange(3 if at < len(ticks) else 30)):
            if not kernel:
                break
            block = kernel.take(random.randrange(1, 20))
            if how == "twice":
                for each in block:
                    behind.put(each)
            else:
                got += [block] if is_frame(block) else block
        for each in (kernel, behind):
            stats = each.stats
            assert stats.received == stats.emitted + stats.conflated + stats.dropped + stats.pending
            assert each.load <= stats.high_water <= capacity
    while behind:
        got += behind.take(1_000)
    dropped = kernel.stats.dropped + behind.stats.dropped
    if dropped:
        return  # so many steps back that not even what is merged fits
    without, pressed = (BarsKernel(WINDOWS, horizon=horizon) for _ in range(2))
    expected = final(fed(without, list(ticks)) + without.finish())
    assert final(fed(pressed, got) + pressed.finish()) == expected
    assert pressed.stats == without.stats
    assert pressed.rejected == without.rejected


def test_the_law_is_tried_and_not_only_passed_by() -> None:
    merged = whole = 0
    for seed in range(40):
        random = Random(seed)
        kernel = backlog(160, overflow.conflate(WINDOWS))
        kernel.run(tape(random, 500))
        while kernel:
            kernel.take(100)
        merged += kernel.stats.conflated
        whole += not kernel.stats.dropped
    assert merged > 4_000
    assert whole > 20


def held(kernel: Backlog) -> list[Any]:
    out: list[Any] = []
    while kernel:
        out += kernel.take(100)
    return out


def test_what_waits_longest_is_merged_and_the_newest_stay_whole() -> None:
    kernel = backlog(8, overflow.conflate("1s"))
    for n in range(20):
        kernel.put(tick(n / 10, 100.0 + n, seq=n))
    got = held(kernel)
    assert [each.count if isinstance(each, Bar) else each.seq for each in got] == [10, 4, 14, 15, 16, 17, 18, 19]
    first = got[0]
    assert (first.timeframe, first.start, first.end) == ("1s", T0, T0 + SECOND)
    assert (first.open, first.high, first.low, first.close, first.volume) == (100, 109, 100, 109, 10)
    assert first.flags == Flag.CONFLATED
    assert kernel.stats == (20, 6, 14, 0, 0, 8)


def test_one_tick_alone_stays_a_tick() -> None:
    kernel = backlog(4, overflow.conflate("1s"))
    for n in range(8):
        kernel.put(tick(n * 0.6, seq=n))
    assert kernel.stats.conflated == 0
    got = held(kernel)
    assert all(isinstance(each, Tick) or each.count == 2 for each in got)


def test_when_not_even_that_is_enough_the_oldest_go_and_are_a_gap() -> None:
    kernel = backlog(4, overflow.conflate("1s"))
    for n in range(12):
        kernel.put(tick(n * 2, seq=n))
    assert [(gap.symbol, gap.start, gap.end) for gap in kernel.take_gaps()] == [("A", T0, T0 + 14 * SECOND)]
    assert [each.seq for each in held(kernel)] == [8, 9, 10, 11]
    assert kernel.stats == (12, 4, 0, 8, 0, 4)


def test_a_symbol_is_merged_in_its_own_session() -> None:
    windows = Windows("1h", session="CME")
    from rxfeed.instrument import Instrument

    policy = overflow.conflate(windows, instruments=[Instrument("B", session="24x7")])
    assert policy.grid("A").session.name == "CME"
    assert policy.grid("B").session.name == "24x7"


@pytest.mark.parametrize(
    ("one", "text"),
    [(bar(revision=1), "revision 0, or ticks would count twice, got 1"), (bar(count=None), "from history is not merged")],
)
def test_bars_that_cannot_be_merged_are_refused(one: Bar, text: str) -> None:
    kernel = backlog(4, overflow.conflate("1s"))
    with pytest.raises(PartialRefused, match=text):
        kernel.put(one)
    assert kernel.stats == (0, 0, 0, 0, 0, 0)


def test_what_was_not_handed_on_is_dropped() -> None:
    kernel = backlog(8, overflow.conflate("1s"))
    for n in range(20):
        kernel.put(tick(n / 10, seq=n))
    block = kernel.take(3)
    kernel.unsent(block)
    stats = kernel.stats
    assert stats.received == stats.emitted + stats.conflated + stats.dropped + stats.pending
    assert (stats.emitted, stats.conflated) == (0, 0)
    kernel.clear()
    assert kernel.stats == (20, 0, 0, 20, 0, 8)


def test_what_steps_back_behind_a_tick_that_is_gone_already_is_not_merged() -> None:
    kernel = backlog(6, overflow.conflate("1s"))
    kernel.put(Frame.of([tick(0.9, seq=0)]))
    kernel.take(1)
    kernel.run([tick(at, seq=seq) for seq, at in enumerate((0.1, 0.2, 0.91, 0.92, 0.93, 0.94, 0.95), 1)])
    got = held(kernel)
    # With a horizon of 0 bars refuse these two, and no others.
    assert [each.seq for each in got[:2]] == [1, 2]
    assert got[2].count == 2


def test_of_equal_times_the_number_decides_which_is_first_and_last() -> None:
    kernel = backlog(1, overflow.conflate("1s"))
    kernel.run([tick(0.5, 100.0 + seq, seq=seq) for seq in (3, 1, 4, 2)])
    (one,) = held(kernel)
    assert (one.open, one.first_seq, one.close, one.last_seq) == (101.0, 1, 104.0, 4)
