"""Gaps and what history says about them, for all symbols of a kernel: what is taken, what is refused, and what is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import NamedTuple

import msgspec

from rxfeed.errors import RepairRefused
from rxfeed.kernels.bars import mendframes
from rxfeed.kernels.bars.kept import Kept
from rxfeed.kernels.bars.mendframes import MendFrames
from rxfeed.kernels.bars.plan import NEVER, Plan, Tally
from rxfeed.kernels.bars.spans import Spans, common, touches, united, within, without
from rxfeed.kernels.bars.wound import Told, Wound
from rxfeed.model import Bar, Flag, Gap, Reject, Repair, replace
from rxfeed.times import FOREVER, iso

_ORDER = itemgetter(0, 1)


class MendStats(NamedTuple):
    """What became of gaps and of history's bars. Ticks are not among them, see `BarsStats`."""

    gaps: int
    """Gaps told; one that lasts counts once more when it ends."""
    repaired: int
    """Windows that were set to history's bar."""
    disagreements: int
    """Windows of which history says something else than bars that were whole, or says nothing where there is a bar."""
    early: int
    """Bars of history that were not taken, as their window was not over."""
    late: int
    """Bars of history that were not taken, as their window was past the horizon before a gap was told."""


class Mender:
    """The wounds of all symbols. While there are none it costs nothing.

    Args:
        plan: the timeframes.
        kept: the closed bars of all lanes.
        tally: hears of what history and live ticks disagree on.
        mark: a symbol's watermark, or None.
    """

    def __init__(self, plan: Plan, kept: Kept, tally: Tally, mark: Callable[[str], int | None]) -> None:
        self.plan, self.kept, self.tally, self._mark = plan, kept, tally, mark
        self.wounds: dict[str, Wound] = {}
        self.stats = MendStats(0, 0, 0, 0, 0)
        self.earliest = FOREVER
        """The least end of the windows that are awaited since somebody set this to FOREVER."""
        self._above = [_above(plan, level) for level in range(len(plan.names))]

    # --- input

    def gap(self, gap: Gap) -> list[Bar]:
        """Note a gap; return the closed bars that it touches, with their flag.

        Raises:
            RepairRefused: it ends before it starts.
        """
        _check_gap(gap)
        self._count(gaps=1)
        out = self._gap(gap, ends=True)
        self._forget(gap.symbol)
        return self._shown(out)

    def replace(self, repair: Repair) -> list[Bar]:
        """Set windows that a gap touches to what history says of them, and reduce anew those that contain them.

        Raises:
            RepairRefused: it is not of this kernel's windows, or says two things of one; nothing has changed then.
        """
        level = self.check(repair)
        symbol = repair.gap.symbol
        told = self._gap(repair.gap, ends=False)
        wound, mark = self.wounds[symbol], self._mark_of(symbol)
        taken, history = self._taken(wound, level, repair, mark)
        self._count(repaired=len(history))
        wound.history[level].update(history)
        stretches: list[Spans] = [[] for _ in self.plan.names]
        stretches[level] = taken
        for at in (level, *self._above[level]):
            # A coarser window that history has told already is not made of finer ones any more.
            spans = taken if at == level else common(stretches[self.plan.sources[at]], wound.asked(at, repair.end))
            wound.open[at] = without(wound.open[at], spans)
            wound.mended[at] = united([*wound.mended[at], *spans])
            stretches[at] = spans
        more: set[tuple[int, int]] = set()
        for at in (level, *self._above[level]):
            for start in history:
                if touches(stretches[at], start, start):
                    more.add((at, wound.edge(at, start)))
            if at != level:
                self._await(wound, at, stretches[at], mark)
        told += wound.again(stretches, mark, more)
        wound.pin()
        self._forget(symbol)
        return self._shown(told)

    def has_all(self, symbol: str, start: int, end: int) -> bool:
        """Whether history has told of a finest window, so that a tick of it that comes now is in it already."""
        wound = self.wounds.get(symbol)
        return wound is not None and wound.has_all(start, end)

    # --- output

    def through(self, symbol: str, bars: list[Bar], mark: int, *, ending: bool = False) -> list[Bar]:
        """Return what comes out of one symbol that has a wound instead of `bars`."""
        wound = self.wounds[symbol]
        self._begin(wound)
        out = wound.through(bars, mark, ending=ending)
        self._forget(symbol)
        return out

    def through_all(self, bars: Iterable[Bar], *, ending: bool = False) -> list[Bar]:
        """The same for bars of all symbols, whose watermarks may have moved."""
        mine: dict[str, list[Bar]] = {symbol: [] for symbol in self.wounds}
        out: list[Bar] = []
        for bar in bars:
            mine.get(bar.symbol, out).append(bar)
        for symbol, some in mine.items():
            mark = self._mark(symbol)
            if mark is not None:
                out += self.through(symbol, some, mark, ending=ending)
        return out

    def partials(self, bars: dict[tuple[str, int, int], Bar]) -> None:
        """Put in what windows that are open hold, by `(symbol, level, start)`."""
        for symbol, wound in self.wounds.items():
            self._begin(wound)
            mine = {key[1:]: bar for key, bar in bars.items() if key[0] == symbol}
            wound.partials(mine)
            bars.update(((symbol, *key), bar) for key, bar in mine.items())

    def due(self) -> int | None:
        """When the earliest awaited window ends."""
        return min((end for wound in self.wounds.values() for end, _ in wound.awaited), default=None)

    def restore(self, frames: MendFrames) -> None:
        """Take over the wounds of another kernel instead of these."""
        self.wounds.clear()
        self.wounds.update(mendframes.load(frames, lambda symbol: Wound(symbol, self.plan, self.kept)))
        self.earliest = min((end for wound in self.wounds.values() for end, _ in wound.awaited), default=FOREVER)

    # --- how

    def _gap(self, gap: Gap, *, ends: bool) -> list[Told]:
        wound = self.wounds.get(gap.symbol)
        if wound is None:
            wound = self.wounds[gap.symbol] = Wound(gap.symbol, self.plan, self.kept)
        self._begin(wound)
        return wound.gap(gap.start, gap.end, self._mark_of(gap.symbol), ends=ends)

    def _begin(self, wound: Wound) -> None:
        if not wound.began and self.tally.began is not None:
            wound.begin(self.tally.began, self._mark_of(wound.name))

    def _mark_of(self, symbol: str) -> int:
        mark = self._mark(symbol)
        return NEVER if mark is None else mark

    def _taken(self, wound: Wound, level: int, repair: Repair, mark: int) -> tuple[Spans, dict[int, Bar]]:
        """Return the stretches of which history's word is taken, and its bars in them."""
        limit, past = mark - self.plan.lateness, mark - self.plan.back
        last = min(repair.end, wound.edge(level, limit)) - 1  # what is not over is for another time
        live = wound.kept.between(level, wound.name, repair.start, last) if repair.start <= last else {}
        taken = within(wound.asked(level, last), repair.start, last)
        history: dict[int, Bar] = {}
        for bar in repair.bars:
            now = wound.told[level].get(bar.start, live.get(bar.start))
            if bar.end > limit:
                self._count(early=1)
                self._report(bar, "early", f"its window ends at {iso(bar.end)}, and the watermark is {_instant(mark)}")
            elif touches(taken, bar.start, bar.start):
                history[bar.start] = self._normal(wound, level, bar)
            elif bar.end <= past:
                self._count(late=1)
                self._report(bar, "late", f"its window is past the horizon: the watermark is {_instant(mark)}")
            elif now is None or not _agree(now, bar):
                text = "there was no tick" if now is None else f"live ticks made {now}"
                self._disagree(bar, f"{text}, and no gap: live wins")
        known = {bar.start for bar in repair.bars}
        for start, bar in live.items():
            if start not in known and start >= repair.start and (bar.end > past or touches(taken, start, start)):
                self._disagree(bar, "history has no trade there: live ticks stay, and so does a gap")
                taken = without(taken, [(start, bar.end - 1)])
        return taken, history

    def _normal(self, wound: Wound, level: int, bar: Bar) -> Bar:
        found = wound.window(level, bar.start)
        assert found is not None
        window, segment = found
        return replace(None, msgspec.structs.replace(bar, trade_date=segment.trade_date, flags=Flag.SHORT * window.short))

    def _await(self, wound: Wound, level: int, spans: Spans, mark: int) -> None:
        """Note a window that has history in it and is not over."""
        if not spans:
            return
        found = wound.window(level, spans[-1][1])
        if found is not None and found[0].end > mark - self.plan.lateness:
            wound.awaited[found[0].end, level] = found[0].start
            self.earliest = min(self.earliest, found[0].end)

    def _shown(self, told: list[Told]) -> list[Bar]:
        """Return of each bar the newest, by end, finer first. If it had not come out yet it begins at revision 0."""
        newest: dict[tuple[int, int], Bar] = {}
        for end, level, bar in sorted(told, key=lambda item: (*_ORDER(item), item[2].revision)):
            newest[end, level] = bar
        return [bar for (_, level), bar in newest.items() if self.plan.emitted[level]]

    def _forget(self, symbol: str) -> None:
        if self.wounds[symbol].healed:
            del self.wounds[symbol]
            self.kept.symbol(symbol).pins = None

    # --- what is told and counted

    def _count(self, **more: int) -> None:
        self.stats = self.stats._replace(**{name: getattr(self.stats, name) + n for name, n in more.items()})

    def _report(self, bar: Bar, rule: str, reason: str) -> None:
        if self.tally.heard:
            self.tally.rejects.append(Reject(bar, rule, reason))

    def _disagree(self, bar: Bar, reason: str) -> None:
        self._count(disagreements=1)
        self._report(bar, "disagrees", reason)

    # --- what is refused

    def check(self, repair: Repair) -> int:
        """Return the level of a repair.

        Raises:
            RepairRefused: it cannot be meant.
        """
        _check_gap(repair.gap)
        plan, symbol = self.plan, repair.gap.symbol
        if repair.timeframe not in plan.names:
            raise RepairRefused(f"a repair must be of {', '.join(plan.names)}, got {repair.timeframe!r}")
        level = plan.names.index(repair.timeframe)
        if repair.start >= repair.end:
            raise RepairRefused(f"a repair must end after its start {iso(repair.start)}, got {iso(repair.end)}")
        grid = plan.grids(symbol)[level]
        for time in (repair.start, repair.end):
            segment = grid.segment(time)
            if segment is not None and segment.window(time).start != time:
                raise RepairRefused(
                    f"a repair of {repair.timeframe} must be of whole windows, and none has an edge at {iso(time)}"
                )
        seen: set[int] = set()
        for bar in repair.bars:
            segment = grid.segment(bar.start)
            window = None if segment is None else segment.window(bar.start)
            if (bar.symbol, bar.timeframe) != (symbol, repair.timeframe):
                raise RepairRefused(f"a repair of {symbol} {repair.timeframe} has a bar of another: {bar}")
            if window is None or window[:2] != (bar.start, bar.end) or not repair.start <= bar.start < repair.end:
                raise RepairRefused(f"a bar of a repair must be one of its windows, got {bar}")
            if bar.start in seen:
                raise RepairRefused(f"a repair must say one thing of a window, got a second time {bar}")
            seen.add(bar.start)
            prices = bar.open, bar.high, bar.low, bar.close
            if not all(map(math.isfinite, prices)) or bar.low > min(prices) or bar.high < max(prices) or bar.volume < 0:
                raise RepairRefused(f"a bar of a repair must have finite prices, low to high, and a volume from 0, got {bar}")
        return level


def _above(plan: Plan, level: int) -> tuple[int, ...]:
    """The levels whose windows are made of those of `level`, finer first."""
    found = set(plan.consumers[level])
    for at in range(level + 1, len(plan.names)):
        if at in found:
            found.update(plan.consumers[at])
    return tuple(sorted(found))


def _check_gap(gap: Gap) -> None:
    if gap.end < gap.start:
        raise RepairRefused(f"a gap must not end before its start {iso(gap.start)}, got {iso(gap.end)} ({gap.symbol})")


def _agree(live: Bar, history: Bar) -> bool:
    return (live.open, live.high, live.low, live.close, live.volume) == (
        history.open, history.high, history.low, history.close, history.volume,
    )  # fmt: skip


def _instant(time: int) -> str:
    return "unknown" if time == NEVER else iso(time)
