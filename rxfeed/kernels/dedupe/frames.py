"""Frames: the same judgement as row by row. Where each symbol's keys only go up and none is below what it had, all are new,
and that is seen in a few passes over the columns. Only keys that occur twice, or may have been seen, are looked up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from rxfeed.frame import Array, Frame
from rxfeed.kernels.dedupe.chunks import Chunk, Chunks, less
from rxfeed.kernels.dedupe.keys import Key
from rxfeed.kernels.dedupe.rows import SLICES, excess

NEVER = -(1 << 63)
_ROOM = 1 << 18
_WINDOW = 1024


class _Judged(NamedTuple):
    """A frame in grouped order, before anything has changed."""

    numbers: Array
    chunk: Chunk
    """All rows, sorted if they had to be; `number` is the row's place in the frame."""
    keep: Array | None
    """Of the chunk's rows; None: all."""
    newest: Array
    """By symbol of `numbers`: its watermark."""
    unchecked: Array | None

    @property
    def emitted(self) -> int:
        return len(self.chunk) if self.keep is None else int(np.count_nonzero(self.keep))


class FrameLane:
    """Judges frames.

    Args:
        key: what tells elements apart, by named fields.
        width: the length of a slice in ns.
        capacity: how many keys may be remembered.
    """

    def __init__(self, key: Key, width: int, capacity: int) -> None:
        self.key, self.width, self.capacity = key, width, capacity
        self.duplicate = self.evicted = self.unchecked = 0
        self.number, self.full_at = 0, capacity + 1
        self.floor = 0
        """Keys with a lower number are forgotten."""
        self.symbols: dict[tuple[type[Any], str], int] = {}
        self.watermark = np.zeros(0, np.int64)
        self.top = [self.watermark for _ in range(key.width)]
        """By symbol, column by column: no key remembered is greater."""
        self.chunks = Chunks()
        self._room = _ROOM

    def frame(self, frame: Frame[Any]) -> Array | None:
        """Judge all rows; return which pass, in the order of the frame, or None if all do."""
        total, offset = len(frame), 0
        keep: Array | None = None
        while offset < total:
            room = self.full_at - self.number
            size = total - offset
            if size > room:
                # So many that the oldest may have to go in between. It is seen where, and then done up to there.
                size = min(size, max(2 * room, _WINDOW))
            part = frame if size == total else frame.slice(offset, size)
            judged = self._judge(part)
            if judged.emitted >= room:
                passed = judged.chunk.number if judged.keep is None else judged.chunk.number[judged.keep]
                full = int(np.partition(passed, room - 1)[room - 1]) + 1
                if full < size:
                    size, judged = full, self._judge(part.slice(0, full))
            kept = self._commit(judged, size)
            if kept is not None:
                keep = np.ones(total, np.bool_) if keep is None else keep
                keep[offset : offset + size] = kept
            offset += size
            if self.number >= self.full_at:
                self._recount()
        return keep

    # --- judging

    def _judge(self, frame: Frame[Any]) -> _Judged:
        groups = frame.groups
        starts, first = groups.starts, groups.starts[:-1]
        numbers = self._number(frame.kind, groups.symbols)
        before = self.watermark[numbers]
        time = frame.grouped("time")
        seen = _running(time, starts, before)
        unchecked: Array | None = None
        if seen is not time:
            behind = np.flatnonzero(seen != time)
            unchecked = np.zeros(len(time), np.bool_)
            unchecked[behind] = seen[behind] // self.width - time[behind] // self.width > SLICES
        keys = self.key.columns(frame)
        top = [column[numbers] for column in self.top]
        new = np.empty(len(time), np.bool_)
        new[1:] = less([k[:-1] for k in keys], [k[1:] for k in keys])
        new[first] = less(top, [k[first] for k in keys])
        place = np.arange(len(time)) if groups.order is None else groups.order
        ordered = bool((numbers[1:] > numbers[:-1]).all())
        sizes = np.diff(starts)
        chunk = Chunk([np.repeat(numbers, sizes), *keys], seen, place, ordered)
        newest = seen[starts[1:] - 1]
        if new.all():
            return _Judged(numbers, chunk, None, newest, unchecked)
        order = np.lexsort(chunk.columns[::-1])
        old = ~less([np.repeat(t, sizes) for t in top], keys)
        chunk = chunk.take(order, ordered=True)
        keep = self._look_up(chunk, old[order])
        return _Judged(numbers, chunk, keep, newest, None if unchecked is None else unchecked[order])

    def _look_up(self, chunk: Chunk, old: Array) -> Array | None:
        """Return which rows of an ordered chunk pass; `old` are those that may have been seen in an earlier frame."""
        n = len(chunk)
        begins = np.ones(n, np.bool_)
        begins[1:] = np.logical_or.reduce([c[1:] != c[:-1] for c in chunk.columns])
        starts = np.flatnonzero(begins)
        sizes = np.diff(np.append(starts, n))
        asked = np.flatnonzero(old[starts])
        rows = starts[asked]
        seen, number = self.chunks.find([c[rows] for c in chunk.columns])
        hit = number >= self.floor
        last = np.zeros(len(starts), np.int64)
        held = np.zeros(len(starts), np.bool_)
        last[asked], held[asked] = seen // self.width, hit
        doubtful = np.flatnonzero(held | (sizes > 1))
        if not len(doubtful):
            return None
        keep = np.ones(n, np.bool_)
        at = chunk.seen // self.width
        for begin, size, known, slice_ in zip(
            starts[doubtful].tolist(), sizes[doubtful].tolist(), held[doubtful].tolist(), last[doubtful].tolist(), strict=True
        ):
            for row, now in enumerate(at[begin : begin + size].tolist(), begin):
                if known and now - slice_ <= SLICES:
                    keep[row] = False
                else:
                    known, slice_ = True, now
        return None if keep.all() else keep

    # --- changing

    def _commit(self, judged: _Judged, size: int) -> Array | None:
        numbers, chunk, keep, newest, unchecked = judged
        self._raise_top(chunk)
        self.watermark[numbers] = newest
        if unchecked is not None:
            self.unchecked += int(np.count_nonzero(unchecked if keep is None else unchecked[keep]))
        kept: Array | None = None
        if keep is None:
            chunk = replace(chunk, number=chunk.number + self.number)
            self.number += size
        else:
            kept = np.zeros(size, np.bool_)
            kept[chunk.number[keep]] = True
            chunk = chunk.take(np.flatnonzero(keep), ordered=True)
            chunk = replace(chunk, number=self.number - 1 + np.cumsum(kept)[chunk.number])
            self.number += len(chunk)
            self.duplicate += size - len(chunk)
        if len(chunk):
            self.chunks.add(chunk)
            if len(self.chunks) > self._room:
                self.compact()
        return kept

    def _raise_top(self, chunk: Chunk) -> None:
        column = chunk.columns[0]
        last = np.append(np.flatnonzero(column[1:] != column[:-1]), len(column) - 1)
        numbers, keys = column[last], [c[last] for c in chunk.columns[1:]]
        higher = less([t[numbers] for t in self.top], keys)
        for top, key in zip(self.top, keys, strict=True):
            top[numbers[higher]] = key[higher]

    def _recount(self) -> None:
        """As in `RowLane`: see how many keys there are; if nearly too many, the oldest go until a sixteenth is free."""
        self.compact()
        count = len(self.chunks)
        many = excess(count, self.capacity)
        if many:
            held = np.concatenate([part.number for part in self.chunks.parts])
            self.floor = int(np.partition(held, many - 1)[many - 1]) + 1
            self.evicted += many
        self.full_at = self.number + self.capacity + 1 - count + many

    def compact(self) -> None:
        """Forget what does not count any more; the memory for it goes when it has doubled since the last time."""
        least = self._least()
        parts: list[Chunk] = []
        for part in self.chunks.parts:
            live = (part.seen >= least[part.columns[0]]) & (part.number >= self.floor)
            if live.all():
                parts.append(part)
            elif live.any():
                parts.append(part.take(np.flatnonzero(live), ordered=part.ordered))
        self.chunks = Chunks(parts)
        self._room = _ROOM + 2 * len(self.chunks)

    def remembered(self) -> int:
        least, parts = self._least(), self.chunks.parts
        return sum(int(np.count_nonzero((part.seen >= least[part.columns[0]]) & (part.number >= self.floor))) for part in parts)

    def _least(self) -> Array:
        """By symbol: the least watermark at which a key was seen that still counts."""
        slices = self.watermark // self.width - SLICES
        return np.where(slices <= NEVER // self.width, NEVER, slices * self.width)

    # --- symbols

    def enter(self, kind: type[Any], symbol: str, watermark: int) -> None:
        """Take over a symbol from the other lane."""
        number = self._number(kind, [symbol])
        self.watermark[number] = watermark

    def load(self, chunk: Chunk) -> None:
        """Take over keys from the other lane, when all symbols are entered."""
        chunk = chunk.sorted()
        self._raise_top(chunk)
        self.chunks.add(chunk)

    def _number(self, kind: type[Any], names: list[str]) -> Array:
        symbols = self.symbols
        found = np.array([symbols.setdefault((kind, name), len(symbols)) for name in names], np.int64)
        missing = len(symbols) - len(self.watermark)
        if missing > 0:
            room = max(missing, len(self.watermark))
            self.watermark = np.append(self.watermark, np.full(room, NEVER))
            self.top = [np.append(column, np.full(room, NEVER)) for column in self.top]
        return found


def _running(time: Array, starts: Array, before: Array) -> Array:
    """Return each symbol's watermark after each row; the very `time` if no time goes back."""
    first = starts[:-1]
    if len(time) == 0:
        return time
    back = np.empty(len(time), np.bool_)
    back[1:] = time[1:] < time[:-1]
    back[first] = time[first] < before
    if not back.any():
        return time
    seen = time.copy()
    seen[first] = np.maximum(time[first], before)
    for block in np.unique(np.searchsorted(starts, np.flatnonzero(back), "right") - 1).tolist():
        part = seen[starts[block] : starts[block + 1]]
        np.maximum.accumulate(part, out=part)
    return seen
