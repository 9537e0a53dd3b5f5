"""What one kind of stream goes through while one connection takes over from another: each says the same, at its own time.

A stage sits between the connection that is live and the streams. It lets pass what that one says, holds what the successor
says, and on the handover lets out what was held and not said yet; from then on the successor is the live one, and what it
repeats is left out. There may be several, one behind the other, when connections follow each other quickly.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

import msgspec

from rxfeed.kernels.splice import Mark, Splice
from rxfeed.model import Gap, Tick


class Stage(Protocol):
    """A stage of one kind."""

    @property
    def pending(self) -> frozenset[str]:
        """What a handover now would be uncertain about."""
        ...

    @property
    def done(self) -> bool:
        """Whether everything passes it unchanged."""
        ...

    def live(self, rows: list[Any]) -> list[Any]:
        """Take what the live connection says; return what comes out."""
        ...

    def shadow(self, rows: list[Any]) -> None:
        """Take what the successor says."""
        ...

    def subscribed(self, key: str) -> None:
        """Note that the successor was granted a subscription."""
        ...

    def answered(self, mark: Mark | None) -> list[Any]:
        """Note that both have answered questions sent at `mark`; return what comes out."""
        ...

    def mark(self) -> Mark | None:
        """Return what tells later when a question was sent."""
        ...

    def handover(self) -> list[Any]:
        """Make the successor the live one; return what comes out."""
        ...

    def abort(self) -> None:
        """Stay with the live one."""
        ...

    def lost(self) -> list[Any]:
        """Note that the live one has ended; return what comes out."""
        ...

    def gaps(self) -> list[Gap]:
        """Return, once, what may be missing; to be told before what came out."""
        ...

    def add(self, key: str, since: int | None) -> None:
        """Take in a subscription that is new to both."""
        ...

    def drop(self, key: str) -> None:
        """Take out a subscription that nobody has any more."""
        ...


class TradesStage:
    """Trades, matched one by one.

    Args:
        splice: of both connections.
    """

    def __init__(self, splice: Splice) -> None:
        self._splice = splice
        self._handed_over = False

    @property
    def pending(self) -> frozenset[str]:
        """Symbols whose trades do not tell yet where the two meet."""
        return self._splice.pending

    @property
    def mismatched(self) -> frozenset[str]:
        """Symbols of which the two say different trades."""
        return self._splice.mismatched

    @property
    def slack(self) -> int:
        """The largest step back in event time that was seen, in ns."""
        return self._splice.slack

    @property
    def done(self) -> bool:
        """Whether everything passes it unchanged."""
        return self._splice.done

    def live(self, rows: list[Tick]) -> list[Tick]:
        """Take trades of the live connection."""
        return self._splice.new(rows) if self._handed_over else self._splice.old(rows)

    def shadow(self, rows: list[Tick]) -> None:
        """Take trades of the successor: they are held."""
        self._splice.new(rows)

    def subscribed(self, key: str) -> None:
        """Note that the successor was granted a subscription."""
        self._splice.new_subscribed(key)

    def mark(self) -> Mark | None:
        """Return what had come when a question was sent."""
        return self._splice.mark()

    def answered(self, mark: Mark | None) -> list[Tick]:
        """Note answers: whatever was said before is here."""
        out: list[Tick] = []
        for symbol in self._splice.pending:
            out += self._splice.old_answered(symbol, mark)
            if mark is not None:
                out += self._splice.new_answered(symbol, mark)
        return out

    def handover(self) -> list[Tick]:
        """End the old one."""
        self._handed_over = True
        return self._splice.old_lost()

    def abort(self) -> None:
        """End the new one."""
        self._splice.abort()

    def lost(self) -> list[Tick]:
        """Note that the live one has ended."""
        return self._splice.new_lost() if self._handed_over else self._splice.old_lost()

    def gaps(self) -> list[Gap]:
        """Return what may be missing."""
        return self._splice.gaps()

    def add(self, key: str, since: int | None) -> None:
        """Take in a contract."""
        self._splice.add(key, since)

    def drop(self, key: str) -> None:
        """Take out a contract."""
        self._splice.drop(key)


class EventsStage:
    """What the user hub tells: each event carries ids and times, so the same event is the same record.

    Once both have answered questions, whatever one was sent before is here, and so is what the other was: then what the
    successor said and the old one did not is what comes out, and nothing that comes later can be a repetition.
    """

    def __init__(self) -> None:
        self._said: Counter[Any] = Counter()
        self._held: list[Any] = []
        self._waiting: frozenset[str] = frozenset({"everything"})
        self.done = False
        """Whether everything passes it unchanged."""

    @property
    def pending(self) -> frozenset[str]:
        """Not empty before both have answered: until then either may still have something to say."""
        return self._waiting

    def live(self, rows: list[Any]) -> list[Any]:
        """Take events of the live connection."""
        if not self.done:
            self._said.update(map(_key, rows))
        return rows

    def shadow(self, rows: list[Any]) -> None:
        """Take events of the successor: they are held."""
        self._held += rows

    def subscribed(self, key: str) -> None:
        """Do nothing."""

    def mark(self) -> Mark | None:
        """Return nothing."""

    def answered(self, mark: Mark | None) -> list[Any]:
        """Note that all that was said before is here."""
        self._waiting = frozenset()
        return []

    def handover(self) -> list[Any]:
        """Return what only the successor has said."""
        out: list[Any] = []
        for row in self._held:
            if self._said[_key(row)] > 0:
                self._said[_key(row)] -= 1
            else:
                out.append(row)
        self.abort()
        return out

    def abort(self) -> None:
        """Forget what both said."""
        self.done = True
        self._held.clear()
        self._said.clear()

    def lost(self) -> list[Any]:
        """Return what only the successor has said."""
        return self.handover()

    def gaps(self) -> list[Gap]:
        """Return nothing: gaps are of trades."""
        return []

    def add(self, key: str, since: int | None) -> None:
        """Do nothing."""

    def drop(self, key: str) -> None:
        """Do nothing."""


def _key(row: Any) -> Any:
    fields: dict[str, Any] = msgspec.structs.asdict(row)
    fields.pop("received", None)
    return type(row), tuple(fields.values())


class QuotesStage(EventsStage):
    def __init__(self, keys: object) -> None:
        super().__init__()


class DepthStage(EventsStage):
    def __init__(self, keys: object) -> None:
        super().__init__()
