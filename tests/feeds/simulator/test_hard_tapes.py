"""What makes two connections of a feed hard to splice: equal prints, coarse times, steps back, connections that lag."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator, Trade
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import MNQ, START, Ear, after, ask, connected, deals


def made(clock: VirtualClock, **more: Any) -> Simulator:
    simulator = Simulator(("MNQ", "ES"), clock=clock, keep_trades=1_000_000, **more)
    simulator.start()
    return simulator


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    clock = VirtualClock(START)
    yield clock
    clock.advance_to(clock.now + 100 * SECOND)
    assert clock.next_due is None


def listener(simulator: Simulator, *, subscribed: bool = True) -> tuple[Any, Ear]:
    one, ear = connected(simulator)
    if subscribed:
        one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    return one, ear


def came(ear: Ear) -> list[tuple[str, float, int, int]]:
    events = [event for event in ear.heard if event.get("target") == "GatewayTrade"]
    return [(row["timestamp"], row["price"], row["volume"], row["type"]) for event in events for row in deals(event)[1]]


def told(trades: list[Trade]) -> list[tuple[str, float, int, int]]:
    """Trades as a client is told them, written by nobody's code but this."""

    def stamp(time: int) -> str:
        return f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{time % SECOND // 100:07d}+00:00"

    return [(stamp(one.time), one.ticks * 0.25, one.size, 0 if one.side == 1 else 1) for one in trades]


@pytest.mark.parametrize(
    ("resolution", "grain"), [("100ns", 100), ("1ms", 1_000_000), ("1s", SECOND), ("2500ms", 5 * SECOND // 2)]
)
def test_times_are_cut_to_a_resolution(clock: VirtualClock, resolution: str, grain: int) -> None:
    simulator = made(clock, rate=500, resolution=resolution)
    _, ear = listener(simulator)
    after(clock, 10)
    simulator.trade("MNQ", (21_500.0, 1))
    simulator.fault("huge=1000")
    simulator.stop()
    trades = simulator.truth.trades(MNQ)
    assert len(trades) > 2_000
    assert all(one.time % grain == 0 for one in trades)
    assert len({one.time for one in trades}) > (1_000 if grain < SECOND else 3)
    assert came(ear) == told(trades)
    if grain >= SECOND:
        assert len({one.time for one in trades}) <= 11 * SECOND // grain + 1
    assert sum(bar.volume for bar in simulator.bars("MNQ", "1s")) == sum(one.size for one in trades)


@pytest.mark.parametrize("resolution", ["0s", "50ns", "150ns", "-1s", "soon"])
def test_a_resolution_is_a_multiple_of_what_the_wire_can_say(clock: VirtualClock, resolution: str) -> None:
    with pytest.raises(ValueError, match="resolution must"):
        Simulator(("MNQ",), clock=clock, resolution=resolution)


def test_trades_may_repeat_the_one_before(clock: VirtualClock) -> None:
    def repeats(share: float, seed: int = 0) -> list[tuple[int, int, int]]:
        simulator = made(clock, rate=1_000, repeats=share, seed=seed)
        after(clock, 4)
        simulator.stop()
        return [(one.ticks, one.size, one.side) for one in simulator.truth.trades(MNQ)]

    def equal(trades: list[tuple[int, int, int]]) -> float:
        return sum(a == b for a, b in pairwise(trades)) / (len(trades) - 1)

    none, half, again, other = repeats(0), repeats(0.5), repeats(0.5), repeats(0.5, 1)
    assert equal(none) < 0.3
    assert 0.5 < equal(half) < 0.5 + 0.6 * equal(none)
    assert half == again != other
    assert equal(repeats(1)) > 0.99


@pytest.mark.parametrize("share", [-0.1, 1.1, True])
def test_repeats_are_a_share(clock: VirtualClock, share: Any) -> None:
    with pytest.raises(ValueError, match="repeats must be a share from 0 to 1, got"):
        Simulator(("MNQ",), clock=clock, repeats=share)


def test_a_trade_may_say_that_it_was_earlier(clock: VirtualClock) -> None:
    simulator = made(clock, rate=100)
    _, ear = listener(simulator)
    simulator.fault("back=700ms/1s")
    after(clock, 10)
    simulator.stop()
    mnq = simulator.truth.trades(MNQ)
    assert came(ear) == told(mnq)
    steps = [a.time - b.time for a, b in pairwise(mnq) if b.time < a.time]
    assert len(steps) >= 5
    assert max(steps) <= 700_000_000
    assert len(mnq) > 400
    # The bars are by time all the same.
    first = min((one.time, one.number) for one in mnq if one.time // SECOND == START // SECOND + 5)[1]
    bar = simulator.bars("MNQ", "1s", START + 5 * SECOND, START + 6 * SECOND)[0]
    assert bar.open == mnq[first].ticks * 0.25


def test_each_connection_is_behind_by_a_time_of_its_own(clock: VirtualClock) -> None:
    simulator = made(clock, rate=200, lag="2s")
    pairs = [listener(simulator) for _ in range(4)]
    lags = [one.lag for one, _ in pairs]
    assert len(set(lags)) == 4
    assert 0 <= min(lags) < max(lags) <= 2 * SECOND
    after(clock, 3)
    mnq = simulator.truth.trades(MNQ)
    for one, ear in pairs:
        # What was done a lag ago or earlier, and nothing else; the pump trades once a millisecond.
        known = [trade for trade in mnq if trade.time <= clock.now - one.lag]
        assert abs(len(came(ear)) - len(known)) <= 1
        assert came(ear) == told(mnq[: len(came(ear))])
        assert list(one.sent.trades(MNQ)) == [(0, len(came(ear)) - 1)]
    ear = pairs[0][1]
    ear.take()
    pairs[0][0].receive(ask("Nope"))
    assert len(ear.take()) == 1  # answers are not behind
    simulator.rate = 0
    after(clock, 2)
    assert [one.sent.of("trades", MNQ).last_seq for one, _ in pairs] == [simulator.truth.traded[MNQ].last_seq] * 4
    assert list(simulator.truth.unseen(MNQ)) == []
    simulator.stop()


def test_a_new_connection_may_be_sent_what_was_done_before_it_subscribed(clock: VirtualClock) -> None:
    simulator = made(clock, rate=0, lag="1s")
    old, heard = listener(simulator)
    old.lag = 0
    simulator.trade("MNQ", (21_500.0, 1))
    after(clock, 0.5)
    simulator.trade("MNQ", (21_500.25, 2))
    after(clock, 0.2)
    new, ear = listener(simulator, subscribed=False)
    new.lag, early = 600_000_000, new.lag
    assert 200_000_000 < early < 700_000_000  # it is too late for the first one, and not for the second
    assert len(heard.take()) == 2
    new.receive(ask("SubscribeContractTrades", MNQ, id=None))
    assert ear.frames == []
    after(clock, 1)
    assert [row[1] for row in came(ear)] == [21_500.25]
    simulator.trade("MNQ", (21_500.5, 3))
    ear.take()
    after(clock, 0.599)
    assert ear.frames == []
    after(clock, 0.001)
    assert [row[1] for row in came(ear)] == [21_500.5]
    simulator.stop()


def test_what_is_behind_is_lost_with_its_connection_and_stays_in_order(clock: VirtualClock) -> None:
    simulator = made(clock, rate=0, lag="1s")
    one, ear = listener(simulator)
    one.lag = SECOND // 2
    simulator.trade("MNQ", (21_500.0, 1))
    one.lag = 0
    simulator.trade("MNQ", (21_500.25, 1))  # does not overtake
    assert ear.frames == []
    after(clock, 0.5)
    assert [row[1] for row in came(ear)] == [21_500.0, 21_500.25]
    one.lag = SECOND
    simulator.trade("MNQ", (21_500.5, 1))
    simulator.fault("drop")
    assert clock.next_due is None
    after(clock, 2)
    assert list(one.sent.trades(MNQ)) == [(0, 1)]
    assert list(simulator.truth.unseen(MNQ)) == [(2, 2)]
    simulator.lag = 0
    assert listener(simulator)[0].lag == 0
    simulator.stop()


@pytest.mark.parametrize("lag", ["61s", "soon", -1])
def test_a_lag_is_at_most_a_minute(clock: VirtualClock, lag: Any) -> None:
    with pytest.raises(ValueError, match="lag must"):
        Simulator(("MNQ",), clock=clock, lag=lag)
    simulator = Simulator(("MNQ",), clock=clock)
    with pytest.raises(ValueError, match="lag must"):
        simulator.lag = lag
    assert simulator.lag == 0
