"""One request for a token: within a time, and with what is odd about the answer said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

from rxfeed.clock import Clock
from rxfeed.errors import LoginRefused, Unreachable
from rxfeed.events import ClockOff, Event
from rxfeed.secret import Secret, redacted
from rxfeed.times import SECOND

from .claims import claims_of

_CLOCK: Final = 60.0  # seconds that two clocks may differ


class Token(NamedTuple):
    """A token, and when it runs out."""

    secret: Secret
    since: float
    """The loop's time just before it was asked for."""
    life: float
    """Seconds."""
    how: Literal["login", "validate"]
    """Whether it came from nothing, or in place of an older one."""

    def left(self, now: float) -> float:
        """Return the seconds that it still lives, at a time of the loop's."""
        return self.since + self.life - now


class TokenSource(Protocol):
    """A way to get tokens, of which each gateway has its own."""

    async def token(self, old: Secret | None) -> Secret:
        """Return a token.

        It is asked once at a time, and cancelled when it takes too long or nobody waits any more; it need not try again.

        Args:
            old: the token in whose place another is wanted, while that is still taken; None where there is none: log in.

        Raises:
            TokenRefused: the old one is not taken. It is asked again at once, with None.
            LoginRefused: we are not let in. It is never asked again.
            FeedError: no token for now.
        """
        ...


class Asker:
    """Asks a source, and looks at what it gives.

    Args:
        source: where tokens come from.
        clock: compared with the time at which tokens say they were made.
        timeout: seconds that the source may take.
        tell: hears of a clock that is off.
    """

    def __init__(self, source: TokenSource, *, clock: Clock, timeout: float, tell: Callable[[Event], object]) -> None:
        self._source, self._clock, self._timeout, self._tell = source, clock, timeout, tell
        self._made: float | None = None
        self._off: float | None = None
        self._said: set[str] = set()
        self.barred: str | None = None
        """Why we are not let in; None as long as we may be."""

    async def ask(self, old: Secret | None) -> Token:
        """Return a token.

        Raises:
            Unreachable: none came in time.
            TypeError: what came is no Secret.
            Exception: what the source raises.
        """
        since = asyncio.get_running_loop().time()
        given: object = None
        timeout = asyncio.timeout(self._timeout)
        try:
            async with timeout:
                given = await self._source.token(old)
        except TimeoutError:
            if not timeout.expired():
                raise
        except LoginRefused as error:
            self.barred = redacted(str(error))
            raise
        if timeout.expired():
            raise Unreachable(f"no token came within {self._timeout:g} s")
        if not isinstance(given, Secret):
            raise TypeError(f"a TokenSource must give a Secret, got {type(given).__name__}")
        claims = claims_of(given)
        took = asyncio.get_running_loop().time() - since
        if claims.wrong is not None:
            self._say(claims.wrong)
        elif took >= claims.life:
            self._say(f"the token was over when it came: it lives {claims.life:g} s, and took {took:.1f} s to come")
        if claims.made is not None and claims.made != self._made:  # else it is an old one that came again
            self._made = claims.made
            self._judge(claims.made, took)
        return Token(given, since, claims.life, "login" if old is None else "validate")

    def _judge(self, made: float, took: float) -> None:
        """Tell of a clock that is off, once for each change. A token that was made long before it was given looks the same."""
        off, wide = self._clock.now / SECOND - made, _CLOCK + took
        if abs(off) <= wide:
            self._off = None
        elif self._off is None or abs(off - self._off) > wide:
            self._off = off
            self._tell(ClockOff(time=self._clock.now, seconds=off))

    def _say(self, text: str) -> None:
        kind = text.partition(":")[0]
        if kind not in self._said:
            self._said.add(kind)
            from loguru import logger  # costs 30 ms, and mostly all is well

            logger.warning("{}", text)


def newer(token: Secret, old: Secret) -> bool:
    """Whether a token is worth having in place of an older one: some gateways answer with the same, or with its end."""
    ends, before = claims_of(token).ends, claims_of(old).ends
    return token != old and (ends is None or before is None or ends > before)
