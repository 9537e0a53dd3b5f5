"""How long a connection waits for what."""

from __future__ import annotations

from typing import Final, NamedTuple


class Timing(NamedTuple):
    """How long things may take, in seconds of the loop's time; SignalR's own defaults."""

    connect: float = 15.0
    """Until the WebSocket is open, and before that until negotiation is answered."""
    handshake: float = 15.0
    ping: float = 15.0
    """A ping of ours every so often."""
    silence: float = 30.0
    """Without any message for so long, the connection is dead."""
    answer: float = 15.0
    """Until an invocation is answered."""


DEFAULT: Final = Timing()
