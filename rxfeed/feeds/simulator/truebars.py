"""The bars of all that was traded, sent to somebody or not: what a client's own must equal, made with none of its code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rxfeed.feeds.simulator.history import MINUTE, Dated, History
from rxfeed.feeds.simulator.ledger import Ledger
from rxfeed.feeds.simulator.listing import Listed
from rxfeed.times import FOREVER, SECOND, Duration, nanoseconds


class TrueBar(NamedTuple):
    """A bar of `[start, end)`, in nanoseconds since the epoch."""

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: int


def true_bars(
    listed: Listed, history: History, ledger: Ledger, timeframe: Duration, start: int = 0, end: int = FOREVER
) -> list[TrueBar]:
    """Return the bars that begin in `[start, end)`, on UTC's grid, oldest first; a window without trades has none.

    Args:
        listed: of which contract.
        history: what was traded; of whole seconds or minutes all is known.
        ledger: the trades themselves, from the simulation's start on, for timeframes that are no whole seconds.
        timeframe: how long a bar is, such as "1s", "5m" or "250ms".
        start: nanoseconds since the epoch, as `end` is. By default all that is known whole.
        end: exclusive.

    Raises:
        ValueError: the timeframe is none, or what is asked for is no longer kept.
    """
    step = nanoseconds(timeframe, name="timeframe")
    if step < 1:
        raise ValueError(f"timeframe must be at least 1 ns, got {timeframe!r}")
    if step % SECOND:
        kept, since = _of_trades(ledger), _times_since(ledger)
        what = "trades are kept (keep_trades)"
    else:
        minutes = not step % (MINUTE * SECOND)
        kept, since = history.kept(minutes=minutes)
        what = "minutes are kept" if minutes else "seconds are kept"
    if start and start < since:
        raise ValueError(f"start must be {since} or later, from where on {what}, got {start}")
    begin = -(-max(start, since) // step) * step
    bars: dict[int, Dated] = {}
    for at, new in kept:
        window = at // step * step
        if not begin <= window < end:
            continue
        bar = bars.get(window)
        if bar is None:
            bars[window] = new.copy()
            continue
        bar[1], bar[2], bar[4] = max(bar[1], new[1]), min(bar[2], new[2]), bar[4] + new[4]
        if new[5] < bar[5]:
            bar[0], bar[5] = new[0], new[5]
        if new[6] >= bar[6]:
            bar[3], bar[6] = new[3], new[6]
    price = listed.price
    return [
        TrueBar(at, at + step, price(o), price(h), price(low), price(c), v)
        for at, (o, h, low, c, v, _, _) in sorted(bars.items())
    ]


def _of_trades(ledger: Ledger) -> Iterable[tuple[int, Dated]]:
    return ((trade.time, [*[trade.ticks] * 4, trade.size, trade.time, trade.time]) for trade in ledger)


def _times_since(ledger: Ledger) -> int:
    """Return from when on all trades are kept: after the oldest one that is, unless that is the first of all."""
    return next((trade.time + 1 for trade in ledger), FOREVER) if ledger.first else 0
