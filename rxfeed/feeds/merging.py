"""Several sources as one stream of frames: one after another, or merged by time, and numbered before anything cuts it.

Each source is taken to be roughly in time order. A row that goes back stays where it is among its own source's rows, which
is what sorting by the running maximum of time does. A source is opened when the merge comes to its first row, so a year
of daily files holds one or two in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
import polars as pl

from rxfeed.errors import InputError
from rxfeed.feeds.tables import TickSource
from rxfeed.frame import Array, Frame
from rxfeed.model import UNKNOWN_TIME, Tick

Order = Literal["time", "given"]


def merged(opened: Sequence[TickSource], order: Order, chunk: int) -> Iterator[Frame[Tick]]:
    """Yield the sources' ticks as frames of `chunk` rows, the last one shorter; `seq` counts rows where no source has it.

    Raises:
        InputError: a source that cannot be read, some with `seq` and some without, or files without a row.
    """
    numbering = _Numbering()
    blocks = _in_turn(opened, numbering, chunk) if order == "given" or len(opened) < 2 else _in_time(opened, numbering, chunk)
    total = 0
    for block in _cut(blocks, chunk):
        if not numbering.own:
            block = block.with_columns(pl.int_range(total, total + block.height, dtype=pl.Int64).alias("seq"))
        total += block.height
        yield Frame(block)
    if not total and any(source.from_disk for source in opened):
        one = len(opened) == 1
        raise InputError(f"{opened[0].name} holds no rows" if one else f"none of the {len(opened)} sources holds a row")


class _Numbering:
    """Whether the sources bring their own `seq`: all of them or none."""

    __slots__ = ("_first", "own")

    def __init__(self) -> None:
        self.own = False
        self._first: str | None = None

    def check(self, source: TickSource) -> None:
        own = source.numbered()
        if self._first is None:
            self.own, self._first = own, source.name
        elif own != self.own:
            has, lacks = (source.name, self._first) if own else (self._first, source.name)
            raise InputError(f'{has} has a column for seq and {lacks} has none; leave it out with map={{"seq": None}}')


def _in_turn(opened: Sequence[TickSource], numbering: _Numbering, chunk: int) -> Iterator[pl.DataFrame]:
    for source in opened:
        numbering.check(source)
        yield from source.blocks(chunk)


class _Input:
    """One source in a merge: its current block, and each row's key, the greatest time so far."""

    __slots__ = ("_blocks", "_top", "block", "index", "keys")

    def __init__(self, index: int, blocks: Iterator[pl.DataFrame]) -> None:
        self.index = index
        self._blocks = blocks
        self._top = UNKNOWN_TIME
        self.block = pl.DataFrame()
        self.keys: Array = np.empty(0, np.int64)

    def fill(self) -> bool:
        for block in self._blocks:
            if block.height:
                self.block = block
                self.keys = np.maximum(np.maximum.accumulate(block["time"].to_physical().to_numpy()), self._top)
                self._top = int(self.keys[-1])
                return True
        return False

    def take(self, count: int) -> tuple[pl.DataFrame, Array]:
        taken = self.block.head(count), self.keys[:count]
        self.block, self.keys = self.block.slice(count), self.keys[count:]
        return taken


def _in_time(opened: Sequence[TickSource], numbering: _Numbering, chunk: int) -> Iterator[pl.DataFrame]:
    waiting: list[tuple[int, int]] = []
    for index, source in enumerate(opened):
        numbering.check(source)
        first = source.first()
        if first is not None:
            waiting.append((first, index))
    waiting.sort(reverse=True)
    active: list[_Input] = []
    while waiting or active:
        # The first input, in order, whose block ends first: rows up to there are known, and equal times of later inputs
        # come after those that it may still have.
        least = min(active, key=lambda i: (int(i.keys[-1]), i.index), default=None)
        if waiting and (least is None or waiting[-1][0] <= int(least.keys[-1])):
            _, index = waiting.pop()
            new = _Input(index, opened[index].blocks(chunk))
            if new.fill():
                active.append(new)
                active.sort(key=lambda i: i.index)
            continue
        if least is None:
            return
        limit = int(least.keys[-1])
        pieces: list[tuple[pl.DataFrame, Array]] = []
        for one in active:
            count = int(np.searchsorted(one.keys, limit, "right" if one.index <= least.index else "left"))
            if count:
                pieces.append(one.take(count))
        if not least.fill():
            active.remove(least)
        yield _woven(pieces)


def _woven(pieces: list[tuple[pl.DataFrame, Array]]) -> pl.DataFrame:
    if len(pieces) == 1:
        return pieces[0][0]
    keys = np.concatenate([keys for _, keys in pieces])
    block = pl.concat([block for block, _ in pieces])
    return block if (keys[1:] >= keys[:-1]).all() else block[np.argsort(keys, kind="stable")]


def _cut(blocks: Iterable[pl.DataFrame], chunk: int) -> Iterator[pl.DataFrame]:
    held: list[pl.DataFrame] = []
    rows = 0
    for given in blocks:
        block = given
        while rows + block.height >= chunk:
            held.append(block.head(chunk - rows))
            block = block.slice(chunk - rows)
            yield held[0] if len(held) == 1 else pl.concat(held)
            held, rows = [], 0
        if block.height:
            held.append(block)
            rows += block.height
    if held:
        yield pl.concat(held)
