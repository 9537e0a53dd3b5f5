"""The kernel of `dedupe`: rows and large frames are remembered in two ways, and judged as if in one.

Which elements pass, and all counts, are the same whichever way they come and however they are cut.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rxfeed.frame import Array, Frame
from rxfeed.kernels.dedupe.chunks import Chunk
from rxfeed.kernels.dedupe.frames import NEVER, FrameLane
from rxfeed.kernels.dedupe.keys import KINDS, Key, KeyLike
from rxfeed.kernels.dedupe.rows import SLICES, Memory, RowLane
from rxfeed.model import Depth, Quote, Tick
from rxfeed.times import Duration, nanoseconds

FEW_ROWS = 1_024
"""Frames with fewer rows are judged row by row."""
_LEAST_HORIZON = 1_000


class DedupeStats(NamedTuple):
    """received = emitted + duplicate."""

    received: int
    emitted: int
    duplicate: int
    """Dropped: the key was seen within the horizon."""
    remembered: int
    """Keys that count at present, at most the capacity."""
    evicted: int
    """Keys let go before their horizon, for want of capacity."""
    unchecked: int
    """Of the emitted: so far behind the watermark that the same key may have been let go already."""


class DedupeSnapshot(NamedTuple):
    """A kernel's state as frames: `symbols` with their slice of event time, `keys` oldest first, `counts` by name."""

    symbols: pl.DataFrame
    keys: pl.DataFrame
    counts: pl.DataFrame


class DedupeKernel:
    """What was seen, and whether an element was.

    Args:
        key: a field's name, a tuple of names, or for rows a callable.
        horizon: how long a key is remembered, in event time.
        capacity: how many keys are remembered at most.

    Raises:
        ValueError: a key without a field, a horizon under 1 us or a capacity under 1.
        TypeError: a key that is neither names nor a callable.
    """

    def __init__(self, key: KeyLike, horizon: Duration = "10m", capacity: int = 1_000_000) -> None:
        self.key = Key(key)
        ns = nanoseconds(horizon, name="horizon")
        if ns < _LEAST_HORIZON:
            raise ValueError(f"horizon must be at least 1us, got {horizon!r}")
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._width = -(-ns // SLICES)
        self._capacity = capacity
        self._rows = RowLane(self.key, self._width, capacity)
        self._frames: FrameLane | None = None
        self._checked: set[type[Any]] = set()
        self._worth = 0
        """How many rows would have been quicker the other way since the last change."""
        self.quick = self._rows.quick
        """By kind, whether an ordinary row passes as it is; where it says no, `element` must judge it."""

    def element(self, element: Tick | Quote | Depth) -> bool:
        """Return whether a row passes."""
        kind = type(element)
        self._check(kind)
        key = self.key.of(element)
        self._use_rows()
        return self._rows.judge(kind, element.symbol, element.time, key)

    def frame(self, frame: Frame[Any]) -> Array | None:
        """Return which rows of a frame pass, or None if all do.

        Raises:
            TypeError: the key is a callable, or names a field that the frame has not.
        """
        if self.key.names is None:
            raise TypeError(f"dedupe with a callable key takes rows, got Frame[{frame.kind.__name__}]; name fields instead")
        self._check(frame.kind)
        few = len(frame) < FEW_ROWS
        # To change costs something for each key, so it must have been worth that much.
        if few == (self._frames is None):
            self._worth = 0
        else:
            self._worth += FEW_ROWS - len(frame) if few else len(frame)
            if self._worth >= self._held():
                if few:
                    self._use_rows()
                else:
                    self._use_frames()
        if not len(frame):
            return None
        if self._frames is not None:
            return self._frames.frame(frame)
        judge, kind = self._rows.judge, frame.kind
        symbols, times = frame.df["symbol"].to_list(), frame.column("time").tolist()
        keep = [judge(kind, *row) for row in zip(symbols, times, self.key.values(frame.df), strict=True)]
        return None if all(keep) else np.array(keep, np.bool_)

    @property
    def stats(self) -> DedupeStats:
        """What became of the elements so far."""
        lane = self._frames or self._rows
        emitted = lane.number
        return DedupeStats(
            emitted + lane.duplicate, emitted, lane.duplicate, lane.remembered(), lane.evicted, lane.unchecked
        )  # fmt: skip

    # --- snapshots

    def snapshot(self) -> DedupeSnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there.

        Raises:
            TypeError: the key is a callable.
        """
        lane = self._frames or self._rows
        symbols, keys = _of_rows(lane) if isinstance(lane, RowLane) else _of_frames(lane)
        counts = {
            "number": lane.number, "full_at": lane.full_at,
            "duplicate": lane.duplicate, "evicted": lane.evicted, "unchecked": lane.unchecked,
        }  # fmt: skip
        counted = pl.DataFrame(list(counts.items()), {"name": pl.String, "value": pl.Int64}, orient="row")
        return DedupeSnapshot(symbols, keys, counted)

    def restore(self, snapshot: DedupeSnapshot) -> None:
        """Take over a state, instead of the present one."""
        lane = self._rows
        self._frames, self._worth = None, 0
        lane.clear()
        kinds = {kind.__name__: kind for kind in KINDS}
        for kind, symbol, at in snapshot.symbols.iter_rows():
            self._check(kinds[kind])
            memory = lane.tables[kinds[kind]][symbol] = Memory()
            memory.at, memory.low, memory.due = at, (at - SLICES) * self._width, (at + 1) * self._width
        keys = snapshot.keys
        for kind, symbol, key, at, number in zip(
            keys["type"], keys["symbol"], self.key.values(keys), keys["slice"], keys["number"], strict=True
        ):
            memory = lane.tables[kinds[kind]][symbol]
            if not memory.marks or memory.marks[-1][0] != at:
                memory.marks.append((at, number, len(memory.known)))
            memory.known[key] = number
        counts = self._counts(snapshot, lane)
        for memory in lane.memories():
            if not memory.marks or memory.marks[-1][0] != memory.at:
                memory.marks.append((memory.at, counts["number"], len(memory.known)))
            memory.floor = memory.marks[0][1]
        lane.go_on_from(counts["number"], counts["full_at"])

    def _counts(self, snapshot: DedupeSnapshot, lane: RowLane | FrameLane) -> dict[str, int]:
        counts: dict[str, int] = dict(snapshot.counts.iter_rows())
        lane.duplicate, lane.evicted, lane.unchecked = counts["duplicate"], counts["evicted"], counts["unchecked"]
        return counts

    # --- the two ways

    def _check(self, kind: type[Any]) -> None:
        if kind not in self._checked:
            self.key.check(kind)
            self._checked.add(kind)

    def _held(self) -> int:
        lane = self._frames
        return len(lane.chunks) if lane is not None else sum(len(memory.known) for memory in self._rows.memories())

    def _use_rows(self) -> None:
        if self._frames is not None:
            self.restore(self.snapshot())

    def _use_frames(self) -> None:
        snapshot = self.snapshot()
        lane = FrameLane(self.key, self._width, self._capacity)
        counts = self._counts(snapshot, lane)
        lane.number, lane.full_at = counts["number"], counts["full_at"]
        kinds = {kind.__name__: kind for kind in KINDS}
        for kind, symbol, at in snapshot.symbols.iter_rows():
            lane.enter(kinds[kind], symbol, max(at * self._width, NEVER + 1))
        keys = snapshot.keys
        if len(keys):
            names = zip(keys["type"], keys["symbol"], strict=True)
            number = np.array([lane.symbols[kinds[kind], symbol] for kind, symbol in names], np.int64)
            seen = keys["slice"].to_numpy() * self._width
            lane.load(Chunk([number, *self.key.ints(keys)], seen, keys["number"].to_numpy(), ordered=False))
        self._rows.clear()
        self._frames, self._worth = lane, 0


def _of_rows(lane: RowLane) -> tuple[pl.DataFrame, pl.DataFrame]:
    key = lane.key
    symbols: list[tuple[str, str, int]] = []
    tables = [_keys(key, [], [], [], [], [])]
    for kind, table in lane.tables.items():
        for symbol, memory in table.items():
            symbols.append((kind.__name__, symbol, memory.at))
            live = memory.live()
            numbers = list(live.values())
            marks = np.array([mark[:2] for mark in memory.marks], np.int64)
            slices = marks[np.searchsorted(marks[:, 1], numbers, "right") - 1, 0]
            names = [kind.__name__] * len(live), [symbol] * len(live)
            tables.append(_keys(key, *names, list(live), slices, numbers))
    return _symbols(symbols), pl.concat(tables).sort("number")


def _of_frames(lane: FrameLane) -> tuple[pl.DataFrame, pl.DataFrame]:
    lane.compact()
    names = [(kind.__name__, symbol) for kind, symbol in lane.symbols]
    watermarks = lane.watermark[: len(names)].tolist()
    symbols = [(*name, mark // lane.width) for name, mark in zip(names, watermarks, strict=True) if mark > NEVER]
    tables = [_keys(lane.key, [], [], [], [], [])]
    for part in lane.chunks.parts:
        numbers: list[int] = part.columns[0].tolist()
        kinds, of = [names[number][0] for number in numbers], [names[number][1] for number in numbers]
        tables.append(_table(kinds, of, lane.key.back(part.columns[1:]), part.seen // lane.width, part.number))
    return _symbols(symbols), pl.concat(tables).sort("number")


def _symbols(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, {"type": pl.String, "symbol": pl.String, "slice": pl.Int64}, orient="row")


def _keys(key: Key, kinds: list[str], symbols: list[str], keys: list[Any], slices: Any, numbers: Any) -> pl.DataFrame:
    return _table(kinds, symbols, key.table(keys), slices, numbers)


def _table(kinds: list[str], symbols: list[str], keys: list[pl.Series], slices: Any, numbers: Any) -> pl.DataFrame:
    return pl.DataFrame([
        pl.Series("type", kinds, pl.String), pl.Series("symbol", symbols, pl.String), *keys,
        pl.Series("slice", slices, pl.Int64), pl.Series("number", numbers, pl.Int64),
    ])  # fmt: skip
