"""The errors that rxfeed raises on purpose. Each text says what was wrong, what was given and what is allowed."""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

LossCause = Literal["closed", "dropped", "silent", "logout", "protocol", "asked", "rotation"]


class RxfeedError(Exception):
    """Root of every error that rxfeed raises on purpose, so that one `except` can tell ours from a bug."""


class InputError(RxfeedError, ValueError):
    """Data that cannot be read as what it is said to be: a missing file or column, a wrong type, a null time."""


class PartialRefused(RxfeedError, ValueError):
    """A partial bar that cannot be merged: it does not fit the finest window, or would be counted twice."""


class RepairRefused(RxfeedError, ValueError):
    """A gap, or what history says about one, that cannot be meant: backwards, of other windows than ours, with a bar twice."""


class PortRefused(RxfeedError, OSError):
    """A port that nothing can be served on: it is taken, or not ours to have."""


class Overflow(RxfeedError):
    """More elements came than a buffer may hold, and its consumer wants an error rather than a loss."""


class RetriesExhausted(RxfeedError):
    """It was tried as often, or for as long, as allowed.

    Args:
        attempts: how often it was tried.
        seconds: from the first attempt's begin to the last one's end.
        allowed: what was, in words.
        last_error: what the last attempt ended with; also `__cause__`.
    """

    def __init__(self, attempts: int, seconds: float, allowed: str, last_error: Exception) -> None:
        super().__init__(
            f"given up after {attempts} attempt{'' if attempts == 1 else 's'} in {seconds:.4g} s, allowed: {allowed}; "
            f"the last one ended with {brief(last_error)}"
        )
        self.attempts, self.seconds, self.allowed, self.last_error = attempts, seconds, allowed, last_error
        self.__cause__ = last_error


class CircuitOpen(RxfeedError):
    """A circuit breaker lets no attempt through now.

    Args:
        name: the breaker's.
        retry_after: seconds until it may let one through; `inf` if it was forced open.
        last_error: the last that it counted; None if there was none.
    """

    def __init__(self, name: str, retry_after: float, last_error: Exception | None = None) -> None:
        when = "until it is closed by hand" if retry_after == inf else f"for {retry_after:.4g} s more"
        why = "" if last_error is None else f"; its last error was {brief(last_error)}"
        super().__init__(f"circuit {name!r} is open {when}{why}")
        self.name, self.retry_after, self.last_error = name, retry_after, last_error


def brief(error: Exception) -> str:
    """Return an error in a line: of one that is not ours the type alone, since its text may hold an address with a token."""
    return f"{type(error).__name__}: {error}" if isinstance(error, RxfeedError) else type(error).__name__


class FeedError(RxfeedError):
    """Root of what goes wrong with a live feed. No text of these holds a token, a key or an address' query."""

    permanent: ClassVar[bool] = False
    """Whether trying the same again cannot help: somebody has to change something first."""


class CredentialsError(FeedError, ValueError):
    """Credentials that are not there, are there by half, or lie in a file that others may read."""

    permanent = True


class LoginRefused(FeedError):
    """The gateway does not let this user in with this key."""

    permanent = True


class TokenRefused(FeedError):
    """The gateway no longer takes this token (HTTP 401): log in anew, do not try again with the same."""


class GatewayRefused(FeedError):
    """The gateway answered, and said no: `success` was false, or the status was an error's.

    Args:
        text: what was asked, and what was answered.
        code: the gateway's `errorCode`, or the HTTP status.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class TooManyRequests(FeedError):
    """The gateway wants fewer requests (HTTP 429), and waiting as long as allowed did not help.

    Args:
        text: which endpoint, and how often it was tried.
        retry_after: seconds that the gateway asked to wait; None when it did not say.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Unreachable(FeedError):
    """No connection to the host: its name is unknown, it refuses, it does not answer in time."""


class TlsFailed(Unreachable):
    """The host's certificate is not one that we trust, or no encryption could be agreed on."""

    permanent = True


class AddressRefused(FeedError, ValueError):
    """An address that we will not send a token to: not encrypted and not this machine, or not of an allowed origin."""

    permanent = True


class UnknownContract(FeedError, LookupError):
    """No contract of the gateway has this symbol or id."""

    permanent = True


class ProtocolError(FeedError):
    """The other side sent what its protocol does not allow."""


class InvocationFailed(FeedError):
    """The hub was asked for something and answered with an error, or not in time.

    Args:
        text: what was asked, and what was answered.
        target: the hub's method.
        answered: whether there was an answer at all.
    """

    def __init__(self, text: str, target: str, *, answered: bool = True) -> None:
        super().__init__(text)
        self.target, self.answered = target, answered


class ConnectionLost(FeedError):
    """A connection that was open has ended, and not because we closed it.

    Args:
        text: how it ended.
        cause: "closed" (by a Close message), "dropped" (by the network or the WebSocket), "silent" (nothing came for the
            server timeout), "logout" (GatewayLogout), "protocol" (what came was not SignalR), "asked" (somebody asked for a
            new connection), "rotation" (a new token, at a gateway that allows one session).
        allow_reconnect: what a Close message said; None when there was none.
    """

    def __init__(self, text: str, cause: LossCause, allow_reconnect: bool | None = None) -> None:
        super().__init__(text)
        self.cause = cause
        self.allow_reconnect = allow_reconnect


class Stale(FeedError):
    """Nothing came for longer than is allowed, although the market is open.

    Args:
        text: what was waited for, how long, and what is allowed.
        since: when the silence began: the newest element, or the open after it; ns since the epoch, UTC.
        allowed: how long it may last, in ns.
        symbol: whose it is; None when it is the whole stream's.
    """

    def __init__(self, text: str, since: int, allowed: int, symbol: str | None = None) -> None:
        super().__init__(text)
        self.since = since
        self.allowed = allowed
        self.symbol = symbol
