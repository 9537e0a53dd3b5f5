"""A run on a terminal: a picture that is drawn anew four times a second, and above it what there is to say, line by line.

Each line is written over the one before and erased from its end on only, so that nothing is ever blank: no flicker.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Final

from rich.console import Console
from rich.text import Text

from rxfeed.cli._faces import Scene
from rxfeed.cli._look import Look, look_at
from rxfeed.cli._market import MarketHours
from rxfeed.cli._picture import picture_of
from rxfeed.clock import Clock
from rxfeed.model import Bar

_CLOSED: Final = 200
_LINES: Final = 1_000
_HIDE, _SHOW, _TO_END, _BELOW, _CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


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
        self._look: Look | None = None
        self._hours: MarketHours | None = None
        self._began = clock.now
        self._drawn = 0
        self._size: tuple[int, int] = self._console.size

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
        if self._scene is not None and self._hours is not None:
            now = self._clock.now
            self._look = look_at(self._scene, self._closed, now=now, since=self._began, closed=self._hours.state())

    # In a thread

    def draw(self) -> None:
        """Draw what `look` saw."""
        look, console = self._look, self._console
        if look is None:
            return
        size: tuple[int, int] = console.size
        with console.capture() as said:
            while self._said:
                console.print(Text(self._said.popleft()))
        with console.capture() as picture:
            for line in picture_of(look, *size):
                console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        begin = _HIDE + (f"\x1b[{self._drawn}F" if self._drawn else "")
        if size != self._size:
            self._size, begin = size, _HIDE + _CLEAR  # the terminal has broken the lines anew, so nobody knows where they are
        lines = picture.get().splitlines()
        self._drawn = len(lines)
        text = "".join(f"{line}{_TO_END}\n" for line in (*said.get().splitlines(), *lines))
        console.file.write(begin + text + _BELOW)
        console.file.flush()

    def stop(self) -> None:
        """Leave the last picture on the terminal."""
        if self._drawn:
            self._console.file.write(_SHOW)
            self._console.file.flush()
        self._scene = self._look = None
