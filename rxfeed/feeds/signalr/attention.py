"""Since when nothing came, which is no silence while we do not listen."""

from __future__ import annotations

import asyncio

from rxfeed.feeds.websocket import Socket


class Attention:
    """Whether a socket is read, when it was heard of last, and how long it was not read by choice.

    Args:
        socket: which.
    """

    __slots__ = ("_loop", "_shut", "_socket", "_unread", "heard")

    def __init__(self, socket: Socket) -> None:
        self._socket, self._loop = socket, asyncio.get_running_loop()
        self.heard = self._loop.time()
        """When something came last, in the loop's time; whoever takes it sets it."""
        self._unread = 0.0  # seconds in which nothing was read, but for those since it was shut last
        self._shut: float | None = None  # since when nothing is read

    @property
    def paused(self) -> bool:
        """Whether nothing is read now."""
        return self._socket.paused

    @property
    def quiet(self) -> float:
        """Seconds since anything came; 0 while nothing is read by choice."""
        return 0.0 if self._socket.paused else self._loop.time() - self.heard

    @property
    def unread(self) -> float:
        """The seconds until now in which nothing was read by choice."""
        return self._unread if self._shut is None else self._unread + self._loop.time() - self._shut

    def throttle(self, shut: bool) -> None:
        """Read nothing while somebody behind is too full; how long nothing has come is counted from the end of that."""
        now = self._loop.time()
        if shut:
            self._shut = now
            self._socket.pause()
        else:
            self._unread, self._shut = self.unread, None
            self.heard = now
            self._socket.resume()
