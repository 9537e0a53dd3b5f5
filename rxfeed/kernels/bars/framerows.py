"""The ticks of a frame as the frame lane sees them: symbol by symbol, with their windows, on time or late."""

from __future__ import annotations

import numpy as np

from rxfeed.frame import Array, Frame
from rxfeed.kernels.bars.parts import Ints, Parts
from rxfeed.kernels.bars.plan import NEVER
from rxfeed.model import Reject, Tick

_COLUMNS = ("time", "seq", "price", "size", "side")


class Rows:
    """The ticks of a frame, symbol by symbol: block i is rows `starts[i]` to `starts[i + 1]` of symbol `ids[i]`.

    Columns are brought into that order when they are asked for; of `time` and `seq` an ordinary frame needs only a few
    rows, by `at`.
    """

    __slots__ = ("_columns", "_frame", "end", "ids", "origin", "rejects", "start", "starts")

    def __init__(self, frame: Frame[Tick], ids: Ints) -> None:
        self._frame = frame
        self._columns: dict[str, Array] = {}
        self.starts: Ints = frame.groups.starts
        self.origin: Array | None = frame.groups.order
        self.ids = ids
        self.rejects: list[tuple[int, Reject]] = []
        """Row of the frame, and the reject."""
        self.start: Ints
        self.end: Ints

    def __len__(self) -> int:
        return int(self.starts[-1])

    def column(self, name: str) -> Array:
        """Return a column in the order of the rows."""
        return self._columns[name] if self._columns else self._frame.grouped(name)

    def at(self, name: str, rows: Ints) -> Array:
        """Return a column at some rows."""
        if self._columns:
            return self._columns[name][rows]
        return self._frame.column(name)[rows if self.origin is None else self.origin[rows]]

    @property
    def whole(self) -> Frame[Tick] | None:
        """The frame, if all its rows are still here."""
        return None if self._columns else self._frame

    def first(self) -> Ints:
        """Return the row that came first."""
        return np.array(0 if self.origin is None else self.origin.argmin())

    def keep(self, rows: Array, block: Ints) -> None:
        """Keep only `rows` (in this order), which belong to the blocks `block`."""
        self._columns = {name: self.column(name)[rows] for name in _COLUMNS}
        for name in ("start", "end"):
            if hasattr(self, name):
                setattr(self, name, getattr(self, name)[rows])
        self.origin = rows if self.origin is None else self.origin[rows]
        counts = np.bincount(block, minlength=len(self.ids))
        self.ids = self.ids[counts > 0]
        self.starts = np.concatenate(([0], np.cumsum(counts[counts > 0])))

    def blocks(self) -> Ints:
        """The block of each row."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.starts))

    def in_order(self, marks: Ints) -> bool:
        """Whether every block is in the order of (time, seq) and does not begin before its watermark."""
        if not bool((self.at("time", self.starts[:-1]) >= marks).all()):
            return False
        if self.whole is not None and self.whole.ordered:
            return True
        time, seq = self.column("time"), self.column("seq")
        good = time[1:] >= time[:-1]
        good &= seq[1:] >= seq[:-1]
        good[self.starts[1:-1] - 1] = True
        return bool(good.all())


class Late:
    """The late rows of a frame, with the watermark before each."""

    __slots__ = ("before", "ids", "price", "seq", "side", "size", "time")

    def __init__(self, rows: Rows, which: Ints, before: Ints, block: Ints) -> None:
        self.ids = rows.ids[block[which]]
        self.before = before[which]
        self.time, self.seq, self.price, self.size, self.side = (rows.column(name)[which] for name in _COLUMNS)

    def parts(self) -> Parts:
        """Each row as a partial bar, of no window yet."""
        n = len(self.time)
        size, price = self.size, self.price
        none = np.zeros(n, np.int64)
        ints = np.stack([
            self.ids, none, none, none, none,
            size, np.ones(n, np.int64), size * (self.side == 1), size * (self.side == 2),
            self.time, self.seq, self.time, self.seq,
        ])  # fmt: skip
        return Parts(ints, np.stack([price, price, price, price, price * size]))


def less(marks: Ints, by: int) -> Ints:
    """Return `marks - by` without going below what int64 can hold."""
    return np.maximum(marks, NEVER + by) - by


def running_maximum(time: Ints, begin: Ints, starts: Ints) -> Ints:
    """Return each block's running maximum of `time`, beginning from `begin`."""
    sizes = np.diff(starts)
    low, high = int(time.min()), max(int(time.max()), int(begin.max()))
    if high - low >= 1 << 62:
        return _by_block(time, begin, starts)
    floor = np.maximum(begin, low)
    shifted = np.maximum(time, np.repeat(floor, sizes)) - low
    span = int(shifted.max()) + 1
    if span * len(sizes) < 1 << 62:
        # One pass over all blocks: lift each above the one before, so that no maximum carries over.
        lift = np.repeat(np.arange(len(sizes)) * span, sizes)
        return np.maximum.accumulate(shifted + lift) - lift + low
    return _by_block(time, begin, starts)


def _by_block(time: Ints, begin: Ints, starts: Ints) -> Ints:
    """The same, block by block, for times so far apart that their differences do not fit int64."""
    out = time.copy()
    for low, first, last in zip(begin.tolist(), starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        np.maximum.accumulate(np.maximum(time[first:last], low), out=out[first:last])
    return out
