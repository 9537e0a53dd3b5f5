from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.clock import VirtualClock
from rxfeed.errors import InputError
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.listing import front, listing
from rxfeed.feeds.simulator.stamps import Stamps, instant
from rxfeed.feeds.synthetic import synthetic
from rxfeed.model import Tick
from rxfeed.times import SECOND, iso
from tests.feeds.simulator.plain import START, Ear, Tally, ask, connected, deals


def simulated(
    seconds: float = 0, *, step: float = 0.01, kinds: tuple[str, ...] = ("Trades",), **more: Any
) -> tuple[Simulator, Ear]:
    """A simulator after some time, and what one subscriber to everything heard."""
    clock = VirtualClock(START)
    simulator = Simulator(clock=clock, **more)
    simulator.start()
    one, ear = connected(simulator)
    for contract in simulator.markets:
        for kind in kinds:
            one.receive(ask(f"SubscribeContract{kind}", contract, id=None))
    for n in range(1, round(seconds / step) + 1):
        one.receive('{"type":6}\x1e')
        clock.advance_to(START + round(n * step * SECOND))
    return simulator, ear


def trades(ear: Ear) -> list[tuple[str, dict[str, Any]]]:
    events = [event for event in ear.heard if event.get("target") == "GatewayTrade"]
    return [(contract, row) for event in events for contract, rows in [deals(event)] for row in rows]


@pytest.mark.parametrize(
    ("day", "code", "year"),
    [
        (date(2026, 1, 5), "H", 2026), (date(2026, 3, 20), "H", 2026), (date(2026, 3, 21), "M", 2026),
        (date(2026, 9, 18), "U", 2026), (date(2026, 12, 18), "Z", 2026), (date(2026, 12, 19), "H", 2027),
    ],
)  # fmt: skip
def test_the_front_month_is_the_quarters_until_its_third_friday(day: date, code: str, year: int) -> None:
    assert front(day) == (code, year)


def test_contracts_by_root_month_and_id() -> None:
    listed = listing(["ES", "NQZ26", "CON.F.US.GCE.J26", "CL", "XYZ"], START, {"XYZ": 0.001})
    rows = {one.id: (one.symbol, one.name, one.symbol_id, one.tick_size, one.tick_value, one.active) for one in listed.values()}
    assert rows == {
        "CON.F.US.EP.H26": ("ESH26", "ESH6", "F.US.EP", 0.25, 12.5, True),
        "CON.F.US.ENQ.Z26": ("NQZ26", "NQZ6", "F.US.ENQ", 0.25, 5.0, False),
        "CON.F.US.GCE.J26": ("GCJ26", "GCJ6", "F.US.GCE", 0.1, 10.0, False),
        "CON.F.US.CLE.H26": ("CLH26", "CLH6", "F.US.CLE", 0.01, 10.0, True),
        "CON.F.US.XYZ.H26": ("XYZH26", "XYZH6", "F.US.XYZ", 0.001, 1.0, True),
    }


@pytest.mark.parametrize(
    ("contracts", "says"),
    [([], "must not be empty"), (["mnq"], "must be like"), (["ES", "ESH26"], "must differ"), (["CON.F.US.MNQ"], "be like")],
)  # fmt: skip
def test_bad_contracts_are_refused(contracts: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        listing(contracts, START)


@given(st.integers(0, 4_000_000_000 * SECOND))
def test_stamps_are_read_back_to_100_ns(time: int) -> None:
    cut = time - time % 100
    assert instant(Stamps().full(time)) == cut
    assert instant(Stamps().short(time)) == time - time % SECOND == instant(Stamps().plain(time))
    assert iso(cut).startswith(Stamps().second(time // SECOND))


@given(st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=80), st.integers(0, 10**18))
def test_stamps_of_many_are_those_of_each(gaps: list[int], begin: int) -> None:
    times = sorted(begin + gap for gap in gaps)
    seconds, rest = Stamps().columns(times)
    assert [(a + b).decode() + "+00:00" for a, b in zip(seconds, rest, strict=True)] == [Stamps().full(time) for time in times]


@pytest.mark.parametrize("rate", [3.0, 100.0, 20_000.0, "max"])
@pytest.mark.parametrize("shape", ["list", "dict", "nested"])
def test_a_subscriber_receives_exactly_what_is_traded(rate: Any, shape: Any) -> None:
    kinds = ("Trades", "Quotes", "MarketDepth") if rate != "max" else ("Trades",)
    step = 0.01 if rate != "max" else 0.001
    seconds = {3.0: 100, 100.0: 5, 20_000.0: 0.2, "max": 0.004}[rate]
    simulator, ear = simulated(seconds, step=step, contracts=("MNQ", "CL"), rate=rate, shape=shape, kinds=kinds)
    tally = Tally(simulator)
    for event in ear.heard:
        tally.take(event)
    (one,) = simulator.connections.values()
    for contract, traded in simulator.truth.traded.items():
        assert tally.row(contract) == one.sent.reached("trades", contract)
        assert one.sent.of("trades", contract) == traded
        assert traded.elements == traded.last_seq + 1 == simulator.markets[contract].seq + 1 > 30
    times = [instant(row["timestamp"]) for _, row in trades(ear)]
    assert START <= min(times) <= max(times) <= simulator.now
    if isinstance(rate, float):
        assert sum(tally.elements.values()) == pytest.approx(rate * seconds, rel=0.5)
    simulator.stop()


def test_trades_come_when_they_are_done() -> None:
    simulator, ear = simulated(rate=20, contracts=("MNQ",))
    clock: Any = simulator.clock
    heard = 0
    while heard < 100:
        clock.advance_to(clock.next_due)
        for _, row in trades(ear):
            assert 0 <= clock.now - instant(row["timestamp"]) <= 1_000_100
            heard += 1
        ear.frames.clear()
        simulator.picked()[0].receive('{"type":6}\x1e')
    simulator.stop()


def test_at_most_a_bunch_in_a_message() -> None:
    simulator, ear = simulated(0.05, rate=50_000, bunch=4, contracts=("MNQ",))
    sizes = {len(deals(event)[1]) for event in ear.heard if event.get("target") == "GatewayTrade"}
    assert max(sizes) == 4
    simulator.stop()


def test_the_same_seed_is_the_same_market_whoever_listens() -> None:
    def run(seed: int, **more: Any) -> tuple[list[bytes], list[tuple[str, dict[str, Any]]]]:
        simulator, ear = simulated(2, rate=200, seed=seed, contracts=("MNQ", "ES"), **more)
        simulator.stop()
        return ear.frames, trades(ear)

    frames, rows = run(1, kinds=("Trades", "Quotes", "MarketDepth"))
    assert frames == run(1, kinds=("Trades", "Quotes", "MarketDepth"))[0]
    assert rows == run(1)[1] == run(1, step=0.4)[1]
    assert rows != run(2)[1]


def test_the_rate_may_change_and_stop() -> None:
    simulator, ear = simulated(1, rate=0)
    assert ear.frames == []
    clock: Any = simulator.clock
    simulator.rate = 1_000
    clock.advance_to(START + 2 * SECOND)
    count = len(trades(ear))
    assert 500 < count < 2_000
    simulator.rate = 0
    clock.advance_to(START + 3 * SECOND)
    assert len(trades(ear)) == count
    simulator.stop()


@pytest.mark.parametrize("rate", [-1, 2_000_000, "fast", True, float("nan")])
def test_a_rate_that_cannot_be_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match="rate must be 0 to 1,000,000"):
        Simulator(rate=rate)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"bunch": 0}, "bunch"), ({"seed": -1}, "seed"), ({"keep": -1}, "keep"), ({"token_life": 0.5}, "token_life"),
        ({"shape": "x"}, "shape"), ({"faults": ["dorp"]}, "a fault must be"), ({"past": "long"}, "past"),
    ],
)  # fmt: skip
def test_other_bad_arguments_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Simulator(**given)


def test_at_full_speed_the_market_waits_for_its_sockets_and_for_subscribers() -> None:
    simulator, ear = simulated(0.01, rate="max", kinds=("Quotes",), contracts=("MNQ",))
    (one,) = simulator.connections.values()
    contract = next(iter(simulator.markets))
    assert simulator.truth.traded[contract].elements == 0
    one.receive(ask("SubscribeContractTrades", contract, id=None))
    clock: Any = simulator.clock
    clock.advance_to(clock.now + SECOND // 100)
    count = simulator.truth.traded[contract].elements
    assert count > 5_000
    times = [instant(row["timestamp"]) for _, row in trades(ear)]
    assert times == sorted(times)
    assert len(set(times)) > count / 10
    ear.unsent = 1 << 20
    clock.advance_to(clock.now + SECOND)
    assert simulator.truth.traded[contract].elements == count
    ear.unsent = 0
    clock.advance_to(clock.now + SECOND // 100)
    assert simulator.truth.traded[contract].elements > count
    one.receive(ask("UnsubscribeContractTrades", contract, id=None))
    assert clock.next_due - clock.now > SECOND
    simulator.stop()


def test_who_does_not_keep_up_is_cut() -> None:
    simulator, ear = simulated(rate=0, contracts=("MNQ",))
    ear.unsent = (64 << 20) + 1
    simulator.trade("MNQ", (21_500.0, 1))
    assert ear.ended == "aborted"
    assert next(iter(simulator.truth.connections.values())).end == "too slow"


def test_quotes_are_laid_over_each_other_and_match_the_trades() -> None:
    simulator, ear = simulated(20, rate=50, contracts=("MNQ",), kinds=("Quotes", "Trades"))
    known: dict[str, Any] = {}
    partial = 0
    last: float | None = None
    for event in ear.heard:
        if event.get("target") == "GatewayQuote":
            quote = event["arguments"][1]
            partial += len(quote) < 8
            known |= quote
        elif event.get("target") == "GatewayTrade":
            last = deals(event)[1][-1]["price"]
            assert known["lastPrice"] == last
            assert known["bestBid"] < known["bestAsk"]
            assert last in (known["bestBid"], known["bestAsk"])
            assert known["low"] <= last <= known["high"]
    assert known["volume"] == simulator.truth.traded["CON.F.US.MNQ.H26"].volume
    assert partial > 100
    simulator.stop()


def test_depth_builds_the_markets_own_book_and_is_never_crossed() -> None:
    simulator, ear = simulated(150, rate=20, step=0.05, contracts=("MNQ",), kinds=("MarketDepth",))
    market = simulator.markets["CON.F.US.MNQ.H26"]
    book: dict[int, dict[float, int]] = {1: {}, 2: {}}
    resets = 0
    for event in ear.heard:
        if event.get("target") != "GatewayDepth":
            continue
        for row in event["arguments"][1]:
            if row["type"] == 6:
                resets += 1
                book = {1: {}, 2: {}}
            elif row["type"] in book:
                book[row["type"]][row["price"]] = row["volume"]
                if not row["volume"]:
                    del book[row["type"]][row["price"]]
        assert max(book[2]) < min(book[1])
    assert resets == 3
    assert book[2] == {market.listed.price(ticks): size for ticks, size in market.book.bids.items()}
    assert book[1] == {market.listed.price(ticks): size for ticks, size in market.book.asks.items()}
    assert (max(market.book.bids), min(market.book.asks)) == (market.bid, market.ask)
    simulator.stop()


def test_it_has_a_past() -> None:
    simulator, _ = simulated(rate=0, past="1h", contracts=("MNQ", "ES"))
    bars = simulator.markets["CON.F.US.MNQ.H26"].history.bars(2, 1, 0, START, 1_000, START, partial=True)
    assert len(bars) == 60
    assert bars[-1][0] * SECOND == START - 3_600 * SECOND
    assert simulator.truth.traded["CON.F.US.MNQ.H26"].elements == 0


@pytest.mark.parametrize("rate", [500, "max", "tape"])
@pytest.mark.parametrize("given", ["frame", "file"])
def test_a_tape_is_played_once_in_order(tmp_path: Path, rate: Any, given: str) -> None:
    frame = synthetic(3, symbols=("MNQ", "CL"), n=1_000, rate=500).ticks_frame(1_000)
    source: Any = frame
    if given == "file":
        source = tmp_path / "ticks.parquet"
        frame.df.with_columns(pl.col("symbol").cast(pl.String)).drop("received").write_parquet(source)
    simulator, ear = simulated(5, tape=source, rate=rate)
    assert simulator.ended
    by_contract: dict[str, list[tuple[float, int, int]]] = {}
    for contract, row in trades(ear):
        by_contract.setdefault(contract, []).append((row["price"], row["volume"], row["type"] + 1))
    for symbol in ("MNQ", "CL"):
        own = frame.df.filter(pl.col("symbol").cast(pl.String) == symbol)
        assert by_contract[simulator.contract(symbol).id] == list(own.select("price", "size", "side").iter_rows())
    simulator.stop()


def test_a_tape_at_a_rate_is_even_and_at_its_own_pace_as_it_was() -> None:
    rows = [Tick("XYZ", 10**18 + at * SECOND, 1.5 + at / 1_000, 1 + at) for at in (0, 1, 1, 5, 4, 7)]
    for rate, expected in ((2, [0.5, 1, 1.5, 2, 2.5, 3]), ("tape", [0, 1, 1, 5, 5, 7])):
        simulator, ear = simulated(10, tape=_frame(rows), rate=rate)
        assert [(instant(row["timestamp"]) - START) / SECOND for _, row in trades(ear)] == pytest.approx(expected)
        assert [row["type"] for _, row in trades(ear)] == [0, 0, 0, 0, 1, 0]
        assert simulator.contract("XYZ").tick_size == 0.001
        simulator.stop()


def _frame(rows: list[Tick]) -> Any:
    from rxfeed.frame import Frame

    return Frame[Tick].of(rows, Tick)


def test_a_tape_that_cannot_be_played_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        Simulator(tape=tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="contracts must be of the tape's symbols XYZ, got"):
        Simulator(("MNQ",), tape=_frame([Tick("XYZ", 10**18, 1.0, 1)]))
    with pytest.raises(ValueError, match="past must be 0 with a tape"):
        Simulator(tape=_frame([Tick("XYZ", 10**18, 1.0, 1)]), past="1h")
    with pytest.raises(InputError, match="at most 9 digits"):
        Simulator(tape=_frame([Tick("XYZ", 10**18, 1 / 3, 1)]))


def test_state_is_json() -> None:
    from rxfeed.feeds.simulator.control import state

    simulator, _ = simulated(rate="max", contracts=("MNQ",))
    assert json.loads(json.dumps(state(simulator)))["rate"] == "max"
    assert json.loads(json.dumps(simulator.truth.row()))["simulated"] is True
    assert repr(simulator) == "Simulator(MNQH26, rate=max, seed=0, 1 connections)"
    simulator.stop()
