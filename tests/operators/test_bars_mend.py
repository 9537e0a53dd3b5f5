"""`bars` with gaps and repairs beside the ticks: when they are subscribed to, what ends what, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import reactivex as rx
import reactivex.operators as rxo
from loguru import logger
from reactivex import Observable, Subject
from reactivex.disposable import Disposable

from rxfeed import by
from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from rxfeed.errors import GatewayRefused
from rxfeed.frame import Frame
from rxfeed.model import ONGOING, Bar, Gap, Reject, Repair
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, bar, frame, lines, tick, ticks
from tests.operators.feed import Feed


def gap(first: float, last: float | None) -> Gap:
    return Gap("A", T0 + round(first * SECOND), ONGOING if last is None else T0 + round(last * SECOND), "test")


def told(at: int, **more: Any) -> Bar:
    return bar(start=T0 + at * SECOND, end=T0 + (at + 1) * SECOND, high=120.0, volume=50, count=None, **more)


def repair(first: int, last: int, *bars: Bar) -> Repair:
    return Repair(gap(first, last - 0.5), "1s", T0 + first * SECOND, T0 + last * SECOND, bars)


class Mended(Feed):
    """A feed with gaps and repairs beside it."""

    def __init__(self, *timeframes: str, clock: VirtualClock | None = None, react: Any = None, **more: Any) -> None:
        self.gaps: Subject[Any] = Subject()
        self.repairs: Subject[Any] = Subject()
        self.operator: Any = ops.bars(*timeframes, gaps=self.gaps, repairs=self.repairs, **more)
        super().__init__(self.operator, clock=clock, timed=clock is not None, react=react)


@pytest.fixture
def log() -> Iterator[list[str]]:
    heard: list[str] = []
    number = logger.add(lambda message: heard.append(message.record["message"]), level="ERROR")
    yield heard
    logger.remove(number)


@pytest.mark.parametrize("frames", [False, True])
def test_a_gap_flags_and_history_replaces(frames: bool) -> None:
    feed = Mended("1s", "5s", frames=frames)
    feed.give(*ticks((0, 100), (1, 101), (2, 102), (6, 103)))
    feed.drain()
    feed.gaps.on_next(gap(1, 2))
    assert feed.drain() == ["A 1s 1: 101-101 x1 r1 GAP", "A 1s 2: 102-102 x1 r1 GAP", "A 5s 0: 100-102 x3 r1 GAP"]
    feed.repairs.on_next(repair(1, 3, told(1), told(2)))
    assert feed.drain() == [
        "A 1s 1: 100-100 xNone r2 REPAIRED", "A 1s 2: 100-100 xNone r2 REPAIRED", "A 5s 0: 100-100 xNone r2 REPAIRED",
    ]  # fmt: skip
    assert feed.operator.mended == (1, 2, 0, 0, 0)
    assert feed.operator.stats == (4, 3, 1, 0, 0)
    feed.source.on_completed()
    assert feed.got.completed


def test_fast_frames_mend_too() -> None:
    pytest.importorskip("numba", reason="numba (extra fast) is not installed")
    feed = Mended("1s", frames=True, fast=True)
    feed.give(frame([tick(s / 100, 100 + s % 7, seq=s) for s in range(2_000)]))
    feed.drain()
    feed.gaps.on_next(gap(3, 3.5))
    feed.repairs.on_next(repair(3, 4, told(3)))
    assert feed.drain() == ["A 1s 3: 106-100 x100 r1 GAP", "A 1s 3: 100-100 xNone r2 REPAIRED"]


def test_gaps_alone_and_repairs_alone() -> None:
    gaps: Subject[Any] = Subject()
    feed = Feed(ops.bars("1s", gaps=gaps), timed=False)
    feed.give(*ticks((0, 100), (1, 101)))
    gaps.on_next(gap(0, None))
    feed.give(tick(2, seq=9))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0", "A 1s 0: 100-100 x1 r1 GAP", "A 1s 1: 101-101 x1 r0 GAP"]
    repairs: Subject[Any] = Subject()
    feed = Feed(ops.bars("1s", repairs=repairs), timed=False)
    feed.give(*ticks((0, 100), (1, 101)))
    repairs.on_next(repair(0, 1, told(0)))
    assert feed.drain()[-1] == "A 1s 0: 100-100 xNone r2 REPAIRED"


def test_both_are_subscribed_to_before_the_source_and_end_with_it() -> None:
    seen: list[str] = []

    def noted(name: str) -> Observable[Any]:
        def subscribe(*_: Any) -> Disposable:
            seen.append(name)
            return Disposable(lambda: seen.append(f"{name} ended"))

        return Observable(subscribe)

    for end in ("dispose", "complete", "error"):
        seen.clear()
        source: Subject[Any] = Subject()
        hot = rx.defer(
            lambda _, source=source: noted("source").pipe(rxo.merge(source), rxo.take_until(source.pipe(rxo.last())))
        )
        got = Recorder().to(hot.pipe(ops.bars("1s", gaps=noted("gaps"), repairs=noted("repairs"))))
        assert seen == ["gaps", "repairs", "source"]
        if end == "dispose":
            got.subscription.dispose()
        elif end == "error":
            source.on_error(RuntimeError("broke"))
            assert str(got.error) == "broke"
        else:
            source.on_next(tick(0))
            source.on_completed()
            assert got.completed
        assert sorted(seen[3:]) == ["gaps ended", "repairs ended", "source ended"]


def test_their_completion_changes_nothing() -> None:
    feed = Mended("1s")
    feed.gaps.on_completed()
    feed.repairs.on_completed()
    feed.give(*ticks((0, 100), (1, 101)))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0"]
    assert not feed.got.completed


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (GatewayRefused("history said no", 5), "GatewayRefused: history said no"),
        (RuntimeError("https://x?token=secret"), "RuntimeError"),
    ],
)
def test_their_errors_are_logged_once_and_the_bars_go_on(log: list[str], error: Exception, text: str) -> None:
    feed = Mended("1s")
    feed.repairs.on_error(error)
    feed.give(*ticks((0, 100), (1, 101)))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0"]
    feed.gaps.on_next(gap(0, 0.5))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r1 GAP"]
    (heard,) = log
    assert heard.endswith(f"repairs ended with an error, and it goes on without: {text}")
    assert heard.startswith("bars('1s', gaps=")


def test_one_that_cannot_be_subscribed_to_is_logged_too(log: list[str]) -> None:
    def subscribe(*_: Any) -> Any:
        raise GatewayRefused("no history", 1)

    feed = Feed(ops.bars("1s", repairs=Observable(subscribe)), timed=False)
    feed.give(*ticks((0, 100), (1, 101)))
    assert feed.drain() == ["A 1s 0: 100-100 x1 r0"]
    assert len(log) == 1


def test_what_cannot_be_meant_is_logged_and_the_bars_go_on(log: list[str]) -> None:
    feed = Mended("1s")
    feed.give(*ticks((0, 100), (1, 101)))
    feed.drain()
    feed.gaps.on_next(gap(2, 1))
    feed.gaps.on_next("a gap")
    feed.repairs.on_next(gap(0, 1))
    feed.repairs.on_next(repair(0, 1, told(7)))
    assert [text.partition("): ")[2].partition(",")[0] for text in log] == [
        "a gap must not end before its start 2025-03-10T10:00:02Z", "gaps must be of Gap", "repairs must be of Repair",
        "a bar of a repair must be one of its windows",
    ]  # fmt: skip
    for _ in range(20):
        feed.gaps.on_next(gap(2, 1))
    assert len(log) == 10
    assert log[-1].endswith("more of these are not logged")
    assert feed.drain() == []
    assert feed.got.error is None


def test_what_is_told_while_something_comes_out_takes_its_turn() -> None:
    feed: Mended

    def react(b: Bar) -> None:
        if b.start == T0 and b.revision == 0:
            feed.gaps.on_next(gap(0, 0.5))
            feed.repairs.on_next(repair(0, 1, told(0)))

    feed = Mended("1s", "2s", react=react)
    feed.give(*ticks((0, 100), (3, 101)))
    assert feed.drain() == [
        "A 1s 0: 100-100 x1 r0", "A 2s 0: 100-100 x1 r0", "A 1s 0: 100-100 x1 r1 GAP", "A 2s 0: 100-100 x1 r1 GAP",
        "A 1s 0: 100-100 xNone r2 REPAIRED", "A 2s 0: 100-100 xNone r2 REPAIRED",
    ]  # fmt: skip


def test_with_a_clock_a_window_that_only_history_knows_closes_in_time() -> None:
    clock = VirtualClock(T0)
    feed = Mended("1s", "5s", clock=clock, grace="1s")
    feed.give(tick(0))
    feed.at(8)
    feed.gaps.on_next(gap(0, 6.5))
    feed.repairs.on_next(repair(0, 7, told(0), told(6)))
    assert feed.drain()[-1] == "A 1s 6: 100-100 xNone r0 REPAIRED"
    feed.at(10.9)
    assert feed.drain() == []
    feed.at(11)
    assert feed.drain() == ["A 5s 5: 100-100 xNone r0 REPAIRED"]
    feed.got.subscription.dispose()
    assert clock.next_due is None


def test_updates_show_what_a_gap_and_history_change() -> None:
    feed = Mended("5s", updates="1s")
    feed.give(tick(0.5), tick(1.6, seq=1))
    feed.drain()
    feed.gaps.on_next(gap(1.6, 2))
    feed.give(tick(3, seq=2), tick(4.5, seq=3))
    assert all(text.endswith("PARTIAL GAP") for text in feed.drain())


def test_filled_bars_follow_history() -> None:
    feed = Mended("1s", fill="previous")
    feed.give(*ticks((0, 100), (1, 101), (4, 102), (6, 103)))
    feed.drain()
    feed.repairs.on_next(repair(1, 2, told(1)))
    assert feed.drain() == [
        "A 1s 1: 100-100 xNone r2 REPAIRED", "A 1s 2: 100-100 x0 r1 FILLED", "A 1s 3: 100-100 x0 r1 FILLED",
    ]  # fmt: skip


def test_rejects_hears_of_late_ticks_that_history_has_and_of_disagreements() -> None:
    heard: list[Reject] = []
    feed = Mended("1s", rejects=heard.append)
    feed.give(*ticks((0, 100), (1, 101), (6, 103)))
    feed.gaps.on_next(gap(1, 1.5))
    feed.repairs.on_next(repair(0, 2, told(1), told(0)))
    feed.give(tick(1.5, seq=9))
    assert [(r.rule, type(r.element).__name__) for r in heard] == [("repaired", "Tick")]
    assert feed.operator.rejected == {"repaired": 1}
    feed.repairs.on_next(repair(0, 2, told(1, low=1.0)))
    assert heard[-1].rule == "disagrees"
    assert feed.operator.mended.disagreements >= 1


def test_repr_and_refusals() -> None:
    gaps: Subject[Any] = Subject()
    assert repr(ops.bars("1s", gaps=gaps)) == "bars('1s', gaps=Subject(...))"
    with pytest.raises(TypeError, match="gaps must be an observable, got list"):
        ops.bars("1s", gaps=[])  # type: ignore
    with pytest.raises(ValueError, match=r"gaps must not be given with by.*which tick closed such a bar"):
        ops.bars(by=by.ticks(3), gaps=gaps)  # type: ignore
    with pytest.raises(ValueError, match=r"repairs must not be given with by.*history has no such bars"):
        ops.bars(by=by.ticks(3), repairs=gaps)  # type: ignore


def test_subscriptions_are_apart() -> None:
    gaps: Subject[Any] = Subject()
    operator = ops.bars("1s", gaps=gaps)
    one, other = Feed(operator, timed=False), Feed(operator, timed=False)
    one.give(*ticks((0, 100), (1, 101)))
    other.give(*ticks((0, 100), (1, 101)))
    one.got.subscription.dispose()
    gaps.on_next(gap(0, 0.5))
    assert one.drain() == ["A 1s 0: 100-100 x1 r0"]
    assert other.drain()[-1] == "A 1s 0: 100-100 x1 r1 GAP"
    assert isinstance(frame(ticks((0, 1))), Frame)
    assert lines(None) == []
