"""The ends of a connection in memory: asyncio transports, with the flow control of real ones."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rxfeed.testing.wire import Sign, Wire

_HIGH: Final = 65_536

Bytes = bytes | bytearray | memoryview


class MemoryTransport(asyncio.Transport):
    """One end of a connection in memory.

    Args:
        loop: whose protocol it serves.
        protocol: who is told.
        extra: what `get_extra_info` knows.
        on_gone: called with it once it has closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BaseProtocol,
        extra: Mapping[str, Any],
        on_gone: Callable[[MemoryTransport], None],
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._protocol = protocol
        self._on_gone = on_gone
        self._buffer = bytearray()
        self._high, self._low = _HIGH, _HIGH // 4
        self._writing_paused = False
        self._reading_paused = False
        self._ended = False  # write_eof
        self._heard_end = False
        self._closing = False
        self._going: asyncio.Handle | None = None
        self._gives_up: asyncio.TimerHandle | None = None
        self.gone = False
        """Whether `connection_lost` was called."""
        self.out: Wire
        self.into: Wire

    def __repr__(self) -> str:
        ends = f"{_address(self.get_extra_info('sockname'))} to {_address(self.get_extra_info('peername'))}"
        state = "closed" if self.gone else "closing" if self._closing else "open"
        return f"<MemoryTransport {ends}, {state}>"

    # What protocols and their users call

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who is told."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol told."""
        self._protocol = protocol

    def is_closing(self) -> bool:
        """Return whether it was closed or is about to be."""
        return self._closing

    def is_reading(self) -> bool:
        """Return whether it reads."""
        return not self._reading_paused and not self._closing

    def pause_reading(self) -> None:
        """Read no more, until `resume_reading`; what arrives waits, and with it at last the sender."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Read on, from the loop's next turn."""
        self._reading_paused = False
        self.into.read_later()

    def write(self, data: Bytes) -> None:
        """Send bytes, as soon as there is room."""
        if self._ended:
            raise RuntimeError("nothing can be written after write_eof")
        if not data or self._going is not None or self.gone:
            return
        if self._buffer or not self.out.room:
            self._buffer += data
        else:
            data = bytes(data)
            room = self.out.room
            self.out.send(data[:room])
            self._buffer += data[room:]
        self._weigh()

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return True: the other direction may stay open."""
        return True

    def write_eof(self) -> None:
        """Send no more after what was written; go on reading."""
        if not self._ended and not self._closing:
            self._ended = True
            if not self._buffer:
                self.out.send(Sign.END)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told to pause writing (more than `high` bytes wait) and to resume (at most `low`)."""
        if high is None:
            high = _HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high must be at least low, and low at least 0, got high={high} and low={low}")
        self._high, self._low = high, low
        self._weigh()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the limits, low and high."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for room."""
        return len(self._buffer)

    def close(self) -> None:
        """Send what waits, then close."""
        if not self._closing:
            self._closing = True
            if not self._buffer:
                self._go(None)

    def abort(self) -> None:
        """Close at once; what waits is lost."""
        self.break_off(None)

    # What the connection calls

    @property
    def listening(self) -> bool:
        """Whether it reads now."""
        return not (self._reading_paused or self._closing)

    def take(self, data: bytes) -> None:
        """Hand arrived bytes to the protocol."""
        protocol = self._protocol
        try:
            if isinstance(protocol, asyncio.BufferedProtocol):
                _feed(protocol, data)
            elif isinstance(protocol, asyncio.Protocol):
                protocol.data_received(data)
        except Exception as error:  # noqa: BLE001  # as a socket's transport: it is the loop's, and this connection's end
            self._fail(error, "Fatal error: protocol.data_received() call failed.")

    def take_sign(self, sign: Sign) -> None:
        """Take note that no more comes, or that the other side is gone."""
        if sign is not Sign.END:
            self.break_off(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        if self._heard_end:
            return
        self._heard_end = True
        protocol = self._protocol
        stay: bool | None = False
        if isinstance(protocol, (asyncio.Protocol, asyncio.BufferedProtocol)):
            try:
                stay = protocol.eof_received()
            except Exception as error:  # noqa: BLE001
                self._fail(error, "Fatal error: protocol.eof_received() call failed.")
                return
        if not stay:
            self.close()

    def flush(self) -> None:
        """Send on what waits, as far as there is room."""
        room = self.out.room
        if self._buffer and room and self._going is None:
            self.out.send(bytes(self._buffer[:room]))
            del self._buffer[:room]
            if not self._buffer:
                if self._closing:
                    self._go(None)
                elif self._ended:
                    self.out.send(Sign.END)
        self._weigh()

    def starve(self, seconds: float) -> None:
        """Count on no answer from now on: after `seconds` the operating system would give up."""
        if self._gives_up is None and not self.gone:
            error = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
            self._gives_up = self._loop.call_later(seconds, self.break_off, error)

    def let_go(self) -> None:
        """Close at once if it is closing, and waits only for a network that lost its bytes."""
        if self._closing and self._gives_up is not None:
            self.abort()

    def break_off(self, error: Exception | None) -> None:
        """Close at once, with an error for the protocol."""
        self._closing = True
        self._buffer.clear()
        if self._going is None and not self.gone:
            self._go(error)

    # Within

    def _weigh(self) -> None:
        size = len(self._buffer)
        if not self._writing_paused and size > self._high:
            self._writing_paused = True
            self._protocol.pause_writing()
        elif self._writing_paused and size <= self._low and self._going is None:
            self._writing_paused = False
            self._protocol.resume_writing()

    def _fail(self, error: Exception, message: str) -> None:
        if not isinstance(error, OSError):
            self._loop.call_exception_handler(
                {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            )
        self.break_off(error)

    def _go(self, error: Exception | None) -> None:
        self._going = self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        if self._gives_up is not None:
            self._gives_up.cancel()
        try:
            self._protocol.connection_lost(error)
        finally:
            self.gone = True
            unread = self.into.stop()
            if error is None:
                self.out.send(Sign.RESET if unread else Sign.END)
            self._on_gone(self)


def _address(name: tuple[str, int]) -> str:
    return f"{name[0]}:{name[1]}"


def _feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        if not size:
            raise RuntimeError("get_buffer() returned an empty buffer")
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]
