"""Closed bars that may still change: a late tick merges into its own window until the horizon has passed it.

Both lanes share this store, so switching between rows and frames moves only what is open. Rows put bars one by one;
frames put whole chunks, of which a bar is made only when something late asks for it. A bar is kept until the window that
contains it one level up has passed the horizon too, so that a container can always be reduced again from its children.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from rxfeed.kernels.parts import ID, START, Ints, Parts, bar_at
from rxfeed.model import Bar, merge


class SymbolKept:
    """One symbol's kept bars: for each level a dict by start, and in closing order when each may go."""

    __slots__ = ("bars", "queue")

    def __init__(self, levels: int) -> None:
        self.bars: list[dict[int, Bar]] = [{} for _ in range(levels)]
        self.queue: list[deque[tuple[int, int]]] = [deque() for _ in range(levels)]

    def put(self, level: int, bar: Bar, limit: int, done: int) -> None:
        """Keep `bar` until the watermark less the horizon reaches `limit`; let go what `done` has reached."""
        bars, queue = self.bars[level], self.queue[level]
        while queue and queue[0][0] <= done:
            bars.pop(queue.popleft()[1], None)
        bars[bar.start] = bar
        queue.append((limit, bar.start))


class Chunk:
    """Closed bars of one level as columns. `limits` tells when each may go; `taken` those that became rows."""

    __slots__ = ("_index", "limits", "parts", "taken")

    def __init__(self, parts: Parts, limits: Ints) -> None:
        self.parts = parts
        self.limits = limits
        self.taken: set[int] = set()
        self._index: dict[tuple[int, int], int] | None = None

    def pop(self, symbol: int, start: int) -> int | None:
        """Return the row of a bar that is still here, and count it as taken."""
        if self._index is None:
            ints = self.parts.ints
            self._index = dict(
                zip(zip(ints[ID].tolist(), ints[START].tolist(), strict=True), range(self.parts.size), strict=True)
            )
        row = self._index.pop((symbol, start), None)
        if row is not None:
            self.taken.add(row)
        return row

    def live(self, done: Ints) -> Ints:
        """Return the rows still needed, given the watermark less the horizon of every symbol."""
        keep = self.limits > done[self.parts.ints[ID]]
        if self.taken:
            keep[list(self.taken)] = False
        return np.flatnonzero(keep)


class Kept:
    """The closed bars of all levels and symbols that are within the horizon."""

    def __init__(self, timeframes: tuple[str, ...], symbol_of: Callable[[int], str], id_of: Callable[[str], int]) -> None:
        self._timeframes = timeframes
        self._symbol_of, self._id_of = symbol_of, id_of
        self._symbols: dict[str, SymbolKept] = {}
        self._chunks: list[deque[Chunk]] = [deque() for _ in timeframes]

    def symbol(self, name: str) -> SymbolKept:
        kept = self._symbols.get(name)
        if kept is None:
            kept = self._symbols[name] = SymbolKept(len(self._timeframes))
        return kept

    def clear(self) -> None:
        """Forget everything."""
        self._symbols.clear()
        for chunks in self._chunks:
            chunks.clear()

    def put_chunk(self, level: int, parts: Parts, limits: Ints, done: Ints) -> None:
        """Keep closed bars until `done` (by symbol: watermark less horizon) reaches their `limits`; let old ones go."""
        chunks = self._chunks[level]
        for _ in range(min(2, len(chunks))):
            # Two are looked at for each that comes, in turn, so a symbol that fell silent cannot hold the others for ever.
            oldest = chunks.popleft()
            live = oldest.live(done)
            if 2 * len(live) > oldest.parts.size:
                chunks.append(oldest)
            elif len(live):
                chunks.append(Chunk(oldest.parts.take(live), oldest.limits[live]))
        keep = np.flatnonzero(limits > done[parts.ints[ID]])
        if len(keep):
            chunks.append(Chunk(parts, limits) if len(keep) == parts.size else Chunk(parts.take(keep), limits[keep]))

    def revise(self, level: int, part: Bar, limit: int, done: int) -> Bar:
        """Merge a late partial into its closed window and return the next revision; the window may have been empty."""
        kept = self.symbol(part.symbol)
        old = kept.bars[level].get(part.start)
        if old is None:
            old = self._from_chunk(level, part.symbol, part.start)
            merged = part if old is None else merge(old, part)
            assert merged is not None
            bar = msgspec.structs.replace(merged, revision=1 if old is None else old.revision + 1)
            kept.put(level, bar, limit, done)
        else:
            merged = merge(old, part)
            assert merged is not None
            bar = kept.bars[level][part.start] = msgspec.structs.replace(merged, revision=old.revision + 1)
        return bar

    def _from_chunk(self, level: int, symbol: str, start: int) -> Bar | None:
        number = self._id_of(symbol)
        for chunk in reversed(self._chunks[level]):
            row = chunk.pop(number, start)
            if row is not None:
                return bar_at(chunk.parts, row, symbol, self._timeframes[level])
        return None

    def items(self) -> Iterator[tuple[int, Bar, int]]:
        """Yield `(level, bar, limit)` of everything kept, each symbol's level in an order that may be put again."""
        for level, chunks in enumerate(self._chunks):
            for chunk in chunks:
                for row in range(chunk.parts.size):
                    if row not in chunk.taken:
                        symbol = self._symbol_of(int(chunk.parts.ints[ID, row]))
                        yield level, bar_at(chunk.parts, row, symbol, self._timeframes[level]), int(chunk.limits[row])
        for kept in self._symbols.values():
            for level, (bars, queue) in enumerate(zip(kept.bars, kept.queue, strict=True)):
                for limit, start in queue:
                    yield level, bars[start], limit
