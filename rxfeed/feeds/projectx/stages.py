"""What one kind of stream goes through while one connection takes over from another: each says the same, at its own time.

A stage sits between the connection that is live and the streams. It lets pass what that one says, holds what the successor
says, and on the handover lets out what was held and not said yet; from then on the successor is the live one, and what it
repeats is left out. There may be several, one behind the other, when connections follow each other quickly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from rxfeed.kernels.splice import DepthSplice, Mark, QuoteSplice, Splice
from rxfeed.model import Depth, Gap, Quote, Tick


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


class _Quiet:
    """What stages have in common that do not match element by element."""

    done = False
    """Whether everything passes it unchanged."""

    def __init__(self) -> None:
        self._waiting = frozenset({"answer"})

    def subscribed(self, key: str) -> None:
        """Do nothing."""

    def mark(self) -> Mark | None:
        """Return nothing."""

    def answered(self, mark: Mark | None) -> list[Any]:
        """Note that all that was said before is here."""
        self._waiting = frozenset[str]()
        return []

    def abort(self) -> None:
        """Stay with the live one."""
        self.done = True

    def lost(self) -> list[Any]:
        """Return nothing: what the successor said was of use only with its connection."""
        return []

    def gaps(self) -> list[Gap]:
        """Return nothing: gaps are of trades."""
        return []


class EventsStage(_Quiet):
    """What the user hub tells: each event carries ids and times, so the same event is the same record.

    Once both have answered questions, whatever one was sent before is here, and so is what the other was: then what the
    successor said and the old one did not is what comes out, and nothing that comes later can be a repetition.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: Counter[Any] = Counter()
        self._held: list[Any] = []

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
        super().abort()
        self._held.clear()
        self._said.clear()

    def add(self, key: str, since: int | None) -> None:
        """Do nothing."""

    def drop(self, key: str) -> None:
        """Do nothing."""


def _key(row: Any) -> Any:
    fields: dict[str, Any] = msgspec.structs.asdict(row)
    fields.pop("received", None)
    return type(row), tuple(fields.values())


class QuotesStage(_Quiet):
    """Quotes: one side at a time, and never an older one."""

    def __init__(self) -> None:
        super().__init__()
        self._splice = QuoteSplice()
        self._keys: set[str] = set()
        self._behind: set[str] | None = None

    @property
    def pending(self) -> frozenset[str]:
        """Not empty before both have answered, so that the successor has said what it says at first."""
        return self._waiting

    def live(self, rows: list[Quote]) -> list[Quote]:
        """Take quotes of the live connection."""
        if self.done:
            return rows
        if self._behind is None:
            self._keys.update(row.symbol for row in rows)
            return self._splice.old(rows)
        out = self._splice.new(rows)
        self._behind.difference_update(row.symbol for row in out)
        self.done = not self._behind
        return out

    def shadow(self, rows: list[Quote]) -> None:
        """Take quotes of the successor."""
        self._keys.update(row.symbol for row in rows)
        self._splice.new(rows)

    def handover(self) -> list[Quote]:
        """Return what the successor knows better."""
        out = [quote for key in sorted(self._keys) for quote in self._splice.cut(key)]
        self._behind = self._keys - {quote.symbol for quote in out}
        return out

    def add(self, key: str, since: int | None) -> None:
        """Do nothing."""

    def drop(self, key: str) -> None:
        """Take out a contract."""
        self._keys.discard(key)
        self._splice.drop(key)
        if self._behind is not None:
            self._behind.discard(key)


class DepthStage(_Quiet):
    """Order books: the successor's is built in the shadow, from its reset, and takes over whole.

    Args:
        keys: the contracts.
        epoch: of the successor.
        now: what time it is.
    """

    def __init__(self, keys: Iterable[str], epoch: int, now: Callable[[], int]) -> None:
        super().__init__()
        self._splice = DepthSplice(epoch)
        self._keys, self._now = set(keys), now

    @property
    def pending(self) -> frozenset[str]:
        """The contracts whose book the successor has not sent."""
        return frozenset(key for key in self._keys if not self._splice.ready(key)) | self._waiting

    def live(self, rows: list[Depth]) -> list[Depth]:
        """Take depth of the live connection."""
        return rows if self.done else self._splice.old(rows)

    def shadow(self, rows: list[Depth]) -> None:
        """Take depth of the successor."""
        self._splice.new(rows)

    def handover(self) -> list[Depth]:
        """Return the successor's books."""
        self.done = True
        now = self._now()
        return [row for key in sorted(self._keys) for row in self._splice.cut(key, received=now)]

    def add(self, key: str, since: int | None) -> None:
        """Take in a contract."""
        self._keys.add(key)

    def drop(self, key: str) -> None:
        """Take out a contract."""
        self._keys.discard(key)
        self._splice.drop(key)
