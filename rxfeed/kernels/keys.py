"""What tells elements of one stream apart, as its user gives it: a callable, or the name of a field."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any

KeyOf = Callable[[Any], Hashable] | None
Key = str | KeyOf


def key_of(key: Key) -> KeyOf:
    """Return a callable from an element to its key; None for None.

    Raises:
        TypeError: it is neither.
        ValueError: it cannot be a field's name.
    """
    if isinstance(key, str):
        if not key.isidentifier():
            raise ValueError(f"key must be the name of a field, or a callable, got {key!r}")
        return attrgetter(key)
    if key is not None and not callable(key):
        raise TypeError(f"key must be the name of a field, or a callable, got {type(key).__name__}")
    return key
