"""The law: one set of ticks makes one table of bars, however it is cut into rows, frames, partial bars and shards."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.model import Bar, Flag, Reject, Tick, merge
from rxfeed.sessions import Session
from rxfeed.windows import Windows
from tests import builders
from tests import oracle_bars as oracle
from tests.builders import HOUR, MINUTE, frame_lane
from tests.oracle_bars import Mark, Oracle
from tests.oracle_bars import Tick as OracleTick

SECOND = 10**9
DAY = 24 * HOUR
SYMBOLS = ("A", "B", "C", "D", "E")
LUNCH = Session("lunch", "Asia/Tokyo", {"Mon-Fri": ("9:00", "15:00")}, breaks=[("11:30", "12:30")])
MARKETS: dict[str, tuple[str | Session, oracle.Market]] = {
    "CME": ("CME", oracle.CME),
    "lunch": (LUNCH, oracle.LUNCH),
    "24x7": ("24x7", oracle.always("UTC")),
    "London": ("24x7:Europe/London", oracle.always("Europe/London")),
    "Lord Howe": ("24x7:Australia/Lord_Howe", oracle.always("Australia/Lord_Howe")),
}
# Just before a change of the clock, an open, a close or a break.
STARTS = {
    "CME": (1741557600 - 40, 1762038000 - 60, 1762120800 - 30, 1741381200 - 3, 1740787200 - 100, 1741600800),
    "lunch": (1741573800 - 20, 1741588200 - 5, 1741566600 - 9000),
    "24x7": (1741600800, 1740787200 - 20),
    "London": (1743296400 - 3600, 1761440400 - 30, 1761433200 - 4),
    "Lord Howe": (1743865200 - 200, 1759590000 - 3600, 1759593600 - 7),
}
TIMEFRAMES = (
    ("1s", "1m", "1h"), ("1s",), ("2m", "5m"), ("1d",), ("1w", "1mo"), ("90s", "1m", "1w"), ("1s", "5s", "1m", "4h", "1d"),
    ("1m", "5m", "15m", "1d", "1w"), ("250ms", "1s", "7s"), ("4h", "6h"), ("30m", "1h", "1mo"), ("60s", "1m", "3m"),
)  # fmt: skip
# The oracle has no wall grid for 7s, which begins again at midnight.
WANTED = tuple((t, a) for t in TIMEFRAMES for a in ("session", "wall", "utc") if a != "wall" or "7s" not in t)
# How far time moves from one tick to the next, and how far a late tick lies behind.
STEPS = (0, 0, 1, SECOND // 4, SECOND, 7 * SECOND, 40 * SECOND, 3 * MINUTE, 50 * MINUTE, 5 * HOUR)
BACKS = (0, 0, 0, 0, 0, 1, SECOND // 2, 2 * SECOND, 30 * SECOND, 4 * MINUTE, HOUR, 7 * HOUR, DAY)
# Times on an edge are where windows close.
SNAPS = (1, 1, 1, SECOND, MINUTE, HOUR)
Event = Tick | Mark


@dataclass
class Case:
    """What is fed, and how the kernel is made."""

    timeframes: tuple[str, ...]
    market: str
    anchor: str
    lateness: int
    horizon: int
    own: dict[str, str]
    events: list[Event]

    def kernel(self) -> BarsKernel:
        instruments = {s: Instrument(s, session=MARKETS[m][0]) for s, m in self.own.items()}
        windows = Windows(*self.timeframes, session=MARKETS[self.market][0], anchor=self.anchor)  # pyright: ignore[reportArgumentType]
        return BarsKernel(windows, lateness=self.lateness, horizon=self.horizon, instruments=instruments)

    def oracle(self) -> Oracle:
        markets = {s: MARKETS[m][1] for s, m in self.own.items()}
        return Oracle(
            self.timeframes, MARKETS[self.market][1],
            anchor=self.anchor, lateness=self.lateness, horizon=self.horizon, markets=markets,
        )  # fmt: skip

    def expected(self) -> oracle.Result:
        known = self.oracle()
        for event in self.events:
            known.take(event if isinstance(event, Mark) else OracleTick(*event_fields(event)))
        return known.finish()

    def only(self, symbols: set[str]) -> Case:
        events = [e for e in self.events if isinstance(e, Mark) or e.symbol in symbols]
        return Case(self.timeframes, self.market, self.anchor, self.lateness, self.horizon, self.own, events)


def event_fields(tick: Tick) -> tuple[str, int, float, int, int, int]:
    return tick.symbol, tick.time, tick.price, tick.size, tick.side, tick.seq


@st.composite
def cases(draw: st.DrawFn, most: int = 40) -> Case:
    market = draw(st.sampled_from(sorted(MARKETS)))
    symbols = SYMBOLS[: draw(st.integers(1, 4))]
    own = {"B": draw(st.sampled_from(sorted(MARKETS)))} if draw(st.booleans()) else {}
    slow = draw(st.integers(1, len(STEPS)))
    now = draw(st.sampled_from(STARTS[market])) * SECOND
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(symbols), st.sampled_from(STEPS[:slow]), st.sampled_from(BACKS), st.integers(1, 12),
                st.integers(0, 4), st.integers(0, 2), st.integers(0, 30), st.sampled_from(SNAPS),
            ),
            min_size=1, max_size=most,
        )
    )  # fmt: skip
    timeframes, anchor = draw(st.sampled_from(WANTED))
    # The numbers of ticks are unique, but not in order of arrival: that only (time, seq) counts must show.
    numbers = draw(st.permutations(range(len(rows)))) if draw(st.booleans()) else range(len(rows))
    events: list[Event] = []
    for number, (symbol, step, back, price, size, side, odd, snap) in zip(numbers, rows, strict=True):
        now += step
        now -= now % snap
        if odd == 0:
            events.append(Mark(now - back // 2 + size * step))
        events.append(Tick(symbol, now - back, math.nan if odd == 1 else price / 4, size, side, number))
    return Case(
        timeframes, market, anchor,
        draw(st.sampled_from((0, 0, 1, SECOND // 2, SECOND, 90 * SECOND, 2 * HOUR))),
        draw(st.sampled_from((0, 3 * SECOND, 10 * MINUTE, 2 * HOUR, 40 * DAY))),
        own, events,
    )  # fmt: skip


def random_case(seed: int, rows: int) -> Case:
    """Many ticks of many symbols around the start; times mostly go on, sometimes back."""
    rng = random.Random(seed)
    market = rng.choice(sorted(MARKETS))
    symbols = [f"S{i}" for i in range(rng.choice((1, 3, 40)))]
    now = rng.choice(STARTS[market]) * SECOND
    pace = rng.choice((1, 1000, SECOND // 100, SECOND, 20 * SECOND))
    events: list[Event] = []
    for number in range(rows):
        now += rng.choice((0, 1, 1, 2)) * pace
        back = 0 if rng.random() < 0.98 else rng.randrange(1, 400) * pace
        if rng.random() < 0.002:
            events.append(Mark(now - 50 * pace))
        price = math.inf if rng.random() < 0.001 else rng.randrange(400, 440) / 4
        events.append(Tick(rng.choice(symbols), now - back, price, rng.randrange(9), rng.randrange(3), number))
    timeframes, anchor = rng.choice(WANTED)
    own = {"S1": rng.choice(sorted(MARKETS))} if rng.random() < 0.5 else {}
    return Case(
        timeframes, market, anchor,
        rng.choice((0, SECOND, 10 * pace)), rng.choice((100 * pace, 10 * MINUTE, 40 * DAY)), own, events,
    )  # fmt: skip


def named(rejects: list[Reject]) -> list[tuple[str, str, int]]:
    """Rule, symbol and number of each rejected tick; a partial bar counts under the number of its first."""
    found: list[tuple[str, str, int]] = []
    for reject in rejects:
        element = reject.element
        seq = element.first_seq if isinstance(element, Bar) else element.seq
        assert seq is not None
        found.append((reject.rule, element.symbol, seq))
    return found


class Run:
    """One way to feed a case. After each step the counts must balance."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.kernel = case.kernel()
        self.known = case.oracle()
        self.fed = 0
        self.has_partials = False
        self.out: list[Bar] = []
        self.rejects: list[tuple[str, str, int]] = []

    def tick(self, tick: Tick) -> None:
        self._fed([tick], self.kernel.tick(tick) or [])

    def frame(self, ticks: list[Tick], *, columns: bool = False) -> None:
        frame = Frame.of(ticks, Tick)
        if columns:
            found = self.kernel.frame_to_frame(frame)
            self._fed(ticks, [] if found is None else found.rows())
        else:
            self._fed(ticks, self.kernel.frame(frame))

    def partials(self, ticks: list[Tick]) -> None:
        """Feed ticks as partial bars: per symbol, runs inside one finest window that are accepted alike."""
        self.has_partials = True
        for piece in self._runs(ticks):
            if len(piece) == 1:
                self.tick(piece[0])
                continue
            found = self.known.window(piece[0].symbol, oracle.finest(self.case.timeframes), piece[0].time)
            assert found is not None
            whole: Bar | None = None
            for tick in piece:
                whole = merge(whole, builders.bar_of(tick, "finest", *found))
            assert whole is not None
            self._fed(piece, self.kernel.partial(whole))

    def _runs(self, ticks: list[Tick]) -> Iterator[list[Tick]]:
        marks = dict(self.known.watermark)
        ahead = self.case.oracle()
        ahead.watermark = marks
        for symbol in sorted({t.symbol for t in ticks}):
            run: list[Tick] = []
            at = None
            for tick in [t for t in ticks if t.symbol == symbol]:
                fine = ahead.verdict(OracleTick(*event_fields(tick))) == "accepted"
                now = self.known.window(symbol, oracle.finest(self.case.timeframes), tick.time) if fine else None
                if fine:
                    marks[symbol] = max(marks.get(symbol, tick.time), tick.time)
                if run and (not fine or now != at):
                    yield run
                    run = []
                if fine:
                    run.append(tick)
                    at = now
                else:
                    yield [tick]
            if run:
                yield run

    def mark(self, mark: Mark) -> None:
        self.known.take(mark)
        self._take(self.kernel.mark(mark.time))

    def moved(self) -> None:
        """Go on in a fresh kernel."""
        self.rejects += named(self.kernel.take_rejects())
        fresh = self.case.kernel()
        fresh.restore(self.kernel.snapshot())
        assert fresh.stats == self.kernel.stats
        assert fresh.rejected == self.kernel.rejected
        assert fresh.watermarks() == self.kernel.watermarks()
        self.kernel = fresh

    def finish(self) -> Run:
        self._take(self.kernel.finish())
        assert self.kernel.stats.open == 0
        return self

    def _fed(self, ticks: Sequence[Tick], bars: list[Bar]) -> None:
        self.fed += len(ticks)
        for tick in ticks:
            self.known.take(OracleTick(*event_fields(tick)))
        self._take(bars)

    def _take(self, bars: list[Bar]) -> None:
        self.out += bars
        heard = self.kernel.take_rejects()
        self.rejects += named(heard)
        stats = self.kernel.stats
        assert stats.received == self.fed == stats.closed + stats.open + stats.rejected + stats.outside_session
        assert stats.rejected == len(self.rejects) == sum(self.kernel.rejected.values())
        assert self.kernel.watermarks() == self.known.watermark


def content(bar: Bar) -> oracle.Rolled:
    assert None not in (bar.count, bar.buy_volume, bar.sell_volume, bar.notional)
    fields: Any = (
        bar.end, bar.trade_date, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.count, bar.buy_volume,
        bar.sell_volume, bar.notional, (bar.first_time, bar.first_seq), (bar.last_time, bar.last_seq),
    )  # fmt: skip
    return oracle.Rolled(*fields)


def same(found: oracle.Rolled, expected: oracle.Rolled) -> bool:
    exact = found._replace(notional=0.0) == expected._replace(notional=0.0)
    return exact and math.isclose(found.notional, expected.notional, rel_tol=1e-12, abs_tol=1e-12)


def table(bars: list[Bar]) -> dict[oracle.Key, oracle.Rolled]:
    return {bar.identity: content(bar) for bar in bars}


def assert_same_bars(found: list[Bar], expected: oracle.Result) -> None:
    """The final table, and by symbol the stream of revision 0."""
    final = table(found)
    assert final.keys() == expected.table.keys()
    for key, value in expected.table.items():
        assert same(final[key], value), (key, final[key], value)
    first: dict[str, list[tuple[oracle.Key, oracle.Rolled]]] = {}
    for bar in found:
        if bar.revision == 0:
            first.setdefault(bar.symbol, []).append((bar.identity, content(bar)))
    assert first.keys() == expected.first_out.keys()
    for symbol, stream in expected.first_out.items():
        assert [key for key, _ in first[symbol]] == [key for key, _ in stream]
        for (key, value), (_, wanted) in zip(first[symbol], stream, strict=True):
            assert same(value, wanted), (key, value, wanted)


def assert_revisions(found: list[Bar], expected: oracle.Result) -> None:
    """Numbers rise by one, revision 0 comes once where there was something on time, PARTIAL says what the end cut."""
    numbers: dict[oracle.Key, list[int]] = {}
    flags: dict[oracle.Key, int] = {}
    for bar in found:
        numbers.setdefault(bar.identity, []).append(bar.revision)
        flags[bar.identity] = bar.flags
    on_time = {key for stream in expected.first_out.values() for key, _ in stream}
    for key, found_numbers in numbers.items():
        first = 0 if key in on_time else 1
        assert found_numbers == list(range(first, first + len(found_numbers))), (key, found_numbers)
    assert {key for key, flag in flags.items() if flag & Flag.PARTIAL} == expected.partial


def check(run: Run, expected: oracle.Result) -> None:
    assert_same_bars(run.out, expected)
    assert_revisions(run.out, expected)
    assert run.kernel.stats.outside_session == expected.outside
    # A frame's rejects come rule by rule; partial bars are fed symbol by symbol, so then the order is each symbol's.
    together = sorted if run.has_partials else list
    for rule in ("finite", "late"):
        assert together(r for r in run.rejects if r[0] == rule) == together(r for r in expected.rejects if r[0] == rule)


def feed(case: Case, rng: random.Random, ways: str, pieces: Sequence[int], moves: float = 0.0) -> Run:
    """Cut the events of a case at random: `t` rows, `f` frames to rows, `c` frames to frames, `p` partial bars."""
    run = Run(case)
    at = 0
    while at < len(case.events):
        event = case.events[at]
        if isinstance(event, Mark):
            run.mark(event)
            at += 1
        else:
            end = at + 1
            limit = at + rng.choice(pieces)
            while end < min(limit, len(case.events)) and not isinstance(case.events[end], Mark):
                end += 1
            ticks = [e for e in case.events[at:end] if isinstance(e, Tick)]
            way = rng.choice(ways)
            if way == "t":
                for tick in ticks:
                    run.tick(tick)
            elif way == "p":
                run.partials(ticks)
            else:
                run.frame(ticks, columns=way == "c")
            at = end
        if moves and rng.random() < moves:
            run.moved()
    return run.finish()


WAYS = st.sampled_from(("t", "f", "c", "p", "tf", "tp", "fc", "tfcp"))
PIECES = st.sampled_from(((1,), (2, 3), (1, 2, 5, 9), (100,)))
LANES = st.sampled_from((None, None, (1, 3), (1, 7), (2, 4), (1, 65_536), (3, 100)))


def lane(forced: tuple[int, int] | None) -> Any:
    return nullcontext() if forced is None else frame_lane(*forced)


@settings(max_examples=300)
@given(cases())
def test_ticks_one_by_one_are_the_oracle_s_in_every_revision(case: Case) -> None:
    expected = case.expected()
    run = feed(case, random.Random(0), "t", (1,))
    check(run, expected)
    assert run.rejects == expected.rejects
    streams: dict[str, list[Bar]] = {}
    for bar in run.out:
        streams.setdefault(bar.symbol, []).append(bar)
    assert streams.keys() == expected.stream.keys()
    for symbol, stream in expected.stream.items():
        assert [(b.identity, b.revision) for b in streams[symbol]] == [(key, revision) for key, revision, _ in stream]
        for bar, (_, _, value) in zip(streams[symbol], stream, strict=True):
            assert same(content(bar), value), bar


@settings(max_examples=800)
@given(cases(), st.integers(0, 2**32), WAYS, PIECES, LANES, st.sampled_from((0.0, 0.0, 0.3)))
def test_any_cut_makes_the_same_table(
    case: Case, seed: int, ways: str, pieces: tuple[int, ...], forced: tuple[int, int] | None, moves: float
) -> None:
    with lane(forced):
        run = feed(case, random.Random(seed), ways, pieces, moves)
    check(run, case.expected())


@settings(max_examples=150)
@given(cases(), st.integers(0, 2**32), WAYS, PIECES, LANES)
def test_shards_by_symbol_add_up(
    case: Case, seed: int, ways: str, pieces: tuple[int, ...], forced: tuple[int, int] | None
) -> None:
    rng = random.Random(seed)
    left = {s for s in SYMBOLS if rng.random() < 0.5}
    with lane(forced):
        runs = [feed(case.only(shard), rng, ways, pieces) for shard in (left, {s for s in SYMBOLS if s not in left})]
    expected = case.expected()
    assert_same_bars([bar for run in runs for bar in run.out], expected)
    assert sorted(r for run in runs for r in run.rejects) == sorted(expected.rejects)
    assert sum(run.kernel.stats.outside_session for run in runs) == expected.outside


@pytest.mark.parametrize("seed", range(12))
def test_large_frames_make_the_same_table(seed: int) -> None:
    case = random_case(seed, 3_000)
    expected = case.expected()
    rng = random.Random(seed)
    check(feed(case, rng, "fc", (2_500,)), expected)
    check(feed(case, rng, "tfcp", (20, 150, 1_500), moves=0.05), expected)
    check(feed(case, rng, "t", (1,)), expected)


def plain(timeframes: tuple[str, ...], lateness: int, *events: tuple[str, float] | float) -> Case:
    """Ticks `(symbol, seconds)` and marks (seconds), on CME from a Monday at 10:00 UTC."""
    at = builders.T0
    made = [
        Tick(e[0], at + round(e[1] * SECOND), 1.0 + i, 1, 1, i) if isinstance(e, tuple) else Mark(at + round(e * SECOND))
        for i, e in enumerate(events)
    ]
    return Case(timeframes, "CME", "session", lateness, 10 * MINUTE, {}, made)


WEEKEND = 5 * DAY / SECOND
FOUND = {
    # A late tick for a closed window whose container and its container are open must reach the latter once only.
    "late tick counted once in every level": plain(("1s", "1m", "1h"), 0, ("A", 0), ("A", 5), ("A", 0.1), ("A", 70)),
    # With a lateness the end of a coarse window may become due in the middle of a fine one.
    "coarse window due inside a fine one": plain(
        ("1s", "1m"), SECOND // 2, ("A", 30), ("A", 60.1), ("A", 60.7), ("A", 45), ("A", 62)
    ),
    # A mark is for symbols that have a watermark: one whose only tick fell on a weekend has none yet.
    "mark before a symbol's first accepted tick": plain(("1s",), 0, ("A", 0), ("B", WEEKEND), 60.0, ("B", 1)),
}


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("ways", ["t", "f", "c", "p"])
@pytest.mark.parametrize("pieces", [1, 2, 100])
def test_cases_that_once_failed(name: str, ways: str, pieces: int) -> None:
    case = FOUND[name]
    with frame_lane(1):
        check(feed(case, random.Random(0), ways, (pieces,)), case.expected())
