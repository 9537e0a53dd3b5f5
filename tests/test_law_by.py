"""The law for bars by ticks, volume, notional, range and renko: however ticks are cut, and in whatever order they come
within the lateness, the bars are those of an oracle that counts in fractions."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed import by
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.by import framelane
from rxfeed.kernels.by import kernel as by_kernel
from rxfeed.kernels.by.kernel import ByKernel
from rxfeed.model import Bar, Tick
from rxfeed.sessions import Session
from tests import oracle_bars
from tests.builders import HOUR, MINUTE
from tests.oracle_bars import Mark
from tests.oracle_by import Kind, Made, OracleBy, Trade

SECOND = 10**9
DAY = 24 * HOUR
SYMBOLS = ("A", "B", "C")
LUNCH = Session("lunch", "Asia/Tokyo", {"Mon-Fri": ("9:00", "15:00")}, breaks=[("11:30", "12:30")])
MARKETS: dict[str, tuple[Any, oracle_bars.Market, tuple[int, ...]]] = {
    "CME": ("CME", oracle_bars.CME, (1741557600 - 40, 1741381200 - 3, 1740787200 - 100, 1741600800)),
    "lunch": (LUNCH, oracle_bars.LUNCH, (1741573800 - 20, 1741588200 - 5, 1741566600 - 9000)),
    "24x7": ("24x7", oracle_bars.always("UTC"), (1741600800, 1740787200 - 20)),
}
STEPS = ("0.25", "0.1", "0.01", "1", "0.00001")
KINDS = (
    ("ticks", "1"), ("ticks", "2"), ("ticks", "5"), ("ticks", "1000000000000000000"), ("volume", "1"), ("volume", "7"),
    ("volume", "20"), ("notional", "3"), ("notional", "0.5"), ("notional", "60"), ("notional", "0.0003"), ("range", "1"),
    ("range", "0.3"), ("range", "0.02"), ("range", "2"), ("renko", "1"), ("renko", "0.3"), ("renko", "0.02"), ("renko", "2"),
    ("renko", "0.25"),
)  # fmt: skip
PAUSES = (0, 0, 0, 1, SECOND // 4, SECOND, 7 * SECOND, 3 * MINUTE, 50 * MINUTE, 5 * HOUR)
BACKS = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, SECOND // 2, SECOND, 2 * SECOND, 30 * SECOND, 4 * MINUTE, 7 * HOUR, DAY)
LATENESS = (0, 0, 0, 0, 1, SECOND // 2, SECOND, 2 * SECOND, 90 * SECOND, 2 * HOUR)
Event = Trade | Mark


@dataclass(frozen=True)
class Case:
    kinds: tuple[Kind, ...]
    market: str
    lateness: int
    own: dict[str, str]
    events: tuple[Event, ...]

    def kernel(self) -> ByKernel:
        made = {"ticks": by.ticks, "volume": by.volume, "notional": by.notional, "range": by.range, "renko": by.renko}
        whole = ("ticks", "volume")
        kinds = tuple(made[k.name](int(k.size) if k.name in whole else float(k.size)) for k in self.kinds)
        own = {s: Instrument(s, session=MARKETS[m][0]) for s, m in self.own.items()}
        return ByKernel(kinds, session=MARKETS[self.market][0], lateness=self.lateness, instruments=own)

    def oracle(self) -> OracleBy:
        own = {s: MARKETS[m][1] for s, m in self.own.items()}
        return OracleBy(self.kinds, MARKETS[self.market][1], lateness=self.lateness, own=own)


def kind(name: str, size: str) -> Kind:
    value = Fraction(size)
    return Kind(name, value, f"{name}({int(value) if value.denominator == 1 else float(value)!r})")


@st.composite
def cases(draw: st.DrawFn, most: int = 40) -> Case:
    market = draw(st.sampled_from(sorted(MARKETS)))
    symbols = SYMBOLS[: draw(st.sampled_from((1, 1, 2, 3)))]
    step = Fraction(draw(st.sampled_from(STEPS)))
    pauses = PAUSES[: draw(st.sampled_from((3, 4, 6, 8, 10)))]
    wide = draw(st.sampled_from((1, 3, 40)))
    noisy = draw(st.booleans())
    numbered = draw(st.sampled_from(("any", "any", "none", "arrival")))
    level = draw(st.integers(-20, 200))
    now = draw(st.sampled_from(MARKETS[market][2])) * SECOND
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(symbols), st.sampled_from(pauses), st.sampled_from(BACKS), st.integers(-wide, wide),
                st.integers(0, 6), st.integers(0, 2), st.integers(0, 30),
            ),
            min_size=draw(st.sampled_from((1, 12, 30))), max_size=most,
        )
    )  # fmt: skip
    numbers = draw(st.permutations(range(len(rows)))) if numbered == "any" else range(len(rows))
    events: list[Event] = []
    for number, (symbol, pause, back, move, size, side, odd) in zip(numbers, rows, strict=True):
        now += pause
        level += move
        if odd == 0:
            events.append(Mark(now - back // 2 + size * pause))
        events.append(trade(symbol, now - back, 0 if numbered == "none" else number, level, step, size, side, noisy, odd == 1))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True))
    return Case(
        tuple(kind(*k) for k in kinds), market, draw(st.sampled_from(LATENESS)),
        {"B": draw(st.sampled_from(sorted(MARKETS)))} if draw(st.booleans()) else {}, tuple(events),
    )  # fmt: skip


def trade(
    symbol: str, time: int, seq: int, level: int, step: Fraction, size: int, side: int, noisy: bool, bad: bool = False
) -> Trade:
    """`noisy`: a multiple that floats have rounded, such as 3 * 0.1, and not the float nearest to 0.3."""
    exact = level * step
    return Trade(
        symbol,
        time,
        seq,
        math.nan if bad else level * float(step) if noisy else float(exact),
        None if bad else exact,
        size,
        side,
    )


def random_case(seed: int, rows: int) -> Case:
    rng = random.Random(seed)
    market = rng.choice(sorted(MARKETS))
    symbols = [f"S{i}" for i in range(rng.choice((1, 3, 20)))]
    now = rng.choice(MARKETS[market][2]) * SECOND
    pace = rng.choice((1, 1000, SECOND // 100, SECOND, 20 * SECOND))
    step, noisy, level = Fraction(rng.choice(STEPS)), rng.random() < 0.5, rng.randrange(-100, 2000)
    disorder = rng.choice((0.0, 0.0, 0.02, 0.3))
    events: list[Event] = []
    for number in range(rows):
        now += rng.choice((0, 1, 1, 2)) * pace
        level += rng.choice((-1, 0, 0, 0, 1))
        back = 0 if rng.random() >= disorder else rng.randrange(1, 400) * pace
        if rng.random() < 0.002:
            events.append(Mark(now - 50 * pace))
        events.append(
            trade(
                rng.choice(symbols),
                now - back,
                number,
                level,
                step,
                rng.randrange(9),
                rng.randrange(3),
                noisy,
                rng.random() < 0.001,
            )
        )
    kinds = [
        ("ticks", "70"),
        ("volume", "150"),
        ("notional", str(float(step * 9000))),
        ("range", str(float(step * 7))),
        ("renko", str(float(step * 4))),
    ]
    kinds += [("ticks", "1"), ("volume", "3")]
    return Case(
        tuple(kind(*k) for k in rng.sample(kinds, rng.choice((1, 2, 7)))), market,
        rng.choice((0, 0, SECOND, 10 * pace, 500 * pace)),
        {"S1": rng.choice(sorted(MARKETS))} if rng.random() < 0.5 else {}, tuple(events),
    )  # fmt: skip


def tick_of(t: Trade) -> Tick:
    return Tick(t.symbol, t.time, t.price, t.size, t.side, t.seq)


class Run:
    """One way to feed a case. After each step the counts must balance."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.kernel = case.kernel()
        self.fed = 0
        self.out: list[Bar] = []
        self.rejects: list[tuple[str, str, int]] = []

    def mark(self, mark: Mark) -> None:
        self._take(self.kernel.mark(mark.time), 0)

    def tick(self, t: Trade) -> None:
        self._take(self.kernel.tick(tick_of(t)) or [], 1)

    def frame(self, trades: list[Trade], columns: bool) -> None:
        frame = Frame.of([tick_of(t) for t in trades])
        if columns:
            made = self.kernel.frame_to_frame(frame)
            self._take([] if made is None else made.rows(), len(trades))
        else:
            self._take(self.kernel.frame(frame), len(trades))

    def moved(self) -> None:
        """Go on in a fresh kernel."""
        self._hear()
        fresh = self.case.kernel()
        fresh.restore(self.kernel.snapshot())
        assert fresh.stats == self.kernel.stats
        assert fresh.rejected == self.kernel.rejected
        assert fresh.watermarks() == self.kernel.watermarks()
        assert fresh.partials() == self.kernel.partials()
        assert fresh.due() == self.kernel.due()
        self.kernel = fresh

    def finish(self) -> Run:
        self._take(self.kernel.finish(), 0)
        assert self.kernel.stats.open == 0
        assert self.kernel.partials() == []
        assert self.kernel.due() is None
        return self

    def _hear(self) -> None:
        self.rejects += [
            (r.rule, r.element.symbol, r.element.seq) for r in self.kernel.take_rejects() if isinstance(r.element, Tick)
        ]

    def _take(self, bars: list[Bar], ticks: int) -> None:
        self.fed += ticks
        self.out += bars
        self._hear()
        stats = self.kernel.stats
        assert stats.received == self.fed == stats.closed + stats.open + stats.rejected + stats.outside_session
        assert stats.rejected == len(self.rejects) == sum(self.kernel.rejected.values())
        assert min(stats) >= 0

    def by_symbol(self) -> dict[str, list[tuple[str, Made]]]:
        found: dict[str, list[tuple[str, Made]]] = {}
        for bar in self.out:
            found.setdefault(bar.symbol, []).append((bar.timeframe, made_of(bar)))
        return found


def made_of(b: Bar) -> Made:
    assert b.count is not None
    assert b.buy_volume is not None
    assert b.sell_volume is not None
    assert b.notional is not None
    first = None if b.first_time is None or b.first_seq is None else (b.first_time, b.first_seq)
    last = None if b.last_time is None or b.last_seq is None else (b.last_time, b.last_seq)
    return Made(
        b.start, b.end, b.open, b.high, b.low, b.close, b.volume, b.count, b.buy_volume, b.sell_volume, b.notional,
        first, last, b.trade_date, b.flags,
    )  # fmt: skip


def assert_same(found: list[Made], expected: list[Made]) -> None:
    assert [m._replace(notional=0.0) for m in found] == [m._replace(notional=0.0) for m in expected]
    for a, b in zip(found, expected, strict=True):
        assert math.isclose(a.notional, b.notional, rel_tol=1e-12, abs_tol=1e-12 * max(abs(b.high), abs(b.low)) * b.volume)


def check(run: Run, case: Case) -> None:
    oracle = case.oracle()
    for event in case.events:
        oracle.take(event)
    expected = oracle.finish()
    found: dict[tuple[str, str], list[Made]] = {key: [] for key in expected}
    for bar in run.out:
        assert bar.revision == 0
        found[bar.symbol, bar.timeframe].append(made_of(bar))
    for key, bars in expected.items():
        assert_same(found[key], bars)
    assert run.kernel.stats.outside_session == oracle.outside
    assert run.rejects == oracle.rejects
    assert len({b.identity for b in run.out}) == len(run.out)
    # Conservation: every measure has each tick once.
    sums: Counter[str] = Counter()
    for (symbol, _), bars in found.items():
        sums[f"{symbol} volume"] += sum(m.volume for m in bars)
        sums[f"{symbol} count"] += sum(m.count for m in bars)
    assert sums == Counter({name: n * len(case.kinds) for name, n in oracle.accepted().items()})


def feed(case: Case, rng: random.Random, ways: str, pieces: tuple[int, ...], moves: float = 0.0) -> Run:
    """Cut the events of a case at random: `t` rows, `f` frames to rows, `c` frames to frames."""
    run = Run(case)
    at = 0
    while at < len(case.events):
        event = case.events[at]
        if isinstance(event, Mark):
            run.mark(event)
            at += 1
        else:
            limit, end = at + rng.choice(pieces), at + 1
            while end < min(limit, len(case.events)) and not isinstance(case.events[end], Mark):
                end += 1
            trades = [e for e in case.events[at:end] if isinstance(e, Trade)]
            way = rng.choice(ways)
            if way == "t":
                for t in trades:
                    run.tick(t)
            else:
                run.frame(trades, columns=way == "c")
            at = end
        if moves and rng.random() < moves:
            run.moved()
    return run.finish()


@contextmanager
def lane(few: int, rows: int = 131_072) -> Iterator[None]:
    saved = framelane.FEW_ROWS, by_kernel.FRAME_ROWS
    framelane.FEW_ROWS, by_kernel.FRAME_ROWS = few, rows
    try:
        yield
    finally:
        framelane.FEW_ROWS, by_kernel.FRAME_ROWS = saved


WAYS = st.sampled_from(("f", "c", "tf", "tfc"))
PIECES = st.sampled_from(((1,), (2, 3), (1, 5, 9), (100,)))
LANES = st.sampled_from(((1, 131_072), (1, 3), (2, 7), (100, 131_072)))


@settings(max_examples=200)
@given(cases())
def test_ticks_one_by_one_make_the_oracle_s_bars(case: Case) -> None:
    check(feed(case, random.Random(0), "t", (1,)), case)


@settings(max_examples=400)
@given(cases(), st.integers(0, 2**32), WAYS, PIECES, LANES, st.sampled_from((0.0, 0.0, 0.3)))
def test_any_cut_makes_the_same_bars(
    case: Case, seed: int, ways: str, pieces: tuple[int, ...], forced: tuple[int, int], moves: float
) -> None:
    with lane(*forced):
        run = feed(case, random.Random(seed), ways, pieces, moves)
    check(run, case)
    # One symbol's bars also come out in the same order, of all measures together.
    rows = feed(case, random.Random(0), "t", (1,)).by_symbol()
    cut = run.by_symbol()
    assert {s: [(k, m.start) for k, m in made] for s, made in cut.items()} == {
        s: [(k, m.start) for k, m in made] for s, made in rows.items()
    }


@settings(max_examples=120)
@given(cases(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_within_the_lateness_makes_the_same_bars(case: Case, rng: random.Random) -> None:
    lateness = 2 * SECOND
    # One symbol, unique numbers, no marks: then only (time, seq) can count.
    trades = [e._replace(symbol="A", seq=i) for i, e in enumerate(case.events) if isinstance(e, Trade)]
    trades.sort(key=lambda t: (t.time, t.seq))
    case = replace(case, lateness=lateness, own={}, events=tuple(trades))
    delayed = sorted(trades, key=lambda t: t.time + rng.randrange(lateness))
    other = replace(case, events=tuple(delayed))
    a, b = (feed(c, random.Random(0), "t", (1,)) for c in (case, other))
    assert a.kernel.rejected.get("late", 0) == b.kernel.rejected.get("late", 0) == 0
    assert a.by_symbol() == b.by_symbol()
    with lane(1):
        c = feed(other, rng, "tfc", (1, 5, 100))
    for (_, found), (_, expected) in zip(c.by_symbol().get("A", []), a.by_symbol().get("A", []), strict=True):
        assert_same([found], [expected])


@pytest.mark.parametrize("seed", range(12))
def test_large_frames_make_the_same_bars(seed: int) -> None:
    case = random_case(seed, 3_000)
    rng = random.Random(seed)
    check(feed(case, rng, "c", (2_500,)), case)
    with lane(1):
        check(feed(case, rng, "tfc", (20, 150, 1_500), moves=0.05), case)
    check(feed(case, rng, "t", (1,)), case)
