"""A specimen on its stage: a source that is fed by hand, as rude as is asked for, and witnesses of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed.clock import VirtualClock
from rxfeed.frame import is_frame
from rxfeed.runs import Run, RunObservable, RunObserver, run_into

from .specimen import Lane, Operator, Specimen, brief, plain

Step = tuple[str, Any]
"""`("next", element)`, `("completed", None)` or `("error", error)`."""


class Boom(Exception):
    """What the suite raises; the operators have no reason to."""


class Failed(Exception):
    """The source's own error."""


class Subscription:
    """Of an operator at the source."""

    def __init__(self, observer: Any, scheduler: abc.SchedulerBase | None) -> None:
        self.observer, self.scheduler = observer, scheduler
        self.released = False

    def release(self) -> None:
        self.released = True

    def do(self, step: Step) -> None:
        kind, value = step
        if kind == "next" and isinstance(value, list):
            run_into(self.observer)(value)
        elif kind == "next":
            self.observer.on_next(value)
        elif kind == "error":
            self.observer.on_error(value)
        else:
            self.observer.on_completed()


class Source(Observable[Any]):
    """Does what it is told, to every one of its subscriptions.

    Args:
        rude: hand the operator's own callbacks to `do`, without the guard that reactivex puts around them.
        at_once: steps that are taken inside `subscribe`, before it returns.
        raising: what `subscribe` raises after that.
    """

    def __init__(
        self, *, rude: bool = False, at_once: Callable[[Subscription], None] | None = None, raising: Exception | None = None
    ) -> None:
        super().__init__(self._attach)
        self.subscriptions: list[Subscription] = []
        self._rude, self._at_once, self._raising = rude, at_once, raising

    def _attach(self, observer: Any, scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        mine = Subscription(observer, scheduler)
        self.subscriptions.append(mine)
        if self._at_once is not None:
            self._at_once(mine)
        if self._raising is not None:
            mine.release()
            raise self._raising
        return Disposable(mine.release)

    def subscribe(self, on_next: Any = None, on_error: Any = None, on_completed: Any = None, *, scheduler: Any = None) -> Any:
        if not self._rude:
            return super().subscribe(on_next, on_error, on_completed, scheduler=scheduler)
        return self._attach(on_next if hasattr(on_next, "on_next") else Calls(on_next, on_error, on_completed), scheduler)


class RunSource(Source, RunObservable[Any]):
    """One of ours, which hands on ticks that come together as they are."""


class Calls:
    """Three callables as an observer that guards nothing."""

    def __init__(self, on_next: Any, on_error: Any, on_completed: Any) -> None:
        self.on_next = on_next or (lambda _: None)
        self.on_error = on_error or (lambda _: None)
        self.on_completed = on_completed or (lambda: None)


class Witness(abc.ObserverBase[Any]):
    """Notes what it gets, and only then reacts. It forbids nothing: what is wrong is for the checks to say."""

    def __init__(self, react: Callable[[Step], None] | None = None) -> None:
        self.steps: list[Step] = []
        self.react = react
        self.subscription: abc.DisposableBase = Disposable()

    def _note(self, *step: Any) -> None:
        self.steps.append(step)
        if self.react is not None:
            self.react(step)

    def on_next(self, value: Any) -> None:
        self._note("next", value)

    def on_error(self, error: Exception) -> None:
        self._note("error", error)

    def on_completed(self) -> None:
        self._note("completed", None)

    @property
    def elements(self) -> list[Any]:
        return [value for kind, value in self.steps if kind == "next"]

    @property
    def error(self) -> Exception | None:
        return next((value for kind, value in self.steps if kind == "error"), None)

    @property
    def ended(self) -> bool:
        return any(kind != "next" for kind, _ in self.steps)

    @property
    def story(self) -> list[str]:
        """All of it as text, to be compared."""
        return [plain(value) if kind == "next" else f"{kind} {value!r}" for kind, value in self.steps]

    @property
    def brief(self) -> list[str]:
        """All of it as text, to be read."""
        return [brief(value) if kind == "next" else kind for kind, value in self.steps]


class Stage:
    """One specimen, its world, a source and a built observable."""

    def __init__(
        self,
        specimen: Specimen,
        lane: Lane,
        *,
        make: Callable[[VirtualClock | None], Operator] | None = None,
        clock_of_subscriber: bool = False,
        **of_source: Any,
    ) -> None:
        self.specimen = specimen
        self.world = specimen.world()
        self.clock = self.world.clock
        given = specimen.clocked and not clock_of_subscriber
        self.operator = (make or specimen.make)(self.clock if given else None)
        self.scheduler = self.clock.scheduler if specimen.clocked and clock_of_subscriber else None
        self.source = RunSource(**of_source) if lane == "runs" else Source(**of_source)
        self.built = self.operator(self.source)

    def subscribe(self, react: Callable[[Step], None] | None = None, *, naked: bool = False) -> Witness:
        """Subscribe a witness; a naked one hears what reactivex's guard would keep from it."""
        witness = Witness(react)
        if naked:
            witness.subscription = self.world.call(self.built._subscribe_core, witness, self.scheduler)
        else:
            witness.subscription = self.world.call(self.built.subscribe, witness, scheduler=self.scheduler)
        self.world.pump()
        return witness

    def subscribe_by_run(self) -> Witness:
        """Subscribe as a stage of ours does, which takes ticks that come together as they are."""
        witness = Witness()

        def on_run(ticks: Run) -> None:
            for tick in ticks:
                witness.on_next(tick)

        taker = RunObserver(witness.on_next, on_run, witness.on_error, witness.on_completed)
        witness.subscription = self.world.call(taker.to, self.built, self.scheduler)
        self.world.pump()
        return witness

    def do(self, *steps: Step, to: int | None = None) -> None:
        """Have the source take steps, for all of its subscriptions or for one."""
        for step in steps:
            self.move(step)
            for each in self.source.subscriptions if to is None else [self.source.subscriptions[to]]:
                self.feed(each, step)

    def feed(self, to: Subscription, step: Step) -> None:
        """Have the source take a step at this very moment."""
        self.world.call(to.do, step)
        self.world.pump()

    def move(self, step: Step) -> None:
        """Let it be the time of an element."""
        kind, value = step
        time = time_of(value) if kind == "next" else None
        if time is not None and time > self.clock.now:
            self.go(time)

    def later(self, by: int = 3_600_000_000_000) -> None:
        """Let time pass: an hour, in which every timer that was forgotten shows."""
        self.go(self.clock.now + by)

    def go(self, time: int) -> None:
        """Move the clock."""
        self.world.call(self.clock.advance_to, time)
        self.world.pump()

    def dispose(self, witness: Witness) -> None:
        self.world.call(witness.subscription.dispose)
        self.world.pump()

    def assert_released(self, when: str, *, of: int | None = None) -> None:
        """Nothing must be left of the subscriptions: neither at the source nor on the clock."""
        chosen = self.source.subscriptions if of is None else [self.source.subscriptions[of]]
        assert all(each.released for each in chosen), f"{when}: the source's subscription is not released"
        if of is None:
            assert not (left := self.world.left()), f"{when}: left over is {', '.join(left)}"


@contextmanager
def stage(specimen: Specimen, lane: Lane, **more: Any) -> Iterator[Stage]:
    """A stage that is cleared in the end."""
    made = Stage(specimen, lane, **more)
    try:
        yield made
    finally:
        made.world.close()


def time_of(element: Any) -> int | None:
    if isinstance(element, list):
        return time_of(element[-1])
    if is_frame(element):
        name = "time" if "time" in element.df.columns else "last_time"
        return int(element.column(name).max()) if len(element) else None
    found = getattr(element, "time", None)
    return found if isinstance(found, int) else getattr(element, "last_time", None)


def following(elements: list[Any]) -> list[Step]:
    return [("next", element) for element in elements]


END: Step = ("completed", None)


def fall() -> Step:
    return "error", Failed("source")


def steps_of(specimen: Specimen, lane: Lane) -> list[Step]:
    return following(specimen.elements(lane))


def undisturbed(specimen: Specimen, lane: Lane, steps: Sequence[Step]) -> Witness:
    with stage(specimen, lane) as on:
        witness = on.subscribe()
        on.do(*steps)
        return witness


def assert_one_end(witness: Witness, when: str) -> None:
    ends = [at for at, (kind, _) in enumerate(witness.steps) if kind != "next"]
    assert len(ends) <= 1, f"{when}: ended {len(ends)} times: {witness.brief}"
    assert not ends or ends[0] == len(witness.steps) - 1, f"{when}: goes on after its end: {witness.brief}"
