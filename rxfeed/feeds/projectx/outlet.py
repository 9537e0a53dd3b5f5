"""Where what a hub brings goes to one subscriber: its contracts, as rows or as frames, until either side ends it."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterable
from itertools import compress
from typing import Any, Final, cast

import numpy as np
from reactivex import abc

from rxfeed.failures import Where, stage_of, tell
from rxfeed.frame import Frame
from rxfeed.runs import run_into

from .decode import Drained
from .kinds import TRADES, Batch, Kind


class Outlet:
    """One subscriber of one kind of stream.

    Args:
        kind: what it gets.
        observer: who gets it.
        frames: whether it is given a frame for each drain of the socket.
        on_end: called once when the observer wants no more because it raised.
    """

    def __init__(self, kind: Kind, observer: abc.ObserverBase[Any], *, frames: bool, on_end: Callable[[Outlet], None]) -> None:
        self.kind: Final = kind
        self.topics: tuple[tuple[str, Any], ...] = ()
        """What it is about: pairs of a key and what the hub calls it."""
        self._observer, self._frames, self._on_end = observer, frames, on_end
        self._keys: frozenset[str] | None = frozenset()
        self._run = run_into(observer) if kind is TRADES and not frames else None
        self.over = False
        """Whether nothing is given any more."""

    def attend(self, topics: Iterable[tuple[str, Any]], *, everything: bool = False) -> None:
        """Say what it is about; `everything` takes whatever comes of its kind."""
        self.topics = tuple(topics)
        self._keys = None if everything else frozenset(key for key, _ in self.topics)

    def give(self, batch: Batch) -> None:
        """Give the subscriber its elements of a batch. If it raises it is told of, and gets nothing more."""
        keys = batch.of if self._keys is None else self._keys
        if self.over or keys.isdisjoint(batch.of):
            return
        wanted = None if batch.of <= keys else [key in keys for key in batch.keys]
        try:
            if self._frames:
                frame: Frame[Any] = cast("Drained[Any]", batch).frame()  # only these kinds have frames
                self._observer.on_next(frame if wanted is None else frame.filter(np.array(wanted)))
            else:
                rows = batch.rows()
                self.rows(rows if wanted is None else list(compress(rows, wanted)))
        except (Exception, CancelledError) as error:  # noqa: BLE001  # one subscriber's fault is not the others'
            self._failed(error)

    def rows(self, rows: list[Any]) -> None:
        """Give the subscriber rows."""
        if self._run is not None:
            self._run(rows)
            return
        emit = self._observer.on_next
        for row in rows:
            if self.over:
                return
            emit(row)

    def replay(self, rows: list[Any], batch: Callable[[list[Any]], Any]) -> None:
        """Give what was said before the subscriber came, as rows or, by `batch`, as a frame."""
        if self.over or not rows:
            return
        try:
            if self._frames:
                self._observer.on_next(batch(rows))
            else:
                self.rows(rows)
        except (Exception, CancelledError) as error:  # noqa: BLE001
            self._failed(error)

    def error(self, error: Exception) -> None:
        """End it with an error. If the subscriber raises, that is told of: the others must hear of theirs."""
        if not self.over:
            self.over = True
            try:
                self._observer.on_error(error)
            except Exception as wrong:  # noqa: BLE001
                # Without an on_error, reactivex raises the very error that it was given.
                self._tell("source" if wrong is error else "on_error", wrong)

    def complete(self) -> None:
        """End it: there will be no more. If the subscriber raises, that is told of."""
        if not self.over:
            self.over = True
            try:
                self._observer.on_completed()
            except Exception as wrong:  # noqa: BLE001
                self._tell("on_completed", wrong)

    def close(self) -> None:
        """Give nothing more."""
        self.over = True

    def _failed(self, error: Exception | CancelledError) -> None:
        self.over = True
        # Nobody awaits here, so it is no cancelling of ours: say, the result of a future that was cancelled was asked for.
        self._tell("on_next", error if isinstance(error, Exception) else RuntimeError("it raised CancelledError"))
        self._on_end(self)

    def _tell(self, where: Where, error: Exception) -> None:
        tell(None, f"{stage_of(self._observer)}, a subscriber of {self.kind.name}", where, error)
