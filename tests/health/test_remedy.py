"""What is asked for: the least first, and none oftener than it may be."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.health import Reason, Remedy, Step
from rxfeed.times import SECOND

IDLE = Reason("idle", "stale", "no trade", ("probe", "resubscribe", "reconnect"))
SLOW = Reason("round-trip", "degraded", "slow", ("probe",))
STEPS = (Step("probe", 0, "15s", "10m"), Step("reconnect", "20s", "2m", "1h"))
GAP = Reason("gap", "degraded", "a gap")


class Doctor:
    def __init__(self, **arguments: Any) -> None:
        self.asked: list[tuple[str, int]] = []
        self.now = 0
        given: dict[str, Any] = {"steps": STEPS} | arguments
        self.remedy = Remedy(self.ask, **given)

    def ask(self, what: str, why: str) -> None:
        self.asked.append((what, self.now))

    def run(self, seconds: int, *reasons: Reason) -> list[tuple[str, int]]:
        for _ in range(seconds):
            self.remedy.look(reasons, self.now * SECOND)
            self.now += 1
        return self.asked


def test_a_probe_comes_first_then_a_new_connection_and_each_ever_more_seldom() -> None:
    asked = Doctor().run(3_600, IDLE)
    assert asked[:5] == [("probe", 0), ("reconnect", 20), ("probe", 35), ("reconnect", 140), ("probe", 155)]
    reconnects = [at for what, at in asked if what == "reconnect"]
    gaps = [b - a for a, b in pairwise(reconnects)]
    assert gaps == sorted(gaps)
    assert gaps[0] >= 120
    assert len(reconnects) <= 6


def test_what_no_reason_names_is_not_asked_for() -> None:
    assert {what for what, _ in Doctor().run(3_600, SLOW)} == {"probe"}
    assert Doctor().run(3_600, GAP) == []


def test_a_resubscribe_has_its_place_between_the_two() -> None:
    steps = (Step("probe", 0, 15, 600), Step("resubscribe", 10, 60, 600), Step("reconnect", 20, 120, 3_600))
    doctor = Doctor(steps=steps)
    assert doctor.run(31, IDLE) == [("probe", 0), ("resubscribe", 10), ("reconnect", 30)]
    assert doctor.remedy.stats == (1, 1, 1)


def test_what_is_over_begins_anew_but_its_limits_last_until_it_was_calm() -> None:
    doctor = Doctor()
    doctor.run(25, IDLE)
    doctor.run(5)
    assert doctor.run(60, IDLE) == [("probe", 0), ("reconnect", 20), ("probe", 30)]
    doctor.run(601)
    doctor.asked.clear()
    first = doctor.now
    assert doctor.run(30, IDLE) == [("probe", first), ("reconnect", first + 20)]


def test_trouble_that_comes_and_goes_asks_no_oftener() -> None:
    doctor = Doctor()
    for _ in range(600):
        doctor.run(1, IDLE)
        doctor.run(1)
    probes = [at for what, at in doctor.asked if what == "probe"]
    assert len(probes) <= 8


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=30))
def test_no_limit_is_ever_broken(turns: list[tuple[int, bool]]) -> None:
    doctor = Doctor()
    for seconds, bad in turns:
        doctor.run(seconds, *((IDLE,) if bad else ()))
    for what, least in (("probe", 15), ("reconnect", 120)):
        times = [at for name, at in doctor.asked if name == what]
        assert all(b - a >= least for a, b in pairwise(times))
    for at, (what, _) in enumerate(doctor.asked):
        if what == "reconnect":
            assert doctor.asked[at - 1][0] == "probe"


def test_a_request_that_raises_is_asked_again_in_its_time() -> None:
    asked: list[str] = []

    def ask(what: str, why: str) -> None:
        asked.append(what)
        raise ZeroDivisionError

    remedy = Remedy(ask, steps=STEPS)
    for second in range(30):
        remedy.look((IDLE,), second * SECOND)
    assert asked == ["probe", "reconnect"]


def test_a_clock_that_is_set_back_asks_anew() -> None:
    doctor = Doctor()
    doctor.now = 10_000
    doctor.run(25, IDLE)
    doctor.now = 0
    assert doctor.run(25, IDLE)[2:] == [("probe", 0), ("reconnect", 20)]


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ((), "steps must be one or more, each another one, got none"),
        ((Step("probe", 0, 1, 1), Step("probe", 0, 1, 1)), "each another one, got probe, probe"),
        ((Step("probe", 0, 0, 1),), "step probe needs 0 < again <= longest, got 0 and 1"),
        ((Step("probe", 0, 2, 1),), "step probe needs 0 < again <= longest, got 2 and 1"),
        ((Step("probe", "soon", 2, 1),), "after must look like"),
    ],
)
def test_impossible_steps_are_refused(steps: tuple[Step, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Remedy(lambda *_: None, steps=steps)
