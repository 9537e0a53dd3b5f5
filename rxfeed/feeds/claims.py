"""What a token says about itself: read without its key, so nothing here is proof of anything."""

from __future__ import annotations

import math
from base64 import urlsafe_b64decode
from typing import Any, Final, NamedTuple, cast

import msgspec

from rxfeed.secret import Secret

LIFE: Final = 86_400.0
"""Seconds that a token is taken to live when it does not say."""

_ASSUMED: Final = f"{LIFE / 3600:g} h are assumed"


class Claims(NamedTuple):
    """What was found in a token."""

    life: float
    """Seconds from its beginning to its end: exp - iat, or exp - nbf. No clock is asked."""
    made: float | None = None
    """Its iat, in seconds since the epoch; None where it has none, or one that cannot be so."""
    ends: float | None = None
    """Its exp; None where it has none, or one that cannot be so."""
    wrong: str | None = None
    """Why the life is assumed; None when the token says it."""


def claims_of(token: Secret) -> Claims:
    """Return what a token says; where it says nothing, or nonsense, a life of 24 hours."""
    payload = _payload(token)
    if payload is None:
        return Claims(LIFE, wrong=f"the token is not a JWT, so it does not say how long it lives: {_ASSUMED}")
    ends, made = _number(payload.get("exp")), _number(payload.get("iat"))
    begins = made if made is not None else _number(payload.get("nbf"))
    if ends is None:
        return Claims(LIFE, made, wrong=f"the token does not say when it ends (no exp): {_ASSUMED}")
    if begins is None:
        return Claims(LIFE, ends=ends, wrong=f"the token does not say when it was made (no iat): {_ASSUMED}")
    if ends <= begins:
        return Claims(LIFE, wrong=f"the token ends before it begins (exp - iat is {ends - begins:g} s): {_ASSUMED}")
    return Claims(ends - begins, made, ends)


def _payload(token: Secret) -> dict[str, Any] | None:
    try:
        _, middle, _ = token.reveal().split(".")
        found: Any = msgspec.json.decode(urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _number(value: Any) -> float | None:
    try:
        number = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        return None
    return number if math.isfinite(number) else None
