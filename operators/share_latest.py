"""A feed is one connection, and has many readers. The one who comes late must not wait for the next trade to know the price,
and must never be told the price of a connection that is gone.
"""

from __future__ import annotations

from typing import TypeVar

from reactivex import Observable, abc

from rxfeed.kernels.keys import Key, KeyOf, key_of

from ._call import Called, call
from ._connection import Connection, ShareStats
from ._degraded import passed_on

T = TypeVar("T")


class ShareLatest(Called):
    """What `share_latest` returns: an operator, and the counts of its newest connection."""

    def __init__(self, key: KeyOf, capacity: int, call: str) -> None:
        super().__init__(call)
        self._key, self._capacity = key, capacity
        self._newest = Connection(key, capacity, over=lambda: None)

    @property
    def stats(self) -> ShareStats:
        """What came, who listens, and what is held for who comes late."""
        return self._newest.stats

    def __call__(self, source: Observable[T]) -> Observable[T]:
        current: Connection | None = None

        def over() -> None:
            nonlocal current
            current = None

        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            nonlocal current
            if current is not None:
                return current.join(observer)
            connection = current = self._newest = Connection(self._key, self._capacity, over)
            place = connection.join(observer)
            connection.connect(source, scheduler)
            return place

        return passed_on(Observable(subscribe), source)


def share_latest(*, key: Key = None, capacity: int = 4_096) -> ShareLatest:
    """Share one subscription among all subscribers, and give the newest element to who comes late.

        --1--2--3--|
        share_latest()
        --1--2--3--|

    The first subscriber connects, and the last one to leave disconnects. Who comes late gets the newest element of this
    connection, and then the rest in order; who comes after its end subscribes afresh.

    Args:
        key: a field's name, such as `"symbol"`, or a callable: who comes late gets the newest of each key, in the order in
            which they came.
        capacity: keys, 1 or more; beyond, the one that has been silent for longest is forgotten.

    Returns:
        An operator from anything to the same; its `stats` counts elements, subscribers and keys.

    Raises:
        TypeError, ValueError: a key that is neither, or `capacity` below 1.

    Ends: with the source, for all its subscribers. Nothing of it is left: no element, and no error.
    Drops: nothing. A subscriber that raises keeps no other from its elements; what it raised reaches the source afterwards
    (of several, an `ExceptionGroup`).
    Clock: none.
    """
    text = call(share_latest, locals())
    if capacity < 1:
        raise ValueError(f"capacity must be at least 1, got {capacity}")
    return ShareLatest(key_of(key), capacity, text)
