"""A run on a terminal: a picture that is drawn anew four times a second, and above it what there is to say, line by line.

Each line is written over the one before and erased from its end on only, so that nothing is ever blank: no flicker.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console, Group, RenderableType
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
_LEFT: Final = ("symbol", "bar", "date", "start", "")
_LEAST: Final = ("vwap", "date", "age", "size", "trades", "open", "lots")
_HIDE, _SHOW, _TO_END, _BELOW, _CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


Row = dict[str, Text | str]


class Screen:
    """Draws a run.

    Args:
        clock: what time it is.
        console: where it is drawn; by default on stdout.
    """

    updates: str | None = "250ms"

    def __init__(self, clock: Clock, console: Console | None = None) -> None:
        self._clock = clock
        self._console = console or Console(highlight=False)
        self._said: deque[str] = deque(maxlen=_LINES)
        self._closed: deque[Bar] = deque(maxlen=_CLOSED)
        self._scene: Scene | None = None
        self._picture: RenderableType | None = None
        self._drawn = 0
        self._size: tuple[int, int] = self._console.size
        self._began = clock.now
        self._hours: MarketHours | None = None

    # What the run tells; nothing here waits for the terminal

    def write(self, bars: list[Bar]) -> None:
        """Show bars that have closed."""
        self._closed.extendleft(bars)

    def say(self, text: str) -> None:
        """Show a text above the picture."""
        if self._scene is None or not sys.stderr.isatty():
            print(text, file=sys.stderr, flush=True)
        else:
            self._said.append(text)

    def start(self, scene: Scene) -> None:
        """Begin."""
        if scene.simulated:
            self.say(scene.banner()[0])
        self._scene = scene
        self._began = self._clock.now
        self._hours = MarketHours(scene.windows.session, self._clock)

    def look(self) -> None:
        """Take note of how it is now."""
        if self._scene is not None:
            self._picture = self._seen(self._scene)

    # In a thread

    def draw(self) -> None:
        """Draw what `look` saw."""
        if self._picture is None:
            return
        console = self._console
        size: tuple[int, int] = console.size
        with console.capture() as said:
            while self._said:
                console.print(Text(self._said.popleft()))
        with console.capture() as picture:
            console.print(self._picture)
        begin = _HIDE + (f"\x1b[{self._drawn}F" if self._drawn else "")
        if size != self._size:
            self._size, begin = size, _HIDE + _CLEAR  # the terminal has broken the lines anew, so nobody knows where they are
        lines = picture.get().splitlines()[: size[1] - 1]
        self._drawn = len(lines)
        text = "".join(f"{line}{_TO_END}\n" for line in (*said.get().splitlines(), *lines))
        console.file.write(begin + text + _BELOW)
        console.file.flush()

    def stop(self) -> None:
        """Leave the last picture on the terminal."""
        if self._drawn:
            self._console.file.write(_SHOW)
            self._console.file.flush()
        self._scene = self._picture = None

    def _seen(self, scene: Scene) -> RenderableType:
        width, height = self._console.size
        head = [self._head(scene, width), *self._figures(scene, width)]
        symbols = self._symbols(scene, width)
        shown = len(scene.watch.by_symbol)
        room = max(1, height - len(head) - shown - 4)  # two heads, a space, and the line of the cursor
        return Group(*head, symbols, Text(), self._bars(scene, width, room))

    def _head(self, scene: Scene, width: int) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        if scene.simulated:
            line.append(" SIMULATED ", "reverse")
            line.append(" ")
        state = scene.state()
        line.append(scene.where, "bold")
        line.append(f"  {state}", "green" if state == "connected" else "yellow")
        closed = self._hours.state() if self._hours is not None else None
        line.append(f"  {scene.windows.session.name}" if closed is None else f"  {closed}", "" if closed is None else "yellow")
        seconds = max(0, self._clock.now - self._began) // SECOND
        line.append(f"  {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}")
        if width >= _WIDE and state == "connected":
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
        rows: list[Row] = []
        now = self._clock.now
        for symbol, seen in scene.watch.by_symbol.items():
            row: Row = {"symbol": Text(symbol, "bold"), "last": "-", "trades": f"{seen.count:,}", "lots": f"{seen.volume:,}"}
            last = seen.last
            if last is not None:
                row |= {"last": Text(_price(last.price, seen), "bold"), "size": f"{last.size}", "age": _age(now, last.received)}
                row |= {"trades/s": f"{seen.pace.per_second(now):,.0f}"}
                if seen.before != 0.0:
                    row[""] = Text("▲", "green") if last.price > seen.before else Text("▼", "red")
            rows.append(row)
        return self._table(("symbol", "last", "", "size", "trades/s", "trades", "lots", "age"), rows, width)

    def _bars(self, scene: Scene, width: int, room: int) -> Table:
        levels = {level.timeframe.name: at for at, level in enumerate(scene.windows.levels)}
        places = {symbol: at for at, symbol in enumerate(scene.watch.by_symbol)}
        current = sorted(scene.open.values(), key=lambda bar: (places[bar.symbol], levels[bar.timeframe]))[:room]
        closed = list(self._closed)[: max(0, room - len(current))]
        rows = [_cells(bar, scene, "bold", "open") for bar in current]
        rows += [_cells(bar, scene, "dim", flag_names(bar.flags)) for bar in closed]
        return self._table(("bar", "date", "start", "open", "high", "low", "close", "vwap", "lots", "trades", ""), rows, width)

    def _table(self, names: Sequence[str], rows: list[Row], width: int) -> Table:
        """Return a table that is not wider than that: what matters least is left out first."""
        gap = 1 if width < _WIDE else 2
        needed = {name: max(len(name), *(len(row.get(name, "")) for row in rows)) if rows else len(name) for name in names}
        least = list(_LEAST)
        while least and sum(needed.values()) + gap * (len(needed) - 1) > width:
            needed.pop(least.pop(0), None)
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="underline")
        for name in needed:
            table.add_column(name, justify="left" if name in _LEFT else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(row.get(name, "") for name in needed))
        return table


def _cells(bar: Bar, scene: Scene, style: str, state: str) -> Row:
    seen = scene.watch.by_symbol[bar.symbol]
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=bar.start // 1_000)
    row = {
        "bar": f"{bar.symbol} {bar.timeframe}", "date": f"{start:%m-%d}", "start": f"{start:%H:%M:%S}",
        "lots": f"{bar.volume:,}", "trades": f"{bar.count:,}", "vwap": "" if bar.vwap is None else f"{bar.vwap:.2f}", "": state,
    }  # fmt: skip
    prices = ("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close)
    row |= {name: _price(price, seen) for name, price in prices}
    return {name: Text(text, style) for name, text in row.items()}


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
