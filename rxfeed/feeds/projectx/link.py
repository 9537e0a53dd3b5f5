"""One open connection of a hub, and what it brings, decoded. It never reconnects: it ends with an error, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from rxfeed.clock import Clock
from rxfeed.errors import ConnectionLost, InvocationFailed
from rxfeed.feeds.signalr import Call, Connection, ConnectionStats
from rxfeed.model import Undecoded
from rxfeed.secret import Secret

from .decode import Counter, DecoderStats
from .kinds import LOGOUT, Batch, Decodes, Kind

PROBE: Final = "RxfeedProbe"
"""A method that no hub has: the answer is an error and changes nothing. A second Subscribe might bring everything twice."""

Sink = Callable[[Kind, Batch], None]


class Counters:
    """The next `seq` of each kind, for as long as the gateway lives, and the next connection's number."""

    def __init__(self) -> None:
        self._seqs: dict[str, Counter] = {}
        self._epoch = 0

    def of(self, kind: Kind) -> Counter:
        """Return the counter of a kind."""
        return self._seqs.setdefault(kind.name, Counter())

    @property
    def epochs(self) -> int:
        """How many connections there were."""
        return self._epoch

    def epoch(self) -> int:
        """Return the number of a new connection; the first is 1."""
        self._epoch += 1
        return self._epoch


class Link:
    """An open connection of a hub.

    Args:
        kinds: what the hub tells.
        clock: what time it is.
        counters: of the gateway.
        symbol_of: what contracts are called.
        reject: told of what cannot be read.
        token: what it was opened with.
        on_lost: called once when the connection is over and was not closed by us.
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        *,
        clock: Clock,
        counters: Counters,
        symbol_of: Callable[[str], str],
        reject: Callable[[Undecoded], object],
        token: Secret,
        on_lost: Callable[[ConnectionLost], object],
    ) -> None:
        self.epoch: Final = counters.epoch()
        """Which connection of the gateway it is: the first is 1."""
        self.token: Final = token
        self._clock, self._reject, self._on_lost = clock, reject, on_lost
        self._decoders: dict[str, tuple[Kind, Decodes]] = {}
        for kind in kinds:
            self._decoders[kind.name] = kind, kind.decoder(symbol_of, reject, self.epoch)
        self._connection: Connection | None = None
        self._sink: Sink | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"Link({self._connection!r}, epoch {self.epoch})"

    @property
    def targets(self) -> tuple[str, ...]:
        """The hub's events that are decoded here."""
        return (*(event for kind, _ in self._decoders.values() for event in kind.events), LOGOUT)

    @property
    def connection(self) -> Connection:
        """The connection."""
        if self._connection is None:
            raise RuntimeError("the link has not been connected")
        return self._connection

    @property
    def stats(self) -> tuple[ConnectionStats, dict[str, DecoderStats]]:
        """What came over the connection, and what became of it by kind."""
        return self.connection.stats, {name: decoder.stats for name, (_, decoder) in self._decoders.items()}

    def connected(self, connection: Connection) -> None:
        """Take the connection, whose `on_calls`, `on_garbage` and `on_lost` are the methods of this."""
        self._connection = connection

    def to(self, sink: Sink) -> None:
        """Hand on to `sink` what comes from now on; without one it is decoded, counted and dropped."""
        self._sink = sink

    async def subscribe(self, kind: Kind, *key: Any) -> None:
        """Ask the hub for a contract's or an account's events.

        Raises:
            InvocationFailed: it will not, or does not answer.
            ConnectionLost: the connection is over.
        """
        await self.connection.invoke(f"Subscribe{kind.method}", *key)

    async def unsubscribe(self, kind: Kind, *key: Any) -> None:
        """Ask the hub to stop; raises as `subscribe` does."""
        await self.connection.invoke(f"Unsubscribe{kind.method}", *key)

    async def probe(self) -> None:
        """Ask what every hub answers: a method that it has not, whose refusal comes behind all that was sent before.

        Raises:
            InvocationFailed: there was no answer in time.
            ConnectionLost: the connection is over.
        """
        try:
            await self.connection.invoke(PROBE)
        except InvocationFailed as error:
            if not error.answered:
                raise

    async def close(self) -> None:
        """Close the connection; nobody is told of a loss."""
        self._over = True
        if self._connection is not None:
            await self._connection.close()

    def on_calls(self, calls: list[Call]) -> None:
        """Decode what came at once, a kind at a time, and hand it on."""
        received = self._clock.now
        targets = {call.target for call in calls}
        for kind, decoder in self._decoders.values():
            wanted = targets.intersection(kind.events)
            if not wanted:
                continue
            if len(targets) == 1:
                records = [call.record for call in calls]
            else:
                records = [call.record for call in calls if call.target in wanted]
            batch = decoder.drain(records, received)
            if self._sink is not None and batch.keys and not self._over:
                self._sink(kind, batch)
        if LOGOUT in targets:
            self.lost(ConnectionLost(f"{self.connection.name} ended the session ({LOGOUT})", "logout"))

    def on_garbage(self, record: bytes) -> None:
        """Report a record that is no message."""
        text = record[:200].decode("utf-8", "backslashreplace")
        self._reject(Undecoded("SignalR", text, "it is not a message of SignalR", None, self._clock.now))

    def lost(self, error: ConnectionLost) -> None:
        """Tell of the end, once."""
        if not self._over:
            self._over = True
            self._on_lost(error)
