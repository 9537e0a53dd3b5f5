"""What libraries log while a feed runs: by one sink of ours, redacted, so that no line tears what is drawn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from loguru import logger

from rxfeed.secret import redacting

if TYPE_CHECKING:
    from loguru import Record

_TOLD: Final = "rxfeed.feeds.projectx.opening"
"""When connections open and end: the command says that itself, as events."""


class _Handler(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(self.format(record))


def _wanted(record: Record) -> bool:
    return record["name"] != _TOLD


@contextmanager
def logging_to(write: Callable[[str], object]) -> Generator[None, None, None]:
    """Have what is logged written by `write`, a record at a time."""

    def line(text: str) -> None:
        write(text.rstrip("\n"))

    sink = redacting(line)
    with suppress(ValueError):
        logger.remove(0)  # loguru's own, on stderr; others were added by somebody who wants them
    ours = logger.add(sink, level="INFO", format="{message}", filter=_wanted, diagnose=False, backtrace=False)
    handler = _Handler(sink)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        logger.remove(ours)
