"""The way into a hub: negotiation, ids that are good once, and the check of a token at the WebSocket's upgrade."""

from __future__ import annotations

from random import Random
from typing import Any, Final, NamedTuple

from rxfeed.feeds.simulator.http import Answer, Request, answer, refusal
from rxfeed.times import SECOND

_GOOD_FOR: Final = 60 * SECOND
_MOST: Final = 10_000
_TRANSPORTS: Final = [{"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}]


class Ticket(NamedTuple):
    """Leave to connect, `wait` seconds from now: what `Doors.enter` gives to a good upgrade."""

    id: str
    hub: str
    user: str
    token: str
    wait: float = 0.0


class Doors:
    """Negotiated ids and who holds them.

    Args:
        random: where ids come from.
    """

    __slots__ = ("_attached", "_number", "_random", "_waiting")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._number = 0
        self._waiting: dict[str, tuple[str, str, int]] = {}
        """Negotiated and not yet connected: connection token -> (connection id, hub, until when it is good)."""
        self._attached: dict[str, str] = {}
        """In use: connection id -> the token with which it came."""

    def _new(self) -> str:
        self._number += 1
        return f"{self._number}-{self._random.getrandbits(96):024x}"

    def negotiate(self, request: Request, hub: str, user: str | None, now: int) -> Answer:
        """Answer a negotiation, version 0 or 1."""
        if user is None:
            return refusal(401, WWW_Authenticate='Bearer error="invalid_token"')
        text = request.query.get("negotiateVersion", "0")
        if not text.isdigit():
            return answer({"error": f"The negotiateVersion '{text}' is not a number."}, 400)
        while self._waiting and (len(self._waiting) >= _MOST or next(iter(self._waiting.values()))[2] <= now):
            del self._waiting[next(iter(self._waiting))]
        id = self._new()
        body: dict[str, Any] = {"negotiateVersion": min(int(text), 1), "connectionId": id, "availableTransports": _TRANSPORTS}
        token = id
        if int(text) >= 1:
            token = body["connectionToken"] = self._new()
        self._waiting[token] = (id, hub, now + _GOOD_FOR)
        return answer(body)

    def enter(self, request: Request, hub: str, user: str | None, now: int) -> Ticket | Answer:
        """Judge a WebSocket's upgrade: with a negotiated id, or with none, which is a new connection."""
        if user is None:
            return refusal(401, WWW_Authenticate='Bearer error="invalid_token"')
        given = request.query.get("id")
        if given is None:
            id = given = self._new()
        else:
            known = self._waiting.get(given)
            if known is None or known[1] != hub or known[2] <= now:
                return refusal(409 if given in self._attached.values() else 404)
            id = self._waiting.pop(given)[0]
        self._attached[id] = given
        return Ticket(id, hub, user, request.token or "")

    def leave(self, id: str) -> None:
        """Be told that a connection is over; its id is never good again."""
        self._attached.pop(id, None)
