"""A small sound operator, and others like it with one fault each: what the suite must find."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxfeed.clock import VirtualClock
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.model import Tick
from rxfeed.times import SECOND
from tests.builders import ticks

ROWS = ticks((0, 100), (1, 101), (2, 102), (3, 103), (4, 104))
TAKES = frozenset({"Tick", "Frame[Tick]"})


class Counts(NamedTuple):
    received: int
    emitted: int


class Toy:
    """Passes what its callback says. A fault is planted by changing one method."""

    def __init__(self, clock: VirtualClock | None = None, judge: Callable[[Any], Any] = lambda _: True) -> None:
        self.clock, self.judge = clock, judge
        self.received = self.emitted = 0
        self.newest = self

    @property
    def stats(self) -> Any:
        return Counts(self.newest.received, self.newest.emitted)

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            self.newest = copy(self)
            return self.newest.run(source, observer, scheduler)

        return Observable(subscribe)

    def run(self, source: Observable[Any], observer: Any, scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        self.received = self.emitted = 0
        self.held: deque[Any] = deque()
        self.queue: deque[Any] = deque()
        self.busy = False
        self.observer = observer
        return source.subscribe(self.on_next, self.on_error, self.on_completed, scheduler=scheduler)

    def on_next(self, element: Any) -> None:
        try:
            self.received += 1
            self.check(element)
            passed = [element] if self.judge(element) else []
        except Exception as error:
            self.observer.on_error(error)
        else:
            self.give(passed)

    def check(self, element: Any) -> None:
        if not (isinstance(element, Tick) or (is_frame(element) and element.kind is Tick)):
            raise TypeError(f"toy takes Tick or Frame[Tick], got {name_of(element)}")

    def give(self, elements: list[Any]) -> None:
        for element in elements:
            self.emitted += 1
            self.observer.on_next(element)

    def on_error(self, error: Exception) -> None:
        self.observer.on_error(error)

    def on_completed(self) -> None:
        self.observer.on_completed()


class Raw(Observable[Any]):
    """An observable that leaves out reactivex's guard, as one's own class may."""

    def __init__(self, of: Toy, source: Observable[Any]) -> None:
        super().__init__()
        self._of, self._source = of, source

    def _subscribe_core(self, observer: Any, scheduler: Any = None) -> Any:
        return self._of.run(self._source, observer, scheduler)

    def subscribe(self, on_next: Any = None, on_error: Any = None, on_completed: Any = None, *, scheduler: Any = None) -> Any:
        return self._subscribe_core(on_next, scheduler)


# --- the faults


class Unguarded(Toy):
    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        return Raw(self, source)


class LastAfterTheEnd(Toy):
    def on_completed(self) -> None:
        self.observer.on_completed()
        self.observer.on_next(ROWS[0])


class NeverEnds(Toy):
    def on_completed(self) -> None: ...


class KeepsTheSource(Toy):
    def run(self, source: Observable[Any], observer: Any, scheduler: Any) -> abc.DisposableBase:
        super().run(source, observer, scheduler)
        return Disposable()


class KeepsATimer(Toy):
    def on_next(self, element: Any) -> None:
        super().on_next(element)
        assert self.clock is not None
        self.clock.call_at(self.clock.now + SECOND, lambda: None)


class ArmsWhenItIsOver(Toy):
    """Cancels its timer when disposed of, but arms it after it has emitted: when a subscriber has left inside."""

    def run(self, source: Observable[Any], observer: Any, scheduler: Any) -> abc.DisposableBase:
        self.timers: list[Any] = []
        return CompositeDisposable(super().run(source, observer, scheduler), Disposable(self.cancel))

    def cancel(self) -> None:
        for each in self.timers:
            each.cancel()

    def on_next(self, element: Any) -> None:
        self.cancel()
        super().on_next(element)
        assert self.clock is not None
        self.timers.append(self.clock.call_at(self.clock.now + SECOND, lambda: None))

    def on_error(self, error: Exception) -> None:
        self.cancel()
        super().on_error(error)

    def on_completed(self) -> None:
        self.cancel()
        super().on_completed()


class EmitsWhenDisposedOf(Toy):
    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        return Raw(self, source)

    def run(self, source: Observable[Any], observer: Any, scheduler: Any) -> abc.DisposableBase:
        return CompositeDisposable(super().run(source, observer, scheduler), Disposable(observer.on_completed))


class OneStateForAll(Toy):
    """Drops what it has seen before, in whichever subscription."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: set[int] = set()

    def __call__(self, source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: Any, scheduler: Any = None) -> Any:
            def on_next(element: Any) -> None:
                if element.seq not in self.seen:
                    self.seen.add(element.seq)
                    observer.on_next(element)

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)


class LetsItThrough(Toy):
    def on_next(self, element: Any) -> None:
        if self.judge(element):
            self.give([element])


class Swallows(Toy):
    def on_next(self, element: Any) -> None:
        try:
            self.judge(element)
        except Exception:
            return
        self.give([element])


class GoesOnAfterIt(Toy):
    """Tells of the error, and calls the callback for what is left in its hands all the same."""

    def on_next(self, element: Any) -> None:
        super().on_next(element)
        try:
            self.judge(element)
        except Exception as error:
            self.observer.on_error(error)


class StaysBusy(Toy):
    """Queues what is re-entrant, and never opens again when a subscriber has raised."""

    def give(self, elements: list[Any]) -> None:
        self.queue.extend(elements)
        if self.busy:
            return
        self.busy = True
        while self.queue:
            self.observer.on_next(self.queue.popleft())
        self.busy = False


class MakesItTheStreams(Toy):
    """Calls downstream inside its own `try`."""

    def on_next(self, element: Any) -> None:
        try:
            self.observer.on_next(element)
        except Exception as error:
            self.observer.on_error(error)


class SwallowsAtTheEnd(Toy):
    def on_completed(self) -> None:
        try:
            self.observer.on_completed()
        except Exception as error:
            self.observer.on_error(error)


class Interleaves(Toy):
    """Emits two for one, so that what is fed back comes in between."""

    def give(self, elements: list[Any]) -> None:
        for element in elements:
            self.observer.on_next(element)
            self.observer.on_next(element)


class LosesWhatIsFedBack(Toy):
    def give(self, elements: list[Any]) -> None:
        if self.busy:
            return
        self.busy = True
        try:
            super().give(elements)
        finally:
            self.busy = False


class LosesTheLastRow(Toy):
    def give(self, elements: list[Any]) -> None:
        super().give([Frame(e.df.head(max(1, len(e) - 1))) if is_frame(e) else e for e in elements])


class ChecksNothing(Toy):
    def check(self, element: Any) -> None: ...


class SaysNoName(Toy):
    def check(self, element: Any) -> None:
        try:
            super().check(element)
        except TypeError:
            raise TypeError("wrong element") from None


class OtherError(Toy):
    def check(self, element: Any) -> None:
        element.kind if is_frame(element) else element.price.hex


class Holds(Toy):
    """Holds the newest back, and forgets it at the end."""

    def give(self, elements: list[Any]) -> None:
        self.held.extend(elements)
        while len(self.held) > 1:
            self.observer.on_next(self.held.popleft())


class LosesAnotherError(Toy):
    def on_error(self, error: Exception) -> None:
        self.observer.on_error(RuntimeError("something went wrong"))


class LateForAColdSource(Toy):
    """Makes its state after it has subscribed."""

    def run(self, source: Observable[Any], observer: Any, scheduler: Any) -> abc.DisposableBase:
        upstream = super().run(source, observer, scheduler)
        assert self.clock is not None
        self.clock.call_at(self.clock.now + SECOND, lambda: None)
        return upstream


class CountsTwice(Toy):
    def on_next(self, element: Any) -> None:
        super().on_next(element)
        self.received += 1
        self.emitted += 1


class CountsTooLate(Toy):
    def on_next(self, element: Any) -> None:
        self.received -= 1
        super().on_next(element)
        self.received += 1


class CountsOn(Toy):
    def run(self, source: Observable[Any], observer: Any, scheduler: Any) -> abc.DisposableBase:
        upstream = super().run(source, observer, scheduler)
        self.received = self.emitted = 3
        return upstream


class CanBeChanged(Toy):
    @property
    def stats(self) -> Any:
        return Counter(received=self.newest.received)


class KeepsTheScheduler(Toy):
    def run(self, source: Observable[Any], observer: Any, scheduler: Any) -> abc.DisposableBase:
        return super().run(source, observer, None)
