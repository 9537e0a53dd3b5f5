"""A symbol whose ticks have gaps: which windows they touch, what history said, and what its bars then are.

The lanes know nothing of it and go on making bars of the ticks that came. What they put out passes through here: a window that
a gap touches gets its flag; one that history has told is history's; one that contains such is reduced anew from what it is
made of. So there is one place where this is done, row by row, whatever lane the ticks went through.

All depends on stretches of time alone: a window is GAP while an open stretch has an instant of it, and REPAIRED once a mended
stretch has. Stretches are by level, since history may tell coarser windows only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

import msgspec

from rxfeed.grids import Segment, Window
from rxfeed.kernels.bars.kept import Kept
from rxfeed.kernels.bars.plan import NEVER, Plan
from rxfeed.kernels.bars.reduced import reduced, same
from rxfeed.kernels.bars.spans import Spans, covers, touches, united, without
from rxfeed.model import Bar, Flag
from rxfeed.times import FOREVER, NANOSECONDS

WAIT = NANOSECONDS["d"]
"""How long a window that a gap touches waits for history after its end; then it stays as it is."""
MOST = 256
"""So many stretches are known apart at most; then the oldest are taken as one."""
MOST_ONGOING = 64
GAP, REPAIRED, PARTIAL = int(Flag.GAP), int(Flag.REPAIRED), int(Flag.PARTIAL)
Told = tuple[int, int, Bar]
"""End, level and bar: they come out in this order."""
_ORDER = itemgetter(0, 1)


class Wound:
    """What is known of one symbol's gaps, level by level."""

    def __init__(self, name: str, plan: Plan, kept: Kept) -> None:
        self.name, self.plan, self.kept = name, plan, kept
        self.grids = plan.grids(name)
        levels = len(plan.names)
        self.began = False
        """Whether the stretch before the stream began is among the open ones."""
        self.open: list[Spans] = [[] for _ in range(levels)]
        """Ticks of these may be missing."""
        self.mended: list[Spans] = [[] for _ in range(levels)]
        """Whole windows of which history has told, and that were in an open stretch."""
        self.ongoing: dict[int, list[int]] = {}
        """By start, since when they are open at each level."""
        self.history: list[dict[int, Bar]] = [{} for _ in range(levels)]
        """By start, bars as history told them."""
        self.told: list[dict[int, Bar]] = [{} for _ in range(levels)]
        """By start, closed bars as they are now, where that is not what the lanes made of them."""
        self.awaited: dict[tuple[int, int], int] = {}
        """By `(end, level)`, starts of the windows that are not over and have history in them."""
        self.pins: list[Spans] = [[] for _ in range(levels)]
        self._around: dict[tuple[int, int, int], Spans] = {}
        """By level and stretch, what is pinned for it."""
        self.reach = [FOREVER] * levels
        """By level, windows that start later are as the lanes made them."""
        self.levels = {timeframe: level for level, timeframe in enumerate(plan.names)}
        self.due = -FOREVER

    # --- what is so

    def window(self, level: int, time: int) -> tuple[Window, Segment] | None:
        segment = self.grids[level].segment(time)
        return None if segment is None else (segment.window(time), segment)

    def is_open(self, level: int, start: int, end: int) -> bool:
        """Whether ticks of a window may be missing."""
        if touches(self.open[level], start, end - 1):
            return True
        since = min((lows[level] for lows in self.ongoing.values()), default=FOREVER)
        return since < end and not covers(self.mended[level], start, end - 1)

    def asked(self, level: int, last: int) -> Spans:
        """Return the windows that are open to history, as stretches, up to the last instant of those that are over."""
        lasting = [(lows[level], last) for lows in self.ongoing.values() if lows[level] <= last]
        spans = [*self.open[level], *without(united(lasting), self.mended[level])]
        return united([(self.edge(level, first), self.edge(level, to, end=True)) for first, to in spans])

    def has_all(self, start: int, end: int) -> bool:
        """Whether history has told of a finest window: its ticks are in it already."""
        return touches(self.mended[0], start, end - 1)

    def content(self, level: int, start: int, live: Bar | None) -> Bar | None:
        """Return what a closed window is: history's, reduced anew, or what the lanes made, with its flag."""
        history = self.history[level].get(start)
        if history is not None:
            return history
        found = self.window(level, start)
        assert found is not None
        window, segment = found
        flags = GAP * self.is_open(level, *window[:2])
        if level and touches(self.mended[level], window.start, window.end - 1):
            parts = self._parts(level, window)
            if live is not None:
                flags |= live.flags & PARTIAL
            return reduced(parts.values(), self.name, self.plan.names[level], window, segment, flags | REPAIRED)
        return live if live is None or live.flags & flags == flags else msgspec.structs.replace(live, flags=live.flags | flags)

    def _parts(self, level: int, window: Window) -> dict[int, Bar]:
        """Return the closed bars that a window is made of."""
        source = self.plan.sources[level]
        parts = self.kept.between(source, self.name, window.start, window.end - 1)
        parts.update((start, bar) for start, bar in self.told[source].items() if window.start <= start < window.end)
        return parts

    # --- what comes from the lanes

    def through(self, bars: Sequence[Bar], mark: int, *, ending: bool = False) -> list[Bar]:
        """Return what comes out instead of `bars`: closed ones, awaited ones that are over now, and then what is revised."""
        levels, limit = self.levels, FOREVER if ending else mark - self.plan.lateness
        if min(self.awaited, default=(FOREVER, 0))[0] > limit and self._passes(bars):
            if mark >= self.due:
                self.let_go(mark)
            return [bar for bar in bars if self.plan.emitted[levels[bar.timeframe]]]
        closed: dict[tuple[int, int], list[Bar]] = {key: [] for key in self.awaited if key[0] <= limit}
        late: dict[tuple[int, int], list[Bar]] = {}
        for bar in bars:
            key = bar.end, levels[bar.timeframe]
            (closed if bar.revision == 0 else late).setdefault(key, []).append(bar)
        first: list[Told] = []
        then: list[Told] = []
        # Finer windows first, each once and as all this leaves it: the coarser are made of them.
        for key in sorted(closed.keys() | late.keys()):
            given = [*closed.get(key, []), *late.get(key, [])]
            start = given[-1].start if given else self.awaited[key]
            out = first if key in closed else then
            self._see(key, start, given, out, PARTIAL * (ending and key[0] > mark))
        for key in [key for key in self.awaited if key[0] <= limit]:
            del self.awaited[key]
        if mark >= self.due:
            self.let_go(mark)
        return [bar for _, level, bar in [*first, *then] if self.plan.emitted[level]]

    def _passes(self, bars: Sequence[Bar]) -> bool:
        return all(bar.start > self.reach[self.levels[bar.timeframe]] for bar in bars)

    def free(self, start: int) -> int:
        """Until when finest windows from `start` on close with nothing to be done here; NEVER if something is."""
        return min(self.awaited, default=(FOREVER, 0))[0] + self.plan.lateness if start > self.reach[0] else NEVER

    def _see(self, key: tuple[int, int], start: int, given: list[Bar], out: list[Told], flags: int) -> None:
        end, level = key
        live = given[-1] if given else None
        bar, last = self.content(level, start, live), self.told[level].get(start)
        if bar is None or (last is not None and same(last, bar)):
            return
        if last is None and bar is live:
            out += [(end, level, each) for each in given]
            return
        revision = last.revision + 1 if last is not None else given[0].revision if given else 0
        bar = self.told[level][start] = msgspec.structs.replace(bar, revision=revision, flags=bar.flags | flags)
        out.append((end, level, bar))

    def partials(self, bars: dict[tuple[int, int], Bar]) -> None:
        """Put in what the windows that are open hold, by `(level, start)`; finer ones are there already."""
        for level in range(len(self.plan.names)):
            starts = {start for at, start in bars if at == level}
            starts |= {start for (_, at), start in self.awaited.items() if at == level}
            for start in sorted(starts):
                live, found = bars.get((level, start)), self.window(level, start)
                assert found is not None
                window, segment = found
                flags = GAP * self.is_open(level, *window[:2])
                if level and touches(self.mended[level], window.start, window.end - 1):
                    parts = self._parts(level, window)
                    source = self.plan.sources[level]
                    parts |= {at: bar for (of, at), bar in bars.items() if of == source and window.start <= at < window.end}
                    live = reduced(parts.values(), self.name, self.plan.names[level], window, segment, flags | REPAIRED)
                elif live is not None:
                    live = msgspec.structs.replace(live, flags=live.flags | flags)
                if live is not None:
                    bars[level, start] = live

    # --- gaps and history

    def begin(self, began: int, mark: int) -> None:
        """Note when the stream began: whatever was before is missing."""
        self.began = True
        for level in range(len(self.plan.names)):
            first = self._final(level, mark)
            if first < began:
                self._open(level, first, began - 1)
        self.pin()

    def gap(self, start: int, end: int, mark: int, *, ends: bool = True) -> list[Told]:
        """Note that ticks between `start` and `end` may be missing; return the closed bars that this changes.

        With `ends` it is the end of the one that lasts since `start`, if there is one.
        """
        since = [max(start, self._final(level, mark)) for level in range(len(self.plan.names))]
        was, before = self.ongoing.get(start) if ends else None, list[Told]()
        if end == FOREVER:
            if start in self.ongoing:
                return []
            if len(self.ongoing) == MOST_ONGOING:  # the oldest is taken to end here, until it comes again with its end
                oldest = min(self.ongoing)
                before = self.gap(oldest, max(oldest, mark), mark)
            self.ongoing[start] = since
        else:
            if was is not None:
                since = self.ongoing.pop(start)
            for level, low in enumerate(since):
                if low <= end:
                    self._open(level, low, end)
        out = before + self.again([[(low, FOREVER if was is not None else end)] for low in since], mark)
        self.pin()
        return out

    def _open(self, level: int, first: int, last: int) -> None:
        # What history has told is whole, whatever was lost there.
        spans = united([*self.open[level], *without([(first, last)], self.mended[level])])
        while len(spans) > MOST:
            spans[:2] = [(spans[0][0], spans[1][1])]
        self.open[level] = spans

    def again(self, stretches: list[Spans], mark: int, more: Iterable[tuple[int, int]] = ()) -> list[Told]:
        """Look again at the closed bars in these stretches, and at `more`, `(level, start)`; return those that have changed."""
        out: list[Told] = []
        limit = mark - self.plan.lateness
        wanted = sorted(more)
        for level, spans in enumerate(stretches):
            lives: dict[int, Bar] = {}
            for first, last in spans:
                if first <= last:
                    lives |= self.kept.between(level, self.name, first, last)
            told = {s for s, bar in self.told[level].items() if touches(spans, s, bar.end - 1)}
            for start in sorted({*lives, *told, *(at for of, at in wanted if of == level)}):
                live = lives.get(start)
                bar, last = self.content(level, start, live), self.told[level].get(start, live)
                if bar is None or bar.end > limit or (last is not None and same(last, bar)):
                    continue
                flags = 0 if last is None else last.flags & PARTIAL
                revision = 0 if last is None else last.revision + 1
                bar = self.told[level][start] = msgspec.structs.replace(bar, revision=revision, flags=bar.flags | flags)
                out.append((bar.end, level, bar))
        return sorted(out, key=_ORDER)

    # --- memory

    def _final(self, level: int, mark: int) -> int:
        """From when on windows may still change by what is new: those that end within the horizon."""
        done = mark - self.plan.back
        found = self.window(level, done)
        return done if found is None else found[0].start

    def pin(self) -> None:
        """Have kept what will be needed when a window that is open now is told by history."""
        known, self._around = self._around, {}
        for level in range(len(self.plan.names)):
            spans: Spans = []
            for span in [*self.open[level], *((lows[level], FOREVER) for lows in self.ongoing.values())]:
                around = self._around[level, *span] = known.get((level, *span)) or self._whole(level, *span)
                spans += around
            spans += [(start, end - 1) for (end, at), start in self.awaited.items() if at and self.plan.sources[at] == level]
            self.pins[level] = united(spans)
            told = max((bar.start for bar in self.told[level].values()), default=NEVER)
            last = max((spans[-1][1] for spans in (self.open[level], self.mended[level]) if spans), default=NEVER)
            self.reach[level] = FOREVER if self.ongoing else max(last, told)
        self.kept.symbol(self.name).pins = self.pins

    def _whole(self, level: int, first: int, last: int) -> Spans:
        """Return a stretch in whole windows of a level, and of those that are made of them."""
        return [
            (self.edge(around, first), FOREVER if last == FOREVER else self.edge(around, last, end=True))
            for around in (level, *self.plan.consumers[level])
        ]

    def edge(self, level: int, time: int, *, end: bool = False) -> int:
        """Return the first or the last instant of the window around a time, or the time if there is none."""
        found = self.window(level, time)
        return time if found is None else found[0].end - 1 if end else found[0].start

    def let_go(self, mark: int) -> None:
        """Forget what no longer matters: windows that nothing can change, and gaps that have waited too long."""
        self.due = mark + max(self.plan.back // 8, NANOSECONDS["s"])
        given_up = mark - max(self.plan.back, WAIT)
        for level in range(len(self.plan.names)):
            low = self.edge(level, given_up)
            self.open[level] = [(first, last) for first, last in self.open[level] if last >= low]
            for lows in self.ongoing.values():
                lows[level] = max(lows[level], low)
        self.pin()
        for level, pins in enumerate(self.pins):
            since, _ = self.plan.needed(self.name, level, mark - self.plan.back)
            self.mended[level] = [s for s in self.mended[level] if s[1] >= since or touches(pins, *s)]
            for bars in (self.history[level], self.told[level]):
                for bar in [b for b in bars.values() if b.start < since and not touches(pins, b.start, b.end - 1)]:
                    del bars[bar.start]

    @property
    def healed(self) -> bool:
        """Whether there is nothing left to be done differently."""
        return not (self.ongoing or self.awaited or any(map(any, (self.open, self.mended, self.history, self.told))))
