"""One connection of a shared stream: the time from a subscription to its source until that ends."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, NamedTuple

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable

from rxfeed.kernels.keys import KeyOf

from ._turns import Turns

_ONLY: Final = None
"""The one key there is without `key`."""


class ShareStats(NamedTuple):
    """One connection. Each element goes to all of its subscribers."""

    received: int
    subscribers: int
    held: int
    """Elements for who comes late: one, or one a key."""
    forgotten: int
    """Keys given up because there were more than `capacity`; who came late did not get their newest."""


class Connection(abc.ObserverBase[Any]):
    """To the source a subscriber, and to the turns the observer that is all subscribers.

    Args:
        over: called when it ends, before the subscribers hear of it: who of them comes back gets a new connection.
    """

    __slots__ = (
        "_capacity", "_emits", "_forgotten", "_held", "_key", "_members", "_over", "_received", "_turns", "_upstream",
    )  # fmt: skip

    def __init__(self, key: KeyOf, capacity: int, over: Callable[[], None]) -> None:
        self._key, self._capacity, self._over = key, capacity, over
        self._members: dict[object, abc.ObserverBase[Any]] = {}
        self._emits: tuple[Callable[[Any], None], ...] = ()  # replaced, never changed: a round goes on with those it began with
        self._held: dict[Hashable, Any] = {}
        self._received, self._forgotten = 0, 0
        self._upstream = SingleAssignmentDisposable()
        self._turns = Turns(self, self._stop)

    @property
    def stats(self) -> ShareStats:
        return ShareStats(self._received, len(self._members), len(self._held), self._forgotten)

    # --- subscribers

    def join(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Give an observer the newest, and then whatever comes; what comes meanwhile waits."""
        place = object()
        self._members[place] = observer
        self._emits = tuple(member.on_next for member in self._members.values())
        turns = self._turns
        within, turns.busy = turns.busy, True
        try:
            for element in self._held.values():
                observer.on_next(element)
        except BaseException:
            self._leave(place)
            raise
        finally:
            turns.busy = within
            if not within and turns.waiting:
                turns.go()
        return Disposable(lambda: self._leave(place))

    def _leave(self, place: object) -> None:
        if self._members.pop(place, None) is not None:
            self._emits = tuple(member.on_next for member in self._members.values())
            if not self._members:
                self._turns.end()

    # --- source

    def connect(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> None:
        turns = self._turns
        try:
            self._upstream.disposable = source.subscribe(self._take(), turns.fail, turns.complete, scheduler=scheduler)
        except BaseException:
            turns.end()
            raise

    def _take(self) -> Callable[[Any], None]:
        turns, keep, fan_out = self._turns, self._keep, self.on_next

        def on_next(element: Any) -> None:
            if turns.busy:
                turns.take(lambda: keep(element))
                return
            if turns.ended:
                return
            try:
                keep(element)
            except Exception as error:
                turns.fail(error)
                return
            turns.busy = True
            try:
                fan_out(element)
            finally:
                turns.busy = False
                if turns.waiting:
                    turns.go()

        return on_next

    def _keep(self, element: Any) -> Iterable[Any]:
        held = self._held
        if self._key is None:
            held[_ONLY] = element
        else:
            key = self._key(element)
            held.pop(key, None)
            held[key] = element
            if len(held) > self._capacity:
                del held[next(iter(held))]
                self._forgotten += 1
        self._received += 1
        return (element,)

    def _stop(self) -> None:
        self._over()
        self._held.clear()
        self._upstream.dispose()

    # --- to all

    def on_next(self, value: Any) -> None:
        raised: list[Exception] = []
        for emit in self._emits:
            try:
                emit(value)
            except Exception as error:
                raised.append(error)
        if raised:
            _raise(raised)

    def on_error(self, error: Exception) -> None:
        self._end(lambda member: member.on_error(error))

    def on_completed(self) -> None:
        self._end(lambda member: member.on_completed())

    def _end(self, tell: Callable[[abc.ObserverBase[Any]], None]) -> None:
        members, self._members, self._emits = list(self._members.values()), {}, ()
        raised: list[Exception] = []
        for member in members:
            try:
                tell(member)
            except Exception as error:
                raised.append(error)
        if raised:
            _raise(raised)


def _raise(errors: list[Exception]) -> None:
    raise errors[0] if len(errors) == 1 else ExceptionGroup(f"{len(errors)} subscribers raised", errors)
