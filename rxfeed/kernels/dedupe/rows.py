"""Rows: what is remembered is one dict a symbol, from key to when it was seen.

When is a number, not a time: elements are numbered as they pass, a dict is in the order of these numbers, and where each
slice of a symbol's event time began is noted. So a key costs one entry, what is old stands in front, and what is
oldest of all symbols together is known too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Any

import numpy as np

from rxfeed.kernels.dedupe.keys import KINDS, Key

SLICES = 16
"""A horizon is kept as this many slices of event time: keys stay for it and for one slice at most besides."""
_FEW = 64


class Memory:
    """What is remembered of one symbol. An element from `low` to before `due` moves nothing and can be judged."""

    __slots__ = ("at", "dead", "due", "floor", "known", "low", "marks", "removed")

    def __init__(self) -> None:
        self.known: dict[Hashable, int] = {}
        self.marks: deque[tuple[int, int, int]] = deque()
        """Of each slice that still counts: its number, that of the first element in it, and how many keys came before."""
        self.at = self.low = self.due = self.floor = 0
        self.dead = 0
        """How many keys came before the slices that count."""
        self.removed = 0
        """How many of the first keys are gone from `known`."""

    def enter(self, at: int, width: int, number: int) -> None:
        """Begin a slice; let go what is then too old, a lot at a time."""
        self.at, self.low, self.due = at, (at - SLICES) * width, (at + 1) * width
        marks = self.marks
        marks.append((at, number, len(self.known) + self.removed))
        while marks[0][0] < at - SLICES:
            marks.popleft()
        _, self.floor, self.dead = marks[0]
        old = self.dead - self.removed
        if old > _FEW and old * 8 > len(self.known):
            self.remove(old)

    def remove(self, count: int) -> None:
        """Forget the first keys."""
        known = self.known
        if count == len(known):
            known.clear()
        else:
            for key in list(islice(known, count)):
                del known[key]
        self.removed += count

    def remembered(self) -> int:
        """How many keys count."""
        return len(self.known) + self.removed - max(self.dead, self.removed)

    def live(self, most: int | None = None) -> dict[Hashable, int]:
        """The keys that count, at most so many, the oldest first."""
        begin = max(self.dead - self.removed, 0)
        return dict(islice(self.known.items(), begin, None if most is None else begin + most))


class RowLane:
    """Judges rows.

    Args:
        key: what tells elements apart.
        width: the length of a slice in ns.
        capacity: how many keys may be remembered.
    """

    __slots__ = (
        "_insert", "_set", "_state", "capacity", "duplicate", "evicted", "key", "quick", "tables", "unchecked", "width",
    )  # fmt: skip

    def __init__(self, key: Key, width: int, capacity: int) -> None:
        self.key, self.width, self.capacity = key, width, capacity
        self.duplicate = self.evicted = self.unchecked = 0
        self.tables: dict[type[Any], dict[str, Memory]] = {kind: {} for kind in KINDS}
        self.quick, self._insert, self._state, self._set = self._make()
        """By kind: `quick(row)`, whether an ordinary row passes and is remembered; if not, `judge` must say."""

    def _make(
        self,
    ) -> tuple[
        dict[type[Any], Callable[[Any], bool]],
        Callable[[dict[Hashable, int], Hashable], bool],
        Callable[[], tuple[int, int]],
        Callable[[int, int], None],
    ]:
        number, full_at = 0, self.capacity + 1
        last = full_at - 1
        of = self.key.of

        def state() -> tuple[int, int]:
            return number, full_at

        def put(new_number: int, new_full_at: int) -> None:
            nonlocal number, full_at, last
            number, full_at = new_number, new_full_at
            last = full_at - 1

        def insert(known: dict[Hashable, int], key: Hashable) -> bool:
            nonlocal number
            known[key] = number
            number += 1
            return number >= full_at

        def by_any(get: Callable[[str], Memory | None]) -> Callable[[Any], bool]:
            def quick(row: Any) -> bool:
                nonlocal number
                memory = get(row.symbol)
                if memory is None or number >= last or not memory.low <= row.time < memory.due:
                    return False
                key, known = of(row), memory.known
                if key in known:
                    return False
                known[key] = number
                number += 1
                return True

            return quick

        def by_seq(get: Callable[[str], Memory | None]) -> Callable[[Any], bool]:
            # The same without the call: nearly every key is this one.
            def quick(row: Any) -> bool:
                nonlocal number
                memory = get(row.symbol)
                if memory is None or number >= last or not memory.low <= row.time < memory.due:
                    return False
                key, known = row.seq, memory.known
                if key in known:
                    return False
                known[key] = number
                number += 1
                return True

            return quick

        make = by_seq if self.key.names == ("seq",) else by_any
        return {kind: make(table.get) for kind, table in self.tables.items()}, insert, state, put

    def judge(self, kind: type[Any], symbol: str, time: int, key: Hashable) -> bool:
        """Return whether an element passes; remember it if so."""
        table = self.tables[kind]
        memory = table.get(symbol) or Memory()
        known = memory.known
        seen = known.get(key)  # a key that cannot be hashed fails here, before anything has changed
        at = time // self.width
        if not memory.marks or at > memory.at:
            table[symbol] = memory
            memory.enter(at, self.width, self.number)
            seen = known.get(key)
        if seen is not None:
            if seen >= memory.floor:
                self.duplicate += 1
                return False
            del known[key]
            memory.removed += 1
        if at < memory.at - SLICES:
            self.unchecked += 1
        if self._insert(known, key):
            self._recount()
        return True

    @property
    def number(self) -> int:
        """How many elements have passed."""
        return self._state()[0]

    @property
    def full_at(self) -> int:
        """At which number there may be too many keys."""
        return self._state()[1]

    def go_on_from(self, number: int, full_at: int) -> None:
        self._set(number, full_at)

    def remembered(self) -> int:
        return sum(memory.remembered() for memory in self.memories())

    def memories(self) -> list[Memory]:
        return [memory for table in self.tables.values() for memory in table.values()]

    def clear(self) -> None:
        for table in self.tables.values():
            table.clear()

    def _recount(self) -> None:
        """See how many keys there are; if nearly too many, let the oldest go until a sixteenth is free."""
        number = self.number
        count = self.remembered()
        many = excess(count, self.capacity)
        if many:
            memories = self.memories()
            first = np.concatenate([np.fromiter(memory.live(many).values(), np.int64) for memory in memories])
            floor = int(np.partition(first, many - 1)[many - 1]) + 1
            for memory in memories:
                memory.remove(_below(memory.known, floor))
            self.evicted += many
        self.go_on_from(number, number + self.capacity + 1 - count + many)


def excess(count: int, capacity: int) -> int:
    """Return how many of `count` keys must go when they are counted."""
    target = capacity + 1 - max(1, capacity // 16)
    return max(0, count - target)


def _below(known: dict[Hashable, int], floor: int) -> int:
    count = 0
    for number in known.values():
        if number >= floor:
            break
        count += 1
    return count
