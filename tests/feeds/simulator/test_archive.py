"""History that is not what was traded: holes, a stretch that is missing, bars that come late or differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.http import Request
from rxfeed.times import SECOND, iso
from tests.feeds.simulator.plain import MNQ, START, after, token

MINUTE = 60 * SECOND


@pytest.fixture
def simulator(clock: VirtualClock) -> Iterator[Simulator]:
    simulator = Simulator(("MNQ", "ES"), rate=20, clock=clock, past="2h", limits=False)
    simulator.start()
    yield simulator
    simulator.stop()


def bars(simulator: Simulator, unit: int = 2, number: int = 1, **more: Any) -> dict[str, dict[str, Any]]:
    """What history answers, by time."""
    body = {
        "contractId": MNQ, "live": False, "unit": unit, "unitNumber": number, "limit": 20_000, "includePartialBar": False,
        "startTime": iso(START - 7_200 * SECOND), "endTime": iso(START + 86_400 * SECOND), **more,
    }  # fmt: skip
    headers = {"authorization": f"Bearer {token(simulator)}"}
    answered = simulator.request(Request("POST", "/api/History/retrieveBars", headers=headers, body=json.dumps(body).encode()))
    return {row["t"]: row for row in json.loads(answered.body)["bars"]}


def second(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp())


def test_holes_are_the_seeds_and_the_same_each_time(simulator: Simulator, clock: VirtualClock) -> None:
    whole, fine = bars(simulator), bars(simulator, 1)
    simulator.fault("holes=30")
    holed, sieved = bars(simulator), bars(simulator, 1)
    assert holed.items() < whole.items()
    assert sieved.items() < fine.items()
    assert 0.6 < len(holed) / len(whole) < 0.8
    assert 0.66 < len(sieved) / len(fine) < 0.74
    assert holed == bars(simulator)
    # Another seed, other holes; another granularity too.
    other = Simulator(("MNQ", "ES"), rate=0, clock=clock, past="2h", seed=1)
    other.fault("holes=30")
    assert set(bars(other)) != set(holed)
    assert {at for at in sieved if at.endswith(":00+00:00")} != set(holed)
    simulator.fault("holes=100")
    assert bars(simulator) == {}
    simulator.fault("holes=0")
    assert bars(simulator) == whole


def test_a_page_is_full_all_the_same(simulator: Simulator) -> None:
    simulator.fault("holes=50")
    everything = list(bars(simulator))
    assert list(bars(simulator, limit=20)) == everything[:20]


def test_a_stretch_of_time_may_be_missing(simulator: Simulator, clock: VirtualClock) -> None:
    after(clock, 100)
    simulator.fault("blank=30s")
    after(clock, 500)
    fine, coarse = bars(simulator, 1), bars(simulator)
    missing = set(range(START // SECOND, clock.now // SECOND)) - {second(at) for at in fine}
    blank = range(START // SECOND + 100, START // SECOND + 130)
    assert missing >= set(blank)
    assert len(missing) < 60  # there are seconds without a trade
    minutes = {START // SECOND + 60 * n for n in range(10)} - {second(at) for at in coarse}
    assert minutes == {START // SECOND + 60, START // SECOND + 120}


@pytest.mark.parametrize(("unit", "length"), [(1, 1), (2, 60), (2, 300)])
def test_bars_may_come_late(simulator: Simulator, clock: VirtualClock, unit: int, length: int) -> None:
    number = length if unit == 1 else length // 60
    after(clock, 600)
    whole = bars(simulator, unit, number)
    simulator.fault("late=90s")
    assert bars(simulator, unit, number) == {
        at: row for at, row in whole.items() if (second(at) + length + 90) * SECOND <= clock.now
    }
    after(clock, 90)
    assert {at: row for at, row in bars(simulator, unit, number).items() if at in whole} == whole
    partial = bars(simulator, unit, number, includePartialBar=True)
    latest = max(second(at) for at in partial)
    assert clock.now // SECOND - 90 - max(length, 60) <= latest <= clock.now // SECOND - 90
    simulator.fault("late=0s")
    assert max(second(at) for at in bars(simulator, unit, number, includePartialBar=True)) > latest


def test_history_may_disagree_with_what_was_traded(simulator: Simulator) -> None:
    true = bars(simulator, 1)
    simulator.fault("wrong=25")
    told = bars(simulator, 1)
    assert told.keys() == true.keys()
    differing = [(true[at], told[at]) for at in true if told[at] != true[at]]
    assert 0.21 < len(differing) / len(true) < 0.29
    changes = {tuple((name, now[name] - was[name]) for name in "ohlcv" if now[name] != was[name]) for was, now in differing}
    assert changes == {(("h", 0.25),), (("l", -0.25),), (("v", 1),)}
    assert bars(simulator, 1) == told
    simulator.fault("wrong=0")
    assert bars(simulator, 1) == true


def test_there_may_be_no_seconds(simulator: Simulator, clock: VirtualClock) -> None:
    simulator.fault("no-seconds=1m")
    assert bars(simulator, 1) == bars(simulator, 1, 15) == {}
    assert bars(simulator)
    after(clock, 60)
    assert bars(simulator, 1)


def test_history_that_wants_fewer_requests(simulator: Simulator) -> None:
    headers = {"authorization": f"Bearer {token(simulator)}"}
    simulator.fault("429:history")
    refused = simulator.request(Request("POST", "/api/History/retrieveBars", headers=headers, body=b"{}"))
    assert (refused.status, dict(refused.headers)) == (429, {"Retry-After": "2"})


@pytest.mark.parametrize("fault", ["holes=101", "holes=-1", "wrong=2.5", "late=soon", "blank:history"])
def test_what_is_no_fault_of_history_is_refused(simulator: Simulator, fault: str) -> None:
    with pytest.raises(ValueError, match=r"fault (holes|wrong|late|blank)"):
        simulator.fault(fault)
