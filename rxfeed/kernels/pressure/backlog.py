"""What waits at an async boundary: bounded, in the order in which it came, and every tick accounted for.

Ticks that come together stay together: at rest a run is put in and taken out as it is, and costs nothing a tick.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar, Final, Literal, NamedTuple, cast

from rxfeed.errors import Overflow
from rxfeed.frame import Frame, name_of
from rxfeed.kernels.pressure.lost import Lost
from rxfeed.model import Gap, Tick
from rxfeed.runs import Run

PRESSED: Final = 0.95
"""Of the capacity: from here on it is nearly full."""
RELIEVED: Final = 0.7
"""Of the capacity: down here there is room again."""
BLOCK: Final = 1_024
"""Ticks that came one by one are kept in lists of at most this."""
_OWN: Final = 64
"""A run below this is copied into such a list; a longer one is kept as it is."""


class Others(list[Any]):
    """Elements that wait and are no plain ticks, so that they do not pass for a run."""

    __slots__ = ()


Block = list[Any] | Frame[Any]
"""Ticks (a plain list), other elements (`Others`), or a frame."""
Notice = Literal["pressed", "overflowed", "relieved"]


class PressureStats(NamedTuple):
    """Ticks by what became of them, at any moment: received = emitted + conflated + dropped + pending.

    A frame is as many ticks as it has rows, and a partial bar of `conflate` as many as it was made of. Any other element, a
    bar among them, is one.
    """

    received: int
    """All that came."""
    emitted: int
    """Handed on as they came."""
    conflated: int
    """Handed on in another element: merged into a partial bar, or replaced by a newer bar of the same identity."""
    dropped: int
    """Lost: by the policy, or still waiting when the consumer left."""
    pending: int
    """Waiting now."""
    high_water: int
    """The most that ever waited, counted as the capacity is: partial bars are one each."""


class Backlog(ABC):
    """A queue that never holds more than its capacity. What is done with more is for those derived from it to say.

    Args:
        capacity: ticks that may wait, 1 or more.
        gaps: whether anybody asks what was lost.

    Raises:
        ValueError: a capacity that is not allowed.
    """

    __slots__ = (
        "_alarm", "_alerted", "_at", "_blocks", "_full", "_gone", "_high", "_open", "_relief", "_told", "capacity", "conflated",
        "dropped", "emitted", "lost", "notices", "received",
    )  # fmt: skip

    policy: ClassVar[str]
    takes: ClassVar[str] = "anything"
    alerts: ClassVar[bool] = True
    received: int
    emitted: int
    conflated: int
    dropped: int
    _gone: int

    def __init__(self, capacity: int, *, gaps: bool = True) -> None:
        check(capacity)
        self.capacity = capacity
        self.received = self.emitted = self.conflated = self.dropped = 0
        self.lost: Final = Lost() if gaps else None
        self.notices: list[Notice] = []
        """What has happened since somebody looked."""
        self._blocks: deque[Block] = deque()
        self._at = 0  # of the first block, so much is gone
        self._open: list[Any] | None = None  # the last block, if it is ours to add to
        self._gone = 0  # of what was received, so many ticks take no room any more
        self._high = 0
        self._told: Notice = "relieved"
        self._alerted = (0, 0)  # conflated and dropped by then
        self._alarm = 0
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Have it hold so many from now on. What waits beyond that meets the policy with the next that comes.

        Raises:
            ValueError: a capacity that is not allowed.
        """
        check(capacity)
        self.capacity = capacity
        self._relief = int(RELIEVED * capacity)
        self._full = math.ceil(PRESSED * capacity) if self.alerts else capacity + 1
        self._pressed(self.load)
        self._settle()

    # --- what it says

    @property
    def pending(self) -> int:
        """Ticks that wait."""
        return self.received - self.emitted - self.conflated - self.dropped

    @property
    def load(self) -> int:
        """What waits, counted as the capacity is."""
        return self.received - self._gone

    @property
    def room(self) -> int:
        """How many more ticks may come before somebody must look, 1 or more."""
        return max(1, self._alarm - self.received)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def stats(self) -> PressureStats:
        """The counts at this moment."""
        high = max(self._high, self.load)
        return PressureStats(self.received, self.emitted, self.conflated, self.dropped, self.pending, high)

    @property
    def since(self) -> tuple[int, int]:
        """Ticks conflated and dropped since it was nearly full."""
        return self.conflated - self._alerted[0], self.dropped - self._alerted[1]

    def error(self) -> Overflow:
        """Return the error that ends a stream whose element was refused."""
        return Overflow(
            f"{self.capacity} ticks wait and more came (capacity={self.capacity}): take them faster, give a greater capacity, "
            "or another overflow, such as overflow.conflate(windows) for bars or drop_oldest. A source that emits everything "
            "at once, such as a replay without speed=, needs a capacity for all of it"
        )

    def take_gaps(self) -> list[Gap]:
        """Return what was lost since the last call, as one gap a symbol."""
        return self.lost.take() if self.lost is not None else []

    # --- in

    def put(self, element: Any) -> bool:
        """Take an element in; False says that it was refused and the stream has to end."""
        if element.__class__ is Tick:
            block = self._open
            if block is None or block.__class__ is Others:
                block = self._begin([])
            block.append(element)
            self.received += 1
        elif element.__class__ is Frame:
            self._put_frame(cast("Frame[Any]", element))
        else:
            self._put_other(element)
        return self.received < self._alarm or self._press()

    def run(self, ticks: Run) -> bool:
        """Take ticks that come together."""
        count = len(ticks)
        block = self._open
        if count >= _OWN:
            self._blocks.append(ticks)
            self._open = None
        elif block is not None and block.__class__ is list:
            block.extend(ticks)
        elif count:
            self._begin([]).extend(ticks)
        self.received += count
        return self.received < self._alarm or self._press()

    def _put_frame(self, frame: Frame[Any]) -> None:
        if len(frame):
            self._blocks.append(frame)
            self._open = None
            self.received += len(frame)

    def _put_other(self, element: Any) -> None:
        block = self._open
        if block is None or block.__class__ is not Others:
            block = self._begin(Others())
        block.append(element)
        self.received += 1

    def _begin(self, block: list[Any]) -> list[Any]:
        self._blocks.append(block)
        self._open = block
        return block

    def _refuse(self, element: object) -> TypeError:
        return TypeError(f"backpressure by {self.policy!r} takes {self.takes}, got {name_of(element)}")

    # --- out

    def take(self, most: int, rows: int = 0) -> Block:
        """Return the oldest that wait: ticks, other elements or a frame, `most` of them or fewer; of a frame `rows`, if given.

        Raises:
            IndexError: nothing waits.
        """
        load = self.load
        if load > self._high:
            self._high = load
        block = self._head(rows if rows and self._frame_next else most)
        count = len(block)
        self.emitted += count
        self._gone += count
        if self._told == "relieved":
            self._alarm += count
        else:
            self._settle()
        return block

    @property
    def _frame_next(self) -> bool:
        return isinstance(self._blocks[0], Frame)

    def unsent(self, block: Block) -> None:
        """Say that this, of what was taken last, has not been handed on, and will not be."""
        self.emitted -= len(block)
        self.dropped += len(block)

    def clear(self) -> None:
        """Drop what waits, since nobody will take it. Nobody is told of gaps either."""
        self._high = max(self._high, self.load)
        self.dropped += self.pending
        self._forget()
        self._gone = self.received
        self._arm()

    def _forget(self) -> None:
        self._blocks.clear()
        self._at, self._open = 0, None

    def _head(self, most: int) -> Block:
        """Cut off the oldest that wait, all of one block."""
        block, at = self._blocks[0], self._at
        left = len(block) - at
        if left <= most:
            self._blocks.popleft()
            self._at = 0
            if block is self._open:
                self._open = None
            if not at:
                return block
            most = left
        else:
            self._at = at + most
        return _cut(block, at, at + most)

    def _tail(self, most: int) -> Block:
        """Cut off the newest that wait, all of one block."""
        block = self._blocks.pop()
        self._open = None
        begin = max(0 if self._blocks else self._at, len(block) - most)
        if not self._blocks and begin == self._at:
            self._at = 0
        elif begin:
            self._blocks.append(_cut(block, 0, begin))
        return _cut(block, begin, len(block))

    # --- too much

    @abstractmethod
    def _relieve(self, over: int) -> bool:
        """Make room for so many more than the capacity; False if what came is refused."""

    def _drop_oldest(self, count: int) -> None:
        while count > 0:
            block = self._head(count)
            count -= len(block)
            self._drop(block)

    def _drop_newest(self, count: int) -> None:
        while count > 0:
            block = self._tail(count)
            count -= len(block)
            self._drop(block)

    def _drop(self, block: Block) -> None:
        self.dropped += len(block)
        self._gone += len(block)
        if self.lost is not None:
            self.lost.add(block)

    def _press(self) -> bool:
        """Look at what came: is it nearly full, or too much?"""
        if self._open is not None and len(self._open) >= BLOCK:
            self._open = None
        load, taken = self.load, True
        self._pressed(load)
        if load > self.capacity:
            self._high = max(self._high, self.capacity)
            if self.alerts and self._told != "overflowed":
                self._told = "overflowed"
                self.notices.append("overflowed")
            taken = self._relieve(load - self.capacity)
        self._arm()
        return taken

    def _pressed(self, load: int) -> None:
        if self.alerts and self._told == "relieved" and load >= self._full:
            self._told = "pressed"
            self._alerted = self.conflated, self.dropped
            self.notices.append("pressed")

    def _settle(self) -> None:
        """See to what follows when something has left."""
        if self._told != "relieved" and self.load <= self._relief:
            self._told = "relieved"
            self.notices.append("relieved")
        self._arm()

    def _arm(self) -> None:
        """Say at how many received somebody must look; before that, an element costs one comparison."""
        near = self._full if self._told == "relieved" else self.capacity + 1
        self._alarm = self.received + max(1, min(near - self.load, BLOCK))


def _cut(block: Block, begin: int, end: int) -> Block:
    if isinstance(block, Frame):
        return block.slice(begin, end - begin)
    piece = block[begin:end]
    return Others(piece) if block.__class__ is Others else piece


def check(capacity: object) -> None:
    """Refuse a capacity that is none.

    Raises:
        ValueError: it is not a whole number from 1.
    """
    if isinstance(capacity, bool) or not isinstance(capacity, int):
        raise ValueError(f"capacity must be a whole number from 1, since nothing here is without bound, got {capacity!r}")
    if capacity < 1:
        raise ValueError(f"capacity must be at least 1, got {capacity}")
