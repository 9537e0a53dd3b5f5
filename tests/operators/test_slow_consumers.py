"""The ends of pipelines by every policy; and three consumers of one feed, of which one is stuck."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from reactivex import Subject

from rxfeed import operators as ops
from rxfeed import overflow
from rxfeed.model import Bar, Tick
from rxfeed.windows import Windows
from tests.builders import Recorder, bar, tick
from tests.loops import run, settle, until


def made(count: int) -> list[Tick]:
    return [tick(n / 100, 100.0 + n % 7, seq=n) for n in range(count)]


def test_one_that_is_stuck_slows_only_itself() -> None:
    windows = Windows("1s")

    async def main() -> None:
        source: Subject[Any] = Subject()
        shared = source.pipe(ops.share_latest())
        release = asyncio.Event()
        quick: list[Any] = []
        stuck: list[Any] = []

        async def wait(element: Any) -> None:
            await release.wait()
            stuck.append(element)

        async def note(element: Any) -> None:
            quick.append(element)

        handles = [
            shared.pipe(ops.subscribe_async(note)),
            shared.pipe(ops.subscribe_async(wait, capacity=60, overflow=overflow.conflate(windows))),
        ]
        looped: list[Any] = []
        note_looped = looped.append

        async def loop() -> None:
            async for each in shared.pipe(ops.to_async_iter(4_096)):
                note_looped(each)

        task = asyncio.create_task(loop())
        await settle(2)
        given = made(2_000)
        for at in range(0, len(given), 100):
            for each in given[at : at + 100]:
                source.on_next(each)
            await until(lambda at=at: len(quick) == len(looped) == at + 100)
        assert stuck == []
        stats = handles[1].stats
        assert stats.received == 2_000
        assert stats.high_water <= 60
        source.on_completed()
        release.set()
        await asyncio.gather(*handles, task)
        assert quick == looped == given
        # Its bars are exact all the same.
        assert len(stuck) < 100
        assert bars_of(windows, stuck) == bars_of(windows, given)

    run(main)


def bars_of(windows: Windows, elements: list[Any]) -> list[tuple[Any, ...]]:
    source: Subject[Any] = Subject()
    got = Recorder().to(source.pipe(ops.bars(windows)))
    for each in elements:
        source.on_next(each)
    source.on_completed()
    return [(b.identity, b.open, b.high, b.low, b.close, b.volume, b.count, b.notional) for b in got.elements]


@pytest.mark.parametrize(
    ("policy", "elements", "expected"),
    [
        ("newest", [bar(revision=n) for n in range(9)], 3),
        (overflow.sample("1h"), made(9), 3),
        (overflow.conflate("1h"), made(9), 3),
        (overflow.block(overflow.Valve()), made(9), 3),
        (overflow.block(overflow.Valve(), then="drop_latest"), made(9), 3),
    ],
)
@pytest.mark.parametrize("how", ["loop", "handler"])
def test_each_policy_at_the_end_of_a_pipeline(policy: Any, elements: list[Any], expected: int, how: str) -> None:
    async def main() -> None:
        source: Subject[Any] = Subject()
        got: list[Any] = []

        async def note(element: Any) -> None:
            got.append(element)

        async def loop(elements: Any) -> None:
            async for each in elements:
                await note(each)

        if how == "handler":
            end: Any = source.pipe(ops.subscribe_async(note, capacity=3, overflow=policy))
            task: Any = end
        else:
            end = source.pipe(ops.to_async_iter(3, policy))
            task = asyncio.create_task(loop(end))
        await settle(2)
        for each in elements:
            source.on_next(each)
        source.on_completed()
        await task
        assert len(got) <= expected
        assert got[-1] == elements[-1] or policy.then == "drop_latest"
        stats = end.stats
        assert stats.received == len(elements) == stats.emitted + stats.conflated + stats.dropped
        assert stats.emitted == len([each for each in got if not isinstance(each, Bar) or policy == "newest"])

    run(main)


def test_a_loop_that_lags_has_the_source_stop_reading() -> None:
    async def main() -> None:
        valve = overflow.Valve()
        source: Subject[Any] = Subject()
        async with source.pipe(ops.to_async_iter(8, overflow.block(valve))) as elements:
            for each in made(5):
                source.on_next(each)
            assert valve.shut
            for _ in range(3):
                await anext(elements)
            assert not valve.shut
            for each in made(3):
                source.on_next(each)
            assert valve.shut
        assert not valve.shut

    run(main)


def test_an_element_that_the_policy_cannot_take_is_raised_in_the_loop() -> None:
    async def main() -> None:
        source: Subject[Any] = Subject()
        async with source.pipe(ops.to_async_iter(8, overflow.sample("1s"))) as elements:
            source.on_next(tick())
            source.on_next(3)
            assert source.observers == []
            assert await anext(elements) == tick()
            with pytest.raises(TypeError, match=r"'sample' takes Tick or .* got int"):
                await anext(elements)

    run(main)


async def nothing(_: object) -> None:
    pass


@pytest.mark.parametrize("make", [ops.to_async_iter, lambda *a: ops.subscribe_async(nothing, capacity=a[0], overflow=a[1])])
def test_impossible_ones_are_refused_when_it_is_made(make: Any) -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        make(0, overflow.conflate("1s"))
    with pytest.raises(ValueError, match="'conflate' needs to know more"):
        make(3, "conflate")
    with pytest.raises(ValueError, match="overflow must be one of"):
        make(3, "oldest")
