"""Lets faults happen: at once, once at a time, or again and again. `gate` has what they do to requests."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Protocol, cast

from rxfeed.clock import Clock, Timer
from rxfeed.feeds.simulator.archive import Archive
from rxfeed.feeds.simulator.connection import HubConnection
from rxfeed.feeds.simulator.faults import Fault, Place
from rxfeed.feeds.simulator.gate import Gate
from rxfeed.feeds.simulator.mangle import Mangler
from rxfeed.feeds.simulator.modes import Ending
from rxfeed.feeds.simulator.usher import Usher
from rxfeed.times import FOREVER, nanoseconds

_MALFORMED: Final = b'{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.\x1e'
_UNKNOWN: Final = (
    b'{"type":99,"note":"simulated"}\x1e',
    b'{"type":1,"target":"GatewayNews","arguments":[{"simulated":true}]}\x1e',
)
_EXPIRIES: Final[dict[str, Ending]] = {
    "expire": "keep", "expire-drop": "drop", "expire-close": "close", "expire-logout": "logout"
}  # fmt: skip
_ERROR: Final = "Connection closed with an error."


class Faulty(Protocol):
    """What faults need of the simulator."""

    clock: Clock
    random: Random
    archive: Archive
    usher: Usher
    skew: int

    @property
    def now(self) -> int:
        """The server's time."""
        ...

    def picked(self, hub: str | None = None) -> list[HubConnection]:
        """Return the connections of a hub, or all."""
        ...

    def burst(self, trades: int) -> None:
        """Do trades at once."""
        ...

    def step_back(self, by: int) -> None:
        """Let the next trade be so much earlier."""
        ...

    def huge(self, size: int) -> None:
        """Send one message of so many bytes."""
        ...


class Board:
    """The faults of one simulator.

    Args:
        simulator: to whom they happen.
    """

    __slots__ = (
        "_manglers", "_simulator", "_still_until", "_timers", "_unpinged", "counts", "gate",
    )  # fmt: skip

    def __init__(self, simulator: Faulty) -> None:
        self._simulator = simulator
        self._timers: dict[int, Timer] = {}
        self._still_until: dict[Place | None, int] = {}
        self._unpinged: dict[Place | None, int] = {}
        self._manglers: dict[str, Mangler] = {}
        self.gate = Gate(simulator.clock)
        """What requests meet."""
        self.counts: dict[str, int] = {}
        """How often each fault has happened."""

    def add(self, fault: Fault) -> Callable[[], None]:
        """Let a fault happen when it says, and return what calls that off."""
        clock = self._simulator.clock
        if fault.at is None and fault.every is None:
            self._happen(fault)
            return lambda: None
        number = max(self._timers, default=0) + 1
        begin = clock.now

        def arm(count: int) -> None:
            after = fault.at if fault.every is None else fault.every
            wait = nanoseconds(0 if after is None else after)
            self._timers[number] = clock.call_at(begin + count * wait, lambda: fire(count))

        def fire(count: int) -> None:
            del self._timers[number]
            if fault.every is not None:
                arm(count + 1)
            self._happen(fault)

        def cancel() -> None:
            timer = self._timers.pop(number, None)
            if timer is not None:
                timer.cancel()

        arm(1)
        return cancel

    def stop(self) -> None:
        """Call off what is still to come."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _happen(self, fault: Fault) -> None:
        self.counts[fault.name] = self.counts.get(fault.name, 0) + 1
        name, place, amount = fault.name, fault.place, fault.amount
        simulator, now = self._simulator, self._simulator.clock.now
        self.gate.add(fault)
        simulator.archive.add(fault, simulator.now)
        if name == "skew":
            simulator.skew = amount
            simulator.usher.look_again()
        elif name == "burst":
            simulator.burst(amount)
        elif name == "back":
            simulator.step_back(amount)
        elif name == "huge":
            simulator.huge(amount)
        elif name in _EXPIRIES:
            simulator.usher.expire(_EXPIRIES[name])
        else:
            lasting = {"silence": self._still_until, "no-pings": self._unpinged}
            if name in lasting:
                lasting[name][place] = now + amount
            if place in (None, "market", "user"):
                for one in simulator.picked(place):
                    self._strike(one, name, amount, now)

    def _strike(self, one: HubConnection, name: str, amount: int, now: int) -> None:
        if name in ("drop", "outage"):
            one.drop(name)
        elif name == "down":
            one.end(name, 1001)
        elif name in ("close", "close-error", "close-final"):
            one.close(error=None if name == "close" else _ERROR, allow_reconnect=name != "close-final")
        elif name == "end":
            one.end("end", amount)
        elif name in ("half-open", "black-hole"):
            one.strand(name)
        elif name == "silence":
            one.still_until = now + amount
        elif name == "mute":
            one.mute_until = now + amount
        elif name == "no-pings":
            one.no_pings_until = now + amount
        elif name == "logout":
            one.invoke("GatewayLogout", "The session has ended.")
        elif name == "malformed":
            self._raw(one, amount, _MALFORMED)
        elif name == "unknown":
            self._raw(one, amount, *_UNKNOWN)
        elif name in ("split", "join", "duplicate", "reorder"):
            self._mangle(one, name, amount, now)

    @staticmethod
    def _raw(one: HubConnection, count: int, *payloads: bytes) -> None:
        if one.open:
            for _ in range(count):
                for payload in payloads:
                    one.send_raw(payload)

    def _mangle(self, one: HubConnection, name: str, amount: int, now: int) -> None:
        mangler = self._manglers.get(one.id)
        if mangler is None:
            mangler = self._manglers[one.id] = Mangler(self._simulator.random)
            one.mangle = mangler
        if name == "split":
            mangler.split_until = now + amount
        elif name == "join":
            mangler.join_until = now + amount
        elif name == "duplicate":
            mangler.duplicates += amount
        else:
            mangler.swaps += amount

    # Connections and requests that come meanwhile

    def connected(self, one: HubConnection) -> None:
        """Let what lasts happen to a new connection."""
        hub = cast("Place", one.hub)
        if self.gate.left("hang", hub):
            one.mute_until = FOREVER
        one.still_until = _until(self._still_until, hub)
        one.no_pings_until = _until(self._unpinged, hub)

    def left(self, one: HubConnection) -> None:
        """Be told that a connection is over."""
        self._manglers.pop(one.id, None)


def _until(lasting: dict[Place | None, int], place: Place) -> int:
    return max(lasting.get(place, 0), lasting.get(None, 0))
