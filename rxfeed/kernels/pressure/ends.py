"""The backlog in front of a task that takes one element at a time: at the end of a pipeline, by any policy."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, cast, get_args

from rxfeed.errors import Overflow
from rxfeed.frame import Frame
from rxfeed.kernels.buffer import Buffer, OnOverflow
from rxfeed.kernels.buffer import check as check_buffer
from rxfeed.kernels.pressure.backlog import Backlog, PressureStats, check
from rxfeed.kernels.pressure.make import backlog
from rxfeed.overflow import Overflowing, checked

T = TypeVar("T")

_COUNTED_AS_ELEMENTS: Final = get_args(OnOverflow)
_ROWS: Final = 1 << 62


class OneByOne(Generic[T]):
    """A backlog, one element at a time; a frame comes as it waits."""

    __slots__ = ("_backlog",)

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog

    def __bool__(self) -> bool:
        return bool(self._backlog)

    @property
    def load(self) -> int:
        """What waits, counted as the capacity is."""
        return self._backlog.load

    @property
    def stats(self) -> PressureStats:
        """The counts at this moment."""
        return self._backlog.stats

    def put(self, element: T) -> bool:
        """Take an element in; False says that it was refused and the stream has to end."""
        return self._backlog.put(element)

    def take(self) -> T:
        """Return the oldest element.

        Raises:
            IndexError: nothing waits.
        """
        self._backlog.notices.clear()
        block = self._backlog.take(1, _ROWS)
        return cast("T", block if isinstance(block, Frame) else block[0])

    def clear(self) -> None:
        """Drop what waits, since nobody will take it."""
        self._backlog.clear()

    def error(self) -> Overflow:
        """Return the error that ends a stream whose element was refused."""
        return self._backlog.error()


def waiting(capacity: int, overflow: Overflowing) -> Buffer[Any] | OneByOne[Any]:
    """Return what waits in front of a task.

    By "error", "drop_oldest", "drop_latest" and "latest" the capacity counts elements, a frame being one; by the others it
    counts as that of `backpressure` does.

    Raises:
        ValueError: a capacity or a policy that is not allowed.
    """
    for each in _COUNTED_AS_ELEMENTS:
        if each == overflow:
            return Buffer[Any](capacity, each)
    return OneByOne(backlog(capacity, checked(overflow), gaps=False))


def check_end(capacity: int, overflow: Overflowing) -> None:
    """Refuse what `waiting` would.

    Raises:
        ValueError: a capacity or a policy that is not allowed.
    """
    if overflow in _COUNTED_AS_ELEMENTS:
        check_buffer(capacity, cast("str", overflow))
    else:
        check(capacity)
        checked(overflow)
