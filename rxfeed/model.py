"""What flows: ticks, quotes, depth, bars and gaps, and `merge`, on which everything else rests.

A tick is the smallest bar, and bars merge. `merge` is associative and commutative with `None` as its identity, so
live windows, columnar replay, roll-up, late ticks and conflation are one function and agree.

Times are int nanoseconds since the epoch, UTC. `time` is when it happened at the exchange, `received` when it came to us.
"""

from __future__ import annotations

from datetime import date
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

import msgspec

from rxfeed.times import iso


class Side(IntEnum):
    """Who was the aggressor of a trade, or which side of the book a level is on."""

    UNKNOWN = 0
    BUY = 1
    SELL = 2


class Flag(IntFlag):
    """What a bar says about itself."""

    PARTIAL = 1
    """The window had not ended: the stream did, or this is a snapshot of an open bar (then `revision` is -1)."""
    SHORT = 2
    """Cut by the session: complete, but shorter than its timeframe."""
    GAP = 4
    """Ticks may be missing; also when the stream began inside the window."""
    REPAIRED = 8
    """Replaced from history. Only OHLC and volume are known; the other sums are None."""
    CONFLATED = 16
    """Merged from partial bars by a consumer that could not keep up. Still exact."""
    FILLED = 32
    """An empty window: count 0, all prices the close before. Ignored by `merge`."""


UNKNOWN_TIME: Final = -(1 << 63) + 1
"""A time that does not fit int64 nanoseconds, such as year 1, .NET's default; `validate` rejects it as `known_time`."""


class DepthKind(IntEnum):
    """What a `Depth` does to the book."""

    LEVEL = 1
    RESET = 2


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One trade. `(time, seq)` is unique for a symbol; `size` is in the instrument's lots; `side` is the aggressor's."""

    symbol: str
    time: int
    price: float
    size: int
    side: int = 0
    seq: int = 0
    received: int | None = None


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask. What the source did not say is None. `volume` is the session's so far, not a trade's."""

    symbol: str
    time: int
    bid: float | None = None
    ask: float | None = None
    bid_size: int | None = None
    ask_size: int | None = None
    last: float | None = None
    volume: int | None = None
    seq: int = 0
    received: int | None = None

    @property
    def mid(self) -> float | None:
        """Half way between bid and ask; None unless both are known."""
        return None if self.bid is None or self.ask is None else (self.bid + self.ask) / 2

    @property
    def spread(self) -> float | None:
        """Ask less bid, negative where they are crossed; None unless both are known."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid


class Depth(msgspec.Struct, frozen=True, gc=False):
    """One change of the order book. `size` is absolute, 0 removes the level; `epoch` tells which connection's book it is."""

    symbol: str
    time: int
    kind: int
    side: int = 0
    price: float | None = None
    size: int = 0
    epoch: int = 0
    seq: int = 0
    received: int | None = None


ONGOING: Final = (1 << 63) - 1
"""The end of a gap that still lasts."""


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Ticks of `symbol` may be missing between `start` and `end`, both inclusive."""

    symbol: str
    start: int
    end: int
    """`ONGOING` while it lasts; then it comes again, with the same start and its end."""
    cause: str

    @property
    def ongoing(self) -> bool:
        """Whether its end is not known yet."""
        return self.end == ONGOING


class Bar(msgspec.Struct, frozen=True, gc=False):
    """Open, high, low, close and sums of one symbol over `[start, end)`.

    Its identity is `(symbol, timeframe, start)`; a later `revision` replaces an earlier one whole: -1 is a snapshot of an
    open window, 0 the on-time content, 1 and more hold late ticks. `trade_date` is the session's (for `1w` and `1mo` the
    first one's). `first_*` and `last_*` belong to open and close. In a bar replaced from history, what history does not
    know is None.
    """

    symbol: str
    timeframe: str
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    count: int | None
    buy_volume: int | None
    sell_volume: int | None
    notional: float | None
    first_time: int | None
    first_seq: int | None
    last_time: int | None
    last_seq: int | None
    trade_date: date
    revision: int = 0
    flags: int = 0

    @property
    def vwap(self) -> float | None:
        """Volume-weighted average price; None without volume, or when history did not know."""
        return self.notional / self.volume if self.volume and self.notional is not None else None

    @property
    def identity(self) -> tuple[str, str, int]:
        """`(symbol, timeframe, start)`."""
        return self.symbol, self.timeframe, self.start

    def __str__(self) -> str:
        flags = f" {Flag(self.flags).name}" if self.flags else ""
        revision = f" r{self.revision}" if self.revision else ""
        return (
            f"{self.symbol} {self.timeframe} {iso(self.start)} "
            f"O {self.open:.10g} H {self.high:.10g} L {self.low:.10g} C {self.close:.10g} "
            f"V {self.volume} N {self.count}{revision}{flags}"
        )


class Repair(msgspec.Struct, frozen=True):
    """What history says about all windows of one timeframe that a gap touches: those in `[start, end)`.

    A window without a bar had no trade. What comes from history replaces and is not merged, see `replace`.
    """

    gap: Gap
    timeframe: str
    start: int
    end: int
    bars: tuple[Bar, ...]


class Reject(msgspec.Struct, frozen=True):
    """An element that was not accepted: the first rule it failed, and why in words."""

    element: Tick | Quote | Depth | Bar
    rule: str
    reason: str


class Undecoded(msgspec.Struct, frozen=True):
    """What a feed sent and nobody could read, where a tick, a quote or a change of a book should have been."""

    source: str
    """Which event or answer of the feed it came in."""
    text: str
    """How it begins, as it was sent."""
    reason: str
    symbol: str | None = None
    received: int | None = None


def merge(a: Bar | None, b: Bar | None) -> Bar | None:
    """Merge two partial bars of one symbol and window; `None` is the empty one.

    Open comes from the earlier and close from the later by `(time, seq)`; high and low are the extremes; volume, count
    and notional are summed; flags are united. Associative and commutative, but not idempotent: a tick belongs to exactly
    one partial. `notional` is a float sum, so another order of merging agrees to about 1e-12.

    Raises:
        ValueError: the two differ in symbol, timeframe or window, or one was replaced from history.
    """
    if a is None or b is None:
        return b if a is None else a
    if a.flags & b.flags & Flag.FILLED:
        return max(a, b, key=lambda bar: (bar.revision, bar.close))
    if (a.flags | b.flags) & Flag.FILLED:
        return b if a.flags & Flag.FILLED else a
    if (a.symbol, a.timeframe, a.start, a.end) != (b.symbol, b.timeframe, b.start, b.end):
        raise ValueError(f"only partials of one symbol and window merge, got {a} and {b}")
    x, y = sums(a), sums(b)
    first, head = (a, x) if (x.first_time, x.first_seq) <= (y.first_time, y.first_seq) else (b, y)
    last, tail = (b, y) if (y.last_time, y.last_seq) >= (x.last_time, x.last_seq) else (a, x)
    return Bar(
        a.symbol, a.timeframe, a.start, a.end,
        first.open, max(a.high, b.high), min(a.low, b.low), last.close,
        a.volume + b.volume, x.ticks + y.ticks, x.buy_volume + y.buy_volume, x.sell_volume + y.sell_volume,
        x.notional + y.notional,
        head.first_time, head.first_seq, tail.last_time, tail.last_seq,
        a.trade_date, max(a.revision, b.revision), a.flags | b.flags,
    )  # fmt: skip


class Sums(NamedTuple):
    """What a bar made of ticks knows, and one replaced from history does not. `ticks` is the count."""

    ticks: int
    buy_volume: int
    sell_volume: int
    notional: float
    first_time: int
    first_seq: int
    last_time: int
    last_seq: int


def sums(bar: Bar) -> Sums:
    """Return the fields that a bar must have to be merged.

    Raises:
        ValueError: the bar is from history, or filled.
    """
    if (
        bar.count is None or bar.buy_volume is None or bar.sell_volume is None or bar.notional is None
        or bar.first_time is None or bar.first_seq is None or bar.last_time is None or bar.last_seq is None
    ):  # fmt: skip
        raise ValueError(f"a bar from history is not merged but replaces, got {bar}")
    return Sums(
        bar.count, bar.buy_volume, bar.sell_volume, bar.notional, bar.first_time, bar.first_seq, bar.last_time, bar.last_seq
    )


def replace(live: Bar | None, history: Bar) -> Bar:
    """Set a whole window to what history says; the second verb beside `merge`.

    History overlaps the live ticks and a maximum cannot be undone, so nothing is added up: OHLC and volume are history's,
    and what history does not know is None. The result is the next revision, flagged REPAIRED, no longer GAP or PARTIAL.

    Raises:
        ValueError: the two differ in symbol, timeframe or window.
    """
    if live is not None and (*live.identity, live.end) != (*history.identity, history.end):
        raise ValueError(f"history replaces a bar of the same symbol and window, got {live} and {history}")
    base = live if live is not None else history
    return msgspec.structs.replace(
        history,
        trade_date=base.trade_date,
        count=None, buy_volume=None, sell_volume=None, notional=None,
        first_time=None, first_seq=None, last_time=None, last_seq=None,
        revision=0 if live is None else live.revision + 1,
        flags=base.flags & Flag.SHORT | Flag.REPAIRED,
    )  # fmt: skip
