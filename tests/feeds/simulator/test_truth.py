"""The truth: which trades there were, who was sent which of them, which ones nobody got, and the bars of them all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.clock import VirtualClock
from rxfeed.feeds.simulator import Simulator, Spans, Trade, TrueBar, spans
from rxfeed.feeds.simulator.control import control
from rxfeed.feeds.simulator.http import Request
from rxfeed.feeds.simulator.ledger import Ledger
from rxfeed.feeds.simulator.records import Deals
from rxfeed.times import SECOND
from tests.feeds.simulator.plain import MNQ, START, Ear, after, ask, connected, deals


@pytest.fixture
def simulator(clock: VirtualClock) -> Iterator[Simulator]:
    simulator = Simulator(("MNQ", "ES"), rate=0, clock=clock, keep_trades=100_000)
    simulator.start()
    yield simulator
    simulator.stop()


def listener(simulator: Simulator) -> tuple[Any, Ear]:
    one, ear = connected(simulator)
    one.receive(ask("SubscribeContractTrades", MNQ, id=None))
    return one, ear


def trade(simulator: Simulator, count: int = 1) -> None:
    """Trades whose size is their number and one."""
    first = simulator.truth.traded[MNQ].elements
    simulator.trade("MNQ", *[(21_500.0, first + n + 1) for n in range(count)], bunch=1)


def numbers(ear: Ear) -> set[int]:
    """The numbers of the trades that came."""
    events = [event for event in ear.heard if event.get("target") == "GatewayTrade"]
    return {row["volume"] - 1 for event in events for row in deals(event)[1]}


def of(some: Spans) -> set[int]:
    return {number for first, last in some for number in range(first, last + 1)}


stretches = st.lists(
    st.tuples(st.integers(0, 30), st.integers(-2, 10)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=12
)


@given(stretches, stretches)
def test_spans_are_sets(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    x, y = Spans(*a), Spans(*b)
    p, q = ({n for first, last in pairs for n in range(first, last + 1)} for pairs in (a, b))
    assert (of(x), of(y), of(x | y), of(x - y)) == (p, q, p | q, p - q)
    assert (len(x), bool(x)) == (len(p), bool(p))
    assert (x == y) is (p == q)
    assert [number in x for number in range(-1, 45)] == [number in p for number in range(-1, 45)]
    edges = list(x)
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(edges))
    copy = x.copy()
    copy.add(100, 100)
    assert 100 not in x


def test_spans_are_bounded_and_say_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_MOST", 10)
    some = Spans(*[(2 * n, 2 * n) for n in range(11)])
    assert (list(some), some.since) == ([(2 * n, 2 * n) for n in range(5, 11)], 9)
    assert list(Spans((0, 12)) - some) == [(9, 9), (11, 11)]
    assert repr(Spans((0, 12), (14, 14))) == "Spans(0-12, 14-14)"
    assert repr(some) == "Spans(10-10, 12-12, 14-14, 16-16, 18-18, 20-20)"


def test_which_trades_went_to_whom_and_to_nobody(simulator: Simulator, clock: VirtualClock) -> None:
    trade(simulator, 3)
    one, ear = listener(simulator)
    trade(simulator, 4)
    simulator.fault("silence=1s")
    trade(simulator, 2)
    after(clock, 1)
    other, also = listener(simulator)
    trade(simulator)
    one.receive(ask("UnsubscribeContractTrades", MNQ, id=None))
    trade(simulator, 2)
    simulator.fault("drop")
    trade(simulator, 5)
    truth = simulator.truth
    assert list(one.sent.trades(MNQ)) == [(3, 6), (9, 9)]
    assert list(other.sent.trades(MNQ)) == [(9, 11)]
    assert (of(one.sent.trades(MNQ)), of(other.sent.trades(MNQ))) == (numbers(ear), numbers(also))
    assert list(truth.unseen(MNQ)) == [(0, 2), (7, 8), (12, 16)]
    assert list(truth.unseen(simulator.contract("ES").id)) == []
    lost = truth.trades(MNQ, truth.unseen(MNQ))
    assert [one.number for one in lost] == [0, 1, 2, 7, 8, 12, 13, 14, 15, 16]
    assert lost[0] == Trade(0, START, 86_000, 1, 1)
    assert {one.time for one in lost} == {START, START + SECOND}
    row = json.loads(control(simulator, Request("GET", "/simulator/truth")).body)
    assert row["unseen"][MNQ] == [[0, 2], [7, 8], [12, 16]]
    assert [one["trades"] for one in row["connections"]] == [{MNQ: [[3, 6], [9, 9]]}, {MNQ: [[9, 11]]}]


def test_what_a_socket_still_held_when_it_died_was_not_sent(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    trade(simulator, 2)
    ear.stuck = True
    trade(simulator, 2)
    simulator.fault("duplicate=2")
    trade(simulator, 3)
    assert list(one.sent.trades(MNQ)) == [(0, 6)]
    simulator.fault("drop")
    assert list(one.sent.trades(MNQ)) == [(0, 1)]
    assert list(simulator.truth.unseen(MNQ)) == [(2, 6)]


def test_a_repetition_that_was_lost_takes_nothing_away(simulator: Simulator) -> None:
    one, ear = listener(simulator)
    simulator.fault("duplicate=1")
    ear.stuck = True
    trade(simulator)
    ear.unsent //= 2
    simulator.fault("drop")
    assert one.sent.of("trades", MNQ).elements == 2
    assert one.sent.reached("trades", MNQ)["elements"] == 1
    assert list(one.sent.trades(MNQ)) == [(0, 0)]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_on_the_way_the_numbers_are_those_that_came(clock: VirtualClock, seed: int) -> None:
    random = Random(seed)
    simulator = Simulator(("MNQ",), rate=0, clock=clock, seed=seed)
    simulator.start()
    ears: list[tuple[Any, Ear]] = []
    for _ in range(200):
        what = random.choice(["trade", "trade", "trade", "trade", "fault", "fault", "new", "off", "on", "wait"])
        if what == "new" or not ears:
            ears.append(listener(simulator))
        elif what == "trade":
            trade(simulator, random.randint(1, 5))
        elif what == "fault":
            simulator.fault(random.choice(["reorder=2", "duplicate=2", "split=1s", "join=1s", "silence=1s", "mute=1s", "drop"]))
        elif what == "wait":
            after(clock, 0.7)
        else:
            verb = "Subscribe" if what == "on" else "Unsubscribe"
            random.choice(ears)[0].receive(ask(f"{verb}ContractTrades", MNQ, id=None))
    simulator.stop()
    seen: set[int] = set()
    for one, ear in ears:
        text = b"".join(ear.frames)
        events = [json.loads(part) for part in text.split(b"\x1e")[:-1]]
        came = {row["volume"] - 1 for event in events if event.get("target") == "GatewayTrade" for row in deals(event)[1]}
        assert of(one.sent.trades(MNQ)) == came
        seen |= came
    assert of(simulator.truth.unseen(MNQ)) == set(range(simulator.truth.traded[MNQ].elements)) - seen


def test_connections_that_ended_long_ago_count(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rxfeed.feeds.simulator.truth._CONNECTIONS", 2)
    for _ in range(5):
        listener(simulator)
        trade(simulator, 2)
        simulator.fault("drop")
        trade(simulator)
    assert simulator.truth.earlier == 3
    assert list(simulator.truth.unseen(MNQ)) == [(2, 2), (5, 5), (8, 8), (11, 11), (14, 14)]


def test_a_ledger_is_bounded() -> None:
    ledger = Ledger(10)
    for n in range(100):
        ledger.add(Deals.of([(n, n, 1, 2)]))
        assert min(n + 1, 10) <= len(ledger) < 20
    assert [one.number for one in ledger] == [one.time for one in ledger] == list(range(ledger.first, 100))
    assert [one.ticks for one in ledger.of([(3, 5), (95, 96), (99, 200)])] == [95, 96, 99]
    nothing = Ledger(0)
    nothing.add(Deals.of([(1, 1, 1, 1)]))
    assert (len(nothing), nothing.first, list(nothing)) == (0, 1, [])


def plain(trades: list[Trade], step: int, tick: float) -> list[TrueBar]:
    windows: dict[int, list[Trade]] = {}
    for one in sorted(trades, key=lambda one: (one.time, one.number)):
        windows.setdefault(one.time - one.time % step, []).append(one)
    return [
        TrueBar(
            at, at + step, some[0].ticks * tick, max(one.ticks for one in some) * tick, min(one.ticks for one in some) * tick,
            some[-1].ticks * tick, sum(one.size for one in some),
        )
        for at, some in windows.items()
    ]  # fmt: skip


@pytest.mark.parametrize("timeframe", ["100ms", "1s", "1500ms", "7s", "1m", "5m", "1h"])
def test_true_bars_are_those_of_all_that_was_traded(simulator: Simulator, clock: VirtualClock, timeframe: str) -> None:
    from rxfeed.times import nanoseconds

    simulator.rate = 20
    after(clock, 600)
    simulator.fault("skew=-45s")
    after(clock, 600)
    simulator.fault("skew=10m")
    for fault in ("holes=50", "wrong=50", "late=1h", "blank=1h"):
        simulator.fault(fault)
    after(clock, 200)
    trades = simulator.truth.trades(MNQ)
    assert len(trades) == simulator.truth.traded[MNQ].elements > 10_000
    step = nanoseconds(timeframe)
    expected = plain(trades, step, 0.25)
    bars = simulator.bars("MNQ", timeframe)
    assert bars == expected
    some = simulator.bars("MNQ", timeframe, START + 1, START + 300 * SECOND)
    assert some == [bar for bar in bars if START < bar.start < START + 300 * SECOND]


def test_true_bars_that_are_no_longer_known_whole_are_not_given(clock: VirtualClock) -> None:
    simulator = Simulator(("MNQ",), rate=0, clock=clock, keep_trades=5)
    history = simulator.markets[MNQ].history
    history._most_seconds = 10
    for n in range(30):
        simulator.trade("MNQ", (21_500.0 + n, 1), time=START + n * SECOND)
    assert [bar.start for bar in simulator.bars("MNQ", "1s")] == [START + n * SECOND for n in range(20, 30)]
    assert [bar.start for bar in simulator.bars("MNQ", "7s")] == [at for at in range(START - START % SECOND, START + 30 * SECOND, SECOND) if not at % (7 * SECOND) and at >= START + 20 * SECOND]  # fmt: skip  # noqa: E501
    assert [bar.volume for bar in simulator.bars("MNQ", "1m")] == [30]
    first = simulator.truth.ledgers[MNQ].first
    assert [bar.start for bar in simulator.bars("MNQ", "500ms")] == [START + n * SECOND for n in range(first + 1, 30)]
    with pytest.raises(ValueError, match=r"start must be .* or later, from where on seconds are kept"):
        simulator.bars("MNQ", "1s", START)
    with pytest.raises(ValueError, match=r"from where on trades are kept \(keep_trades\)"):
        simulator.bars("MNQ", "1ms", START)
    assert len(simulator.bars("MNQ", "1s", START + 25 * SECOND)) == 5


@pytest.mark.parametrize(
    ("timeframe", "says"), [("0s", "at least 1 ns"), ("soon", "timeframe must look like"), ("-1s", "must look")]
)
def test_what_is_no_timeframe_is_refused(simulator: Simulator, timeframe: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        simulator.bars("MNQ", timeframe)


def test_keep_trades_is_a_number(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="keep_trades must be 0 or more trades, got -1"):
        Simulator(("MNQ",), clock=clock, keep_trades=-1)


def get(simulator: Simulator, path: str, **query: str) -> tuple[int, Any]:
    answered = control(simulator, Request("GET", f"/simulator/{path}", query))
    return answered.status, json.loads(answered.body)


def test_bars_and_trades_can_be_asked_for(simulator: Simulator) -> None:
    simulator.trade("MNQ", (21_500.25, 3), (21_499.0, 1, 2))
    simulator.trade("MNQ", (21_501.0, 2), time=START + 61 * SECOND)
    low, high = [START, START + 60 * SECOND, 21_500.25, 21_500.25, 21_499.0, 21_499.0, 4], START + 60 * SECOND
    late = [high, high + 60 * SECOND, 21_501.0, 21_501.0, 21_501.0, 21_501.0, 2]
    assert get(simulator, "bars", contract="MNQ", timeframe="1m") == (200, [low, late])
    assert get(simulator, "bars", contract=MNQ, timeframe="1m", start=str(high)) == (200, [late])
    assert get(simulator, "bars", contract="MNQ", timeframe="1m", end=str(high)) == (200, [low])
    rows = [[0, START, 21_500.25, 3, 1], [1, START, 21_499.0, 1, 2], [2, START + 61 * SECOND, 21_501.0, 2, 1]]
    assert get(simulator, "trades", contract="MNQ") == (200, rows)
    assert get(simulator, "trades", contract="MNQ", first="1", last="1") == (200, rows[1:2])
    assert get(simulator, "trades") == (400, {"done": False, "error": "'contract' is missing"})
    assert get(simulator, "bars", contract="MNQ", timeframe="soon")[0] == 400
    assert get(simulator, "bars", contract="XYZ", timeframe="1m")[0] == 400
    assert get(simulator, "trades", contract="MNQ", first="x")[0] == 400
