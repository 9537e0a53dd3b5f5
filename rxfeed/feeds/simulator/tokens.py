"""JSON web tokens that expire on the simulation's clock."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from jwt import InvalidTokenError, PyJWT

from rxfeed.times import SECOND

_JWT: Final[Any] = PyJWT()
_OURS: Final = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud", "verify_iss"), False)
"""What PyJWT would judge by the machine's clock."""


class Tokens:
    """Signs tokens and judges them: the signature by PyJWT, the time by the clock that is handed in with each call.

    Args:
        life: how long a token lasts, in nanoseconds; at least a second, since tokens count whole seconds.
        random: where the key comes from.

    Raises:
        ValueError: a life of less than a second.
    """

    __slots__ = ("_floor", "_floors", "_key", "_life", "_number", "_revoked")

    def __init__(self, life: int, random: Random) -> None:
        if life < SECOND:
            raise ValueError(f"token_life must be at least 1 s, got {life / SECOND:g} s")
        self._life = life
        self._key = random.randbytes(32)
        self._number = 0
        self._floor = 0
        self._floors: dict[str, int] = {}
        self._revoked: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Tokens(life={self._life // SECOND} s)"

    def issue(self, user: str, now: int) -> str:
        """Return a token for a user, good from now on."""
        self._number += 1
        begins = now // SECOND
        claims = {"sub": user, "jti": f"{self._number}", "iat": begins, "exp": begins + self._life // SECOND, "simulated": True}
        return _JWT.encode(claims, self._key, algorithm="HS256")

    def expires(self, token: str) -> int:
        """Return when a token of ours ends, in nanoseconds."""
        return int(_JWT.decode(token, options={"verify_signature": False})["exp"]) * SECOND

    def user(self, token: str | None, now: int) -> str | None:
        """Return whose token this is; None when it is not ours, no longer good, or not there."""
        if not token:
            return None
        try:
            claims = _JWT.decode(token, self._key, algorithms=["HS256"], options=_OURS)
        except InvalidTokenError:
            return None
        user, number = str(claims["sub"]), int(claims["jti"])
        if now >= int(claims["exp"]) * SECOND or number <= self._floor or claims["jti"] in self._revoked:
            return None
        return None if number < self._floors.get(user, 0) else user

    def revoke(self, token: str, now: int) -> None:
        """Take a token back before its time."""
        self._revoked = {jti: ends for jti, ends in self._revoked.items() if ends > now}
        claims = _JWT.decode(token, options={"verify_signature": False})
        self._revoked[str(claims["jti"])] = int(claims["exp"]) * SECOND

    def supersede(self, user: str) -> None:
        """Take back a user's tokens but the one that was issued last of all."""
        self._floors[user] = self._number

    def revoke_all(self) -> None:
        """Take back every token that was issued until now."""
        self._floor = self._number
