"""`backpressure` in a loop: what a slow consumer gets, what everybody is told, and what is refused when a pipeline is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
from reactivex import Subject
from reactivex.abc import DisposableBase
from reactivex.disposable import Disposable

from rxfeed import by, overflow
from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.errors import Overflow, PartialRefused
from rxfeed.events import Event, Overflowed
from rxfeed.limits import DynamicLimits
from rxfeed.memory import Memory
from rxfeed.model import Flag, Gap, Tick
from rxfeed.runs import RunObservable, RunObserver
from rxfeed.windows import Windows
from tests.builders import T0, Recorder, bar, frame, tick
from tests.loops import run, settle, until


def made(count: int) -> list[Tick]:
    return [tick(n / 100, 100.0 + n % 7, seq=n) for n in range(count)]


class Burst:
    """A source, a boundary, and who is behind it. The loop gets its turn when `turn` is awaited."""

    def __init__(self, *args: Any, react: Callable[[Any], None] | None = None, **more: Any) -> None:
        self.source: Subject[Any] = Subject()
        self.told: list[Event] = []
        self.gaps: list[Gap] = []
        self.operator: Any = ops.backpressure(*args, alert=self.told.append, gaps=self.gaps.append, **more)
        self.got = Recorder(react).to(self.operator(self.source))

    def give(self, elements: list[Any]) -> None:
        for each in elements:
            self.source.on_next(each)

    async def rest(self) -> None:
        await until(lambda: not self.operator.stats.pending)
        await settle(2)

    @property
    def brief(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


def test_input_only_enqueues() -> None:
    async def main() -> None:
        burst = Burst()
        burst.give(made(3))
        assert burst.got.elements == []
        assert burst.operator.stats == (3, 0, 0, 0, 3, 3)
        await settle(1)
        assert burst.got.elements == made(3)
        burst.source.on_completed()
        assert not burst.got.completed
        await settle(1)
        assert burst.got.completed

    run(main)


def test_a_run_passes_as_it_is() -> None:
    async def main() -> None:
        holder: list[Any] = []

        def attach(observer: Any, _: object = None) -> DisposableBase:
            holder.append(observer)
            return Disposable()

        source = RunObservable[Any](attach)
        got: list[Any] = []
        RunObserver(got.append, got.append, print, lambda: None).to(ops.backpressure()(source), None)
        given = made(20)
        assert len(given) < 64
        holder[0].on_run(given)
        long = made(100)
        holder[0].on_run(long)
        await settle(3)
        assert [each for piece in got for each in piece] == [*given, *long]
        assert len(got) < 8

    run(main)


def test_a_turn_of_the_loop_is_short_however_slow_the_consumer() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        now = [0.0]
        loop.time = lambda: now[0]  # type: ignore[method-assign]
        turns: list[int] = []

        def slow(_: Tick) -> None:
            now[0] += 0.001
            turns[-1] += 1

        burst = Burst(react=slow)
        burst.give(made(400))
        while burst.operator.stats.pending:
            turns.append(0)
            await asyncio.sleep(0)
        # The first piece of 4 finds out how slow it is.
        assert turns[0] == 4
        assert max(turns[1:]) <= 2
        assert burst.got.elements == made(400)

    run(main)


def test_bars_are_exact_behind_conflate_and_say_that_they_were() -> None:
    async def main() -> None:
        windows = Windows("1s", "5s")
        burst = Burst(50, overflow.conflate(windows))
        exact = Recorder().to(Subject())
        source: Subject[Any] = Subject()
        exact = Recorder().to(source.pipe(ops.bars(windows)))
        pressed = Recorder().to(burst.source.pipe(ops.backpressure(50, overflow.conflate(windows)), ops.bars(windows)))
        given = made(2_000)
        burst.give(given)
        for each in given:
            source.on_next(each)
        source.on_completed()
        burst.source.on_completed()
        await until(lambda: pressed.completed)
        plain = [msgspec.structs.replace(each, flags=each.flags & ~Flag.CONFLATED) for each in pressed.elements]
        assert plain == exact.elements
        assert any(each.flags & Flag.CONFLATED for each in pressed.elements)
        stats = burst.operator.stats
        assert stats.received == stats.emitted + stats.conflated == 2_000
        assert burst.gaps == []
        assert burst.brief == ["Pressed", "Overflowed", "Relieved"]
        assert str(burst.told[1]) == "backpressure is full (conflate): ticks that wait are merged into partial bars"
        assert str(burst.told[2]).startswith("backpressure has room again: nothing was lost, 1,")

    run(main)


def test_what_was_lost_is_told_before_what_comes_after_it() -> None:
    async def main() -> None:
        order: list[Any] = []
        source: Subject[Any] = Subject()
        operator = ops.backpressure(10, "drop_oldest", gaps=order.append)
        operator(source).subscribe(order.append)
        given = made(25)
        for each in given:
            source.on_next(each)
        await settle(2)
        assert order == [Gap("A", given[0].time, given[14].time, "overload: 15 dropped"), *given[15:]]

    run(main)


def test_a_capacity_that_follows_memory_is_asked_for_as_it_is_now() -> None:
    async def main() -> None:
        memory = Memory(10 << 20, 100 << 20)
        limits = DynamicLimits(lambda: memory, clock=VirtualClock(), target=50 << 20)
        burst = Burst(limits.capacity("ticks", default=40, least=5), "drop_oldest")
        limits.look()
        burst.give(made(40))
        assert burst.operator.stats.pending == 40
        memory = Memory(60 << 20, 100 << 20)
        limits.look()
        assert burst.operator.stats.pending == 40  # nothing is thrown away unless something comes
        burst.give(made(41)[40:])
        assert burst.operator.stats.pending == 5
        await burst.rest()
        assert burst.got.elements == made(41)[36:]
        assert [(gap.start, gap.end) for gap in burst.gaps] == [(made(1)[0].time, made(36)[35].time)]
        assert burst.brief == ["Pressed", "Overflowed", "Relieved"]

    run(main)


def test_a_capacity_that_becomes_impossible_ends_the_stream() -> None:
    async def main() -> None:
        now = 3
        burst = Burst(lambda: now)
        burst.give(made(1))
        await settle(1)
        now = 0
        burst.give(made(2)[1:])
        await settle(2)
        assert burst.got.elements == made(1)
        assert "capacity must be at least 1, got 0" in str(burst.got.error)

    run(main)


def test_alerts_come_once_each_and_again_after_relief() -> None:
    async def main() -> None:
        burst = Burst(100, "drop_latest", scheduler=VirtualClock(T0), name="to the chart")
        for _ in range(2):
            burst.give(made(300))
            await burst.rest()
        assert burst.brief == ["Pressed", "Overflowed", "Relieved"] * 2
        assert [event.time for event in burst.told] == [T0] * 6
        assert str(burst.told[0]) == "to the chart is nearly full: 96 of 100 wait"
        assert str(burst.told[2]) == "to the chart has room again: 200 ticks were lost"

    run(main)


def test_an_alert_that_raises_is_told_of_once_and_costs_no_tick(capsys: pytest.CaptureFixture[str]) -> None:
    from loguru import logger

    told: list[str] = []
    sink = logger.add(lambda message: told.append(str(message)))

    def alert(_: Event) -> None:
        raise ValueError("alert")

    async def main() -> None:
        source: Subject[Any] = Subject()
        got = Recorder().to(ops.backpressure(10, "drop_oldest", alert=alert)(source))
        for each in made(30):
            source.on_next(each)
        await settle(4)
        assert len(got.elements) == 10
        assert got.error is None

    try:
        run(main)
    finally:
        logger.remove(sink)
    assert len(told) == 1
    assert "which takes alerts raised in on_next" in told[0]


def test_an_overflow_is_behind_what_waits() -> None:
    async def main() -> None:
        burst = Burst(10)
        burst.give(made(30))
        assert burst.source.observers == []
        await settle(2)
        assert burst.got.elements == made(10)
        assert isinstance(burst.got.error, Overflow)
        assert "10 ticks wait and more came (capacity=10)" in str(burst.got.error)
        assert burst.operator.stats == (11, 10, 0, 1, 0, 10)

    run(main)


def test_an_error_is_behind_what_waits() -> None:
    async def main() -> None:
        burst = Burst()
        error = ValueError("source")
        burst.give(made(3))
        burst.source.on_error(error)
        assert burst.got.error is None
        await settle(2)
        assert burst.got.elements == made(3)
        assert burst.got.error is error

    run(main)


def test_bars_by_default_keep_the_newest_of_each() -> None:
    async def main() -> None:
        burst = Burst(2)
        burst.give([bar(revision=n) for n in range(9)])
        await settle(2)
        assert [each.revision for each in burst.got.elements] == [7, 8]
        assert burst.operator.stats == (9, 2, 7, 0, 0, 2)
        assert burst.gaps == []

    run(main)


def test_a_frame_is_cut_where_need_be() -> None:
    async def main() -> None:
        burst = Burst(5, "drop_oldest")
        burst.give([frame(made(8))])
        await settle(2)
        assert [each.rows() for each in burst.got.elements] == [made(8)[3:]]
        assert burst.gaps == [Gap("A", made(8)[0].time, made(8)[2].time, "overload: 3 dropped")]

    run(main)


def test_disposed_of_inside_an_element_it_is_silent() -> None:
    async def main() -> None:
        burst = Burst(react=lambda element: (element.seq == 1 and burst.got.subscription.dispose()) or None)
        burst.give(made(5))
        await settle(2)
        assert burst.got.elements == made(2)
        assert burst.source.observers == []
        assert burst.operator.stats == (5, 2, 0, 3, 0, 5)

    run(main)


def test_a_subscriber_that_raises_ends_its_own_subscription() -> None:
    told: list[Any] = []

    async def main() -> None:
        def raising(element: Tick) -> None:
            if element.seq == 1:
                raise ValueError("mine")

        burst = Burst(react=raising)
        other = Burst()
        for each in made(4):
            burst.source.on_next(each)
            other.source.on_next(each)
        await settle(2)
        assert burst.source.observers == []
        assert burst.operator.stats == (4, 2, 0, 2, 0, 4)
        assert other.got.elements == made(4)

    run(main, told=told)
    assert [str(context["exception"]) for context in told] == ["mine"]


def test_it_needs_a_loop() -> None:
    got = Recorder().to(ops.backpressure()(Subject()))
    assert "backpressure needs a running asyncio loop" in str(got.error)


# --- what cannot stand behind it

W = Windows("1s", "1m")


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        (
            ops.bars(by=by.ticks(3)),
            r"bars\(by=...\) cannot stand behind .*conflate.*, which gives partial bars",
        ),
        (ops.bars("250ms"), "do not all lie inside one of its finest windows"),
        (ops.bars("1m", session="CME"), "do not all lie inside one of its finest windows"),
        (ops.validate(), "validate cannot stand behind"),
        (ops.dedupe("seq"), "dedupe cannot stand behind"),
        (ops.detect_gaps(sequence=True), "detect_gaps cannot stand behind"),
        (ops.order_book(), "order_book cannot stand behind"),
        (ops.latest_quote(), "latest_quote cannot stand behind"),
        (ops.batch(3), "batch cannot stand behind"),
        (ops.collect(), "collect cannot stand behind"),
    ],
)
@pytest.mark.parametrize("between", [None, ops.meter("m"), ops.where(lambda _: True), ops.checkpoint("c"), ops.share_latest()])
def test_who_cannot_take_partial_bars_is_refused_when_the_pipeline_is_made(operator: Any, text: str, between: Any) -> None:
    source: Subject[Any] = Subject()
    pressed = source.pipe(ops.backpressure(overflow=overflow.conflate(W)))
    if between is not None:
        pressed = between(pressed)
    with pytest.raises(PartialRefused, match=text):
        operator(pressed)


def test_behind_block_that_conflates_at_last_it_is_the_same() -> None:
    policy = overflow.block(overflow.Valve(), then=overflow.conflate(W))
    with pytest.raises(PartialRefused, match="dedupe cannot stand behind"):
        ops.dedupe("seq")(cast("Any", ops.backpressure(9, policy)(Subject[Any]())))


def test_bars_whose_finest_windows_hold_the_partial_ones_are_fine() -> None:
    source: Subject[Any] = Subject()
    source.pipe(ops.backpressure(overflow=overflow.conflate(W)), ops.bars(W))
    source.pipe(ops.backpressure(overflow=overflow.conflate("1s")), ops.bars("5s", "1h"))
    with pytest.raises(PartialRefused, match="do not all lie inside one of its finest windows"):
        source.pipe(ops.backpressure(overflow=overflow.conflate("5s")), ops.bars("1s", "1h"))


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_latest", "latest", overflow.sample("1s")])
@pytest.mark.parametrize("operator", [ops.order_book(), ops.latest_quote()])
def test_who_must_miss_no_change_is_refused_behind_a_boundary_that_drops(operator: Any, policy: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot stand behind .* which drops elements when it is full"):
        operator(ops.backpressure(9, policy)(Subject()))
    operator(ops.backpressure(9, "error")(Subject()))
    operator(ops.backpressure(9)(Subject()))


def test_it_says_what_it_is_set_to() -> None:
    text = "backpressure(overflow=overflow.conflate(Windows('1s', '1m', session='24x7')))"
    assert repr(ops.backpressure(overflow=overflow.conflate(W))) == text


# --- the valve


def test_the_source_is_asked_to_stop_at_half_and_to_go_on_at_a_quarter() -> None:
    async def main() -> None:
        valve, heard = overflow.Valve(), list[bool]()
        leave = valve.watch(heard.append)
        seen: list[tuple[int, bool]] = []
        burst = Burst(100, overflow.block(valve), react=lambda each: seen.append((burst.operator.stats.pending, valve.shut)))
        burst.give(made(49))
        assert not valve.shut
        burst.give(made(1))
        assert valve.shut
        await burst.rest()
        assert heard == [True, False]
        assert burst.operator.stats == (50, 50, 0, 0, 0, 50)
        assert burst.told == []
        leave()

    run(main)


def test_after_so_long_it_reads_again_and_says_so() -> None:
    async def main() -> None:
        clock, valve = VirtualClock(T0), overflow.Valve()
        loop = asyncio.get_running_loop()
        start, ahead = loop.time(), [0.0]
        real = loop.time
        loop.time = lambda: real() + ahead[0]  # type: ignore[method-assign]
        source: Subject[Any] = Subject()
        told: list[Event] = []
        operator = ops.backpressure(100, overflow.block(valve, "15s"), alert=told.append, scheduler=clock)
        got: list[Any] = []

        def stuck(element: Any) -> None:
            got.append(element)
            ahead[0] += 6.0  # a consumer that takes six seconds for each

        operator(source).subscribe(stuck)
        for each in made(90):
            source.on_next(each)
        assert valve.shut
        await until(lambda: not valve.shut)
        assert 3 <= len(got) < 10
        assert operator.stats.pending == 90 - len(got)
        for each in made(5):
            source.on_next(each)
        assert not valve.shut  # not before there was room
        await until(lambda: not operator.stats.pending)
        assert [(event.policy, event.text) for event in told if isinstance(event, Overflowed)] == [
            ("block", "nothing was read for 15 s, and now it is again; when it is full, the oldest go")
        ]
        for each in made(50):
            source.on_next(each)
        assert valve.shut
        await until(lambda: not operator.stats.pending)
        assert not valve.shut
        assert start < loop.time()

    run(main)


def test_disposing_of_it_lets_the_source_read() -> None:
    async def main() -> None:
        valve = overflow.Valve()
        burst = Burst(4, overflow.block(valve))
        burst.give(made(3))
        assert valve.shut
        burst.got.subscription.dispose()
        assert not valve.shut

    run(main)
