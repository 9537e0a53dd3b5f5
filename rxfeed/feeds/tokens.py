"""The token of a feed: one request for all who ask at once, a newer one ahead of its end, and none that was refused.

Its life is `exp - iat`, counted on the loop's time from just before it was asked for, so that a clock that is an hour off
neither refreshes without end nor lets it run out. On Linux and macOS that time stands still while the machine sleeps: a
token may then be over before we think so. Its connections died in that sleep too, and the HTTP 401 that meets it is what
tells; nothing else has to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

from reactivex import abc
from reactivex.disposable import Disposable
from tenacity import retry_if_not_exception_type, stop_never

from rxfeed.clock import Clock
from rxfeed.errors import FeedError, LoginRefused, TokenRefused
from rxfeed.events import Event, TokenChanged, TokenFailed
from rxfeed.failures import stage_of, tell
from rxfeed.retrying import Tries
from rxfeed.secret import Secret, redacted
from rxfeed.times import SECOND, Duration, nanoseconds

from .asking import Asker, Token, TokenSource, newer
from .claims import claims_of
from .flight import Flight
from .retrying import Retries, may_help, patient, retrying
from .tasks import Tasks

__all__ = ["Token", "TokenSource", "Tokens"]

_PART: Final = 0.2  # of its life, at most, before its end
_APART: Final = 5.0  # seconds from one token to the refresh of it, whatever its life
_RESTS: Final = 1.0  # seconds at least between two attempts
_VALIDATES: Final = 3  # attempts with the old token; then by login, since perhaps only the other way is broken
_REFUSED: Final = 16  # refused tokens that are remembered


class Tokens:
    """Holds the token, gives it to whoever asks, and refreshes it while anybody keeps it.

    Args:
        source: where tokens come from.
        clock: compared with the time at which tokens say they were made.
        random: decides on the jitter of refreshes and of what is tried again.
        told: hears of what happens; the log does of what goes wrong.
        retries: when a login that somebody waits for is tried again; by default five times within two minutes. Refreshes
            wait as it says, but end with LoginRefused only.
        timeout: how long the source may take, each time.
        ahead: how long before its end a token is refreshed: chance makes it up to twice that, and a life that is shorter
            than five times that a fifth of it.
        owner: whose they are, for the names of tasks.

    Raises:
        ValueError: a `timeout` or `ahead` of 0, or that is no duration.
    """

    def __init__(
        self, source: TokenSource, *, clock: Clock, random: Random, told: Callable[[Event], object] | None = None,
        retries: Retries | None = None, timeout: Duration = "30s", ahead: Duration = "5m", owner: str = "tokens",
    ) -> None:  # fmt: skip
        self._clock, self._random = clock, random
        self._told = told
        self._retries = retries or patient(random)
        self._refreshes = Retries(retry_if_not_exception_type(LoginRefused), self._retries.wait, stop_never)
        self._asker = Asker(source, clock=clock, timeout=_seconds(timeout, "timeout"), tell=self._tell)
        self._ahead = _seconds(ahead, "ahead")
        self._owner = owner
        self._tasks = Tasks(owner)
        self._held: Token | None = None
        self._due = 0.0
        self._flight: Flight[Token] | None = None
        self._refused: deque[Secret] = deque(maxlen=_REFUSED)
        self._keepers: dict[object, Callable[[], object]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._closed = False
        self.logins = 0
        """How often it has logged in, or tried to: with all its attempts where somebody waits, each by itself in a refresh."""
        self.refreshes = 0
        """How many new tokens came ahead of the end of the old one, or late where that failed."""

    def __repr__(self) -> str:
        return f"Tokens({self._owner})"

    @property
    def held(self) -> Token | None:
        """The token that `get` gives if it has not run out; None before the first, and after one that was refused."""
        return self._held

    @property
    def age(self) -> float | None:
        """Seconds since it was asked for; None where there is none."""
        return None if self._held is None else _now() - self._held.since

    @property
    def left(self) -> float | None:
        """Seconds until it runs out, negative afterwards; None where there is none."""
        return None if self._held is None else self._held.left(_now())

    async def get(self) -> Secret:
        """Return the token; logs in when there is none or it has run out.

        Whoever asks meanwhile waits for the same login. Somebody who is cancelled does not stop it for the others.

        Raises:
            LoginRefused: we are not let in. From then on the source is not asked again.
            TokenRefused: the login gives the token again that was refused.
            FeedError: what the last attempt raised; the next call tries again.
            RuntimeError: it is closed.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        while True:
            if (held := self._valid()) is not None:
                return held.secret
            if self._asker.barred is not None:
                raise LoginRefused(self._asker.barred)
            flight = self._flight
            if flight is None or not flight.open:
                self.logins += 1
                flight = self._fly(retrying(self._log_in, self._retries, _again), "login")
            try:
                return (await flight.join()).secret
            except Exception:  # a source may raise what it likes
                if flight.name == "login" or self._closed:
                    raise
            # That was one attempt to refresh, by which somebody who waits is not judged: from here on he logs in.

    def forget(self, secret: Secret, *, refused: bool = True) -> None:
        """Give a token no more. Nothing happens to the one that is held if that is another by now.

        Args:
            secret: the token.
            refused: the gateway does not take it (HTTP 401), so that it is not given even if it comes again; else only its
                session has ended.
        """
        if refused and secret not in self._refused:
            self._refused.append(secret)
        if self._held is not None and self._held.secret == secret:
            self._held = None
            self._arm()

    def keep(self, on_change: Callable[[], object]) -> abc.DisposableBase:
        """Refresh the token ahead of its end from now on, until what is returned is disposed of.

        While refreshes fail the old one is given as long as it lives, and they go on after that.

        Args:
            on_change: called once for each new token that came while a refresh was due, whoever asked for it; compare
                `held` with what you use. Not for one that replaces a refused one before.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} is closed")
        key = object()
        self._keepers[key] = on_change
        self._arm()

        def end() -> None:
            self._keepers.pop(key, None)
            if not self._keepers:
                self._arm()
                if self._refreshing is not None:
                    self._refreshing.cancel()

        return Disposable(end)

    async def close(self) -> None:
        """End whatever is under way; who waits for it gets FeedError. The token stays valid at the gateway."""
        self._closed = True
        self._keepers.clear()
        self._arm()
        if self._flight is not None:
            self._flight.give_up()
        await self._tasks.cancelled()
        self._held = None

    # One attempt

    def _fly(self, work: Coroutine[Any, Any, Token], name: str) -> Flight[Token]:
        self._flight = Flight(self._tasks.start(work, name, heard=True), name)
        return self._flight

    async def _log_in(self) -> Token:
        return self._take(await self._asker.ask(None))

    async def _renew(self, attempt: int) -> Token:
        """Refresh, or log in where that gives nothing newer."""
        old = self._valid()
        if old is not None and attempt < _VALIDATES:
            try:
                token = await self._asker.ask(old.secret)
            except TokenRefused:
                self.forget(old.secret)
            except FeedError as error:
                if error.permanent or may_help(error):
                    raise
                # It has answered, but with no token: whatever that is, a login may do.
            else:
                if token.secret not in self._refused and newer(token.secret, old.secret):
                    return self._take(token)
        self.logins += 1
        token = await self._asker.ask(None)
        if old is not None and token.secret == old.secret and claims_of(old.secret).ends is not None:
            raise FeedError("the login gives the same token again, and no newer one")
        return self._take(token)

    def _take(self, token: Token) -> Token:
        if token.secret in self._refused:
            raise TokenRefused("the login gives the token again that was refused (HTTP 401)")
        old, now = self._held, _now()
        known = old is not None and old.secret == token.secret
        if old is not None and known and claims_of(token.secret).ends is not None:
            return old  # it was made when it was, and does not live longer for having come again
        self._held = token
        end = token.since + token.life
        # One in flight however many feeds there are, but not all feeds of the world at the same second.
        self._due = max(end - min(self._ahead, token.life * _PART) * (1 + self._random.random()), now + _APART)
        if not known:
            self._tell(TokenChanged(time=self._clock.now, how=token.how, life=token.life))
            if self._refreshing is not None:
                self.refreshes += 1
                for on_change in list(self._keepers.values()):
                    _call(on_change)
        self._arm()
        return token

    # Ahead of its end

    def _arm(self) -> None:
        """Set the timer of the next refresh, or none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._keepers and self._held is not None and self._refreshing is None and self._asker.barred is None:
            self._timer = asyncio.get_running_loop().call_at(max(self._due, _now()), self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._refreshing = self._tasks.start(self._refresh(self._held), "refresh ahead")
        self._refreshing.add_done_callback(self._refreshed)

    def _refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        if task.cancelled() or task.exception() is None:
            self._arm()

    async def _refresh(self, due: Token | None) -> None:
        tries = Tries(self._refreshes, _now())
        while self._held is None or self._held is due:
            flight = self._flight
            if flight is None or not flight.open:
                flight = self._fly(self._renew(tries.attempts - 1), "refresh")
            try:
                await flight.join()
            except Exception as error:  # noqa: BLE001  # a source may raise what it likes
                wait = tries.after(error, _now())
                text = redacted(str(error)) or type(error).__name__
            else:
                return
            self._tell(TokenFailed(time=self._clock.now, text=text, left=max(0.0, self.left or 0.0)))
            if wait is None:
                return
            await asyncio.sleep(max(wait, _RESTS))

    def _valid(self) -> Token | None:
        return self._held if self._held is not None and self._held.left(_now()) > 0 else None

    # What is told

    def _tell(self, event: Event) -> None:
        if not isinstance(event, TokenChanged):
            from loguru import logger  # costs 30 ms, and mostly all is well

            logger.warning("{}", event)
        if self._told is not None:
            _call(self._told, event)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _seconds(value: Duration, name: str) -> float:
    seconds = nanoseconds(value, name=name) / SECOND
    if not seconds:
        raise ValueError(f"{name} must be more than 0, got {value!r}")
    return seconds


def _call(callback: Callable[..., object], *given: object) -> None:
    try:
        callback(*given)
    except Exception as error:  # noqa: BLE001  # a token must not be lost with somebody who does not want to know of it
        tell(None, stage_of(callback), "on_next", error)


def _again(number: int, error: Exception, wait: float) -> None:
    from loguru import logger

    logger.warning("{} (attempt {}); again in {:.1f} s", redacted(str(error)), number, wait)
