"""One contract over two connections: joining them, joined, and what is left when one of them has ended."""

from __future__ import annotations

from typing import Final, Literal

from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import FOREVER

from .joining import Joining, Steps
from .owed import NEW, OLD, Owed

Cut = Literal["certain", "uncertain"]

JOINING: Final = 0
"""Old passes through, new is held."""
KEEPING: Final = 1
"""Likewise, but new has ended: what it said is kept until old has said it too."""
JOINED: Final = 2
"""Whichever is first passes through."""
LAST: Final = 3
"""One has ended, and the other still owes: what it owes is skipped."""
OVER: Final = 4
"""One has ended, and nothing is owed: the other one is all there is."""

UNCERTAIN: Final = "overlap_uncertain"


class Contract:
    """The splice of one contract.

    Args:
        symbol: its name.
        steps: how far time steps back; shared by all contracts of the feed.
        since: where a gap begins if old has said nothing; None: not known.
        gaps: takes what may have been lost.
    """

    __slots__ = (
        "_first", "_gaps", "_open", "_owed", "_since", "_start", "_steps", "_symbol", "_top_ended", "_top_new", "_top_old",
        "how", "joining", "stage",
    )  # fmt: skip

    def __init__(self, symbol: str, steps: Steps, since: int | None, gaps: list[Gap]) -> None:
        self._symbol, self._steps, self._since, self._gaps = symbol, steps, since, gaps
        self.stage = JOINING
        self.how: Cut | None = None
        self.joining = Joining(steps)
        self._owed = Owed()
        self._top_old = self._top_new = self._top_ended = -FOREVER  # newest event times; of the one that has ended
        self._first: int | None = None  # event time of new's first trade
        self._start: int | None = None  # of the gap of a cut without certainty
        self._open = False  # whether that gap's end is not known yet

    @property
    def held(self) -> int:
        """How many trades are held, of both connections."""
        return len(self.joining.ticks) + len(self.joining.alignment.waiting)

    # --- trades

    def old(self, tick: Tick, out: list[Tick]) -> None:
        """Take a trade of the old connection."""
        time = tick.time
        key = time, tick.price, tick.size, tick.side
        if time >= self._top_old:
            self._top_old = time
        elif self._top_old - time > self._steps.seen:
            self._steps.saw(self._top_old - time)
        if self.stage == JOINED:
            if self._owed.said(key, OLD):
                out.append(tick)
        elif self.stage == LAST:
            self._last(tick, out)
        else:
            out.append(tick)
            if self.joining.old(key, self._top_old) and self.stage == JOINING:
                self.judge(out)
            elif self.stage == KEEPING and self._passed():
                self._end()

    def new(self, tick: Tick, out: list[Tick]) -> None:
        """Take a trade of the new connection."""
        time = tick.time
        key = time, tick.price, tick.size, tick.side
        if time >= self._top_new:
            self._top_new = time
        elif self._top_new - time > self._steps.seen:
            self._steps.saw(self._top_new - time)
        if self._first is None:
            self._first = time
            if self._open:
                self._gap()
        if self.stage == JOINED:
            if self._owed.said(key, NEW):
                out.append(tick)
        elif self.stage == LAST:
            self._last(tick, out)
        elif self.joining.new(tick, key):
            self.judge(out)

    def judge(self, out: list[Tick]) -> None:
        """Join the two, if it is certain how: from then on whichever is first is followed."""
        if not self.joining.certain(self._top_old):
            return
        alignment, ticks = self.joining.alignment, self.joining.ticks
        self.stage, self.how, self.joining = JOINED, "certain", Joining(self._steps)
        for key in alignment.waiting:
            self._owed.said(key, OLD)
        for key in alignment.later[alignment.matched :]:
            self._owed.said(key, NEW)
        out.extend(ticks[alignment.matched :])

    # --- ends

    def lose_old(self, out: list[Tick], origin: int | None) -> None:
        """Old has ended: what is held comes out. `origin` is where a gap begins if nothing else is known."""
        if self.stage == JOINED:
            self._alone(OLD, self._top_old)
        elif self.stage == LAST:
            self._end()
        elif self.stage == KEEPING and self.joining.proven():
            self.how = "certain"
            out.extend(self.joining.ticks[self.joining.alignment.matched :])
            self._end()
        elif self.stage != OVER:
            self._force(out, origin)

    def lose_new(self, *, keep: bool) -> None:
        """New has ended: old goes on. Where it is not joined, what new said is kept, if at all, until old has said it too."""
        if self.stage == JOINED:
            self._alone(NEW, self._top_new)
        elif self.stage == LAST:
            self._end()
        elif self.stage == JOINING:
            self.stage = KEEPING
            if not keep or self._passed():
                self._end()

    def _passed(self) -> bool:
        """Return whether old has said all that is kept."""
        return self.joining.all_matched or self._top_old - self._top_new > self._steps.expected

    def _alone(self, by: int, top: int) -> None:
        """One of two that are joined has ended, after `top`."""
        self._owed.alone(by)
        self.stage, self._top_ended = LAST, top
        if not self._owed.left:
            self._end()

    def _last(self, tick: Tick, out: list[Tick]) -> None:
        time = tick.time
        if not self._owed.paid((time, tick.price, tick.size, tick.side)):
            out.append(tick)
            if self._start is not None and time < self._start:
                # Old may have said it before it was counted; the next ones like it are most likely in this gap too.
                self._gaps.append(Gap(self._symbol, time, self._start, UNCERTAIN))
                self._start = time
        # Past the end of the other by more than time steps back, nothing is owed any more.
        if (self.how == "certain" and not self._owed.left) or time - self._top_ended > self._steps.expected:
            self._end()

    def _end(self) -> None:
        self.stage, self._owed, self.joining = OVER, Owed(), Joining(self._steps)

    # --- without certainty

    def _force(self, out: list[Tick], origin: int | None) -> None:
        """Follow new without certainty: what may be one of old's is taken for it, and a gap has the rest.

        What neither said is after old's end and before new's beginning, so its times are at most a step back before the newest
        of the one, and a step back after the first of the other. What is wrongly taken for one of old's has the time of one of
        old's, and is after old's end too.
        """
        ended, ticks = self.stage == KEEPING, self.joining.ticks
        self._owed.instead(self.joining.said())
        self.stage, self.how = LAST, "uncertain"
        known = self._top_old if self._top_old > -FOREVER else origin if self._since is None else self._since
        if known is not None:
            self._start, self._top_ended = known - self._steps.expected, known
        self._gap()
        for tick in ticks:
            if self.stage == LAST:
                self._last(tick, out)
            else:
                out.append(tick)
        if ended:
            self._end()

    def _gap(self) -> None:
        """Tell of the gap of a cut without certainty: its end is known when new's first trade is."""
        self._open = self._first is None
        if self._first is not None:
            if self._start is None:
                self._start = self._first - self._steps.expected
            end = max(self._top_ended, self._first + self._steps.expected)
            self._gaps.append(Gap(self._symbol, self._start, end, UNCERTAIN))
        elif self._start is not None:
            self._gaps.append(Gap(self._symbol, self._start, ONGOING, UNCERTAIN))
