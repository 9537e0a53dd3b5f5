"""Ticks that come together must mean the same as one by one, whoever listens and whatever goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex import operators as rxo
from reactivex.disposable import Disposable
from reactivex.subject import Subject

import rxfeed
from rxfeed import Reject, Tick
from rxfeed import operators as ops
from rxfeed.runs import Run, RunObservable, RunObserver, run_into
from tests.builders import Recorder, lines, tick, ticks


def runs(*given: Run, released: list[str] | None = None) -> Observable[Tick]:
    """A source of runs."""

    def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        emit = run_into(observer)
        for run in given:
            emit(run)
        observer.on_completed()
        return Disposable(lambda: released.append("released") if released is not None else None)

    return RunObservable(subscribe)


def kept(observers: list[Any]) -> Observable[Tick]:
    """A source of runs that is fed by hand."""

    def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observers.append(observer)
        return Disposable()

    return RunObservable(subscribe)


def raising_at(at: int) -> Callable[[Any], None]:
    """What a subscriber does that raises at one of its elements."""
    seen = count()

    def react(_: Any) -> None:
        if next(seen) == at:
            raise LookupError("mine")

    return react


def one_by_one(rows: list[Tick]) -> Observable[Tick]:
    return rx.from_iterable(rows)


def played(source: Observable[Any], **settings: Any) -> tuple[list[str], list[str], Any, Any]:
    rejects: list[Reject] = []
    checked, bars = ops.validate(rejects=rejects.append), ops.bars("1s", "5s", rejects=rejects.append, **settings)
    got = Recorder().to(source.pipe(checked, bars))
    assert got.completed or got.error
    return got.lines, sorted(f"{r.rule} {r.element}" for r in rejects), checked.stats, bars.stats


TICKS = st.builds(
    lambda at, price, symbol, seq: tick(at, price, symbol=symbol, seq=seq),
    st.integers(0, 300).map(lambda n: n / 10),
    st.one_of(st.integers(95, 105).map(float), st.sampled_from([-1.0, float("nan"), 200.0])),
    st.sampled_from("AB"), st.integers(0, 50),
)  # fmt: skip


@given(rows=st.lists(TICKS, max_size=60), cuts=st.lists(st.integers(1, 20), max_size=10), horizon=st.sampled_from([0, 2, 600]))
def test_any_cut_into_runs_gives_the_same(rows: list[Tick], cuts: list[int], horizon: int) -> None:
    pieces: list[Run] = []
    rest = rows
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    together = played(runs(*[p for p in [*pieces, rest] if p]), horizon=horizon)
    assert together == played(one_by_one(rows), horizon=horizon)


@pytest.mark.parametrize("settings", [{}, {"updates": "1s"}, {"fill": "previous"}, {"frames": True}])
def test_settings_that_look_at_each_tick_see_each(settings: dict[str, Any]) -> None:
    rows = ticks(*[(i / 4, 100 + i % 7) for i in range(40)], (30, 101.0), (29.5, 102.0))
    apart, together = Recorder(), Recorder()
    apart.to(one_by_one(rows).pipe(ops.bars("1s", **settings)))
    together.to(runs(rows).pipe(ops.bars("1s", **settings)))
    assert [str(e) for e in together.elements] == [str(e) for e in apart.elements]


def test_a_replay_of_ticks_hands_on_runs() -> None:
    seen: list[int] = []
    observer = RunObserver(lambda _: seen.append(1), lambda run: seen.append(len(run)), lambda _: None, lambda: None)
    observer.to(rxfeed.replay(ticks(*[(i, 100.0) for i in range(300)])), None)
    assert seen == [256, 44]


def test_a_replay_that_moves_a_clock_does_not() -> None:
    clock, at = rxfeed.ReplayClock(), list[int]()
    rows = ticks(*[(i, 100.0) for i in range(3)])
    rxfeed.replay(rows, clock=clock).pipe(ops.validate()).subscribe(lambda _: at.append(clock.now))
    assert at == [t.time for t in rows]


def test_whoever_takes_no_runs_gets_each_tick() -> None:
    rows = ticks((0, 100.0), (1, 101.0), (2, 102.0))
    got = Recorder().to(runs(rows).pipe(rxo.map(lambda t: t.price)))
    assert got.elements == [100.0, 101.0, 102.0]
    assert got.completed


def test_a_reject_within_a_run_leaves_those_around_it() -> None:
    rows = ticks((0, 100.0), (1, -1.0), (2, 102.0), (3, float("nan")), (4, 101.0))
    rejects: list[Reject] = []
    got = Recorder().to(runs(rows).pipe(ops.validate(rejects=rejects.append)))
    assert got.elements == [rows[0], rows[2], rows[4]]
    assert [r.rule for r in rejects] == ["positive", "finite"]


def test_a_rule_that_raises_ends_the_stream_behind_the_ticks_before() -> None:
    def check(t: Tick) -> bool:
        return 1 / (t.price - 102.0) != 0

    rows = ticks((0, 100.0), (1, 101.0), (2, 102.0), (3, 103.0))
    got = Recorder().to(runs(rows).pipe(ops.validate(rxfeed.rules.where("mine", check))))
    assert got.elements == rows[:2]
    assert isinstance(got.error, ZeroDivisionError)


def test_a_rule_that_raises_but_once_ends_the_stream_too() -> None:
    calls: list[float] = []

    def check(t: Tick) -> bool:
        calls.append(t.price)
        if len(calls) == 4:
            raise LookupError("once")
        return True

    got = Recorder().to(runs(ticks(*[(i, 100.0 + i) for i in range(6)])).pipe(ops.validate(rxfeed.rules.where("mine", check))))
    assert str(got.error) == "once"
    assert len(got.elements) == 3


def test_a_tick_of_wrong_type_ends_bars_behind_what_closed_before() -> None:
    rows = [*ticks((0, 100.0), (1, 101.0), (2, 102.0)), tick(3, price="x"), tick(4)]  # pyright: ignore[reportArgumentType]
    got = Recorder().to(runs(rows).pipe(ops.bars("1s")))
    assert got.lines == ["A 1s 0: 100-100 x1 r0", "A 1s 1: 101-101 x1 r0"]
    assert isinstance(got.error, TypeError)


def test_disposal_within_a_run_is_at_once_and_releases_the_source() -> None:
    released: list[str] = []
    rows = ticks(*[(i, 100.0 + i) for i in range(9)])
    got = Recorder().to(runs(rows, rows, released=released).pipe(ops.validate(), ops.bars("1s", horizon=60), rxo.take(2)))
    assert len(got.elements) == 2
    assert got.completed
    assert released == ["released"]


def test_an_error_downstream_releases_the_source() -> None:
    released: list[str] = []
    rows = ticks((0, 100.0), (1, 101.0), (2, 102.0))
    broken = rxfeed.rules.where("mine", lambda t: bool(1 / (t.price - 102.0)))
    got = Recorder().to(runs(rows, rows, released=released).pipe(ops.validate(broken)))
    assert isinstance(got.error, ZeroDivisionError)
    assert released == ["released"]


def test_a_subscriber_that_raises_surfaces_at_the_source() -> None:
    def react(_: Any) -> None:
        raise LookupError("mine")

    rows = ticks((0, 100.0), (1, 101.0), (2, 102.0))
    with pytest.raises(LookupError):
        Recorder(react).to(rxfeed.replay(rows).pipe(ops.validate(), ops.bars("1s")))


@pytest.mark.parametrize(
    "stages",
    [
        [ops.validate()],
        [ops.validate(), ops.dedupe("seq"), ops.detect_gaps(sequence=True)],
        [ops.bars("1s", frames=True), ops.each()],
        [ops.validate(), ops.bars("1s", updates="1s")],
    ],
    ids=["validate", "gates", "frames of bars", "updates"],
)
def test_the_rest_of_a_run_in_which_a_subscriber_raises_comes_before_what_is_next(stages: list[Any]) -> None:
    """Among them are ticks that are no ordinary ones."""
    rows = ticks((0, 100.0), (1, -1.0), (2, 101.0), (3, 102.0), (3.5, 101.0), (4, -1.0), (5, 300.0), (6, 101.0), (7, 102.0))
    whole, fed = Recorder().to(one_by_one(rows).pipe(*stages)), list[Any]()
    observed = kept(fed)
    for at in range(len(whole.elements)):
        got = Recorder(raising_at(at))
        got.to(observed.pipe(*stages))
        observer, surfaced = fed.pop(), 0
        for act, *args in (run_into(observer), rows[:6]), (run_into(observer), rows[6:]), (observer.on_completed,):
            try:
                act(*args)
            except LookupError:
                surfaced += 1
        assert surfaced == 1
        assert [str(e) for e in got.elements] == [str(e) for e in whole.elements]
        assert got.completed


@pytest.mark.parametrize(
    ("stage", "before"),
    [(ops.bars("1s"), 2), (ops.validate(rxfeed.rules.where("mine", lambda t: t.price + 1 > 0)), 3)],
    ids=str,
)
def test_an_error_within_a_run_comes_although_a_subscriber_raises_before_it(stage: Any, before: int) -> None:
    rows = [*ticks((0, 100.0), (1, 101.0), (2, 102.0)), tick(3, price="x"), tick(4)]  # pyright: ignore[reportArgumentType]
    fed: list[Any] = []
    got = Recorder(raising_at(before - 2)).to(kept(fed).pipe(stage))
    with pytest.raises(LookupError):
        run_into(fed[0])(rows)
    assert len(got.elements) == before
    assert isinstance(got.error, TypeError)


def test_what_a_subscriber_feeds_back_comes_behind() -> None:
    feedback: Subject[Tick] = Subject()
    first = [True]

    def react(_: Any) -> None:
        if first.pop() if first else False:
            feedback.on_next(tick(9.5, 109.0, seq=99))

    rows = ticks((0, 100.0), (1, 101.0), (2, 102.0), (9, 103.0))
    got = Recorder(react).to(rx.merge(feedback, runs(rows)).pipe(ops.validate()))
    feedback.on_completed()
    assert [t.price for t in got.elements] == [100.0, 109.0, 101.0, 102.0, 103.0]


@pytest.mark.parametrize("make", [ops.validate, lambda: ops.dedupe("seq")], ids=["validate", "dedupe"])
def test_a_run_that_a_subscriber_feeds_back_comes_behind(make: Callable[[], Any]) -> None:
    rows = ticks(*[(i, 100 + i / 10) for i in range(9)])
    fed: list[Any] = []

    def react(t: Tick) -> None:
        if t is rows[1]:
            run_into(fed[0])(rows[6:])

    got = Recorder(react).to(kept(fed).pipe(make()))
    run_into(fed[0])(rows[:6])
    assert got.elements == rows


def test_whoever_leaves_within_a_run_hears_of_no_reject_behind_it() -> None:
    rows = ticks((0, 100.0), (1, -1.0), (2, 100.0), (3, -1.0))
    rejects: list[Reject] = []
    got = Recorder(lambda t: got.subscription.dispose() if t is rows[2] else None)
    fed: list[Any] = []
    got.to(kept(fed).pipe(ops.validate(rejects=rejects.append)))
    run_into(fed[0])(rows)
    assert got.elements == [rows[0], rows[2]]
    assert [r.element for r in rejects] == [rows[1]]


def test_two_subscriptions_of_one_pipeline_are_apart() -> None:
    rows = ticks((0, 100.0), (1, 101.0), (2, 102.0))
    pipeline = runs(rows).pipe(ops.validate(), ops.bars("1s"))
    first, second = Recorder().to(pipeline), Recorder().to(pipeline)
    assert first.lines == second.lines == lines(first.elements)


def test_nothing_is_taken_after_the_end() -> None:
    seen: list[Any] = []
    observer = RunObserver(seen.append, seen.append, seen.append, lambda: seen.append("done"))
    observer.on_completed()
    observer.on_next(1)
    observer.on_run([])
    observer.on_error(ValueError())
    observer.on_completed()
    assert seen == ["done"]


def test_a_source_that_fails_inside_subscribe_is_the_streams_error() -> None:
    def subscribe(*_: Any) -> abc.DisposableBase:
        raise OSError("no such feed")

    got = Recorder().to(RunObservable(subscribe).pipe(ops.validate()))
    assert str(got.error) == "no such feed"
