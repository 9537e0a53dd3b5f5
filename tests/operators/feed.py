"""What the tests of both kinds of bars are fed by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable, Subject

from rxfeed.clock import VirtualClock
from rxfeed.frame import Frame
from rxfeed.model import Tick
from rxfeed.times import SECOND
from tests.builders import T0, Recorder, line


class Feed:
    """A source, a clock that stands at T0 and one subscription."""

    def __init__(
        self,
        operator: Callable[[Observable[Any]], Observable[Any]],
        *,
        clock: VirtualClock | None = None,
        timed: bool = True,
        react: Callable[[Any], None] | None = None,
    ) -> None:
        self.clock = clock or VirtualClock(T0)
        self.source: Subject[Any] = Subject()
        self.got = Recorder(react).to(operator(self.source), self.clock.scheduler if timed else None)

    def give(self, *elements: Any) -> None:
        for element in elements:
            self.source.on_next(element)

    def at(self, seconds: float) -> None:
        self.clock.advance_to(T0 + round(seconds * SECOND))

    def drain(self) -> list[str]:
        """The bars since this was last asked."""
        found = [line(b) for e in self.got.elements for b in (e.rows() if isinstance(e, Frame) else [e])]
        self.got.elements.clear()
        return found


def untimed(operator: Callable[[Observable[Any]], Observable[Any]], *elements: Any) -> Feed:
    feed = Feed(operator, timed=False)
    feed.give(*elements)
    return feed


def epoch(at: float, price: float = 100.0, *, symbol: str = "A", seq: int = 0) -> Tick:
    """A tick in the time of `TestScheduler`, which begins in 1970."""
    return Tick(symbol, round(at * SECOND), price, 1, 0, seq)
