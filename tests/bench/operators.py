"""What each operator costs a tick at rest: a Subject, the operator and a sink, less a Subject and a sink.

All public operators are found by introspection, and one without an entry here is an error: add one line to ENTRIES.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import polars as pl
from reactivex.subject import Subject
from tenacity import stop_after_attempt

import rxfeed
from rxfeed import Frame, Tick, operators
from rxfeed.breaker import Breaker
from tests.bench.market import DENSE, SESSION, SYMBOLS, TIMEFRAMES
from tests.bench.measure import spent, take_turns
from tests.bench.peers import nothing

MOST = 300.0
"""ns of processor time a tick."""
FRAME, TURN, ROOM = 1_000, 512, 1_000_000
ops: Any = operators
Elements = Sequence[Any]


class Feed:
    """What goes through: `count` elements of each kind, the same for all operators."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._market = rxfeed.synthetic(1, symbols=SYMBOLS, rate=DENSE, n=count, session=SESSION)

    @cached_property
    def ticks(self) -> Elements:
        return self._market.ticks_frame(self.count).rows()

    @cached_property
    def numbered(self) -> Elements:
        """Ticks with a `seq` of their own for each symbol, so that none seems to be missing."""
        numbers = pl.int_range(pl.len()).over("symbol").alias("seq")
        return Frame(self._market.ticks_frame(self.count).df.with_columns(numbers), Tick).rows()

    @cached_property
    def frames(self) -> Elements:
        return list(self._market.frames(FRAME))

    @cached_property
    def quotes(self) -> Elements:
        return self._first(self._market.quotes())

    @cached_property
    def depth(self) -> Elements:
        return self._first(self._market.depth())

    def _first(self, source: Any) -> Elements:
        found: list[Any] = []
        source.subscribe(found.append)
        return found[: self.count]


class Entry(NamedTuple):
    """How an operator is used at rest."""

    run: Callable[[Elements], object]
    less: Callable[[Elements], object]
    """The same without it."""
    kind: str = "ticks"
    most: float | None = MOST


def _push(attach: Callable[[Subject[Any]], object], elements: Elements) -> None:
    source: Subject[Any] = Subject()
    attach(source)
    emit = source.on_next
    for element in elements:
        emit(element)
    source.on_completed()


def _push_async(attach: Callable[[Subject[Any]], Any], elements: Elements) -> None:
    """In a loop, which has its turn now and then; `attach` may return what is to be awaited in the end."""

    async def main() -> None:
        source: Subject[Any] = Subject()
        made = attach(source)
        await asyncio.sleep(0)
        emit = source.on_next
        for begin in range(0, len(elements), TURN):
            for element in elements[begin : begin + TURN]:
                emit(element)
            await asyncio.sleep(0)
        source.on_completed()
        if made is not None:
            await made

    asyncio.run(main())


def _sink(source: Subject[Any]) -> None:
    source.subscribe(nothing)


bare = partial(_push, _sink)
bare_async = partial(_push_async, _sink)


def through(make: Callable[[], Any], kind: str = "ticks", most: float | None = MOST) -> Entry:
    """An operator between a Subject and a sink."""

    def attach(source: Subject[Any]) -> None:
        source.pipe(make()).subscribe(nothing)

    return Entry(partial(_push, attach), bare, kind, most)


def _to_async_iter(source: Subject[Any]) -> object:
    async def consume() -> None:
        async for element in source.pipe(ops.to_async_iter(capacity=ROOM)):
            nothing(element)

    return asyncio.create_task(consume())


def _backpressure(source: Subject[Any]) -> None:
    source.pipe(ops.backpressure()).subscribe(nothing)


async def _handler(_: object) -> None:
    pass


def _from_async_iter(elements: Elements) -> None:
    async def main() -> None:
        over = asyncio.Event()
        ops.from_async_iter(partial(_yielded, elements)).subscribe(nothing, on_completed=over.set)
        await over.wait()

    asyncio.run(main())


def _async_for(elements: Elements) -> None:
    async def main() -> None:
        async for element in _yielded(elements):
            nothing(element)

    asyncio.run(main())


async def _yielded(elements: Elements) -> AsyncIterator[Any]:
    for element in elements:
        yield element


def _clock() -> Any:
    return rxfeed.VirtualClock()


APART = frozenset({"repair", "resubscribe_on"})
"""They take no ticks, or do something only when a connection changes."""
ENTRIES: Mapping[str, Entry] = {
    "backpressure": Entry(partial(_push_async, _backpressure), bare_async),
    "bars": through(lambda: ops.bars(*TIMEFRAMES, session=SESSION), most=None),
    "batch": through(lambda: ops.batch(FRAME)),
    "checkpoint": through(lambda: ops.checkpoint("stage")),
    "circuit_breaker": through(lambda: ops.circuit_breaker(Breaker("feed", clock=_clock())), most=200.0),
    "collect": through(lambda: ops.collect()),
    "dedupe": through(lambda: ops.dedupe("seq")),
    "detect_gaps": through(lambda: ops.detect_gaps(sequence=True, silence="1h", session=SESSION), "numbered"),
    "each": through(lambda: ops.each(), "frames"),
    "from_async_iter": Entry(_from_async_iter, _async_for),
    "latest_quote": through(lambda: ops.latest_quote(), "quotes"),
    "meter": through(lambda: ops.meter("stage")),
    "order_book": through(lambda: ops.order_book(every="1s"), "depth"),
    "restart": through(lambda: ops.restart(stop=stop_after_attempt(1), scheduler=_clock()), most=200.0),
    "retry": through(lambda: ops.retry(scheduler=_clock()), most=200.0),
    "sample_every": through(lambda: ops.sample_every("1s", scheduler=_clock())),
    "share_latest": through(lambda: ops.share_latest()),
    "subscribe": Entry(partial(_push, lambda source: source.pipe(ops.subscribe(nothing)) and None), bare),
    "subscribe_async": Entry(
        partial(_push_async, lambda source: source.pipe(ops.subscribe_async(_handler, capacity=ROOM))), bare_async
    ),
    "throttle_latest": through(lambda: ops.throttle_latest("1s", scheduler=_clock())),
    "timeout_idle": through(lambda: ops.timeout_idle(first="1m", between="30s", session=SESSION, scheduler=_clock())),
    "to_async_iter": Entry(partial(_push_async, _to_async_iter), bare_async),
    "validate": through(lambda: ops.validate(), most=None),
    "where": through(lambda: ops.where(lambda tick: tick.size > 0)),
}


def public() -> list[str]:
    """Return the operators that there are.

    Raises:
        LookupError: one has no entry.
    """
    names = sorted(name for name in operators.__all__ if callable(getattr(operators, name)) and name[0].islower())
    names = [name for name in names if name not in APART]
    forgotten = [name for name in names if name not in ENTRIES]
    if forgotten:
        raise LookupError(f"no entry for {', '.join(forgotten)}: say in ENTRIES of tests/bench/operators.py how it is used")
    return names


def run(count: int, rounds: int) -> list[dict[str, Any]]:
    """Return the cost of each operator in ns of processor time a tick."""
    feed = Feed(count)
    return [_cost(name, ENTRIES[name], getattr(feed, ENTRIES[name].kind), rounds) for name in public()]


def _cost(name: str, entry: Entry, elements: Elements, rounds: int) -> dict[str, Any]:
    ticks = sum(map(len, elements)) if entry.kind == "frames" else len(elements)
    runs = {
        "with": lambda: spent(lambda: entry.run(elements), cpu=True) / ticks,
        "without": lambda: spent(lambda: entry.less(elements), cpu=True) / ticks,
    }
    got = take_turns(runs, rounds)
    costs = [a - b for a, b in zip(got["with"], got["without"], strict=True)]
    return {
        "name": name, "of": entry.kind, "ns a tick": statistics.median(costs), "rounds": costs, "at most": entry.most,
        "without": statistics.median(got["without"]),
    }  # fmt: skip
