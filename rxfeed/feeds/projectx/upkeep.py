"""The connection of a hub, as long as somebody needs it: what its supervisor asks for, and who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from reactivex import Observable, abc

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost
from rxfeed.events import Event
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.supervisor import Ends, Request, Supervisor
from rxfeed.feeds.tasks import Tasks

from .flow import Flow
from .interruptions import Interruptions
from .kinds import HubName
from .link import Link
from .subscriptions import Subscriptions


class Upkeep:
    """Has one connection kept, with all that is subscribed to on it.

    Args:
        name: the hub's.
        connect_once: an observable of one open connection, which errors when that is lost.
        flow: takes what connections bring.
        subscriptions: what each is asked for.
        gaps: hears of losses.
        outdated: whether a connection was made with a token that is no longer the newest.
        keep: has the token refreshed ahead of its end, and calls when there is a new one, until disposed of.
        reconnect: how a lost connection is got back; None not at all.
        clock: what time it is.
        random: where jitter comes from.
        tasks: of the gateway.
        told: hears of what happens.
        ended: called when no connection is tried any more.
    """

    def __init__(
        self, name: HubName, connect_once: Observable[Link], flow: Flow, subscriptions: Subscriptions, gaps: Interruptions, *,
        outdated: Callable[[Link], bool], keep: Callable[[Callable[[], object]], abc.DisposableBase],
        reconnect: Reconnect | None, clock: Clock, random: Random, tasks: Tasks, told: Callable[[Event], object],
        ended: Callable[[Exception], object],
    ) -> None:  # fmt: skip
        self._flow, self._subscriptions, self._gaps = flow, subscriptions, gaps
        self.outdated: Final = outdated
        self._keep, self._ended = keep, ended
        self._keeping: abc.DisposableBase | None = None
        self._waiting: asyncio.Future[Link] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._supervised = partial(
            Supervisor[Link], name, connect_once, self, clock=clock, random=random, tasks=tasks, told=told
        )
        self.use(reconnect)

    def use(self, reconnect: Reconnect | None) -> None:
        """Get lost connections back in this way, before any was asked for."""
        self._supervisor = self._supervised(reconnect=reconnect)

    @property
    def running(self) -> bool:
        """Whether there is a connection, or one is tried."""
        return self._supervisor.running

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        return self._supervisor.connections

    def request(self, what: Request, why: str) -> None:
        """Ask for something, as a supervisor is asked."""
        self._supervisor.request(what, why)

    def linked(self) -> asyncio.Future[Link]:
        """Return the connection that is or will be open; the same for all who ask meanwhile."""
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            self._waiting.add_done_callback(_retrieved)
            if self._flow.link is not None:
                self._waiting.set_result(self._flow.link)
            self._loop = self._waiting.get_loop()
            self._supervisor.start()
            if self._keeping is None:
                self._keeping = self._keep(lambda: self.request("rotate", "there is a new token"))
        return self._waiting

    def soon(self, call: Callable[[], object]) -> None:
        """Call something in the next turn of the loop that the connection lives in, if there is one."""
        if self.running and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon(call)

    def stop(self) -> None:
        """Disconnect."""
        self._supervisor.stop()
        self._forget(None)

    # What the supervisor asks for

    async def opened(self, link: Link) -> None:
        """Subscribe to everything on a new connection; what is refused ends its streams, and not the connection.

        Raises:
            FeedError: the connection was lost, or does not answer.
        """
        self._flow.live(link, self._supervisor.flows)
        waiting = self.linked()
        if not waiting.done():
            waiting.set_result(link)
        cause: str | None = "asked"  # by whoever waits no longer
        try:
            await self._subscriptions.ask(link)
            cause = None
        except ConnectionLost as error:
            cause = error.cause
            raise
        finally:
            if cause is not None:
                self._waiting = None
                self._flow.stop()
                self._gaps.lost(cause)  # trades may have come already, and with the first a gap has ended
        self._gaps.resumed()

    def lost(self, error: ConnectionLost) -> None:
        """Keep the streams, and say what they may miss."""
        self._flow.lost()
        self._waiting = None
        self._subscriptions.lost()
        self._gaps.lost(error.cause)

    def ended(self, error: Exception) -> None:
        """End all streams with an error."""
        self._forget(error)
        self._ended(error)

    async def probe(self, link: Link) -> None:
        """Make sure that the hub answers.

        Raises:
            FeedError: it does not.
        """
        await link.probe()

    async def resubscribe(self, link: Link) -> int:
        """Subscribe to everything anew, on the same connection; return how many topics it was.

        Raises:
            FeedError: the hub refuses one of them, or does not answer, or the connection was lost.
        """
        return await self._subscriptions.resubscribe(link)

    async def rotate(self, old: Link, new: Link, ended: Ends, patience: float) -> tuple[str, ...]:
        """Go over from one connection to its successor.

        Returns:
            The symbols of which trades may be missing.

        Raises:
            FeedError: it did not become certain where the two meet; the old one is kept.
        """
        uncertain = await self._flow.rotate(old, new, ended, patience)
        self._waiting = None
        return uncertain

    def _forget(self, error: Exception | None) -> None:
        """Forget the connection, and all that was about it."""
        waiting, self._waiting = self._waiting, None
        if self._keeping is not None:
            self._keeping.dispose()
            self._keeping = None
        self._subscriptions.clear()
        self._flow.clear()
        self._gaps.clear()
        if waiting is not None and not waiting.done():
            if error is None:
                waiting.cancel()
            else:
                waiting.set_exception(error)


def _retrieved(future: asyncio.Future[Link]) -> None:
    # Whoever waited has the error; that nobody waits any more is no reason to complain.
    if not future.cancelled():
        future.exception()
