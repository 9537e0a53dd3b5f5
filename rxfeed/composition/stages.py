"""The stages between a source and those who take ticks or bars: which there are, in which order, and what each is set to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from reactivex import Observable, Subject
from reactivex import operators as rx

from rxfeed import operators as ops
from rxfeed.clock import Clock
from rxfeed.events import Event, Gapped
from rxfeed.feeds.backfill import Backfill
from rxfeed.feeds.projectx.health import passing
from rxfeed.health import Health
from rxfeed.instrument import Instrument
from rxfeed.limits import CapacityLike
from rxfeed.model import Bar, Gap, Reject, Tick
from rxfeed.overflow import block
from rxfeed.rules import Rule
from rxfeed.settings import Settings
from rxfeed.times import NANOSECONDS, SECOND, nanoseconds
from rxfeed.windows import MOST_TIMEFRAMES, Windows

from .carried import Carried
from .consumers import boundary
from .ending import Ending
from .origin import Origin

Stage = Callable[[Observable[Tick]], Observable[Tick]]
_MINUTE: Final = NANOSECONDS["m"]


class Given(NamedTuple):
    """What stages are made of, beside the settings."""

    settings: Settings
    windows: Windows
    rules: Sequence[Rule]
    instruments: dict[str, Instrument]
    tap: Stage | None
    clock: Clock
    health: Health | None
    capacity: CapacityLike
    """Of the boundary behind the source."""
    tell: Callable[[Event], None]
    refused: Callable[[Reject], None]
    disagreed: Callable[[Reject], None]
    """Hears of a bar of history that says something else than ours."""


class Stages:
    """The stages of one feed. Nothing is subscribed to yet.

    Args:
        origin: the source.
        given: the rest.
        gaps: what bars hear of; gaps that are put into `carried` come there in their place.
        carried: gaps that wait.

    Raises:
        ValueError: a backfill without a history.
    """

    def __init__(self, origin: Origin, given: Given, gaps: Subject[Gap], carried: Carried) -> None:
        settings, features, clock = given.settings, given.settings.features, given.clock
        instruments = origin.instruments | given.instruments
        self._given, self._gaps = given, gaps
        self.front: Any = None
        self.checked: Any = None
        self.meters: dict[str, Any] = {}
        self.ending = Ending()
        stages: list[Any] = [self.ending]
        if features.backpressure:
            full = "drop_oldest" if origin.valve is None else block(origin.valve, then="drop_oldest")
            self.front = boundary(
                given.capacity, full, name="source", alert=given.tell, gaps=self._dropped, scheduler=clock.scheduler
            )
            carried.wait_at(lambda: self.front.stats)
            stages += [self.front, carried]
        if features.meters:
            stages.append(self._meter("ticks"))
        if given.tap is not None:
            stages.append(given.tap)
        if given.health is not None:
            stages.append(passing(given.health))
        if features.validation and given.rules:
            self.checked = ops.validate(*given.rules, instruments=instruments, rejects=given.refused)
            stages.append(self.checked)
        self._repairs, self._before = self._mending(origin, instruments)
        if self._before is not None:
            stages.append(self._before)
        self._inner = _with_minutes(given.windows) if self._repairs is not None else given.windows
        self.made = ops.bars(
            self._inner, lateness=settings.lateness, horizon=settings.horizon, grace=settings.grace, updates=settings.updates,
            fill="previous" if settings.fill else None, instruments=instruments, rejects=self._reject,
            gaps=gaps, repairs=self._repairs, scheduler=clock.scheduler,
        )  # fmt: skip
        self.ticks: Observable[Any] = origin.ticks
        for stage in stages:
            self.ticks = stage(self.ticks)
        self.said = self._said(origin, stages)

    def bars(self, ticks: Observable[Any]) -> Observable[Bar]:
        """Return the bars of ticks that were accepted."""
        made: Observable[Any] = self.made(ticks)
        if self._inner is not self._given.windows:
            names = {timeframe.name for timeframe in self._given.windows.timeframes}
            made = made.pipe(rx.filter(lambda bar: bar.timeframe in names))
        return self._meter("bars")(made) if self._given.settings.features.meters else made

    def _mending(self, origin: Origin, instruments: dict[str, Instrument]) -> tuple[Observable[Any] | None, Backfill | None]:
        """Return what history has to say of gaps, and the gap before the start."""
        given, back = self._given, self._given.settings.backfill
        length = None if back is None else nanoseconds(back)
        history = origin.history if given.settings.features.repair else None
        if length is not None and history is None:
            raise ValueError("backfill needs a history and features.repair, and one of them is missing")
        if history is None or (length is None and not _mendable(given.windows)):
            return None, None
        before = None
        if length is not None:
            before = Backfill([contract.symbol for contract in origin.contracts], length, given.clock, self._gaps.on_next)
        repair = ops.repair(
            history, _with_minutes(given.windows), instruments=instruments, scheduler=given.clock.scheduler,
            longest=max(nanoseconds("1d"), 2 * (length or 0)) / SECOND, events=partial(self._mended, before),
        )  # fmt: skip
        return self._gaps.pipe(repair), before

    def _meter(self, name: str) -> Any:
        meter = self.meters[name] = ops.meter(name, scheduler=self._given.clock.scheduler)
        return meter

    def _said(self, origin: Origin, stages: list[Any]) -> tuple[str, ...]:
        named = [repr(stage) for stage in stages if type(stage).__module__.startswith(ops.__name__)]
        mending = "" if self._repairs is None else "; gaps are mended from history"
        behind = "each consumer behind a boundary of his own" if self.front is not None else "consumers, called directly"
        # All have the feed's clock, and it stands in none of the lines.
        clock = f", scheduler={self._given.clock.scheduler!r}"
        return tuple(line.replace(clock, "") for line in (*origin.stages, *named, f"{self.made!r}{mending}", behind))

    def _dropped(self, gap: Gap) -> None:
        """Take a gap of our own making: ticks that had to go at the boundary behind the source."""
        self._given.tell(Gapped(time=self._given.clock.now, gap=gap))
        self._gaps.on_next(gap)

    def _mended(self, before: Backfill | None, event: Event) -> None:
        if before is not None:
            before.heard(event)
        self._given.tell(event)

    def _reject(self, reject: Reject) -> None:
        """Take what `bars` refuses."""
        (self._given.disagreed if isinstance(reject.element, Bar) else self._given.refused)(reject)


def _mendable(windows: Windows) -> bool:
    """Whether history can tell of any of them: it knows no parts of seconds."""
    return any(level.timeframe.step % SECOND == 0 for level in windows.levels)


def _with_minutes(windows: Windows) -> Windows:
    """Return windows with minutes below, so that an hour or a day need not be over before history can tell of it."""
    finest = windows.levels[0].timeframe
    few = finest.step == 0 or (finest.step > _MINUTE and finest.step % _MINUTE == 0)
    if not few or len(windows.timeframes) == MOST_TIMEFRAMES:
        return windows
    return Windows("1m", *windows.timeframes, session=windows.session, anchor=windows.anchor)
