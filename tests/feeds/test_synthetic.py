"""The synthetic market is the same for the same seed, however it is cut, and its three views agree with one another."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from reactivex import Observable
from reactivex import operators as rxops

from rxfeed import sessions
from rxfeed.clock import ReplayClock, VirtualClock
from rxfeed.feeds.synthetic import Market, synthetic
from rxfeed.frame import TICK_SCHEMA, Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Depth, Quote, Side, Tick
from rxfeed.times import SECOND

START = 1_736_175_600 * SECOND
ALL = ("MNQ", "MES", "NQ", "ES", "CL", "GC")


def collect(source: Observable[Any]) -> list[Any]:
    got: list[Any] = []
    source.subscribe(got.append)
    return got


def joined(market: Market, chunk: int) -> pl.DataFrame:
    return pl.concat([f.df for f in market.frames(chunk)])


@pytest.mark.parametrize("chunk", [1_000, 65_536, 1_000_000])
def test_the_chunk_changes_no_tick(chunk: int) -> None:
    market = synthetic(5, n=140_000)
    sizes = [len(f) for f in market.frames(chunk)]
    assert set(sizes[:-1]) <= {chunk}
    assert joined(market, chunk).equals(synthetic(5).ticks_frame(140_000).df)
    assert joined(market, chunk).schema == TICK_SCHEMA


def test_rows_and_frames_are_the_same_ticks() -> None:
    market = synthetic(1, n=700)
    rows = collect(market.trades())
    assert rows == [t for f in collect(market.trades(frames=True, chunk=64)) for t in f] == collect(market.trades())
    assert [len(f) for f in collect(market.trades(frames=True, chunk=500))] == [500, 200]


def test_each_seed_has_a_market_of_its_own() -> None:
    one, two = synthetic(1).ticks_frame(500), synthetic(2).ticks_frame(500)
    assert not one.df.equals(two.df)
    assert len(synthetic(1, n=10).ticks_frame(500)) == 10
    assert len(synthetic(1).ticks_frame(0)) == 0


def test_ticks_look_like_a_feed() -> None:
    frame = synthetic(3, symbols=ALL, rate=200.0).ticks_frame(200_000)
    time, seq, received = frame.column("time"), frame.column("seq"), frame.column("received")
    assert time[0] >= START
    gaps = np.diff(time)
    assert (gaps >= 0).all()
    assert (seq == np.arange(len(frame))).all()
    assert (received > time).all()
    assert (np.diff(received) >= 0).all()
    assert set(frame.column("side").tolist()) == {1, 2}
    assert frame.column("size").min() >= 1
    assert frame.df["symbol"].cast(pl.String).unique().sort().to_list() == sorted(ALL)
    rate = len(frame) / ((time[-1] - time[0]) / SECOND)
    assert 150 < rate < 250
    assert 0.3 < (gaps == 0).mean() < 0.6
    per_second = np.bincount((time - time[0]) // SECOND)
    assert per_second.max() > 2.5 * per_second.mean()
    prints = frame.df.select("symbol", "time", "price", "size")
    assert prints.is_duplicated().sum() > 1_000
    moved = frame.df.group_by("symbol", "time").agg(n=pl.col("price").n_unique())
    assert (moved["n"] > 1).sum() > 1_000  # where only seq tells open from close


@pytest.mark.parametrize("symbol", [*ALL, "XYZ"])
def test_prices_are_on_the_grid_to_the_last_bit(symbol: str) -> None:
    market = synthetic(4, symbols=[symbol])
    instrument = market.instruments[symbol]
    step = Decimal(str(instrument.tick_size))
    for price in set(market.ticks_frame(20_000).df["price"].to_list()):
        assert price > 0
        ticks = round(Decimal(price) / step)
        assert price == float(ticks * step)
        assert price == round(ticks * float(step), 9)
        assert instrument.on_grid(price)


def test_the_real_tick_sizes_are_known() -> None:
    assert {s: i.tick_size for s, i in synthetic(symbols=ALL).instruments.items()} == {
        "MNQ": 0.25, "MES": 0.25, "NQ": 0.25, "ES": 0.25, "CL": 0.01, "GC": 0.1,
    }  # fmt: skip
    own = Instrument("BTCUSDT", 0.01, 0.000001)
    assert synthetic(symbols=[own]).instruments["BTCUSDT"] is own


def whole(quotes: list[Quote]) -> dict[str, dict[str, Any]]:
    """Return the quotes merged: what is None stays as it was."""
    result: dict[str, dict[str, Any]] = {}
    for quote in quotes:
        known = result.setdefault(quote.symbol, {})
        for name in ("bid", "ask", "bid_size", "ask_size"):
            if getattr(quote, name) is not None:
                known[name] = getattr(quote, name)
    return result


def test_trades_are_done_at_the_bid_or_the_ask_of_their_time() -> None:
    market = synthetic(6, symbols=("MNQ", "CL"), n=5_000)
    bids: dict[str, float] = {}
    asks: dict[str, float] = {}
    best: dict[tuple[str, int], set[tuple[int, float]]] = {}
    for quote in collect(market.quotes()):
        symbol = quote.symbol
        at = best.setdefault((symbol, quote.time), set())
        if symbol in bids:
            at |= {(Side.SELL, bids[symbol]), (Side.BUY, asks[symbol])}
        bids[symbol] = bids[symbol] if quote.bid is None else quote.bid
        asks[symbol] = asks[symbol] if quote.ask is None else quote.ask
        assert bids[symbol] < asks[symbol]
        at |= {(Side.SELL, bids[symbol]), (Side.BUY, asks[symbol])}
    held: dict[str, set[tuple[int, float]]] = {}
    for trade in collect(market.trades()):
        held[trade.symbol] = best.get((trade.symbol, trade.time)) or held[trade.symbol]
        assert (trade.side, trade.price) in held[trade.symbol]
    assert whole(collect(market.quotes()))["CL"].keys() == {"bid", "ask", "bid_size", "ask_size"}


def test_quotes_are_whole_first_and_then_say_only_what_changed() -> None:
    quotes = collect(synthetic(6, n=3_000).quotes())
    assert [q.seq for q in quotes] == list(range(len(quotes)))
    assert all(a.time <= b.time for a, b in pairwise(quotes))
    first = {q.symbol: q for q in reversed(quotes)}
    assert all(None not in (q.bid, q.ask, q.bid_size, q.ask_size) for q in first.values())
    kinds = {(q.bid is None, q.ask is None, q.bid_size is None, q.ask_size is None, q.last is None) for q in quotes}
    assert len(kinds) >= 6
    assert all((q.bid, q.ask, q.bid_size, q.ask_size) != (None,) * 4 for q in quotes)
    assert len(Frame.of(quotes, Quote)) == len(quotes)


@pytest.mark.parametrize("levels", [1, 5])
def test_the_book_s_best_prices_are_the_quotes(levels: int) -> None:
    market = synthetic(8, symbols=("MNQ", "GC"), n=4_000)
    books: dict[str, dict[int, dict[float, int]]] = {}
    changes = collect(market.depth(levels=levels))
    assert [d.seq for d in changes] == list(range(len(changes)))
    assert {type(d.kind) for d in changes} == {int}
    last: dict[str, Depth] = {}
    for change in changes:
        last[change.symbol] = change
        if change.kind == 2:
            books[change.symbol] = {1: {}, 2: {}}
            continue
        side = books[change.symbol][change.side]
        if change.size:
            side[change.price] = change.size
        else:
            del side[change.price]
        book = books[change.symbol]
        if book[1] and book[2]:
            assert max(book[1]) < min(book[2])
    known = whole(collect(market.quotes()))
    for symbol, book in books.items():
        assert (max(book[1]), min(book[2])) == (known[symbol]["bid"], known[symbol]["ask"])
        assert (len(book[1]), len(book[2])) == (levels, levels)
    assert len(Frame.of(changes, Depth)) == len(changes)


def test_trades_keep_to_the_hours_of_the_session() -> None:
    market = synthetic(9, rate=0.05, n=20_000, session="CME", start=datetime(2025, 3, 6, 12, tzinfo=UTC))
    time = market.ticks_frame(20_000).column("time")
    spans = sessions.get("CME").spans(int(time[0]), int(time[-1]) + 1)
    assert len(spans) > 4
    opens, closes = np.array([s.open for s in spans]), np.array([s.close for s in spans])
    index = np.searchsorted(opens, time, "right") - 1
    assert (time < closes[index]).all()
    assert set(index.tolist()) == set(range(len(spans)))
    resets = [d.time for d in collect(market.depth()) if d.kind == 2 and d.symbol == "MNQ"]
    assert len(resets) == len(spans)


def test_a_market_that_begins_in_a_pause_begins_at_the_open() -> None:
    saturday = datetime(2025, 1, 4, 12, tzinfo=UTC)
    time = synthetic(1, start=saturday, session="CME", rate=1_000.0).ticks_frame(1).column("time")[0]
    assert 0 <= time - int(datetime(2025, 1, 5, 23, tzinfo=UTC).timestamp()) * SECOND < SECOND


def test_it_ends_with_its_number_or_its_duration() -> None:
    assert len(collect(synthetic(1, n=0).trades())) == 0
    short = collect(synthetic(1, duration="10s", rate=50.0).trades())
    assert 100 < len(short) < 1_500
    assert short[-1].time < START + 10 * SECOND
    assert len(collect(synthetic(1, duration="10s", n=7).trades())) == 7
    assert len(collect(synthetic(1).trades().pipe(rxops.take(100_000), rxops.last()))) == 1


def test_it_moves_a_clock_and_keeps_a_pace_like_a_replay() -> None:
    clock, pace = ReplayClock(), VirtualClock()
    got: list[tuple[int, int]] = []
    market = synthetic(1, n=50, rate=10.0)
    market.trades(clock=clock, speed=1.0, pace=pace).subscribe(lambda t: got.append((t.time, clock.now)))
    pace.advance(3_600 * SECOND)
    assert len(got) == 50
    assert all(time == now for time, now in got)
    for view in (market.quotes(clock=ReplayClock()), market.depth(speed=2.0, pace=pace)):
        seen = collect(view)
        pace.advance(3_600 * SECOND)
        assert seen


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"rate": 0}, "rate must be more than 0 and at most 1,000,000 trades a second, got 0"),
        ({"n": -1}, "n must be 0 or more, got -1"),
        ({"symbols": ()}, "symbols must not be empty"),
        ({"symbols": ("A", "A")}, "symbols must differ, got A twice"),
        ({"symbols": (Instrument("A"),)}, "A must have a tick_size"),
        ({"start": datetime(2025, 1, 1)}, "start must have a time zone"),
        ({"duration": "soon"}, "duration must look like"),
        ({"session": "MOON"}, "MOON"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        synthetic(**arguments)


def test_bad_views_are_refused() -> None:
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        synthetic().depth(levels=0)
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        synthetic().trades(chunk=0)
    with pytest.raises(ValueError, match="speed must be more than 0"):
        synthetic().trades(speed=0)


def test_ticks_are_ticks() -> None:
    (tick,) = collect(synthetic(1, n=1).trades())
    assert isinstance(tick, Tick)
    assert repr(synthetic(1)) == "Market(seed=1, symbols=MNQ, MES)"
