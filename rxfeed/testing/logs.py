"""What is logged in a simulation, at the simulation's time. The user's own loguru is as it was when the simulation ends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from loguru import logger

from rxfeed.clock import Clock
from rxfeed.times import SECOND, iso

if TYPE_CHECKING:
    from loguru import Message, Record

_FORMAT: Final = "{level: <8} {name}:{function}:{line} {message}"
_CORE: Final = "_core"
_FOLDERS: Final = "_get_lib_dirs"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_known: Final[list[Any]] = []


class Logs:
    """The lines that loguru was given in a simulation, at any level, each with the simulation's time.

    Args:
        most: how many are kept; of more the newest.
    """

    def __init__(self, most: int = 100_000) -> None:
        self._lines: deque[str] = deque(maxlen=most)
        self.count = 0
        """How many there were."""

    @property
    def lines(self) -> list[str]:
        """Those that are kept; one with an exception has several lines."""
        return list(self._lines)

    @property
    def text(self) -> str:
        """All that is kept, as one text. The same seed gives the same, to the byte."""
        return "".join(self._lines)

    def add(self, line: str) -> None:
        """Keep a line."""
        self.count += 1
        self._lines.append(line)


@contextmanager
def captured(logs: Logs, clock: Clock, start: int) -> Generator[None]:
    """Collect what this thread logs, and have all of loguru's sinks see the simulation's time in its records."""
    thread = threading.get_ident()
    core: Any = getattr(logger, _CORE)
    before = core.patcher

    def at_simulated_time(record: Record) -> None:
        if threading.get_ident() == thread:
            now = clock.now
            record["time"] = _time(record, now)
            record["elapsed"] = timedelta(microseconds=(now - start) // 1_000)
        if before is not None:
            before(record)

    def sink(message: Message) -> None:
        if threading.get_ident() == thread:
            logs.add(f"{iso(clock.now)} {message}")

    # What the user set is put back; `configure` could set no patcher, but not take it away again.
    logger.configure(patcher=at_simulated_time)
    with _folders_known():
        number = logger.add(sink, level=0, format=_FORMAT, colorize=False, backtrace=False, diagnose=False, catch=False)
    try:
        yield
    finally:
        logger.remove(number)
        core.patcher = before


@contextmanager
def _folders_known() -> Generator[None]:
    """Have loguru ask for the machine's library folders once: for each new sink it does, which is 9 of 10 ms."""
    formatter: Any = getattr(import_module("loguru._better_exceptions"), "ExceptionFormatter", None)
    ask = getattr(formatter, _FOLDERS, None)
    if ask is None:  # another version of loguru
        yield
        return
    if not _known:
        _known.append(ask())
    with patch.object(formatter, _FOLDERS, staticmethod(lambda: _known[0])):
        yield


def _time(record: Record, now: int) -> Any:
    kind = type(record["time"])  # loguru's own, which knows its formats
    seconds, rest = divmod(now, SECOND)
    at = _EPOCH + timedelta(seconds=seconds, microseconds=rest // 1_000)
    return kind(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, tzinfo=UTC)
