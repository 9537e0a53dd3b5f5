"""Who reconnects: one supervisor for each connection of a feed, and nobody else.

It is one task, and so has no locks: it opens a connection, waits until that is lost or somebody asks for something, and does
one thing at a time. Whoever wants a new connection (a token that changed, a feed that is stale) posts a request; what is asked
for twice is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypeVar, get_args

from reactivex import Observable

from rxfeed.attempts import Attempt, Telling
from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, FeedError, RxfeedError, Unreachable
from rxfeed.events import Connected, Event, GaveUp, Lost, Resubscribed, Retrying, Rotated, RotationFailed, SingleSession
from rxfeed.feeds.reconnecting import Reconnect
from rxfeed.feeds.tasks import Tasks
from rxfeed.retrying import Tries


class Linked(Protocol):
    """An open connection."""

    @property
    def epoch(self) -> int:
        """Its number."""
        ...


L = TypeVar("L", bound=Linked)
L_contra = TypeVar("L_contra", bound=Linked, contravariant=True)
Ends = tuple[asyncio.Future[Any], asyncio.Future[Any]]
"""Done when an old connection has ended, and when its successor has."""
Request = Literal["reconnect", "rotate", "resubscribe", "probe"]
"""A new connection after the old one; a successor beside it; all subscriptions anew on it; a question whether it is alive. In
this order: what is done makes what stands behind it needless."""

_REQUESTS: Final[tuple[Request, ...]] = get_args(Request)

_SOON: Final = 5.0
"""Seconds: an old connection that ends so soon after its successor opened was ended because of it."""
_TWICE: Final = 2


class Supervised(Protocol[L_contra]):
    """What a supervisor looks after."""

    async def opened(self, link: L_contra) -> None:
        """Bring back all that was subscribed to, on a connection that follows a loss, or is the first.

        Raises:
            FeedError: that cannot be done on this connection.
        """
        ...

    def lost(self, error: ConnectionLost) -> None:
        """Note that there is no connection any more, and that another is tried."""
        ...

    def ended(self, error: Exception) -> None:
        """Note that no other is tried."""
        ...

    def outdated(self, link: L_contra, /) -> bool:
        """Whether a connection was made with what is no longer the newest token."""
        ...

    async def rotate(self, old: L_contra, new: L_contra, ended: Ends, patience: float) -> tuple[str, ...]:
        """Go over from one connection to its successor, within `patience` seconds; `ended` tells of the end of either.

        Returns:
            Symbols whose trades could not be matched. From now on nothing is taken from the old one.

        Raises:
            FeedError: it cannot be done, and the old one is kept; nothing is taken from the new one.
        """
        ...

    async def resubscribe(self, link: L_contra) -> int:
        """Bring all that is subscribed to anew, on the open connection; return how many it is.

        Raises:
            FeedError: that cannot be done on this connection.
        """
        ...

    async def probe(self, link: L_contra) -> None:
        """Make sure that the other side answers.

        Raises:
            FeedError: it does not.
        """
        ...


class _Over(Exception):
    """The source of connections has completed: its owner is closed."""


class _Hold(Generic[L]):
    """One connection: when it opened, how it ended, and what its attempt's policy is told."""

    def __init__(self, source: Observable[L], attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        self._link: asyncio.Future[L] = loop.create_future()
        self.ended: asyncio.Future[Exception | None] = loop.create_future()
        self._attempt: Attempt | None = attempt
        self._subscription = source.subscribe(self._on_next, self._on_error, self._on_completed)

    @property
    def link(self) -> L:
        return self._link.result()

    async def opened(self) -> None:
        await asyncio.wait((self._link, self.ended), return_when=asyncio.FIRST_COMPLETED)
        if not self._link.done():
            raise self.ended.result() or _Over

    def succeeded(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.succeeded()

    def close(self, error: Exception | None = None) -> None:
        """Close it; it has failed if there is an error, unless it had succeeded."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            if error is None:
                attempt.abandoned()
            else:
                attempt.failed(error)
        self._subscription.dispose()

    def _on_next(self, link: L) -> None:
        if not self._link.done():
            self._link.set_result(link)

    def _on_error(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    def _on_completed(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _End(NamedTuple, Generic[L]):
    """How a connection that was live came to its end."""

    error: ConnectionLost
    planned: bool = False
    """By us: then the next is tried at once."""
    next: asyncio.Task[_Hold[L]] | None = None
    """The successor, where one was already being opened."""


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
        self._name, self._source, self._of = name, source, of
        self._settings: Final = reconnect or Reconnect()
        self._retries = None if reconnect is None else reconnect.retries(random)
        self._tries = Tries(self._settings.retries(random), 0.0)
        self._rotations = Tries(self._settings.retries(random), 0.0)
        self._clock, self._tasks, self._told = clock, tasks, told
        self._requests: dict[Request, str] = {}
        self._bell: asyncio.Future[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._holds: list[_Hold[L]] = []
        self._begun = float("-inf")
        self._hurried = 0
        self.single = False
        """Whether the gateway was seen to allow one session."""
        self.connections = 0
        """How many were opened so far."""

    @property
    def running(self) -> bool:
        """Whether it keeps a connection, or tries to."""
        return self._task is not None

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

    def request(self, what: Request, why: str) -> None:
        """Ask for something; it is done once, however often it is asked for meanwhile, and not where it is no longer needed."""
        if self._task is None:
            return
        self._requests.setdefault(what, why)
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def flows(self) -> None:
        """Note that a connection has brought its first element."""
        if self._holds:
            self._holds[-1].succeeded()

    async def _run(self) -> None:
        policy = self._settings.policy
        leave = policy.listen(self._changed) if isinstance(policy, Telling) else None
        try:
            await self._keep()
        except _Over:
            pass
        finally:
            if leave is not None:
                leave()
            for hold in self._holds:
                hold.close()
            self._holds.clear()
            self._cancel_later()
            if self._task is asyncio.current_task():
                self._task = None

    async def _keep(self) -> None:
        """Connect again and again."""
        loop = asyncio.get_running_loop()
        attempts = 0
        self._tries.anew(loop.time())
        next: asyncio.Task[_Hold[L]] | None = None
        while True:
            attempts += 1
            born = loop.time()
            planned = False
            try:
                hold = await (next or self._open(self._of.opened))
                if next is not None:
                    await self._prepared(hold, self._of.opened)
            except _Over:
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
                    Retrying(time=self._clock.now, hub=self._name, attempt=attempts, wait=told, text=_text(error))
                )  # fmt: skip
            await self._sleep(wait)

    @property
    def _fresh(self) -> bool:
        return self._tries.attempts == 1

    def _wait(self, error: Exception, *, at_once: bool) -> float | None:
        if self._retries is None:
            return None
        # What is tried at once counts as a failure all the same: a peer that lets in and throws out is waited for.
        wait = self._tries.after(error, asyncio.get_running_loop().time())
        return wait if wait is None or not at_once else 0.0

    async def _open(self, prepare: Callable[[L], Any] | None = None) -> _Hold[L]:
        """Return an open connection, as soon as one may be tried.

        Raises:
            FeedError: there is none.
        """
        await self._turn()
        hold: _Hold[L] = _Hold(self._source, self._settings.policy.attempt())
        self._holds.append(hold)
        patience = self._settings.seconds("attempt")
        failed: Exception | None = Unreachable(f"{self._name}: an attempt to connect was given up")
        try:
            async with asyncio.timeout(patience):
                await hold.opened()
                self.connections += 1
                if prepare is not None:
                    await prepare(hold.link)
            failed = None
        except TimeoutError:
            failed = Unreachable(f"{self._name}: there was no connection, with all its subscriptions, in {patience:g} s")
        except (asyncio.CancelledError, _Over):
            failed = None
            self._drop(hold)
            raise
        except Exception as error:  # noqa: BLE001
            failed = error
        finally:
            if failed is not None:
                self._drop(hold, failed)
        if failed is not None:
            raise failed
        return hold

    async def _prepared(self, hold: _Hold[L], prepare: Callable[[L], Any]) -> None:
        patience = self._settings.seconds("attempt")
        failed: Exception | None = None
        try:
            async with asyncio.timeout(patience):
                await prepare(hold.link)
        except TimeoutError:
            failed = Unreachable(f"{self._name}: the subscriptions were not answered in {patience:g} s")
        except Exception as error:  # noqa: BLE001
            failed = error
        if failed is not None:
            self._drop(hold, failed)
            raise failed

    async def _turn(self) -> None:
        """Wait until an attempt may begin."""
        loop = asyncio.get_running_loop()
        while True:
            wait = max(self._begun + self._settings.seconds("spacing") - loop.time(), self._settings.policy.delay())
            if wait <= 0:
                break
            await self._sleep(min(wait, 1.0))  # the policy may be changed meanwhile
        self._begun = loop.time()

    async def _sleep(self, seconds: float) -> None:
        """Wait for so long, or until the policy is changed so that an attempt may begin."""
        pause = self._pause = asyncio.get_running_loop().create_future()
        await asyncio.wait((pause,), timeout=seconds)

    def _changed(self, _: Event) -> None:
        if self._pause is not None and not self._pause.done() and self._settings.policy.delay() <= 0:
            self._pause.set_result(None)

    def _drop(self, hold: _Hold[L], error: Exception | None = None) -> None:
        if hold in self._holds:
            self._holds.remove(hold)
        hold.close(error)

    async def _live(self, hold: _Hold[L]) -> _End[L]:
        """Return when there is no connection any more."""
        loop = asyncio.get_running_loop()
        healthy = loop.call_later(self._settings.seconds("healthy_after"), hold.succeeded)
        self._requests.clear()
        self._rotations.anew(loop.time())
        if self._of.outdated(hold.link):
            self._requests["rotate"] = "the token has changed meanwhile"
        try:
            while True:
                if hold.ended.done():
                    error = hold.ended.result()
                    if error is None:
                        raise _Over
                    lost = error if isinstance(error, ConnectionLost) else ConnectionLost(str(error), "dropped")
                    self._drop(hold, lost)
                    return _End(lost)
                if not self._requests:
                    bell = self._bell = loop.create_future()
                    await asyncio.wait((hold.ended, bell), return_when=asyncio.FIRST_COMPLETED)
                    continue
                what: Request = next(each for each in _REQUESTS if each in self._requests)
                why = self._requests.pop(what)
                if what == "rotate" and self._of.outdated(hold.link) and not self.single:
                    healthy.cancel()
                    hold.succeeded()
                    old = hold
                    hold, end = await self._rotated(old, why)
                    if end is not None:
                        return end
                    if hold is not old:
                        self._answered("resubscribe", "probe")
                    continue
                lost = await self._refused(hold, what, why)
                if lost is not None:
                    hold.succeeded()
                    self._drop(hold)
                    return _End(lost, planned=True)
        finally:
            healthy.cancel()
            self._cancel_later()

    async def _refused(self, hold: _Hold[L], what: Request, why: str) -> ConnectionLost | None:
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
                self._answered("resubscribe", "probe")
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

    def _answered(self, *requests: Request) -> None:
        """Forget what was asked for meanwhile and is done by now."""
        for each in requests:
            self._requests.pop(each, None)

    async def _rotated(self, old: _Hold[L], why: str) -> tuple[_Hold[L], _End[L] | None]:
        """Open the successor and go over to it; return who is live, or how both ended."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        opening = self._tasks.start(self._open(), f"successor of {self._name}", heard=True)
        try:
            await asyncio.wait((opening, old.ended), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            opening.cancel()
            raise
        if not opening.done():  # the old one has ended first: what is being opened is the way back
            error = old.ended.result()
            if error is None:
                opening.cancel()
                raise _Over
            self._drop(old, error)
            lost = error if isinstance(error, ConnectionLost) else ConnectionLost(str(error), "dropped")
            if self._holds:  # the successor knocks already
                self._hurry(lost)
            return old, _End(lost, next=opening)
        new: _Hold[L] | None = None
        failed: Exception | None = None
        uncertain: tuple[str, ...] = ()
        try:
            successor = new = opening.result()
            opened = loop.time()
            ends = old.ended, successor.ended
            uncertain = await self._of.rotate(old.link, successor.link, ends, self._settings.seconds("rotation"))
            if old.ended.done() and loop.time() - opened <= _SOON:
                self._hurry(old.ended.result())
        except _Over:
            raise
        except Exception as wrong:  # noqa: BLE001
            failed = wrong
        if failed is None and new is not None:
            self._rotations.anew(loop.time())
            new.succeeded()
            self._drop(old)
            seconds = loop.time() - began
            self._tell(
                Rotated(time=self._clock.now, hub=self._name, epoch=new.link.epoch, seconds=seconds, uncertain=uncertain)
            )  # fmt: skip
            return new, None
        failed = failed or AssertionError()
        if new is not None:
            self._drop(new, failed)
        self._tell(RotationFailed(time=self._clock.now, hub=self._name, text=_text(failed)))
        wait = self._rotations.after(failed, loop.time()) if isinstance(failed, FeedError) else None
        if wait is not None:
            self._cancel_later()
            self._later = loop.call_later(wait, self.request, "rotate", why)
        return old, None

    def _hurry(self, error: Exception | None) -> None:
        """Note that an old connection was ended as soon as its successor was open: then there may be but one."""
        if isinstance(error, ConnectionLost) and error.cause in ("closed", "logout", "dropped"):
            self._hurried += 1
            if self._hurried >= _TWICE and not self.single:
                self.single = True
                self._tell(SingleSession(time=self._clock.now, hub=self._name))

    def _cancel_later(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _tell(self, event: Event) -> None:
        self._told(event)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, RxfeedError) else f"{type(error).__name__}: {error}"
