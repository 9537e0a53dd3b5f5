"""The kernel of `bars(by=...)`: what the law's random cases would seldom meet, and what each kind of bar is, by example."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rxfeed import by
from rxfeed.by import By
from rxfeed.errors import InputError
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.by import framelane
from rxfeed.kernels.by.kernel import ByKernel
from rxfeed.kernels.by.renko import MOST_BRICKS
from rxfeed.model import Bar, Flag, Tick
from rxfeed.times import SECOND
from tests.builders import HOUR, MINUTE, T0, lines, tick, ticks

NAN = float("nan")


def kernel(*kinds: By, session: Any = "CME", **more: Any) -> ByKernel:
    return ByKernel(kinds, session=session, **more)


@pytest.fixture(params=["rows", "frames"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rows, or frames of which even the smallest go in columns."""
    monkeypatch.setattr(framelane, "FEW_ROWS", 1)
    return request.param


def feed(k: ByKernel, rows: list[Tick], way: str) -> list[Bar]:
    if way == "rows":
        return [bar for t in rows for bar in k.tick(t) or ()]
    return k.frame(Frame.of(rows, Tick))


def state(k: ByKernel) -> tuple[Any, ...]:
    s = k.snapshot()
    return *(table.rows() for table in s), k.stats, k.rejected


def prices(*values: float, size: int = 1) -> list[Tick]:
    return [tick(at, value, size, seq=at) for at, value in enumerate(values)]


def brick(bar: Bar) -> tuple[float, float, float, float, int | None, str]:
    return bar.open, bar.high, bar.low, bar.close, bar.count, "".join(f.name or "" for f in Flag if f & bar.flags)


def named(k: ByKernel) -> list[tuple[str, int]]:
    return [(r.rule, r.element.seq) for r in k.take_rejects() if isinstance(r.element, Tick)]


# --- what each is


def test_the_tick_that_reaches_the_threshold_is_in_the_bar_and_is_not_split(few: str) -> None:
    k = kernel(by.volume(10), by.ticks(2))
    out = feed(k, [tick(0, 100, 7), tick(1, 101, 25, seq=1), tick(2, 102, 3, seq=2)], few)
    assert [(b.timeframe, b.volume, b.count, b.close) for b in out] == [("volume(10)", 32, 2, 101), ("ticks(2)", 32, 2, 101)]
    assert [(b.timeframe, b.volume) for b in k.finish()] == [("volume(10)", 3), ("ticks(2)", 3)]


def test_notional_is_what_is_turned_over_whatever_the_sign(few: str) -> None:
    k = kernel(by.notional(30))
    out = feed(k, prices(10, -10, 10, 5, -25), few)
    assert [(b.count, b.notional) for b in out] == [(3, 10.0), (2, -20.0)]


def test_notional_sums_that_floats_miss_by_a_hair_are_reached(few: str) -> None:
    # Ten times 0.1 is 0.9999999999999999 in floats, and three times it is less than 0.3 in the units of that.
    k = kernel(by.notional(1), by.notional(0.3))
    out = feed(k, prices(*[0.1] * 30), few)
    assert [b.count for b in out if b.timeframe == "notional(1)"] == [10] * 3
    assert [b.count for b in out if b.timeframe == "notional(0.3)"] == [3] * 10


def test_a_range_that_floats_miss_by_a_hair_is_reached(few: str) -> None:
    # 1.2 - 1.1 is 0.09999999999999987, and 1.1 + 0.1 is 1.2000000000000002.
    k = kernel(by.range(0.1))
    assert [b.count for b in feed(k, prices(1.1, 1.2, 1.1, 1.1, 1.0), few)] == [2, 3]


def test_a_jump_over_several_ranges_is_one_bar(few: str) -> None:
    k = kernel(by.range(1))
    assert lines(feed(k, prices(100, 100.5, 107, 107, 107.5), few)) == ["A range(1) 0: 100-107 x3 r0 GAP"]


def test_bricks_go_on_at_the_next_level_and_turn_at_the_second(few: str) -> None:
    k = kernel(by.renko(5), session="24x7")
    out = feed(k, prices(102, 104.75, 105, 109, 101, 100, 97, 95, 104.9, 105), few)
    assert [brick(b) for b in out] == [
        (100, 105, 100, 105, 3, "GAP"),
        # Back from 105 there is nothing before 95, which is two levels from the close of 105.
        (100, 100, 95, 95, 5, ""),
        # And then 105 is two levels from the close of 95.
        (100, 105, 100, 105, 2, ""),
    ]
    assert k.stats.open == 0
    assert k.finish() == []


def test_a_tick_that_completes_several_bricks_is_in_the_first(few: str) -> None:
    k = kernel(by.renko(5))
    out = feed(
        k, [tick(0, 101, 3, side=1), tick(1, 101.5, 4, seq=1, side=2), tick(2, 116, 5, seq=2), tick(3, 99, 1, seq=3)], few
    )
    assert [brick(b) for b in out] == [
        (100, 105, 100, 105, 3, "GAP"),
        (105, 110, 105, 110, 0, "FILLED"),
        (110, 115, 110, 115, 0, "FILLED"),
        (110, 110, 105, 105, 1, ""),
        (105, 105, 100, 100, 0, "FILLED"),
    ]
    first, second, third, down, _ = out
    assert (first.volume, first.buy_volume, first.sell_volume, first.notional) == (12, 3, 4, 3 * 101 + 4 * 101.5 + 5 * 116)
    assert (second.volume, second.notional, second.first_time, second.first_seq, second.last_time, second.last_seq) == (
        0, 0.0, None, None, None, None,
    )  # fmt: skip
    assert (first.start, first.end) == (T0, T0 + 2 * SECOND + 1)
    assert [(b.start - T0, b.end - T0) for b in (second, third)] == [
        (2 * SECOND, 2 * SECOND + 1), (2 * SECOND + 1, 2 * SECOND + 2),
    ]  # fmt: skip
    assert down.start == T0 + 3 * SECOND


def test_levels_are_computed_and_never_summed(few: str) -> None:
    k = kernel(by.renko(0.1))
    out = feed(k, prices(*(i / 10 for i in range(1, 40))), few)
    assert [b.close for b in out] == [k * 0.1 for k in range(2, 40)]


def test_what_completes_no_brick_has_its_ticks_own_prices(few: str) -> None:
    k = kernel(by.renko(5))
    assert feed(k, prices(101, 103, 102), few) == []
    assert [brick(b) for b in k.partials()] == [(101, 103, 101, 102, 3, "PARTIALGAP")]
    assert [brick(b) for b in k.finish()] == [(101, 103, 101, 102, 3, "PARTIALGAP")]


def test_each_session_begins_its_bricks_anew(few: str) -> None:
    # CME closes at 21:00 UTC, 11 hours from T0, and opens at 22:00.
    k = kernel(by.renko(5))
    rows = [
        tick(0, 102),
        tick(1, 106, seq=1),
        tick(2, 107, seq=2),
        tick(12 * 3600, 121, seq=3),
        tick(12 * 3600 + 1, 125, seq=4),
    ]
    assert [brick(b) for b in feed(k, rows, few)] == [
        (100, 105, 100, 105, 2, "GAP"), (107, 107, 107, 107, 1, "SHORT"), (120, 125, 120, 125, 2, ""),
    ]  # fmt: skip


# --- identity


def test_starts_are_unique_and_the_ends_behind_them(few: str) -> None:
    k = kernel(by.ticks(1), by.ticks(2))
    out = feed(k, [tick(0, seq=i) for i in range(3)], few)
    out += feed(k, [tick(0, seq=3), tick(0, seq=4), Tick("A", T0 + 2, 100.0, 1, 0, 5)], few)
    ones = [b for b in out if b.timeframe == "ticks(1)"]
    assert [(b.start - T0, b.end - T0) for b in ones] == [(i, i + 1) for i in range(6)]
    assert [(b.first_time, b.last_time) for b in ones] == [(T0, T0)] * 5 + [(T0 + 2, T0 + 2)]
    assert [(b.start - T0, b.end - T0) for b in out if b.timeframe == "ticks(2)"] == [(0, 1), (1, 2), (2, 3)]


# --- arriving


def test_ticks_are_held_until_the_watermark_is_past_them(few: str) -> None:
    k = kernel(by.ticks(2), lateness=SECOND)
    assert feed(k, [tick(1, 101, seq=1), tick(0.5, 100, seq=0), tick(1.4, 103, seq=3), tick(1.4, 102, seq=2)], few) == []
    assert k.stats == (4, 0, 4, 0, 0)
    assert k.due() == T0 + SECOND * 3 // 2
    assert lines(feed(k, [tick(2.4, 104, seq=4)], few)) == [
        "A ticks(2) 0.5: 100-101 x2 r0 GAP",
        "A ticks(2) 1.4: 102-103 x2 r0",
    ]
    assert k.stats == (5, 4, 1, 0, 0)
    assert lines(k.finish()) == ["A ticks(2) 2.4: 104-104 x1 r0 PARTIAL"]


def test_what_comes_behind_what_has_gone_in_is_late(few: str) -> None:
    k = kernel(by.ticks(10))
    feed(k, [tick(1, seq=5), tick(1, seq=4), tick(1, seq=5), tick(0, seq=9)], few)
    assert k.stats == (4, 0, 2, 2, 0)
    assert k.rejected == {"late": 2}
    first, second = k.take_rejects()
    behind = "comes after 2025-03-10T10:00:01Z (seq 5) has gone into its bar; lateness is 0 s"
    assert first.reason == f"2025-03-10T10:00:01Z (seq 4) {behind}"
    assert second.reason == f"2025-03-10T10:00:00Z (seq 9) {behind}"


def test_a_frame_that_begins_behind_what_has_gone_in_at_the_same_time(few: str) -> None:
    k = kernel(by.ticks(10))
    feed(k, [tick(1, seq=5)], few)
    feed(k, [tick(1, seq=4), tick(1, seq=6)], few)
    assert named(k) == [("late", 4)]
    assert k.stats == (3, 0, 2, 1, 0)


def test_a_mark_lets_in_but_makes_late_only_what_is_behind_or_of_a_session_that_is_over(few: str) -> None:
    k = kernel(by.ticks(3), lateness=SECOND)
    feed(k, [tick(0)], few)
    assert k.mark(T0 + 5 * SECOND) == []
    feed(k, [tick(1, seq=1), tick(0.5, seq=2)], few)
    assert k.rejected == {"late": 1}
    assert k.mark(T0 + 11 * HOUR) == []
    assert lines(k.mark(T0 + 11 * HOUR + SECOND)) == ["A ticks(3) 0: 100-100 x2 r0 SHORT GAP"]
    feed(k, [tick(10 * 3600, seq=3)], few)
    assert k.rejected == {"late": 2}
    assert k.take_rejects()[-1].reason == (
        "2025-03-10T20:00:00Z comes after its session has closed at 2025-03-10T21:00:00Z: "
        "the watermark is 2025-03-10T21:00:01Z, and lateness is 1 s"
    )


def test_rejects_of_a_frame_come_in_its_order() -> None:
    rows = [tick(0, symbol="B"), tick(5), tick(1, NAN, seq=1), tick(0, seq=2), tick(6, NAN, symbol="B", seq=3), tick(4, seq=4)]
    k = kernel(by.ticks(3))
    k.frame(Frame.of(rows))
    assert named(k) == [("finite", 1), ("late", 2), ("finite", 3), ("late", 4)]


def test_outside_the_session_is_counted_and_moves_nothing(few: str) -> None:
    k = kernel(by.ticks(3), instruments=[Instrument("B", session="24x7")])
    weekend = 5 * 86_400.0
    feed(k, [tick(0), tick(weekend, seq=1), tick(weekend, symbol="B"), tick(1, seq=2)], few)
    assert k.stats == (4, 0, 3, 0, 1)
    assert k.watermarks() == {"A": T0 + SECOND, "B": T0 + round(weekend) * SECOND}


def test_what_is_held_at_the_end_goes_in(few: str) -> None:
    k = kernel(by.ticks(2), lateness=HOUR)
    rows = [tick(2, 102, seq=2), tick(0, 100), tick(1, 101, seq=1), tick(12 * 3600, 103, seq=3), tick(12 * 3600 - 1, seq=4)]
    assert lines(feed(k, rows, few)) == ["A ticks(2) 0: 100-101 x2 r0 GAP", "A ticks(2) 2: 102-102 x1 r0 SHORT"]
    assert lines(k.finish()) == ["A ticks(2) 43200: 103-103 x1 r0 PARTIAL"]
    assert k.stats == (5, 4, 0, 0, 1)


def test_short_at_the_end_if_the_watermark_has_passed_the_close() -> None:
    k = kernel(by.ticks(9), lateness=HOUR)
    k.tick(tick(0))
    assert k.mark(T0 + 11 * HOUR + MINUTE) == []
    assert lines(k.finish()) == ["A ticks(9) 0: 100-100 x1 r0 SHORT GAP"]


# --- GAP


def test_gap_is_the_first_bar_of_each_measure_and_symbol_in_the_session_the_stream_began_in(few: str) -> None:
    k = kernel(by.ticks(1), by.ticks(2))
    rows = [tick(0), tick(1, seq=1), tick(2, symbol="B"), tick(12 * 3600, symbol="C"), tick(12 * 3600, seq=2)]
    out = feed(k, rows, few) + k.finish()
    flagged = [(b.symbol, b.timeframe) for b in out if b.flags & Flag.GAP]
    assert sorted(flagged) == [("A", "ticks(1)"), ("A", "ticks(2)"), ("B", "ticks(1)"), ("B", "ticks(2)")]


def test_no_gap_for_a_stream_that_begins_with_the_session(few: str) -> None:
    k = kernel(by.ticks(1))
    assert [b.flags for b in feed(k, [tick(12 * 3600)], few)] == [0]


def test_a_frame_whose_first_tick_is_not_the_earliest_is_as_its_rows(few: str) -> None:
    # What began before is known only from the second row on.
    k = kernel(by.ticks(1))
    out = feed(k, [tick(12 * 3600 + 1), tick(0, symbol="B"), tick(12 * 3600 + 1, symbol="C")], few)
    assert {b.symbol: b.flags for b in out} == {"A": Flag.GAP, "B": Flag.GAP, "C": 0}


def test_a_frame_that_has_ticks_from_before_the_stream_s_first_is_as_its_rows(few: str) -> None:
    k = kernel(by.ticks(1))
    assert [b.flags for b in feed(k, [tick(12 * 3600 + 1)], few)] == [Flag.GAP]
    out = feed(k, [tick(0, symbol="B"), tick(12 * 3600 + 1, symbol="C")], few)
    assert {b.symbol: b.flags for b in out} == {"B": Flag.GAP, "C": 0}


# --- what is large, odd or wrong


def test_sizes_that_no_column_could_add_up(few: str) -> None:
    k = kernel(by.volume(10**18), by.ticks(3))
    out = feed(k, [tick(i, 1e-9, 1 << 60, seq=i) for i in range(2)] + [tick(2, 1, 1 << 62, seq=2)], few)
    assert [(b.timeframe, b.volume) for b in out] == [
        ("volume(1000000000000000000)", 1 << 60), ("volume(1000000000000000000)", 1 << 60),
        ("volume(1000000000000000000)", 1 << 62), ("ticks(3)", (1 << 61) + (1 << 62)),
    ]  # fmt: skip


def test_sizes_below_0_go_one_by_one(few: str) -> None:
    k = kernel(by.volume(10))
    assert [b.count for b in feed(k, [tick(i, 100, n, seq=i) for i, n in enumerate((9, -5, 5, 0, 1, 20))], few)] == [5, 1]


def test_a_notional_beyond_all_floats_closes_its_bar(few: str) -> None:
    k = kernel(by.notional(1e300), by.notional(1e-300))
    out = feed(k, prices(1e299, 1e308, 1e308, size=100), few)
    assert [b.timeframe for b in out] == ["notional(1e+300)", "notional(1e-300)"] * 3
    assert out[-1].notional == math.inf


def test_too_many_bricks_at_once_are_an_error_that_changes_nothing(few: str) -> None:
    k = kernel(by.ticks(2), by.renko(0.01))
    feed(k, prices(100, 100.005), few)
    before = state(k)
    text = (
        rf"the price 1200.0 completes 110000 bricks of renko\(0.01\) at once; at most {MOST_BRICKS} are made: is the size right"
    )
    with pytest.raises(InputError, match=text):
        feed(k, [tick(5, 1200.0, seq=5)], few)
    assert state(k) == before
    with pytest.raises(InputError, match=r"the price 1e\+300 must be less than 2\*\*48 bricks of renko\(0.01\)"):
        feed(k, [tick(5, 1e300, seq=5)], few)
    assert state(k) == before


def test_an_error_among_several_ticks_that_go_in_changes_nothing(few: str) -> None:
    k = kernel(by.ticks(2), by.renko(0.01), lateness=SECOND)
    feed(k, [tick(0, 100), tick(0.5, 100, seq=1), tick(0.9, 1200.0, seq=2), tick(0.95, 100, symbol="B")], few)
    before = state(k)
    with pytest.raises(InputError, match="bricks"):
        feed(k, [tick(5, 100.0, seq=5)], few)
    assert state(k) == before


@pytest.mark.parametrize("bad", [{"price": "1"}, {"size": None}, {"seq": "a"}])
@pytest.mark.parametrize("lateness", [0, SECOND])
def test_a_tick_of_a_wrong_type_changes_nothing(bad: dict[str, Any], lateness: int) -> None:
    k = kernel(by.ticks(3), by.notional(1e9), lateness=lateness)
    for t in prices(100, 101, 102, 103):
        k.tick(t)
    before = state(k)
    fields: dict[str, Any] = {"price": 100.0, "size": 1, "seq": 9} | bad
    for at in (T0 + 4 * SECOND, T0 + 13 * HOUR):
        with pytest.raises(TypeError):
            k.tick(Tick("A", at, fields["price"], fields["size"], 0, fields["seq"]))
        assert state(k) == before


def test_a_frame_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framelane, "FEW_ROWS", 1)
    k = kernel(by.ticks(2), by.renko(1))
    k.frame(Frame.of([tick(0), tick(0, symbol="B")]))
    before = state(k)
    rows = [
        tick(1, NAN, seq=1),
        tick(2, 101, seq=2),
        tick(5 * 86_400, symbol="B"),
        tick(3, symbol="C"),
        tick(1, 9e9, symbol="B", seq=1),
    ]
    with pytest.raises(InputError, match="bricks"):
        k.frame(Frame.of(rows))
    assert state(k) == before


def test_memory_is_what_is_open_and_held() -> None:
    k = kernel(by.ticks(7), by.renko(1), lateness=10 * SECOND)
    for at in range(5_000):
        k.tick(tick(at / 10, 100 + at % 13, seq=at))
    (symbol,) = k.rows.symbols.values()
    assert len(symbol.held) == 100
    assert sum(len(table) for table in k.snapshot()) < 120


# --- snapshots


def test_restore_refuses_the_state_of_another_kernel() -> None:
    k = kernel(by.ticks(7), by.renko(1))
    for t in prices(100, 101):
        k.tick(t)
    for other in (kernel(by.ticks(7)), kernel(by.renko(1), by.ticks(7)), kernel(by.ticks(8), by.renko(1))):
        other.tick(tick(0))
        before = state(other)
        with pytest.raises(InputError, match="the snapshot is not of these measures: "):
            other.restore(k.snapshot())
        assert state(other) == before
    with pytest.raises(InputError, match="the snapshot has a session of A that NYSE does not have"):
        kernel(by.ticks(7), by.renko(1), session="NYSE").restore(k.snapshot())


def test_an_empty_state_moves_too() -> None:
    k = kernel(by.ticks(7))
    k.tick(tick(0, NAN))
    fresh = kernel(by.ticks(7))
    fresh.tick(tick(0))
    fresh.restore(k.snapshot())
    assert state(fresh) == state(k)


def test_all_symbols_of_one_time_are_ordered_by_ticks_alone() -> None:
    k = kernel(by.ticks(2))
    out = [bar for t in [*ticks((0, 1), (0, 2)), *ticks((0, 3), (0, 4), symbol="B")] for bar in k.tick(t) or ()]
    assert [(b.symbol, b.open, b.close) for b in out] == [("A", 1, 2), ("B", 3, 4)]
