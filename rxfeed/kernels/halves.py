"""Two halves of a frame at a time, for compiled loops that do not hold the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

WORTH = 1 << 17
"""Frames of fewer rows are done before a thread is started."""


def worth(rows: int) -> bool:
    """Whether so many rows are done in halves: whatever the machine, so that sums of floats do not depend on it."""
    return rows >= WORTH


def both(here: Callable[[], A], there: Callable[[], B]) -> tuple[A, B]:
    """Return what two calls return, made at the same time if the machine can.

    The second one's thread has ended by then, whatever happens.
    """
    if (os.cpu_count() or 1) < 2:
        return here(), there()
    done: list[B] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(there())
        except BaseException as error:  # noqa: BLE001  # raised below, where somebody hears it
            failed.append(error)

    thread = Thread(target=run, name="rxfeed half of a frame", daemon=True)
    thread.start()
    try:
        first = here()
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return first, done[0]
