"""Every public operator, found by looking, through every check."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rxfeed import operators as ops
from rxfeed.model import Tick
from rxfeed.runs import RunObserver

from . import checks
from .specimen import Lane, Refusal, Specimen, sheets
from .stage import stage

SHEETS = sheets()
SPECIMENS = [specimen for sheet in SHEETS.values() for specimen in sheet.specimens]
ALL = [
    pytest.param(specimen, lane, check, id=f"{specimen.name} in {lane}: {check.__name__}")
    for specimen in SPECIMENS
    for lane in specimen.lanes
    for check in checks.checks(lane)
]


@pytest.mark.parametrize("name", ops.__all__)
def test_no_public_operator_is_forgotten(name: str) -> None:
    assert name in SHEETS, f"write tests/contract/specimens/{name}.py with SPECIMENS and MARBLE, as for the other operators"
    assert {specimen.operator for specimen in SHEETS[name].specimens} == {name}


def test_no_specimen_is_of_something_else() -> None:
    assert set(SHEETS) <= set(ops.__all__)


@pytest.mark.parametrize("specimen", [pytest.param(each, id=each.name) for each in SPECIMENS if "rows" in each.lanes])
def test_who_takes_ticks_that_come_together_is_tried_with_them(specimen: Specimen) -> None:
    with stage(specimen, "runs") as on:
        on.subscribe()
        if any(isinstance(each.observer, RunObserver) for each in on.source.subscriptions):
            assert "runs" in specimen.lanes or not all(isinstance(row, Tick) for row in specimen.rows)


@pytest.mark.parametrize(("specimen", "lane", "check"), ALL)
def test_keeps_the_contract(specimen: Specimen, lane: Lane, check: Callable[[Specimen, Lane], None]) -> None:
    check(specimen, lane)


@pytest.mark.parametrize(
    ("specimen", "name"),
    [pytest.param(each, name, id=f"{each.name}: {name}") for each in SPECIMENS for name in each.callbacks],
)
def test_a_raising_callback_ends_the_stream(specimen: Specimen, name: str) -> None:
    checks.callback(specimen, name)


@pytest.mark.parametrize(
    ("specimen", "lane"),
    [
        pytest.param(each, lane, id=f"{each.name} in {lane}")
        for each in SPECIMENS
        if "rows" in each.lanes
        for lane in each.lanes
        if lane != "rows" and (each.same_in_both or (lane == "runs" and not each.clocked))
    ],
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_however_they_come_the_content_is_the_same(specimen: Specimen, lane: Lane, data: st.DataObject) -> None:
    checks.same_content(specimen, lane, sorted(data.draw(st.sets(st.integers(1, len(specimen.rows) - 1)))))


@pytest.mark.parametrize(
    "refusal", [pytest.param(each, id=f"{name}: {each.text}") for name, sheet in SHEETS.items() for each in sheet.refuses]
)
def test_impossible_arguments_are_refused_when_it_is_made(refusal: Refusal) -> None:
    with pytest.raises(refusal.error, match=refusal.text):
        refusal.make()


@pytest.mark.parametrize("name", SHEETS)
def test_who_takes_arguments_refuses_some(name: str) -> None:
    assert SHEETS[name].refuses or not signature(getattr(ops, name)).parameters, f"give {name} REFUSES"
