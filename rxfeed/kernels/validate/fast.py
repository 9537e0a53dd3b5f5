"""The quick judgement of a whole frame: is every tick ordinary? It needs numba, the extra `fast`."""

from __future__ import annotations

import math

import numpy as np

from rxfeed.frame import Frame
from rxfeed.kernels import extra
from rxfeed.kernels.codes import codes_of
from rxfeed.kernels.validate.kernel import PLAIN, ValidateKernel
from rxfeed.model import Tick
from rxfeed.rules import Future, OnGrid, Positive, Size, Stale
from rxfeed.times import FOREVER, nanoseconds

compiled = extra.fast("rxfeed.kernels.validate.compiled")

_EARLIEST = -(1 << 62)
"""Differences of times after this do not wrap; what is before is looked at by columns."""


def passes(kernel: ValidateKernel, frame: Frame[Tick]) -> bool:
    """Return whether a frame passes as it is, and if so note its last prices; False also if that is not quickly told."""
    found, unheard = frame.once(codes_of), frame.df["received"].null_count()
    rules = {type(rule): rule for rule in kernel.stateless}
    if found is None or kernel.going_back or unheard not in (0, len(frame)) or not rules.keys() <= set(PLAIN):
        return False
    memories = [kernel.memory(symbol) for symbol in found.symbols]
    if any(memory.pending for memory in memories):
        return False
    size, future, stale = rules.get(Size), rules.get(Future), rules.get(Stale)
    bounds = (
        size.least if isinstance(size, Size) else -FOREVER, size.most if isinstance(size, Size) else FOREVER,
        -nanoseconds(future.by) if isinstance(future, Future) else -FOREVER,
        nanoseconds(stale.after) if isinstance(stale, Stale) else FOREVER,
        _EARLIEST,
    )  # fmt: skip
    floor, step = np.full((2, len(memories)), math.nan)
    for k, memory in enumerate(memories):
        instrument = memory.instrument
        if Positive in rules and (instrument is None or not instrument.may_be_negative):
            floor[k] = 0.0
        if OnGrid in rules and instrument is not None and instrument.tick_size is not None:
            step[k] = instrument.tick_size
    before = np.array([math.nan if memory.last is None else memory.last for memory in memories])
    low, high = np.where(np.isnan(before), math.inf, before), np.where(np.isnan(before), -math.inf, before)
    last = before.copy()
    received = frame.column("received") if unheard == 0 else np.empty(0, np.int64)
    if not compiled.ordinary(
        found.codes, found.numbers, frame.column("time"), received, frame.column("price"), frame.column("size"),
        np.array(bounds), floor, step, low, high, last,
    ):  # fmt: skip
        return False
    if kernel.jump is not None:
        room = np.array([memory.fraction for memory in memories]) * low + [memory.distance for memory in memories]
        if not bool(((low > 0) & (high - low <= room)).all()):
            return False
        for memory, price in zip(memories, last.tolist(), strict=True):
            memory.last = price
            memory.low, memory.high = math.inf, -math.inf  # rows, if they follow, find the band anew
    return True
