"""An open window of the row lane: `model.Bar` as a mutable object, and `model.merge` in place."""

from __future__ import annotations

from datetime import date

from rxfeed.model import Bar, Flag, Tick, sums
from rxfeed.windows import Segment

SHORT, GAP, PARTIAL = int(Flag.SHORT), int(Flag.GAP), int(Flag.PARTIAL)
INHERITED = ~(SHORT | PARTIAL)
"""The flags that a bar passes on to the one that contains it."""

Window = tuple[int, int, int, date]
"""`(start, end, flags, trade_date)`."""
Rolled = tuple[float, float, float, float, int, int, int, int, float, int, int, int, int]
"""A closed window: open, high, low, close, volume, count, buy, sell, notional, first time and seq, last time and seq."""


class Acc:
    """An open window. `windows` are those of all levels around it, `due` is where the ordinary path ends: something closes."""

    __slots__ = (
        "buy", "close", "count", "due", "end", "first_seq", "first_time", "flags", "high", "last_seq", "last_time",
        "low", "notional", "open", "sell", "start", "volume", "windows",
    )  # fmt: skip

    start: int
    end: int
    due: int
    windows: tuple[Window, ...]
    flags: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    count: int
    buy: int
    sell: int
    notional: float
    first_time: int
    first_seq: int
    last_time: int
    last_seq: int


def window_in(segment: Segment, time: int) -> Window:
    """`Segment.window`, with flags instead of a bool and without the cost of a named tuple."""
    lo, hi, origin, step, day = segment
    start = time - (time - origin) % step
    end = start + step
    flags = 0
    if start < lo:
        start, flags = lo, SHORT
    if end > hi:
        end, flags = hi, SHORT
    return start, end, flags, day


def bar_of(symbol: str, timeframe: str, start: int, end: int, a: Acc, day: date, flags: int) -> Bar:
    return Bar(
        symbol, timeframe, start, end, a.open, a.high, a.low, a.close, a.volume, a.count, a.buy, a.sell, a.notional,
        a.first_time, a.first_seq, a.last_time, a.last_seq, day, 0, flags,
    )  # fmt: skip


def acc_of(bar: Bar) -> Acc:
    a = Acc()
    known = sums(bar)
    a.open, a.high, a.low, a.close, a.volume = bar.open, bar.high, bar.low, bar.close, bar.volume
    a.count, a.buy, a.sell, a.notional, a.first_time, a.first_seq, a.last_time, a.last_seq = known
    a.flags = bar.flags
    return a


def acc_of_tick(t: Tick) -> Acc:
    a = Acc()
    price, size, side = t.price, t.size, t.side
    a.open = a.high = a.low = a.close = price
    a.volume, a.count, a.notional = size, 1, price * size
    a.buy = size if side == 1 else 0
    a.sell = size if side == 2 else 0
    a.first_time = a.last_time = t.time
    a.first_seq = a.last_seq = +t.seq  # a seq of a wrong type fails here
    a.flags = 0
    return a


def copy_of(part: Acc) -> Acc:
    a = Acc()
    a.open, a.high, a.low, a.close = part.open, part.high, part.low, part.close
    a.volume, a.count, a.buy, a.sell, a.notional = part.volume, part.count, part.buy, part.sell, part.notional
    a.first_time, a.first_seq, a.last_time, a.last_seq = part.first_time, part.first_seq, part.last_time, part.last_seq
    a.windows = part.windows
    return a


def merge_into(a: Acc, b: Acc) -> None:
    """`model.merge`, in place."""
    if b.high > a.high:
        a.high = b.high
    if b.low < a.low:
        a.low = b.low
    if b.first_time < a.first_time or (b.first_time == a.first_time and b.first_seq < a.first_seq):
        a.open, a.first_time, a.first_seq = b.open, b.first_time, b.first_seq
    if b.last_time > a.last_time or (b.last_time == a.last_time and b.last_seq >= a.last_seq):
        a.close, a.last_time, a.last_seq = b.close, b.last_time, b.last_seq
    a.volume += b.volume
    a.count += b.count
    a.buy += b.buy
    a.sell += b.sell
    a.notional += b.notional
    a.flags |= b.flags & INHERITED


def merge_rolled(a: Acc, rolled: list[Rolled]) -> None:
    """Merge closed windows, each after the one before, into the one around them: `merge_into`, a column at a time."""
    opens, highs, lows, closes, volumes, counts, buys, sells, notionals, first, first_seq, last, last_seq = zip(
        *rolled, strict=True
    )
    a.high, a.low = max(a.high, *highs), min(a.low, *lows)
    if first[0] < a.first_time or (first[0] == a.first_time and first_seq[0] < a.first_seq):
        a.open, a.first_time, a.first_seq = opens[0], first[0], first_seq[0]
    if last[-1] > a.last_time or (last[-1] == a.last_time and last_seq[-1] >= a.last_seq):
        a.close, a.last_time, a.last_seq = closes[-1], last[-1], last_seq[-1]
    a.volume += sum(volumes)
    a.count += sum(counts)
    a.buy += sum(buys)
    a.sell += sum(sells)
    a.notional = sum(notionals, a.notional)
