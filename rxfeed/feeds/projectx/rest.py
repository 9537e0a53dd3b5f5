"""The gateway's REST: every answer comes in an envelope, and HTTP 200 says nothing about success."""

from __future__ import annotations

from random import Random
from typing import Any, Final, TypeVar, cast

import msgspec

from rxfeed.errors import (
    GatewayRefused,
    LoginRefused,
    ProtocolError,
    TokenRefused,
    TooManyRequests,
)
from rxfeed.feeds.retrying import Retries, patient, retrying
from rxfeed.feeds.transport import Answer, Transport
from rxfeed.secret import Secret, redacted
from rxfeed.times import SECOND, Duration, nanoseconds

from .credentials import Credentials
from .deployment import Deployment
from .limits import Limits

LOGIN: Final = "Auth/loginKey"
VALIDATE: Final = "Auth/validate"
LOGOUT: Final = "Auth/logout"

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_LONGEST_HOLD: Final = 120.0
_SHORTEST_HOLD: Final = 1.0
_WORDS: Final = 200
_WHY: Final = {
    1: "no such user",
    2: "wrong password",
    3: "the user or the key is wrong, or the key was revoked",
    4: "no such application",
    5: "the application is not verified",
    6: "the device is not allowed",
    7: "agreements of the account are not signed",
    9: "the account has no API subscription",
    10: "the account does not allow login by key",
}
"""What loginKey's errorCode means; 8 is an unknown error, which is nobody's fault."""


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """What every answer says; each kind of answer adds its own."""

    success: bool
    error_code: int | None = None
    error_message: str | None = None


class _Login(Envelope, frozen=True, rename="camel"):
    token: Secret | None = None


class _Validate(Envelope, frozen=True, rename="camel"):
    new_token: Secret | None = None
    token: Secret | None = None


E = TypeVar("E", bound=Envelope)


class Rest:
    """Asks the gateway's endpoints: as fast as it allows, again where that may help, and never twice with a refused token.

    Args:
        transport: what carries the requests; its owner closes it.
        deployment: which gateway.
        random: where the jitter of retries comes from.
        limits: how fast; by default the gateway's own limits.
        retries: when to try again; by default five times within two minutes.
        timeout: how long one request may take.
    """

    def __init__(
        self,
        transport: Transport,
        deployment: Deployment,
        *,
        random: Random,
        limits: Limits | None = None,
        retries: Retries | None = None,
        timeout: Duration = "30s",
    ) -> None:
        self.deployment: Final = deployment
        self.limits: Final = limits or Limits()
        self._transport = transport
        self._retries = retries or patient(random)
        self._timeout = nanoseconds(timeout, name="timeout") / SECOND
        if not self._timeout:
            raise ValueError(f"timeout must be more than 0, got {timeout!r}")

    async def post(
        self, endpoint: str, body: object | None, kind: type[E], *, token: Secret | None = None, again: bool = True
    ) -> E:
        """Return an endpoint's answer, which was a success.

        Args:
            endpoint: such as "Contract/search".
            body: sent as JSON; None sends none.
            kind: what the answer is.
            token: who we are.
            again: whether it may be sent again after no answer, HTTP 429 or 5xx.

        Raises:
            TokenRefused: HTTP 401.
            GatewayRefused: `success` was false, or HTTP said no.
            TooManyRequests: HTTP 429, as often as it was tried.
            ProtocolError: the answer is not what it should be.
            Unreachable, TlsFailed, AddressRefused: as `Transport.post`.
        """

        async def attempt() -> E:
            async with self.limits.of(endpoint).place():
                answer = await self._transport.post(
                    f"{self.deployment.api}/{endpoint}", body, token=token, place="header", timeout=self._timeout
                )
            return self._opened(endpoint, answer, kind)

        def told(number: int, error: Exception, wait: float) -> None:
            from loguru import logger  # costs 30 ms, and mostly nothing fails

            logger.warning("{} (attempt {}); again in {:.1f} s", error, number, wait)

        return await (retrying(attempt, self._retries, told) if again else attempt())

    async def login(self, credentials: Credentials, *, again: bool = True) -> Secret:
        """Return a new token.

        Args:
            credentials: who we are.
            again: as with `post`.

        Raises:
            LoginRefused: the gateway does not let this user in with this key.
            GatewayRefused, TooManyRequests, ProtocolError, Unreachable: as `post`.
        """
        body = {"userName": credentials.user, "apiKey": credentials.key}
        refused: LoginRefused | None = None
        answer: _Login | None = None
        try:
            answer = await self.post(LOGIN, body, _Login, again=again)
        except TokenRefused:
            refused = LoginRefused(f"{self.deployment} does not let this user in with this key (HTTP {_UNAUTHORIZED})")
        except GatewayRefused as error:
            if error.code not in _WHY and error.code != _FORBIDDEN:
                raise
            why = f"{_WHY[error.code]} (errorCode {error.code})" if error.code in _WHY else f"HTTP {error.code}"
            refused = LoginRefused(f"{self.deployment} does not let this user in with this key: {why}")
        if answer is None:
            raise refused or AssertionError
        if answer.token is None:
            raise ProtocolError(f"{LOGIN} answered with success, but no token")
        return answer.token

    async def validate(self, token: Secret, *, again: bool = True) -> Secret:
        """Return the token to use from now on: a newer one, if the gateway gives one.

        Args:
            token: the present one.
            again: as with `post`.

        Raises:
            TokenRefused: it is no longer taken; log in.
        """
        answer: _Validate | None = None
        try:
            answer = await self.post(VALIDATE, None, _Validate, token=token, again=again)
        except GatewayRefused as error:
            if error.code >= 400:  # a status, not an errorCode
                raise
        if answer is None:
            raise TokenRefused(f"{VALIDATE} says that this token is no longer taken")
        return answer.new_token or answer.token or token

    async def logout(self, token: Secret) -> None:
        """End the session that a token belongs to."""
        await self.post(LOGOUT, None, Envelope, token=token, again=False)

    def _opened(self, endpoint: str, answer: Answer, kind: type[E]) -> E:
        status = answer.status
        if status == _UNAUTHORIZED:
            raise TokenRefused(f"{endpoint} does not take this token (HTTP {status})")
        if status == _TOO_MANY:
            asked = answer.retry_after
            self.limits.of(endpoint).hold(_SHORTEST_HOLD if asked is None else min(asked, _LONGEST_HOLD))
            after = "" if asked is None else f", after {asked:g} s"
            raise TooManyRequests(f"{endpoint} wants fewer requests (HTTP {status}{after})", asked)
        if not 200 <= status < 300:
            raise GatewayRefused(f"{endpoint} answered HTTP {status}", status)
        found = _decoded(endpoint, answer, kind)
        if isinstance(found, ProtocolError):
            raise found
        if not found.success:
            code = found.error_code or 0
            words = f": {redacted(found.error_message)[:_WORDS]}" if found.error_message else ""
            raise GatewayRefused(f"{endpoint} refused (errorCode {code}){words}", code)
        return found


def _decoded(endpoint: str, answer: Answer, kind: type[E]) -> E | ProtocolError:
    try:
        return decode(answer.body, kind)
    except msgspec.ValidationError as error:
        # A refusal may hold null, or nothing, where a success holds something.
        wrong = f"{endpoint} answered what it should not: {error}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProtocolError(f"{endpoint} answered what is not JSON ({len(answer.body)} bytes)")
    try:
        envelope = decode(answer.body, Envelope)
    except msgspec.ValidationError:
        return ProtocolError(wrong)
    return ProtocolError(wrong) if envelope.success else cast("E", envelope)


def decode(body: bytes, kind: type[E]) -> E:
    """Return JSON as what it should be; numbers may be text, and a token becomes a `Secret`.

    Raises:
        msgspec.DecodeError: it is not JSON; its subclass ValidationError: it is something else.
    """
    return msgspec.json.decode(body, type=kind, strict=False, dec_hook=_secret)


def _secret(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"expected {kind.__name__}")
