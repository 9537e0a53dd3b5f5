"""Who holds the token of a gateway, and what asks with it: a refused one is replaced, and never sent twice."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, TypeVar

from rxfeed.clock import Clock, LiveClock
from rxfeed.errors import TokenRefused
from rxfeed.events import Event
from rxfeed.feeds.tokens import Token, Tokens, TokenSource
from rxfeed.secret import Secret

from .credentials import Credentials
from .rest import Envelope, Rest

E = TypeVar("E", bound=Envelope)


class ByKey:
    """Tokens by user and key (Auth/loginKey), and newer ones in place of older ones (Auth/validate).

    Args:
        rest: the gateway.
        credentials: who we are.
    """

    def __init__(self, rest: Rest, credentials: Credentials) -> None:
        self._rest, self._credentials = rest, credentials

    async def token(self, old: Secret | None) -> Secret:
        """Return a token; raises as `Rest.validate` and `Rest.login`. It is tried once: `Tokens` does the rest."""
        if old is not None:
            return await self._rest.validate(old, again=False)
        return await self._rest.login(self._credentials, again=False)


class Login:
    """Gives the token to whoever asks, and logs in when there is none.

    Args:
        rest: the gateway.
        source: who we are, or another way to get tokens.
        clock: compared with the gateway's; by default the machine's.
        random: decides on jitter.
        told: hears of tokens that come and of those that do not.
    """

    def __init__(
        self,
        rest: Rest,
        source: Credentials | TokenSource,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        told: Callable[[Event], object] | None = None,
    ) -> None:
        self.rest: Final = rest
        self.tokens: Final = Tokens(
            ByKey(rest, source) if isinstance(source, Credentials) else source,
            clock=clock or LiveClock(),
            random=random or Random(),  # noqa: S311
            told=told,
            owner="login",
        )

    @property
    def held(self) -> Token | None:
        """The token that `token` gives if it has not run out; None before the first login."""
        return self.tokens.held

    @property
    def logins(self) -> int:
        """How often the gateway was asked to let us in."""
        return self.tokens.logins

    async def token(self) -> Secret:
        """Return the token; logs in when there is none or it has run out. Raises as `Tokens.get`."""
        return await self.tokens.get()

    def forget(self, token: Secret, *, refused: bool = True) -> None:
        """Give a token no more; as `Tokens.forget`."""
        self.tokens.forget(token, refused=refused)

    async def post(self, endpoint: str, body: object | None, kind: type[E]) -> E:
        """Return an endpoint's answer; where the token is refused, once more with a new one.

        Raises:
            FeedError: as `Rest.post` and `token`.
        """
        token = await self.token()
        try:
            return await self.rest.post(endpoint, body, kind, token=token)
        except TokenRefused:
            self.forget(token)
        # Another one, or an error. An endpoint that refuses this one too refuses us, and not the token, which others may need.
        return await self.rest.post(endpoint, body, kind, token=await self.token())

    async def close(self) -> None:
        """End a login that is under way; who waits for it gets FeedError. The token stays valid: see `Rest.logout`."""
        await self.tokens.close()
