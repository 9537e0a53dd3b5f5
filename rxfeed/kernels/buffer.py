"""What waits between a source that cannot wait and a consumer that awaits: bounded, and every element accounted for."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, Literal, NamedTuple, TypeVar, get_args

from rxfeed.errors import Overflow
from rxfeed.frame import Frame, is_frame

T = TypeVar("T")

OnOverflow = Literal["error", "drop_oldest", "drop_latest", "latest"]
"""What becomes of an element that comes when `capacity` elements wait: the stream ends with `Overflow` behind them; the
oldest goes for it; it goes itself. With "latest" never more than the newest one waits, whatever the capacity."""

_CHOICES: Final[tuple[OnOverflow, ...]] = get_args(OnOverflow)


class BufferStats(NamedTuple):
    """Elements by what became of them: received = emitted + dropped + pending, and in ticks likewise.

    A frame is one element of as many ticks as it has rows; any other element is one tick.
    """

    received: int
    """All that came."""
    emitted: int
    """Handed to the consumer."""
    dropped: int
    """Lost: by the overflow policy, or still waiting when the consumer left."""
    pending: int
    """Waiting now."""
    high_water: int
    """The most that ever waited."""
    ticks_received: int
    ticks_emitted: int
    ticks_dropped: int
    ticks_pending: int


class Buffer(Generic[T]):
    """A queue that never holds more than its capacity.

    Args:
        capacity: elements that may wait, 1 or more. A frame is one element.
        overflow: what to do with one more.

    Raises:
        ValueError: a capacity or a policy that is not allowed.
    """

    __slots__ = (
        "_capacity", "_dropped", "_high_water", "_keeps_old", "_queue", "_received", "_rows_dropped", "_rows_received",
        "overflow",
    )  # fmt: skip

    def __init__(self, capacity: int = 1024, overflow: OnOverflow = "error") -> None:
        check(capacity, overflow)
        self.overflow: Final = overflow
        self._keeps_old = overflow in ("error", "drop_latest")
        self._capacity = 1 if overflow == "latest" else capacity
        self._queue: deque[T] = deque()
        self._received = self._dropped = self._high_water = 0
        self._rows_received = self._rows_dropped = 0  # of frames, beyond one each

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def stats(self) -> BufferStats:
        """The counts at this moment."""
        received, dropped, pending = self._received, self._dropped, len(self._queue)
        emitted = received - dropped - pending
        rows = sum(map(_rows, self._queue))
        rows_emitted = self._rows_received - self._rows_dropped - rows
        return BufferStats(
            received, emitted, dropped, pending, self._high_water,
            received + self._rows_received, emitted + rows_emitted, dropped + self._rows_dropped, pending + rows,
        )  # fmt: skip

    def put(self, element: T) -> bool:
        """Take an element in, or drop one; False says that this one was refused and the stream has to end."""
        self._received += 1
        if element.__class__ is Frame:
            self._rows_received += _rows(element)
        waiting = len(self._queue)
        if waiting >= self._capacity:
            if self._keeps_old:
                self._drop(element)
                return self.overflow != "error"
            self._drop(self._queue.popleft())
        elif waiting >= self._high_water:
            self._high_water = waiting + 1
        self._queue.append(element)
        return True

    def take(self) -> T:
        """Return the oldest element.

        Raises:
            IndexError: nothing waits.
        """
        return self._queue.popleft()

    def clear(self) -> None:
        """Drop what waits, since nobody will take it."""
        while self._queue:
            self._drop(self._queue.popleft())

    def error(self) -> Overflow:
        """Return the error that ends a stream whose element was refused."""
        return Overflow(
            f"{self._capacity} elements wait and one more came (capacity={self._capacity}): take them faster, give a greater "
            'capacity, or overflow="drop_oldest", "drop_latest" or "latest". A source that emits everything at once, such as '
            "a replay without speed=, needs a capacity for all of it"
        )

    def _drop(self, element: T) -> None:
        self._dropped += 1
        if element.__class__ is Frame:
            self._rows_dropped += _rows(element)


def check(capacity: int, overflow: str) -> None:
    """Refuse what no buffer can be made of.

    Raises:
        ValueError: a capacity or a policy that is not allowed.
    """
    if isinstance(capacity, bool) or not isinstance(capacity, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"capacity must be a whole number from 1, since nothing here is without bound, got {capacity!r}")
    if capacity < 1:
        raise ValueError(f"capacity must be at least 1, got {capacity}")
    if overflow == "block":
        raise ValueError(
            'overflow="block" is impossible: a source of elements pushes and cannot be made to wait; '
            f"allowed are {', '.join(_CHOICES)}"
        )
    if overflow not in _CHOICES:
        raise ValueError(f"overflow must be one of {', '.join(_CHOICES)}, got {overflow!r}")


def _rows(element: object) -> int:
    """The rows of a frame beyond the first; 0 for anything else."""
    return len(element) - 1 if is_frame(element) else 0
