"""How a run shows itself where there is no terminal: bars as lines, or as JSON; and everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from rxfeed.cli._files import as_text
from rxfeed.cli._table import BarLines
from rxfeed.cli._watch import Watch
from rxfeed.frame import Frame
from rxfeed.model import Bar
from rxfeed.windows import Windows


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to see of a run that streams."""

    where: str
    """The gateway, with its host."""
    simulated: bool
    inside: bool
    state: Callable[[], str]
    """Whether it is connected, in a word or two."""
    watch: Watch
    windows: Windows
    symbols: tuple[str, ...]
    open: dict[tuple[str, str], Bar] = field(default_factory=dict[tuple[str, str], Bar])
    """The newest snapshot of each open bar."""

    def banner(self) -> list[str]:
        """Return what must be said before the first bar."""
        timeframes = " ".join(level.timeframe.name for level in self.windows.levels if level.emitted)
        what = f"{' '.join(self.symbols)}, bars of {timeframes}, session {self.windows.session.name}"
        if self.inside:
            why = "no credentials are set, so a simulator runs inside"
            return [f"SIMULATED: {why}, at {self.where}; none of this is real", what]
        return [f"SIMULATED by {self.where}: none of this is real" if self.simulated else f"gateway {self.where}", what]


class Face(Protocol):
    """Where a run shows itself."""

    updates: str | None
    """How often it wants snapshots of open bars; None never."""

    def write(self, bars: list[Bar]) -> None:
        """Show bars that have closed, or came out again. Called in a thread."""
        ...

    def say(self, text: str) -> None:
        """Tell people something, a line or more."""
        ...

    def start(self, scene: Scene) -> None:
        """Begin: it streams."""
        ...

    def look(self) -> None:
        """Take note of how the scene is now; called several times a second."""
        ...

    def draw(self) -> None:
        """Show what `look` saw. Called in a thread."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class _Plain:
    """Bars on stdout, and whatever is for people on stderr."""

    updates: str | None = None

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def start(self, scene: Scene) -> None:
        for line in scene.banner():
            self.say(line)

    def look(self) -> None:
        pass

    def draw(self) -> None:
        pass

    def stop(self) -> None:
        pass


class Lines(_Plain):
    """Bars as `rxfeed bars` prints them."""

    def __init__(self) -> None:
        self._lines = BarLines(dict.fromkeys(("open", "high", "low", "close"), 8))

    def write(self, bars: list[Bar]) -> None:
        """Print bars."""
        _print(self._lines.text(Frame.of(bars).df))


class Json(_Plain):
    """A bar a line, as JSON."""

    def __init__(self) -> None:
        self._simulated = False

    def start(self, scene: Scene) -> None:
        """Begin."""
        self._simulated = scene.simulated
        super().start(scene)

    def write(self, bars: list[Bar]) -> None:
        """Print bars."""
        rows = as_text(Frame.of(bars).df).with_columns(pl.lit(self._simulated).alias("simulated"))
        _print(rows.write_ndjson())


def _print(lines: str) -> None:
    # As in print_table: of one large write that is cut short, Python does not say that nobody reads the rest.
    sys.stdout.writelines(lines.splitlines(keepends=True))
    sys.stdout.flush()
