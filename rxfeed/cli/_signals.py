"""Ctrl-C and SIGTERM while a loop runs: the first one asks for a clean end, the second one ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143} | ({signal.SIGHUP: 129} if hasattr(signal, "SIGHUP") else {})
_SHOW_CURSOR: Final = b"\x1b[?25h\r\n"


@contextmanager
def stopping(stop: asyncio.Future[int]) -> Generator[None, None, None]:
    """Let signals set `stop` to the exit code. A second one ends the process, whatever it is doing.

    Outside of the main thread, signals are somebody else's business.
    """
    loop = stop.get_loop()
    before: dict[int, Any] = {}

    def ask(code: int) -> None:
        if not stop.done():
            stop.set_result(code)

    def first(number: int, _: object) -> None:
        for each in before:
            signal.signal(each, second)
        loop.call_soon_threadsafe(ask, CODES[signal.Signals(number)])

    def second(number: int, _: object) -> None:
        if sys.stdout.isatty():
            with suppress(OSError):
                os.write(1, _SHOW_CURSOR)
        os._exit(CODES[signal.Signals(number)])

    try:
        for each in CODES:
            before[each] = signal.signal(each, first)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
