"""Who reconnects: one supervisor for each connection of a feed, and nobody else.

It is one task, and so has no locks: it opens a connection, waits until that is lost or somebody asks for something, and does
one thing at a time. Whoever wants a new connection (a token that changed, a feed that is stale) posts a request; what is asked
for twice is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Generic

from reactivex import Observable

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, RxfeedError
from rxfeed.events import Connected, Event, GaveUp, Lost, Resubscribed, Retrying
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.tasks import Tasks
from rxfeed.retrying import Tries

from .hold import Hold, Over
from .openings import Openings
from .requests import Request, Requests
from .rotation import End, Rotation, text_of
from .supervised import L, Supervised


class Supervisor(Generic[L]):
    """Keeps a connection open.

    Args:
        name: what the connection is called in events: "market".
        source: one connection for each subscription; errors when it is lost, completes when its owner is closed.
        of: what it looks after.
        reconnect: the policies; None ends with the first error.
        clock: what time events are of.
        random: where jitter comes from.
        tasks: of the owner.
        told: hears of all that happens.
    """

    def __init__(
        self, name: str, source: Observable[L], of: Supervised[L], *, reconnect: Reconnect | None, clock: Clock,
        random: Random, tasks: Tasks, told: Callable[[Event], object],
    ) -> None:  # fmt: skip
        self._name, self._of = name, of
        self._settings = reconnect or Reconnect()
        self._retries = None if reconnect is None else reconnect.retries(random)
        self._tries = Tries(self._settings.retries(random), 0.0)
        self._clock, self._tasks, self._tell = clock, tasks, told
        self._task: asyncio.Task[None] | None = None
        self._leaving: list[asyncio.Task[None]] = []  # which were stopped, and may still have something to close
        self._requests = Requests()
        self._openings = Openings(name, source, self._settings)
        self._rotation = Rotation(
            name, of, self._openings, self._requests, retries=self._settings.retries(random),
            patience=self._settings.seconds("rotation"), clock=clock, tasks=tasks, told=told,
        )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether it keeps a connection, or tries to."""
        return self._task is not None

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        return self._openings.count

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._task is None:
            self._task = self._tasks.start(self._run(), f"supervisor of {self._name}")

    def stop(self) -> None:
        """Close the connection and try no more. It may be started again."""
        task, self._task = self._task, None
        self._requests.clear()
        if task is not None:
            task.cancel()
            self._leaving = [one for one in (*self._leaving, task) if not one.done()]

    def request(self, what: Request, why: str) -> None:
        """Ask for something; it is done once, however often it is asked for meanwhile, and not where it is no longer needed."""
        if self._task is not None:
            self._requests.ask(what, why)

    def flows(self) -> None:
        """Note that a connection has brought its first element."""
        self._openings.flows()

    async def _run(self) -> None:
        if self._leaving:  # else they would close what we open
            await asyncio.wait(self._leaving)
        leave = self._openings.listen()
        try:
            await self._keep()
        except Over:
            pass
        finally:
            leave()
            self._openings.close()
            if self._task is asyncio.current_task():
                self._task = None

    async def _keep(self) -> None:
        """Connect again and again."""
        loop = asyncio.get_running_loop()
        attempts = 0
        self._tries.anew(loop.time())
        next: asyncio.Task[Hold[L]] | None = None
        while True:
            attempts += 1
            born = loop.time()
            planned = False
            try:
                hold = await (next or self._openings.open(self._of.opened))
                if next is not None:
                    await self._openings.prepare(hold, self._of.opened)
            except Over:
                raise
            except Exception as wrong:  # noqa: BLE001  # whatever it is, it is for the policy to judge
                next, error = None, wrong
            else:
                self._tell(Connected(time=self._clock.now, hub=self._name, epoch=hold.link.epoch, attempts=attempts))
                attempts = 0
                end = await self._live(hold)
                next, error, planned = end.next, end.error, end.planned
                if loop.time() - born >= self._settings.seconds("quiet"):
                    self._tries.anew(loop.time())
                self._tell(Lost(time=self._clock.now, hub=self._name, cause=end.error.cause, text=str(end.error)))
                if self._retries is not None:
                    self._of.lost(end.error)
                if next is not None:
                    continue
            wait = self._wait(error, at_once=planned or (attempts == 0 and self._fresh))
            if wait is None:
                self._task = None  # so that it may be started again by those who hear of it
                self._tell(GaveUp(time=self._clock.now, hub=self._name, text=str(error)))
                self._of.ended(error)
                return
            if attempts:
                told = max(wait, self._settings.policy.delay())
                self._tell(
                    Retrying(time=self._clock.now, hub=self._name, attempt=attempts, wait=told, text=text_of(error))
                )  # fmt: skip
            await self._openings.sleep(wait)

    @property
    def _fresh(self) -> bool:
        return self._tries.attempts == 1

    def _wait(self, error: Exception, *, at_once: bool) -> float | None:
        if self._retries is None:
            return None
        # What is tried at once counts as a failure all the same: a peer that lets in and throws out is waited for.
        wait = self._tries.after(error, asyncio.get_running_loop().time())
        return wait if wait is None or not at_once else 0.0

    async def _live(self, hold: Hold[L]) -> End[L]:
        """Return when there is no connection any more."""
        loop = asyncio.get_running_loop()
        healthy = loop.call_later(self._settings.seconds("healthy_after"), hold.succeeded)
        self._requests.clear()
        self._rotation.anew()
        if self._of.outdated(hold.link):
            self._requests.ask("rotate", "the token has changed meanwhile")
        try:
            while True:
                if hold.ended.done():
                    lost = hold.loss
                    if lost is None:
                        raise Over
                    self._openings.drop(hold, lost)
                    return End(lost)
                if not self._requests:
                    await asyncio.wait((hold.ended, self._requests.bell()), return_when=asyncio.FIRST_COMPLETED)
                    continue
                what, why = self._requests.take()
                if what == "rotate" and self._of.outdated(hold.link) and not self._rotation.single:
                    healthy.cancel()
                    hold.succeeded()
                    old = hold
                    hold, end = await self._rotation.over(old, why)
                    if end is not None:
                        return end
                    if hold is not old:
                        self._requests.answered("resubscribe", "probe")
                    continue
                lost = await self._refused(hold, what, why)
                if lost is not None:
                    hold.succeeded()
                    self._openings.drop(hold)
                    return End(lost, planned=True)
        finally:
            healthy.cancel()
            self._requests.clear()

    async def _refused(self, hold: Hold[L], what: Request, why: str) -> ConnectionLost | None:
        """Return why a connection must be ended by us; None where it need not."""
        match what:
            case "rotate":
                return ConnectionLost(f"{self._name}: {why}", "rotation") if self._of.outdated(hold.link) else None
            case "reconnect":
                return ConnectionLost(f"{self._name}: {why}", "asked")
            case "resubscribe":
                began = asyncio.get_running_loop().time()
                try:
                    count = await self._of.resubscribe(hold.link)
                except ConnectionLost:
                    return None  # how it ended is told in a moment
                except RxfeedError as error:
                    return ConnectionLost(f"{self._name}: {why}, and {error}", "asked")
                self._requests.answered("resubscribe", "probe")
                seconds = asyncio.get_running_loop().time() - began
                self._tell(Resubscribed(time=self._clock.now, hub=self._name, topics=count, seconds=seconds))
            case "probe":
                try:
                    await self._of.probe(hold.link)
                except ConnectionLost:
                    return None
                except RxfeedError as error:
                    return ConnectionLost(f"{self._name}: {why}, and {error}", "silent")
        return None
