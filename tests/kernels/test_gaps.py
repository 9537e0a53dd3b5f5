"""The kernel of `detect_gaps`: what is a gap and what is not, and that rows and frames say the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed import sessions
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.gaps import GapsKernel
from rxfeed.model import UNKNOWN_TIME, Gap, Tick
from rxfeed.times import FOREVER, SECOND
from tests.builders import HOUR, MINUTE, T0, tick

WILD = 9_000_000_000 * SECOND
DAY = 24 * HOUR
CLOSE = T0 + 11 * HOUR
"""21:00Z: CME closes for an hour, that Monday."""


def look(k: GapsKernel, rows: list[Tick]) -> list[Gap]:
    """The gaps, as the operator asks: the quick way first."""
    gaps: list[Gap] = []
    for row in rows:
        gaps += [] if k.quick(row) else k.element(row.symbol, row.time, row.seq)
    return gaps


def either(k: GapsKernel, way: str, *rows: Tick) -> list[Gap]:
    return look(k, list(rows)) if way == "rows" else k.frame(Frame.of(rows, Tick))


def numbered(*numbers: int, start: float = 0) -> list[Tick]:
    return [tick(start + i, seq=seq) for i, seq in enumerate(numbers)]


def timed(*times: float) -> list[Tick]:
    return [tick(at) for at in times]


ways = pytest.mark.parametrize("way", ["rows", "frames"])


# --- by number


@ways
def test_a_number_left_out_is_a_gap(way: str) -> None:
    k = GapsKernel(sequence=True)
    rows = numbered(7, 8, 10, 11, 15)
    assert either(k, way, *rows) == [
        Gap("A", rows[1].time, rows[2].time, "sequence: 1 missing, 9"),
        Gap("A", rows[3].time, rows[4].time, "sequence: 3 missing, 12 to 14"),
    ]
    assert k.stats == (5, 5, {"sequence": 2}, 4, 0, 0)


@ways
def test_each_symbol_counts_by_itself_and_gaps_come_in_order(way: str) -> None:
    k = GapsKernel(sequence=True)
    rows = [
        tick(0, seq=1, symbol="B"), tick(0, seq=1), tick(1, seq=3, symbol="B"), tick(2, seq=3), tick(3, seq=9, symbol="B"),
    ]  # fmt: skip
    assert [(g.symbol, g.end) for g in either(k, way, *rows)] == [(r.symbol, r.time) for r in rows[2:]]


@ways
def test_what_comes_late_fills_its_gap_and_a_repetition_is_nothing(way: str) -> None:
    k = GapsKernel(sequence=True)
    assert len(either(k, way, *numbered(1, 2, 6, 4, 4, 2, 7, 3, 5, 8, 8))) == 1
    assert k.stats == (11, 11, {"sequence": 1}, 0, 3, 0)
    assert k._tracks["A"].holes == []


@ways
def test_a_numbering_that_begins_anew_is_no_gap(way: str) -> None:
    k = GapsKernel(sequence=True)
    assert either(k, way, *numbered(5000, 5001, 1, 2, 3)) == []
    assert k.stats.restarts == 1
    assert [g.cause for g in either(k, way, *numbered(5, start=9))] == ["sequence: 1 missing, 4"]


@ways
def test_a_far_lower_number_that_is_older_is_a_repetition(way: str) -> None:
    k = GapsKernel(sequence=True)
    rows = numbered(5000, 5001)
    assert either(k, way, *rows, tick(-9, seq=1), tick(1, seq=2), tick(5, seq=5002)) == []
    assert k.stats.restarts == 0


@ways
def test_one_number_that_is_far_too_high_does_no_lasting_harm(way: str) -> None:
    k = GapsKernel(sequence=True)
    gaps = either(k, way, *numbered(1, 2, 10**15, 3, 4, 6))
    assert [g.cause for g in gaps] == [f"sequence: {10**15 - 3} missing, 3 to {10**15 - 1}", "sequence: 1 missing, 5"]
    assert k.stats == (6, 6, {"sequence": 2}, 1, 0, 1)


@ways
def test_only_so_many_holes_are_remembered(way: str) -> None:
    k = GapsKernel(sequence=True)
    either(k, way, *numbered(*range(0, 200, 2)))
    assert len(k._tracks["A"].holes) == 64
    assert k.stats.missing == 99
    either(k, way, *numbered(1, 197, start=300))
    assert k.stats[3:] == (98, 1, 0)
    either(k, way, tick(400, seq=10_000), *[tick(401, seq=i) for i in range(9_200, 9_900, 4)])
    assert len(k._tracks["A"].holes) == 64


@ways
def test_bounds_are_in_order_and_known(way: str) -> None:
    k = GapsKernel(sequence=True)
    nowhere = Tick("A", UNKNOWN_TIME, 1.0, 1, 0, 5)
    gaps = either(k, way, tick(9, seq=1), tick(5, seq=3), nowhere, tick(7, seq=7))
    assert [((g.start - T0) / SECOND, (g.end - T0) / SECOND) for g in gaps] == [(5, 9), (5, 5), (7, 7)]


# --- by time


@ways
def test_a_silence_is_a_gap(way: str) -> None:
    k = GapsKernel(silence=30 * SECOND)
    rows = timed(0, 30, 60.5, 61)
    assert either(k, way, *rows) == [Gap("A", rows[1].time, rows[2].time, "silence: more than 30 s of open market")]
    assert k.stats == (4, 4, {"silence": 1}, 0, 0, 0)


@ways
def test_what_comes_late_is_no_silence(way: str) -> None:
    k = GapsKernel(silence=30 * SECOND)
    assert either(k, way, *timed(0, 25, 50, 3, 51, 20, 80)) == []


@ways
@pytest.mark.parametrize(("before", "after", "gap"), [(10, 3600 + 19, False), (10, 3600 + 20, False), (10, 3600 + 21, True)])
def test_a_night_does_not_count(way: str, before: float, after: float, gap: bool) -> None:
    k = GapsKernel(silence=30 * SECOND, session="CME")
    rows = [Tick("A", CLOSE - round(before * SECOND), 1.0, 1), Tick("A", CLOSE + round(after * SECOND), 1.0, 1)]
    assert bool(either(k, way, *rows)) == gap


@ways
def test_a_weekend_and_a_holiday_do_not_count(way: str) -> None:
    cme = sessions.get("CME").adding(holidays=["2025-03-17"])
    k = GapsKernel(silence=MINUTE, session=cme)
    friday = CLOSE + 4 * DAY
    rows = [Tick("A", friday - 20 * SECOND, 1.0, 1), Tick("A", friday + 3 * DAY + HOUR + 40 * SECOND, 1.0, 1)]
    assert either(k, way, *rows) == []
    assert len(either(k, way, Tick("A", friday + 4 * DAY, 1.0, 1))) == 1


@ways
def test_an_instrument_goes_by_its_own_hours(way: str) -> None:
    k = GapsKernel(silence=MINUTE, session="CME", instruments=[Instrument("A", session="24x7")])
    rows = [Tick(s, at, 1.0, 1) for at in (CLOSE - SECOND, CLOSE + HOUR) for s in "AB"]
    assert [g.symbol for g in either(k, way, *rows)] == ["A"]


@ways
def test_closed_market_elements_and_years_without_hours(way: str) -> None:
    k = GapsKernel(silence=MINUTE, session="CME")
    rows = [Tick("A", at, 1.0, 1) for at in (CLOSE + MINUTE, CLOSE + 30 * MINUTE, CLOSE + HOUR, WILD, WILD + 2 * DAY)]
    assert [g.end for g in either(k, way, *rows)] == [WILD]


@ways
def test_unknown_times_are_left_out(way: str) -> None:
    k = GapsKernel(silence=MINUTE)
    nowhere = Tick("A", UNKNOWN_TIME, 1.0, 1)
    assert either(k, way, nowhere, nowhere, tick(0), nowhere, tick(60), tick(61)) == []
    assert len(either(k, way, nowhere, tick(122))) == 1


def test_times_at_both_ends_of_what_int64_holds() -> None:
    by_rows, by_frames = GapsKernel(silence=MINUTE), GapsKernel(silence=MINUTE)
    rows = [Tick("A", time, 1.0, 1) for time in (FOREVER, FOREVER, UNKNOWN_TIME, UNKNOWN_TIME)]
    assert either(by_rows, "rows", *rows) == either(by_frames, "frames", *rows) == []
    assert by_rows.snapshot().symbols.equals(by_frames.snapshot().symbols)


@ways
def test_a_wild_time_does_no_lasting_harm(way: str) -> None:
    k = GapsKernel(silence=MINUTE)
    rows = [tick(0), Tick("A", WILD, 1.0, 1), tick(10), tick(20), tick(90)]
    assert [(g.start, g.end) for g in either(k, way, *rows)] == [(T0, WILD), (T0 + 20 * SECOND, T0 + 90 * SECOND)]


@ways
def test_one_element_that_is_far_behind_is_only_late(way: str) -> None:
    k = GapsKernel(silence=MINUTE)
    assert either(k, way, *timed(3600, 0, 3601, 1, 3650)) == []


@ways
def test_both_at_one_element_come_by_number_first(way: str) -> None:
    k = GapsKernel(sequence=True, silence=MINUTE)
    gaps = either(k, way, tick(0, seq=1), tick(99, seq=5))
    assert [g.cause for g in gaps] == ["sequence: 3 missing, 2 to 4", "silence: more than 60 s of open market"]
    assert k.stats == (2, 2, {"sequence": 1, "silence": 1}, 3, 0, 0)


def test_an_empty_frame_is_nothing() -> None:
    k = GapsKernel(sequence=True)
    assert k.frame(Frame.of([], Tick)) == []
    assert k.stats.received == 0


# --- against an oracle


class Oracle:
    """The contract, word by word, and slowly."""

    def __init__(self, sequence: bool, silence: int | None, session: str) -> None:
        self.sequence, self.silence, self.session = sequence, silence, sessions.get(session)
        self.top: dict[str, tuple[int, int]] = {}
        self.holes: dict[str, list[range]] = {}
        self.newest: dict[str, int] = {}
        self.before: dict[str, int | None] = {}
        self.missing = self.late = self.restarts = 0

    def look(self, row: Tick) -> list[Gap]:
        gaps: list[Gap] = []
        if self.sequence:
            gaps += self.by_number(row.symbol, row.time, row.seq)
        if self.silence is not None and row.time != UNKNOWN_TIME:
            gaps += self.by_time(row.symbol, row.time, self.silence)
        return gaps

    def by_number(self, symbol: str, time: int, seq: int) -> list[Gap]:
        holes = self.holes.setdefault(symbol, [])
        top = self.top.get(symbol)
        hole = next((h for h in holes if seq in h), None)
        if top is not None and seq < top[0] - 1023 and time > top[1]:
            self.restarts += 1
            self.missing -= len(range(seq, hole.stop)) if hole else 0
            holes.clear()
            top = None
        if top is None or seq > top[0]:
            self.top[symbol] = seq, time
            if top is None or seq == top[0] + 1:
                return []
            new = range(top[0] + 1, seq)
            self.missing += len(new)
            self.holes[symbol] = [*holes, new][-64:]
            ends = [t for t in (top[1], time) if t != UNKNOWN_TIME] or [time]
            which = f"{new[0]} to {new[-1]}" if len(new) > 1 else f"{new[0]}"
            return [Gap(symbol, min(ends), max(ends), f"sequence: {len(new)} missing, {which}")]
        if hole is not None:
            self.missing -= 1
            self.late += 1
            split = [
                h for old in holes for h in ([range(old.start, seq), range(seq + 1, old.stop)] if old is hole else [old]) if h
            ]
            self.holes[symbol] = split[-64:]
        return []

    def by_time(self, symbol: str, time: int, silence: int) -> list[Gap]:
        newest, before = self.newest.get(symbol), self.before.get(symbol)
        far = newest is not None and newest - time > 10 * MINUTE
        self.before[symbol] = None
        if newest is None or (far and before is not None and 0 <= time - before <= 10 * MINUTE):
            self.newest[symbol] = time
        elif far:
            self.before[symbol] = time
        elif time > newest:
            self.newest[symbol] = time
            spans = self.session.spans(newest, time) if time - newest > silence else []
            if sum(min(s.close, time) - max(s.open, newest) for s in spans) > silence:
                return [Gap(symbol, newest, time, f"silence: more than {silence / 1e9:.10g} s of open market")]
        return []


numbers = st.one_of(st.integers(0, 30), st.sampled_from([0, 1, 2, 1500, 2000, 2001, 2002, 10**12]))
steps = st.sampled_from([1, 1, 1, 1, 1, 2, 3, 0, -1, -2])
moments = st.one_of(
    st.integers(0, 200).map(lambda i: CLOSE + (i - 100) * SECOND), st.integers(0, 100).map(lambda i: CLOSE + i * 10 * MINUTE),
    st.sampled_from([UNKNOWN_TIME, CLOSE + 40 * DAY, CLOSE - 40 * DAY, CLOSE + 3 * DAY]),
)  # fmt: skip
seconds = st.sampled_from([0, 0, 1, 1, 1, 5, 30, 31, 90, 3600, -1, -40])


@st.composite
def streams(draw: st.DrawFn) -> list[Tick]:
    size = draw(st.integers(0, 40))
    lists: Any = lambda values: st.lists(values, min_size=size, max_size=size)
    seqs = draw(st.one_of(lists(numbers), lists(steps).map(lambda s: list(accumulate(s)))))
    times = draw(
        st.one_of(lists(moments), lists(seconds).map(lambda s: [CLOSE - 60 * SECOND + t * SECOND for t in accumulate(s)]))
    )
    symbols = draw(st.one_of(lists(st.just("A")), lists(st.sampled_from("AAB"))))
    return [Tick(symbol, time, 1.0, 1, 0, seq) for symbol, time, seq in zip(symbols, times, seqs, strict=True)]


def cut(rows: list[Tick], sizes: list[int]) -> Iterator[list[Tick]]:
    at = 0
    while at < len(rows):
        for size in [*sizes, 5]:
            yield rows[at : at + size]
            at += size


@pytest.mark.parametrize("asked", [(True, None), (False, 30 * SECOND), (True, 30 * SECOND)])
@settings(deadline=None, max_examples=60)
@given(rows=streams(), sizes=st.lists(st.integers(0, 20), min_size=1), session=st.sampled_from(["CME", "24x7"]))
def test_rows_and_frames_agree_with_the_oracle(
    asked: tuple[bool, int | None], rows: list[Tick], sizes: list[int], session: str
) -> None:
    oracle = Oracle(*asked, session)
    by_rows, by_frames, mixed = (GapsKernel(sequence=asked[0], silence=asked[1], session=session) for _ in range(3))
    for turn, part in enumerate(cut(rows, sizes)):
        due = [gap for row in part for gap in oracle.look(row)]
        assert look(by_rows, part) == due
        assert by_frames.frame(Frame.of(part, Tick)) == due
        assert (look(mixed, part) if turn % 2 else mixed.frame(Frame.of(part, Tick))) == due
        assert by_rows.stats == by_frames.stats == mixed.stats
        assert by_rows.stats[3:] == (oracle.missing, oracle.late, oracle.restarts)
        fresh = GapsKernel(sequence=asked[0], silence=asked[1], session=session)
        fresh.restore(mixed.snapshot())
        mixed = fresh
    for one, other in zip(by_rows.snapshot(), by_frames.snapshot(), strict=True):
        assert one.sort(one.columns).equals(other.sort(other.columns))
