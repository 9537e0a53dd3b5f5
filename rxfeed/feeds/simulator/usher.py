"""Who sees people out: older sessions where a user may have but one, and connections whose token has run out."""

from __future__ import annotations

from typing import Final, Protocol

from rxfeed.clock import Clock, Timer
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.feeds.simulator.modes import Ending, Sessions, finish
from rxfeed.feeds.simulator.tokens import Tokens


class House(Protocol):
    """What the usher needs of the simulator."""

    clock: Clock
    tokens: Tokens
    skew: int

    @property
    def now(self) -> int:
        """The server's time."""
        ...

    def picked(self, hub: str | None = None) -> list[HubConnection]:
        """Return the connections of a hub, or all."""
        ...


class Usher:
    """Ends connections as the modes say.

    Args:
        house: the simulator.
        sessions: how many sessions a user may have.
        expiry: what happens to a connection when its token runs out.
    """

    __slots__ = ("_expiry", "_house", "_leaving", "_running_out", "sessions")

    def __init__(self, house: House, sessions: Sessions, expiry: Ending) -> None:
        self._house: Final = house
        self.sessions = sessions
        self._expiry: Ending = expiry
        self._leaving: dict[str, Timer] = {}
        self._running_out: dict[str, Timer] = {}

    @property
    def expiry(self) -> Ending:
        """What happens to a connection when its token runs out; it may be set at any time."""
        return self._expiry

    @expiry.setter
    def expiry(self, how: Ending) -> None:
        self._expiry = how
        self.look_again()

    def issued(self, user: str) -> None:
        """Be told of a user's new token."""
        if self.sessions.kind == "newest":
            self._house.tokens.supersede(user)
            for one in self._house.picked():
                if one.user == user:
                    self._end_later(one, "an older token")

    def refuses(self, hub: str, user: str) -> bool:
        """Return whether a user is in this hub already and may not come a second time."""
        if (self.sessions.kind, self.sessions.ending) != ("one", "refuse"):
            return False
        return any(one.user == user for one in self._house.picked(hub))

    def greeted(self, new: HubConnection) -> None:
        """Be told of a connection whose handshake is done."""
        if self.sessions.kind == "one" and self.sessions.ending != "refuse":
            for one in self._house.picked(new.hub):
                if one.user == new.user and one is not new and one.open:
                    self._end_later(one, "another session")

    def expire(self, how: Ending) -> None:
        """Let all tokens run out at once, and end the connections made with them."""
        self._house.tokens.revoke_all()
        for one in self._house.picked():
            finish(one, how, "token expired")

    def connected(self, one: HubConnection) -> None:
        """Be told of a new connection."""
        if self._expiry != "keep":
            ends = self._house.tokens.expires(one.token) - self._house.skew
            self._running_out[one.id] = self._house.clock.call_at(ends, lambda: self._run_out(one))

    def left(self, one: HubConnection) -> None:
        """Be told that a connection is over."""
        for timers in (self._leaving, self._running_out):
            timer = timers.pop(one.id, None)
            if timer is not None:
                timer.cancel()

    def look_again(self) -> None:
        """Be told that the server's clock was set."""
        for timer in self._running_out.values():
            timer.cancel()
        self._running_out.clear()
        for one in self._house.picked():
            self.connected(one)

    def _run_out(self, one: HubConnection) -> None:
        del self._running_out[one.id]
        finish(one, self._expiry, "token expired")

    def _end_later(self, one: HubConnection, why: str) -> None:
        how, delay = self.sessions.ending, self.sessions.delay

        def end() -> None:
            self._leaving.pop(one.id, None)
            finish(one, how, why)

        if not delay:
            end()
        elif one.id not in self._leaving:
            self._leaving[one.id] = self._house.clock.call_at(self._house.clock.now + delay, end)
