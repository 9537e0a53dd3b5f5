"""What both lanes of `bars` are told (the plan) and what they count (the tally)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from rxfeed.kernels.bars.parts import Ints
from rxfeed.model import Reject
from rxfeed.sessions import Session
from rxfeed.times import FOREVER, SECOND
from rxfeed.windows import Grid, Level, Windows

NEVER = -FOREVER
"""A watermark before any time: no element has been accepted yet."""


class Plan:
    """Levels, finest first, and how they feed each other.

    Args:
        windows: the timeframes on the default session.
        sessions: the same timeframes on another session, for the symbols that have their own.
        lateness: how long a window stays open after its end, ns of event time.
        horizon: how far behind the watermark a tick may be, ns.
        mends: whether windows may be replaced from history. What one is made of is then kept as long as it may change.
    """

    def __init__(
        self, windows: Windows, sessions: Mapping[str, Windows], lateness: int, horizon: int, *, mends: bool = False
    ) -> None:
        levels = windows.close_levels() if mends else windows.levels
        self.windows = windows
        self.mends = mends
        self.names = tuple(level.timeframe.name for level in levels)
        self.emitted = tuple(level.emitted for level in levels)
        self.sources = tuple(level.source or 0 for level in levels)
        self.consumers = tuple(level.parents for level in levels)
        self.only_consumer = self.consumers[0][0] if len(self.consumers[0]) == 1 else 0
        """The level that alone is merged from the finest; 0 if there are more or none."""
        self.lateness = lateness
        self.horizon = horizon
        self.back = max(horizon, lateness) if mends else horizon
        """How far behind the watermark bars may still change, by late ticks or since a gap is told."""
        numbers: dict[Windows, int] = {windows: 0}
        self._session = {symbol: numbers.setdefault(own, len(numbers)) for symbol, own in sessions.items()}
        self._grids = [_grids(own, levels) for own in numbers]
        self.sessions = tuple(own.session for own in numbers)
        self.one_session = len(self._grids) == 1

    @property
    def own_sessions(self) -> dict[str, Session]:
        """The session of each symbol that has its own."""
        return {symbol: self.sessions[number] for symbol, number in self._session.items()}

    def session_number(self, symbol: str) -> int:
        """Which of the plan's sessions a symbol trades in; 0 is the default."""
        return self._session.get(symbol, 0)

    def session_grids(self, number: int) -> tuple[Grid, ...]:
        """The grid of each level for a session."""
        return self._grids[number]

    def grids(self, symbol: str) -> tuple[Grid, ...]:
        """The grid of each level for a symbol."""
        return self._grids[self.session_number(symbol)]

    def needed(self, symbol: str, level: int, done: int) -> tuple[int, int]:
        """Return from which start on closed bars are needed, and for how long that stays so (until `done` is there).

        A bar is needed while it may change, that is while it ends after `done`, and while one that is made of it may.
        """
        if not self.mends:
            return done, done
        grids, least = self.grids(symbol), (FOREVER, 0)
        for consumer in self.consumers[level] or (level,):
            segment = grids[consumer].segment(done)
            least = min(least, (done, done + SECOND) if segment is None else segment.window(done)[:2])
        return least

    def all_needed(self, level: int, done: Ints, symbols: Sequence[str]) -> Ints:
        """Return, symbol by symbol, the time at which or before which bars end that are not needed."""
        if not self.mends or not self.consumers[level]:
            return done
        out, known = done.copy(), done > -(1 << 62)
        number = np.zeros(len(done), np.int64)
        if not self.one_session:
            number = np.array([self.session_number(symbol) for symbol in symbols[: len(done)]], np.int64)
        sessions: list[int] = np.unique(number[known]).tolist()
        for session in sessions:
            at = np.flatnonzero(known & (number == session))
            for consumer in self.consumers[level]:
                found = self._grids[session][consumer].windows(done[at])
                out[at] = np.where(found.inside, np.minimum(out[at], found.start), out[at])
        return out


def _grids(windows: Windows, levels: Sequence[Level]) -> tuple[Grid, ...]:
    return tuple(windows.grid_of(level.timeframe) for level in levels)


class Tally:
    """Ticks by what became of them (a partial bar counts its `count`), and the rejects nobody has heard of yet."""

    __slots__ = ("began", "closed", "heard", "outside", "rejected", "rejects")

    def __init__(self) -> None:
        self.heard = True
        """Whether anybody asks for rejects; if not, they are only counted."""
        self.closed = 0
        self.outside = 0
        self.rejected: Counter[str] = Counter()
        self.rejects: list[Reject] = []
        self.began: int | None = None

    def reject(self, reject: Reject, count: int) -> None:
        self.rejected[reject.rule] += count
        if self.heard:
            self.rejects.append(reject)

    def save(self) -> tuple[int, int, Counter[str], int, int | None]:
        """What `restore` needs to undo everything counted from now on."""
        return self.closed, self.outside, self.rejected.copy(), len(self.rejects), self.began

    def restore(self, saved: tuple[int, int, Counter[str], int, int | None]) -> None:
        self.closed, self.outside, self.rejected, heard, self.began = saved
        del self.rejects[heard:]
