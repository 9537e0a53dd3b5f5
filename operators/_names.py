"""The name of a stage, as its user gives it."""

from __future__ import annotations


def checked(name: object) -> str:
    """Return a stage's name.

    Raises:
        TypeError: it is not text.
        ValueError: there is nothing in it.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be text, got {type(name).__name__}")
    if not name.strip():
        raise ValueError(f"name must not be empty, got {name!r}")
    return name
