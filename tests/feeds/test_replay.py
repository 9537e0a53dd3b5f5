"""A replay gives every tick once, in one order, however it is cut; it stops when told to, and time goes with it."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as rxops

from rxfeed.clock import LoopClock, ReplayClock, VirtualClock
from rxfeed.errors import InputError
from rxfeed.feeds.replay import replay
from rxfeed.frame import Frame
from rxfeed.model import UNKNOWN_TIME, Tick
from rxfeed.times import SECOND

HOUR = 3_600 * SECOND


def rising(n: int, symbol: str = "A", step: int = SECOND, start: int = 0) -> list[Tick]:
    return [Tick(symbol, start + i * step, 1.0 + i, 1, 0, i) for i in range(n)]


def collect(source: rx.Observable[Any]) -> list[Any]:
    """Return what is emitted, ending in "|" or the error."""
    got: list[Any] = []
    source.subscribe(got.append, got.append, lambda: got.append("|"))
    return got


def flat(emitted: list[Any]) -> list[Tick]:
    return [tick for frame in emitted for tick in frame]


def table(times: list[int], symbol: str) -> pl.DataFrame:
    df = pl.DataFrame({"time": times, "price": [float(i) for i in range(len(times))], "size": [1] * len(times)})
    return df.with_columns(symbol=pl.lit(symbol)).cast({"time": pl.Datetime("ns", "UTC")})


# What comes out


def test_a_list_of_ticks_passes_through_as_it_is() -> None:
    rows = rising(1_000)
    got = collect(replay(rows))
    assert got == [*rows, "|"]
    assert all(a is b for a, b in zip(got, rows, strict=False))
    assert collect(replay([])) == ["|"]


def test_rows_and_frames_hold_the_same_ticks() -> None:
    rows = rising(1_000)
    assert collect(replay(Frame.of(rows))) == [*rows, "|"]
    frames = collect(replay(rows, frames=True, chunk=300))
    assert [len(f) for f in frames[:-1]] == [300, 300, 300, 100]
    assert flat(frames[:-1]) == rows


def test_a_subscription_reads_anew(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    Frame.of(rising(3)).df.write_parquet(path)
    source = replay(path)
    assert collect(source) == collect(source) == [*rising(3), "|"]
    Frame.of(rising(5)).df.write_parquet(path)
    assert collect(source) == [*rising(5), "|"]
    assert len(collect(source.pipe(rxops.repeat(3)))) == 16


def test_two_sources_merge_by_time_and_rows_are_numbered_as_they_come() -> None:
    one, two = table([1, 3, 3, 9], "A"), table([2, 3, 8, 10], "B")
    got = collect(replay(one, two))[:-1]
    assert [(t.symbol, t.time, t.seq) for t in got] == [
        ("A", 1, 0), ("B", 2, 1), ("A", 3, 2), ("A", 3, 3), ("B", 3, 4), ("B", 8, 5), ("A", 9, 6), ("B", 10, 7),
    ]  # fmt: skip
    given_order = collect(replay(one, two, order="given"))[:-1]
    assert [(t.symbol, t.time, t.seq) for t in given_order][3:5] == [("A", 9, 3), ("B", 2, 4)]


times = st.lists(st.lists(st.integers(-20, 20) | st.just(UNKNOWN_TIME), max_size=30), min_size=1, max_size=4)


@given(times, st.integers(1, 9), st.booleans())
def test_a_merge_is_a_stable_sort_by_the_greatest_time_so_far(lists: list[list[int]], chunk: int, lazy: bool) -> None:
    expected: list[tuple[int, int, int]] = []
    for index, one in enumerate(lists):
        top = UNKNOWN_TIME
        for row, time in enumerate(one):
            top = max(top, time)
            expected.append((top, index, row))
    tables = [table(one, str(index)) for index, one in enumerate(lists)]
    got = collect(replay(*(t.lazy() if lazy else t for t in tables), chunk=chunk))[:-1]
    assert [(int(t.symbol), int(t.price)) for t in got] == [(index, row) for _, index, row in sorted(expected)]
    assert [t.seq for t in got] == list(range(len(got)))


@given(times, st.integers(1, 9))
def test_in_the_given_order_sources_follow_one_another(lists: list[list[int]], chunk: int) -> None:
    tables = [table(one, str(index)) for index, one in enumerate(lists)]
    got = collect(replay(*tables, chunk=chunk, order="given"))[:-1]
    assert [(int(t.symbol), t.time) for t in got] == [(i, time) for i, one in enumerate(lists) for time in one]


def test_a_file_is_opened_when_the_merge_comes_to_it(tmp_path: Path) -> None:
    for day in range(5):
        table([day * 100 + i for i in range(50)], "A").write_parquet(tmp_path / f"{day}.parquet")
    source = replay(tmp_path, chunk=10).pipe(rxops.do_action(lambda t: (tmp_path / "4.parquet").unlink(missing_ok=True)))
    got = collect(source)
    assert [t.time for t in got[:-1]] == [day * 100 + i for day in range(4) for i in range(50)]
    assert isinstance(got[-1], InputError)


# Ends


def test_what_cannot_be_read_goes_to_on_error(tmp_path: Path) -> None:
    (error,) = collect(replay(tmp_path / "nowhere.csv"))
    assert isinstance(error, InputError)
    assert str(error).endswith("nowhere.csv does not exist")
    bad = pl.DataFrame({"symbol": ["A", "A"], "time": ["2025-01-06T00:00:00Z", "x"], "price": [1, 1], "size": [1, 1]})
    got = collect(replay(bad, chunk=1))
    assert (got[0].time, str(got[1])) == (
        1_736_121_600 * SECOND, "table 1, row 2: column 'time' holds 'x', which is no ISO 8601 time",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"speed": 0}, "speed must be more than 0 and finite, got 0"),
        ({"speed": -1.0}, "speed must be more than 0"),
        ({"speed": float("nan")}, "speed must be more than 0"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        ({"order": "size"}, 'order must be "time" or "given", got \'size\''),
        ({"time_unit": "h"}, "time_unit must be one of"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        replay([], **arguments)


@pytest.mark.parametrize("frames", [False, True])
def test_disposal_midway_stops_reading(frames: bool) -> None:
    rows = iter(rising(100_000))
    if frames:
        source = replay(Frame.of(rising(1_000)), frames=True, chunk=10).pipe(rxops.map(len))
        assert collect(source.pipe(rxops.take(3))) == [10, 10, 10, "|"]
    else:
        assert len(collect(replay(rows).pipe(rxops.take(300)))) == 301
        assert next(rows).seq < 1_024


def test_disposal_from_inside_stops_the_clock_too() -> None:
    clock = ReplayClock()
    assert len(collect(replay(rising(1_000), clock=clock).pipe(rxops.take(5)))) == 6
    assert clock.now == 4 * SECOND


@pytest.mark.parametrize("frames", [False, True])
def test_a_subscriber_that_raises_gets_no_on_error_and_the_source_is_closed(frames: bool) -> None:
    errors: list[Exception] = []

    def on_next(_: object) -> None:
        raise KeyError("theirs")

    source: rx.Observable[Any] = replay(Frame.of(rising(10)), frames=True) if frames else replay(Frame.of(rising(10)))
    with pytest.raises(KeyError, match="theirs"):
        source.subscribe(on_next, errors.append)
    assert errors == []
    assert len(collect(source)) > 1  # the trampoline works on


# The clock


def test_the_clock_is_at_each_tick_when_it_comes_and_fires_what_is_due() -> None:
    clock = ReplayClock(0)
    seen: list[Any] = []
    clock.call_at(int(1.5 * SECOND), lambda: seen.append("timer"))
    replay(rising(3), clock=clock).subscribe(lambda t: seen.append((t.time, clock.now)))
    assert seen == [(0, 0), (SECOND, SECOND), "timer", (2 * SECOND, 2 * SECOND)]


def test_a_frame_moves_the_clock_after_itself() -> None:
    clock = ReplayClock(0)
    seen: list[int] = []
    source = replay(rising(6), frames=True, chunk=2, clock=clock)
    source.subscribe(lambda f: seen.append(clock.now), on_completed=lambda: seen.append(clock.now))
    assert seen == [0, SECOND, 3 * SECOND, 5 * SECOND]


@pytest.mark.parametrize("frames", [False, True])
def test_in_the_given_order_the_clock_moves_only_at_the_end(frames: bool) -> None:
    clock = ReplayClock(-1)
    seen: list[int] = []
    source: rx.Observable[Any] = (
        replay(rising(2, start=5), rising(2), frames=True, order="given", clock=clock, chunk=1)
        if frames
        else replay(rising(2, start=5), rising(2), order="given", clock=clock)
    )
    source.subscribe(lambda _: seen.append(clock.now), on_completed=lambda: seen.append(clock.now))
    assert seen == [-1, -1, -1, -1, SECOND + 5]


def test_late_and_unknown_times_turn_no_clock_back() -> None:
    clock = ReplayClock()
    rows = [Tick("A", t, 1.0, 1, 0, i) for i, t in enumerate([UNKNOWN_TIME, 50, 20, UNKNOWN_TIME, 60])]
    seen: list[int] = []
    replay(rows, clock=clock).subscribe(lambda t: seen.append(clock.now))
    assert seen == [0, 50, 50, 50, 60]
    clock = ReplayClock()
    replay(rows, frames=True, clock=clock).subscribe(lambda f: None)
    assert clock.now == 60


# The pace


def paced(source: Callable[[VirtualClock], rx.Observable[Any]]) -> tuple[VirtualClock, list[Any], Any]:
    pace = VirtualClock(7_000 * SECOND)
    seen: list[Any] = []
    handle = source(pace).subscribe(
        lambda x: seen.append((x.time // SECOND if isinstance(x, Tick) else len(x), pace.now / SECOND - 7_000)),
        lambda e: seen.append(e),
        lambda: seen.append("|"),
    )
    return pace, seen, handle


def test_rows_come_when_they_are_due() -> None:
    pace, seen, _ = paced(lambda pace: replay(rising(4), speed=2.0, pace=pace))
    assert seen == []
    pace.advance(0)
    assert seen == [(0, 0.0)]
    pace.advance(SECOND)
    assert seen == [(0, 0.0), (1, 0.5), (2, 1.0)]
    pace.advance(HOUR)
    assert seen[3:] == [(3, 1.5), "|"]
    assert pace.next_due is None


def test_a_frame_comes_when_its_last_row_is_due() -> None:
    pace, seen, _ = paced(lambda pace: replay(rising(5), frames=True, chunk=2, speed=1, pace=pace))
    pace.advance(HOUR)
    assert seen == [(2, 1.0), (2, 3.0), (1, 4.0), "|"]


def test_silence_may_last_for_years() -> None:
    rows = [Tick("A", t, 1.0, 1, 0, i) for i, t in enumerate([0, 24 * 365 * 100 * HOUR, 24 * 365 * 200 * HOUR])]
    pace, seen, _ = paced(lambda pace: replay(rows, speed=1, pace=pace))
    pace.advance(24 * 365 * 150 * HOUR)
    assert len(seen) == 2
    pace.advance(24 * 365 * 51 * HOUR)
    assert [s[1] for s in seen[:-1]] == [t.time / SECOND for t in rows]


def test_rows_that_go_back_or_have_no_time_are_due_at_once() -> None:
    rows = [Tick("A", t, 1.0, 1, 0, i) for i, t in enumerate([UNKNOWN_TIME, 5 * SECOND, SECOND, UNKNOWN_TIME, 6 * SECOND])]
    pace, seen, _ = paced(lambda pace: replay(rows, speed=1, pace=pace))
    pace.advance(HOUR)
    assert [s[1] for s in seen[:-1]] == [0, 0, 0, 0, 1]


def test_a_burst_gives_way_to_the_loop_and_loses_nothing() -> None:
    pace, seen, _ = paced(lambda pace: replay(rising(5_000, step=0), speed=1, pace=pace))
    pace.advance(0)
    assert (len(seen), seen[-1]) == (5_001, "|")


@pytest.mark.parametrize("after", [0, 1, 2])
def test_disposing_cancels_the_timer(after: int) -> None:
    pace, seen, handle = paced(lambda pace: replay(rising(10), speed=1, pace=pace))
    if after:
        pace.advance((after - 1) * SECOND)
    handle.dispose()
    pace.advance(HOUR)
    assert len(seen) == after
    assert pace.next_due is None


def test_disposal_from_inside_a_paced_replay() -> None:
    pace, seen, _ = paced(lambda pace: replay(rising(10), speed=1, pace=pace).pipe(rxops.take(2)))
    pace.advance(HOUR)
    assert seen == [(0, 0.0), (1, 1.0), "|"]
    assert pace.next_due is None


def test_paced_errors_and_raising_subscribers(tmp_path: Path) -> None:
    pace, seen, _ = paced(lambda pace: replay(tmp_path / "x.csv", speed=1, pace=pace))
    pace.advance(0)
    assert [type(s) for s in seen] == [InputError]
    pace = VirtualClock()
    replay(rising(3), speed=1, pace=pace).subscribe(lambda t: [][t.seq])
    with pytest.raises(IndexError):
        pace.advance(0)
    pace.advance(HOUR)
    assert pace.next_due is None


def test_a_paced_replay_moves_its_clock_and_two_do_not_disturb_each_other() -> None:
    pace, clock = VirtualClock(), ReplayClock()
    source = replay(rising(3), speed=1, pace=pace, clock=clock)
    one: list[tuple[int, int]] = []
    two: list[int] = []
    source.subscribe(lambda t: one.append((t.time, clock.now)))
    pace.advance(SECOND // 2)
    replay(rising(3), speed=1, pace=pace).subscribe(lambda t: two.append(pace.now))
    pace.advance(HOUR)
    assert one == [(t, t) for t in (0, SECOND, 2 * SECOND)]
    assert two == [SECOND // 2 + t for t in (0, SECOND, 2 * SECOND)]


def test_it_runs_on_an_asyncio_loop() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        got: list[int] = []
        source = replay(rising(3, step=1_000_000), speed=1000, pace=LoopClock(loop))
        source.subscribe(lambda t: got.append(t.seq), done.set_exception, lambda: done.set_result(None))
        await done
        return got

    assert asyncio.run(main()) == [0, 1, 2]


def test_without_a_loop_the_live_pace_says_so() -> None:
    with pytest.raises(RuntimeError, match="running asyncio loop"):
        replay(rising(1), speed=1).subscribe(lambda t: None)


# Progress


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    collect(replay(Frame.of(rising(10))))
    collect(replay(Frame.of(rising(10)), progress=False))
    assert stderr.getvalue() == ""


def test_a_bar_is_drawn_if_asked_for_or_on_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    path = tmp_path / "t.parquet"
    Frame.of(rising(10)).df.write_parquet(path)
    for progress in (True, None):
        stderr = Terminal()
        monkeypatch.setattr(sys, "stderr", stderr)
        assert len(collect(replay(path, progress=progress))) == 11
        assert "10/10" in stderr.getvalue()
    (tmp_path / "t.csv").write_text("symbol,time,price,size\nA,2025-01-06T00:00:00Z,1,1\n")
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert len(collect(replay(tmp_path / "t.csv", progress=True))) == 2
    assert "1/?" in stderr.getvalue()


def test_importing_replay_loads_neither_drawing_nor_network() -> None:
    code = "import sys, rxfeed.feeds.replay; assert not {'rich', 'aiohttp'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True)
