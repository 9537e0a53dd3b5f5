"""A bar on stderr for replays that take a while; nothing where nobody looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Watch(Protocol):
    """Who is told how far a replay has come."""

    def start(self, total: int | None) -> None:
        """It begins; `total` rows, None if that is not known."""
        ...

    def advance(self, rows: int) -> None:
        """So many more rows have been read."""
        ...

    def stop(self) -> None:
        """It is over."""
        ...


class _Bar:
    __slots__ = ("_progress", "_task")

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def start(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TextColumn("ticks"), TimeElapsedColumn())
        # No refreshing thread: a block is read every few milliseconds.
        self._progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
        self._progress.start()
        self._task = self._progress.add_task("replay", total=total)

    def advance(self, rows: int) -> None:
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=rows, refresh=True)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def watch(wanted: bool | None) -> Watch | None:
    """Return a bar if it is wanted; None means if stderr is a terminal."""
    return _Bar() if wanted or (wanted is None and sys.stderr.isatty()) else None
