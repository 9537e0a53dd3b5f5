"""An open WebSocket: bytes in, text out, and one error when it is over.

aiohttp answers neither pings nor shows pongs by itself here (`autoping=False`), since the pong is what tells the round trip;
the server's pings are answered by whoever receives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn, final

import aiohttp
from aiohttp import WSMsgType
from aiohttp.http import WSMessageTextBytes

from rxfeed.errors import ConnectionLost, LossCause, Unreachable
from rxfeed.secret import redacted

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_PROTOCOL: Final = frozenset({1002, 1003, 1007, 1009})
_CODES: Final = {
    1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1007: "not UTF-8",
    1008: "policy violation", 1009: "message too big", 1011: "internal error", 1012: "service restart", 1013: "try again later",
    1014: "bad gateway",
}  # fmt: skip
_REASON: Final = 200
_Message = aiohttp.WSMessage | WSMessageTextBytes


@final
class Socket:
    """An open WebSocket. Made by `Transport.websocket`.

    One task receives: by `receive`, or by `deliver`, which is quicker by a coroutine a message. Neither gives the loop a turn
    while messages wait, so a callback that `call_soon` is asked for runs when the socket is drained.
    """

    __slots__ = ("_gate", "_name", "_pings", "_sent_pings", "_ws", "max_size", "received_bytes")

    def __init__(self, ws: aiohttp.ClientWebSocketResponse[bool], name: str, max_size: int) -> None:
        self._ws = ws
        self._name: Final = name
        self._gate: asyncio.Future[None] | None = None
        self._pings: dict[bytes, asyncio.Future[float]] = {}
        self._sent_pings = 0
        self.max_size: Final = max_size
        self.received_bytes = 0
        """Bytes of all messages so far; without frame headers, pings and pongs."""

    def __repr__(self) -> str:
        return f"Socket({self._name}, {'closed' if self.closed else 'open'})"

    @property
    def closed(self) -> bool:
        """Whether no more can be sent: it was closed by us or by the server, or was lost."""
        return self._ws.closed

    @property
    def paused(self) -> bool:
        """Whether `deliver` reads nothing."""
        return self._gate is not None

    def pause(self) -> None:
        """Have `deliver` read nothing more, but for a message that is under way, until `resume`. Again is nothing.

        What the server sends waits in the network's buffers, and then at the server.
        """
        if self._gate is None:
            self._gate = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """Read again."""
        gate, self._gate = self._gate, None
        if gate is not None and not gate.done():
            gate.set_result(None)

    async def receive(self) -> bytes:
        """Return the next message, text or binary, undecoded.

        Raises:
            ConnectionLost: it is over. `cause` is "protocol" for a message that is too long or against the rules, else
                "dropped"; the text tells the close code. Also when we closed it ourselves.
        """
        while True:
            message = await self._ws.receive()
            if message.type is _TEXT or message.type is _BINARY:
                self.received_bytes += len(message.data)
                return message.data
            lost = await self._other(message)
            if lost is not None:
                del message  # its reason may repeat what we sent, and a traceback may show this frame's locals
                raise lost

    async def deliver(self, take: Callable[[bytes], object]) -> NoReturn:
        """Call `take` with each message as it comes, until it is over.

        Raises:
            ConnectionLost: as `receive` does. What `take` raises passes too.
        """
        receive = self._ws.receive
        while True:
            if self._gate is not None:
                await self._gate
                continue
            message = await receive()
            if message.type is _TEXT or message.type is _BINARY:
                self.received_bytes += len(message.data)
                take(message.data)
            else:
                lost = await self._other(message)
                if lost is not None:
                    del message
                    raise lost

    async def send(self, data: bytes | str) -> None:
        """Send one text message; waits while too much is still unsent.

        Raises:
            ConnectionLost: it is over.
        """
        await self._send(data.encode() if isinstance(data, str) else data, _TEXT)

    async def ping(self, timeout: float) -> float:
        """Return the seconds, of the loop's time, until a ping is answered. Somebody must be receiving meanwhile.

        Raises:
            Unreachable: no answer in `timeout` seconds.
            ConnectionLost: it is over.
        """
        loop = asyncio.get_running_loop()
        self._sent_pings += 1
        key = self._sent_pings.to_bytes(8, "big")
        answered = self._pings[key] = loop.create_future()
        sent = loop.time()
        try:
            async with asyncio.timeout(timeout):
                await self._send(key, WSMsgType.PING)
                return await answered - sent
        except TimeoutError:
            pass
        finally:
            del self._pings[key]
        raise Unreachable(f"{self._name} did not answer a ping in {timeout:g} s")

    async def close(self) -> None:
        """Close it: tell the server, and wait at most two seconds for it to agree. May be called again."""
        await self._ws.close()
        self._end(self._lost("was closed by us"))

    async def _send(self, data: bytes, kind: WSMsgType) -> None:
        try:
            await self._ws.send_frame(data, kind)
        except (aiohttp.ClientError, OSError):
            pass
        else:
            return
        raise self._lost("cannot be sent to any more")

    async def _other(self, message: _Message) -> ConnectionLost | None:
        kind = message.type
        if kind is WSMsgType.PING:
            await self._send(message.data, WSMsgType.PONG)
            return None
        if kind is WSMsgType.PONG:
            waiting = self._pings.get(bytes(message.data))
            if waiting is not None and not waiting.done():
                waiting.set_result(asyncio.get_running_loop().time())
            return None
        lost = self._ended(message)
        self._end(lost)
        return lost

    def _ended(self, message: _Message) -> ConnectionLost:
        if message.type is WSMsgType.CLOSE:
            code = message.data or 1005
            words = f" {_CODES[code]}" if code in _CODES else ""
            reason = f": {redacted(message.extra)[:_REASON]}" if message.extra else ""
            return self._lost(f"was closed by the server ({code}{words}{reason})")
        if message.type is WSMsgType.ERROR:
            code = self._ws.close_code
            if code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return self._lost(f"sent a message of more than {self.max_size} bytes (1009 message too big)", "protocol")
            if code in _PROTOCOL:
                return self._lost(f"sent what WebSockets do not allow ({code} {_CODES[code]})", "protocol")
            return self._lost("was lost")
        if message.type is WSMsgType.CLOSING:
            return self._lost("was closed by us")
        return self._lost("was cut off, with no word of goodbye")

    def _lost(self, text: str, cause: LossCause = "dropped") -> ConnectionLost:
        return ConnectionLost(f"the connection to {self._name} {text}", cause)

    def _end(self, lost: ConnectionLost) -> None:
        for waiting in self._pings.values():
            if not waiting.done():
                waiting.set_exception(lost)
