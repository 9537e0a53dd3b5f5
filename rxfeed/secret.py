"""A text that must never be read by accident: a token, a key. And the last line of defence: text without any of them.

What we write ourselves holds no secret, so `redacted` finds nothing in it. It is there for what others write into our logs:
an error of a library, a traceback, a server's reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hmac import compare_digest
from itertools import count, groupby
from operator import itemgetter
from typing import Final, NoReturn, final
from weakref import WeakValueDictionary

_MASK: Final = "***"
_PIECE: Final = 8
_FEWEST: Final = 4
_PUBLIC: Final = frozenset({"simulator"})  # the simulator's key, which everybody knows: its name must stay readable
_NAMES: Final = (
    r"access_?token|new_?token|connection_?token|token|api_?key|verify_?key|user_?name|password|authorization"
    r"|rxfeed_(?:user|key)|project_x_(?:username|api_key)"
)
_SAME: Final = re.compile(r"[A-Za-z0-9._~-]+")  # looks the same everywhere; JWTs do
_PATTERNS: Final = (
    # A name and its value, as JSON, as Python shows a dict or an argument, in a query, in a header or a file.
    re.compile(
        rf"""(?ix) ( (?<![a-z0-9]) (?:{_NAMES}) \\*["']? (?: \s*[:=]\s* | %3[dD] ) (?:b?\\*["'])? (?:(?:bearer|basic)[ ]+)? )
        (?! \s | null\b | none\b | true\b | false\b | Secret\( | \\?["'] ) (?: [^\s"'&,;<>(){{}}\[\]\\] | \\u[0-9a-f]{{4}} )+"""
    ),
    re.compile(r"(?i)\b(bearer[ ]+)[\w.~+/=%-]{8,}"),
    re.compile(r"(?i)([?&]id=)[^\s&\"'#<>)]+"),
    re.compile(r"()(?:\b|(?<=%3[dD]))eyJ[\w-]{8,}(?:(?:\.|%2[eE])[\w-]*)*"),
)


@final
class Secret:
    """A token or a key, shown nowhere: its text comes out by `reveal()` alone.

    Reveal it inside the call that needs it, so that no variable holds the text: `post(url, token=secret.reveal())`.

    Args:
        text: what is secret.

    Raises:
        ValueError: it is empty.
    """

    __slots__ = ("__text", "__weakref__")

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("a secret must not be empty")
        self.__text: Final = text
        if text not in _PUBLIC:
            _LIVE[next(_SERIAL)] = self

    def reveal(self) -> str:
        """Return the text."""
        return self.__text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self.__text.encode(), other.__text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: hand over where to read it instead")


# By number and not by value: two equal secrets are two, and the second must stay known when the first is gone.
_LIVE: Final[WeakValueDictionary[int, Secret]] = WeakValueDictionary()
_SERIAL: Final = count()


def redacted(text: str) -> str:
    """Return a text with `***` for whatever is secret in it.

    That is: every `Secret` that is alive, in whole or any 8 characters and more of it, also as it stands in an address, in
    JSON and in a `repr`; and what looks like one: `access_token=`, `Authorization`, JWTs, names and keys in JSON. A secret of
    fewer than 8 characters is found in whole only, and one of fewer than 4 not at all.
    """
    # All is looked for in the text as it came: what one finds must not break up what another would have found.
    hit = _hits(text)
    for pattern in _PATTERNS:
        for found in pattern.finditer(text):
            hit[found.end(1) : found.end()] = b"\1" * (found.end() - found.end(1))
    pieces = groupby(zip(hit, text, strict=True), key=itemgetter(0))
    return "".join(_MASK if hidden else "".join(one for _, one in piece) for hidden, piece in pieces) if 1 in hit else text


def exposes(text: str) -> bool:
    """Whether a text holds a `Secret` that is alive, or a part of one."""
    return 1 in _hits(text)


def redacting(write: Callable[[str], object]) -> Callable[[str], None]:
    """Return a sink for loguru that writes redacted text.

    For sinks of our own only; a user's loguru is never reconfigured. Add it with `diagnose=False`, or loguru shows every
    variable of a traceback.

    Args:
        write: what takes the text, such as `sys.stderr.write`.
    """

    def sink(message: str) -> None:
        write(redacted(str(message)))

    return sink


def _hits(text: str) -> bytearray:
    """Which characters of a text belong to a secret that is alive."""
    hit = bytearray(len(text))
    for secret in list(_LIVE.values()):
        for form in _forms(secret.reveal()):
            if len(form) >= _PIECE:
                for at in range(len(text) - _PIECE + 1):
                    if text[at : at + _PIECE] in form:
                        hit[at : at + _PIECE] = b"\1" * _PIECE
            elif len(form) >= _FEWEST:
                at = text.find(form)
                while at >= 0:
                    hit[at : at + len(form)] = b"\1" * len(form)
                    at = text.find(form, at + 1)
    return hit


def _forms(value: str) -> set[str]:
    if _SAME.fullmatch(value):
        return {value}
    plain = {_percent(value, safe) for safe in ("", "/", "?/:@!$'()*,;=")}
    lower = {re.sub("%..", lambda found: found[0].lower(), form) for form in plain}
    return {value, *plain, *lower, json.dumps(value)[1:-1], repr(value)[1:-1]}


def _percent(value: str, safe: str) -> str:
    unreserved = "-._~" + safe
    return "".join(
        one if one.isascii() and (one.isalnum() or one in unreserved) else "".join(f"%{byte:02X}" for byte in one.encode())
        for one in value
    )
