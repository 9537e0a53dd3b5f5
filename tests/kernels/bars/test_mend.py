"""Gaps and repairs in the kernel of `bars`: flags, revisions, what is refused, bounded memory. The law is beside."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import msgspec
import pytest

from rxfeed.errors import RepairRefused
from rxfeed.instrument import Instrument
from rxfeed.kernels.bars.fill import Filler
from rxfeed.kernels.bars.kernel import BarsKernel
from rxfeed.kernels.bars.spans import common, covers, touches, united, within, without
from rxfeed.kernels.bars.wound import MOST, WAIT
from rxfeed.model import ONGOING, Bar, Flag, Gap, Repair, Tick
from rxfeed.times import SECOND
from rxfeed.windows import Windows
from tests.builders import HOUR, MINUTE, T0, bar, frame, frame_lane, kernel, line, lines, tick, ticks

DAY = 24 * HOUR


def made(*timeframes: str, **more: Any) -> BarsKernel:
    return kernel(*(timeframes or ("1s", "1m")), mends=True, **more)


def gap(first: float, last: float | None = None, symbol: str = "A") -> Gap:
    return Gap(symbol, T0 + round(first * SECOND), ONGOING if last is None else T0 + round(last * SECOND), "test")


def told(
    at: int, prices: tuple[float, float, float, float] = (1, 9, 1, 2), volume: int = 7, *, step: int = 1, **more: Any
) -> Bar:
    """History's bar, `at` seconds after T0."""
    o, h, low, c = prices
    start = T0 + at * SECOND
    name = {1: "1s", 60: "1m", 3600: "1h"}[step]
    return bar(
        start=start, end=start + step * SECOND, timeframe=name, open=float(o), high=float(h), low=float(low), close=float(c),
        volume=volume, count=None, **more,
    )  # fmt: skip


def repair(of: Gap, first: int, last: int, *bars: Bar, timeframe: str = "1s") -> Repair:
    return Repair(of, timeframe, T0 + first * SECOND, T0 + last * SECOND, bars)


def feed(k: BarsKernel, *rows: Tick) -> list[str]:
    return [text for row in rows for text in lines(k.tick(row))]


def brief(bars: list[Bar]) -> list[str]:
    return [f"{line(b)} v{b.volume}" for b in bars]


# --- gaps


def test_closed_windows_that_a_gap_touches_come_out_again() -> None:
    k = made()
    feed(k, *ticks((0, 100), (1, 101), (2, 102), (61, 103), (62, 104)))
    assert lines(k.gap(gap(1.5, 2))) == ["A 1s 1: 101-101 x1 r1 GAP", "A 1s 2: 102-102 x1 r1 GAP", "A 1m 0: 100-102 x3 r1 GAP"]
    assert k.gap(gap(1.5, 2)) == [], "told twice it changes nothing"
    assert k.gap(gap(3, 3.5)) == [], "no bar is there, and the minute has its flag"
    assert lines(k.tick(tick(1.7, 99, seq=9))) == ["A 1s 1: 101-99 x2 r2 GAP", "A 1m 0: 100-102 x4 r2 GAP"]


def test_open_windows_are_flagged_when_they_close_and_in_snapshots() -> None:
    k = made()
    feed(k, *ticks((60, 100), (61, 101)))
    assert k.gap(gap(61, 61.5)) == []
    assert [(b.timeframe, Flag(b.flags)) for b in k.partials()] == [
        ("1s", Flag.PARTIAL | Flag.GAP), ("1m", Flag.PARTIAL | Flag.GAP),
    ]  # fmt: skip
    assert feed(k, *ticks((62, 102), (120, 103))) == [
        "A 1s 61: 101-101 x1 r0 GAP", "A 1s 62: 102-102 x1 r0", "A 1m 60: 100-102 x3 r0 GAP",
    ]  # fmt: skip


def test_while_a_gap_lasts_all_that_closes_is_flagged_until_it_comes_again_with_its_end() -> None:
    k = made("1s")
    feed(k, tick(0))
    assert k.gap(gap(0)) == []
    assert feed(k, tick(5, seq=1), tick(7, seq=2), tick(9, seq=3)) == [f"A 1s {s}: 100-100 x1 r0 GAP" for s in (0, 5, 7)]
    assert lines(k.gap(gap(0, 5.5))) == ["A 1s 7: 100-100 x1 r1"], "the gap was over by then"
    assert feed(k, tick(11, seq=4)) == ["A 1s 9: 100-100 x1 r0"]


def test_a_gap_of_a_symbol_not_seen_yet_is_for_windows_to_come() -> None:
    k = made("1s")
    assert k.gap(gap(0, 3, "B")) == []
    got = feed(k, *[tick(s, symbol="B", seq=s) for s in range(6)])
    assert got == [f"B 1s {s}: 100-100 x1 r0{' GAP' if s < 4 else ''}" for s in range(5)]
    assert feed(k, tick(10), tick(11, seq=1)) == ["A 1s 10: 100-100 x1 r0"], "other symbols are left alone"


def test_windows_past_the_horizon_stay_as_they_are() -> None:
    k = made("1s", "1h", horizon=10 * SECOND)
    feed(k, *ticks((0, 100), (30, 101), (35, 102)))
    assert k.gap(gap(0, 1)) == []
    assert lines(k.replace(repair(gap(0, 1), 0, 1, told(0)))) == []
    assert k.mended.late == 1
    assert lines(k.mark(T0 + HOUR))[-1] == "A 1h 0: 100-102 x3 r0 GAP", "but the hour knows"


# --- repairs


def test_history_replaces_whole_windows_and_what_contains_them() -> None:
    k = made()
    feed(k, *ticks((0, 100, 2), (1, 101, 3), (4, 102, 4), (61, 103, 5), (62, 104, 6)))
    k.gap(gap(1, 4))
    got = k.replace(repair(gap(1, 4), 1, 5, told(1, (101, 110, 90, 95), 30), told(3), told(4, (3, 4, 2, 3), 40)))
    assert brief(got) == [
        "A 1s 1: 101-95 xNone r2 REPAIRED v30",
        "A 1s 3: 1-2 xNone r0 REPAIRED v7",
        "A 1s 4: 3-3 xNone r2 REPAIRED v40",
        "A 1m 0: 100-3 xNone r2 REPAIRED v79",
    ]
    minute = got[-1]
    assert (minute.high, minute.low) == (110, 1)
    assert minute[5:] if False else (minute.notional, minute.first_time, minute.last_seq, minute.vwap) == (None,) * 4
    assert k.mended == (1, 3, 0, 0, 0)
    assert k.mended._replace(gaps=0)._fields == ("gaps", "repaired", "disagreements", "early", "late")
    assert k.replace(repair(gap(1, 4), 1, 5, told(3))) == [], "once is enough"


def test_a_window_that_is_open_waits_and_one_that_contains_it_is_right_when_it_closes() -> None:
    k = made("1s", "1m", "1h")
    feed(k, *ticks((0, 100), (1, 101), (4, 102)))
    k.gap(gap(1, 4))
    got = k.replace(repair(gap(1, 4), 1, 5, told(1), told(4)))
    assert brief(got) == ["A 1s 1: 1-2 xNone r2 REPAIRED v7"] or brief(got) == ["A 1s 1: 1-2 xNone r1 REPAIRED v7"]
    assert k.mended.early == 1
    (early,) = k.take_rejects()
    assert (early.rule, early.element.symbol) == ("early", "A")
    assert early.reason == "its window ends at 2025-03-10T10:00:05Z, and the watermark is 2025-03-10T10:00:04Z"
    shown = {b.timeframe: b for b in k.partials()}
    assert (shown["1m"].open, shown["1m"].close, shown["1m"].volume, shown["1m"].count) == (100, 102, 9, None)
    assert Flag(shown["1h"].flags) == Flag.PARTIAL | Flag.GAP | Flag.REPAIRED
    feed(k, tick(6, 105, 5, seq=9))
    assert brief(k.replace(repair(gap(1, 4), 4, 5, told(4)))) == ["A 1s 4: 1-2 xNone r1 REPAIRED v7"]
    assert brief(k.tick(tick(70, 106, seq=10)) or []) == ["A 1s 6: 105-105 x1 r0 v5", "A 1m 0: 100-105 xNone r0 REPAIRED v20"]
    assert brief(k.finish()) == [
        "A 1s 70: 106-106 x1 r0 PARTIAL v1", "A 1m 60: 106-106 x1 r0 PARTIAL v1",
        "A 1h 0: 100-106 xNone r0 PARTIAL REPAIRED v21",
    ]  # fmt: skip


@pytest.mark.parametrize("way", ["mark", "tick", "frame", "finish"])
def test_a_container_that_only_history_knows_comes_out_when_it_is_over(way: str) -> None:
    k = made("1s", "1m")
    feed(k, *ticks((59, 100), (65, 101)))
    k.mark(T0 + 70 * SECOND)
    lost = gap(59, 65)
    k.gap(lost)
    assert k.due() == T0 + 120 * SECOND
    # All but the gap's edge is history's; the minute has no live tick after a restart of the source elsewhere.
    other = made("1s", "1m")
    feed(other, tick(0), tick(69, seq=1))
    other.mark(T0 + 130 * SECOND)
    other.gap(gap(69, 131.0))
    assert other.replace(repair(gap(69, 131), 69, 130, told(121), told(69))) != []
    due = T0 + 180 * SECOND
    assert other.due() == due
    assert other.opened_before(due + 1)
    assert not other.opened_before(due + 1)
    with frame_lane(1) if way == "frame" else nullcontext():
        if way == "mark":
            out = other.mark(due)
        elif way == "tick":
            out = other.tick(tick(190, seq=9)) or []
        elif way == "frame":
            out = other.frame(frame([tick(190, seq=9)]))
        else:
            out = other.finish()
    partial = " PARTIAL" if way == "finish" else ""
    assert brief(out) == [f"A 1m 120: 1-2 xNone r0{partial} GAP REPAIRED v7"]


def test_with_a_lateness_it_comes_out_even_inside_a_finer_window() -> None:
    k = made("10s", "1m", lateness=5 * SECOND)
    feed(k, tick(-5))
    k.mark(T0 + 55 * SECOND)
    start = T0 + 20 * SECOND
    known = bar(start=start, end=start + 10 * SECOND, timeframe="10s", volume=7, count=None)
    assert brief(k.replace(repair(gap(20, 29), 20, 30, known, timeframe="10s"))) == ["A 10s 20: 100-100 xNone r0 REPAIRED v7"]
    assert feed(k, tick(61, seq=1), tick(64.9, seq=2)) == []
    assert feed(k, tick(65, seq=3)) == ["A 1m 0: 100-100 xNone r0 REPAIRED"]


def test_a_window_that_a_lateness_holds_open_past_the_horizon_is_not_final() -> None:
    k = made("1s", "1m", lateness=90 * SECOND, horizon=SECOND)
    feed(k, *ticks((1, 100), (2, 101), (70, 102)))
    k.gap(gap(1.5, 2))
    assert feed(k, tick(151, seq=9)) == ["A 1s 1: 100-100 x1 r0 GAP", "A 1s 2: 101-101 x1 r0 GAP", "A 1m 0: 100-101 x2 r0 GAP"]


def test_live_wins_while_it_was_whole() -> None:
    k = made("1s")
    feed(k, *ticks((0, 100), (1, 101), (2, 102), (9, 103)))
    k.gap(gap(2, 2))
    k.take_rejects()
    got = k.replace(repair(gap(2, 2), 0, 4, told(0), told(1, (101, 101, 101, 101), 1), told(2), told(3)))
    assert brief(got) == ["A 1s 2: 1-2 xNone r2 REPAIRED v7"]
    assert k.mended.disagreements == 2, "second 0 differs, second 3 had no tick; second 1 agrees"
    assert [
        (r.rule, r.element.start, r.reason.partition(" A ")[0]) for r in k.take_rejects() if isinstance(r.element, Bar)
    ] == [
        ("disagrees", T0, "live ticks made"),
        ("disagrees", T0 + 3 * SECOND, "there was no tick, and no gap: live wins"),
    ]


def test_a_bar_that_history_does_not_have_stays_and_so_does_its_flag() -> None:
    k = made()
    feed(k, *ticks((0, 100), (1, 101), (2, 102), (70, 103)))
    k.gap(gap(1, 2))
    assert brief(k.replace(repair(gap(1, 2), 1, 3, told(2)))) == [
        "A 1s 2: 1-2 xNone r2 REPAIRED v7", "A 1m 0: 100-2 xNone r2 GAP REPAIRED v9",
    ]  # fmt: skip
    assert k.mended.disagreements == 1
    (reject,) = k.take_rejects()
    assert (reject.rule, reject.reason) == ("disagrees", "history has no trade there: live ticks stay, and so does a gap")


def test_a_gap_in_which_nothing_was_traded_is_mended_with_no_bar() -> None:
    k = made("1s", "1m")
    feed(k, *ticks((0, 100), (9, 101), (70, 102)))
    k.gap(gap(3, 5))
    (minute,) = k.replace(repair(gap(3, 5), 3, 6))
    assert line(minute) == "A 1m 0: 100-101 x2 r2 REPAIRED", "all of it is known"
    assert minute.notional == 201


def test_a_late_tick_of_a_repaired_window_is_in_history_already() -> None:
    for forced in (False, True):
        k = made()
        feed(k, *ticks((0, 100), (1, 101), (2, 102), (5, 103)))
        k.gap(gap(1, 2))
        k.replace(repair(gap(1, 2), 1, 3, told(1), told(2)))
        late = [tick(1.5, 50, seq=20), tick(0.5, 60, seq=21)]
        with frame_lane(1):
            got = k.frame(frame(late)) if forced else [b for t in late for b in k.tick(t) or []]
        assert brief(got) == ["A 1s 0: 100-60 x2 r1 v2"]
        assert k.rejected == {"repaired": 1}
        (reject,) = k.take_rejects()
        assert (reject.rule, reject.element) == ("repaired", late[0])
        assert "was repaired: history has it already" in reject.reason
        assert k.stats == (6, 4, 1, 1, 0)
        assert brief(k.mark(T0 + MINUTE))[-1] == "A 1m 0: 100-103 xNone r0 REPAIRED v17"


def test_history_may_tell_coarser_windows_only() -> None:
    k = made("1s", "1m", "1h")
    feed(k, *ticks((0, 100), (1, 101), (62, 102), (130, 103)))
    lost = gap(1, 62)
    k.gap(lost)
    got = k.replace(repair(lost, 0, 120, told(0, step=60), told(60, step=60), timeframe="1m"))
    assert brief(got) == ["A 1m 0: 1-2 xNone r2 REPAIRED v7", "A 1m 60: 1-2 xNone r2 REPAIRED v7"]
    assert lines(k.tick(tick(1.2, 99, seq=9))) == ["A 1s 1: 101-99 x2 r2 GAP"], "the minute has it"
    assert brief(k.finish())[-1] == "A 1h 0: 1-103 xNone r0 PARTIAL REPAIRED v15"


def test_a_repair_tells_of_its_gap_and_of_all_before_the_stream_began() -> None:
    k = made("1s", "1m")
    feed(k, *ticks((30.5, 100), (40, 101), (61, 102)))
    k.mark(T0 + 70 * SECOND)
    backfill = gap(0, 30.5)
    got = k.replace(repair(backfill, 0, 31, told(5), told(30, (7, 7, 7, 7), 3)))
    assert brief(got) == [
        "A 1s 5: 1-2 xNone r0 REPAIRED v7", "A 1s 30: 7-7 xNone r1 REPAIRED v3", "A 1m 0: 1-101 xNone r1 REPAIRED v11",
    ]  # fmt: skip


def test_a_day_of_gaps_waits_a_day_and_is_let_go_then() -> None:
    k = made("1s", "1m", horizon=10 * SECOND)
    feed(k, *ticks((0, 100), (1, 101), (5, 102)))
    k.gap(gap(1, 5))
    k.mark(T0 + WAIT - MINUTE)
    assert brief(k.replace(repair(gap(1, 5), 1, 2, told(1))))[-1].startswith("A 1m 0: 100-102 xNone")
    feed(k, tick(86_400 + 3_600, seq=9), tick(86_400 + 7_200, seq=10))
    k.mark(T0 + WAIT + 3 * HOUR)
    assert k.replace(repair(gap(1, 5), 5, 6, told(5))) == []
    assert k.mended.late == 1
    assert not k._mender.wounds, "nothing is left of it"
    assert k._kept.symbol("A").pins is None


def test_memory_is_bounded_however_many_gaps_there_are() -> None:
    k = made("1s", "1m", "1h", horizon=10 * SECOND)
    for i in range(MOST + 30):
        feed(k, tick(i * 120, seq=i))
        k.gap(gap(i * 120 + 5))
        k.gap(gap(i * 120 + 5, i * 120 + 6))
    for i in range(70):
        k.gap(gap(200_000 + i))
    (wound,) = k._mender.wounds.values()
    assert max(map(len, wound.open)) <= MOST
    assert len(wound.ongoing) <= 64
    assert sum(len(bars) for bars in k._kept.symbol("A").bars) < 3_000


@pytest.mark.parametrize("way", ["rows", "frames"])
def test_what_bars_are_made_of_is_kept_and_no_more(way: str) -> None:
    k = made("1s", "1d", horizon=10 * SECOND)
    assert k.plan.names == ("1s", "1m", "1h", "1d")
    with frame_lane(1):
        for block in range(0, 12_000, 100):
            rows = [tick(s, seq=s) for s in range(block, block + 100)]
            feed(k, *rows) if way == "rows" else k.frame(frame(rows))
    assert k.snapshot().bars.filter(kept=True).height < 60 + 20 + 60 + 10
    got = k.gap(gap(11_995, 11_996))
    assert [b.timeframe for b in got] == ["1s", "1s"]


# --- refused


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (repair(gap(3, 1), 0, 4), "a gap must not end before its start 2025-03-10T10:00:03Z, got 2025-03-10T10:00:01Z"),
        (repair(gap(1, 3), 0, 4, timeframe="5s"), "a repair must be of 1s, 1m, got '5s'"),
        (repair(gap(1, 3), 4, 4), "a repair must end after its start"),
        (repair(gap(1, 3), 1, 60, timeframe="1m"), "must be of whole windows, and none has an edge at 2025-03-10T10:00:01Z"),
        (repair(gap(1, 3), 0, 4, told(1, symbol="B")), "a repair of A 1s has a bar of another"),
        (repair(gap(1, 3), 0, 4, told(0, step=60)), "has a bar of another"),
        (repair(gap(1, 3), 0, 4, told(5)), "must be one of its windows"),
        (repair(gap(1, 3), 0, 4, msgspec.structs.replace(told(1), end=T0 + 3 * SECOND)), "must be one of its windows"),
        (repair(gap(1, 3), 0, 4, told(1), told(1)), "must say one thing of a window, got a second time A 1s"),
        (repair(gap(1, 3), 0, 4, told(1, (1, math.nan, 1, 1))), "finite prices"),
        (repair(gap(1, 3), 0, 4, told(1, (1, 2, 3, 1))), "low to high"),
        (repair(gap(1, 3), 0, 4, told(1, volume=-1)), "a volume from 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_and_changes_nothing(wrong: Repair, text: str) -> None:
    k = made()
    feed(k, *ticks((0, 100), (1, 101), (9, 102)))
    with pytest.raises(RepairRefused, match=text):
        k.replace(wrong)
    assert not k._mender.wounds
    assert k.mended == (0, 0, 0, 0, 0)


def test_bars_of_a_repair_may_come_in_any_order_and_in_another_session_s_grid_they_are_refused() -> None:
    k = made("1s", "1h", instruments=[Instrument("A", session="CME")])
    feed(k, *ticks((0, 100), (9, 102)))
    k.gap(gap(0, 9))
    assert lines(k.replace(repair(gap(0, 8), 0, 9, told(5), told(0))))[:2] == [
        "A 1s 0: 1-2 xNone r2 REPAIRED", "A 1s 5: 1-2 xNone r0 REPAIRED",
    ]  # fmt: skip
    closed = round(11 * HOUR / SECOND)  # from 21:00 to 22:00 UTC
    with pytest.raises(RepairRefused, match="must be one of its windows"):
        k.replace(repair(gap(0, 9), closed, closed + 9, told(closed + 1)))


def test_a_kernel_that_was_not_made_for_it_says_so() -> None:
    k = kernel("1s")
    for act in (lambda: k.gap(gap(0, 1)), lambda: k.replace(repair(gap(0, 1), 0, 2))):
        with pytest.raises(ValueError, match="was made without mends=True"):
            act()
    assert k.plan.names == Windows("1s").timeframes[0][:1]


# --- filled


def test_filled_bars_follow_a_repaired_close() -> None:
    k = made("1s")
    filler = Filler(k.plan, k.pins)

    def through(bars: list[Bar]) -> list[str]:
        return lines(filler.through(bars, k.watermarks()))

    for t in ticks((0, 100), (1, 101), (6, 102), (9, 103)):
        through(k.tick(t) or [])
    assert lines(filler.mended(k.gap(gap(1, 6)))) == ["A 1s 1: 101-101 x1 r1 GAP", "A 1s 6: 102-102 x1 r1 GAP"]
    through(k.mark(T0 + 4 * HOUR))
    got = k.replace(repair(gap(1, 6), 1, 7, told(1, (5, 5, 5, 5)), told(3, (8, 8, 8, 8)), told(6, (4, 4, 4, 4))))
    assert lines(filler.mended(got))[:6] == [
        "A 1s 1: 5-5 xNone r2 REPAIRED", "A 1s 2: 5-5 x0 r1 FILLED", "A 1s 3: 8-8 xNone r1 REPAIRED",
        "A 1s 4: 8-8 x0 r1 FILLED", "A 1s 5: 8-8 x0 r1 FILLED", "A 1s 6: 4-4 xNone r2 REPAIRED",
    ]  # fmt: skip


# --- stretches of time


def test_stretches() -> None:
    spans = united([(5, 6), (1, 2), (3, 3), (9, 12), (10, 11)])
    assert spans == [(1, 3), (5, 6), (9, 12)]
    assert [touches(spans, t, t) for t in (0, 1, 3, 4, 6, 7, 12, 13)] == [False, True, True, False, True, False, True, False]
    assert touches(spans, 7, 9)
    assert not touches(spans, 7, 8)
    assert covers(spans, 9, 12)
    assert not covers(spans, 5, 7)
    assert not covers(spans, 0, 1)
    assert without(spans, [(2, 5), (10, 10)]) == [(1, 1), (6, 6), (9, 9), (11, 12)]
    assert within(spans, 2, 9) == [(2, 3), (5, 6), (9, 9)]
    assert within(spans, 9, 2) == []
    assert common(spans, [(3, 5), (12, 20)]) == [(3, 3), (5, 5), (12, 12)]
