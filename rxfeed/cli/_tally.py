"""How many bars there were and what is in them, by their newest revisions, in memory that does not grow."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rxfeed.model import Bar

_MANY: Final = 4_096


class Tally:
    """Counts bars.

    Args:
        horizon: how far back a bar may still be revised, in nanoseconds.
    """

    def __init__(self, horizon: int) -> None:
        self.bars: Final = Counter[str]()
        """By timeframe, each once."""
        self.trades: Final = Counter[str]()
        """In them, by timeframe."""
        self.revisions = 0
        self._horizon = horizon
        self._counts: dict[tuple[str, str, int], tuple[int, int]] = {}
        """By identity, end and count of the bars that may still come out again."""
        self._newest: dict[str, int] = {}
        self._many = _MANY

    def add(self, bar: Bar) -> None:
        """Take a bar; a later one replaces an earlier one of the same symbol, timeframe and start."""
        count = bar.count or 0
        _, before = self._counts.get(bar.identity, (0, None))
        if before is None:
            self.bars[bar.timeframe] += 1
        else:
            self.revisions += 1
        self.trades[bar.timeframe] += count - (before or 0)
        self._counts[bar.identity] = bar.end, count
        self._newest[bar.symbol] = max(bar.end, self._newest.get(bar.symbol, bar.end))
        if len(self._counts) > self._many:
            # A tick that would change a bar is refused when its symbol's watermark is `horizon` past it.
            newest, horizon = self._newest, self._horizon
            self._counts = {
                identity: kept for identity, kept in self._counts.items() if newest[identity[0]] < kept[0] + horizon
            }
            self._many = max(_MANY, 2 * len(self._counts))
