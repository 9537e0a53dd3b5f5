"""`checkpoint`: which errors carry the stage's name, and which do not."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable, Subject, abc
from reactivex import operators as rxo
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import VirtualClock
from tests.builders import Recorder


def notes(error: BaseException | None) -> list[str]:
    return getattr(error, "__notes__", [])


@pytest.mark.parametrize(("count", "text"), [(0, "0 elements"), (1, "1 element"), (1_204, "1,204 elements")])
def test_says_after_how_many(count: int, text: str) -> None:
    wrong = RuntimeError("x")
    got = Recorder().to(rx.concat(rx.range(count), rx.throw(wrong)).pipe(ops.checkpoint("clean")))
    assert got.error is wrong
    assert len(got.elements) == count
    assert notes(wrong) == [f"in stage 'clean', after {text}"]


def test_an_end_is_passed_on() -> None:
    got = Recorder().to(rx.of(1, 2).pipe(ops.checkpoint("clean")))
    assert (got.elements, got.completed) == ([1, 2], True)


def test_every_stage_on_the_way_is_noted_in_order() -> None:
    source: Subject[Any] = Subject()
    wrong = RuntimeError("x")
    Recorder().to(source.pipe(ops.checkpoint("raw"), rxo.filter(lambda n: n > 1), ops.checkpoint("clean")))
    for n in (1, 2, 3):
        source.on_next(n)
    source.on_error(wrong)
    assert notes(wrong) == ["in stage 'raw', after 3 elements", "in stage 'clean', after 2 elements"]


def test_a_stage_is_noted_once_whatever_comes_again() -> None:
    wrong = RuntimeError("x")
    staged = rx.concat(rx.of(1), rx.throw(wrong)).pipe(ops.checkpoint("clean"), ops.checkpoint("cleaner"))
    Recorder().to(staged.pipe(rxo.retry(3)))
    Recorder().to(staged)
    assert notes(wrong) == ["in stage 'clean', after 1 element", "in stage 'cleaner', after 1 element"]


def test_another_note_stays_and_is_not_taken_for_ours() -> None:
    wrong = RuntimeError("x")
    wrong.add_note("mine: in stage 'clean', after all")
    Recorder().to(rx.throw(wrong).pipe(ops.checkpoint("clean")))
    assert len(notes(wrong)) == 2


def test_what_subscribing_raises_is_noted() -> None:
    def refuse(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        raise RuntimeError("no route")

    got = Recorder().to(Observable(refuse).pipe(ops.checkpoint("feed")))
    assert notes(got.error) == ["in stage 'feed', after 0 elements"]


def test_so_is_what_no_observer_is_left_to_hear() -> None:
    def refuse(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        observer.on_completed()
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late") as caught:
        Recorder().to(Observable(refuse).pipe(ops.checkpoint("feed")))
    assert notes(caught.value) == ["in stage 'feed', after 0 elements"]


class Sync(Observable[Any]):
    """A source that emits inside subscribe and sends down as an error what comes back to it."""

    def __init__(self, *, catches: bool) -> None:
        def run(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            try:
                observer.on_next(1)
                observer.on_completed()
            except Exception as error:
                if not catches:
                    raise
                observer.on_error(error)
            return Disposable()

        super().__init__(run)


@pytest.mark.parametrize("catches", [True, False])
def test_what_the_subscriber_raised_is_not_this_stage_s(catches: bool) -> None:
    mine = RuntimeError("subscriber")

    def react(element: Any) -> None:
        raise mine

    got = Recorder(react).to(Sync(catches=catches).pipe(ops.checkpoint("clean")))
    assert got.error is mine
    assert notes(mine) == []


@pytest.mark.parametrize("end", ["complete", "error"])
def test_nor_is_what_it_raised_at_the_end(end: str) -> None:
    mine, theirs = RuntimeError("subscriber"), ValueError("x")

    def react(*_: object) -> None:
        raise mine

    source = Sync(catches=False) if end == "complete" else rx.create(lambda o, _: o.on_error(theirs))  # pyright: ignore
    with pytest.raises(RuntimeError, match="subscriber"):
        source.pipe(ops.checkpoint("clean")).subscribe(None, react, react)
    assert notes(mine) == []
    assert notes(theirs) == ([] if end == "complete" else ["in stage 'clean', after 0 elements"])


def test_an_error_of_the_source_after_a_raising_subscriber_is_noted() -> None:
    source: Subject[Any] = Subject()
    theirs = ValueError("x")

    def react(element: Any) -> None:
        raise RuntimeError("subscriber")

    got = Recorder(react).to(ops.checkpoint("clean")(source))
    with pytest.raises(RuntimeError, match="subscriber") as caught:
        source.on_next(1)
    source.on_error(theirs)
    assert got.error is theirs
    assert notes(theirs) == ["in stage 'clean', after 1 element"]
    assert notes(caught.value) == []


def test_re_entrant_elements_and_dispose() -> None:
    source: Subject[Any] = Subject()
    got = Recorder(lambda n: source.on_next(n + 1) if n < 3 else None).to(ops.checkpoint("clean")(source))
    source.on_next(1)
    got.subscription.dispose()
    source.on_next(9)
    assert got.elements == [1, 2, 3]
    assert source.observers == []


def test_subscriptions_are_independent_and_the_scheduler_reaches_the_source() -> None:
    found: list[Any] = []
    observers: list[abc.ObserverBase[Any]] = []

    def note(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        found.append(scheduler)
        observers.append(observer)
        return Disposable()

    staged = ops.checkpoint("clean")(Observable(note))
    scheduler = VirtualClock().scheduler
    first, second = Recorder().to(staged, scheduler), Recorder().to(staged)
    observers[0].on_next(1)
    observers[1].on_error(RuntimeError("x"))
    assert notes(second.error) == ["in stage 'clean', after 0 elements"]
    observers[0].on_error(RuntimeError("y"))
    assert notes(first.error) == ["in stage 'clean', after 1 element"]
    assert found == [scheduler, None]
