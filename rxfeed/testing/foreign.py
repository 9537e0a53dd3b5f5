"""aiohttp's own looks at the machine's clock, turned to the simulation's while one runs.

It judges idle connections by `monotonic`, stamps `Date` and ages cookies by `time.time`, and shuffles whom it serves next by
the global `random`. All its other timers are the loop's. Its masks and keys of WebSockets stay random: they are always of one
length, and nobody sees them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from random import Random
from typing import Any, Final, NamedTuple

from rxfeed.clock import Clock
from rxfeed.times import SECOND


class _World(NamedTuple):
    loop: asyncio.AbstractEventLoop
    clock: Clock
    random: Random


_worlds: Final[dict[int, _World]] = {}  # by thread
_replaced: Final[list[tuple[Any, str, Any]]] = []


class _Instead:
    """A module of which some names are other things."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def foreign_clocks(loop: asyncio.AbstractEventLoop, clock: Clock, random: Random) -> Generator[None]:
    """Have aiohttp in this thread use the time of `loop`, `clock` and `random`; elsewhere it uses what it always does."""
    if not _worlds:
        _replace()
    thread = threading.get_ident()
    around = _worlds.get(thread)
    _worlds[thread] = _World(loop, clock, random)
    try:
        yield
    finally:
        if around is None:
            del _worlds[thread]
        else:
            _worlds[thread] = around
        while not _worlds and _replaced:
            module, name, was = _replaced.pop()
            setattr(module, name, was)


def _replace() -> None:
    replacements: dict[tuple[str, str], Callable[[Any], Any]] = {
        ("aiohttp.connector", "monotonic"): _monotonic,
        ("aiohttp.connector", "random"): lambda was: _Instead(was, shuffle=_shuffle(was.shuffle)),
        ("aiohttp.helpers", "time"): lambda was: _Instead(was, time=_time(was.time)),
        ("aiohttp.cookiejar", "time"): lambda was: _Instead(was, time=_time(was.time)),
    }
    for (module_name, name), make in replacements.items():
        module = import_module(module_name)
        was = getattr(module, name, None)
        if was is not None:  # another version of aiohttp may do without
            _replaced.append((module, name, was))
            setattr(module, name, make(was))


def _world() -> _World | None:
    return _worlds.get(threading.get_ident())


def _monotonic(was: Callable[[], float]) -> Callable[[], float]:
    def monotonic() -> float:
        world = _world()
        return was() if world is None else world.loop.time()

    return monotonic


def _time(was: Callable[[], float]) -> Callable[[], float]:
    def time() -> float:
        world = _world()
        return was() if world is None else world.clock.now / SECOND

    return time


def _shuffle(was: Callable[[list[Any]], None]) -> Callable[[list[Any]], None]:
    def shuffle(items: list[Any]) -> None:
        world = _world()
        (was if world is None else world.random.shuffle)(items)

    return shuffle
