"""How a connection that is well is replaced: its successor is opened beside it, and takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, NamedTuple

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, FeedError, RxfeedError
from rxfeed.events import Event, Rotated, RotationFailed, SingleSession
from rxfeed.feeds.tasks import Tasks
from rxfeed.retrying import Retries, Tries

from .hold import Hold, Over
from .openings import Openings
from .requests import Requests
from .supervised import L, Supervised

_SOON: Final = 5.0
"""Seconds: an old connection that ends so soon after its successor opened was ended because of it."""
_TWICE: Final = 2


class End(NamedTuple, Generic[L]):
    """How a connection that was live came to its end."""

    error: ConnectionLost
    planned: bool = False
    """By us: then the next is tried at once."""
    next: asyncio.Task[Hold[L]] | None = None
    """The successor, where one was already being opened."""


class Rotation(Generic[L]):
    """Goes over to successors; where that fails it is asked for again, later.

    Args:
        name: what the connection is called in events.
        of: whose.
        openings: who opens them.
        requests: where it is asked for again.
        retries: the policies by which it is.
        patience: seconds that a successor may take.
        clock: what time events are of.
        tasks: of the owner.
        told: hears of all that happens.
    """

    def __init__(
        self, name: str, of: Supervised[L], openings: Openings[L], requests: Requests, *, retries: Retries, patience: float,
        clock: Clock, tasks: Tasks, told: Callable[[Event], object],
    ) -> None:  # fmt: skip
        self._name, self._of, self._openings, self._requests = name, of, openings, requests
        self._tries, self._patience = Tries(retries, 0.0), patience
        self._clock, self._tasks, self._told = clock, tasks, told
        self._hurried = 0
        self.single = False
        """Whether the gateway was seen to allow one session."""

    def anew(self) -> None:
        """Forget what failed, with a connection that is another."""
        self._tries.anew(asyncio.get_running_loop().time())

    async def over(self, old: Hold[L], why: str) -> tuple[Hold[L], End[L] | None]:
        """Open the successor and go over to it; return who is live, or how both ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        opening = self._tasks.start(self._openings.open(), f"successor of {self._name}", heard=True)
        try:
            await asyncio.wait((opening, old.ended), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            opening.cancel()
            raise
        if not opening.done():  # the old one has ended first: what is being opened is the way back
            lost = old.loss
            if lost is None:
                opening.cancel()
                raise Over
            self._openings.drop(old, lost)
            if self._openings.held:  # the successor knocks already
                self._hurry(old.ended.result())
            return old, End(lost, next=opening)
        new: Hold[L] | None = None
        failed: Exception | None = None
        uncertain: tuple[str, ...] = ()
        try:
            successor = new = opening.result()
            opened = loop.time()
            ends = old.ended, successor.ended
            uncertain = await self._of.rotate(old.link, successor.link, ends, self._patience)
            if old.ended.done() and loop.time() - opened <= _SOON:
                self._hurry(old.ended.result())
        except Over:
            raise
        except Exception as wrong:  # noqa: BLE001
            failed = wrong
        if failed is None and new is not None:
            self._tries.anew(loop.time())
            new.succeeded()
            self._openings.drop(old)
            seconds = loop.time() - began
            self._told(
                Rotated(time=self._clock.now, hub=self._name, epoch=new.link.epoch, seconds=seconds, uncertain=uncertain)
            )  # fmt: skip
            return new, None
        failed = failed or AssertionError()
        if new is not None:
            self._openings.drop(new, failed)
        self._told(RotationFailed(time=self._clock.now, hub=self._name, text=text_of(failed)))
        wait = self._tries.after(failed, loop.time()) if isinstance(failed, FeedError) else None
        if wait is not None:
            self._requests.later(wait, "rotate", why)
        return old, None

    def _hurry(self, error: Exception | None) -> None:
        """Note that an old connection was ended as soon as its successor was open: then there may be but one."""
        if isinstance(error, ConnectionLost) and error.cause in ("closed", "logout", "dropped"):
            self._hurried += 1
            if self._hurried >= _TWICE and not self.single:
                self.single = True
                self._told(SingleSession(time=self._clock.now, hub=self._name))


def text_of(error: Exception) -> str:
    """Return an error as events tell it."""
    return str(error) if isinstance(error, RxfeedError) else f"{type(error).__name__}: {error}"
