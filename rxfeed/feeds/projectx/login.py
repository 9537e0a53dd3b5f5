"""Who holds the token: one login for all who ask at once, and a new one when the old has run out or was refused."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode
from typing import Final, NamedTuple, TypeVar

import msgspec

from rxfeed.errors import FeedError, LoginRefused, TokenRefused
from rxfeed.secret import Secret

from .credentials import Credentials
from .rest import Envelope, Rest

E = TypeVar("E", bound=Envelope)

LIFE: Final = 86_400.0
"""Seconds that a token lives when it does not say: what the gateway's documentation says."""


class Token(NamedTuple):
    """A token, and when it runs out."""

    secret: Secret
    since: float
    """The loop's time just before it was asked for."""
    life: float
    """Seconds, by its own `exp` and `iat`: no clock is asked, as one that is an hour off would refresh without end."""

    def left(self, now: float) -> float:
        """Return the seconds that it still lives, at a time of the loop's."""
        return self.since + self.life - now


class _Claims(msgspec.Struct, frozen=True):
    exp: float
    iat: float | None = None
    nbf: float | None = None


def life_of(token: Secret) -> float:
    """Return how many seconds a token lives from when it was made; 24 hours when it does not say."""
    try:
        claims = msgspec.json.decode(_payload(token), type=_Claims, strict=False)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return LIFE
    made = claims.iat if claims.iat is not None else claims.nbf
    return claims.exp - made if made is not None and 0 < claims.exp - made < float("inf") else LIFE


def _payload(token: Secret) -> bytes:
    payload = token.reveal().split(".")[1:2]
    return urlsafe_b64decode(payload[0] + "=" * (-len(payload[0]) % 4)) if payload else b""


class Login:
    """Gives the token to whoever asks, and logs in when there is none.

    Args:
        rest: the gateway.
        credentials: who we are.
    """

    def __init__(self, rest: Rest, credentials: Credentials) -> None:
        self.rest: Final = rest
        self._credentials = credentials
        self._held: Token | None = None
        self._refused: str | None = None
        self._flight: _Flight | None = None
        self._closed = False
        self.logins = 0
        """How often it has asked the gateway for a token."""

    @property
    def held(self) -> Token | None:
        """The token that `token` would give if it has not run out; None before the first login."""
        return self._held

    async def token(self) -> Secret:
        """Return the token; logs in when there is none or it has run out.

        Whoever asks meanwhile waits for the same login. Somebody who is cancelled does not stop it for the others.

        Raises:
            LoginRefused: the gateway does not let us in. From then on it is not asked again.
            FeedError: as `Rest.login`; the next call tries again.
        """
        if self._closed:
            raise RuntimeError("this Login is closed")
        if self._refused is not None:
            raise LoginRefused(self._refused)
        held = self._held
        if held is not None and held.left(asyncio.get_running_loop().time()) > 0:
            return held.secret
        if self._flight is None:
            self._flight = _Flight(asyncio.create_task(self._log_in(), name="rxfeed login"))
        flight = self._flight
        try:
            return await flight.join()
        finally:
            if not flight.aboard and self._flight is flight:
                self._flight = None

    def forget(self, token: Secret) -> None:
        """Give a token no more, as the gateway does not take it. Nothing happens if it is another by now."""
        if self._held is not None and self._held.secret == token:
            self._held = None

    async def post(self, endpoint: str, body: object | None, kind: type[E]) -> E:
        """Return an endpoint's answer; where the token is refused, once more with a new one.

        Raises:
            FeedError: as `Rest.post` and `token`.
        """
        token = await self.token()
        try:
            return await self.rest.post(endpoint, body, kind, token=token)
        except TokenRefused as error:
            refused = error
        self.forget(token)
        newer = await self.token()
        if newer == token:
            raise refused
        return await self.rest.post(endpoint, body, kind, token=newer)

    async def close(self) -> None:
        """End a login that is under way; who waits for it gets FeedError. The token stays valid: see `Rest.logout`."""
        self._closed = True
        self._held = None
        flight, self._flight = self._flight, None
        if flight is not None:
            await flight.cancel()

    async def _log_in(self) -> Secret:
        self.logins += 1
        since = asyncio.get_running_loop().time()
        try:
            secret = await self.rest.login(self._credentials)
        except LoginRefused as error:
            self._refused = str(error)
            raise
        self._held = Token(secret, since, life_of(secret))
        return secret


class _Flight:
    """A task that several wait for: it ends with the last of them, and not before."""

    def __init__(self, task: asyncio.Task[Secret]) -> None:
        self._task = task
        self._task.add_done_callback(_retrieve)
        self._cancelled = False
        self.aboard = 0

    async def join(self) -> Secret:
        self.aboard += 1
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._cancelled or (task is not None and task.cancelling()):
                raise
        finally:
            self.aboard -= 1
            if not self.aboard:
                self._task.cancel()
        raise FeedError("the login was given up, as its owner was closed")

    async def cancel(self) -> None:
        self._cancelled = True
        self._task.cancel()
        await asyncio.wait([self._task])


def _retrieve(task: asyncio.Task[Secret]) -> None:
    # Its error reaches whoever waits; where nobody does any more, asyncio need not complain.
    if not task.cancelled():
        task.exception()
