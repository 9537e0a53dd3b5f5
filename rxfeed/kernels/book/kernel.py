"""The kernel of `order_book`: one book a symbol, made of resets and levels, and never shown half built or crossed.

Levels come in groups: one message of the source, known by `received`, or by `time` where that is not known. Between two
levels of a group a book may be crossed, and after a reset it is incomplete; so in both cases it is held until the group
is over. Then it is shown, or found to be crossed: what was missed cannot be known, and only a reset makes it good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final, NamedTuple

from rxfeed.book import Book
from rxfeed.clock import Clock
from rxfeed.frame import Frame
from rxfeed.kernels.book.state import EMPTY, FILLING, SHOWN, UNREADY, BookSnapshot, State, load, save
from rxfeed.model import Depth, DepthKind, Reject, Side
from rxfeed.times import FOREVER, NANOSECONDS

GROUP_OVER: Final = 100 * NANOSECONDS["ms"]
"""With a clock, a group is over this long after a book was first held for it. Live, it all comes in one turn of the loop."""

_LEVEL: Final = int(DepthKind.LEVEL)
_RESET: Final = int(DepthKind.RESET)
_BUY: Final = int(Side.BUY)
_SIDES: Final = (_BUY, int(Side.SELL))


class BookStats(NamedTuple):
    """received = applied + rejected + unready + stale."""

    received: int
    applied: int
    rejected: int
    """Elements that can be no change of a book."""
    unready: int
    """Levels of a book that waits for a reset."""
    stale: int
    """Elements of an older epoch than their symbol's."""
    emitted: int
    """Books that came out."""
    crossed: int
    """Books that were thrown away since they were crossed."""
    cut: int
    """Levels let go, the worst of a side that had too many."""
    by_rule: Mapping[str, int]
    """Rejected elements by rule: kind, empty, finite, size and side."""


class BookKernel:
    """The books of all symbols.

    Args:
        depth: levels shown on a side.
        levels: levels kept on a side.
        every: ns between two Books of one symbol, or None to show each change.
        clock: what `every` goes by; without one it goes by event time.
    """

    def __init__(self, depth: int = 10, levels: int = 10_000, *, every: int | None = None, clock: Clock | None = None) -> None:
        self.depth, self.levels = depth, levels
        self.every, self.clock = every, clock
        self.heard = True
        """Whether anybody asks for faults; if not, they are only counted."""
        self.faults: list[Reject] = []
        self.due = FOREVER
        """When `elapse` has something to do; never without a clock."""
        self._states: dict[str, State] = {}
        self._held: dict[str, State] = {}  # till their group is over
        self._changed: dict[str, State] = {}  # to be shown when their period is over
        self._flush_at = FOREVER
        self._received = self._unready = self._stale = self._emitted = self._crossed = 0
        self._by_rule: Counter[str] = Counter()

    def frame(self, frame: Frame[Depth]) -> list[Book]:
        """Take the rows of a frame, one by one."""
        return [book for d in frame.rows() for book in self.element(d)]

    def element(self, d: Depth) -> Sequence[Book]:
        """Take one element; return the Books that are due now: of before it, of after it, both or none."""
        self._received += 1
        price, side, size = d.price, d.side, d.size
        state = self._states.get(d.symbol)
        # The quick way of a level that is as it should be, where nothing is held.
        if (
            state is not None
            and d.epoch == state.open
            and d.kind == _LEVEL
            and price is not None
            and isfinite(price)
            and size >= 0
            and side in _SIDES
        ):
            state.last = d
            if not (state.bids if side == _BUY else state.asks).put(price, size):
                return ()
            if not state.crossed():
                self._emitted += 1
                return (state.book(),)
            return self._show(state, d, [])
        return self._any(d)

    def _any(self, d: Depth) -> list[Book]:
        out: list[Book] = []
        rule = _wrong(d)
        if rule is not None:
            self._by_rule[rule[0]] += 1
            if self.heard:
                self.faults.append(Reject(d, *rule))
            return out
        state = self._states.get(d.symbol)
        if state is None:
            state = self._states[d.symbol] = State(self.depth, self.levels)
        if d.epoch < state.epoch:
            self._stale += 1
            return out
        self._before(state, d, out)
        if d.kind == _RESET:
            state.clear(EMPTY)
            state.last = d
            self._hold(state, d)
            return out
        if state.stage == UNREADY:
            self._unready += 1
            return out
        assert d.price is not None
        state.last = d
        changed = (state.bids if d.side == _BUY else state.asks).put(d.price, d.size)
        return self._show(state, d, out) if changed or state.stage else out

    def finish(self) -> list[Book]:
        """Nothing more comes, so every group and period is over: return what they held."""
        out: list[Book] = []
        for state in [*self._held.values()]:
            self._settle(state, out)
        return out + self.flush()

    def flush(self) -> list[Book]:
        """Return what waits for the end of its period."""
        out: list[Book] = []
        for state in self._changed.values():
            self._emit(state, out)
        self._changed.clear()
        self._flush_at = FOREVER
        return out

    def elapse(self) -> list[Book]:
        """Return what is due by the clock."""
        assert self.clock is not None
        now = self.clock.now
        out: list[Book] = []
        for state in [state for state in self._held.values() if state.due <= now]:
            self._settle(state, out)
        if self._flush_at <= now:
            out += self.flush()
        self.due = min(self._flush_at, *(state.due for state in self._held.values()), FOREVER)
        return out

    @property
    def stats(self) -> BookStats:
        """What became of the elements so far."""
        rejected = self._by_rule.total()
        applied = self._received - rejected - self._unready - self._stale
        cut = sum(state.bids.cut + state.asks.cut for state in self._states.values())
        return BookStats(
            self._received, applied, rejected, self._unready, self._stale, self._emitted, self._crossed, cut,
            dict(self._by_rule),
        )  # fmt: skip

    def take_faults(self) -> list[Reject]:
        """Return what was reported since the last call."""
        faults = self.faults[:]
        self.faults.clear()
        return faults

    # --- one element

    def _before(self, state: State, d: Depth, out: list[Book]) -> None:
        """Do what `d` says of what was before it: that a group is over, a period, or a connection."""
        if (state.stage == FILLING or state.crosser is not None) and _group(d) != state.group:
            self._settle(state, out)
        if self.every is not None and self.clock is None and (period := d.time // self.every) > state.period:
            state.period = period
            if self._changed.pop(d.symbol, None) is not None:
                self._emit(state, out)
        if d.epoch != state.epoch:
            state.epoch = d.epoch
            state.clear(UNREADY)
            self._held.pop(d.symbol, None)
            self._changed.pop(d.symbol, None)

    def _show(self, state: State, d: Depth, out: list[Book]) -> list[Book]:
        """Show a change, now or at the end of the period; not while the book is being built or is crossed."""
        if state.stage == EMPTY:
            state.stage = FILLING
            self._hold(state, d)
        if state.crossed():
            if state.crosser is None:
                state.crosser = d
                if state.stage == SHOWN:
                    self._hold(state, d)
            return out
        if state.crosser is not None:
            state.crosser = None
            if state.stage == SHOWN:
                del self._held[d.symbol]
        if state.stage == SHOWN:
            self._ready(state, d, out)
        return out

    def _ready(self, state: State, last: Depth, out: list[Book]) -> None:
        """The book may be shown: do so now, or at the end of the period."""
        if self.every is None:
            if state.stage == SHOWN:
                state.open = state.epoch
            self._emit(state, out)
            return
        self._changed[last.symbol] = state
        if self.clock is not None and self._flush_at == FOREVER:
            self._flush_at = (self.clock.now // self.every + 1) * self.every
            self.due = min(self.due, self._flush_at)

    def _emit(self, state: State, out: list[Book]) -> None:
        if state.differs():
            self._emitted += 1
            out.append(state.book())

    # --- groups

    def _hold(self, state: State, d: Depth) -> None:
        """Show nothing until the group of `d` is over."""
        state.open = None
        state.group = _group(d)
        self._held[d.symbol] = state
        self._changed.pop(d.symbol, None)
        if self.clock is not None:
            state.due = self.clock.now + GROUP_OVER
            self.due = min(self.due, state.due)

    def _settle(self, state: State, out: list[Book]) -> None:
        """The group is over: show what was held, unless it is crossed."""
        assert state.last is not None
        symbol, crosser = state.last.symbol, state.crosser
        del self._held[symbol]
        if crosser is None:
            if state.stage == FILLING:
                state.stage = SHOWN
            self._ready(state, state.last, out)
            return
        self._crossed += 1
        if self.heard:
            text = f"bid {state.bids.best()} is above ask {state.asks.best()}; no book of {symbol} until its next reset"
            self.faults.append(Reject(crosser, "crossed", text))
        state.clear(UNREADY)

    # --- snapshots

    def snapshot(self) -> BookSnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there."""
        counts = {
            "received": self._received, "unready": self._unready, "stale": self._stale, "emitted": self._emitted,
            "crossed": self._crossed, **self._by_rule,
        }  # fmt: skip
        return save(self._states, self._held, self._changed, counts)

    def restore(self, snapshot: BookSnapshot) -> None:
        """Take over a state, instead of the present one. What was held or waited is due by the present clock."""
        self._states, held, changed = load(snapshot, self.depth, self.levels)
        self._held, self._changed = {}, {}
        self.faults.clear()
        self.due = self._flush_at = FOREVER
        for state, last in ((s, s.last) for s in map(self._states.__getitem__, held)):
            assert last is not None
            self._hold(state, last)  # it is of the group that is held
        for state, last in ((s, s.last) for s in map(self._states.__getitem__, changed)):
            assert last is not None
            self._ready(state, last, [])
        counts = dict(snapshot.counts.iter_rows())
        names = ("received", "unready", "stale", "emitted", "crossed")
        self._received, self._unready, self._stale, self._emitted, self._crossed = (counts.pop(name) for name in names)
        self._by_rule = Counter(counts)


def _group(d: Depth) -> int:
    return d.time if d.received is None else d.received


def _wrong(d: Depth) -> tuple[str, str] | None:
    """Return what rule an element fails, and why."""
    if d.kind == _RESET:
        return None
    if d.kind != _LEVEL:
        return "kind", f"kind must be LEVEL or RESET, got {d.kind!r}"
    if d.price is None:
        return "empty", "a level must have a price, got None"
    if not isfinite(d.price):
        return "finite", f"price must be finite, got {d.price}"
    if d.size < 0:
        return "size", f"size must be 0 or more, got {d.size}"
    if d.side not in _SIDES:
        return "side", f"a level must be on a side, BUY or SELL, got {d.side!r}"
    return None
