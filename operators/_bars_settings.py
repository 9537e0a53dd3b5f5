"""What a subscription of `bars` is made of: a kernel, by time or by something else, and how its bars come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from reactivex import Observable

from rxfeed.clock import Clock
from rxfeed.frame import Frame
from rxfeed.kernels.bars.fill import Filler
from rxfeed.kernels.bars.plan import Tally
from rxfeed.model import Bar, Gap, Reject, Repair, Tick
from rxfeed.runs import Run
from rxfeed.sessions import Session

from ._sink import Sink


class Plan(Protocol):
    @property
    def sessions(self) -> Iterable[Session]: ...


class Kernel(Protocol):
    """What `BarsKernel` and `ByKernel` have in common, and what their methods are documented by."""

    @property
    def plan(self) -> Plan: ...
    @property
    def tally(self) -> Tally: ...
    @property
    def most_rows(self) -> int: ...
    @property
    def tick(self) -> Callable[[Tick], list[Bar] | None]: ...
    @property
    def run(self) -> Callable[[Run, list[Bar]], None]: ...
    def partial(self, bar: Bar) -> list[Bar]: ...
    def frame(self, frame: Frame[Tick]) -> list[Bar]: ...
    def frame_to_frame(self, frame: Frame[Tick]) -> Frame[Bar] | None: ...
    def mark(self, time: int) -> list[Bar]: ...
    def finish(self) -> list[Bar]: ...
    def due(self) -> int | None: ...
    def opened_before(self, time: int) -> bool: ...
    def watermark(self, symbol: str) -> int | None: ...
    def watermarks(self) -> dict[str, int]: ...
    def partials(self) -> list[Bar]: ...
    def take_rejects(self) -> list[Reject]: ...


K = TypeVar("K", bound=Kernel)


@dataclass(frozen=True, slots=True)
class Settings(Generic[K]):
    """What a subscription is made of; durations in ns."""

    call: str
    kernel: Callable[[], K]
    filler: Callable[[K], Filler] | None
    refusal: Callable[[object], Exception]
    """What to say of an element that is none of theirs."""
    updates: int | None
    grace: int | None
    rejects: Sink[Reject] | None
    frames: bool
    clock: Clock | None
    beside: tuple[tuple[str, type[Any], Observable[Any]], ...] = ()
    """What comes beside the ticks: the argument's name, of which type, and from where."""
    mend: Callable[[K, Gap | Repair], list[Bar]] | None = None
    """What the kernel makes of it."""
