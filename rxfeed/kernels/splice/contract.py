"""One contract over two connections: joining them, joined, and what is left when one of them has ended.

While they are being joined old passes through, and new is held. When it is certain which of old's trades new began with, the
two are joined: from then on whichever shows a trade first is followed, and the other one owes it. So either may end at any
moment, and nothing is lost or comes twice.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, Literal

from rxfeed.model import ONGOING, Gap, Tick
from rxfeed.times import FOREVER, SECOND

from .alignment import Alignment, Key

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


class Contract:
    """The splice of one contract.

    Args:
        symbol: its name.
        steps: how far time steps back; shared by all contracts of the feed.
        since: where a gap begins if old has said nothing; None: not known.
        gaps: takes what may have been lost.
    """

    __slots__ = (
        "_alignment", "_before", "_bound", "_expected", "_first", "_gaps", "_mark", "_news", "_olds", "_open", "_owed",
        "_owes", "_recent", "_since", "_start", "_steps", "_symbol", "_ticks", "_top_new", "_top_other", "how",
        "restarts", "stage", "top",
    )  # fmt: skip

    def __init__(self, symbol: str, steps: Steps, since: int | None, gaps: list[Gap]) -> None:
        self._symbol, self._steps, self._since, self._gaps = symbol, steps, since, gaps
        self.stage = JOINING
        self.how: Cut | None = None
        self.top = -FOREVER
        """Old's newest event time."""
        self._top_new = -FOREVER
        self._first: int | None = None  # event time of new's first trade
        self._expected = steps.expected
        self._olds = self._news = 0
        self._alignment = Alignment()
        self._ticks: list[Tick] = []  # those of the alignment's later sequence
        self._before = 0  # how many more of old's trades than of new's are before the alignment
        self._recent: deque[Key] = deque(maxlen=RECENT)
        self._mark: tuple[int, int] | None = None
        self._bound: int | None = None  # how many trades new is behind old at most, were all delivered at once
        self.restarts = 0
        self._owed: dict[Key, int] = {}  # above 0 new owes it, below 0 old does
        self._owes = 0
        self._top_other = -FOREVER  # the newest event time of the one that has ended
        self._start: int | None = None  # of the gap of a cut without certainty
        self._open = False  # whether that gap's end is not known yet

    @property
    def held(self) -> int:
        """How many trades are held, of both connections."""
        return len(self._ticks) + len(self._alignment.waiting)

    @property
    def mismatched(self) -> bool:
        """Whether new's trades are not among old's, as far as can be told."""
        return self.restarts > 0 or bool(self._ticks and self._recent and not self._alignment.matched)

    # --- trades

    def old(self, tick: Tick, out: list[Tick]) -> None:
        """Take a trade of the old connection."""
        time = tick.time
        key = time, tick.price, tick.size, tick.side
        if time >= self.top:
            self.top = time
        elif self.top - time > self._steps.seen:
            self._steps.saw(self.top - time)
        if self.stage == JOINED:
            self._old_joined(tick, key, out)
            return
        if self.stage == LAST:
            self._last(tick, key, out)
            return
        out.append(tick)
        self._olds += 1
        self._recent.append(key)
        self._alignment.older(key)
        if self.stage == JOINING:
            self._judge(out)
        elif self._passed():
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
            self._new_joined(tick, key, out)
            return
        if self.stage == LAST:
            self._last(tick, key, out)
            return
        self._news += 1
        self._ticks.append(tick)
        self._alignment.later_one(key, self._expected)
        self._judge(out)

    # --- answers

    def mark(self) -> tuple[int, int]:
        """Return how much has come."""
        return self._olds, self._news

    def new_subscribed(self) -> None:
        """Subscribe's Completion has come."""
        if self.stage == JOINING and self._mark is None:
            self._mark = self.mark()

    def old_answered(self, mark: tuple[int, int] | None, out: list[Tick]) -> None:
        """Old has answered a question of after the mark: all that new had said then, old has said by now."""
        mark = self._mark if mark is None else mark
        if self.stage != JOINING or self._mark is None or mark is None:
            return
        bound = self._olds - mark[1]
        if self._bound is None or bound < self._bound:
            self._bound = bound
        self._judge(out)

    def new_answered(self, mark: tuple[int, int], out: list[Tick]) -> None:
        """New has answered a question of after the mark: all that old had said then and new was to say, it has said by now."""
        if self.stage == JOINING:
            self._alignment.rule_out(mark[0] - self._news - self._before)
            self._judge(out)

    # --- ends

    def lose_old(self, out: list[Tick], origin: int | None) -> None:
        """Old has ended: what is held comes out. `origin` is where a gap begins if there never was a trade before."""
        if self.stage == JOINED:
            self._alone(1, self.top)
        elif self.stage == LAST:
            self._end()
        elif self.stage == KEEPING and self._proven():
            self.how = "certain"
            out.extend(self._ticks[self._alignment.matched :])
            self._end()
        elif self.stage != OVER:
            self._force(out, origin)

    def lose_new(self, *, keep: bool = True) -> None:
        """New has ended: old goes on. What new said is kept, unless it is too much, until old has said it too."""
        if self.stage == JOINED:
            self._alone(-1, self._top_new)
        elif self.stage == LAST:
            self._end()
        elif self.stage == JOINING:
            self.stage = KEEPING
            if not keep or self._passed():
                self._end()

    # --- joining

    def _judge(self, out: list[Tick]) -> None:
        """Join if that is certain; begin anew if it cannot become so."""
        alignment = self._alignment
        if self._proven():
            self._join(out)
            return
        bound = self._bound
        if bound is not None:
            place = alignment.place + self._before
            if place > bound:
                self._restart()
                return
            if alignment.next_place + self._before > bound and self._plausible():
                self._join(out)
                return
        # Old is past new's first trade by so much that it has said it, and it is nowhere.
        if alignment.later and not alignment.waiting and self.top - alignment.later[0][0] > self._steps.expected + _PATIENCE:
            self._restart()

    def _proven(self) -> bool:
        """Return whether a stretch that both have said steps up in time by more than time ever steps back.

        Then no other place is possible: two would mean that the stretch repeats itself, so that after its end its beginning
        would have come again, with its times.
        """
        if self._expected != self._steps.expected:
            self._expected = self._steps.expected
            self._alignment.prove(self._expected)
        return self._alignment.matched >= self._alignment.proof

    def _plausible(self) -> bool:
        """Return whether new's first trade may well be after all of old's: it steps back no more than was seen before."""
        alignment = self._alignment
        return not alignment.later or alignment.matched > 0 or self.top - alignment.later[0][0] <= self._steps.seen

    def _join(self, out: list[Tick]) -> None:
        alignment, owed = self._alignment, self._owed
        self.stage, self.how = JOINED, "certain"
        for key in alignment.waiting:
            owed[key] = owed.get(key, 0) + 1
        for key in alignment.later[alignment.matched :]:
            owed[key] = owed.get(key, 0) - 1
        out.extend(self._ticks[alignment.matched :])
        self._clear()

    def _restart(self) -> None:
        """Look again, from new's first trade that is later than all of old's: the sequences were not the same before."""
        ticks = self._ticks
        first = next((place for place, tick in enumerate(ticks) if tick.time >= self.top), len(ticks))
        self.restarts += 1
        self._bound = None
        self._before = self._olds - len(self._recent) - (self._news - len(ticks) + first)
        self._ticks = ticks[first:]
        later, alignment = self._alignment.later[first:], Alignment()
        self._alignment = alignment
        for key in self._recent:
            alignment.older(key)
        for key in later:
            alignment.later_one(key, self._expected)

    def _passed(self) -> bool:
        """Return whether old has said all that is kept."""
        alignment = self._alignment
        return alignment.matched == len(alignment.later) or self.top - self._top_new > self._steps.expected

    # --- joined

    def _old_joined(self, tick: Tick, key: Key, out: list[Tick]) -> None:
        owed = self._owed
        count = owed.get(key, 0)
        if count >= 0:
            out.append(tick)
            owed[key] = count + 1
        elif count == -1:
            del owed[key]
        else:
            owed[key] = count + 1

    def _new_joined(self, tick: Tick, key: Key, out: list[Tick]) -> None:
        owed = self._owed
        count = owed.get(key, 0)
        if count <= 0:
            out.append(tick)
            owed[key] = count - 1
        elif count == 1:
            del owed[key]
        else:
            owed[key] = count - 1

    def _alone(self, sign: int, top: int) -> None:
        """One has ended, after `top`: the other is followed, but for what it owes (1: new, -1: old)."""
        self._owed = {key: abs(count) for key, count in self._owed.items() if count * sign > 0}
        self._owes = sum(self._owed.values())
        self._top_other = top
        self.stage = LAST
        if not self._owes:
            self._end()

    def _last(self, tick: Tick, key: Key, out: list[Tick]) -> None:
        count = self._owed.get(key, 0)
        if count:
            self._owed[key] = count - 1
            self._owes -= 1
        else:
            out.append(tick)
            if self._start is not None and tick.time < self._start:
                self._gaps.append(Gap(self._symbol, tick.time, tick.time, UNCERTAIN))
        # Past the end of the other by more than time steps back, nothing is owed any more.
        if not self._owes or tick.time - self._top_other > self._steps.expected:
            self._end()

    def _end(self) -> None:
        self.stage = OVER
        self._owed = {}
        self._clear()

    def _clear(self) -> None:
        self._alignment, self._ticks = Alignment(), []
        self._recent.clear()

    # --- without certainty

    def _force(self, out: list[Tick], origin: int | None) -> None:
        """Follow new without certainty: what may be one of old's is taken for it, and a gap has the rest.

        What old said and new did not is nothing that can be lost. What neither said is after old's end and before new's
        beginning, so its times are at most a step back before the one, and a step back after the other.
        """
        ended, ticks, waiting = self.stage == KEEPING, self._ticks, self._alignment.waiting
        said = waiting if len(waiting) > len(self._recent) else self._recent
        self._owed, self._owes = dict(Counter(said)), len(said)
        self.stage, self.how, self._top_other = LAST, "uncertain", self.top
        known = self.top if self.top > -FOREVER else origin if self._since is None else self._since
        if known is not None:
            self._start = known - self._steps.expected
        self._ticks = []
        self._gap()
        for tick in ticks:
            if self.stage == LAST:
                self._last(tick, (tick.time, tick.price, tick.size, tick.side), out)
            else:
                out.append(tick)
        if ended:
            self._end()

    def _gap(self) -> None:
        """Tell of the gap of a cut without certainty: its end is known when new's first trade is."""
        if self._first is None:
            self._open = True
            if self._start is not None:
                self._gaps.append(Gap(self._symbol, self._start, ONGOING, UNCERTAIN))
            return
        self._open = False
        end = max(self.top, self._first + self._steps.expected)
        if self._start is None:
            self._start = self._first - self._steps.expected
        self._gaps.append(Gap(self._symbol, self._start, end, UNCERTAIN))
