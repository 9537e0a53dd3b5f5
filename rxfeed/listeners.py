"""Who wants to hear of something, and telling them: in order, none of them in the way of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from rxfeed.failures import tell

if TYPE_CHECKING:
    from rxfeed.hot import Hot

T = TypeVar("T")

_MOST: Final = 1_000


class Listeners(Generic[T]):
    """Functions that are called with each value.

    A listener that raises is logged, and the others hear of it all the same. What a listener causes in its turn is told when
    all have heard of what is told now, so that everybody hears the same in the same order. Listeners that cause each other for
    ever are cut off after 1,000 values.

    Args:
        stage: whose listeners they are, for the log.
    """

    __slots__ = ("_busy", "_listeners", "_stage", "_waiting")

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._listeners: dict[object, Callable[[T], object]] = {}
        self._waiting: deque[T] = deque()
        self._busy = False

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Have a function called with each value from now on; what is returned ends that."""
        place = object()
        self._listeners[place] = listener

        def leave() -> None:
            self._listeners.pop(place, None)

        return leave

    def tell(self, value: T) -> None:
        """Tell all of them."""
        self._waiting.append(value)
        if self._busy:
            return
        self._busy = True
        told = 0
        try:
            while self._waiting:
                if told == _MOST:
                    wrong = RuntimeError(f"listeners cause each other: {_MOST:,} values in one turn, the rest is left out")
                    tell(None, self._stage, "listener", wrong, goes_on=True)
                    break
                told += 1
                self._tell(self._waiting.popleft())
        finally:
            self._waiting.clear()
            self._busy = False

    def _tell(self, value: T) -> None:
        for place, listener in list(self._listeners.items()):
            if place not in self._listeners:
                continue  # it has left meanwhile
            try:
                listener(value)
            except Exception as error:  # noqa: BLE001  # theirs, and nobody else's
                tell(None, self._stage, "listener", error, value, goes_on=True)

    @property
    def observable(self) -> Hot[T]:
        """All values from the subscription on, as an observable that never ends."""
        from rxfeed.hot import Hot  # who only listens needs no reactivex

        return Hot(self)
