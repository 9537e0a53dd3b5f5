"""Bars that wait: each is cumulative, so when there is no room the newest snapshot stands for all of the same identity."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import polars as pl

from rxfeed.frame import Frame, is_frame
from rxfeed.kernels.pressure.backlog import Backlog, Block, Others
from rxfeed.model import Bar
from rxfeed.runs import Run

_IDENTITY = ("symbol", "timeframe", "start")


class NewestBars(Backlog):
    """Bars, or frames of them. Snapshots that have a newer one make room first, then the oldest go."""

    __slots__ = ("_bars", "_next", "_newest", "_older")

    policy = "newest"
    takes: ClassVar[str] = "Bar or Frame[Bar], which have an identity"

    def __init__(self, capacity: int, *, gaps: bool = True) -> None:
        self._bars: dict[int, Bar] = {}  # by number of arrival
        self._newest: dict[tuple[str, str, int], int] = {}
        self._older: dict[int, None] = {}  # those that have a newer one, in the order in which they got it
        self._next = 0
        super().__init__(capacity, gaps=gaps)

    def __bool__(self) -> bool:
        return bool(self._bars) or bool(self._blocks)

    def put(self, element: Any) -> bool:
        if element.__class__ is not Bar:
            if not is_frame(element) or element.kind is not Bar or self._bars:
                raise self._refuse(element)
            self._put_frame(element)
        elif self._blocks:
            raise self._refuse(element)
        else:
            number, bar = self._next, cast("Bar", element)
            self._next = number + 1
            self._bars[number] = bar
            before = self._newest.get(bar.identity)
            if before is not None:
                self._older[before] = None
            self._newest[bar.identity] = number
            self.received += 1
        return self.received < self._alarm or self._press()

    def run(self, ticks: Run) -> bool:
        raise self._refuse(ticks[0])

    @property
    def _frame_next(self) -> bool:
        return bool(self._blocks)

    def _head(self, most: int) -> Block:
        if self._blocks:
            return super()._head(most)
        out = Others()
        for _ in range(min(most, len(self._bars))):
            out.append(self._pop(next(iter(self._bars))))
        return out

    def _pop(self, number: int) -> Bar:
        bar = self._bars.pop(number)
        self._older.pop(number, None)
        if self._newest[bar.identity] == number:
            del self._newest[bar.identity]
        return bar

    def _relieve(self, over: int) -> bool:
        if self._blocks:
            frames = [cast("Frame[Any]", block).df for block in self._blocks]
            df = pl.concat([frames[0].slice(self._at), *frames[1:]])
            rest = df.unique(_IDENTITY, keep="last", maintain_order=True)
            self._forget()
            self._blocks.append(Frame.trusted(rest, Bar))
            self._replaced(df.height - rest.height)
            over = max(0, self.load - self.capacity)
        while over and self._older:
            self._pop(next(iter(self._older)))
            self._replaced(1)
            over -= 1
        self._drop_oldest(over)
        return True

    def _replaced(self, bars: int) -> None:
        self.conflated += bars
        self._gone += bars

    def _drop(self, block: Block) -> None:
        self.dropped += len(block)  # a bar that is lost is no gap of ticks
        self._gone += len(block)

    def _forget(self) -> None:
        super()._forget()
        self._bars.clear()
        self._newest.clear()
        self._older.clear()
