"""Who takes bars or ticks: each behind a boundary of his own, counted while he is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxfeed import operators as ops
from rxfeed.clock import Clock
from rxfeed.events import Event
from rxfeed.kernels.pressure.backlog import PressureStats
from rxfeed.limits import CapacityLike
from rxfeed.overflow import Overflowing
from rxfeed.runs import RunObservable

from .fan import Fan

boundary: Final[Callable[..., Any]] = ops.backpressure
"""As it is typed where only settings know which policy it gets."""


class Consumers:
    """Makes boundaries in front of consumers.

    Args:
        capacity: what may wait in front of each; None: there are no boundaries, and each is called directly.
        clock: of events.
        tell: hears of a boundary that is full.
        join: called when somebody has begun to listen.
    """

    def __init__(
        self, capacity: CapacityLike | None, clock: Clock, tell: Callable[[Event], None], join: Callable[[], None]
    ) -> None:
        self._capacity, self._clock, self._tell, self._join = capacity, clock, tell, join
        self._there: dict[str, Any] = {}
        self._made = 0
        self.departed = 0
        """That were, and are no more."""

    @property
    def stats(self) -> dict[str, PressureStats]:
        """Of those that are there, by name."""
        return {name: boundary.stats for name, boundary in self._there.items()}

    def of(self, fan: Fan[Any], overflow: Overflowing, what: str, gaps: Any = None) -> Observable[Any]:
        """Return what a fan gives, behind a boundary."""
        if self._capacity is None:
            return RunObservable(lambda observer, _=None: self._joined(fan, observer, "", None))
        self._made += 1
        name = f"{what} {self._made}"
        made = boundary(
            self._capacity, overflow, name=name, alert=self._tell, gaps=gaps, scheduler=self._clock.scheduler
        )  # fmt: skip
        return made(RunObservable(lambda observer, _=None: self._joined(fan, observer, name, made)))

    def _joined(self, fan: Fan[Any], observer: abc.ObserverBase[Any], name: str, made: Any) -> abc.DisposableBase:
        place = fan.join(observer)
        if made is not None:
            self._there[name] = made

        def leave() -> None:
            place.dispose()
            if self._there.pop(name, None) is not None:
                self.departed += 1

        self._join()
        return Disposable(leave)
