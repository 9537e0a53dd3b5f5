"""What a supervisor looks after, as it sees it."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, TypeVar

from rxfeed.errors import ConnectionLost


class Linked(Protocol):
    """An open connection."""

    @property
    def epoch(self) -> int:
        """Its number."""
        ...


L = TypeVar("L", bound=Linked)
L_contra = TypeVar("L_contra", bound=Linked, contravariant=True)
Ends = tuple[asyncio.Future[Any], asyncio.Future[Any]]
"""Done when an old connection has ended, and when its successor has."""


class Supervised(Protocol[L_contra]):
    """What a supervisor looks after."""

    async def opened(self, link: L_contra) -> None:
        """Bring back all that was subscribed to, on a connection that follows a loss, or is the first.

        Raises:
            FeedError: that cannot be done on this connection.
        """
        ...

    def lost(self, error: ConnectionLost) -> None:
        """Note that there is no connection any more, and that another is tried."""
        ...

    def ended(self, error: Exception) -> None:
        """Note that no other is tried."""
        ...

    def outdated(self, link: L_contra, /) -> bool:
        """Whether a connection was made with what is no longer the newest token."""
        ...

    async def rotate(self, old: L_contra, new: L_contra, ended: Ends, patience: float) -> tuple[str, ...]:
        """Go over from one connection to its successor, within `patience` seconds; `ended` tells of the end of either.

        Returns:
            Symbols whose trades could not be matched. From now on nothing is taken from the old one.

        Raises:
            FeedError: it cannot be done, and the old one is kept; nothing is taken from the new one.
        """
        ...

    async def resubscribe(self, link: L_contra) -> int:
        """Bring all that is subscribed to anew, on the open connection; return how many it is.

        Raises:
            FeedError: that cannot be done on this connection.
        """
        ...

    async def probe(self, link: L_contra) -> None:
        """Make sure that the other side answers.

        Raises:
            FeedError: it does not.
        """
        ...
