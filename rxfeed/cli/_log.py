"""What libraries log while a feed runs: by one sink of ours, redacted, so that no line tears what is drawn."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from loguru import logger

from rxfeed.secret import redacting

if TYPE_CHECKING:
    from loguru import Record

_TOLD: Final = "rxfeed.feeds.projectx.opening"
"""Why a connection ended: the command says that itself, at the end."""


class _Handler(logging.Handler):
    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(self.format(record))


def _wanted(record: Record) -> bool:
    return record["name"] != _TOLD or record["level"].no < logging.WARNING


def _to_stderr(text: str) -> None:
    sys.stderr.write(text)


@contextmanager
def logging_to(write: Callable[[str], object]) -> Generator[None, None, None]:
    """Have what is logged written by `write`, a record at a time; afterwards on stderr, as before."""

    def line(text: str) -> None:
        write(text.rstrip("\n"))

    sink = redacting(line)
    logger.remove()
    ours = logger.add(sink, level="INFO", format="{message}", filter=_wanted, diagnose=False, backtrace=False)
    handler = _Handler(sink)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        logger.remove(ours)
        logger.add(redacting(_to_stderr), level="INFO", format="{message}", diagnose=False, backtrace=False)
