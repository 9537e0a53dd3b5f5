"""The row lane of `bars`: one tick, one partial bar or one mark at a time.

The current window of the finest timeframe is all that an ordinary tick touches. Coarser windows are merged from finer ones
as those close; only a tick that is late for a finer window goes straight into the coarser ones that are still open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from operator import attrgetter, itemgetter

from rxfeed.kernels.bars.acc import (
    GAP,
    INHERITED,
    PARTIAL,
    Acc,
    Window,
    acc_of,
    acc_of_tick,
    bar_of,
    copy_of,
    merge_into,
    window_in,
)
from rxfeed.kernels.bars.kept import Kept
from rxfeed.kernels.bars.mend import Mender
from rxfeed.kernels.bars.plan import NEVER, Plan, Tally
from rxfeed.kernels.bars.rowsymbol import NOTHING, Symbol
from rxfeed.model import Bar, Reject, Tick
from rxfeed.times import FOREVER, iso

_END = attrgetter("end")
_MANY = 64
"""So many bars that have rolled are merged into their container at once."""


class RowLane:
    """Open windows as Python objects. `tick` is a closure, made once: it returns None when there is nothing to do.

    While the other lane is in use this one knows no symbol, so that every tick takes the slow path, which calls `enter`.
    """

    def __init__(self, plan: Plan, kept: Kept, tally: Tally, mender: Mender, enter: Callable[[], None]) -> None:
        self.plan, self.kept, self.tally, self.mender = plan, kept, tally, mender
        self._enter = enter
        self._new: dict[str, Symbol] = {}
        self._ready: dict[tuple[str, int], tuple[Window, ...] | None] | None = None
        self.earliest = FOREVER
        """The least end of the windows opened since somebody set this to FOREVER."""
        self.symbols: dict[str, Symbol] = {}
        self.tick, self.run = self._make_tick()
        """`run(ticks, out)`: as `tick` one after another, with what comes out appended to `out`."""

    def _make_tick(self) -> tuple[Callable[[Tick], list[Bar] | None], Callable[[list[Tick], list[Bar]], None]]:
        get, slow, roll = self.symbols.get, self._slow, self._make_roll()

        def tick(t: Tick) -> list[Bar] | None:
            symbol = get(t.symbol)
            if symbol is None:
                return slow(t)
            a = symbol.current
            time = t.time
            if not a.last_time <= time < a.due:
                return roll(symbol, a, t, time) if a.end <= time < symbol.roll_until else slow(t)
            price, size = t.price, t.size
            # A tick of a wrong type fails in these two lines, before anything has changed.
            notional, seq = a.notional + price * size, +t.seq
            last = time > a.last_time or seq >= a.last_seq
            if not a.low <= price <= a.high:
                if price - price != 0.0:  # inf or nan
                    return slow(t)
                if price > a.high:
                    a.high = price
                else:
                    a.low = price
            a.notional = notional
            a.volume += size
            a.count += 1
            side = t.side
            if side == 1:
                a.buy += size
            elif side == 2:
                a.sell += size
            if last:
                a.close = price
                a.last_time = time
                a.last_seq = seq
            elif time == a.first_time and seq < a.first_seq:
                a.open = price
                a.first_seq = seq
            return None

        def run(ticks: list[Tick], out: list[Bar]) -> None:
            # What most ticks need of `tick`, once more, without a call for each.
            for t in ticks:
                symbol = get(t.symbol)
                if symbol is not None:
                    a = symbol.current
                    time = t.time
                    if a.last_time <= time < a.due:
                        price, size = t.price, t.size
                        notional, seq = a.notional + price * size, +t.seq
                        if price - price == 0.0 and (time > a.last_time or seq >= a.last_seq):
                            if price > a.high:
                                a.high = price
                            elif price < a.low:
                                a.low = price
                            a.notional = notional
                            a.volume += size
                            a.count += 1
                            side = t.side
                            if side == 1:
                                a.buy += size
                            elif side == 2:
                                a.sell += size
                            a.close = price
                            a.last_time = time
                            a.last_seq = seq
                            continue
                    elif a.end <= time < symbol.roll_until:
                        out += roll(symbol, a, t, time)
                        continue
                bars = tick(t)
                if bars:
                    out += bars

        return tick, run

    def _make_roll(self) -> Callable[[Symbol, Acc, Tick, int], list[Bar]]:
        """What nearly always happens when a finest window ends: it alone closes, and its container stays open.

        The window's object is used again for the next one. All that is unusual goes the general way.
        """
        slow, gap, tally, lateness = self._slow, self._gap, self.tally, self.plan.lateness
        timeframe, emitted = self.plan.names[0], self.plan.emitted[0]

        def roll(symbol: Symbol, a: Acc, t: Tick, time: int) -> list[Bar]:
            price, size, side, seq = t.price, t.size, t.side, +t.seq
            notional = price * size
            if symbol.watermark > time or (lateness and a.end + lateness > time) or price - price != 0.0:
                return slow(t)
            count, flags = a.count, a.flags
            rolled = (
                a.open, a.high, a.low, a.close, a.volume, count, a.buy, a.sell, a.notional,
                a.first_time, a.first_seq, a.last_time, a.last_seq,
            )  # fmt: skip
            segment, coarser = symbol.rolling
            lo, hi, origin, step, day = segment
            bar = Bar(symbol.name, timeframe, a.start, a.end, *rolled, day, 0, flags)
            symbol.kept.put(0, bar, time)
            if flags:
                symbol.container.flags |= flags & INHERITED
            symbol.rolled.append(rolled)
            if len(symbol.rolled) >= _MANY:
                symbol.gather()
            tally.closed += count
            start = time - (time - origin) % step
            end = start + step
            window = start, end, 0, day
            if start < lo or end > hi:
                start, end, _, _ = window = window_in(segment, time)
            a.start, a.end, a.windows = start, end, (window, *coarser)
            a.flags = window[2] | gap(start)
            a.open = a.high = a.low = a.close = price
            a.volume, a.count, a.notional = size, 1, notional
            a.buy = size if side == 1 else 0
            a.sell = size if side == 2 else 0
            a.first_time = a.last_time = time
            a.first_seq = a.last_seq = seq
            a.due = min(end, symbol.coarse_end + lateness)
            symbol.watermark = time
            return [bar] if emitted else []

        return roll

    def _slow(self, t: Tick) -> list[Bar]:
        self._enter()
        price = t.price
        if price - price != 0.0:
            self.tally.reject(Reject(t, "finite", f"price must be finite, got {price}"), 1)
            return []
        return self._put(t.symbol, acc_of_tick(t), t)

    def partial(self, bar: Bar) -> list[Bar]:
        """Merge a partial bar that lies inside one finest window (the caller has checked)."""
        return self._put(bar.symbol, acc_of(bar), bar)

    def _put(self, name: str, part: Acc, element: Tick | Bar) -> list[Bar]:
        # Whatever can fail comes first: after the windows are known, all levels change together.
        plan, tally = self.plan, self.tally
        symbol = self.symbols.get(name) or self._new.get(name) or Symbol(name, plan.grids(name), self.kept.symbol(name))
        windows = self._windows(symbol, part.first_time)
        if windows is None:
            tally.outside += part.count
            return []
        mark = max(symbol.watermark, symbol.current.last_time)
        time = part.last_time
        if time < mark - plan.horizon:
            reason = f"{iso(time)} is more than the horizon of {plan.horizon / 1e9:g} s behind the watermark {iso(mark)}"
            tally.reject(Reject(element, "late", reason), part.count)
            return []
        wounded = name in self.mender.wounds
        if wounded and self.mender.has_all(name, *windows[0][:2]):
            tally.reject(Reject(element, "repaired", already(time, windows[0][0])), part.count)
            return []
        self.symbols[name] = symbol
        symbol.gather()
        if tally.began is None:
            tally.began = part.first_time
        part.windows = windows
        symbol.watermark = mark
        out: list[Bar] = []
        if time > mark:
            mark = symbol.watermark = time
            self._close(symbol, mark, out)
        if windows[0][1] + plan.lateness > mark:
            self._merge_open(symbol, 0, part, own=True)
        else:
            tally.closed += part.count
            self._put_late(symbol, part, mark, out, wounded=wounded)
        if wounded:
            out = self.mender.through(name, out, mark)
        self._settle(symbol, mark)
        return out

    def _put_late(self, symbol: Symbol, part: Acc, mark: int, out: list[Bar], *, wounded: bool) -> None:
        """Merge into the windows that are open still; a closed one comes out again as a revision."""
        plan = self.plan
        revised: list[tuple[int, int, Bar]] = []
        for level, (start, end, flags, day) in enumerate(part.windows):
            if end + plan.lateness > mark:
                # Where its source is open too, the tick comes up from there.
                if part.windows[plan.sources[level]][1] + plan.lateness <= mark:
                    self._merge_open(symbol, level, part)
                continue
            flags |= part.flags & INHERITED | self._gap(start)
            late = bar_of(symbol.name, plan.names[level], start, end, part, day, flags)
            revision = self.kept.revise(level, late, mark)
            if plan.emitted[level] or wounded:
                revised.append((end, level, revision))
        revised.sort(key=itemgetter(0, 1))
        out.extend(bar for _, _, bar in revised)

    def mark(self, time: int) -> list[Bar]:
        """Raise the watermark of every symbol that has one to `time` and return what closes."""
        out: list[Bar] = []
        for symbol in self.symbols.values():
            symbol.gather()
            symbol.watermark = max(symbol.watermark, symbol.current.last_time)
            if time > symbol.watermark:
                symbol.watermark = time
                self._close(symbol, time, out)
                self._settle(symbol, time)
        return out

    def begin(self, name: str, time: int) -> None:
        """Set the watermark of a symbol that has none."""
        symbol = self.symbols[name] = Symbol(name, self.plan.grids(name), self.kept.symbol(name))
        symbol.watermark = time

    def finish(self) -> list[Bar]:
        """Close everything; windows that end after the watermark are PARTIAL."""
        out: list[Bar] = []
        for symbol in self.symbols.values():
            symbol.gather()
            symbol.watermark = max(symbol.watermark, symbol.current.last_time)
            self._close(symbol, None, out)
            self._settle(symbol, symbol.watermark)
            symbol.coarse_end = FOREVER
        return out

    def due(self) -> int | None:
        """When the earliest open window ends, or None when nothing is open."""
        return min((accs[0].end for s in self.symbols.values() for accs in s.opens if accs), default=None)

    def open_bars(self) -> list[tuple[int, Bar]]:
        """Return `(level, bar)` of every open window as it stands in memory: coarser ones without their open children."""
        for symbol in self.symbols.values():
            symbol.gather()
        return [
            (level, bar_of(s.name, self.plan.names[level], a.start, a.end, a, a.windows[level][3], a.flags))
            for s in self.symbols.values() for level, accs in enumerate(s.opens) for a in accs
        ]  # fmt: skip

    def open_count(self) -> int:
        """How many ticks are in open windows."""
        return sum(a.count for s in self.symbols.values() for a in s.opens[0])

    def watermark(self, name: str) -> int | None:
        symbol = self.symbols.get(name)
        return None if symbol is None else max(symbol.watermark, symbol.current.last_time)

    def watermarks(self) -> dict[str, int]:
        return {s.name: max(s.watermark, s.current.last_time) for s in self.symbols.values()}

    def leave(self) -> None:
        """Forget what is open: the other lane has it."""
        self.symbols.clear()

    def load(self, opens: Iterable[tuple[int, Bar]], watermarks: dict[str, int]) -> None:
        """Take over state that `open_bars` and `watermarks` of either lane gave."""
        self.symbols.clear()
        for name, mark in watermarks.items():
            symbol = self.symbols[name] = Symbol(name, self.plan.grids(name), self.kept.symbol(name))
            symbol.watermark = mark
        for level, bar in opens:
            acc = acc_of(bar)
            acc.start, acc.end = bar.start, bar.end
            windows = self._windows(self.symbols[bar.symbol], acc.first_time)
            assert windows is not None
            acc.windows = windows
            accs = self.symbols[bar.symbol].opens[level]
            accs.insert(bisect_right(accs, acc.end, key=_END), acc)
            if level:
                self.symbols[bar.symbol].coarse_end = min(self.symbols[bar.symbol].coarse_end, acc.end)
        for symbol in self.symbols.values():
            self._settle(symbol, symbol.watermark)

    # --- windows

    def ticks(self, ticks: list[Tick]) -> list[Bar]:
        """Take several ticks, all or none: their windows, which alone can fail, are found before the first changes anything."""
        self._enter()
        new = self._new = {}
        ready: dict[tuple[str, int], tuple[Window, ...] | None] = {}
        for t in ticks:
            if (t.symbol, t.time) not in ready:
                symbol = self.symbols.get(t.symbol) or new.get(t.symbol)
                if symbol is None:
                    symbol = new[t.symbol] = Symbol(t.symbol, self.plan.grids(t.symbol), self.kept.symbol(t.symbol))
                ready[t.symbol, t.time] = self._windows(symbol, t.time)
        self._ready = ready
        out: list[Bar] = []
        try:
            for t in ticks:
                out += self.tick(t) or ()
        finally:
            self._ready, self._new = None, {}
        return out

    def _windows(self, symbol: Symbol, time: int) -> tuple[Window, ...] | None:
        """Return the windows of all levels around `time`, or None outside every session."""
        if self._ready is not None:
            windows = self._ready[symbol.name, time]
            if windows is not None:
                symbol.coarser = _common(windows[1:])
            return windows
        base = self._window(symbol, 0, time)
        if base is None:
            return None
        lo, hi, coarser = symbol.coarser
        if not lo <= time < hi:
            found: list[Window] = []
            for level in range(1, len(symbol.grids)):
                window = self._window(symbol, level, time)
                assert window is not None, "a finest window lies inside one of every other level"
                found.append(window)
            coarser = tuple(found)
            symbol.coarser = _common(coarser)
        return base, *coarser

    def _window(self, symbol: Symbol, level: int, time: int) -> Window | None:
        segment = symbol.segments[level]
        if not segment.lo <= time < segment.hi:
            found = symbol.grids[level].segment(time)
            if found is None:
                return None
            symbol.segments[level] = segment = found
        return window_in(segment, time)

    def _gap(self, start: int) -> int:
        began = self.tally.began
        return GAP if began is not None and start < began else 0

    # --- open windows

    def _merge_open(self, symbol: Symbol, level: int, part: Acc, *, own: bool = False) -> None:
        """Merge into an open window, or open it; `own`: `part` is not needed any more and may become the window."""
        start, end, flags, _ = part.windows[level]
        accs = symbol.opens[level]
        place = len(accs)
        while place and accs[place - 1].start > start:
            place -= 1
        if place and accs[place - 1].start == start:
            merge_into(accs[place - 1], part)
            return
        acc = part if own else copy_of(part)
        acc.start, acc.end = start, end
        acc.flags = part.flags & INHERITED | flags | self._gap(start)
        accs.insert(place, acc)
        if end < self.earliest:
            self.earliest = end
        if level and end < symbol.coarse_end:
            symbol.coarse_end = end

    def _close(self, symbol: Symbol, mark: int | None, out: list[Bar]) -> None:
        """Close in the order (end, finer first) what `mark` makes due, or everything for None."""
        opens = symbol.opens
        limit = FOREVER if mark is None else mark - self.plan.lateness
        base = opens[0]
        if len(base) == 1 and base[0].end <= min(limit, symbol.coarse_end):
            self._close_first(symbol, 0, out)  # what nearly always happens: a finest window ends, and no other
        if symbol.coarse_end > limit and (not base or base[0].end > limit):
            return
        while True:
            level = -1
            for i, accs in enumerate(opens):
                if accs and (level < 0 or accs[0].end < opens[level][0].end):
                    level = i
            if level < 0 or opens[level][0].end > limit:
                break
            self._close_first(symbol, level, out)
        symbol.coarse_end = min((accs[0].end for accs in opens[1:] if accs), default=FOREVER)

    def _close_first(self, symbol: Symbol, level: int, out: list[Bar]) -> None:
        """Close the earliest open window of a level: emit it, keep it, merge it upward."""
        plan = self.plan
        a = symbol.opens[level].pop(0)
        end = a.end
        if end > symbol.watermark:
            a.flags |= PARTIAL
        bar = bar_of(symbol.name, plan.names[level], a.start, end, a, a.windows[level][3], a.flags)
        if level == 0:
            self.tally.closed += a.count
        if plan.emitted[level]:
            out.append(bar)
        consumers = plan.consumers[level]
        for consumer in consumers:
            self._merge_open(symbol, consumer, a, own=consumer == consumers[-1])
        symbol.kept.put(level, bar, symbol.watermark)

    def settle(self, name: str) -> None:
        """Look again at what a symbol's ordinary path may do: it has been told of a gap, or of history."""
        symbol = self.symbols.get(name)
        if symbol is not None:
            symbol.gather()
            symbol.watermark = max(symbol.watermark, symbol.current.last_time)
            self._settle(symbol, symbol.watermark)

    def _settle(self, symbol: Symbol, mark: int) -> None:
        """Choose the window that the ordinary path works on, and until when it may."""
        accs = symbol.opens[0]
        symbol.roll_until = NEVER
        if not accs:
            symbol.current = NOTHING
            return
        a = symbol.current = accs[-1]
        lateness, up = self.plan.lateness, self.plan.only_consumer
        wound = self.mender.wounds.get(symbol.name)
        free = FOREVER if wound is None else wound.free(a.start)
        if free > a.start and up and len(accs) == 1 and symbol.opens[up]:
            symbol.container = symbol.opens[up][-1]
            segment, (_, until, coarser) = symbol.segments[0], symbol.coarser
            here = segment.lo <= a.start < segment.hi and a.windows[up] is coarser[up - 1]
            if here and symbol.container.start == coarser[up - 1][0]:
                symbol.rolling = segment, coarser
                symbol.roll_until = min(until, segment.hi, symbol.coarse_end + lateness, free)
        a.due = min(a.end, accs[0].end + lateness, symbol.coarse_end + lateness)
        if wound is not None:
            a.due = min([a.due, *(end + lateness for end, _ in wound.awaited)])
        if a.last_time < mark - self.plan.horizon:
            a.due = NEVER  # a mark went past the horizon: each tick must be looked at


def already(time: int, start: int) -> str:
    """Why a tick of a window that history has told is not merged."""
    return f"{iso(time)} is in the window from {iso(start)}, which was repaired: history has it already"


def _common(windows: tuple[Window, ...]) -> tuple[int, int, tuple[Window, ...]]:
    """Return from when to when all of these are the windows, and themselves."""
    lo = max((window[0] for window in windows), default=-FOREVER)
    hi = min((window[1] for window in windows), default=FOREVER)
    return lo, hi, windows
