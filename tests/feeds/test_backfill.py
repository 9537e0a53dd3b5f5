"""The time before the start: when trades are subscribed to, and what is told of their first."""

from __future__ import annotations

from typing import Any

from reactivex import Subject, abc
from reactivex.disposable import Disposable

from rxfeed.clock import VirtualClock
from rxfeed.events import Backfilled
from rxfeed.feeds.backfill import Backfill
from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.runs import RunObservable, RunObserver
from rxfeed.times import SECOND
from tests.builders import T0, tick


class Runs:
    """A source of ticks that come together."""

    def __init__(self) -> None:
        self.observers: list[RunObserver] = []
        self.stream: RunObservable[Tick] = RunObservable(self._subscribe)

    def _subscribe(self, observer: Any, _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        self.observers.append(observer)
        return Disposable(self.observers.clear)


def test_trades_are_subscribed_to_when_all_have_answered_and_first_trades_end_the_gaps() -> None:
    clock, told, source = VirtualClock(T0), list[Any](), Runs()
    backfill = Backfill(["A", "B"], 60 * SECOND, clock, told.append)
    taker = RunObserver(told.append, told.append, told.append, lambda: told.append("completed"))
    subscription = taker.to(backfill(source.stream), None)
    gaps = {symbol: Gap(symbol, T0 - 60 * SECOND, ONGOING, "backfill") for symbol in "AB"}
    assert told == list(gaps.values())
    for symbol in "AB":
        assert source.observers == []
        backfill.heard(Backfilled(time=0, gap=gaps[symbol], until=T0))
        clock.advance(1)
    told.clear()
    runs = [[tick(1), tick(2)], [tick(3), tick(4, symbol="B"), tick(5, symbol="B")], [tick(6), tick(7, symbol="B")]]
    for run in runs:
        source.observers[0].on_run(run)
    source.observers[0].on_next(tick(8))
    assert told == [
        Gap("A", T0 - 60 * SECOND, T0 + SECOND, "backfill"), runs[0],
        Gap("B", T0 - 60 * SECOND, T0 + 4 * SECOND, "backfill"), runs[1], runs[2], tick(8),
    ]  # fmt: skip
    subscription.dispose()
    assert source.observers == []
    assert clock.next_due is None


def test_who_takes_rows_gets_rows() -> None:
    clock, told, source = VirtualClock(T0), list[Any](), Subject[Tick]()
    with Backfill(["A"], 0, clock, told.append)(source).subscribe(told.append):
        clock.advance(10 * SECOND)  # history has not answered in time
        for at in (12, 13):
            source.on_next(tick(at))
    assert told == [Gap("A", T0, ONGOING, "backfill"), Gap("A", T0, T0 + 12 * SECOND, "backfill"), tick(12), tick(13)]
    assert clock.next_due is None
    assert not source.observers


def test_disposed_of_before_history_has_answered_it_leaves_nothing() -> None:
    clock, told, source = VirtualClock(T0), list[Any](), Runs()
    backfill = Backfill(["A"], SECOND, clock, told.append)
    backfill(source.stream).subscribe(told.append).dispose()
    backfill.heard(Backfilled(time=0, gap=told[0], until=T0))
    clock.advance(20 * SECOND)
    assert source.observers == []
    assert clock.next_due is None
