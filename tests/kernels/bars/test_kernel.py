"""The kernel of `bars`: all or none, what it refuses, flags, snapshots of open windows, and that memory is bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed.errors import InputError, PartialRefused
from rxfeed.frame import BAR_SCHEMA, Frame
from rxfeed.grids import Grid
from rxfeed.kernels.bars.kernel import BarsKernel, BarsSnapshot
from rxfeed.model import Bar, Flag, Tick
from rxfeed.times import NANOSECONDS, SECOND
from rxfeed.windows import Windows
from tests.builders import HOUR, MINUTE, T0, bar, bar_of, frame, frame_lane, kernel, line, lines, tick, ticks

DAY = 24 * HOUR
YEAR = 365 * DAY
LANES = ("rows", "frames")


def lane(name: str) -> Any:
    return frame_lane(1) if name == "frames" else nullcontext()


def state(k: BarsKernel) -> tuple[Any, ...]:
    """All of a kernel's state, as values."""
    s: BarsSnapshot = k.snapshot()
    bars = s.bars.sort("kept", "level", "symbol", "start")
    return bars.rows(), s.marks.sort("symbol").rows(), s.counts.sort("name").rows(), k.stats, k.rejected


@contextmanager
def broken(name: str, after: int = 0) -> Iterator[None]:
    """Grids of a timeframe fail, when they have been asked `after` times."""
    asked = 0
    plain_segment, plain_windows = Grid.segment, Grid.windows

    def fails(grid: Grid) -> None:
        nonlocal asked
        if grid.timeframe.name == name:
            asked += 1
            if asked > after:
                raise RuntimeError(f"no {name}")

    def segment(self: Grid, time: int) -> Any:
        fails(self)
        return plain_segment(self, time)

    def windows(self: Grid, times: Any) -> Any:
        fails(self)
        return plain_windows(self, times)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Grid, "segment", segment)
        patch.setattr(Grid, "windows", windows)
        yield


def feed(k: BarsKernel, rows: list[Tick], way: str) -> list[Bar]:
    if way == "frames":
        return k.frame(frame(rows))
    return [b for row in rows for b in k.tick(row) or []]


# --- all or none


@pytest.mark.parametrize("way", LANES)
@pytest.mark.parametrize("name", ["1s", "1m", "1d"])
@pytest.mark.parametrize("late", [False, True])
def test_if_one_timeframe_fails_every_one_is_as_it_was(way: str, name: str, late: bool) -> None:
    # The next day, so that no segment is known yet.
    more = [tick(86_400 + i, 105, seq=100 + i) for i in range(3)] + [tick(86_400, math.nan, seq=110)]
    if late:
        more.append(tick(-86_400, 105, seq=111))
    start = ticks((0, 100), (0.5, 101), (1, 102), (0.1, 99), (70, 103))
    with lane(way):
        k, plain = (kernel("1s", "1m", "1d", horizon=3 * DAY) for _ in range(2))
        for each in (k, plain):
            feed(each, start, way)
        before = state(k)
        with broken(name), pytest.raises(RuntimeError, match=f"no {name}"):
            feed(k, more, way)
        assert state(k) == before
        assert k.take_rejects() == []
        assert lines(feed(k, more, way)) == lines(feed(plain, more, way))
        assert lines(k.finish()) == lines(plain.finish())
        assert state(k) == state(plain)


@pytest.mark.parametrize("after", range(6))
@pytest.mark.parametrize("act", ["mark", "finish", "partial", "frame"])
@pytest.mark.parametrize("way", LANES)
def test_a_failure_at_any_point_of_mark_and_finish(way: str, act: str, after: int) -> None:
    acts: dict[str, Callable[[BarsKernel], list[Bar]]] = {
        "mark": lambda k: k.mark(T0 + 150 * SECOND),
        "finish": lambda k: k.finish(),
        "partial": lambda k: k.partial(bar(start=T0 + DAY, end=T0 + DAY + SECOND, first_time=T0 + DAY, last_time=T0 + DAY)),
        "frame": lambda k: k.frame(frame([tick(86_400, seq=50), tick(86_470, seq=51), tick(0.2, seq=52)])),
    }
    with lane(way):
        k, plain = (kernel("1s", "1m", "5m", "1d", horizon=3 * DAY) for _ in range(2))
        for each in (k, plain):
            feed(each, [*ticks((0, 100), (1, 101), (62, 102)), tick(30, symbol="B")], way)
        before = state(k)
        failed = False
        with broken("5m", after):
            try:
                out = acts[act](k)
            except RuntimeError:
                failed = True
                out = []
        if failed:
            assert state(k) == before
            out = acts[act](k)
        assert lines(out) == lines(acts[act](plain))
        assert state(k) == state(plain)


def test_a_failure_is_reached_in_every_act() -> None:
    # The test above proves nothing where nothing fails.
    for act in ("mark", "finish", "frame"):
        with frame_lane(1):
            k = kernel("1s", "1m", "5m", "1d", horizon=3 * DAY)
            feed(k, [*ticks((0, 100), (1, 101), (62, 102))], "frames")
            with broken("5m"), pytest.raises(RuntimeError, match="no 5m"):
                k.mark(T0 + 150 * SECOND) if act == "mark" else k.finish() if act == "finish" else k.frame(
                    frame([tick(130, seq=9)])
                )
    k = kernel("1s", "1m", "5m", "1d")
    with broken("5m"), pytest.raises(RuntimeError, match="no 5m"):
        k.tick(tick(0))


@pytest.mark.parametrize("at", [0.2, 0.5, 0.7, 1.0, 61, 86_400, 0.1])
@pytest.mark.parametrize("field", ["time", "price", "size", "seq"])
def test_a_tick_of_a_wrong_type_leaves_the_state_alone(field: str, at: float) -> None:
    for lateness in (0, SECOND):
        k = kernel("1s", "1m", lateness=lateness)
        feed(k, ticks((0.2, 100), (0.5, 101)), "rows")
        if at == 0.1:
            k.tick(tick(5, seq=7))
        before = state(k)
        bad = msgspec.structs.replace(tick(at, 200.0, 5, seq=8), **{field: None})
        with pytest.raises((TypeError, ValueError)):
            k.tick(bad)
        assert state(k) == before
        good = kernel("1s", "1m", lateness=lateness)
        feed(good, ticks((0.2, 100), (0.5, 101)), "rows")
        if at == 0.1:
            good.tick(tick(5, seq=7))
        assert lines(k.tick(tick(90, seq=10))) == lines(good.tick(tick(90, seq=10)))


# --- what is refused


@pytest.mark.parametrize("way", LANES)
@pytest.mark.parametrize(
    ("part", "text"),
    [
        (bar(last_time=T0 + SECOND), "a partial bar must lie inside one window of the finest timeframe, 1s, got A 1s"),
        (bar(revision=1), "a partial bar must have revision 0, or ticks would count twice, got 1: A 1s"),
        (bar(revision=-1), "a partial bar must have revision 0, or ticks would count twice, got -1: A 1s"),
        (bar(count=None), "a bar from history is not merged but replaces, got A 1s"),
        (bar(first_time=None), "a bar from history"),
        # CME opens on Sunday at 22:00 UTC; T0 is Monday at 10:00.
        (bar(first_time=T0 - 12 * HOUR - 1, last_time=T0 - 12 * HOUR), "must lie inside one window"),
        (bar(first_time=T0 + 11 * HOUR - 1, last_time=T0 + 11 * HOUR), "must lie inside one window"),
        # Closed at both ends, and a whole session between.
        (bar(first_time=T0 - 13 * HOUR, last_time=T0 + 11 * HOUR + MINUTE), "must lie inside one window"),
    ],
)
def test_a_partial_bar_that_does_not_fit_is_refused(part: Bar, text: str, way: str) -> None:
    with lane(way):
        k = kernel("1s", "1m", session="CME")
        feed(k, [tick(0)], way)
        before = state(k)
        with pytest.raises(PartialRefused, match=text):
            k.partial(part)
        assert state(k) == before


def test_a_partial_bar_of_a_closed_market_and_a_filled_one_make_no_bar() -> None:
    k = kernel("1s", session="CME")
    assert k.partial(bar(first_time=T0 - 13 * HOUR, last_time=T0 - 13 * HOUR, count=3)) == []
    assert k.stats == (3, 0, 0, 0, 3)
    assert k.partial(bar(flags=Flag.FILLED, count=0)) == []
    assert k.stats.received == 3
    assert k.finish() == []


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf])
def test_bars_refuses_prices_that_are_not_finite(price: float) -> None:
    for way in LANES:
        with lane(way):
            k = kernel("1s")
            rows = [tick(0), tick(0.5, price, seq=1), tick(0.7, 101, seq=2)]
            feed(k, rows, way)
            assert [(r.element.symbol, r.rule, r.reason) for r in k.take_rejects()] == [
                ("A", "finite", f"price must be finite, got {price}")
            ]
            assert k.stats == (3, 0, 2, 1, 0)
            assert lines(k.finish()) == ["A 1s 0: 100-101 x2 r0 PARTIAL"]
    for field in ("open", "high", "low", "close"):
        k = kernel("1s")
        part = bar(**{field: price}, count=4)
        assert k.partial(part) == []
        assert [(r.element, r.rule) for r in k.take_rejects()] == [(part, "finite")]
        assert k.stats == (4, 0, 0, 4, 0)


def test_the_first_tick_of_all_may_be_bad() -> None:
    for way in LANES:
        with lane(way):
            k = kernel("1s")
            assert feed(k, [tick(0, math.nan)], way) == []
            assert k.watermarks() == {}
            assert k.partials() == k.finish() == []


@pytest.mark.parametrize("out", ["rows", "frames"])
@pytest.mark.parametrize("across", [False, True])
def test_a_volume_that_does_not_fit_is_an_error_and_changes_nothing(out: str, across: bool) -> None:
    def give(k: BarsKernel, rows: list[Tick]) -> Any:
        return k.frame(frame(rows)) if out == "rows" else k.frame_to_frame(frame(rows))

    with frame_lane(1):
        k = kernel("1s", "1m")
        give(k, [tick(0), tick(1.5, 100, 1 << 61, seq=1)])
        before = state(k)
        second = 2.5 if across else 1.6
        with pytest.raises(InputError, match=r"the volume of a bar is 9\.22e\+18 lots; at most 9\.22e18 fit"):
            give(k, [tick(second, 100, 1 << 62, seq=2), tick(second + 1, 100, 1 << 61, seq=3), tick(90, seq=4)])
        assert state(k) == before
        assert lines(k.frame(frame([tick(60, seq=5)]))) == ["A 1s 1: 100-100 x1 r0", "A 1m 0: 100-100 x2 r0"]


# --- flags


@pytest.mark.parametrize("way", LANES)
def test_gap_marks_the_windows_in_which_the_stream_began(way: str) -> None:
    with lane(way):
        k = kernel("1s", "1m", "1d")
        rows = [tick(0.5), tick(0.7, symbol="B"), tick(2, seq=1), tick(60, seq=2), tick(86_400, seq=3)]
        got = feed(k, rows, way) + k.finish()
        gaps = [line(b) for b in got if b.flags & Flag.GAP and b.symbol == "A"]
        assert gaps == [line(b) for b in got if b.symbol == "A" and b.start < T0 + SECOND // 2]
        assert [g.split()[1] for g in gaps] == ["1s", "1m", "1d"]
        assert [b.timeframe for b in got if b.flags & Flag.GAP and b.symbol == "B"] == ["1s", "1m", "1d"]


@pytest.mark.parametrize("way", LANES)
def test_a_stream_that_begins_on_an_edge_has_no_gap_there(way: str) -> None:
    with lane(way):
        k = kernel("1s", "1m", "1h", "1d")
        got = feed(k, [tick(0), tick(86_400, seq=1)], way)
        assert [b.timeframe for b in got if b.flags & Flag.GAP] == ["1d"]
        assert len(got) == 4


@pytest.mark.parametrize("way", LANES)
def test_short_is_a_window_cut_by_the_close_and_partial_one_cut_by_the_end(way: str) -> None:
    close = 11 * 3600.0  # CME, 21:00 UTC
    with lane(way):
        k = kernel("1m", "7m", "4h", session="CME")
        got = feed(k, [tick(close - 1), tick(close + 3600, seq=1)], way)
        flags = {b.timeframe: Flag(b.flags & ~Flag.GAP) for b in got}
        # 23 hours are 197 times 7 minutes and one, and 5 times 4 hours and three.
        assert flags == {"1m": Flag(0), "7m": Flag.SHORT, "4h": Flag.SHORT}
        assert [b.end for b in got] == [T0 + 11 * HOUR] * 3
        assert [(b.timeframe, Flag(b.flags)) for b in k.finish()] == [(t, Flag.PARTIAL) for t in ("1m", "7m", "4h")]
        assert k.finish() == []


@pytest.mark.parametrize("way", LANES)
def test_flags_of_a_partial_bar_reach_the_bars_that_contain_it(way: str) -> None:
    with lane(way):
        k = kernel("1s", "1m")
        feed(k, [tick(0)], way)
        k.partial(bar(flags=Flag.CONFLATED | Flag.SHORT | Flag.PARTIAL, first_seq=1, last_seq=1))
        assert lines(k.mark(T0 + MINUTE)) == ["A 1s 0: 100-100 x2 r0 CONFLATED", "A 1m 0: 100-100 x2 r0 CONFLATED"]


# --- what is open


ODD = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 3000), st.integers(1, 9), st.integers(0, 2), st.booleans()), max_size=25
)


@settings(max_examples=120)
@given(ODD, st.sampled_from((0, SECOND, 90 * SECOND)), st.sampled_from(LANES), st.sampled_from(("CME", "24x7")))
def test_partials_is_what_would_close_now(rows: list[Any], lateness: int, way: str, session: str) -> None:
    k = kernel("1s", "5s", "1m", "7m", "1h", "1d", lateness=lateness, session=session)
    at = T0 - 12 * HOUR + 10 * MINUTE
    given_: list[Tick] = []
    for seq, (symbol, step, price, side, late) in enumerate(rows):
        at += step * SECOND // 100
        given_.append(Tick(symbol, at - 40 * SECOND * late, price / 4, seq, side, seq))
    with lane(way):
        feed(k, given_, way)
        before = state(k)
        shown = k.partials()
        assert state(k) == before
        assert all(b.revision == -1 and b.flags & Flag.PARTIAL for b in shown)
        assert [(b.symbol, b.end) for b in shown] == sorted((b.symbol, b.end) for b in shown)
        closed = {b.identity: b for b in k.finish()}
    assert {b.identity for b in shown} == closed.keys()
    for b in shown:
        other = msgspec.structs.replace(closed[b.identity], revision=-1, flags=closed[b.identity].flags | Flag.PARTIAL)
        assert b.notional is not None
        assert other.notional is not None
        assert math.isclose(b.notional, other.notional, rel_tol=1e-12)
        assert msgspec.structs.replace(b, notional=0.0) == msgspec.structs.replace(other, notional=0.0)


def test_due_is_when_a_mark_would_close_something() -> None:
    for way in LANES:
        with lane(way):
            k = kernel("1s", "1m", lateness=SECOND)
            assert k.due() is None
            feed(k, [tick(0), tick(30, symbol="B")], way)
            for _ in range(2):
                due = k.due()
                assert due is not None
                assert k.mark(due - 1) == []
                assert k.mark(due) != []
            feed(k, [tick(300, seq=9)], way)
            k.finish()
            assert k.due() is None


# --- memory


def kept(k: BarsKernel) -> int:
    return k.snapshot().bars.filter(pl.col("kept")).height


def held(k: BarsKernel) -> int:
    """How many closed bars stand in memory, asked for or not."""
    store = k._kept
    rows = sum(len(bars) for s in store._symbols.values() for bars in s.bars)
    return rows + sum(chunk.parts.size for chunks in store._chunks for chunk in chunks)


@pytest.mark.parametrize("way", LANES)
def test_memory_is_bounded_over_many_windows(way: str) -> None:
    # C falls silent for ever at once.
    k = kernel("1s", "1m", horizon=10 * SECOND)
    most: list[int] = []
    with lane(way):
        feed(k, [tick(i, symbol="C", seq=i) for i in range(30)], way)
        for block in range(60):
            rows = [tick(block * 50 + i / 2, symbol="AB"[i % 2], seq=1000 + block * 100 + i) for i in range(100)]
            if block % 5 == 0:
                rows.append(tick(block * 50 + 42, symbol="A", seq=900 + block))
            feed(k, rows, way)
            most.append(held(k))
        # Two symbols keep the seconds of about two minutes, C of one; in memory there may be twice as many, and some to spare.
        assert max(most) <= 2_500
        assert max(most[30:]) <= max(most[:30]) * 1.5
        assert kept(k) <= 2 * (60 + 60 + 10) + 40
        assert all(len(chunks) < 40 for chunks in k._kept._chunks)


@pytest.mark.parametrize("way", LANES)
def test_many_symbols_that_fall_silent_do_not_hold_the_others(way: str) -> None:
    k = kernel("1s", "1m", horizon=SECOND)
    with lane(way):
        for block in range(100):
            gone = [tick(block * 60 + i, symbol=f"S{block}", seq=i) for i in range(3)]
            feed(k, [*gone, *(tick(block * 60 + i, seq=block * 60 + i) for i in range(0, 60, 2))], way)
        # Of each silent symbol at most its three ticks' seconds are kept.
        assert kept(k) <= 3 * 100 + 100
        assert held(k) <= 2 * (2 * (3 * 100 + 100) + 512)


# --- far apart


@pytest.mark.parametrize("timeframes", [("1s", "1m"), ("1d",), ("1w", "1mo"), ("4h", "1d")])
@pytest.mark.parametrize("session", ["24x7", "CME"])
def test_times_centuries_apart(timeframes: tuple[str, ...], session: str) -> None:
    monday = T0 % (7 * DAY)
    years = [-250, -249, -100, 0, 1, 150, 200, 10]
    times = [T0 + y * 7 * DAY * 52 + i for i, y in enumerate(years)]
    assert monday
    rows = [Tick("AB"[i % 2], time, 100.0 + i, 1, 1, i) for i, time in enumerate(times)]
    found: list[list[Bar]] = []
    for way in LANES:
        with lane(way):
            k = kernel(*timeframes, session=session, horizon=NANOSECONDS["d"] * 365 * 280)
            got = feed(k, rows, way) + k.finish()
            assert k.stats.received == len(rows)
            assert k.stats.closed == len(rows)
            found.append(sorted(got, key=lambda b: (b.identity, b.revision)))
    final = [{b.identity: (b.end, b.open, b.close, b.count, b.volume, b.trade_date) for b in bars} for bars in found]
    assert final[0] == final[1]
    assert len(final[0]) == len(rows) * len(timeframes)


def test_a_horizon_of_any_length_is_taken() -> None:
    for way in LANES:
        with lane(way):
            k = BarsKernel(Windows("1s"), lateness=0, horizon=1 << 80)
            rows = [tick(0), tick(5, seq=1), tick(0, seq=2)]
            assert lines(feed(k, rows, way)) == ["A 1s 0: 100-100 x1 r0", "A 1s 0: 100-100 x2 r1"]


def test_a_snapshot_of_other_timeframes_is_refused() -> None:
    k = kernel("1s", "1m")
    feed(k, ticks((0, 1), (2, 2)), "rows")
    other = kernel("5s", "1m")
    with pytest.raises(InputError, match="the snapshot has '1s' at level 0, this kernel"):
        other.restore(k.snapshot())
    assert other.stats.received == 0
    assert k.snapshot().bars.columns[: len(BAR_SCHEMA)] == BAR_SCHEMA.names()


def test_bar_of_builders_is_what_a_tick_makes() -> None:
    one = tick(0.25, 101.5, 3, side=1, seq=4)
    k = kernel("1s")
    k.tick(one)
    (made,) = k.finish()
    assert made.flags == Flag.PARTIAL | Flag.GAP
    assert msgspec.structs.replace(made, flags=0) == bar_of(one, "1s", T0, T0 + SECOND, made.trade_date)
    assert Frame.of([made]).rows() == [made]
