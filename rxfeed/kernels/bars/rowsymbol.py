"""What the row lane knows of one symbol: its open windows, its watermark, and where the next window lies."""

from __future__ import annotations

from datetime import date

from rxfeed.kernels.bars.acc import Acc, Rolled, Window, merge_rolled
from rxfeed.kernels.bars.kept import SymbolKept
from rxfeed.kernels.bars.plan import NEVER
from rxfeed.times import FOREVER
from rxfeed.windows import Grid, Segment


class Symbol:
    """One symbol's state. The watermark is the greater of `watermark` and the current window's last time.

    `coarser`: from when to when the windows of all levels but the finest stay as they are, and these windows.
    `coarse_end`: the earliest end of an open window above the finest level.
    `roll_until`: before this time a finest window that ends is the only one that does, and merges into `container`; the
    next one lies in the segment and the coarser windows of `rolling`.
    `rolled`: bars that have closed that way and are not in `container` yet, since merging many at once is cheaper. Whoever
    looks at a window above the finest calls `gather` first.
    """

    __slots__ = (
        "coarse_end", "coarser", "container", "current", "grids", "kept", "name", "opens", "roll_until", "rolled", "rolling",
        "segments", "watermark",
    )  # fmt: skip

    def __init__(self, name: str, grids: tuple[Grid, ...], kept: SymbolKept) -> None:
        self.name = name
        self.grids = grids
        self.kept = kept
        self.watermark = NEVER
        self.current = NOTHING
        self.opens: list[list[Acc]] = [[] for _ in grids]
        self.segments = [_NOWHERE] * len(grids)
        self.coarser: tuple[int, int, tuple[Window, ...]] = (0, 0, ())
        self.coarse_end = FOREVER
        self.container = NOTHING
        self.roll_until = NEVER
        self.rolling: tuple[Segment, tuple[Window, ...]] = (_NOWHERE, ())
        self.rolled: list[Rolled] = []

    def gather(self) -> None:
        """Merge what has rolled into its container."""
        if self.rolled:
            merge_rolled(self.container, self.rolled)
            self.rolled.clear()


_NOWHERE = Segment(0, 0, 0, 1, date.min)
NOTHING = Acc()
NOTHING.last_time, NOTHING.due, NOTHING.end = NEVER, NEVER, NEVER
"""The current window of a symbol that has none: no tick falls into it."""
