"""A clock that stands, and a simulator on it that trades only when it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator
from tests.feeds.simulator.plain import START


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def simulator(clock: VirtualClock) -> Iterator[Simulator]:
    simulator = Simulator(("MNQ", "ES"), rate=0, clock=clock)
    simulator.start()
    yield simulator
    simulator.stop()
    assert clock.next_due is None
