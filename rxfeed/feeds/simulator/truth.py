"""What was sent to whom, exactly: counts and sums that a client's own must equal.

Prices are summed as whole ticks times size, so the sums are integers and compare with `==`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from rxfeed.feeds.simulator.ledger import Ledger, Trade
from rxfeed.feeds.simulator.records import Kind, Record
from rxfeed.feeds.simulator.spans import Spans
from rxfeed.times import iso

Topic = tuple[Kind, str]

_CONNECTIONS: Final = 10_000


class Totals:
    """Counts and sums of one kind of one contract (or account)."""

    __slots__ = ("elements", "last_seq", "messages", "spans", "ticks", "volume")

    def __init__(self) -> None:
        self.messages = 0
        self.elements = 0
        self.volume = 0
        self.ticks = 0
        self.last_seq = -1
        self.spans = Spans()
        """The numbers of the trades, where it is trades."""

    def __repr__(self) -> str:
        return f"Totals({', '.join(f'{name}={value}' for name, value in self.row().items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Totals) and self.row() == other.row()

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # it changes

    def add(self, record: Record) -> None:
        """Count one message."""
        self.messages += 1
        self.elements += record.elements
        self.volume += record.volume
        self.ticks += record.ticks
        if record.seq > self.last_seq:
            self.last_seq = record.seq
        if record.first >= 0:
            self.spans.add(record.first, record.seq)

    def include(self, other: Totals) -> None:
        """Count what another has counted."""
        self.messages += other.messages
        self.elements += other.elements
        self.volume += other.volume
        self.ticks += other.ticks
        self.last_seq = max(self.last_seq, other.last_seq)
        self.spans.update(other.spans)

    def row(self) -> dict[str, int]:
        """Return the numbers by name."""
        return {name: getattr(self, name) for name in ("messages", "elements", "volume", "ticks", "last_seq")}


class Kept(NamedTuple):
    """One message as it was sent."""

    time: int
    connection: str
    payload: bytes


class Sent:
    """What one connection was sent, by topic.

    `totals` counts what was handed to the socket. When a socket dies, what it still held is counted in `unsent` too, so
    that `reached()` is what really went out: no client can have received more.
    """

    __slots__ = ("bytes", "closed", "end", "hub", "id", "messages", "opened", "totals", "unsent", "user")

    def __init__(self, id: str, hub: str, user: str, opened: int) -> None:
        self.id = id
        self.hub = hub
        self.user = user
        self.opened = opened
        self.closed: int | None = None
        self.end: str | None = None
        self.messages = 0
        self.bytes = 0
        self.totals: dict[Topic, Totals] = {}
        self.unsent: dict[Topic, Totals] = {}

    def __repr__(self) -> str:
        return f"Sent({self.id}, {self.hub}, {self.messages} messages, {'open' if self.end is None else self.end})"

    def add(self, records: Iterable[Record]) -> None:
        """Count messages that were handed to the socket."""
        totals = self.totals
        for record in records:
            self.messages += 1
            self.bytes += len(record.frame)
            for part in record.parts or (record,):
                one = totals.get(part.topic)
                if one is None:
                    one = totals[part.topic] = Totals()
                one.add(part)

    def lose(self, records: Iterable[Record]) -> None:
        """Count messages that the socket still held when it died."""
        for record in records:
            for part in record.parts or (record,):
                self.unsent.setdefault(part.topic, Totals()).add(part)

    def of(self, kind: Kind, contract: str) -> Totals:
        """Return what was sent of one kind of one contract; zeros if nothing was."""
        return self.totals.get((kind, contract)) or Totals()

    def reached(self, kind: Kind, contract: str) -> dict[str, int]:
        """Return what really went out, but for `last_seq`: messages, elements, volume and ticks."""
        sent, unsent = self.of(kind, contract).row(), (self.unsent.get((kind, contract)) or Totals()).row()
        return {name: sent[name] - unsent[name] for name in sent if name != "last_seq"}

    def trades(self, contract: str) -> Spans:
        """Return the numbers of the trades that really went out, counted from the contract's first, which is 0."""
        unsent = self.unsent.get(("trades", contract))
        sent = self.of("trades", contract).spans
        return sent.copy() if unsent is None else sent - unsent.spans

    def row(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "connection": self.id, "hub": self.hub, "user": self.user, "opened": iso(self.opened),
            "closed": None if self.closed is None else iso(self.closed), "end": self.end, "messages": self.messages,
            "bytes": self.bytes, "sent": _by_topic(self.totals), "unsent": _by_topic(self.unsent),
            "trades": {contract: list(self.trades(contract)) for kind, contract in self.totals if kind == "trades"},
        }  # fmt: skip


class Truth:
    """Everything that a simulator traded and sent.

    Args:
        keep: how many messages to keep as they were sent, the newest ones; 0 keeps none.
        keep_trades: how many trades to keep of each contract, the newest ones; 0 keeps none.
    """

    __slots__ = ("_folded", "_keep_trades", "_reached", "connections", "earlier", "kept", "ledgers", "traded")

    def __init__(self, keep: int = 0, keep_trades: int = 0) -> None:
        if keep < 0:
            raise ValueError(f"keep must be 0 or more messages, got {keep}")
        if keep_trades < 0:
            raise ValueError(f"keep_trades must be 0 or more trades, got {keep_trades}")
        self._keep_trades = keep_trades
        self.ledgers: dict[str, Ledger] = {}
        """The newest trades, by contract."""
        self.traded: dict[str, Totals] = {}
        """What the market traded, by contract, whether anybody was there to see it or not."""
        self.connections: dict[str, Sent] = {}
        self.earlier = 0
        """Connections that ended long ago, of which only the sums are known."""
        self._folded: dict[Topic, Totals] = {}
        self._reached: dict[str, Spans] = {}
        self.kept: deque[Kept] = deque(maxlen=keep)

    def __repr__(self) -> str:
        return f"Truth({len(self.connections)} connections, {sum(t.elements for t in self.traded.values())} trades)"

    def begin(self, contract: str) -> tuple[Totals, Ledger]:
        """Return what counts a contract's trades, and what keeps them."""
        return self.traded.setdefault(contract, Totals()), self.ledgers.setdefault(contract, Ledger(self._keep_trades))

    def open(self, sent: Sent) -> None:
        """Begin with a connection; the oldest one that has ended is let go when there are too many."""
        if len(self.connections) >= _CONNECTIONS:
            gone = next((id for id, one in self.connections.items() if one.end is not None), None)
            if gone is not None:
                self._fold(self.connections.pop(gone))
                self.earlier += 1
        self.connections[sent.id] = sent

    def _fold(self, sent: Sent) -> None:
        for topic, totals in sent.totals.items():
            self._folded.setdefault(topic, Totals()).include(totals)
            if topic[0] == "trades":
                self._reached.setdefault(topic[1], Spans()).update(sent.trades(topic[1]))

    def unseen(self, contract: str) -> Spans:
        """Return the numbers of the trades that went out to nobody at all."""
        seen = self._reached.get(contract, Spans()).copy()
        for one in self.connections.values():
            seen.update(one.trades(contract))
        return Spans((0, self.traded[contract].last_seq)) - seen

    def trades(self, contract: str, numbers: Iterable[tuple[int, int]] | None = None) -> list[Trade]:
        """Return trades as they were done, all or those of these numbers, as far as `keep_trades` has kept them."""
        ledger = self.ledgers[contract]
        return list(ledger if numbers is None else ledger.of(numbers))

    def sent(self, kind: Kind, contract: str) -> Totals:
        """Return what was sent of one kind of one contract, to all connections together."""
        result = Totals()
        result.include(self._folded.get((kind, contract)) or Totals())
        for one in self.connections.values():
            result.include(one.of(kind, contract))
        return result

    def row(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        topics = {topic: None for sent in self.connections.values() for topic in sent.totals} | dict.fromkeys(self._folded)
        return {
            "simulated": True,
            "traded": {contract: totals.row() for contract, totals in self.traded.items()},
            "sent": _by_topic({topic: self.sent(*topic) for topic in topics}),
            "unseen": {contract: list(self.unseen(contract)) for contract in self.traded},
            "connections": [sent.row() for sent in self.connections.values()],
            "earlier_connections": self.earlier,
        }


def _by_topic(totals: dict[Topic, Totals]) -> dict[str, dict[str, dict[str, int]]]:
    result: dict[str, dict[str, dict[str, int]]] = {}
    for (kind, name), one in totals.items():
        result.setdefault(kind, {})[name] = one.row()
    return result
