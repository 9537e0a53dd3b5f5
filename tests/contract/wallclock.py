"""To be sure that nobody asks what time it is: every call of a clock that Python makes is seen, by whatever name it goes.

Replacing `time.time` would miss `from time import time`, a default argument and `datetime.now`, which cannot be replaced.
A profile function sees the call itself. What it cannot see is a call that C code makes on its own.
"""

from __future__ import annotations

import datetime
import gc
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from reactivex.internal.basic import default_now

CLOCKS = frozenset({
    time.time, time.time_ns, time.monotonic, time.monotonic_ns, time.perf_counter, time.perf_counter_ns, time.process_time,
    time.process_time_ns, time.thread_time, time.thread_time_ns, time.sleep, time.localtime, time.gmtime, time.ctime,
    time.asctime, time.strftime,
})  # fmt: skip
DATES = frozenset({"now", "utcnow", "today"})
GLOBAL_RANDOM: Any = random.random.__self__


@contextmanager
def no_wall_clock() -> Iterator[None]:
    """Fail if anything inside reads the machine's clock, sleeps, or draws from the global `random`.

    Calls are noted and not stopped, so that no `except` on their way can hide them.
    """
    seen: list[str] = []

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and forbidden(called) and not trampoline(frame):
            code = frame.f_code
            seen.append(f"{called.__qualname__} in {Path(code.co_filename).name}:{frame.f_lineno}, {code.co_name}")

    # Hypothesis times each garbage collection, whoever is at work when one comes.
    collects = gc.isenabled()
    gc.disable()
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    assert not seen, f"the wall clock was asked: {'; '.join(seen)}"


def forbidden(called: Any) -> bool:
    owner = getattr(called, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return called.__name__ in DATES
    return owner is GLOBAL_RANDOM or (owner is time and called in CLOCKS)


def trampoline(frame: FrameType) -> bool:
    """Whether reactivex asks, which it does at every `subscribe`, to put "at once" in a queue of its own."""
    asks = frame.f_back and frame.f_back.f_back
    return frame.f_code is default_now.__code__ and asks is not None and "trampoline" in Path(asks.f_code.co_filename).name
