"""What an async boundary lost, by symbol: from when to when ticks are missing behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rxfeed.frame import Frame
from rxfeed.model import Bar, Gap, Tick


class Lost:
    """Bounds of the ticks that were lost since somebody asked. One entry a symbol, however many."""

    __slots__ = ("_by_symbol",)

    def __init__(self) -> None:
        self._by_symbol: dict[str, tuple[int, int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_symbol)

    def add(self, elements: Iterable[Any] | Frame[Any]) -> None:
        """Note elements that are lost: ticks, partial bars, or a frame of ticks; of anything else no gap is known."""
        if isinstance(elements, Frame):
            self._frame(elements)
            return
        for element in elements:
            if isinstance(element, Tick):
                self._note(element.symbol, element.time, element.time, 1)
            elif isinstance(element, Bar) and element.first_time is not None and element.last_time is not None:
                self._note(element.symbol, element.first_time, element.last_time, element.count or 0)

    def note(self, symbol: str, start: int, end: int, ticks: int) -> None:
        """Note ticks of a symbol from one time to another."""
        self._note(symbol, start, end, ticks)

    def take(self) -> list[Gap]:
        """Return one gap for each symbol that lost something since the last call."""
        lost, self._by_symbol = self._by_symbol, {}
        return [Gap(symbol, start, end, f"overload: {ticks} dropped") for symbol, (start, end, ticks) in lost.items()]

    def _note(self, symbol: str, start: int, end: int, ticks: int) -> None:
        known = self._by_symbol.get(symbol)
        if known is not None:
            start, end, ticks = min(start, known[0]), max(end, known[1]), ticks + known[2]
        self._by_symbol[symbol] = start, end, ticks

    def _frame(self, frame: Frame[Any]) -> None:
        if frame.kind is not Tick or not len(frame):
            return
        times, groups = frame.grouped("time"), frame.groups
        for symbol, begin, end in zip(groups.symbols, groups.starts[:-1].tolist(), groups.starts[1:].tolist(), strict=True):
            mine = times[begin:end]
            self._note(symbol, int(mine.min()), int(mine.max()), end - begin)
