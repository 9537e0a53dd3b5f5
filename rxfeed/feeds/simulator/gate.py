"""What requests, upgrades and Subscribe calls get instead of their answers, or how late, while faults say so."""

from __future__ import annotations

from typing import Any, Final

from rxfeed.clock import Clock
from rxfeed.feeds.simulator.connection import Refused, Unanswered
from rxfeed.feeds.simulator.faults import Fault, Place
from rxfeed.feeds.simulator.http import Answer, Request, answer, envelope, refusal
from rxfeed.times import SECOND

STATUSES: Final = ("401", "404", "429", "500", "503")
_LASTING: Final = ("black-hole", "outage", "down", "hang")
_NEXT: Final = (*STATUSES, "refuse", "fail")
_HUBS: Final = ("market", "user")
_ENDPOINTS: Final[dict[str, Place]] = {
    "/api/Auth/loginKey": "login", "/api/Auth/validate": "validate", "/api/Account/search": "accounts",
    "/api/History/retrieveBars": "history", "/api/Contract/search": "contracts", "/api/Contract/searchById": "contracts",
    "/api/Contract/available": "contracts",
}  # fmt: skip
_FAILURES: Final[dict[Place, tuple[int, str]]] = {
    "login": (8, "token"), "validate": (3, "newToken"), "accounts": (1, "accounts"), "contracts": (1, "contracts"),
    "history": (1, "bars"),
}  # fmt: skip
"""The errorCode of a failure, and what a success would hold: 8 is loginKey's unknown error, 3 validate's expired token."""
_NEVER: Final = 600.0


def places_of(request: Request, *, upgrade: bool = False) -> tuple[Place, ...]:
    """Return what a request asks, from the general to the special."""
    for hub in _HUBS:
        if request.path.startswith(f"/hubs/{hub}"):
            return (hub, "upgrade" if upgrade else "negotiate")
    endpoint = _ENDPOINTS.get(request.path)
    return ("rest",) if endpoint is None else ("rest", endpoint)


class Gate:
    """What stands before the gateway.

    Args:
        clock: whose time it is.
    """

    __slots__ = ("_clock", "_next", "_redirects", "_slow", "_until")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: list[tuple[str, Place | None, int]] = []
        self._redirects: list[tuple[Place | None, str | None]] = []
        self._until: dict[tuple[str, Place | None], int] = {}
        self._slow: dict[Place | None, int] = {}

    def add(self, fault: Fault) -> None:
        """Take a fault from now on; one that is none of requests changes nothing."""
        name, place = fault.name, fault.place
        if name in _NEXT:
            self._next.append((name, place, fault.amount))
        elif name in _LASTING:
            self._until[name, place] = self._clock.now + fault.amount
        elif name == "slow":
            self._slow[place] = fault.amount
        elif name == "redirect":
            self._redirects.append((place, fault.url))

    def left(self, name: str, *places: Place) -> int:
        """Return for how many nanoseconds a fault still lasts at one of these places; 0 when it does not."""
        ends = [self._until.get((name, place), 0) for place in (None, *places)]
        return max(0, max(ends) - self._clock.now)

    def hangs(self, *places: Place) -> bool:
        """Return whether what is asked here is never answered; a hub's own hanging, or that of both, is the handshake's."""
        return any(self._until.get(("hang", place), 0) > self._clock.now for place in places if place not in _HUBS)

    def late(self, *places: Place) -> int:
        """Return by how many nanoseconds answers are late here; Completions only if they were named."""
        everywhere = 0 if "subscribe" in places else self._slow.get(None, 0)
        return max([everywhere, *(self._slow.get(place, 0) for place in places)])

    def meet(self, request: Request, places: tuple[Place, ...]) -> Answer | None:
        """Return what a request or upgrade gets instead of its answer; None for nothing."""
        black = self.left("black-hole", *places)
        if black:
            return Answer(0, hang=black / SECOND)
        if self.hangs(*places):
            return Answer(0, hang=_NEVER)
        if self.left("outage", *places):
            return Answer(0)
        if self.left("down", *places):
            return refusal(503)
        name = self._take(_NEXT, places)
        if name is not None:
            return _refused(name, places[-1])
        return self._redirected(request, places) if places[-1] == "negotiate" else None

    def subscribing(self) -> None:
        """Let a Subscribe call pass, or not.

        Raises:
            Unanswered: it is neither done nor answered.
            Refused: it is refused.
        """
        if self.hangs("subscribe"):
            raise Unanswered
        if self._take(("fail",), ("subscribe",)) is not None:
            raise Refused("HubException: The subscription failed.")

    def _take(self, names: tuple[str, ...], places: tuple[Place, ...]) -> str | None:
        """Return the first fault that waits for this, and let it have happened once more."""
        for n, (name, where, count) in enumerate(self._next):
            if name not in names or not (where in places or (where is None and _anywhere(name, places))):
                continue
            self._next[n : n + 1] = [(name, where, count - 1)] if count > 1 else []
            return name
        return None

    def _redirected(self, request: Request, places: tuple[Place, ...]) -> Answer | None:
        for n, (where, url) in enumerate(self._redirects):
            if where is None or where in places:
                del self._redirects[n]
                back = f"http://{request.headers.get('host', '127.0.0.1')}{request.path.removesuffix('/negotiate')}"
                body: dict[str, Any] = {"url": url or back, "accessToken": request.token}
                return answer(body)
        return None


def _anywhere(name: str, places: tuple[Place, ...]) -> bool:
    """Return whether a fault of no place happens here: a failure that says `success: false` only where there is an envelope."""
    return name != "fail" or places[-1] in _FAILURES


def _refused(name: str, place: Place) -> Answer:
    if name == "refuse":
        return Answer(0)
    if name == "429":
        return refusal(429, Retry_After="2")
    if name in STATUSES:
        return refusal(int(name))
    code, empty = _FAILURES.get(place, (1, "data"))
    return envelope(code, "A simulated failure.", **{empty: None})
