"""The frame lane with the extra `fast`: the same bars by loops that numba compiles, from frames of a million ticks."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from rxfeed import Frame, Tick
from tests.bench.peers import Check, Lane, Missing, rxfeed_frames

KIND = "frames"
PACKAGES = ("numba",)
OWN = None


def lanes() -> list[Lane]:
    if find_spec("numba") is None:
        raise Missing("pip install 'rxfeed[fast]'")
    million = {"fast": True, "chunk": 1 << 20}

    def run(ticks: Frame[Tick]) -> None:
        rxfeed_frames.run(Frame(ticks.df), fast=True, chunk=1 << 20)

    check = Check(partial(rxfeed_frames.bars, **million))
    return [Lane("rxfeed, frames, fast", rxfeed_frames.frame, run, (check,), threads=2, ours=True)]
