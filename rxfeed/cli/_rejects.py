"""Rejected ticks as a file: what it was, the rule that it failed, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

import polars as pl

from rxfeed.cli._files import Output
from rxfeed.frame import TIME
from rxfeed.model import UNKNOWN_TIME, Reject, Tick

SCHEMA: Final = pl.Schema({
    "symbol": pl.String, "time": TIME, "price": pl.Float64, "size": pl.Int64, "side": pl.Int8, "seq": pl.Int64,
    "received": TIME, "rule": pl.String, "reason": pl.String,
})  # fmt: skip
_HELD: Final = 4_096


class RejectsFile:
    """Takes rejects one by one and writes them some thousand at a time."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.output: Final = Output(path, SCHEMA, folder)
        self._held: list[tuple[object, ...]] = []

    def __call__(self, reject: Reject) -> None:
        """Take one."""
        t = cast("Tick", reject.element)
        time = None if t.time == UNKNOWN_TIME else t.time
        self._held.append((t.symbol, time, t.price, t.size, t.side, t.seq, t.received, reject.rule, reject.reason))
        if len(self._held) >= _HELD:
            self._write()

    def _write(self) -> None:
        whole = {name: pl.Int64 if dtype == TIME else dtype for name, dtype in SCHEMA.items()}
        self.output.add(pl.DataFrame(self._held, schema=whole, orient="row").cast(SCHEMA))
        self._held = []

    def finish(self) -> None:
        """Make the file whole."""
        self._write()
        self.output.finish()
