"""Wounds as frames, and back: what a kernel's snapshot holds of gaps and of history."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import polars as pl

from rxfeed.frame import BAR_SCHEMA, Frame
from rxfeed.kernels.bars.wound import Wound
from rxfeed.model import Bar

_STRETCHES = pl.Schema({"symbol": pl.String, "level": pl.Int32, "what": pl.String, "start": pl.Int64, "end": pl.Int64})


class MendFrames(NamedTuple):
    """`stretches` of time by symbol and level (open, mended, ongoing, awaited, began), and `bars` (with `level`, `told`)."""

    stretches: pl.DataFrame
    bars: pl.DataFrame


def save(wounds: Iterable[Wound]) -> MendFrames:
    stretches: list[tuple[str, int, str, int, int]] = []
    bars: list[tuple[Bar, int, bool]] = []
    for wound in wounds:
        name = wound.name
        stretches.append((name, 0, "began", int(wound.began), 0))
        for level in range(len(wound.plan.names)):
            stretches += [(name, level, "open", *span) for span in wound.open[level]]
            stretches += [(name, level, "mended", *span) for span in wound.mended[level]]
            stretches += [(name, level, "ongoing", start, lows[level]) for start, lows in wound.ongoing.items()]
            bars += [(bar, level, False) for bar in wound.history[level].values()]
            bars += [(bar, level, True) for bar in wound.told[level].values()]
        stretches += [(name, level, "awaited", start, end) for (end, level), start in wound.awaited.items()]
    return MendFrames(
        pl.DataFrame(stretches, _STRETCHES, orient="row"),
        Frame.of([bar for bar, *_ in bars], Bar).df.with_columns(
            pl.Series("level", [level for _, level, _ in bars], dtype=pl.Int32),
            pl.Series("told", [told for *_, told in bars], dtype=pl.Boolean),
        ),
    )


def load(frames: MendFrames, wound_of: Callable[[str], Wound]) -> dict[str, Wound]:
    wounds: dict[str, Wound] = {}
    for symbol, level, what, start, end in frames.stretches.iter_rows():
        wound = wounds.get(symbol) or wounds.setdefault(symbol, wound_of(symbol))
        match what:
            case "began":
                wound.began = bool(start)
            case "open":
                wound.open[level] = [*wound.open[level], (start, end)]
            case "mended":
                wound.mended[level] = [*wound.mended[level], (start, end)]
            case "ongoing":
                wound.ongoing.setdefault(start, [0] * len(wound.plan.names))[level] = end
            case _:
                wound.awaited[end, level] = start
    rows = Frame(frames.bars.select(BAR_SCHEMA.names()), Bar).rows()
    for bar, level, told in zip(rows, frames.bars["level"], frames.bars["told"], strict=True):
        wound = wounds[bar.symbol]
        (wound.told if told else wound.history)[level][bar.start] = bar
    for wound in wounds.values():
        wound.pin()
    return wounds
