"""From figures to a state: laws that hold for any figures, and each rule at its limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.health import Figures, Limits, State, judge, state_of
from rxfeed.health.rules import LEAVES, worse

BOUNDS = Limits().bounds
ages = st.none() | st.floats(0, 1_000)
words = st.none() | st.just("why")
figures = st.builds(
    Figures, open=st.booleans(), wanted=st.booleans(), connected=st.booleans(), unconnected=st.floats(0, 100), gave_up=words,
    idle=ages, quiet=ages, round_trip=ages, late=ages, behind=ages, rejects=st.integers(0, 40), rejected=st.floats(0, 1),
    gaps=st.integers(0, 3), rotation=words, token=words, full=st.just(()) | st.just(("bars",)), reading=st.booleans(),
)  # fmt: skip
names = st.frozensets(st.sampled_from(["idle", "quiet", "round-trip", "late", "behind", "rejects"]))


def state(found: Figures, holds: frozenset[str] = frozenset()) -> State:
    return state_of(judge(found, BOUNDS, holds))


@given(figures, names)
def test_a_state_is_what_the_figures_say_in_this_order(found: Figures, holds: frozenset[str]) -> None:
    said = state(found, holds)
    if found.gave_up is not None:
        assert said == "down"
    elif not found.open:
        assert said == "closed"
    elif not found.connected and found.wanted:
        assert said == ("down" if found.unconnected > 30 else "connecting")
    elif not found.connected:
        assert said == "connecting"
    elif not found.reading:
        assert said == "degraded"
    elif found.idle is not None and found.idle > (45 if "idle" in holds else 60):
        assert said == "stale"
    else:
        assert said in ("live", "degraded")


@given(figures, names)
def test_whatever_is_not_live_says_why_and_what_holds_only_adds_reasons(found: Figures, holds: frozenset[str]) -> None:
    reasons, more = judge(found, BOUNDS), judge(found, BOUNDS, holds)
    assert (state_of(reasons) == "live") == (not reasons)
    assert {reason.name for reason in reasons} <= {reason.name for reason in more}
    assert not worse(state_of(reasons), state_of(more))


@given(figures, st.sampled_from(["idle", "quiet", "round_trip", "late", "behind", "gaps", "rejects", "unconnected"]), st.data())
def test_no_figure_that_gets_worse_makes_the_state_better(found: Figures, name: str, data: st.DataObject) -> None:
    value: Any = getattr(found, name)
    more = (value or 0) + data.draw(st.integers(0, 100))
    assert not worse(state(found), state(found._replace(**{name: more})))


@pytest.mark.parametrize(
    ("name", "reason", "limit", "state", "helps"),
    [
        ("idle", "idle", 60, "stale", ("probe", "resubscribe", "reconnect")),
        ("quiet", "quiet", 20, "degraded", ("probe",)),
        ("round_trip", "round-trip", 2, "degraded", ("probe",)),
        ("late", "late", 2, "degraded", ("probe",)),
        ("behind", "behind", 1, "degraded", ()),
    ],
)
def test_each_limit_is_entered_above_it_and_left_well_below(
    name: str, reason: str, limit: float, state: str, helps: tuple[str, ...]
) -> None:
    def at(value: float, *holds: str) -> list[Any]:
        return list(judge(Figures()._replace(**{name: value}), BOUNDS, holds))

    assert at(limit) == []
    (found,) = at(limit * 1.01)
    assert (found.name, found.state, found.helps) == (reason, state, helps)
    assert [one.name for one in at(limit, reason)] == [reason]
    assert at(limit * LEAVES, reason) == []


def test_what_is_not_read_says_nothing_of_the_wire() -> None:
    (reason,) = judge(Figures(reading=False, idle=99.0, quiet=99.0, round_trip=99.0, late=99.0), BOUNDS)
    assert reason == ("reading", "degraded", "not reading: a consumer is full", ())
    (reason,) = judge(Figures(reading=False, connected=False), BOUNDS)
    assert reason.name == "unconnected"


def test_rejects_need_a_part_and_a_number() -> None:
    assert judge(Figures(rejects=10, rejected=1.0), BOUNDS) == ()
    assert judge(Figures(rejects=1_000, rejected=0.01), BOUNDS) == ()
    (reason,) = judge(Figures(rejects=11, rejected=0.02), BOUNDS)
    assert reason.text == "2.0% of trades were refused, 11 in 10 s"
    assert judge(Figures(rejects=8, rejected=0.008), BOUNDS, {"rejects"}) != ()
    assert judge(Figures(rejects=7, rejected=0.02), BOUNDS, {"rejects"}) == ()


def test_a_rule_can_be_switched_off() -> None:
    off = Limits(between=None, unconnected=None, rejected=None).bounds
    assert judge(Figures(idle=1e9, rejects=99, rejected=1.0), off) == ()
    assert state_of(judge(Figures(connected=False, unconnected=1e9), off)) == "connecting"


def test_what_is_not_connected_says_nothing_of_the_wire() -> None:
    (reason,) = judge(Figures(connected=False, idle=99.0, quiet=99.0, round_trip=99.0, late=99.0), BOUNDS)
    assert reason.name == "unconnected"


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"between": 0}, "between must be more than 0 or None, got 0"),
        ({"late": "soon"}, 'late must look like "250ms"'),
        ({"rejected": 1.0}, "rejected must be a part from 0 to below 1, or None, got 1.0"),
        ({"rejected": float("nan")}, "rejected must be a part from 0 to below 1, or None, got nan"),
        ({"steady": -1}, "steady must be from 0 to 292 years"),
    ],
)
def test_impossible_limits_are_refused(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Limits(**wrong)
