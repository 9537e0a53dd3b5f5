"""A run on a terminal: a table that is drawn anew four times a second, and above it what there is to say, line by line."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rxfeed.cli._faces import Scene
from rxfeed.cli._market import MarketHours
from rxfeed.cli._table import flag_names
from rxfeed.cli._totals import duration
from rxfeed.cli._watch import Seen
from rxfeed.clock import Clock
from rxfeed.kernels.meter import Summary
from rxfeed.model import Bar
from rxfeed.times import SECOND

_CLOSED: Final = 200
_LINES: Final = 1_000
_WIDE: Final = 100


class Screen:
    """Draws a run.

    Args:
        clock: what time it is.
        console: where it is drawn; by default on stdout.
    """

    updates = "250ms"

    def __init__(self, clock: Clock, console: Console | None = None) -> None:
        self._clock = clock
        self._console = console or Console(highlight=False)
        self._said: deque[str] = deque(maxlen=_LINES)
        self._closed: deque[Bar] = deque(maxlen=_CLOSED)
        self._scene: Scene | None = None
        self._live: Live | None = None
        self._began = clock.now
        self._hours: MarketHours | None = None

    # What the run tells; nothing here waits for the terminal

    def write(self, bars: list[Bar]) -> None:
        """Show bars that have closed."""
        self._closed.extendleft(bars)

    def say(self, text: str) -> None:
        """Show a text above the table."""
        if self._live is None or not sys.stderr.isatty():
            print(text, file=sys.stderr, flush=True)
        else:
            self._said.append(text)

    def start(self, scene: Scene) -> None:
        """Begin."""
        self._scene = scene
        self._began = self._clock.now
        self._hours = MarketHours(scene.windows.session, self._clock)
        for line in scene.banner()[: 1 if scene.simulated else 0]:
            self.say(line)
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop"
        )
        self._live.start()

    # In a thread

    def draw(self) -> None:
        """Draw what there is now."""
        if self._live is None or self._scene is None:
            return
        while self._said:
            self._console.print(Text(self._said.popleft()))
        self._live.update(self._picture(self._scene), refresh=True)

    def stop(self) -> None:
        """Leave the last picture on the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self, scene: Scene) -> RenderableType:
        width, height = self._console.size
        head = [self._head(scene, width), *self._figures(scene, width)]
        symbols = self._symbols(scene, width)
        shown = len(scene.watch.by_symbol)
        room = max(1, height - len(head) - min(shown, height) - 4)
        return Group(*head, symbols, Text(), self._bars(scene, width, room))

    def _head(self, scene: Scene, width: int) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        if scene.simulated:
            line.append(" SIMULATED ", "reverse")
            line.append(" ")
        stats = scene.gateway.stats.market
        line.append(scene.where, "bold")
        line.append("  connected" if stats.connected else "  connecting", "green" if stats.connected else "yellow")
        closed = self._hours.state() if self._hours is not None else None
        line.append(f"  {scene.windows.session.name}" if closed is None else f"  {closed}", "" if closed is None else "yellow")
        seconds = max(0, self._clock.now - self._began) // SECOND
        line.append(f"  {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}")
        if width >= _WIDE:
            line.append("  Ctrl-C ends", "dim")
        return line

    def _figures(self, scene: Scene, width: int) -> list[Text]:
        watch, now = scene.watch, self._clock.now
        rate = f"{watch.pace.per_second(now):,.0f} trades/s, {watch.received:,} received"
        if watch.newest is None:
            rate += ", waiting for the first trade"
        elif now - watch.newest >= 5 * SECOND:
            rate += f", the last one {(now - watch.newest) // SECOND} s ago"
        work, lag = _spread(watch.work), _spread(watch.lag)
        parts = [rate, f"received to bar {work}", f"event to received {lag}"]
        if width >= 2 * _WIDE:
            return [_line(" · ".join(parts))]
        return [_line(parts[0]), _line(" · ".join(parts[1:]))]

    def _symbols(self, scene: Scene, width: int) -> Table:
        table = _table(("symbol", "last", "", "size", "trades/s", "trades", "lots", "age"), left=("symbol", ""))
        now = self._clock.now
        for symbol, seen in scene.watch.by_symbol.items():
            last = seen.last
            if last is None:
                table.add_row(symbol, "-", "", "", "", "0", "0", "")
                continue
            arrow = "▲" if last.price > seen.before else "▼"
            known = seen.before != 0.0
            table.add_row(
                Text(symbol, "bold"), Text(_price(last.price, seen), "bold"),
                Text(arrow, "green" if arrow == "▲" else "red") if known else "", f"{last.size}",
                f"{seen.pace.per_second(now):,.0f}", f"{seen.count:,}", f"{seen.volume:,}", _age(now, last.received),
            )  # fmt: skip
        return table

    def _bars(self, scene: Scene, width: int, room: int) -> Table:
        names = ["bar", "start", "open", "high", "low", "close", "lots", "trades", ""]
        if width >= _WIDE:
            names.insert(6, "vwap")
        table = _table(names, left=("bar", "start", ""))
        order = {level.timeframe.name: at for at, level in enumerate(scene.windows.levels)}
        open_bars = sorted(scene.open.values(), key=lambda bar: (bar.symbol, order[bar.timeframe]))[:room]
        for bar in open_bars:
            table.add_row(*_cells(bar, scene, width, state="open"), style="bold")
        for bar in list(self._closed)[: max(0, room - len(open_bars))]:
            table.add_row(*_cells(bar, scene, width, state=flag_names(bar.flags)), style="dim")
        return table


def _table(names: Iterable[str], left: Iterable[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="underline")
    for name in names:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return table


def _cells(bar: Bar, scene: Scene, width: int, state: str) -> list[RenderableType]:
    seen = scene.watch.by_symbol[bar.symbol]
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=bar.start // 1_000)
    prices = [_price(value, seen) for value in (bar.open, bar.high, bar.low, bar.close)]
    vwap = [] if width < _WIDE else ["" if bar.vwap is None else f"{bar.vwap:.2f}"]
    return [
        f"{bar.symbol} {bar.timeframe}", f"{start:%H:%M:%S}" if width < _WIDE else f"{start:%m-%d %H:%M:%SZ}", *prices, *vwap,
        f"{bar.volume:,}", f"{bar.count:,}" if bar.count is not None else "", state,
    ]  # fmt: skip


def _price(price: float, seen: Seen) -> str:
    step = f"{seen.contract.tick_size:.10f}".rstrip("0").partition(".")[2]
    return f"{price:.{len(step)}f}"


def _spread(summary: Summary | None) -> str:
    return "-" if summary is None else f"{duration(summary.p50)}, 99 % {duration(summary.p99)}"


def _age(now: int, received: int | None) -> str:
    if received is None:
        return ""
    age = max(0, now - received)
    return f"{age / SECOND:.1f} s" if age < 100 * SECOND else f"{age // SECOND} s"


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
