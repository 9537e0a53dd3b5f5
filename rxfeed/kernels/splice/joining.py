"""Which of old's trades the new connection began with: what is known of it, and whether it is certain."""

from __future__ import annotations

from collections import deque
from typing import Final

from rxfeed.model import Tick
from rxfeed.times import FOREVER, SECOND

from .alignment import Alignment, Key

RECENT: Final = 4_096
"""Of old's trades as many are remembered: new may be that many behind, for each contract, when it is looked for anew."""
_PATIENCE: Final = SECOND // 4


class Steps:
    """How far event time steps back on this feed, in ns."""

    __slots__ = ("expected", "seen")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.seen = 0

    def saw(self, step: int) -> None:
        """Take a step back into account."""
        self.seen = max(self.seen, step)
        self.expected = max(self.expected, step)


class Joining:
    """Two connections of one contract, until it is certain how they belong together.

    What takes something in returns whether it may be `certain` now.

    Two things make it so. The first is a proof from the trades: both have said a stretch of trades in which time steps up by
    more than it ever steps back. Were new's beginning at another place too, the stretch would repeat itself, and after its end
    its beginning would come again, with its times: that is such a step back. So no other place is possible, however many prints
    are equal. The second are answers: they leave a few places, of which the trades rule out all but one.

    Args:
        steps: how far time steps back; shared by all contracts of the feed.
    """

    __slots__ = (
        "_before", "_bound", "_expected", "_heard", "_limit", "_mark", "_news", "_olds", "_recent", "_steps", "alignment",
        "restarts", "ticks",
    )  # fmt: skip

    def __init__(self, steps: Steps) -> None:
        self._steps, self._expected = steps, steps.expected
        self.alignment = Alignment()
        self.ticks: list[Tick] = []
        """New's trades: the alignment's later sequence."""
        self.restarts = 0
        """How often the two were found to differ."""
        self._olds = self._news = 0
        self._before = 0  # how many more of old's trades than of new's are before the alignment
        self._recent: deque[Key] = deque(maxlen=RECENT)
        self._mark: tuple[int, int] | None = None
        self._bound: int | None = (
            None  # as many more of old's trades than of new's there can be before new's first, by an answer
        )
        self._heard = 0  # how many new had said when the question was sent
        self._limit = FOREVER  # when old's time is past this, it has said new's first trade

    # --- trades

    def old(self, key: Key, top: int) -> bool:
        """Take a trade of the old connection, whose newest time is `top`."""
        self._olds += 1
        self._recent.append(key)
        alignment = self.alignment
        alignment.older(key)
        if top > self._limit and not alignment.waiting:
            self._miss(top)
        return alignment.matched >= alignment.proof or self._bound is not None

    def new(self, tick: Tick, key: Key) -> bool:
        """Take a trade of the new connection."""
        self._news += 1
        self.ticks.append(tick)
        alignment = self.alignment
        alignment.later_one(key, self._expected)
        if len(alignment.later) == 1:
            self._limit = key[0] + self._expected + _PATIENCE
        return alignment.matched >= alignment.proof or self._bound is not None

    # --- answers

    def mark(self) -> tuple[int, int]:
        """Return how much has come."""
        return self._olds, self._news

    def subscribed(self) -> None:
        """Take that Subscribe's Completion has come on new."""
        if self._mark is None:
            self._mark = self.mark()

    def old_answered(self, mark: tuple[int, int] | None) -> bool:
        """Take that old has answered a question of after the mark: all that new had said then, old has said by now."""
        mark = self._mark if mark is None else mark
        if self._mark is None or mark is None:
            return False
        bound = self._olds - mark[1]
        if self._bound is None or bound < self._bound:
            self._bound, self._heard = bound, mark[1]
        return True

    def new_answered(self, mark: tuple[int, int]) -> None:
        """Take that new has answered a question of after the mark: of what old had said then, new has said all it ever says."""
        self.alignment.rule_out(mark[0] - self._news - self._before)

    # --- how it stands

    def certain(self, top: int) -> bool:
        """Return whether it is known where new began. If what is known is a contradiction, it is looked for anew."""
        if self.proven():
            return True
        bound, alignment = self._bound, self.alignment
        if bound is None or alignment.next_place + self._before <= bound:
            return False
        if alignment.place + self._before <= bound:
            # If new's first trade is after all of old's, time steps back no more than it has done before.
            return not alignment.later or alignment.matched > 0 or top - alignment.later[0][0] <= self._steps.seen
        # Old has not said what new had said when old was asked: it did so before, or was not subscribed yet.
        self._restart(max(self._heard - self._news + len(self.ticks), 0) or self._later(top))
        return False

    def proven(self) -> bool:
        """Return whether it is known from the trades alone."""
        if self._expected != self._steps.expected:
            self._expected = self._steps.expected
            self.alignment.prove(self._expected)
        return self.alignment.matched >= self.alignment.proof

    @property
    def all_matched(self) -> bool:
        """Whether all that new has said is among what old has said."""
        return self.alignment.matched == len(self.ticks)

    @property
    def mismatched(self) -> bool:
        """Whether new's trades are not among old's, as far as can be told."""
        return self.restarts > 0 or bool(self.ticks and self._recent and not self.alignment.matched)

    def said(self) -> deque[Key]:
        """Return old's trades that new may say as well, as far as they are remembered."""
        return max(self._recent, self.alignment.waiting, key=len)

    # --- anew

    def _miss(self, top: int) -> None:
        """Old is past new's first trade by so much that it has said it."""
        self._limit = self.alignment.later[0][0] + self._steps.expected + _PATIENCE
        if top > self._limit and not self.proven():
            self._restart(self._later(top))

    def _later(self, top: int) -> int:
        """Return the place of new's first trade that is later than all of old's."""
        return next((place for place, tick in enumerate(self.ticks) if tick.time >= top), len(self.ticks))

    def _restart(self, first: int) -> None:
        """Look again, from new's trade at place `first` on: until then the two differ."""
        self.restarts += 1
        self._bound = None
        self._before = self._olds - len(self._recent) - (self._news - len(self.ticks) + first)
        later, self.ticks = self.alignment.later[first:], self.ticks[first:]
        alignment = self.alignment = Alignment()
        for key in self._recent:
            alignment.older(key)
        for key in later:
            alignment.later_one(key, self._expected)
        self._limit = later[0][0] + self._expected + _PATIENCE if later else FOREVER
