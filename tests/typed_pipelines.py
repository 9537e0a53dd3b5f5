"""What pyright must infer of pipelines, lambdas after them included. `make lint` checks it; nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

import polars as pl
from reactivex import Observable, never
from reactivex import operators as rxo
from reactivex.abc import DisposableBase

import rxfeed
from rxfeed import Bar, Book, Depth, Frame, Quote, Tick, by, overflow
from rxfeed import operators as ops
from rxfeed.attempts import AttemptPolicy
from rxfeed.breaker import Breaker, BreakerChanged
from rxfeed.model import Gap, Repair


def rows() -> None:
    ticks = rxfeed.replay("ticks.parquet")
    assert_type(ticks, Observable[Tick])
    assert_type(ticks.pipe(ops.validate()), Observable[Tick])
    assert_type(ticks.pipe(ops.validate(), ops.bars("1m")), Observable[Bar])
    assert_type(ticks.pipe(ops.bars("1m"), ops.bars("5m")), Observable[Bar])
    assert_type(ticks.pipe(ops.bars("1m"), ops.where(lambda bar: bar.close > bar.open)), Observable[Bar])
    assert_type(ticks.pipe(ops.validate(), rxo.map(lambda tick: tick.price)), Observable[float])
    assert_type(ticks.pipe(ops.bars("1m"), rxo.map(lambda bar: bar.vwap)), Observable[float | None])
    assert_type(ticks.pipe(ops.dedupe("seq"), ops.detect_gaps(sequence=True)), Observable[Tick])
    assert_type(ticks.pipe(ops.dedupe(lambda tick: tick.seq), rxo.map(lambda tick: tick.price)), Observable[float])


def frames() -> None:
    frames = rxfeed.replay("ticks.parquet", frames=True)
    assert_type(frames, Observable[Frame[Tick]])
    assert_type(frames.pipe(ops.validate()), Observable[Frame[Tick]])
    assert_type(frames.pipe(ops.bars("1m", frames=True)), Observable[Frame[Bar]])
    assert_type(frames.pipe(ops.bars("1m")), Observable[Bar])
    assert_type(frames.pipe(ops.dedupe(("time", "seq")), ops.detect_gaps(silence="30s")), Observable[Frame[Tick]])
    assert_type(frames.pipe(ops.where(pl.col("price") > 1), ops.each()), Observable[Tick])
    assert_type(frames.pipe(ops.bars("1m", frames=True), rxo.map(lambda frame: frame.df.height)), Observable[int])


def between() -> None:
    ticks = rxfeed.replay("ticks.parquet")
    assert_type(ticks.pipe(ops.batch(1000)), Observable[Frame[Tick]])
    assert_type(ticks.pipe(ops.batch(1000), ops.validate(), ops.bars("1m")), Observable[Bar])
    assert_type(ticks.pipe(ops.bars("1m"), ops.collect()), Observable[Frame[Bar]])
    assert_type(ticks.pipe(ops.batch(1000), ops.bars("1m", frames=True), ops.collect()).run(), Frame[Bar])
    assert_type(ticks.pipe(ops.collect()), Observable[Frame[Tick]])
    quotes = rxfeed.synthetic(1).quotes()
    assert_type(quotes.pipe(ops.validate()), Observable[Quote])


def flow() -> None:
    ticks = rxfeed.replay("ticks.parquet")
    frames = rxfeed.replay("ticks.parquet", frames=True)
    assert_type(ticks.pipe(ops.meter("raw"), ops.validate(), ops.checkpoint("clean")), Observable[Tick])
    assert_type(frames.pipe(ops.meter("raw"), ops.checkpoint("raw")), Observable[Frame[Tick]])
    assert_type(ticks.pipe(ops.meter("raw"), rxo.map(lambda tick: tick.price), ops.checkpoint("prices")), Observable[float])
    assert_type(ticks.pipe(ops.retry(wait="1s"), ops.restart(wait=2), ops.validate(), ops.bars("1m")), Observable[Bar])
    assert_type(frames.pipe(ops.retry(), ops.each(), rxo.map(lambda tick: tick.price)), Observable[float])
    feed = Breaker("feed")
    assert_type(ticks.pipe(ops.circuit_breaker(feed, fallback=ticks), ops.retry(), ops.bars("1m")), Observable[Bar])
    # Two meters on two types in one pipe are more than pyright can tell apart.
    assert_type(ticks.pipe(ops.meter("raw"), ops.bars("1m")).pipe(ops.meter("bars")), Observable[Bar])
    assert_type(ticks.pipe(ops.resubscribe_on(never()), ops.bars("1m")), Observable[Bar])
    assert_type(frames.pipe(ops.resubscribe_on(never())), Observable[Frame[Tick]])
    assert_type(ops.meter("raw").stats.ticks, int)
    assert_type(ticks.pipe(ops.validate(), ops.share_latest(key=lambda tick: tick.symbol)), Observable[Tick])
    assert_type(frames.pipe(ops.share_latest(), ops.bars("1m")), Observable[Bar])
    assert_type(ticks.pipe(ops.validate(), ops.sample_every("1s", key="symbol")), Observable[Tick])
    assert_type(ticks.pipe(ops.throttle_latest("1s", key=lambda tick: tick.symbol), ops.bars("1m")), Observable[Bar])
    assert_type(frames.pipe(ops.sample_every("1s"), ops.each()), Observable[Tick])
    assert_type(ticks.pipe(ops.timeout_idle(between="30s", session="CME"), ops.bars("1m")), Observable[Bar])
    assert_type(frames.pipe(ops.timeout_idle(first="1m", on_idle=lambda stale: None)), Observable[Frame[Tick]])


def pressed() -> None:
    ticks = rxfeed.replay("ticks.parquet")
    conflate = overflow.conflate("1s")
    assert_type(ticks.pipe(ops.backpressure(10)), Observable[Tick])
    assert_type(ticks.pipe(ops.backpressure(10, overflow.sample("1s")), ops.bars("1m")), Observable[Bar])
    assert_type(ticks.pipe(ops.bars("1m"), ops.backpressure(overflow="newest")), Observable[Bar])
    assert_type(ticks.pipe(ops.backpressure(10, conflate)), Observable[Tick | Bar])
    assert_type(ticks.pipe(ops.validate(), ops.backpressure(overflow=conflate), ops.bars("1m")), Observable[Bar])
    valve = overflow.Valve()
    assert_type(ticks.pipe(ops.backpressure(10, overflow.block(valve)), rxo.map(lambda tick: tick.price)), Observable[float])
    assert_type(ticks.pipe(ops.backpressure(10, overflow.block(valve, then=conflate))), Observable[Tick | Bar])


def quotes_and_books() -> None:
    quotes = rxfeed.synthetic(1).quotes()
    assert_type(quotes.pipe(ops.validate(), ops.latest_quote()), Observable[Quote])
    assert_type(quotes.pipe(ops.batch(1000), ops.latest_quote()), Observable[Frame[Quote]])
    assert_type(quotes.pipe(ops.latest_quote(need=["last"]), rxo.map(lambda q: q.mid)), Observable[float | None])
    depth = rxfeed.synthetic(1).depth()
    assert_type(depth, Observable[Depth])
    assert_type(depth.pipe(ops.order_book()), Observable[Book])
    assert_type(depth.pipe(ops.batch(1000), ops.order_book(5, every="100ms")), Observable[Book])
    assert_type(depth.pipe(ops.order_book(), rxo.map(lambda book: book.imbalance)), Observable[float | None])


def measured() -> None:
    ticks = rxfeed.replay("ticks.parquet")
    frames = rxfeed.replay("ticks.parquet", frames=True)
    assert_type(ticks.pipe(ops.bars(by=by.ticks(1000))), Observable[Bar])
    assert_type(ticks.pipe(ops.validate(), ops.bars(by=[by.volume(5000), by.renko(5.0)], session="CME")), Observable[Bar])
    assert_type(ticks.pipe(ops.bars(by=by.range(10.0)), rxo.map(lambda bar: bar.high - bar.low)), Observable[float])
    assert_type(frames.pipe(ops.bars(by=by.notional(1e6))), Observable[Bar])
    assert_type(frames.pipe(ops.bars(by=by.notional(1e6), frames=True)), Observable[Frame[Bar]])


def mended(gaps: Observable[Gap], repairs: Observable[Repair]) -> None:
    ticks = rxfeed.replay("ticks.parquet")
    assert_type(ticks.pipe(ops.bars("1m", gaps=gaps, repairs=repairs)), Observable[Bar])
    assert_type(ticks.pipe(ops.batch(1000), ops.bars("1m", gaps=gaps, frames=True)), Observable[Frame[Bar]])
    assert_type(ops.bars("1m", gaps=gaps).mended.repaired, int)


async def ends() -> None:
    ticks = rxfeed.replay("ticks.parquet")
    end: DisposableBase = ticks.pipe(ops.bars("1m"), ops.subscribe(lambda bar: assert_type(bar, Bar)))
    assert_type(ticks.pipe(ops.subscribe(lambda tick: assert_type(tick.price, float))).is_disposed, bool)
    end.dispose()
    async for bar in ticks.pipe(ops.validate(), ops.bars("1m"), ops.to_async_iter(capacity=10)):
        assert_type(bar, Bar)
    async with ticks.pipe(ops.batch(10), ops.to_async_iter()) as frames:
        assert_type(await anext(frames), Frame[Tick])

    async def save(bar: Bar) -> int:
        return bar.count or 0

    async def prices() -> AsyncIterator[float]:
        yield 1.0

    await ticks.pipe(ops.bars("1m"), ops.subscribe_async(save, overflow="drop_oldest"))
    assert_type(ops.from_async_iter(prices), Observable[float])
    assert_type(ops.from_async_iter(prices()), Observable[float])
    assert_type(ops.from_async_iter(prices).pipe(rxo.map(lambda price: price > 1)), Observable[bool])


def policies() -> None:
    breaker = Breaker("feed")
    policy: AttemptPolicy = breaker
    assert_type(policy.delay(), float)
    assert_type(breaker.events.pipe(rxo.map(lambda event: event.reason)), Observable[str])
    assert_type(breaker.events.pipe(rxo.filter(lambda event: event.was == "open")), Observable[BreakerChanged])
