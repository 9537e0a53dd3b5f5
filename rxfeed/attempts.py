"""Who may try to connect, and when: what a supervisor asks before each attempt, and is told after it.

A feed never completes, so an attempt has succeeded at its first element, or when it has lasted long enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from rxfeed.events import Event


class Attempt(Protocol):
    """One attempt that was begun. Exactly one of its methods is called, once."""

    def succeeded(self) -> None:
        """Take note: its first element came, or it has lasted long enough to be called healthy."""
        ...

    def failed(self, error: Exception) -> None:
        """Take note: it ended with this error before it had succeeded."""
        ...

    def abandoned(self) -> None:
        """Take note: it was ended by us before anybody could tell."""
        ...


class AttemptPolicy(Protocol):
    """Says when the next attempt may begin."""

    def delay(self) -> float:
        """Return the seconds until an attempt may begin: 0 now, `inf` not before somebody changes the policy."""
        ...

    def attempt(self) -> Attempt:
        """Begin an attempt; `delay()` is 0.

        Raises:
            RxfeedError: none may begin now.
        """
        ...


@runtime_checkable
class Telling(Protocol):
    """A policy that tells when it changes, so that nobody has to ask it again and again."""

    def listen(self, listener: Callable[[Event], object], /) -> Callable[[], None]:
        """Have a function called with each change; what is returned ends that."""
        ...


class _Noted:
    def succeeded(self) -> None: ...

    def failed(self, error: Exception) -> None: ...

    def abandoned(self) -> None: ...


class Always:
    """The policy that always lets try."""

    def delay(self) -> float:
        """Return 0."""
        return 0.0

    def attempt(self) -> Attempt:
        """Begin one."""
        return _Noted()
