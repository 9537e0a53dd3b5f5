"""The quick judgement of a whole frame: is every tick ordinary? It needs numba, the extra `fast`.

What it finds odd is only handed on: the columns of `frames` judge such a frame from its beginning.
"""

from __future__ import annotations

import math

import numpy as np

from rxfeed.frame import Frame
from rxfeed.kernels.look import Look, compiled, look_at
from rxfeed.kernels.validate.kernel import PLAIN, ValidateKernel
from rxfeed.model import Tick
from rxfeed.rules import Future, OnGrid, Positive, Size, Stale
from rxfeed.times import nanoseconds

_EARLIEST = -(1 << 62)
"""Differences of times after this do not wrap; what is before is looked at by columns."""


def passes(kernel: ValidateKernel, frame: Frame[Tick]) -> bool:
    """Return whether a frame passes as it is, and if so note its last prices; False also if that is not quickly told."""
    rules = {type(rule): rule for rule in kernel.stateless}
    if kernel.going_back or not rules.keys() <= set(PLAIN) or frame.df["received"].null_count() not in (0, len(frame)):
        return False
    found = frame.once(look_at)
    if found is None or not found.finite or found.times[0] <= _EARLIEST:
        return False
    memories = [kernel.memory(symbol) for symbol in found.symbols]
    if any(memory.pending for memory in memories):
        return False
    size, future, stale = rules.get(Size), rules.get(Future), rules.get(Stale)
    if isinstance(size, Size) and not size.least <= found.sizes[0] <= found.sizes[1] <= size.most:
        return False
    if found.lags is not None:
        soonest, latest = found.lags
        if isinstance(future, Future) and soonest < -nanoseconds(future.by):
            return False
        if isinstance(stale, Stale) and latest > nanoseconds(stale.after):
            return False
    if Positive in rules:
        for memory, low in zip(memories, found.low.tolist(), strict=True):
            if low <= 0.0 and (memory.instrument is None or not memory.instrument.may_be_negative):
                return False
    if OnGrid in rules:
        sizes = [None if memory.instrument is None else memory.instrument.tick_size for memory in memories]
        if not _on_grid(found, sizes):
            return False
    if kernel.jump is not None:
        before = np.array([math.nan if memory.last is None else memory.last for memory in memories])
        low, high = np.fmin(found.low, before), np.fmax(found.high, before)
        room = np.array([memory.fraction for memory in memories]) * low + [memory.distance for memory in memories]
        if not bool(((low > 0) & (high - low <= room)).all()):
            return False
        for memory, price in zip(memories, found.last.tolist(), strict=True):
            memory.last = price
            memory.low, memory.high = math.inf, -math.inf  # rows, if they follow, find the band anew
    return True


def _on_grid(found: Look, sizes: list[float | None]) -> bool:
    if not any(sizes):
        return True
    step = np.array([math.nan if size is None else size for size in sizes])
    return all(compiled.on_grid(piece.codes, found.numbers, piece.price, step) for piece in found.pieces)
