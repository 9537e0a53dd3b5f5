"""Capacities that follow memory, under memory that somebody makes up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxfeed.clock import VirtualClock
from rxfeed.events import LimitsChanged, LimitsFixed
from rxfeed.limits import DynamicLimits
from rxfeed.memory import Memory
from rxfeed.times import SECOND
from tests.builders import T0

MIB = 1 << 20
TARGET = 1_000 * MIB


class Machine:
    """A process whose memory is what `pressure` says, in parts of a target of 1,000 MiB, and its limits."""

    def __init__(self, **arguments: Any) -> None:
        self.clock = VirtualClock(T0)
        self.pressure = 0.0
        self.limit: int | None = None
        self.fails: Exception | None = None
        self.looks = 0
        self.events: list[Any] = []
        self.limits = DynamicLimits(
            self.probe, **{"clock": self.clock, "target": TARGET, "on_change": self.events.append, **arguments}
        )
        self.bars = self.limits.capacity("bars", default=10_000, least=100)
        self.books = self.limits.capacity("books", default=64, least=64)

    def probe(self) -> Memory:
        self.looks += 1
        if self.fails is not None:
            raise self.fails
        return Memory(round(self.pressure * TARGET), self.limit)

    def run(self, *pressures: float) -> list[int]:
        """Look once a second; return the capacity after each look."""
        seen: list[int] = []
        for self.pressure in pressures:
            self.clock.advance(SECOND)
            seen.append(self.bars.current)
        return seen

    @property
    def changes(self) -> list[tuple[int, str]]:
        return [((event.time - T0) // SECOND, str(event)) for event in self.events]


def started(**arguments: Any) -> Machine:
    machine = Machine(**arguments)
    machine.limits.start()
    return machine


class TestFollowing:
    def test_a_ramp_up_and_down_again(self) -> None:
        machine = started()
        assert machine.run(0.5, 0.84, 0.85, 0.9) == [10_000, 10_000, 5_000, 2_500]
        assert machine.run(0.84, 0.71) == [2_500, 2_500]
        assert machine.run(*[0.7] * 31) == [*[2_500] * 10, *[5_000] * 10, *[10_000] * 11]
        assert machine.changes == [
            (3, "limits lowered, as 850 of 1,000 MiB are used: bars 10,000 to 5,000"),
            (4, "limits lowered, as 900 of 1,000 MiB are used: bars 5,000 to 2,500"),
            (17, "limits raised, as 700 of 1,000 MiB are used: bars 2,500 to 5,000"),
            (27, "limits raised, as 700 of 1,000 MiB are used: bars 5,000 to 10,000"),
        ]
        assert machine.limits.stats == (0, 700 * MIB, TARGET, 4, 0)

    def test_at_the_target_all_are_at_their_least_at_once(self) -> None:
        machine = started()
        assert machine.run(1.0) == [100]
        assert machine.books() == machine.books.current == 64
        assert machine.run(2.0, 0.9) == [100, 100]
        assert len(machine.events) == 1
        changed = machine.events[0]
        assert isinstance(changed, LimitsChanged)
        assert (changed.used, changed.target, changed.capacities) == (TARGET, TARGET, (("bars", 10_000, 100),))
        machine.run(*[0.1] * 80)
        assert machine.bars.current == 10_000

    def test_calm_must_be_whole(self) -> None:
        machine = started()
        machine.run(1.0)
        assert set(machine.run(*([0.7] * 9 + [0.71]) * 20)) == {100}

    def test_teeth_make_few_changes(self) -> None:
        machine = started()
        for _ in range(100):
            machine.run(*[0.9] * 3, *[0.75] * 2, *[0.5] * 25)
        # With 25 s of calm a tooth, growing ends when it would take longer than that.
        assert len(machine.events) <= 13
        assert all(time < 150 for time, _ in machine.changes)
        machine.run(*[0.5] * 3_000)
        assert machine.bars.current == 10_000
        machine.run(0.9)
        assert machine.run(*[0.5] * 11)[-1] == 10_000, "after a long calm it is as quick as it was"

    @example([0.9] * 5 + [0.0] * 40 + [0.9] + [0.7] * 20)
    @given(
        st.lists(
            st.tuples(st.sampled_from([0.0, 0.5, 0.7, 0.72, 0.84, 0.85, 0.99, 1.0, 3.0]), st.integers(1, 40)), max_size=30
        ).map(lambda parts: [pressure for pressure, times in parts for _ in range(times)])
    )
    def test_whatever_memory_does(self, pressures: list[float]) -> None:
        machine = started()
        before = 10_000
        for at, now in enumerate(machine.run(*pressures)):
            pressure = pressures[at]
            assert 100 <= now <= 10_000
            if pressure >= 1:
                assert now == 100
            elif pressure >= 0.85:
                assert now == max(100, before // 2)
            elif pressure > 0.7:
                assert now == before
            elif now != before:
                assert max(pressures[max(0, at - 9) : at + 1]) <= 0.7, "raised without ten seconds of calm"
                assert now <= 2 * before + 156  # of halves that were rounded down, and of the least
            before = now
        raised = sum("raised" in text for _, text in machine.changes)
        assert raised <= len(pressures) // 10
        machine.run(*[0.1] * 16 * 10 * 9)
        assert machine.bars.current == 10_000

    def test_one_that_is_made_while_memory_is_short_is_small(self) -> None:
        machine = started()
        machine.run(0.9, 0.9)
        late = machine.limits.capacity("ticks", default=1_000)
        assert (late.current, repr(late)) == (250, "Capacity('ticks', 250 of 1,000)")
        assert machine.limits.capacity("ticks", default=1_000) is late

    def test_a_clock_that_is_set_back_is_no_calm(self) -> None:
        machine = Machine()
        for machine.pressure in (1.0, 0.5):
            machine.limits.look()
        machine.limits._calm_since = machine.clock.now + 1_000 * SECOND
        machine.limits.look()
        machine.clock.advance(10 * SECOND)
        machine.limits.look()
        assert machine.bars.current == 156


class TestTargets:
    def test_a_part_of_what_may_be_used(self) -> None:
        machine = Machine(target=0.5)
        machine.limit = 2_000 * MIB
        machine.limits.look()
        assert machine.limits.stats.target == 1_000 * MIB

    def test_one_that_comes_too_late_is_lowered(self) -> None:
        machine = started()
        machine.limit = 1_000 * MIB
        assert machine.run(0.9) == [100]
        assert machine.limits.stats.target == 900 * MIB
        machine.limit = 4_000 * MIB  # as a container's may be, at any time
        machine.run(0.5)
        assert machine.limits.stats.target == TARGET

    def test_without_a_limit_a_part_of_it_is_not_known(self) -> None:
        machine = Machine(target=0.5)
        machine.limits.look()
        assert isinstance(machine.events[0], LimitsFixed)
        assert "how much memory there is cannot be found" in str(machine.events[0])


class TestFailing:
    def test_is_told_once_and_limits_stay(self) -> None:
        machine = started()
        machine.run(0.9)
        machine.fails = PermissionError("not you")
        assert machine.run(*[0.0] * 100) == [5_000] * 100
        machine.fails = None
        assert machine.run(*[0.0] * 11) == [*[5_000] * 10, 10_000]
        machine.fails = PermissionError("again")
        machine.run(0.0)
        assert [type(event) for event in machine.events] == [LimitsChanged, LimitsFixed, LimitsChanged]
        assert str(machine.events[1]) == ("limits stay as they are, since memory cannot be looked at: PermissionError: not you")
        assert machine.limits.stats.failures == 101

    def test_a_look_that_finds_nothing_is_no_calm(self) -> None:
        machine = started()
        machine.run(0.9, *[0.0] * 5)
        machine.fails = OSError("not now")
        machine.run(0.0)
        machine.fails = None
        assert machine.run(*[0.0] * 11) == [*[5_000] * 10, 10_000]

    @pytest.mark.parametrize("found", [None, (1, 2), Memory(-1, None), Memory(1, 0)])
    def test_a_probe_that_returns_nonsense(self, found: Any) -> None:
        events: list[Any] = []
        limits = DynamicLimits(lambda: found, clock=VirtualClock(T0), on_change=events.append)
        limits.look()
        assert "which is no Memory" in str(events[0])

    def test_who_hears_and_raises_hears_no_more(self) -> None:
        heard: list[Any] = []

        def raising(event: Any) -> None:
            heard.append(event)
            raise RuntimeError("listener")

        machine = started(on_change=raising)
        assert machine.run(0.9, 0.9, 0.9) == [5_000, 2_500, 1_250]
        assert len(heard) == 1

    def test_without_a_listener(self) -> None:
        machine = started(on_change=None)
        assert machine.run(0.9) == [5_000]


class TestLife:
    def test_looks_every_period_until_it_is_closed(self) -> None:
        machine = Machine(period="250ms")
        assert machine.clock.next_due is None
        with machine.limits as limits:
            limits.start()
            assert machine.looks == 1
            machine.clock.advance(SECOND)
            assert machine.looks == 5
            machine.pressure = 0.9
            machine.clock.advance(SECOND // 4)
            assert machine.bars.current == 5_000
        assert machine.clock.next_due is None
        machine.limits.close()
        machine.limits.start()
        machine.limits.close()
        assert machine.bars.current == 2_500

    def test_a_listener_may_close_it(self) -> None:
        machine = started(on_change=lambda _: machine.limits.close())
        machine.run(0.9, 0.9)
        assert machine.bars.current == 5_000
        assert machine.clock.next_due is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"target": 0}, "target must be bytes, a MiB or more, or a float above 0 and up to 1, got 0"),
        ({"target": 1}, "target must be bytes"),
        ({"target": 1.5}, "target must be bytes"),
        ({"target": float("nan")}, "target must be bytes"),
        ({"target": True}, "target must be bytes"),
        ({"low": 0.9}, "low and high must be 0 < low < high < 1, got 0.9 and 0.85"),
        ({"high": 1.0}, "low and high must be"),
        ({"period": 0}, "period must be more than 0, got 0"),
        ({"calm": 0}, "calm must be more than 0, got 0"),
        ({"calm": "soon"}, "calm must look like"),
    ],
)
def test_refuses_what_cannot_be(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Machine(**arguments)


def test_refuses_capacities_that_cannot_be() -> None:
    limits = Machine().limits
    for least, default in ((0, 10), (11, 10), (-1, -1)):
        with pytest.raises(ValueError, match=f"must be 1 <= least <= default, got least {least}, default {default}"):
            limits.capacity("x", default=default, least=least)
    with pytest.raises(ValueError, match="capacity 'bars' is from 100 to 10000 already, got 1 to 10000"):
        limits.capacity("bars", default=10_000)
