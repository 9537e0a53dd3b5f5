"""Ticks that wait too long become partial bars: memory is bounded, and bars that are made of them are the same, bit for bit.

For that a partial bar holds only ticks that came one after another in one window with no step back in time, neither among
themselves nor behind any tick before them. Whatever `horizon` the bars have, each of them would have been accepted. A tick
that does step back, or that no window holds, waits as it is, in its place.
"""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar, Final, cast

from rxfeed.errors import PartialRefused
from rxfeed.frame import Frame
from rxfeed.kernels.bars.acc import Acc, Window, acc_of, acc_of_tick, bar_of, merge_into, window_in
from rxfeed.kernels.pressure.backlog import Backlog, Block, Others
from rxfeed.model import Bar, Flag, Tick, sums
from rxfeed.overflow import Conflate
from rxfeed.times import FOREVER
from rxfeed.windows import Grid, Segment

_CHUNK: Final = 1_024
"""Ticks that are merged at a time, when there is no more room: about a millisecond's work."""
_NEVER: Final = -FOREVER


class _Merged:
    """A partial bar that waits. `end`: from here on ticks are of another; `only`: what it was begun with, while that is all."""

    only: Tick | Bar | None

    __slots__ = ("acc", "end", "only", "symbol", "window")

    def __init__(self, symbol: _Symbol, window: Window, acc: Acc, only: Tick | Bar) -> None:
        self.symbol, self.window, self.acc, self.end, self.only = symbol, window, acc, window[1], only


class _Symbol:
    """What is known of a symbol: its greatest time so far, and the partial bar that its next tick may go into."""

    __slots__ = ("grid", "last", "mark", "name", "segment")

    def __init__(self, name: str, grid: Grid) -> None:
        self.name, self.grid = name, grid
        self.mark = _NEVER
        self.last: _Merged | None = None
        self.segment: Segment | None = None

    def window(self, time: int) -> Window | None:
        """Return the finest window of a time, None when the market is closed."""
        segment = self.segment
        if segment is None or not segment.lo <= time < segment.hi:
            segment = self.grid.segment(time)
            if segment is None:
                return None
            self.segment = segment
        return window_in(segment, time)


class Conflating(Backlog):
    """Ticks, frames of ticks, or partial bars. The newest wait as they are, the older merged; `capacity` counts partial bars as
    one each. When even those are too many, the oldest go.
    """

    __slots__ = ("_merged", "_symbols", "_what")

    policy = "conflate"
    takes: ClassVar[str] = "Tick, Frame[Tick] or partial Bar"

    def __init__(self, capacity: int, what: Conflate, *, gaps: bool = True) -> None:
        self._what = what
        self._merged: deque[Tick | Bar | _Merged] = deque()
        self._symbols: dict[str, _Symbol] = {}
        super().__init__(capacity, gaps=gaps)

    def __bool__(self) -> bool:
        return bool(self._merged) or bool(self._blocks)

    @property
    def load(self) -> int:
        return self.received - self._gone + len(self._merged)

    # --- in

    def _put_frame(self, frame: Frame[Any]) -> None:
        if frame.kind is not Tick:
            raise self._refuse(frame)
        super()._put_frame(frame)

    def _put_other(self, element: Any) -> None:
        if not isinstance(element, Bar):
            raise self._refuse(element)
        ticks = _ticks(element)
        super()._put_other(element)
        # It is so many ticks, and takes the room of one.
        self.received += ticks - 1
        self._gone += ticks - 1

    # --- out

    def take(self, most: int, rows: int = 0) -> Block:
        self._high = max(self._high, self.load)
        if not self._merged:
            block = self._head(rows if rows and self._frame_next else most)
            self._gone += len(block)
            self.emitted += _ticks_of(block)
            self._see(block)
        else:
            block = self._take_merged(most)
        self._settle()
        return block

    def _take_merged(self, most: int) -> Block:
        out = Others()
        for _ in range(min(most, len(self._merged))):
            each = self._merged.popleft()
            if isinstance(each, _Merged):
                if each.symbol.last is each:
                    each.symbol.last = None
                if each.only is None:
                    out.append(self._bar(each))
                    self.conflated += each.acc.count
                    continue
                each = each.only
            self.emitted += _ticks(each)
            out.append(each)
        return out

    def unsent(self, block: Block) -> None:
        ticks = _ticks_of(block)
        merged = min(self.conflated, sum(each.count or 0 for each in block if isinstance(each, Bar)))
        self.conflated -= merged
        self.emitted -= ticks - merged
        self.dropped += ticks

    def _see(self, block: Block) -> None:
        """Know until when each symbol's ticks have come; what steps back behind that is not merged."""
        marks = self._symbols
        if isinstance(block, Frame):
            times, groups = block.grouped("time"), block.groups
            starts = groups.starts.tolist()
            for name, begin, end in zip(groups.symbols, starts[:-1], starts[1:], strict=True):
                symbol = marks.get(name) or self._symbol(name)
                symbol.mark = max(symbol.mark, int(times[begin:end].max()))
            return
        for each in block:
            symbol = marks.get(each.symbol) or self._symbol(each.symbol)
            time = each.time if each.__class__ is Tick else each.last_time
            if time > symbol.mark:
                symbol.mark = time

    def _symbol(self, name: str) -> _Symbol:
        symbol = self._symbols[name] = _Symbol(name, self._what.grid(name))
        return symbol

    def _bar(self, merged: _Merged) -> Bar:
        start, end, flags, day = merged.window
        flags |= merged.acc.flags | Flag.CONFLATED
        return bar_of(merged.symbol.name, self._what.timeframe, start, end, merged.acc, day, flags)

    def _forget(self) -> None:
        super()._forget()
        self._merged.clear()
        for symbol in self._symbols.values():
            symbol.last = None

    # --- too much

    def _relieve(self, over: int) -> bool:
        while over > 0 and self._blocks:
            self._merge(self._head(max(over, min(_CHUNK, self.capacity // 4))))
            over = self.load - self.capacity
        if over > 0:
            self._drop_oldest(max(over, self.capacity // 16))
        return True

    def _drop_oldest(self, count: int) -> None:
        """Drop partial bars, the oldest first; there is nothing else when this is asked for."""
        for _ in range(min(count, len(self._merged))):
            each = self._merged.popleft()
            if isinstance(each, _Merged):
                if each.symbol.last is each:
                    each.symbol.last = None
                self._lose(each.symbol.name, each.acc.first_time, each.acc.last_time, each.acc.count)
            else:
                first, last = (each.time, each.time) if isinstance(each, Tick) else (each.first_time or 0, each.last_time or 0)
                self._lose(each.symbol, first, last, _ticks(each))

    def _lose(self, symbol: str, start: int, end: int, ticks: int) -> None:
        self.dropped += ticks
        if self.lost is not None:
            self.lost.note(symbol, start, end, ticks)

    def _merge(self, block: Block) -> None:
        """Merge what has waited longest into what waits in front of it."""
        self._gone += len(block)
        get, keep = self._symbols.get, self._merged.append
        for each in block.rows() if isinstance(block, Frame) else block:
            if each.__class__ is not Tick:
                self._merge_bar(each)
                continue
            symbol = get(each.symbol) or self._symbol(each.symbol)
            time, price, size = each.time, each.price, each.size
            last = symbol.last
            if price - price != 0.0:  # inf or nan: bars refuse it, and it moves no watermark
                keep(each)
                continue
            if last is None or not symbol.mark <= time < last.end:
                self._keep(symbol, each, time)
                continue
            a = last.acc
            last.only = None
            symbol.mark = time
            a.notional += price * size
            if price > a.high:
                a.high = price
            elif price < a.low:
                a.low = price
            a.volume += size
            a.count += 1
            side = each.side
            if side == 1:
                a.buy += size
            elif side == 2:
                a.sell += size
            seq = each.seq
            if time > a.last_time or seq >= a.last_seq:
                a.close, a.last_time, a.last_seq = price, time, seq
            if time == a.first_time and seq < a.first_seq:
                a.open, a.first_seq = price, seq

    def _keep(self, symbol: _Symbol, tick: Tick, time: int) -> None:
        """Begin a partial bar with a tick, or leave it as it is."""
        symbol.last = None
        window = symbol.window(time) if time >= symbol.mark else None
        if window is None:
            self._merged.append(tick)
            return
        symbol.mark = time
        symbol.last = _Merged(symbol, window, acc_of_tick(tick), tick)
        self._merged.append(symbol.last)

    def _merge_bar(self, bar: Bar) -> None:
        """Merge a partial bar that came as one."""
        symbol = self._symbols.get(bar.symbol) or self._symbol(bar.symbol)
        if bar.flags & Flag.FILLED:
            self._merged.append(bar)
            return
        part, last = acc_of(bar), symbol.last
        finite = all(price - price == 0.0 for price in (part.open, part.high, part.low, part.close))
        if finite and last is not None and symbol.mark <= part.first_time and part.last_time < last.end:
            merge_into(last.acc, part)
            last.only = None
            symbol.mark = part.last_time
            return
        window = symbol.window(part.first_time) if finite and part.first_time >= symbol.mark else None
        if finite:
            symbol.mark = max(symbol.mark, part.last_time)
        if window is None or part.last_time >= window[1]:
            symbol.last = None
            self._merged.append(bar)
            return
        symbol.last = _Merged(symbol, window, part, bar)
        self._merged.append(symbol.last)


def _ticks(element: Tick | Bar) -> int:
    """How many ticks an element stands for.

    Raises:
        PartialRefused: it is a bar that cannot be merged.
    """
    if element.__class__ is Tick:
        return 1
    bar = cast("Bar", element)
    if bar.flags & Flag.FILLED:
        return 0
    if bar.revision != 0:
        raise PartialRefused(f"a partial bar must have revision 0, or ticks would count twice, got {bar.revision}: {bar}")
    try:
        return sums(bar).ticks
    except ValueError as error:
        raise PartialRefused(str(error)) from None


def _ticks_of(block: Block) -> int:
    return sum(map(_ticks, block)) if block.__class__ is Others else len(block)
