"""The splice of two connections of one feed: all contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rxfeed.model import Gap, Tick
from rxfeed.times import SECOND

from .contract import JOINING, OVER, Contract, Cut
from .joining import Steps

Mark = Mapping[str, tuple[int, int]]
"""How much had come of each contract when a question was sent; see `Splice.mark`."""


class Splice:
    """Two connections of one feed as one: every trade once, in order, whichever connection shows it.

    It is made when Subscribe is about to be sent on the new connection. Trades go in as they come and have no `seq` yet; what
    each call returns comes out now, in order. Old is authoritative, and new is held, until it is certain which of old's trades
    new began with; from then on (`cut` says "certain") either connection may end at any moment.

    It is certain of a contract when

    - both have said the same trades, in the same order, over a stretch of event time longer than the largest step back
      (`slack`): `Joining` has the proof; or
    - Completions tell so: new has subscribed, old has answered a question that was sent after that, and of the places
      that this leaves the trades rule out all but one. So it is with every contract that is quiet.

    It rests on this: a connection is first-in-first-out, both say a contract's trades in the same order, and a server that
    has answered has sent before what any server of the gateway had sent when it was asked.

    Old's end is told by `old_lost`, whether it was lost or closed; new's by `new_lost`. A splice that was aborted still passes
    old through, until it is `done`: until then what new said is kept, should old end too. Splices may be chained: what comes
    out of one goes into the next one as old's.

    Args:
        symbols: the contracts.
        slack: the largest step back in event time to expect, in ns; a larger one that is seen takes its place.
        capacity: how many trades are held, of all contracts; over it the splice is aborted, and old is kept.
        since: by symbol the newest event time before now, in ns, or when it was subscribed to if there was no trade: where
            a gap would begin.
    """

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        slack: int = SECOND,
        capacity: int = 100_000,
        since: Mapping[str, int] | None = None,
    ) -> None:
        if slack < 0:
            raise ValueError(f"slack must be at least 0, got {slack}")
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._steps, self._capacity = Steps(slack), capacity
        self._gaps: list[Gap] = []
        self._contracts: dict[str, Contract] = {}
        self._room = capacity
        self._origin: int | None = None  # the first event time of all
        self._pending: frozenset[str] | None = None
        self._old_ended = self._new_ended = False
        self.overflowed = False
        """Whether it was aborted since it held too much."""
        for symbol in symbols:
            self.add(symbol, None if since is None else since.get(symbol))

    # --- contracts

    def add(self, symbol: str, since: int | None = None) -> None:
        """Add a contract that is subscribed to on both from now on. What new says before old's first trade is not passed on."""
        if symbol not in self._contracts and not self._old_ended and not self._new_ended:
            self._contracts[symbol] = Contract(symbol, self._steps, since, self._gaps)
            self._pending = None

    def drop(self, symbol: str) -> None:
        """Take out a contract that nobody is subscribed to any more."""
        if self._contracts.pop(symbol, None) is not None:
            self._pending = None

    # --- trades

    def old(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Take trades of the old connection in the order in which they came; return what comes out."""
        out: list[Tick] = []
        if self._old_ended:
            return out
        if self._origin is None and ticks:
            self._origin = ticks[0].time
        get = self._contracts.get
        for tick in ticks:
            contract = get(tick.symbol)
            if contract is None or contract.stage == OVER:
                out.append(tick)
            else:
                contract.old(tick, out)
        self._took(len(ticks))
        return out

    def new(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Take trades of the new connection in the order in which they came; return what comes out."""
        out: list[Tick] = []
        if self._new_ended:
            return out
        get, alone = self._contracts.get, self._old_ended
        for tick in ticks:
            contract = get(tick.symbol)
            if contract is None:
                if alone:
                    out.append(tick)
            elif contract.stage == OVER:
                out.append(tick)
            else:
                contract.new(tick, out)
        self._took(len(ticks))
        return out

    # --- answers

    def new_subscribed(self, symbol: str) -> list[Tick]:
        """Take that Subscribe's Completion has come on new; return what comes out."""
        contract = self._contracts.get(symbol)
        if contract is not None and contract.stage == JOINING:
            contract.joining.subscribed()
        return []

    def mark(self) -> Mark:
        """Return what to hand to `old_answered` or `new_answered` about a question that is sent now."""
        return {symbol: contract.joining.mark() for symbol, contract in self._contracts.items()}

    def old_answered(self, symbol: str, mark: Mark | None = None) -> list[Tick]:
        """Take that old has answered; return what comes out.

        Args:
            symbol: of the contract, whose `new_subscribed` came before the question was sent.
            mark: from when it was sent; by default `new_subscribed`'s. A later question, with its own mark, says more.
        """
        out: list[Tick] = []
        contract = self._contracts.get(symbol)
        if contract is not None and contract.stage == JOINING:
            if contract.joining.old_answered(None if mark is None else mark.get(symbol)):
                contract.judge(out)
            self._pending = None
        return out

    def new_answered(self, symbol: str, mark: Mark) -> list[Tick]:
        """Take that new has answered; return what comes out.

        It is needed only where old says a trade between the making of the splice and the subscription, and then nobody
        says anything.

        Args:
            symbol: of the contract.
            mark: from when the question was sent.
        """
        out: list[Tick] = []
        contract = self._contracts.get(symbol)
        if contract is not None and contract.stage == JOINING and symbol in mark:
            contract.joining.new_answered(mark[symbol])
            contract.judge(out)
            self._pending = None
        return out

    # --- ends

    def old_lost(self) -> list[Tick]:
        """Take that old has ended, lost or closed; return what was held and comes out now.

        What is not certain is cut nevertheless, and `gaps` tells of it: take those first.
        """
        out: list[Tick] = []
        if self._old_ended:
            return out
        self._old_ended = True
        for contract in self._contracts.values():
            contract.lose_old(out, self._origin)
        self._pending = None
        return out

    def new_lost(self) -> list[Tick]:
        """Take that new has ended, lost or closed: old is kept, or gone back to. Returns nothing, like the others."""
        self._lose_new(keep=True)
        return []

    def abort(self) -> list[Tick]:
        """Keep old: the same as `new_lost`, by decision."""
        return self.new_lost()

    def settle(self) -> list[Tick]:
        """Take that time is up: if something is `pending` then, keep old. `mismatched` and `pending` say why."""
        if self.pending:
            self.abort()
        return []

    def _lose_new(self, *, keep: bool) -> None:
        if not self._new_ended:
            self._new_ended = True
            for contract in self._contracts.values():
                contract.lose_new(keep=keep)

    def _took(self, count: int) -> None:
        self._pending = None
        self._room -= count
        if self._room > 0 or self._old_ended or self._new_ended:
            return
        held = sum(contract.held for contract in self._contracts.values())
        self._room = self._capacity - held
        if self._room <= 0:
            self.overflowed = True
            self._lose_new(keep=False)

    # --- how it stands

    @property
    def pending(self) -> frozenset[str]:
        """The contracts that are not cut yet."""
        if self._pending is None:
            self._pending = frozenset(s for s, contract in self._contracts.items() if contract.how is None)
        return self._pending

    @property
    def aborted(self) -> bool:
        """Whether new has ended: old is kept, or gone back to."""
        return self._new_ended

    @property
    def done(self) -> bool:
        """Whether one has ended and nothing is held or owed, so that the other one's trades need no splice any more."""
        if not self._old_ended and not self._new_ended:
            return False
        return all(contract.stage == OVER for contract in self._contracts.values())

    def cut(self, symbol: str) -> Cut | None:
        """Return how a contract was cut; None if it was not, or is not known."""
        contract = self._contracts.get(symbol)
        return None if contract is None else contract.how

    def gaps(self) -> list[Gap]:
        """Return, once, what may be lost. Tell it before the trades that the same call returned.

        A gap whose end is not known, since new has said nothing yet, is ongoing; it comes again with its end.
        """
        gaps = self._gaps[:]
        self._gaps.clear()
        return gaps

    @property
    def mismatched(self) -> frozenset[str]:
        """The pending contracts whose trades on new are not among old's, as far as can be told."""
        return frozenset(s for s, contract in self._contracts.items() if contract.how is None and contract.joining.mismatched)

    @property
    def slack(self) -> int:
        """The largest step back in event time to expect, for the next splice of this feed, in ns."""
        return self._steps.expected
