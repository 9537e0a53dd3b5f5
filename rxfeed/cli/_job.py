"""The job of `rxfeed bars`: files of ticks through validation and windows into one output, a frame at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reactivex import Observable
from reactivex.operators import do_action

import rxfeed
from rxfeed import operators as ops
from rxfeed.cli._errors import usage
from rxfeed.cli._lastrows import LastRows
from rxfeed.cli._rejects import RejectsFile
from rxfeed.clock import ReplayClock
from rxfeed.frame import Frame
from rxfeed.instrument import Instrument
from rxfeed.model import UNKNOWN_TIME, Tick
from rxfeed.rules import Finite, OutsideSession, Rule
from rxfeed.windows import Windows


@dataclass(frozen=True, slots=True)
class Job:
    """What to read and what to make of it; everything checked but the files."""

    inputs: tuple[Path, ...]
    windows: Windows
    rules: tuple[Rule, ...]
    map: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])
    time_unit: str | None = None
    symbol: str | None = None
    lot: str | None = None
    order: Any = "time"
    lateness: str = "0s"
    horizon: str = "10m"
    fill: Any = None
    instruments: Mapping[str, Instrument] = field(default_factory=dict[str, Instrument])

    @property
    def timeframes(self) -> list[str]:
        """Those asked for, finer first."""
        return [level.timeframe.name for level in self.windows.levels if level.emitted]


@dataclass(slots=True)
class Counts:
    """What became of the ticks: read = in_bars + outside_session + rejected."""

    read: int = 0
    in_bars: int = 0
    outside_session: int = 0
    rejected: dict[str, int] = field(default_factory=dict[str, int])

    def check(self) -> None:
        """Refuse to go on with a tick unaccounted for.

        Raises:
            RuntimeError: the counts do not add up.
        """
        rejected = sum(self.rejected.values())
        if self.read != self.in_bars + self.outside_session + rejected:
            raise RuntimeError(
                f"{self.read} ticks were read, but {self.in_bars} in bars + {self.outside_session} outside the session "
                f"+ {rejected} rejected are {self.in_bars + self.outside_session + rejected}"
            )


def run(job: Job, store: LastRows, rejects: RejectsFile | None) -> Counts:
    """Read all ticks and put their bars into `store`.

    Raises:
        Usage: an argument of reading or of the windows that is not allowed.
        InputError: something that cannot be read.
    """
    clock = ReplayClock()
    instruments = dict(job.instruments)
    with usage():
        ticks: Observable[Any] = rxfeed.replay(
            job.inputs[0], *job.inputs[1:], frames=True,
            map=job.map, time_unit=job.time_unit, symbol=job.symbol, lot=job.lot, order=job.order,
        )  # fmt: skip
        bars = ops.bars(
            job.windows, lateness=job.lateness, horizon=job.horizon, fill=job.fill, instruments=instruments, rejects=rejects,
            frames=True, grace=None, scheduler=clock.scheduler,
        )  # fmt: skip
        stages = [ops.validate(*job.rules, instruments=instruments, rejects=rejects)] if job.rules else []
        if rejects is not None:
            # `bars` counts what is outside the session, but names no tick; these two are the first that it asks.
            stages.append(ops.validate(Finite(), OutsideSession(job.windows.session), instruments=instruments, rejects=rejects))
    counts = Counts()

    def count(frame: Frame[Tick]) -> None:
        counts.read += len(frame)

    def see(frame: Frame[Tick]) -> None:
        # At the end every symbol's windows close up to here; a tick that was rejected must not move it.
        nonlocal greatest
        greatest = max(greatest, int(frame.column("time").max()))

    greatest = UNKNOWN_TIME
    failures: list[Exception] = []
    stream: Observable[Any] = ticks.pipe(do_action(count))
    for stage in stages:
        stream = stage(stream)
    accepted = stream.pipe(do_action(see, on_completed=lambda: clock.move(greatest)))
    bars(accepted).subscribe(lambda frame: store.add(frame.df), failures.append)
    if failures:
        raise failures[0]
    rejected: Counter[str] = Counter(bars.rejected)
    for stage in stages:
        rejected.update(stage.stats.by_rule)
    counts.in_bars = bars.stats.closed
    counts.outside_session = bars.stats.outside_session + rejected.pop("outside_session", 0)
    counts.rejected = dict(sorted(rejected.items()))
    counts.check()
    return counts
