"""The suite is worth what it refuses: operators with one planted fault each, and the check that must find it."""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Callable
from time import monotonic as elapsed
from typing import Any

import pytest
from reactivex import Observable, compose
from reactivex import operators as rx
from reactivex.disposable import Disposable

from . import calls, content, life, toys
from .specimen import Callback, Specimen
from .toys import ROWS, TAKES, Toy
from .wallclock import no_wall_clock


def specimen(make: Callable[..., Any], **more: Any) -> Specimen:
    settings: dict[str, Any] = {"takes": TAKES, "lanes": ["rows", "frames"], "conserved": lambda s: s.received == s.emitted}
    return Specimen(operator="toy", make=make, rows=ROWS, **(settings | more))


def sound(**more: Any) -> Specimen:
    return specimen(lambda _: Toy(), **more)


def raising(toy: type[Toy]) -> Specimen:
    return sound(callbacks={"judge": Callback(make=lambda call, _: toy(None, call), answer=lambda _: True)})


def timed(toy: type[Toy]) -> Specimen:
    return Specimen(operator="toy", make=lambda clock: toy(clock), rows=ROWS, takes=TAKES, clocked=True)


CASES: list[tuple[Any, Specimen, str]] = [
    (life.grammar, specimen(lambda _: toys.Unguarded()), "ended 2 times"),
    (life.grammar, specimen(lambda _: toys.LastAfterTheEnd()), "goes on after its end"),
    (life.grammar, specimen(lambda _: toys.NeverEnds()), "no end came"),
    (
        life.disposal,
        specimen(lambda _: toys.KeepsTheSource()),
        "disposed of after 0 elements: the source's subscription is not",
    ),
    (life.disposal, timed(toys.KeepsATimer), "disposed of after 1 elements: left over is a timer, due 1 s after the start"),
    (life.disposal, timed(toys.ArmsWhenItIsOver), "disposed of inside on_next, at output 0: left over is a timer"),
    (life.disposal, specimen(lambda _: toys.EmitsWhenDisposedOf()), r"disposed of after 0 elements: still emits \['completed'"),
    (
        life.second,
        specimen(lambda _: toys.OneStateForAll()),
        "two subscriptions, the same elements: the second is not as if alone",
    ),
    (calls.callback, raising(toys.LetsItThrough), "surfaced at the source instead of being the stream's error"),
    (calls.callback, raising(toys.Swallows), "it must be the stream's error, got"),
    (calls.callback, raising(toys.GoesOnAfterIt), "called 1 times more after the end"),
    (calls.callback, sound(callbacks={"judge": Callback(make=lambda *_: Toy())}), "nothing calls judge; give it rows that do"),
    (calls.subscriber, specimen(lambda _: toys.StaysBusy()), "output 0 of 5: what comes after is not the same"),
    (calls.subscriber, specimen(lambda _: toys.MakesItTheStreams()), "it surfaced 0 times"),
    (calls.subscriber, specimen(lambda _: toys.SwallowsAtTheEnd()), "raises at completed: it surfaced 0 times"),
    (life.second, specimen(lambda _: Toy(), hot=True), "hot: they share no subscription of the source"),
    (life.second, specimen(lambda _: compose(rx.replay(1), rx.ref_count()), hot=True), "is told of the time before"),
    (calls.subscriber, specimen(lambda _: Toy(), guards=True), "it surfaced at the source"),
    (calls.subscriber, specimen(lambda _: toys.MakesItTheStreams(), guards=True), "it was told of 0 times"),
    (calls.reentrant, specimen(lambda _: toys.Interleaves()), "differs from the same, fed flat"),
    (calls.reentrant, specimen(lambda _: toys.LosesWhatIsFedBack()), "differs from the same, fed flat"),
    (content.same_content, specimen(lambda _: toys.LosesTheLastRow()), r"cut at \[2\]: frames give other content than rows"),
    (
        content.wrong_element,
        specimen(lambda _: toys.ChecksNothing()),
        "Quote after 0 elements that are right: must be a TypeError",
    ),
    (content.wrong_element, specimen(lambda _: toys.SaysNoName()), "does not name the operator: wrong element"),
    (content.wrong_element, specimen(lambda _: toys.OtherError()), "must be a TypeError, got"),
    (life.ends, specimen(lambda _: toys.Holds(), at_completion=["A 104"]), "assert"),
    (life.ends, specimen(lambda _: toys.LosesAnotherError()), "the source's error came out as another"),
    (life.ends, timed(toys.LateForAColdSource), "left over is a timer"),
    (content.stats, specimen(lambda _: toys.CountsTwice()), r"1 were fed: Counts\(received=2"),
    (content.stats, specimen(lambda _: toys.CountsTooLate()), "in the midst of an element"),
    (content.stats, specimen(lambda _: toys.CountsOn()), "assert 3 == 0"),
    (content.stats, specimen(lambda _: toys.CanBeChanged()), "stats must be a NamedTuple, got Counter"),
    (content.stats, specimen(lambda _: Toy(), conserved=None), "say how they add up"),
    (life.scheduler, specimen(lambda _: toys.KeepsTheScheduler()), "scheduler does not reach the source"),
]


@pytest.mark.parametrize(
    ("check", "toy", "text"),
    [pytest.param(*case, id=f"{case[0].__name__}: {case[2]}") for case in CASES],
)
def test_a_planted_fault_is_found(check: Any, toy: Specimen, text: str) -> None:
    args = {calls.callback: ["judge"], content.same_content: ["frames", [2]]}.get(check, ["rows"])
    with pytest.raises(AssertionError, match=text):
        check(toy, *args)


@pytest.mark.parametrize(
    "check",
    [life.grammar, life.disposal, life.second, life.ends, life.scheduler, calls.subscriber, calls.reentrant, content.wall_clock,
     content.wrong_element],
)  # fmt: skip
@pytest.mark.parametrize("lane", ["rows", "frames"])
def test_a_sound_operator_passes(check: Any, lane: Any) -> None:
    check(sound(conserved=None), lane)


# --- the wall clock


def later(call: Callable[..., Any] = datetime.datetime.now) -> Any:
    return call(datetime.UTC)


ASKING: dict[str, Callable[[Any], Any]] = {
    "time.time": lambda _: time.time(),
    "time.time_ns": lambda _: time.time_ns(),
    "from time import monotonic": lambda _: elapsed(),
    "time.perf_counter": lambda _: time.perf_counter(),
    "time.perf_counter_ns": lambda _: time.perf_counter_ns(),
    "time.sleep": lambda _: time.sleep(0),
    "datetime.now": lambda _: datetime.datetime.now(datetime.UTC),
    "datetime.now, a default argument": lambda _: later(),
    "date.today": lambda _: datetime.date.today(),
    "random.random": lambda _: random.random(),
    "random.choice": lambda _: random.choice([1, 2]),
    "caught": lambda _: _try(time.time),
}  # fmt: skip


def _try(call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception:
        return


@pytest.mark.parametrize("how", ASKING)
def test_the_wall_clock_is_heard_by_whatever_name_it_is_asked(how: str) -> None:
    asks = ASKING[how]
    with pytest.raises(AssertionError, match=r"clock was asked: .*( in test_bites.py:|random)"):
        content.wall_clock(sound(conserved=None).but(make=lambda _: Toy(None, lambda row: [asks(row)])), "rows")


def test_a_scheduler_of_reactivex_is_heard_although_its_trampoline_is_not() -> None:
    from reactivex.scheduler import ImmediateScheduler

    with pytest.raises(AssertionError, match=r"clock was asked: datetime\.now"), no_wall_clock():
        ImmediateScheduler().now
    with no_wall_clock():
        Observable(lambda observer, _=None: Disposable()).subscribe()
