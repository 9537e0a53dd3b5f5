"""Who wants to hear of something, and telling them: in order, none of them in the way of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from rxfeed.failures import tell

if TYPE_CHECKING:
    from rxfeed.hot import Hot

T = TypeVar("T")

_MOST: Final = 10_000


class Listeners(Generic[T]):
    """Functions that are called with each value.

    A listener that raises is logged and stays, for what it makes of one value says nothing of the next; the others hear of the
    value all the same. What a listener causes in its turn is told when all have heard of what is told now, so that everybody
    hears the same in the same order. Listeners that cause each other for ever are cut off after 10,000 values.

    Args:
        stage: what they are listeners of, for the log.
    """

    __slots__ = ("_busy", "_listeners", "_over", "_stage", "_waiting")

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._listeners: dict[object, tuple[Callable[[T], object], Callable[[], object] | None]] = {}
        self._waiting: deque[T] = deque()
        self._busy = self._over = False

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Callable[[T], object], ended: Callable[[], object] | None = None) -> Callable[[], None]:
        """Have a function called with each value from now on; what is returned ends that.

        Args:
            listener: gets the values.
            ended: called once when there will be no more, at once if that is so already.
        """
        place = object()
        self._listeners[place] = listener, ended
        if self._over:
            self._settle()

        def leave() -> None:
            self._listeners.pop(place, None)

        return leave

    def tell(self, value: T) -> None:
        """Tell all of them; nobody after `end`."""
        if not self._over:
            self._waiting.append(value)
            self._settle()

    def end(self) -> None:
        """Tell all of them that there will be no more, behind what is still to be told. Again is nothing."""
        self._over = True
        self._settle()

    def _settle(self) -> None:
        """Tell what is to be told, unless that is being done."""
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
            while self._over and self._listeners:
                self._end_first()
        finally:
            self._waiting.clear()
            self._busy = False

    def _tell(self, value: T) -> None:
        for place, (listener, _) in list(self._listeners.items()):
            if place not in self._listeners:
                continue  # it has left meanwhile
            try:
                listener(value)
            except Exception as error:  # noqa: BLE001  # theirs, and nobody else's
                tell(None, self._stage, "listener", error, value, goes_on=True)

    def _end_first(self) -> None:
        _, ended = self._listeners.pop(next(iter(self._listeners)))
        try:
            if ended is not None:
                ended()
        except Exception as error:  # noqa: BLE001
            tell(None, self._stage, "listener", error)

    @property
    def observable(self) -> Hot[T]:
        """All values from the subscription on, as an observable."""
        from rxfeed.hot import Hot  # who only listens needs no reactivex

        return Hot(self)
