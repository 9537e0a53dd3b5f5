"""Nothing downstream can be right if a bad price gets in, and a bad price thrown away in silence is a loss. So every
element passes, waits until the market confirms it, or goes to an observer of rejects with the rule it failed and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc

from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.validate.frames import validate_frame
from rxfeed.kernels.validate.kernel import ValidateKernel, ValidateStats
from rxfeed.model import Bar, Depth, Quote, Reject, Tick
from rxfeed.rules import DEFAULT, Rule
from rxfeed.runs import Run, RunObservable, RunObserver, run_into

from ._sink import Sink, sink
from ._turns import Turns

E = TypeVar("E", bound=Tick | Quote | Depth | Frame[Tick] | Frame[Quote] | Frame[Depth])


class Validate:
    """What `validate` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, make: Callable[[], ValidateKernel], rejects: Sink[Reject] | None) -> None:
        self._make = make
        self._rejects = rejects
        self._newest = make()

    @property
    def stats(self) -> ValidateStats:
        """Elements by what became of them: received = emitted + rejected + pending."""
        return self._newest.stats

    def __call__(self, source: Observable[E]) -> Observable[E]:
        def subscribe(observer: abc.ObserverBase[E], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._make()
            return _subscribe(source, observer, scheduler, kernel, self._rejects)

        return RunObservable(subscribe)


def _subscribe(
    source: Observable[E],
    observer: abc.ObserverBase[E],
    scheduler: abc.SchedulerBase | None,
    kernel: ValidateKernel,
    rejects: Sink[Reject] | None,
) -> abc.DisposableBase:
    kernel.heard = rejects is not None
    emit, emit_run, passes = observer.on_next, run_into(observer), kernel.passes
    turns = Turns(observer)

    def report() -> None:
        heard = kernel.take_rejects()
        if rejects is not None:
            for reject in heard:
                rejects(reject)

    def judge(element: Any) -> list[Any]:
        if is_frame(element) and element.kind is not Bar:
            frame = validate_frame(kernel, element)
            passed: list[Any] = [] if frame is None else [frame]
        elif isinstance(element, (Tick, Quote, Depth)):
            passed = [*kernel.element(element)]
        else:
            raise TypeError(f"validate takes Tick, Quote, Depth or frames of them, got {name_of(element)}")
        report()
        return passed

    def on_next(element: E) -> None:
        if not turns.busy:
            try:
                ordinary = type(element) is Tick and passes(element)
            except Exception as error:
                turns.fail(error)
                return
            if ordinary:
                turns.busy = True
                try:
                    emit(element)
                except BaseException:
                    turns.rest()
                    raise
                turns.busy = False
                if turns.waiting:
                    turns.go()
                return
        turns.take(lambda: judge(element))

    def on_run(ticks: Run) -> None:
        while ticks and not turns.ended:
            good, failed = (0, None) if turns.busy else _passing(passes, ticks)
            if good == len(ticks):
                give(ticks)
                return
            if good:
                give(ticks[:good])
            if failed is not None:
                turns.fail(failed)
                return
            odd = ticks[good]
            turns.take(lambda odd=odd: judge(odd))
            ticks = ticks[good + 1 :]

    def give(ticks: Run) -> None:
        turns.busy = True
        try:
            emit_run(ticks)
        except BaseException:
            turns.rest()
            raise
        turns.busy = False
        if turns.waiting:
            turns.go()

    def last() -> list[Any]:
        kernel.finish()
        report()
        return []

    def on_error(error: Exception) -> None:
        turns.take(last)
        turns.fail(error)

    def on_completed() -> None:
        turns.take(last)
        turns.complete()

    return RunObserver(on_next, on_run, on_error, on_completed).to(source, scheduler)


def _passing(passes: Callable[[Tick], bool], ticks: Run) -> tuple[int, Exception | None]:
    """Return how many of the first ticks are ordinary, and what judging the next one raised, if it did."""
    good = 0
    try:
        for tick in ticks:
            if not passes(tick):
                break
            good += 1
    except Exception as error:
        return good, error
    return good, None


def validate(
    *rules: Rule,
    instruments: Instruments = None,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = None,
    fast: bool = False,
) -> Validate:
    """Pass the elements that every rule accepts; on frames the same as row by row.

        --100--101--NaN--102--|
        validate()
        --100--101-------102--|

    Args:
        rules: values of `rxfeed.rules`, in any order, as theirs is fixed; none for `rules.DEFAULT`.
        instruments: `Instrument` values, or a mapping of them by symbol: tick size, session, who may be negative.
        rejects: an observer or a callable that hears each `Reject`: element, rule and reason. It is never completed, since
            several stages may share one. A frame's rejects come before what passes of it.
        fast: look at frames by a loop that numba compiles (extra `fast`); the judgement is the same. See `bars`.

    Returns:
        An operator from rows or frames of ticks, quotes or depth to the same; its `stats` counts by rule.

    Raises:
        RuleError: a rule twice, or one that does not fit an instrument.
        ImportError: `fast` without numba.

    Ends: with the source; before that, suspects that nothing confirmed are rejected.
    Drops: what a rule rejects; `rejects` hears of it.
    Clock: none; times are compared with each element's `received`.
    """
    chosen, named = rules or DEFAULT, by_symbol(instruments)
    return Validate(lambda: ValidateKernel(chosen, named, fast=fast), sink(rejects))
