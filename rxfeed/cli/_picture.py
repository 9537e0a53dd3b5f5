"""The picture of a run: at most so many lines, none wider than that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.text import Text

from rxfeed.cli._look import Look, SymbolLook
from rxfeed.cli._table import flag_names
from rxfeed.cli._totals import duration
from rxfeed.kernels.meter import Summary
from rxfeed.model import Bar
from rxfeed.times import SECOND

_WIDE: Final = 100
_QUIET: Final = 5 * SECOND
_LEFT: Final = ("symbol", "bar", "date", "start", "")
_LEAST: Final = ("vwap", "date", "age", "size", "trades", "open", "lots")
"""What is left out where there is no room, first things first."""

_FOR_WIDE: Final = ("vwap", "date")

Row = dict[str, str]


def picture_of(look: Look, width: int, height: int) -> list[Text]:
    """Return a run as lines; the last line of the terminal stays free, for the cursor."""
    lines = [_head(look, width), *_figures(look, width)]
    lines += _table(_SYMBOL, [_symbol(one, look.now) for one in look.symbols], [_style(one) for one in look.symbols], width)
    lines.append(Text())
    room = max(0, height - len(lines) - 2)
    current = look.open_bars[:room]
    closed = look.closed_bars[: room - len(current)]
    sizes = {one.symbol: one.tick_size for one in look.symbols}
    rows = [_bar(bar, sizes[bar.symbol], "open") for bar in current]
    rows += [_bar(bar, sizes[bar.symbol], flag_names(bar.flags)) for bar in closed]
    return [*lines, *_table(_BAR, rows, ["bold"] * len(current) + ["dim"] * len(closed), width)][: height - 1]


def _head(look: Look, width: int) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    if look.simulated:
        line.append(" SIMULATED ", "reverse").append(" ")
    line.append(look.where, "bold").append(f"  {look.state}", "green" if look.state == "connected" else "yellow")
    line.append(f"  {look.closed or look.session}", "" if look.closed is None else "yellow")
    seconds = max(0, look.now - look.since) // SECOND
    line.append(f"  {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}")
    if width >= _WIDE and look.state == "connected":
        line.append("  Ctrl-C ends", "dim")
    return line


def _figures(look: Look, width: int) -> list[Text]:
    rate = f"{look.rate:,.0f} trades/s, {look.received:,} received"
    if look.newest is None:
        rate += ", waiting for the first trade"
    elif look.now - look.newest >= _QUIET:
        rate += f", the last one {(look.now - look.newest) // SECOND} s ago"
    times = f"received to bar {_spread(look.work)} · event to received {_spread(look.lag)}"
    lines = [f"{rate} · {times}"] if width >= 2 * _WIDE else [rate, times]
    return [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]


_SYMBOL: Final = ("symbol", "last", "", "size", "trades/s", "trades", "lots", "age")
_BAR: Final = ("bar", "date", "start", "open", "high", "low", "close", "vwap", "lots", "trades", "")


def _symbol(one: SymbolLook, now: int) -> Row:
    row: Row = {"symbol": one.symbol, "last": "-", "trades": f"{one.trades:,}", "lots": f"{one.lots:,}"}
    last = one.last
    if last is not None:
        row |= {"last": _price(last.price, one.tick_size), "size": f"{last.size}", "trades/s": f"{one.rate:,.0f}"}
        row["age"] = "" if last.received is None else f"{max(0, now - last.received) / SECOND:.1f} s"
        row[""] = "" if not one.before else "▲" if last.price > one.before else "▼"
    return row


def _style(one: SymbolLook) -> str:
    return "" if one.last is None or not one.before else "green" if one.last.price > one.before else "red"


def _bar(bar: Bar, tick_size: float, state: str) -> Row:
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=bar.start // SECOND)
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    return {
        "bar": f"{bar.symbol} {bar.timeframe}", "date": f"{start:%m-%d}", "start": f"{start:%H:%M:%S}",
        **{name: _price(price, tick_size) for name, price in prices.items()},
        "vwap": "" if bar.vwap is None else f"{bar.vwap:.2f}", "lots": f"{bar.volume:,}", "trades": f"{bar.count or 0:,}",
        "": state,
    }  # fmt: skip


def _table(names: Sequence[str], rows: list[Row], styles: list[str], width: int) -> list[Text]:
    """Return a table with its head; what matters least is left out until it fits."""
    gap = 2
    if width < _WIDE:
        gap, names = 1, [name for name in names if name not in _FOR_WIDE]
    needed = {name: max(len(name), *(len(row.get(name, "")) for row in rows)) if rows else len(name) for name in names}
    least = list(_LEAST)
    while least and sum(needed.values()) + gap * (len(needed) - 1) > width:
        needed.pop(least.pop(0), None)

    def line(row: Row, style: str) -> Text:
        cells = [
            row.get(name, "").ljust(size) if name in _LEFT else row.get(name, "").rjust(size) for name, size in needed.items()
        ]
        return Text((" " * gap).join(cells).rstrip(), style, no_wrap=True, overflow="ellipsis")

    head = line({name: name for name in needed}, "dim")
    return [head, *(line(row, style) for row, style in zip(rows, styles, strict=True))]


def _price(price: float, tick_size: float) -> str:
    step = f"{tick_size:.10f}".rstrip("0").partition(".")[2]
    return f"{price:.{len(step)}f}"


def _spread(summary: Summary | None) -> str:
    return "-" if summary is None else f"{duration(summary.p50)}, 99 % {duration(summary.p99)}"
