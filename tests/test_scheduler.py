from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as rxo
from reactivex.disposable import Disposable
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

from rxfeed.clock import LiveClock, VirtualClock
from rxfeed.scheduler import ClockScheduler, clock_of
from rxfeed.times import SECOND

START = 1_700_000_000 * SECOND
Log = list[tuple[float, Any]]


def record(clock: VirtualClock, source: Observable[Any], log: Log) -> Any:
    """Subscribe, and note seconds since the start with what came."""

    def at() -> float:
        return (clock.now - START) / SECOND

    return source.subscribe(
        lambda value: log.append((at(), value)),
        lambda error: log.append((at(), repr(error))),
        lambda: log.append((at(), "|")),
    )


class TestSchedule:
    def test_now_is_the_clocks_in_utc_rounded_down_to_microseconds(self) -> None:
        clock = VirtualClock(START + 1_999)
        assert clock.scheduler.now == datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)
        assert VirtualClock(-1).scheduler.now == datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

    @given(
        st.one_of(
            st.integers(-(10**6), 10**6),
            st.floats(-1e6, 1e6),
            st.timedeltas(timedelta(days=-3), timedelta(days=3)),
        )
    )
    def test_a_delay_is_exact_and_never_negative(self, delay: float | timedelta) -> None:
        clock = VirtualClock(START + 123)
        log: list[int] = []
        clock.scheduler.schedule_relative(delay, lambda *_: log.append(clock.now))
        exact = delay // timedelta(microseconds=1) * 1_000 if isinstance(delay, timedelta) else round(delay * 1e9)
        assert clock.next_due == START + 123 + max(0, exact)
        clock.advance(10**6 * SECOND)
        assert log == [START + 123 + max(0, exact)]

    @pytest.mark.parametrize(
        ("instant", "exact"),
        [
            (datetime(2023, 11, 14, 22, 13, 21, 5, tzinfo=UTC), START + SECOND + 5_000),
            (datetime(2023, 11, 15, 0, 13, 21, tzinfo=timezone(timedelta(hours=2))), START + SECOND),
            (1_700_000_001.1, START + 1_100_000_000),
            (1_700_000_001, START + SECOND),
            (datetime(1999, 1, 1, tzinfo=UTC), START),
        ],
    )
    def test_an_instant_is_exact_and_the_past_is_now(self, instant: datetime | float, exact: int) -> None:
        clock = VirtualClock(START)
        clock.scheduler.schedule_absolute(instant, lambda *_: None)
        assert clock.next_due == exact

    def test_a_small_float_instant_keeps_its_nanoseconds(self) -> None:
        clock = VirtualClock()
        clock.scheduler.schedule_absolute(12.000000345, lambda *_: None)
        assert clock.next_due == 12_000_000_345

    def test_refuses_an_instant_without_a_zone(self) -> None:
        with pytest.raises(ValueError, match="an absolute time needs a time zone, got "):
            VirtualClock().scheduler.schedule_absolute(datetime(2024, 1, 1), lambda *_: None)

    def test_at_once_means_when_the_clock_is_next_moved_in_order(self) -> None:
        clock, log = VirtualClock(START), list[Any]()
        clock.scheduler.schedule(lambda s, state: log.append((s, state)), "first")
        clock.scheduler.schedule(lambda s, state: log.append((s, state)), "second")
        assert log == []
        clock.advance(0)
        assert log == [(clock.scheduler, "first"), (clock.scheduler, "second")]

    def test_disposing_cancels_the_timer(self) -> None:
        clock, log = VirtualClock(), list[Any]()

        def action(*given: Any) -> None:
            log.append(given)

        plans: list[Callable[[], Any]] = [
            lambda: clock.scheduler.schedule(action),
            lambda: clock.scheduler.schedule_relative(1.0, action),
            lambda: clock.scheduler.schedule_absolute(1.0, action),
            lambda: clock.scheduler.schedule_periodic(1.0, action),
        ]
        for plan in plans:
            scheduled = plan()
            assert clock.next_due is not None
            scheduled.dispose()
            scheduled.dispose()
            assert clock.next_due is None
        clock.advance(5 * SECOND)
        assert log == []

    def test_what_an_action_returns_is_disposed_with_it_also_afterwards(self) -> None:
        clock, log = VirtualClock(), list[str]()
        scheduled = clock.scheduler.schedule(lambda *_: Disposable(lambda: log.append("inner")))
        clock.advance(1)
        assert log == []
        scheduled.dispose()
        assert log == ["inner"]

    def test_an_action_that_disposes_of_itself_disposes_of_what_it_returns(self) -> None:
        clock, log = VirtualClock(), list[str]()

        def action(*_: Any) -> Disposable:
            scheduled.dispose()
            return Disposable(lambda: log.append("inner"))

        scheduled = clock.scheduler.schedule(action)
        clock.advance(1)
        assert log == ["inner"]


class TestPeriodic:
    def test_keeps_to_its_grid_and_hands_the_state_on(self) -> None:
        clock, log = VirtualClock(START), list[tuple[int, int]]()

        def action(count: int | None) -> int:
            assert count is not None
            log.append((clock.now - START, count))
            return count + 1

        clock.scheduler.schedule_periodic(1 / 3, action, 0)
        clock.advance(3_000 * SECOND)
        assert len(log) == 9_000
        assert log[8_999] == (9_000 * 333_333_333, 8_999)

    def test_leaves_out_what_a_busy_loop_missed(self) -> None:
        clock, log = VirtualClock(), list[int]()

        def slow(_: object) -> None:
            log.append(clock.now // SECOND)
            if len(log) == 1:
                clock.advance_to(4 * SECOND + 1)

        clock.scheduler.schedule_periodic(1.0, slow)
        clock.advance_to(6 * SECOND)
        assert log == [1, 5, 6]

    def test_an_error_ends_it(self) -> None:
        clock = VirtualClock()
        clock.scheduler.schedule_periodic(1.0, lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            clock.advance(SECOND)
        assert clock.next_due is None

    def test_may_dispose_of_itself(self) -> None:
        clock, log = VirtualClock(), list[int]()
        periodic = clock.scheduler.schedule_periodic(1.0, lambda _: (log.append(1), periodic.dispose())[0])
        clock.advance(5 * SECOND)
        assert (log, clock.next_due) == ([1], None)

    @pytest.mark.parametrize("period", [0, 0.0, -1.0, timedelta(0), 1e-10])
    def test_refuses_no_time_at_all(self, period: float | timedelta) -> None:
        with pytest.raises(ValueError, match=f"period must be more than 0, got {period}"):
            VirtualClock().scheduler.schedule_periodic(period, lambda _: None)


class TestReactivexOperators:
    def test_timer(self) -> None:
        clock, log = VirtualClock(START), Log()
        record(clock, rx.timer(2.5, scheduler=clock.scheduler), log)
        record(clock, rx.timer(datetime(2023, 11, 14, 22, 13, 24, tzinfo=UTC), scheduler=clock.scheduler), log)
        later = record(clock, rx.timer(5.0, 2.0, scheduler=clock.scheduler), log)
        clock.advance(9 * SECOND)
        assert log == [(2.5, 0), (2.5, "|"), (4.0, 0), (4.0, "|"), (5.0, 0), (7.0, 1), (9.0, 2)]
        later.dispose()
        assert clock.next_due is None

    def test_interval(self) -> None:
        clock, log = VirtualClock(START), Log()
        subscription = record(clock, rx.interval(0.1, scheduler=clock.scheduler), log)
        clock.advance(SECOND)
        assert log == [((n + 1) / 10, n) for n in range(10)]
        subscription.dispose()
        assert clock.next_due is None

    def test_the_subscribers_scheduler_will_do(self) -> None:
        clock, log = VirtualClock(START), list[int]()
        rx.interval(1.0).subscribe(log.append, scheduler=clock.scheduler)
        clock.advance(3 * SECOND)
        assert log == [0, 1, 2]

    def test_delay(self) -> None:
        clock, source, log = VirtualClock(START + 777), Subject[int](), list[tuple[int, int]]()
        source.pipe(rxo.delay(2.0, scheduler=clock.scheduler)).subscribe(lambda n: log.append((n, clock.now - START)))
        for n in range(4):
            source.on_next(n)
            clock.advance(SECOND // 3)
        clock.advance(5 * SECOND)
        assert [n for n, _ in log] == [0, 1, 2, 3]
        for n, at in log:  # reactivex counts whole microseconds from the second element on
            assert 0 <= at - (777 + n * (SECOND // 3) + 2 * SECOND) < 1_000

    def test_debounce(self) -> None:
        clock, source, log = VirtualClock(START), Subject[int](), Log()
        record(clock, source.pipe(rxo.throttle_with_timeout(1.0, scheduler=clock.scheduler)), log)
        for n, pause in enumerate([500, 999, 1_000, 400]):
            source.on_next(n)
            clock.advance(pause * 1_000_000)
        source.on_completed()
        assert log == [(2.499, 2), (2.899, 3), (2.899, "|")]
        assert clock.next_due is None

    def test_buffer_with_time(self) -> None:
        clock, source, log = VirtualClock(START), Subject[int](), Log()
        record(clock, source.pipe(rxo.buffer_with_time(1.0, scheduler=clock.scheduler)), log)
        for n in range(5):
            clock.advance(400_000_000)
            source.on_next(n)
        source.on_completed()
        assert log == [(1.0, [0, 1]), (2.0, [2, 3]), (2.0, [4]), (2.0, "|")]

    def test_timeout(self) -> None:
        clock, source, log = VirtualClock(START), Subject[int](), Log()
        record(clock, source.pipe(rxo.timeout(1.0, scheduler=clock.scheduler)), log)
        clock.advance(999_999_999)
        source.on_next(1)
        clock.advance(5 * SECOND)
        assert log == [(0.999999999, 1), (1.999999999, "Exception('Timeout')")]
        assert clock.next_due is None

    def test_sample_and_throttle_first_and_time_interval(self) -> None:
        clock, source, log = VirtualClock(START), Subject[int](), Log()
        s = clock.scheduler
        record(clock, source.pipe(rxo.sample(1.0, scheduler=s), rxo.map(lambda n: ("sample", n))), log)
        record(clock, source.pipe(rxo.throttle_first(1.0, scheduler=s), rxo.map(lambda n: ("first", n))), log)
        record(clock, source.pipe(rxo.time_interval(scheduler=s), rxo.map(lambda t: ("gap", t.interval))), log)
        for n in range(3):
            clock.advance(600_000_000)
            source.on_next(n)
        gap = ("gap", timedelta(seconds=0.6))
        expected = [(0.6, ("first", 0)), (0.6, gap), (1.0, ("sample", 0)), (1.2, gap), (1.8, ("first", 2)), (1.8, gap)]
        assert log == expected

    def test_two_runs_are_equal(self) -> None:
        def run() -> Log:
            clock, log = VirtualClock(START), Log()
            s = clock.scheduler
            fast = rx.interval(0.1, scheduler=s)
            merged = rx.merge(fast, rx.interval(0.2, scheduler=s), fast.pipe(rxo.delay(0.1, scheduler=s)))
            record(clock, merged.pipe(rxo.buffer_with_time(0.5, scheduler=s)), log)
            clock.advance(20 * SECOND)
            return log

        assert run() == run()


class TestClockOf:
    def test_ours_has_its_own_and_none_has_none(self) -> None:
        clock = VirtualClock()
        assert clock_of(clock.scheduler) is clock
        assert clock_of(None) is None

    def test_the_test_scheduler_reads_virtual_seconds(self) -> None:
        scheduler, log = TestScheduler(), list[tuple[str, int]]()
        clock = clock_of(scheduler)
        assert clock is not None
        assert clock.now == 0
        clock.call_at(210 * SECOND, lambda: log.append(("a", clock.now)))
        clock.call_at(220 * SECOND + 1, lambda: log.append(("rounded up", clock.now)))
        clock.call_at(230 * SECOND, lambda: log.append(("gone", clock.now))).cancel()
        clock.call_at(210 * SECOND, lambda: log.append(("b", clock.now)))
        scheduler.start()
        assert log == [("a", 210 * SECOND), ("b", 210 * SECOND), ("rounded up", 220 * SECOND + 1_000)]

    def test_the_test_schedulers_past_is_now(self) -> None:
        scheduler, log = TestScheduler(), list[int]()
        clock = clock_of(scheduler)
        assert clock is not None

        def at_300() -> None:
            clock.call_at(5, lambda: log.append(clock.now))

        clock.call_at(300 * SECOND, at_300)
        scheduler.start()
        assert log == [300 * SECOND]

    def test_its_own_scheduler_runs_on_it(self) -> None:
        scheduler, log = TestScheduler(), list[int]()
        clock = clock_of(scheduler)
        assert clock is not None
        assert isinstance(clock.scheduler, ClockScheduler)
        assert clock.scheduler is clock.scheduler
        assert clock.scheduler.now == scheduler.now
        rx.interval(100.0, scheduler=clock.scheduler).pipe(rxo.take(3)).subscribe(lambda _: log.append(clock.now // SECOND))
        scheduler.start()
        assert log == [100, 200, 300]


def test_runs_on_a_real_loop() -> None:
    async def main() -> list[Any]:
        scheduler, log, done = LiveClock().scheduler, list[Any](), asyncio.Event()
        rx.interval(0.001, scheduler=scheduler).pipe(rxo.take(3)).subscribe(log.append, on_completed=done.set)
        scheduler.schedule(lambda *_: log.append("at once"))
        await asyncio.wait_for(done.wait(), 5)
        return log

    assert asyncio.run(main()) == ["at once", 0, 1, 2]
