"""What `validate`, `dedupe` and `detect_gaps` share: each asks a kernel about every element, and hands on what that lets by.

An ordinary row costs the kernel's quick judgement and the call downstream. Ticks that come together are judged one after
the other and handed on together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.model import Bar, Depth, Quote, Tick
from rxfeed.runs import Run, RunObservable, RunObserver

from ._call import Called
from ._degraded import passed_on, refuse_partials
from ._sink import Sink
from ._turns import Act, Turns

E = TypeVar("E", bound=Tick | Quote | Depth | Frame[Tick] | Frame[Quote] | Frame[Depth])
K = TypeVar("K")
Told = TypeVar("Told")
Quick = Callable[[Any], bool]
Passing = Callable[[Iterable[Tick]], tuple[int, Exception | None]]


class Gate(Called, ABC, Generic[K, Told]):
    """An operator, and the kernel of its newest subscription.

    Args:
        make: makes a kernel.
        told: hears what the kernel finds: rejects, duplicates or gaps.
        call: what it was made by.
    """

    name: ClassVar[str]

    def __init__(self, make: Callable[[], K], told: Sink[Told] | None, call: str) -> None:
        super().__init__(call)
        self._make, self._told = make, told
        self._newest = make()

    def __call__(self, source: Observable[E]) -> Observable[E]:
        def subscribe(observer: abc.ObserverBase[E], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            kernel = self._newest = self._make()
            return self._subscribe(source, observer, scheduler, kernel)

        refuse_partials(source, self.name, "single elements cannot be told in them; put it in front of the boundary")
        return passed_on(RunObservable(subscribe), source)

    @abstractmethod
    def _quick(self, kernel: K) -> Mapping[type[Any], Quick]:
        """By kind, whether an ordinary row passes as it is. Where it says no, or there is none, `_row` judges it; for ticks
        there must be one."""

    def _passing(self, kernel: K) -> Passing:
        """Return what tells how many of the next ticks are ordinary, and what judging the one after them raised, if it did.

        It takes that one too.
        """
        return partial(_passing, self._quick(kernel)[Tick])

    @abstractmethod
    def _row(self, kernel: K, row: Any) -> list[Any]:
        """Judge a row; tell what is found; return what passes now."""

    @abstractmethod
    def _frame(self, kernel: K, frame: Frame[Any]) -> Frame[Any] | None:
        """Judge a frame likewise."""

    def _finish(self, kernel: K) -> None:
        """Judge what waits, since nothing more comes."""

    def _tell(self, found: Iterable[Told]) -> None:
        if self._told is not None:
            for each in found:
                self._told(each)

    def _subscribe(
        self, source: Observable[Any], observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None, kernel: K
    ) -> abc.DisposableBase:
        quick = self._quick(kernel)
        emit, passes, passes_other = observer.on_next, quick[Tick], quick.get
        passing = self._passing(kernel)
        turns = Turns(observer)

        def judge(element: Any) -> list[Any]:
            if isinstance(element, (Tick, Quote, Depth)):
                return self._row(kernel, element)
            if not is_frame(element) or element.kind is Bar:
                raise TypeError(f"{self.name} takes Tick, Quote, Depth or frames of them, got {name_of(element)}")
            frame = self._frame(kernel, element)
            return [] if frame is None else [frame]

        def on_next(element: object) -> None:
            if not turns.busy:
                try:
                    if type(element) is Tick:
                        ordinary = passes(element)
                    else:
                        other = passes_other(type(element))
                        ordinary = other is not None and other(element)
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

        def each(ticks: Run) -> list[Act]:
            return [lambda tick=tick: judge(tick) for tick in ticks]

        def on_run(ticks: Run) -> None:
            left, done = iter(ticks), 0
            failed: Exception | None = None
            try:
                while done < len(ticks) and not turns.ended:
                    first = done
                    if turns.busy:
                        done = len(ticks)
                        turns.take(*each(ticks[first:]))
                        return
                    good, failed = passing(left)
                    done += good
                    if good:
                        turns.emit_run(ticks if good == len(ticks) else ticks[first:done])
                    if failed is not None:
                        turns.fail(failed)
                        return
                    if done < len(ticks):
                        done += 1
                        turns.take(*each(ticks[done - 1 : done]))
            except BaseException:
                # A subscriber raised, and a source may go on all the same.
                if failed is not None:
                    turns.fail(failed)
                else:
                    turns.keep(*each(ticks[done:]))
                raise

        def last() -> list[Any]:
            self._finish(kernel)
            return []

        def on_error(error: Exception) -> None:
            turns.fail(error, last)

        def on_completed() -> None:
            turns.complete(last)

        upstream = RunObserver(on_next, on_run, on_error, on_completed).to(source, scheduler)
        return CompositeDisposable(upstream, Disposable(turns.end))


def _passing(passes: Callable[[Tick], bool], ticks: Iterable[Tick]) -> tuple[int, Exception | None]:
    good = 0
    try:
        for tick in ticks:
            if not passes(tick):
                break
            good += 1
    except Exception as error:
        return good, error
    return good, None
