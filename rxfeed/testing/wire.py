"""One direction of a connection in memory: what is under way, and what has arrived and is not read yet.

It is first-in-first-out and holds at most a window of bytes, as two sockets' buffers do: a sender gets no more of it free
than the receiver reads. What happens on the way is its path's to say: how long it takes, and whether it arrives at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

READ_AT_ONCE: Final = 262_144


class Sign(Enum):
    """What travels besides bytes."""

    END = "the sender closed, or sends no more"
    RESET = "the sender is gone and takes nothing"
    CUT = "the connection breaks here"


class Path(Protocol):
    """What a direction leads through."""

    window: int

    @property
    def swallows(self) -> bool:
        """Whether what is under way now is lost."""
        ...

    def delay(self) -> float:
        """Return how long the next bytes take, in seconds."""
        ...

    def piece(self, size: int) -> int:
        """Return how many of `size` bytes are read at once."""
        ...


class Receiver(Protocol):
    """The end of a direction."""

    @property
    def listening(self) -> bool:
        """Whether it reads now; not while it pauses or closes."""
        ...

    def is_closing(self) -> bool:
        """Return whether it reads no more, though it may still send."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it will never read again."""
        ...

    def take(self, data: bytes) -> None:
        """Take bytes that have arrived."""
        ...

    def take_sign(self, sign: Sign) -> None:
        """Take note of the end."""
        ...


class Wire:
    """One direction of a connection.

    Args:
        loop: whose time it takes.
        path: what it leads through.
        receiver: who reads.
        freed: called when there is room again.
        refuse: called when bytes arrive at a receiver that is gone.
        starve: called when bytes of the sender's were lost for the first time.
        cut: called where the connection breaks.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: Path,
        receiver: Receiver,
        *,
        freed: Callable[[], None],
        refuse: Callable[[], None],
        starve: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._receiver = receiver
        self._freed = freed
        self._refuse = refuse
        self._starve = starve
        self._cut = cut
        self._flying: deque[tuple[float, bytes | Sign]] = deque()
        self._arrived: deque[bytes | Sign] = deque()
        self._unread = 0
        self._landing: asyncio.Handle | None = None
        self._reading: asyncio.Handle | None = None
        self._broken = False
        self._left: int | None = None

    @property
    def room(self) -> int:
        """How many bytes it takes now."""
        return max(0, self._path.window - self._unread)

    def cut_after(self, size: int) -> None:
        """Let `size` more bytes through, then break the connection."""
        self._left = size

    def send(self, item: bytes | Sign) -> None:
        """Send bytes, no more than there is room for, or a sign."""
        if isinstance(item, bytes):
            self._unread += len(item)
            if self._left is not None and len(item) >= self._left:
                item, self._left = item[: self._left], None
                self._fly(item)
                item = Sign.CUT
            elif self._left is not None:
                self._left -= len(item)
        self._fly(item)

    def _fly(self, item: bytes | Sign) -> None:
        if self._lost() or item == b"":
            return
        self._flying.append((self._loop.time() + self._path.delay(), item))  # nothing overtakes: only the first one lands
        self._land_later()

    def _lost(self) -> bool:
        if self._path.swallows and not self._broken:
            # A stream with a hole is never read on, so nothing comes of this direction even when its path heals.
            self._broken = True
            self._starve()
        return self._broken

    def _land_later(self) -> None:
        if self._landing is None and self._flying:
            due = self._flying[0][0]
            soon = due <= self._loop.time()
            self._landing = self._loop.call_soon(self._land) if soon else self._loop.call_at(due, self._land)

    def _land(self) -> None:
        self._landing = None
        now = self._loop.time()
        while self._flying and self._flying[0][0] <= now:
            _, item = self._flying.popleft()
            if self._lost():
                self._flying.clear()
            elif self._receiver.gone:
                self._flying.clear()
                if isinstance(item, bytes):
                    self._refuse()
            elif item is Sign.RESET and self._receiver.is_closing():
                self._receiver.take_sign(item)  # it reads no more, but would notice on sending
            else:
                self._arrived.append(item)
        self._land_later()
        self.read()

    def read(self) -> None:
        """Hand the receiver what has arrived, as far as it listens."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if not self._arrived or not self._receiver.listening:
            return
        first = self._arrived.popleft()
        if first is Sign.CUT:
            self._cut()
            return
        if isinstance(first, Sign):
            self._receiver.take_sign(first)
            self.read_later()
            return
        data = self._piece(first)
        self._unread -= len(data)
        self._receiver.take(data)
        self._freed()
        self.read_later()

    def read_later(self) -> None:
        """Hand over in the loop's next turn."""
        if self._arrived and self._reading is None:
            self._reading = self._loop.call_soon(self.read)

    def _piece(self, data: bytes) -> bytes:
        parts, size = [data], len(data)
        while self._arrived and size < READ_AT_ONCE:
            following = self._arrived[0]
            if isinstance(following, Sign):
                break
            parts.append(following)
            size += len(following)
            self._arrived.popleft()
        data = b"".join(parts)
        size = self._path.piece(len(data))
        if size < len(data):
            self._arrived.appendleft(data[size:])
        return data[:size]

    def stop(self) -> bool:
        """End: the receiver is gone. Return whether bytes were left unread."""
        left = any(isinstance(item, bytes) for item in self._arrived)
        self._arrived.clear()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        return left

    def drop(self) -> None:
        """Forget what is under way."""
        self._flying.clear()
        if self._landing is not None:
            self._landing.cancel()
            self._landing = None
