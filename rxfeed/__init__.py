"""Ticks in, exact bars out, and nothing lost in between.

    import rxfeed
    from rxfeed import operators as ops

    ticks = rxfeed.replay("ticks.parquet")
    ticks.pipe(ops.validate(), ops.bars("1m", "1h", session="CME"), ops.subscribe(print))

Names are loaded when they are first used, so that `import rxfeed` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rxfeed import by, errors, expressions, operators, overflow, rules, sessions
    from rxfeed.book import Book
    from rxfeed.breaker import Breaker
    from rxfeed.clock import Clock, LiveClock, LoopClock, ReplayClock, VirtualClock
    from rxfeed.composition import Feed, pipeline
    from rxfeed.errors import CircuitOpen, InputError, Overflow, PartialRefused, RepairRefused, RetriesExhausted, RxfeedError
    from rxfeed.failures import Failure
    from rxfeed.feeds.projectx import Gateway
    from rxfeed.feeds.replay import replay
    from rxfeed.feeds.synthetic import synthetic
    from rxfeed.frame import Frame
    from rxfeed.instrument import Instrument
    from rxfeed.model import Bar, Depth, Flag, Gap, Quote, Reject, Side, Tick, Undecoded, merge
    from rxfeed.scheduler import ClockScheduler, clock_of
    from rxfeed.sessions import Session
    from rxfeed.settings import Settings
    from rxfeed.windows import Windows

    __version__: str

__all__ = [
    "Bar",
    "Book",
    "Breaker",
    "CircuitOpen",
    "Clock",
    "ClockScheduler",
    "Depth",
    "Failure",
    "Feed",
    "Flag",
    "Frame",
    "Gap",
    "Gateway",
    "InputError",
    "Instrument",
    "LiveClock",
    "LoopClock",
    "Overflow",
    "PartialRefused",
    "Quote",
    "Reject",
    "RepairRefused",
    "ReplayClock",
    "RetriesExhausted",
    "RxfeedError",
    "Session",
    "Settings",
    "Side",
    "Tick",
    "Undecoded",
    "VirtualClock",
    "Windows",
    "__version__",
    "by",
    "clock_of",
    "errors",
    "expressions",
    "merge",
    "operators",
    "overflow",
    "pipeline",
    "replay",
    "rules",
    "sessions",
    "synthetic",
]

_HOMES: Final = {
    "rxfeed.book": ("Book",),
    "rxfeed.breaker": ("Breaker",),
    "rxfeed.clock": ("Clock", "LiveClock", "LoopClock", "ReplayClock", "VirtualClock"),
    "rxfeed.composition": ("Feed", "pipeline"),
    "rxfeed.errors": (
        "CircuitOpen",
        "InputError",
        "Overflow",
        "PartialRefused",
        "RepairRefused",
        "RetriesExhausted",
        "RxfeedError",
    ),
    "rxfeed.failures": ("Failure",),
    "rxfeed.feeds.projectx": ("Gateway",),
    "rxfeed.feeds.replay": ("replay",),
    "rxfeed.feeds.synthetic": ("synthetic",),
    "rxfeed.frame": ("Frame",),
    "rxfeed.instrument": ("Instrument",),
    "rxfeed.model": ("Bar", "Depth", "Flag", "Gap", "Quote", "Reject", "Side", "Tick", "Undecoded", "merge"),
    "rxfeed.scheduler": ("ClockScheduler", "clock_of"),
    "rxfeed.sessions": ("Session",),
    "rxfeed.settings": ("Settings",),
    "rxfeed.windows": ("Windows",),
}
_HOME: Final = {name: module for module, names in _HOMES.items() for name in names}
_MODULES: Final = frozenset({"by", "errors", "expressions", "operators", "overflow", "rules", "sessions"})


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"rxfeed.{name}")
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("rxfeed")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'rxfeed' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
