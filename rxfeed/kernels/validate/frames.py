"""The kernel of `validate` on frames of ticks: the same judgement as row by row, at the speed of columns.

Rules on single rows are masks. What must be remembered is first looked at in one go: if no price jumps and no time goes
back, all rows pass. Only the symbols for which that is not so go through the row kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
import polars as pl

from rxfeed.frame import Array, Frame
from rxfeed.instrument import Instrument
from rxfeed.kernels.validate.kernel import Memory, ValidateKernel
from rxfeed.model import Depth, Quote, Tick
from rxfeed.rules import Mask, Rule

E = TypeVar("E", Tick, Quote, Depth)


def validate_frame(kernel: ValidateKernel, frame: Frame[E]) -> Frame[E] | None:
    """Judge all rows of a frame; return those that pass, with suspects that they confirm, or None if none do."""
    if len(frame) == 0:
        return None
    if frame.kind is not Tick:
        rows = cast("list[E]", [passed for row in frame.rows() for passed in kernel.element(row)])
        return Frame.of(rows, frame.kind) if rows else None
    return cast("Frame[E] | None", _ticks(kernel, cast("Frame[Tick]", frame)))


def _ticks(kernel: ValidateKernel, frame: Frame[Tick]) -> Frame[Tick] | None:
    if kernel.quick is not None and kernel.quick(kernel, frame):
        kernel.received += len(frame)
        return frame
    memories = [kernel.memory(symbol) for symbol in frame.groups.symbols]
    failed = _first_failed(kernel, frame, memories)
    passed = np.flatnonzero(failed < 0) if failed is not None else None
    starts = frame.groups.starts
    if passed is not None:
        starts = np.searchsorted(passed, starts)
    troubled = _troubled(kernel, frame, memories, passed, starts)
    kernel.received += len(frame)
    if failed is None and not troubled:
        return frame
    order = frame.groups.order
    origin = np.arange(len(frame)) if order is None else order
    events = _Events(kernel, frame)
    if failed is not None:
        bad = np.flatnonzero(failed >= 0)
        blocks: list[int] = (np.searchsorted(frame.groups.starts, bad, "right") - 1).tolist()
        events.reject(origin[bad], failed[bad].tolist(), [memories[block] for block in blocks])
    keep = np.zeros(len(frame), np.bool_)
    keep[origin if passed is None else origin[passed]] = True
    for block in troubled:
        at = (origin if passed is None else origin[passed])[starts[block] : starts[block + 1]]
        keep[at] = False
        events.remember(memories[block], at)
    return events.result(keep)


def _first_failed(kernel: ValidateKernel, frame: Frame[Tick], memories: list[Memory]) -> Array | None:
    """Return for each row, in grouped order, the number of the first rule that it fails or -1; None if all pass."""
    instruments = [memory.instrument for memory in memories]
    failed: Array | None = None
    for number, rule in enumerate(kernel.stateless):
        if failed is not None and rule.order == Rule.order:
            good = _of_survivors(rule, frame, instruments, failed < 0)
        else:
            good = rule.passes(frame, instruments)
        if good is None or good.all():
            continue
        if failed is None:
            failed = np.full(len(frame), -1, np.int16)
        failed[(failed < 0) & ~good] = number
    return failed


def _of_survivors(rule: Rule, frame: Frame[Tick], instruments: Sequence[Instrument | None], alive: Mask) -> Mask:
    """Ask a user's rule only about the rows that passed all before it, as it would be asked row by row."""
    good = np.ones(len(frame), np.bool_)
    rows = np.flatnonzero(alive)
    if not len(rows):
        return good
    order, starts = frame.groups.order, frame.groups.starts
    keep = np.zeros(len(frame), np.bool_)
    keep[rows if order is None else order[rows]] = True
    present = np.flatnonzero(np.diff(np.searchsorted(rows, starts))).tolist()
    judged = rule.passes(frame.filter(keep), [instruments[block] for block in present])
    if judged is not None:
        good[rows] = judged
    return good


def _troubled(
    kernel: ValidateKernel, frame: Frame[Tick], memories: list[Memory], passed: Array | None, starts: Array
) -> list[int]:
    """Return the blocks that need the row kernel, and note the last price and time of all others."""
    if kernel.jump is None and not kernel.going_back:
        return []
    sizes = np.diff(starts)
    if not sizes.any():
        return []
    blocks = np.flatnonzero(sizes)
    first, last = starts[blocks], starts[blocks + 1] - 1
    mine = [memories[block] for block in blocks.tolist()]
    good = np.ones(int(starts[-1]), np.bool_)
    if kernel.jump is not None:
        price = frame.grouped("price") if passed is None else frame.grouped("price")[passed]
        if not _calm(price, first, mine):
            before = np.empty_like(price)
            before[1:] = price[:-1]
            before[first] = [math.nan if memory.last is None else memory.last for memory in mine]
            good &= _near(price, before, mine, sizes[blocks])
            good[first] |= [memory.last is None for memory in mine]
            good &= np.isfinite(price)
            good[first] &= [not memory.pending for memory in mine]
        final = price[last].tolist()
    else:
        final = []
    if kernel.going_back:
        time = frame.grouped("time") if passed is None else frame.grouped("time")[passed]
        forward = np.ones(len(time), np.bool_)
        np.greater_equal(time[1:], time[:-1], out=forward[1:])
        forward[first] = time[first] >= [memory.time for memory in mine]
        good &= forward
        latest = time[last].tolist()
    else:
        latest = []
    bad = np.zeros(len(mine), np.bool_) if good.all() else ~np.logical_and.reduceat(good, first)
    for i, memory in enumerate(mine):
        if bad[i]:
            continue
        if final:
            memory.last = final[i]
            memory.low, memory.high = math.inf, -math.inf  # rows, if they follow, find the band anew
        if latest:
            memory.time = latest[i]
    return blocks[bad].tolist()


def _calm(price: Array, first: Array, memories: list[Memory]) -> bool:
    """Whether each symbol's prices, the last accepted one with them, lie so near together that none can be a jump."""
    if any(memory.pending for memory in memories):
        return False
    last = np.array([math.nan if memory.last is None else memory.last for memory in memories])
    known = np.array([memory.last is not None for memory in memories])
    with np.errstate(invalid="ignore"):  # where prices need not be finite; a NaN is calm in no comparison
        low, high = np.minimum.reduceat(price, first), np.maximum.reduceat(price, first)
        low[known], high[known] = np.minimum(low[known], last[known]), np.maximum(high[known], last[known])
        room = np.array([memory.fraction for memory in memories]) * low + [memory.distance for memory in memories]
        return bool(((low > 0) & (high - low <= room)).all())


def _near(price: Array, before: Array, memories: list[Memory], sizes: Array) -> Mask:
    """`Memory.near`, on columns."""
    fraction = {memory.fraction for memory in memories}
    distance = {memory.distance for memory in memories}
    f = fraction.pop() if len(fraction) == 1 else np.repeat([m.fraction for m in memories], sizes)
    d = distance.pop() if len(distance) == 1 else np.repeat([m.distance for m in memories], sizes)
    room = np.abs(before)
    room *= f
    room += d
    with np.errstate(invalid="ignore"):  # where prices need not be finite, each is looked at by itself
        far = price - before
    np.abs(far, out=far)
    return far <= room


class _Events:
    """What happens at which row of the frame, so that rejects and released suspects come in the order of rows."""

    def __init__(self, kernel: ValidateKernel, frame: Frame[Tick]) -> None:
        self.kernel, self.frame = kernel, frame
        self.rejects: list[tuple[int, Tick, str, str]] = []
        self.emitted: list[tuple[int, Tick]] = []

    def reject(self, at: Array, rules: list[int], memories: list[Memory]) -> None:
        stateless = self.kernel.stateless
        if not self.kernel.heard:
            self.kernel.rejected.update(stateless[rule].name for rule in rules)
            return
        ticks = Frame(self.frame.df[at], Tick).rows()
        for place, tick, rule, memory in zip(at.tolist(), ticks, rules, memories, strict=True):
            which = stateless[rule]
            reason = which.reason(tick, memory.instrument)
            self.rejects.append((place, tick, which.name, reason or f"{which.name} failed on the frame, but passes on the row"))

    def remember(self, memory: Memory, at: Array) -> None:
        kernel = self.kernel
        heard = kernel.take_rejects()
        rows = Frame(self.frame.df[at], Tick).rows()
        for place, tick in zip(at.tolist(), rows, strict=True):
            for passed in kernel.remember(memory, tick):
                self.emitted.append((place, passed))
            for reject in kernel.take_rejects():
                kernel.rejected[reject.rule] -= 1
                self.rejects.append((place, cast("Tick", reject.element), reject.rule, reject.reason))
        kernel.put_back(heard)

    def result(self, keep: Mask) -> Frame[Tick] | None:
        """Report the rejects in order; return the rows of `keep` with the emitted ones among them, in order."""
        self.rejects.sort(key=lambda event: event[0])
        for _, tick, rule, reason in self.rejects:
            self.kernel.reject(tick, rule, reason)
        if not self.emitted:
            return self.frame.filter(keep) if keep.any() else None
        kept = np.flatnonzero(keep)
        self.emitted.sort(key=lambda event: event[0])
        extra = Frame.of([tick for _, tick in self.emitted], Tick).df
        both = pl.concat([self.frame.df[kept], extra])
        places = np.concatenate([kept, [at for at, _ in self.emitted]])
        return Frame(both[np.argsort(places, kind="stable")], Tick)
