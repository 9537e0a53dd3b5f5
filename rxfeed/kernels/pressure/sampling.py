"""Ticks that wait are thinned out: the newest stay whole, of the older those that a chart cannot do without, and some between.

What must stay of each window is its first, last, highest and lowest tick, so that bars keep their open, high, low and close.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import polars as pl

from rxfeed.frame import Frame
from rxfeed.kernels.pressure.backlog import Backlog, Block
from rxfeed.model import Tick
from rxfeed.overflow import Sample
from rxfeed.windows import Grid

WHOLE: Final = 0.3
"""Of the capacity: the newest ticks, which are not touched."""
_CHUNK: Final = 1_024
"""Ticks that are thinned at a time, when there is no more room."""


class _Window:
    """Where the ticks stand that must stay of one window: the first and the last by (time, seq), the highest, the lowest."""

    __slots__ = ("end", "first", "high", "highest", "last", "low", "lowest", "newest", "oldest", "start")

    def __init__(self, start: int, end: int, at: int, key: tuple[int, int], price: float) -> None:
        self.start, self.end = start, end
        self.first = self.last = self.high = self.low = at
        self.oldest = self.newest = key
        self.highest = self.lowest = price


class Sampling(Backlog):
    """Ticks, or frames of ticks. Those that were thinned stand before those that are whole, and are thinned again in turn."""

    __slots__ = ("_grids", "_next", "_thin", "_thin_load", "_what")

    policy = "sample"
    takes: ClassVar[str] = "Tick or Frame[Tick]"

    def __init__(self, capacity: int, what: Sample, *, gaps: bool = True) -> None:
        self._what = what
        self._grids: dict[str, Grid] = {}
        self._thin: list[Block] = []
        self._thin_load = 0
        self._next = 0  # of `_thin`, where thinning goes on
        super().__init__(capacity, gaps=gaps)

    def __bool__(self) -> bool:
        return bool(self._thin) or bool(self._blocks)

    def _put_frame(self, frame: Frame[Any]) -> None:
        if frame.kind is not Tick:
            raise self._refuse(frame)
        super()._put_frame(frame)

    def _put_other(self, element: Any) -> None:
        raise self._refuse(element)

    @property
    def _frame_next(self) -> bool:
        return isinstance((self._thin or self._blocks)[0], Frame)

    def _head(self, most: int) -> Block:
        if not self._thin:
            return super()._head(most)
        block = self._thin[0]
        if len(block) <= most:
            del self._thin[0]
            self._next = max(0, self._next - 1)
        else:
            block, self._thin[0] = _split(block, most)
        self._thin_load -= len(block)
        return block

    def _forget(self) -> None:
        super()._forget()
        self._thin.clear()
        self._thin_load = self._next = 0

    def _relieve(self, over: int) -> bool:
        # What is whole beyond its share goes over, thinned; then, as long as that is not enough, what is thin gets thinner.
        while self.load > self.capacity and (spare := self.load - self._thin_load - int(WHOLE * self.capacity)) > 0:
            self._take_over(min(spare, _CHUNK))
        gains = True
        while self.load > self.capacity and gains:
            load, blocks = self.load, len(self._thin)
            left = blocks
            while self.load > self.capacity and left > 0:
                left -= self._again()
            gains = self.load < load or len(self._thin) < blocks
        if self.load > self.capacity:
            self._drop_oldest(max(self.load - self.capacity, self.capacity // 16))
        return True

    def _take_over(self, most: int) -> None:
        gathered: deque[Block] = deque()
        while most > 0 and self._blocks:
            block = super()._head(most)
            most -= len(block)
            gathered.append(block)
        for block in _joined(gathered):
            self._put_thin(len(self._thin), self._thinned(block))

    def _again(self) -> int:
        """Thin one more time, two neighbours together; return how many that were."""
        at = self._next if self._next < len(self._thin) else 0
        pair = deque(self._thin[at : at + 2])
        if len(pair) == 2 and (len(pair[0]) + len(pair[1]) > 2 * _CHUNK or pair[0].__class__ is not pair[1].__class__):
            pair.pop()
        count = len(pair)
        del self._thin[at : at + count]
        self._thin_load -= sum(map(len, pair))
        for block in _joined(pair):
            at += self._put_thin(at, self._thinned(block))
        self._next = at
        return count

    def _put_thin(self, at: int, block: Block) -> int:
        if not len(block):
            return 0
        self._thin.insert(at, block)
        self._thin_load += len(block)
        return 1

    def _thinned(self, block: Block) -> Block:
        """Drop every other tick of those that need not stay."""
        if isinstance(block, Frame):
            stay = self._stay(
                block.df["symbol"].to_list(), block.column("time").tolist(), block.column("seq").tolist(),
                block.column("price").tolist(),
            )  # fmt: skip
            keep = np.zeros(len(block), np.bool_)
            keep[stay] = True
            self._drop(block.filter(~keep))
            return block.filter(keep)
        columns = [[t.symbol for t in block], [t.time for t in block], [t.seq for t in block], [t.price for t in block]]
        stay = self._stay(columns[0], columns[1], columns[2], columns[3])
        staying = set(stay)
        self._drop([tick for at, tick in enumerate(block) if at not in staying])
        return [block[at] for at in stay]

    def _stay(self, symbols: Sequence[str], times: Sequence[int], seqs: Sequence[int], prices: Sequence[float]) -> list[int]:
        """Return the places of ticks that stay, in order."""
        newest: dict[str, _Window] = {}
        windows: dict[tuple[str, int], _Window] = {}
        for at, (symbol, time, seq, price) in enumerate(zip(symbols, times, seqs, prices, strict=True)):
            if price - price != 0.0:
                continue
            w = newest.get(symbol)
            if w is None or not w.start <= time < w.end:
                w = self._window(symbol, time, windows, at, (time, seq), price)
                if w is not None:
                    newest[symbol] = w
            if w is None:
                continue
            key = time, seq
            if key >= w.newest:
                w.last, w.newest = at, key
            elif key < w.oldest:
                w.first, w.oldest = at, key
            if price > w.highest:
                w.high, w.highest = at, price
            elif price < w.lowest:
                w.low, w.lowest = at, price
        needed = {at for w in windows.values() for at in (w.first, w.last, w.high, w.low)}
        rest = [at for at in range(len(times)) if at not in needed]
        return sorted([*needed, *rest[1::2]])

    def _window(
        self, symbol: str, time: int, windows: dict[tuple[str, int], _Window], at: int, key: tuple[int, int], price: float
    ) -> _Window | None:
        grid = self._grids.get(symbol)
        if grid is None:
            grid = self._grids[symbol] = self._what.grid(symbol)
        segment = grid.segment(time)
        if segment is None:
            return None
        start, end, _ = segment.window(time)
        found = windows.get((symbol, start))
        if found is None:
            found = windows[symbol, start] = _Window(start, end, at, key, price)
        return found


def _split(block: Block, at: int) -> tuple[Block, Block]:
    if isinstance(block, Frame):
        return block.slice(0, at), block.slice(at, len(block) - at)
    return block[:at], block[at:]


def _joined(blocks: deque[Block]) -> list[Block]:
    """Put together what follows one another and is of one sort; what must stay of two is hardly more than of one."""
    out: list[Block] = []
    for block in blocks:
        last = out[-1] if out else None
        if isinstance(block, list) and isinstance(last, list):
            out[-1] = last + block
        elif isinstance(block, Frame) and isinstance(last, Frame):
            out[-1] = Frame.trusted(pl.concat([last.df, block.df]), Tick)
        else:
            out.append(block)
    return out
