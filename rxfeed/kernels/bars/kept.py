"""Closed bars that may still change: a late tick merges into its own window until the horizon has passed it.

Both lanes share this store, so switching between rows and frames moves only what is open. Rows put bars one by one;
frames put whole chunks, of which a bar is made only when something late asks for it.

Where windows may be replaced from history, a bar is also kept as long as the one that is made of it may change, and while it
is pinned: what a gap touches, until it is mended or given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import msgspec

from rxfeed.kernels.bars.parts import END, ID, START, Ints, Mask, Parts, bar_at, join
from rxfeed.kernels.bars.plan import Plan
from rxfeed.kernels.bars.spans import Spans, touches
from rxfeed.kernels.bars.symbols import Symbols
from rxfeed.model import Bar, merge
from rxfeed.times import FOREVER

_SMALL = 4_096
"""Chunks of up to so many rows are joined; copying larger ones would cost more than it saves."""
_CHUNK = 16
"""A chunk weighs as much as so many rows."""
_SPARE = 512
"""So many rows more than twice those needed are kept before anything is let go."""


class SymbolKept:
    """One symbol's kept bars: for each level a dict by start, in the order in which bars came.

    Letting go is done for many at once: `due` tells when it is worth while again, an eighth of the horizon later.
    """

    __slots__ = ("bars", "due", "horizon", "name", "pins", "plan")

    def __init__(self, name: str, plan: Plan) -> None:
        self.name, self.plan = name, plan
        self.bars: list[dict[int, Bar]] = [{} for _ in plan.names]
        self.due = [-FOREVER] * len(plan.names)
        self.horizon = plan.back
        self.pins: list[Spans] | None = None
        """By level, the stretches whose bars stay."""

    def put(self, level: int, bar: Bar, mark: int) -> None:
        """Keep `bar`, and now and then let go the bars that the watermark `mark` has left behind by the horizon."""
        if mark >= self.due[level]:
            self._let_go(level, mark)
        self.bars[level][bar.start] = bar

    def _let_go(self, level: int, mark: int) -> None:
        bars, done = self.bars[level], mark - self.horizon
        if self.plan.mends:
            since, until = self.plan.needed(self.name, level, done)
            pins = self.pins[level] if self.pins else []
            for bar in [b for b in bars.values() if b.start < since and not touches(pins, b.start, b.end - 1)]:
                del bars[bar.start]
            self.due[level] = max(until + self.horizon, mark + self.horizon // 8)
            return
        gone: list[int] = []
        for start, bar in bars.items():
            if bar.end > done:
                break
            gone.append(start)
        for start in gone:
            del bars[start]
        self.due[level] = mark + self.horizon // 8


class Chunk:
    """Closed bars of one level as columns; `taken` are those that became rows."""

    __slots__ = ("_index", "parts", "taken")

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
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

    def live(self, done: Ints, pins: dict[int, Spans]) -> Ints:
        """Return the rows still needed: those that end after `done` of their symbol, and those that are pinned."""
        keep = self.parts.ints[END] > done[self.parts.ints[ID]]
        for number, spans in pins.items():
            for first, last in spans:
                keep |= self.within(number, first, last)
        if self.taken:
            keep[list(self.taken)] = False
        return keep.nonzero()[0]

    def within(self, symbol: int, first: int, last: int) -> Mask:
        """Which rows are of a symbol and have an instant of `[first, last]`."""
        ints = self.parts.ints
        return (ints[ID] == symbol) & (ints[END] > first) & (ints[START] <= last)


class Kept:
    """The closed bars of all levels and symbols that are within the horizon."""

    def __init__(self, plan: Plan, symbols: Symbols) -> None:
        self._plan, self._timeframes = plan, plan.names
        self._numbers = symbols
        self._symbols: dict[str, SymbolKept] = {}
        self._chunks: list[deque[Chunk]] = [deque() for _ in plan.names]
        self._weight = [0] * len(plan.names)
        self._most = [_SPARE] * len(plan.names)

    def symbol(self, name: str) -> SymbolKept:
        kept = self._symbols.get(name)
        if kept is None:
            kept = self._symbols[name] = SymbolKept(name, self._plan)
        return kept

    def clear(self) -> None:
        """Forget everything."""
        self._symbols.clear()
        for level, chunks in enumerate(self._chunks):
            chunks.clear()
            self._weight[level], self._most[level] = 0, _SPARE

    def put_chunk(self, level: int, parts: Parts, done: Ints) -> None:
        """Keep closed bars; when there are twice as many as there need be, let go those that `done` has passed.

        Args:
            level: of the bars.
            parts: the bars. They are kept as they are and must not be written to again.
            done: by symbol, the watermark less the horizon.
        """
        chunks = self._chunks[level]
        chunks.append(Chunk(parts))
        self._weight[level] += parts.size + _CHUNK
        if self._weight[level] <= self._most[level]:
            return
        done = self._plan.all_needed(level, done, self._numbers.names)
        pins = {self._numbers.id(s.name): s.pins[level] for s in self._symbols.values() if s.pins}
        few: list[Parts] = []
        for _ in range(len(chunks)):
            chunk = chunks.popleft()
            live = chunk.live(done, pins)
            if len(live) == chunk.parts.size:
                chunks.append(chunk)
            elif len(live) > _SMALL:
                chunks.append(Chunk(chunk.parts.take(live)))
            elif len(live):
                few.append(chunk.parts.take(live))
        if few:
            # Small remains are joined, or there would soon be more chunks than rows worth keeping.
            chunks.appendleft(Chunk(join(few)))
        self._weight[level] = sum(chunk.parts.size + _CHUNK for chunk in chunks)
        self._most[level] = 2 * self._weight[level] + _SPARE

    def revise(self, level: int, part: Bar, mark: int) -> Bar:
        """Merge a late partial into its closed window and return the next revision; the window may have been empty."""
        kept = self.symbol(part.symbol)
        old = kept.bars[level].get(part.start)
        if old is None:
            old = self._from_chunk(level, part.symbol, part.start)
            merged = part if old is None else merge(old, part)
            assert merged is not None
            bar = msgspec.structs.replace(merged, revision=1 if old is None else old.revision + 1)
            kept.put(level, bar, mark)
        else:
            merged = merge(old, part)
            assert merged is not None
            bar = kept.bars[level][part.start] = msgspec.structs.replace(merged, revision=old.revision + 1)
        return bar

    def _from_chunk(self, level: int, symbol: str, start: int) -> Bar | None:
        number = self._numbers.id(symbol)
        for chunk in reversed(self._chunks[level]):
            row = chunk.pop(number, start)
            if row is not None:
                return bar_at(chunk.parts, row, symbol, self._timeframes[level])
        return None

    def between(self, level: int, symbol: str, first: int, last: int) -> dict[int, Bar]:
        """Return what is kept of a level and symbol and has an instant of `[first, last]`, by start."""
        found: dict[int, Bar] = {}
        number = self._numbers.id(symbol)
        for chunk in self._chunks[level]:
            for row in chunk.within(number, first, last).nonzero()[0].tolist():
                if row not in chunk.taken:
                    bar = bar_at(chunk.parts, row, symbol, self._timeframes[level])
                    found[bar.start] = bar
        bars = self.symbol(symbol).bars[level]
        found.update((bar.start, bar) for bar in bars.values() if bar.end > first and bar.start <= last)
        return found

    def items(self, watermarks: Mapping[str, int]) -> Iterator[tuple[int, Bar]]:
        """Yield `(level, bar)` of what is kept and needed."""
        needed: dict[tuple[int, str], int] = {}
        for level, bar in self._all():
            key = level, bar.symbol
            if key not in needed:
                needed[key], _ = self._plan.needed(bar.symbol, level, watermarks[bar.symbol] - self._plan.back)
            pins = self.symbol(bar.symbol).pins
            if bar.end > needed[key] or (pins is not None and touches(pins[level], bar.start, bar.end - 1)):
                yield level, bar

    def _all(self) -> Iterator[tuple[int, Bar]]:
        for level, chunks in enumerate(self._chunks):
            for chunk in chunks:
                for row in range(chunk.parts.size):
                    if row not in chunk.taken:
                        symbol = self._numbers.name(int(chunk.parts.ints[ID, row]))
                        yield level, bar_at(chunk.parts, row, symbol, self._timeframes[level])
        for kept in self._symbols.values():
            for level, bars in enumerate(kept.bars):
                for bar in bars.values():
                    yield level, bar
