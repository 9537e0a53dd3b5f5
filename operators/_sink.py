"""Side outputs of an operator: an observer or a callable, used alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from reactivex import abc

T = TypeVar("T")
Sink = Callable[[T], None]


def sink(target: abc.ObserverBase[T] | Callable[[T], None] | None, name: str = "rejects") -> Sink[T] | None:
    """Return a callable for an observer's `on_next`, or the callable itself; `name` is the argument's, for the error.

    Raises:
        TypeError: it is neither.
    """
    if target is None:
        return None
    on_next = getattr(target, "on_next", target)
    if not callable(on_next):
        raise TypeError(f"{name} must be an observer or a callable, got {type(target).__name__}")
    return cast("Sink[T]", on_next)
