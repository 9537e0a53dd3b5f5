"""What the contract suite must be told about an operator; everything else it finds out by itself.

A public operator has one file here, `tests/contract/specimens/<name>.py`, with `SPECIMENS`, one for each way in which it
behaves differently, `REFUSES`, arguments that it must refuse, and `MARBLE`, which says how the diagram of its docstring
is to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeVar

from reactivex import Observable

from rxfeed.book import Book
from rxfeed.clock import VirtualClock
from rxfeed.frame import Frame, is_frame
from rxfeed.model import Bar, Depth, Quote, Tick
from rxfeed.times import SECOND
from tests.builders import T0, line

HOME = Path(__file__).parent / "specimens"
ROWS = frozenset({"Tick", "Quote", "Depth", "Bar"})
FRAMES = frozenset(f"Frame[{name}]" for name in ROWS)
OF_FEEDS = (ROWS | FRAMES) - {"Bar", "Frame[Bar]"}

T = TypeVar("T")
Operator = Callable[[Observable[Any]], Observable[Any]]
Lane = Literal["rows", "runs", "frames"]
"""How elements come: one by one; as ticks that come together (`rxfeed.runs`); in frames."""


class World:
    """Where a specimen lives: a clock that is moved by hand. Those with a loop of their own make another."""

    def __init__(self) -> None:
        self.clock = VirtualClock(T0)
        self.told: list[Any] = []
        """What a subscriber did wrong, where that does not surface at the source."""

    def call(self, act: Callable[..., T], *args: Any, **more: Any) -> T:
        """Do something where this world's things are done."""
        return act(*args, **more)

    def pump(self) -> None:
        """Let everything that is due at this very moment happen."""

    def left(self) -> list[str]:
        """What is still to come, in words; nothing, when all is over."""
        due = self.clock.next_due
        return [] if due is None else [f"a timer, due {(due - T0) / SECOND:g} s after the start"]

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, kw_only=True)
class Callback:
    """A callable that an operator is given."""

    make: Callable[[Callable[..., Any], VirtualClock | None], Operator]
    """A fresh operator with this callable."""
    answer: Callable[..., Any] = lambda *_: None
    """What the callable says while it does not raise."""
    becomes: Literal["error", "counted"] = "error"
    """What is to become of what it raises: the stream's error, or, as documented, none."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Arguments that are not allowed."""

    make: Callable[[], Any]
    text: str
    """What the error's text must match."""
    error: type[Exception] = ValueError


@dataclass(frozen=True, kw_only=True, repr=False)
class Specimen:
    """One operator, in one of the ways in which it behaves, with elements that show it."""

    operator: str
    """Its public name."""
    variant: str = ""
    make: Callable[[VirtualClock | None], Operator]
    """A fresh operator. It gets the clock if this specimen is `clocked` and the subscriber's scheduler is not to be it."""
    clocked: bool = False
    world: Callable[[], World] = World
    rows: Sequence[Any]
    """At least four; the last ones leave something pending where the operator holds anything back. The clock is moved to
    each one's `time` before it is fed."""
    cut: int = 2
    """Rows a frame or a run."""
    lanes: Sequence[Lane] = ("rows",)
    same_in_both: bool = True
    """Whether rows and frames of them give the same content."""
    content: Callable[[list[Any]], Any] = lambda rows: rows
    """Of the rows that come out, what must not depend on how they came in."""
    takes: frozenset[str] | None
    """Names of the types it takes; None if it takes whatever there is."""
    at_completion: Sequence[str] = ()
    """In brief, what comes out between the last element and completion."""
    at_error: Sequence[str] = ()
    """The same, for an error of the source."""
    of_nothing: Sequence[str] = ()
    """What an empty source gives before completion."""
    callbacks: Mapping[str, Callback] = field(default_factory=dict[str, Callback])
    conserved: Callable[[Any], bool] | None = None
    """Where the operator has `.stats`: whether they add up."""
    received: Callable[[Any], int] = lambda stats: stats.received
    """Of the stats, what came in."""
    weight: Callable[[Any], int] = lambda element: len(element) if is_frame(element) or isinstance(element, list) else 1
    """What an element counts in `stats.received`."""
    hot: bool = False
    """Whether its subscriptions share one of the source, and end with the last of them."""
    passes_scheduler: bool = True
    """Whether the source is subscribed with the subscriber's scheduler."""
    guards: bool = False
    """Whether a subscriber that raises ends its own subscription, and nothing else, and is told of once: in the list `told`
    of the operator, or of the world."""

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.operator}, {self.variant}" if self.variant else self.operator

    def elements(self, lane: Lane) -> list[Any]:
        return list(self.rows) if lane == "rows" else cut(self.rows, range(self.cut, len(self.rows), self.cut), lane)

    def but(self, **changes: Any) -> Specimen:
        """The same, but for this."""
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class Marble:
    """How the diagram in a docstring is read. Its middle line, the call, is Python that is run."""

    element: Callable[[str, int], Any]
    """What is fed for a token that stands at a time (ns)."""
    show: Callable[[Any], str] = str
    """What is drawn for an element that comes out."""
    legend: Mapping[str, str] = field(default_factory=dict[str, str])
    """The token for what `show` returned, if it is not that itself."""
    names: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the call uses beside the operators."""
    column: int = SECOND
    """What a column lasts, in ns."""
    clocked: bool = True
    """Whether the subscriber has a scheduler."""
    world: Callable[[], World] = World


@dataclass(frozen=True)
class Sheet:
    """The file of one operator."""

    specimens: Sequence[Specimen]
    refuses: Sequence[Refusal]
    marble: Marble


def sheets() -> dict[str, Sheet]:
    """All files, by the operator's name."""
    found: dict[str, Sheet] = {}
    for path in sorted(HOME.glob("*.py")):
        module = import_module(f"tests.contract.specimens.{path.stem}")
        found[path.stem] = Sheet(module.SPECIMENS, module.REFUSES, module.MARBLE)
    return found


def cut(rows: Sequence[Any], at: Iterable[int], lane: Lane = "frames") -> list[Any]:
    """Rows as frames, or runs, that begin at these positions."""
    edges = [0, *sorted(at), len(rows)]
    pieces = [list(rows[a:b]) for a, b in pairwise(edges) if a < b]
    return pieces if lane == "runs" else [Frame.of(piece) for piece in pieces]


def uncut(elements: Iterable[Any]) -> list[Any]:
    """Elements as rows."""
    return [row for element in elements for row in (element.rows() if is_frame(element) else [element])]


def plain(element: Any) -> str:
    """All that an element holds, as text: frames compare by identity, and NaN not at all."""
    return f"{element!r} {element.rows()!r}" if is_frame(element) else repr(element)


def brief(element: Any) -> str:
    """An element in a word or two."""
    match element:
        case Frame():
            return f"[{', '.join(map(brief, element.rows()))}]"
        case Bar():
            return line(element)
        case Tick():
            return f"{element.symbol} {element.price:g}"
        case Quote():
            return f"{element.symbol} {element.bid}/{element.ask}"
        case Depth():
            return f"{element.symbol} {element.price} x{element.size}"
        case Book():
            return f"{element.symbol} {element.best_bid} / {element.best_ask}"
        case _:
            return str(element)
