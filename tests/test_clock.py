from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed import clock as clock_module
from rxfeed.clock import Clock, LiveClock, LoopClock, ReplayClock, VirtualClock
from rxfeed.times import SECOND


def noting(clock: Clock, log: list[tuple[str, int]], name: str) -> Callable[[], None]:
    return lambda: log.append((name, clock.now))


def fail() -> None:
    raise ZeroDivisionError


class TestVirtualClock:
    def test_fires_in_order_of_time_then_of_scheduling_each_at_its_own_time(self) -> None:
        clock, log = VirtualClock(5), list[tuple[str, int]]()
        for when, name in [(30, "c"), (10, "a"), (30, "d"), (20, "b"), (31, "late")]:
            clock.call_at(when, noting(clock, log, name))
        assert clock.next_due == 10
        clock.advance_to(30)
        assert log == [("a", 10), ("b", 20), ("c", 30), ("d", 30)]
        assert (clock.now, clock.next_due) == (30, 31)
        clock.advance(100)
        assert (log[-1], clock.now, clock.next_due) == (("late", 31), 130, None)

    def test_a_timer_in_the_past_means_now_and_waits_for_the_next_move(self) -> None:
        clock, log = VirtualClock(50), list[tuple[str, int]]()
        clock.call_at(50, noting(clock, log, "first"))
        clock.call_at(3, noting(clock, log, "second"))
        assert log == []
        clock.advance_to(50)
        assert log == [("first", 50), ("second", 50)]

    def test_an_action_may_schedule_more_for_this_very_instant(self) -> None:
        clock, log = VirtualClock(), list[tuple[str, int]]()

        def again() -> None:
            log.append(("again", clock.now))
            if len(log) < 1_000:
                clock.call_at(clock.now, again)

        clock.call_at(7, again)
        clock.call_at(8, noting(clock, log, "after"))
        clock.advance_to(10)
        assert log == [("again", 7)] * 1_000 + [("after", 8)]

    def test_never_goes_back(self) -> None:
        clock = VirtualClock(2 * SECOND)
        with pytest.raises(ValueError) as caught:
            clock.advance_to(SECOND)
        assert str(caught.value) == (
            "a clock does not go back: now is 2000000000 (1970-01-01T00:00:02Z), got 1000000000 (1970-01-01T00:00:01Z)"
        )
        with pytest.raises(ValueError, match="does not go back"):
            clock.advance(-1)
        assert clock.now == 2 * SECOND

    def test_a_cancelled_timer_does_not_fire_and_cancelling_twice_or_late_does_nothing(self) -> None:
        clock, log = VirtualClock(), list[tuple[str, int]]()
        gone = clock.call_at(10, noting(clock, log, "gone"))
        kept = clock.call_at(20, noting(clock, log, "kept"))
        gone.cancel()
        gone.cancel()
        assert clock.next_due == 20
        clock.advance_to(20)
        kept.cancel()
        assert log == [("kept", 20)]
        assert clock.next_due is None

    def test_an_action_may_cancel_another_that_is_due(self) -> None:
        clock, log = VirtualClock(), list[tuple[str, int]]()
        clock.call_at(10, lambda: second.cancel())
        second = clock.call_at(10, noting(clock, log, "second"))
        clock.advance_to(10)
        assert log == []

    def test_cancelled_timers_do_not_pile_up(self) -> None:
        clock = VirtualClock()
        kept = [clock.call_at(10 * SECOND, lambda: None) for _ in range(100)]
        most = 0
        for _ in range(20_000):
            clock.call_at(5 * SECOND, lambda: None).cancel()
            most = max(most, len(clock._heap))  # pyright: ignore[reportPrivateUsage]
        assert most <= 2 * len(kept) + 70
        assert clock.next_due == 10 * SECOND

    def test_an_error_reaches_the_caller_and_the_rest_is_still_due(self) -> None:
        clock, log = VirtualClock(), list[tuple[str, int]]()
        clock.call_at(10, fail)
        clock.call_at(10, noting(clock, log, "same"))
        clock.call_at(20, noting(clock, log, "next"))
        with pytest.raises(ZeroDivisionError):
            clock.advance_to(30)
        assert (clock.now, clock.next_due, log) == (10, 10, [])
        clock.advance_to(30)
        assert (clock.now, log) == (30, [("same", 10), ("next", 20)])

    def test_an_action_may_move_the_clock_itself(self) -> None:
        clock, log = VirtualClock(), list[tuple[str, int]]()
        clock.call_at(10, lambda: clock.advance_to(40))
        clock.call_at(20, noting(clock, log, "inner"))
        clock.call_at(50, noting(clock, log, "outer"))
        clock.advance_to(30)
        assert (clock.now, log) == (40, [("inner", 20)])
        clock.advance_to(50)
        assert log[-1] == ("outer", 50)

    @given(st.lists(st.tuples(st.integers(0, 50), st.booleans())), st.lists(st.integers(0, 20)))
    def test_any_way_to_move_fires_the_same(self, timers: list[tuple[int, bool]], steps: list[int]) -> None:
        logs: list[list[tuple[str, int]]] = []
        for cuts in (steps, [sum(steps)]):
            clock, log = VirtualClock(), list[tuple[str, int]]()
            handles = [clock.call_at(when, noting(clock, log, str(n))) for n, (when, _) in enumerate(timers)]
            for handle, (_, cancelled) in zip(handles, timers, strict=True):
                if cancelled:
                    handle.cancel()
            for by in cuts:
                clock.advance(by)
            logs.append(log)
        expected = sorted((when, n) for n, (when, cancelled) in enumerate(timers) if not cancelled and when <= sum(steps))
        if steps or 0 not in [when for when, _ in timers]:
            assert logs[0] == logs[1] == [(str(n), when) for when, n in expected]


class TestReplayClock:
    def test_moves_with_the_ticks_and_a_late_one_turns_nothing_back(self) -> None:
        clock, log = ReplayClock(100), list[tuple[str, int]]()
        clock.call_at(150, noting(clock, log, "due"))
        clock.move(120)
        clock.move(110)
        assert (clock.now, log) == (120, [])
        clock.move(151)
        clock.move(140)
        assert (clock.now, log) == (151, [("due", 150)])

    def test_an_equal_time_fires_what_is_due_at_once(self) -> None:
        clock, log = ReplayClock(100), list[tuple[str, int]]()
        clock.call_at(0, noting(clock, log, "immediate"))
        clock.move(100)
        assert log == [("immediate", 100)]

    def test_cancelled_timers_are_passed_over(self) -> None:
        clock, log = ReplayClock(0), list[tuple[str, int]]()
        clock.call_at(10, noting(clock, log, "gone")).cancel()
        clock.call_at(20, noting(clock, log, "kept"))
        clock.move(15)
        assert (clock.now, log) == (15, [])
        clock.move(25)
        assert log == [("kept", 20)]

    def test_without_a_start_delays_count_from_the_first_tick(self) -> None:
        first = 1_700_000_000 * SECOND
        clock, log = ReplayClock(), list[tuple[str, int]]()

        def every_second() -> None:
            log.append(("period", clock.now))
            clock.call_at(clock.now + SECOND, every_second)

        clock.call_at(clock.now + SECOND, every_second)
        clock.call_at(first + SECOND // 2, noting(clock, log, "instant"))
        clock.call_at(clock.now, noting(clock, log, "immediate"))
        clock.move(first)
        assert (clock.now, log) == (first, [("immediate", first)])
        clock.move(first + 2 * SECOND)
        assert log[1:] == [("instant", first + SECOND // 2), ("period", first + SECOND), ("period", first + 2 * SECOND)]

    def test_an_error_reaches_the_source(self) -> None:
        clock = ReplayClock(0)
        clock.call_at(10, fail)
        with pytest.raises(ZeroDivisionError):
            clock.move(11)
        clock.move(12)
        assert clock.now == 12


class FakeLoop:
    """The five methods that a clock uses, with a time that the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.ready: list[Callable[[], None]] = []
        self.delays: list[float] = []
        self.cancelled = 0

    def time(self) -> float:
        return self.seconds

    def call_soon(self, action: Callable[[], None]) -> SimpleNamespace:
        return self.call_later(0.0, action)

    def call_later(self, delay: float, action: Callable[[], None]) -> SimpleNamespace:
        self.ready.append(action)
        self.delays.append(delay)
        return SimpleNamespace(cancel=self.cancel)

    def call_at(self, when: float, action: Callable[[], None]) -> SimpleNamespace:
        return self.call_later(when - self.seconds, action)

    def cancel(self) -> None:
        self.cancelled += 1


class TestLiveClock:
    @pytest.fixture
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        """The machine's two clocks, as numbers: `wall` in nanoseconds, `loop.seconds` for the monotonic one."""
        machine = SimpleNamespace(wall=1_700_000_000 * SECOND, loop=FakeLoop())
        monkeypatch.setattr(clock_module, "time", SimpleNamespace(time_ns=lambda: machine.wall))
        return machine

    def test_waits_for_the_wall_clock_and_fires_once(self, machine: SimpleNamespace) -> None:
        clock, log = LiveClock(machine.loop), list[int]()
        clock.call_at(machine.wall + 3 * SECOND, lambda: log.append(clock.now))
        assert machine.loop.delays == [3.0]
        machine.wall += 3 * SECOND
        machine.loop.seconds += 3
        machine.loop.ready.pop()()
        assert log == [machine.wall]
        assert machine.loop.ready == []

    def test_a_call_that_comes_a_little_early_waits_for_the_rest(self, machine: SimpleNamespace) -> None:
        clock, log = LiveClock(machine.loop), list[int]()
        clock.call_at(machine.wall + SECOND, lambda: log.append(clock.now))
        machine.wall += SECOND - 1_000
        machine.loop.ready.pop()()
        assert (log, machine.loop.delays) == ([], [1.0, 1e-6])
        machine.wall += 1_000
        machine.loop.ready.pop()()
        assert log == [machine.wall]

    def test_a_clock_set_forward_makes_a_call_at_most_a_minute_late(self, machine: SimpleNamespace) -> None:
        clock, log = LiveClock(machine.loop), list[int]()
        clock.call_at(machine.wall + 7_200 * SECOND, lambda: log.append(clock.now))
        assert machine.loop.delays == [60.0]
        machine.wall += 7_260 * SECOND
        machine.loop.seconds += 60
        machine.loop.ready.pop()()
        assert log == [machine.wall]

    def test_a_clock_set_back_does_not_hold_up_a_delay(self, machine: SimpleNamespace) -> None:
        clock, log = LiveClock(machine.loop), list[int]()
        clock.call_at(machine.wall + 30 * SECOND, lambda: log.append(clock.now))
        machine.wall -= 3_600 * SECOND
        machine.loop.seconds += 30
        machine.loop.ready.pop()()
        assert log == [machine.wall]

    def test_the_past_means_the_next_turn_of_the_loop(self, machine: SimpleNamespace) -> None:
        clock, log = LiveClock(machine.loop), list[int]()
        clock.call_at(0, lambda: log.append(clock.now))
        assert (log, machine.loop.delays) == ([], [0.0])
        machine.loop.ready.pop()()
        assert log == [machine.wall]

    def test_cancel_lets_the_loop_forget(self, machine: SimpleNamespace) -> None:
        log: list[int] = []
        timer = LiveClock(machine.loop).call_at(0, lambda: log.append(1))
        timer.cancel()
        machine.loop.ready.pop()()
        assert (log, machine.loop.cancelled) == ([], 1)

    def test_says_what_to_do_when_no_loop_runs(self) -> None:
        with pytest.raises(RuntimeError) as caught:
            LiveClock().call_at(0, lambda: None)
        expected = "LiveClock.call_at needs a running asyncio loop: call it inside one, or pass LiveClock(loop)"
        assert str(caught.value) == expected
        assert caught.value.__context__ is None

    def test_runs_on_a_real_loop(self) -> None:
        async def main() -> list[str]:
            clock, log, done = LiveClock(), list[str](), asyncio.Event()
            due = clock.now + 2_000_000
            clock.call_at(due, lambda: log.append("due" if clock.now >= due else "early"))
            clock.call_at(due + 1, done.set)
            clock.call_at(clock.now, lambda: log.append("at once"))
            clock.call_at(clock.now, lambda: log.append("gone")).cancel()
            log.append("before")
            await asyncio.wait_for(done.wait(), 5)
            return log

        assert asyncio.run(main()) == ["before", "at once", "due"]


class TestLoopClock:
    BASE = 1_700_000_000_123_456_789

    def test_is_base_plus_the_loops_time_to_the_nanosecond(self) -> None:
        loop = FakeLoop()
        clock = LoopClock(loop, self.BASE)  # pyright: ignore[reportArgumentType]
        assert clock.now == self.BASE
        loop.seconds = 172_800.000000001
        assert clock.now == self.BASE + 172_800 * SECOND + 1

    def test_an_action_never_sees_a_time_before_its_own(self) -> None:
        loop, log = FakeLoop(), list[int]()
        clock = LoopClock(loop, self.BASE)  # pyright: ignore[reportArgumentType]
        clock.call_at(self.BASE + SECOND, lambda: log.append(clock.now))
        loop.seconds = 1 - 1e-9
        loop.ready.pop()()
        assert log == [self.BASE + SECOND]
        assert clock.now == self.BASE + SECOND

    @given(st.integers(1, 48 * 86_400 * SECOND))
    def test_what_goes_to_the_loop_comes_back_exactly(self, delay: int) -> None:
        loop = FakeLoop()
        clock = LoopClock(loop, self.BASE)  # pyright: ignore[reportArgumentType]
        clock.call_at(self.BASE + delay, lambda: None)
        loop.seconds = loop.delays[0]
        assert clock.now == self.BASE + delay

    def test_the_past_means_the_next_turn_of_the_loop_in_order(self) -> None:
        async def main() -> list[int]:
            clock, log = LoopClock(asyncio.get_running_loop()), list[int]()
            clock.call_at(clock.now, lambda: log.append(1))
            clock.call_at(-5, lambda: log.append(2))
            clock.call_at(0, lambda: log.append(3)).cancel()
            await asyncio.sleep(0)
            return log

        assert asyncio.run(main()) == [1, 2]


def test_a_clock_has_one_scheduler() -> None:
    clock = VirtualClock()
    assert clock.scheduler is clock.scheduler
    assert clock.scheduler.clock is clock


def test_clocks_take_no_attributes_of_others() -> None:
    for clock in (LiveClock(), VirtualClock(), ReplayClock()):
        with pytest.raises(AttributeError):
            clock.other = 1  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def test_a_clock_alone_does_not_load_reactivex() -> None:
    code = "import sys, rxfeed.clock; sys.exit('reactivex' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
