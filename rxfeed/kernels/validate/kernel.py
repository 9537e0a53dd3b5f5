"""The kernel of `validate`, row by row: every element passes, waits as a suspect, or is rejected with rule and reason.

An ordinary tick costs a few comparisons: its price lies in a band around the last one, within which no rule on prices can
fail. Whatever is outside the band, or unusual in another way, is looked at rule by rule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from rxfeed.frame import Frame
from rxfeed.instrument import Instrument, Instruments, by_symbol
from rxfeed.kernels import extra
from rxfeed.model import UNKNOWN_TIME, Reject, Tick
from rxfeed.rules import (
    DEFAULT,
    Crossed,
    Element,
    Empty,
    Finite,
    Future,
    GoingBack,
    Jump,
    KnownTime,
    OnGrid,
    Positive,
    Rule,
    RuleError,
    Size,
    Stale,
)  # fmt: skip
from rxfeed.times import FOREVER, NANOSECONDS, iso, nanoseconds

_KNOWN_PRICES = 65_536
_CENTURY = 100 * 366 * NANOSECONDS["d"]
PLAIN = (KnownTime, Finite, Positive, OnGrid, Size, Crossed, Empty, Future, Stale)
"""The rules that the quick judgement of a tick has in it."""


Passing = tuple[int, Exception | None]


class ValidateStats(NamedTuple):
    """received = emitted + rejected + pending."""

    received: int
    emitted: int
    rejected: int
    pending: int
    """Suspects that wait to be confirmed, at most `Jump.confirm` a symbol."""
    by_rule: Mapping[str, int]
    """Rejected elements by the first rule that they failed."""


class ValidateSnapshot(NamedTuple):
    """A kernel's state as frames: `memories` by symbol, `pending` suspects, `counts` by name."""

    memories: pl.DataFrame
    pending: pl.DataFrame
    counts: pl.DataFrame


class Memory:
    """What is remembered of one symbol. Between `low` and `high` a price passes every built-in rule on prices, grid aside."""

    __slots__ = ("distance", "fraction", "good", "high", "instrument", "last", "low", "pending", "time")

    def __init__(self, instrument: Instrument | None, fraction: float, distance: float, *, grid: bool) -> None:
        self.instrument = instrument
        self.fraction, self.distance = fraction, distance
        self.good: set[float] | None = set() if grid else None
        self.low, self.high = math.inf, -math.inf
        self.last: float | None = None
        self.time = -FOREVER
        self.pending: list[Tick] = []

    def near(self, price: float, level: float) -> bool:
        """Whether `price` is no jump from `level`."""
        return abs(price - level) <= self.fraction * abs(level) + self.distance


class ValidateKernel:
    """The rules and what they remember.

    Args:
        rules: none for `rules.DEFAULT`; in any order, as theirs is fixed.
        instruments: by symbol; tick sizes, sessions and who may be negative.
        fast: whether frames are first looked at by a compiled loop; the judgement is the same.

    Raises:
        RuleError: a rule is given twice, or does not fit an instrument.
    """

    def __init__(self, rules: Sequence[Rule] = DEFAULT, instruments: Instruments = None, *, fast: bool = False) -> None:
        self.instruments = by_symbol(instruments)
        for rule in rules:
            if not isinstance(rule, Rule):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"rules must be values of rxfeed.rules, such as rules.Finite(), got {rule!r}")
        names = [rule.name for rule in rules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise RuleError(f"a rule may be given once, got {twice[0]!r} {names.count(twice[0])} times")
        ordered = sorted(rules, key=lambda rule: rule.order)
        self.stateless = tuple(rule for rule in ordered if not isinstance(rule, (Jump, GoingBack)))
        self.jump = next((rule for rule in ordered if isinstance(rule, Jump)), None)
        self.going_back = any(isinstance(rule, GoingBack) for rule in ordered)
        self._positive = any(isinstance(rule, Positive) for rule in ordered)
        self._grid = any(isinstance(rule, OnGrid) for rule in ordered)
        self.memories: dict[str, Memory] = {}
        self.rejected: Counter[str] = Counter()
        self.quick: Callable[[ValidateKernel, Frame[Tick]], bool] | None = None
        """Whether a frame passes as it is; only if it says so, that is so."""
        if fast:
            self.quick = extra.fast("rxfeed.kernels.validate.fast").passes
        self.heard = True
        """Whether anybody asks for rejects; if not, they are only counted."""
        self.received = 0  # by the slow way; the quick one counts its own
        self._rejects: list[Reject] = []
        for instrument in self.instruments.values():
            if self.jump is not None:
                self.jump.limit(instrument)
        self.passes, self.passing, self._ordinary = self._make_passes()
        """`passes(tick)`: whether an ordinary tick passes as it is; if not, `element` must judge it. `passing(ticks)`: how many
        of the first do, and what judging the next one raised, if it did."""

    def _make_passes(self) -> tuple[Callable[[Tick], bool], Callable[[Iterable[Tick]], Passing], Callable[[], int]]:
        """Return the quick judgement, that of several ticks, and how many have passed it."""
        count = 0
        get = self.memories.get
        size = next((rule for rule in self.stateless if isinstance(rule, Size)), None)
        least, most = (-FOREVER, FOREVER) if size is None else (size.least, size.most)
        future = next((nanoseconds(rule.by) for rule in self.stateless if isinstance(rule, Future)), FOREVER)
        stale = next((nanoseconds(rule.after) for rule in self.stateless if isinstance(rule, Stale)), FOREVER)
        # No tick is received a century late: so the year 1 fails here too, and need not be asked for by itself.
        ahead, stale = -future, min(stale, _CENTURY)
        others = tuple(rule for rule in self.stateless if not isinstance(rule, PLAIN))
        going_back = self.going_back
        more = bool(others) or going_back

        def passed() -> int:
            return count

        def passes_others(t: Tick, memory: Memory) -> bool:
            if going_back and t.time < memory.time:
                return False
            if not all(rule.reason(t, memory.instrument) is None for rule in others):
                return False
            memory.time = t.time
            return True

        def passes(t: Tick) -> bool:
            nonlocal count
            memory = get(t.symbol)
            if memory is None:
                return False
            price, time, received = t.price, t.time, t.received
            if (
                memory.low <= price <= memory.high
                and ((good := memory.good) is None or price in good)
                and least <= t.size <= most
                and (UNKNOWN_TIME < time <= FOREVER if received is None else ahead <= received - time <= stale)
                and (not more or passes_others(t, memory))
            ):
                memory.last = price
                count += 1
                return True
            return False

        def passing(ticks: Iterable[Tick]) -> Passing:
            # The same once more: a call for each tick would cost a fifth of all this.
            nonlocal count
            good_ones, failed = 0, None
            try:
                for t in ticks:
                    memory = get(t.symbol)
                    if memory is None:
                        break
                    price, time, received = t.price, t.time, t.received
                    if (
                        memory.low <= price <= memory.high
                        and ((good := memory.good) is None or price in good)
                        and least <= t.size <= most
                        and (UNKNOWN_TIME < time <= FOREVER if received is None else ahead <= received - time <= stale)
                        and (not more or passes_others(t, memory))
                    ):
                        memory.last = price
                        good_ones += 1
                    else:
                        break
            except Exception as error:  # noqa: BLE001  # whatever a user's rule raises
                failed = error
            count += good_ones
            return good_ones, failed

        return passes, passing, passed

    def element(self, element: Element) -> list[Element]:
        """Judge one element rule by rule; return what passes now, in order: it, suspects that it confirms, or nothing."""
        self.received += 1
        memory = self.memory(element.symbol)
        for rule in self.stateless:
            reason = rule.reason(element, memory.instrument)
            if reason is not None:
                self.reject(element, rule.name, reason)
                return []
        if not isinstance(element, Tick):
            return [element]
        return [*self.remember(memory, element)]

    def remember(self, memory: Memory, tick: Tick) -> list[Tick]:
        """Judge a tick that passes by itself by what came before it."""
        if self.going_back and tick.time < memory.time:
            self._reject_back(memory, tick)
            return []
        if self.jump is None:
            return self._accept(memory, [tick])
        pending, price, last = memory.pending, tick.price, memory.last
        old = last is None or memory.near(price, last)
        if not pending:
            if old or self.jump.confirm == 1:
                return self._accept(memory, [tick])
            self._hold(memory, tick)
            return []
        new = memory.near(price, pending[-1].price)
        if new:
            # Near both: the market walked there, so the suspects were real. Near them alone: one more witness.
            if old or len(pending) + 1 >= self.jump.confirm:
                memory.pending = []
                return self._accept(memory, [*pending, tick])
            self._hold(memory, tick)
            return []
        assert last is not None
        self._reject_pending(memory, f"the market was at {last} before and {price} after")
        if old:
            return self._accept(memory, [tick])
        self._hold(memory, tick)
        return []

    def finish(self) -> None:
        """Reject the suspects that nothing can confirm any more."""
        waiting = [memory for memory in self.memories.values() if memory.pending]
        for memory in sorted(waiting, key=lambda memory: memory.pending[0].seq):
            self._reject_pending(memory, "the stream ended before it was confirmed")

    @property
    def stats(self) -> ValidateStats:
        """What became of the elements so far."""
        pending = sum(len(memory.pending) for memory in self.memories.values())
        rejected = self.rejected.total()
        received = self.received + self._ordinary()
        return ValidateStats(received, received - rejected - pending, rejected, pending, dict(self.rejected))

    def take_rejects(self) -> list[Reject]:
        """Return the rejects since the last call."""
        rejects = self._rejects[:]
        self._rejects.clear()
        return rejects

    def put_back(self, rejects: list[Reject]) -> None:
        """Undo `take_rejects`."""
        self._rejects[:0] = rejects

    # --- snapshots

    def snapshot(self) -> ValidateSnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there."""
        memories = self.memories.items()
        return ValidateSnapshot(
            pl.DataFrame(
                [(symbol, m.last, m.time) for symbol, m in memories],
                {"symbol": pl.String, "last": pl.Float64, "time": pl.Int64}, orient="row",
            ),
            Frame.of([tick for _, m in memories for tick in m.pending], Tick).df,
            pl.DataFrame(
                [("received", self.received + self._ordinary()), *self.rejected.items()],
                {"name": pl.String, "value": pl.Int64}, orient="row",
            ),
        )  # fmt: skip

    def restore(self, snapshot: ValidateSnapshot) -> None:
        """Take over a state, instead of the present one."""
        self.memories.clear()
        self._rejects.clear()
        for symbol, last, time in snapshot.memories.iter_rows():
            memory = self.memory(symbol)
            memory.last, memory.time = last, time
        for tick in Frame(snapshot.pending).rows():
            self.memory(tick.symbol).pending.append(tick)
        counts = dict(snapshot.counts.iter_rows())
        self.received = counts.pop("received") - self._ordinary()
        self.rejected.clear()
        self.rejected.update(counts)

    # --- state

    def memory(self, symbol: str) -> Memory:
        memory = self.memories.get(symbol)
        if memory is None:
            instrument = self.instruments.get(symbol)
            fraction, distance = (0.0, math.inf) if self.jump is None else self.jump.limit(instrument)
            grid = self._grid and instrument is not None and instrument.tick_size is not None
            memory = self.memories[symbol] = Memory(instrument, fraction, distance, grid=grid)
        return memory

    def reject(self, element: Element, rule: str, reason: str) -> None:
        self.rejected[rule] += 1
        if self.heard:
            self._rejects.append(Reject(element, rule, reason))

    def _reject_back(self, memory: Memory, tick: Tick) -> None:
        self.reject(tick, "going_back", f"time must not go back, got {iso(tick.time)} after {iso(memory.time)}")

    def _reject_pending(self, memory: Memory, why: str) -> None:
        for suspect in memory.pending:
            allowed = f"{memory.distance:.10g}" if memory.distance else f"{100 * memory.fraction:g} %"
            text = f"price {suspect.price} is more than {allowed} from the last accepted one, {memory.last}; {why}"
            self.reject(suspect, "jump", text)
        memory.pending = []

    def _hold(self, memory: Memory, tick: Tick) -> None:
        memory.pending.append(tick)
        memory.low, memory.high = math.inf, -math.inf

    def _accept(self, memory: Memory, ticks: list[Tick]) -> list[Tick]:
        if self.going_back:
            passed: list[Tick] = []
            for tick in ticks:
                if tick.time < memory.time:
                    self._reject_back(memory, tick)
                else:
                    memory.time = tick.time
                    passed.append(tick)
            ticks = passed
        if ticks:
            self.settle(memory, ticks[-1].price)
        return ticks

    def settle(self, memory: Memory, price: float) -> None:
        """Note the last accepted price and the band around it."""
        memory.last = price
        if memory.pending or not math.isfinite(price):
            memory.low, memory.high = math.inf, -math.inf
            return
        if memory.good is not None and len(memory.good) < _KNOWN_PRICES:
            memory.good.add(price)
        # Two prices that are both within a third of the limit from here are no jump from each other.
        room = (memory.fraction * abs(price) + memory.distance) / 3
        negative = not self._positive or (memory.instrument is not None and memory.instrument.may_be_negative)
        memory.low = max(price - room, -1.7e308 if negative else 5e-324)
        memory.high = min(price + room, 1.7e308)
