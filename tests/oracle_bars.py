"""Bars as DESIGN.md words them, made the slow way: every bar is computed anew from the list of its ticks.

Written with `datetime` and `zoneinfo` alone: no kernel, window, grid or session of the package is used, so that an error
there cannot be here too. Times are int nanoseconds, UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
UNITS = {"ms": SECOND // 1000, "s": SECOND, "m": MINUTE, "h": 60 * MINUTE}
CALENDAR = ("1d", "1w", "1mo")


class Tick(NamedTuple):
    symbol: str
    time: int
    price: float
    size: int
    side: int
    seq: int


class Mark(NamedTuple):
    """A mark raises the watermark of every symbol that has one."""

    time: int


@dataclass(frozen=True)
class Market:
    """Weekly hours: minutes from the local midnight of the trade date; an open on the evening before is negative."""

    zone: str
    weekdays: tuple[int, ...]
    opening: int
    closing: int
    breaks: tuple[tuple[int, int], ...] = ()


CME = Market("America/Chicago", (0, 1, 2, 3, 4), -7 * 60, 16 * 60)
LUNCH = Market("Asia/Tokyo", (0, 1, 2, 3, 4), 9 * 60, 15 * 60, ((11 * 60 + 30, 12 * 60 + 30),))


def always(zone: str) -> Market:
    return Market(zone, (0, 1, 2, 3, 4, 5, 6), 0, 24 * 60)


class Window(NamedTuple):
    start: int
    end: int
    trade_date: date


class Rolled(NamedTuple):
    """What a bar is, but for its revision and flags."""

    end: int
    trade_date: date
    open: float
    high: float
    low: float
    close: float
    volume: int
    count: int
    buy_volume: int
    sell_volume: int
    notional: float
    first: tuple[int, int]
    last: tuple[int, int]


Key = tuple[str, str, int]
"""`(symbol, timeframe, start)`."""


@dataclass
class Result:
    table: dict[Key, Rolled] = field(default_factory=dict)
    """The final content of each bar."""
    partial: set[Key] = field(default_factory=set)
    """Bars whose window ends after the last watermark."""
    rejects: list[tuple[str, str, int]] = field(default_factory=list)
    """`(rule, symbol, seq)`, in order."""
    outside: int = 0
    first_out: dict[str, list[tuple[Key, Rolled]]] = field(default_factory=dict)
    """By symbol, the bars of revision 0 in order: the on-time content."""
    stream: dict[str, list[tuple[Key, int, Rolled]]] = field(default_factory=dict)
    """By symbol, all that comes out when ticks come one by one: key, revision, content."""


# --- windows


def _shown(zone: str, minute: int) -> datetime:
    """What the clock on the wall shows, as a naive datetime."""
    return datetime.fromtimestamp(minute * 60, ZoneInfo(zone)).replace(tzinfo=None)


@cache
def _instant(zone: str, local: datetime) -> int:
    """The first minute at which the clock shows `local` or has passed it, in nanoseconds."""
    near = int(local.replace(tzinfo=UTC).timestamp()) // 60
    for minute in range(near - 15 * 60, near + 15 * 60):
        if _shown(zone, minute) >= local:
            return minute * MINUTE
    raise AssertionError(local)


@cache
def _spans(market: Market, day: date) -> tuple[tuple[int, int], ...]:
    """The stretches of trading of a trade date."""
    if day.weekday() not in market.weekdays:
        return ()
    midnight = datetime(day.year, day.month, day.day)
    minutes = [market.opening, *(m for pair in market.breaks for m in pair), market.closing]
    edges = [_instant(market.zone, midnight + timedelta(minutes=m)) for m in minutes]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def _span_at(market: Market, time: int) -> tuple[int, int, date] | None:
    today = datetime.fromtimestamp(time // SECOND, UTC).date()
    for days in range(-2, 4):
        day = today + timedelta(days=days)
        for lo, hi in _spans(market, day):
            if lo <= time < hi:
                return lo, hi, day
    return None


def step_of(timeframe: str) -> int:
    """Nanoseconds, 0 for what follows the calendar."""
    if timeframe in (*CALENDAR, "span"):
        return 0
    digits = "".join(c for c in timeframe if c.isdigit())
    return int(digits) * UNITS[timeframe.removeprefix(digits)]


def rank(timeframe: str) -> tuple[int, int]:
    """Sorts finer before coarser."""
    return (1, CALENDAR.index(timeframe)) if timeframe in CALENDAR else (0, step_of(timeframe))


def finest(timeframes: Sequence[str]) -> str:
    """The timeframe in whose windows partial bars must lie: one whose edges are among all the others' edges."""
    steps = [step_of(t) for t in timeframes if step_of(t)]
    if not steps:
        return "span"
    return f"{math.gcd(*steps) // UNITS['ms']}ms"


@cache
def _label_days(timeframe: str, day: date) -> tuple[date, ...]:
    """The dates that share a 1d, 1w or 1mo bar with `day`."""
    if timeframe == "1d":
        return (day,)
    around = [day + timedelta(days=n) for n in range(-31, 32)]
    if timeframe == "1w":
        return tuple(d for d in around if d.isocalendar()[:2] == day.isocalendar()[:2])
    return tuple(d for d in around if (d.year, d.month) == (day.year, day.month))


@cache
def _wall_edges(zone: str, step: int, lo: int, hi: int) -> tuple[int, ...]:
    """Minutes at which the clock comes to a multiple of `step` since midnight, or jumps into another one."""
    wide = step // SECOND
    found = []
    for minute in range(lo // MINUTE, hi // MINUTE + 1):
        before, now = _shown(zone, minute - 1), _shown(zone, minute)
        due = before + timedelta(minutes=1)
        places = [(d.date(), (d.hour * 3600 + d.minute * 60) // wide) for d in (before, now)]
        if (due.hour * 3600 + due.minute * 60) % wide == 0 or places[0] != places[1]:
            found.append(minute * MINUTE)
    return tuple(found)


def window(market: Market, timeframe: str, anchor: str, time: int) -> Window | None:
    """The window that holds an instant; None when the market is closed."""
    span = _span_at(market, time)
    if span is None:
        return None
    lo, hi, day = span
    if timeframe in CALENDAR:
        dated = [(d, s) for d in _label_days(timeframe, day) for s in _spans(market, d)]
        return Window(dated[0][1][0], dated[-1][1][1], dated[0][0])
    step = step_of(timeframe) or hi - lo
    if anchor == "wall" and step % MINUTE == 0 and timeframe != "span":
        edges = [lo, *(e for e in _wall_edges(market.zone, step, lo, hi) if lo < e < hi), hi]
        at = max(i for i, edge in enumerate(edges) if edge <= time)
        return Window(edges[at], edges[at + 1], day)
    origin = lo if anchor == "session" or timeframe == "span" else 0
    start = time - (time - origin) % step
    return Window(max(lo, start), min(hi, start + step), day)


# --- bars


def roll(ticks: Iterable[Tick], window: Window) -> Rolled:
    """One bar from its ticks, in whatever order they came."""
    ordered = sorted(ticks, key=lambda t: (t.time, t.seq))
    prices = [t.price for t in ordered]
    return Rolled(
        window.end, window.trade_date, prices[0], max(prices), min(prices), prices[-1],
        sum(t.size for t in ordered), len(ordered),
        sum(t.size for t in ordered if t.side == 1), sum(t.size for t in ordered if t.side == 2),
        math.fsum(t.price * t.size for t in ordered),
        (ordered[0].time, ordered[0].seq), (ordered[-1].time, ordered[-1].seq),
    )  # fmt: skip


class Oracle:
    """Ticks and marks one by one. `markets` names the symbols that have hours of their own."""

    def __init__(
        self,
        timeframes: Sequence[str],
        market: Market,
        *,
        anchor: str = "session",
        lateness: int = 0,
        horizon: int = 0,
        markets: Mapping[str, Market] | None = None,
    ) -> None:
        self.timeframes = sorted(timeframes, key=rank)
        self.market, self.markets, self.anchor = market, markets or {}, anchor
        self.lateness, self.horizon = lateness, horizon
        self.result = Result()
        self.watermark: dict[str, int] = {}
        self.ticks: dict[Key, list[Tick]] = {}
        self.windows: dict[Key, Window] = {}
        self.open: dict[str, set[Key]] = {}
        self.revision: dict[Key, int] = {}

    def window(self, symbol: str, timeframe: str, time: int) -> Window | None:
        return window(self.markets.get(symbol, self.market), timeframe, self.anchor, time)

    def verdict(self, tick: Tick) -> str:
        """What becomes of a tick if it comes now: `finite`, `outside`, `late` or `accepted`."""
        if not math.isfinite(tick.price):
            return "finite"
        if self.window(tick.symbol, self.timeframes[0], tick.time) is None:
            return "outside"
        mark = self.watermark.get(tick.symbol)
        return "late" if mark is not None and tick.time < mark - self.horizon else "accepted"

    def take(self, event: Tick | Mark) -> None:
        if isinstance(event, Mark):
            for symbol, mark in self.watermark.items():
                if event.time > mark:
                    self.watermark[symbol] = event.time
                    self._close(symbol)
            return
        verdict = self.verdict(event)
        if verdict == "outside":
            self.result.outside += 1
        elif verdict != "accepted":
            self.result.rejects.append((verdict, event.symbol, event.seq))
        else:
            self._accept(event)

    def _accept(self, tick: Tick) -> None:
        symbol = tick.symbol
        if symbol not in self.watermark or tick.time > self.watermark[symbol]:
            self.watermark[symbol] = tick.time
            self._close(symbol)
        revised: list[Key] = []
        for timeframe in self.timeframes:
            found = self.window(symbol, timeframe, tick.time)
            assert found is not None
            key = symbol, timeframe, found.start
            self.windows[key] = found
            self.ticks.setdefault(key, []).append(tick)
            if found.end + self.lateness <= self.watermark[symbol]:
                revised.append(key)
            else:
                self.open.setdefault(symbol, set()).add(key)
        for key in self._ordered(revised):
            self.revision[key] = self.revision.get(key, 0) + 1
            self._emit(key)

    def _ordered(self, keys: Iterable[Key]) -> list[Key]:
        return sorted(keys, key=lambda key: (self.windows[key].end, self.timeframes.index(key[1])))

    def _close(self, symbol: str, *, everything: bool = False) -> None:
        limit = self.watermark[symbol] - self.lateness
        still = self.open.get(symbol, set())
        due = [key for key in still if everything or self.windows[key].end <= limit]
        for key in self._ordered(due):
            still.remove(key)
            self.revision[key] = 0
            self._emit(key)

    def _emit(self, key: Key) -> None:
        content = roll(self.ticks[key], self.windows[key])
        self.result.table[key] = content
        self.result.stream.setdefault(key[0], []).append((key, self.revision[key], content))
        if self.revision[key] == 0:
            self.result.first_out.setdefault(key[0], []).append((key, content))

    def finish(self) -> Result:
        for symbol, mark in self.watermark.items():
            self.result.partial |= {key for key in self.open.get(symbol, ()) if self.windows[key].end > mark}
            self._close(symbol, everything=True)
        return self.result
