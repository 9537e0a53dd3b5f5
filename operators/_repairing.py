"""One subscription of `repair`: the gaps that wait, and a task for each of them whose end is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from reactivex import Observable, abc

from rxfeed.clock import Clock
from rxfeed.events import Backfilled, Event, NotRepaired, Repaired
from rxfeed.frame import name_of
from rxfeed.logs import RateLimitedLog
from rxfeed.model import Gap, Repair
from rxfeed.times import SECOND

from ._loop import running_loop
from ._mending import Manner, Mender, Reckoned
from ._sink import Sink
from ._upstream import Upstream

BACKFILL: Final = "backfill"
"""The cause of a gap that is there because nobody listened yet: what history has of it is taken at once, while it lasts."""


class RepairStats(NamedTuple):
    """Gaps by what became of them: received = told_again + ongoing + waiting + repaired + not_repaired + closed_market."""

    received: int
    told_again: int
    """Those that told more of a gap which was known already: mostly its end."""
    ongoing: int
    waiting: int
    """For their windows to settle, or for history."""
    repaired: int
    not_repaired: int
    """Wholly, or in part."""
    closed_market: int
    """Nobody could trade: there is nothing to repair."""


@dataclass(slots=True, eq=False)
class _Job:
    """One gap, or several that adjoin, and the task that mends them."""

    gap: Gap
    since: int
    """From when on it is to be mended."""
    time: Reckoned
    latest: float
    """Until when, in the loop's time, it waits for others to join at most."""
    gaps: int = 1
    asked: bool = False
    whole: bool = True
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Repairing(abc.DisposableBase):
    """One subscription."""

    def __init__(
        self, manner: Manner, most: int, events: Sink[Event] | None, observer: abc.ObserverBase[Repair], clock: Clock
    ) -> None:
        self._manner, self._most, self._events, self._observer, self._clock = manner, most, events, observer, clock
        self._loop = running_loop("repair")
        self._plan, self._mender = manner.plan, Mender(manner, self)
        self._upstream = Upstream()
        self._jobs: dict[tuple[str, int], _Job] = {}
        self._over = self._complete = False
        self._received = self._again = self._repaired = self._not_repaired = self._closed = 0
        self._log = RateLimitedLog(clock)

    @property
    def stats(self) -> RepairStats:
        """Gaps by what became of them."""
        ongoing = sum(job.gaps for job in self._jobs.values() if job.gap.ongoing)
        waiting = sum(job.gaps for job in self._jobs.values()) - ongoing
        return RepairStats(self._received, self._again, ongoing, waiting, self._repaired, self._not_repaired, self._closed)

    def open(self, source: Observable[Any], scheduler: abc.SchedulerBase | None) -> Repairing:
        """Subscribe to the gaps."""
        self._upstream.open(source, self._on_next, self._fail, self._on_completed, scheduler)
        return self

    def dispose(self) -> None:
        """Let go of the source, cancel every task, and log what was only counted."""
        self._over = True
        self._upstream.close()
        jobs, self._jobs = self._jobs, {}
        for job in jobs.values():
            self._cancel(job)
        self._log.close()

    # --- gaps

    def _on_next(self, gap: object) -> None:
        if self._over:
            return
        try:
            if not isinstance(gap, Gap):
                raise TypeError(f"repair takes Gap, got {name_of(gap)}")
            self._received += 1
            self._take(gap)
        except Exception as error:
            self._fail(error)

    def _take(self, gap: Gap) -> None:
        known = self._jobs.get((gap.symbol, gap.start))
        if known is not None:
            self._again += 1
            self._more(known, gap)
        elif not gap.ongoing and not self._plan.open(gap.symbol, gap.start, gap.end):
            self._closed += 1
        elif gap.ongoing or not self._joined(gap):
            self._begin(gap)

    def _begin(self, gap: Gap) -> None:
        time = Reckoned(self._loop, self._clock.now if gap.ongoing else gap.end)
        job = self._jobs[gap.symbol, gap.start] = _Job(gap, gap.start, time, 0.0)
        if not gap.ongoing:
            self._end(job, gap)
        if not gap.ongoing or gap.cause == BACKFILL:
            self._start(job)
        if len(self._jobs) > self._most:
            oldest = self._jobs.pop(next(iter(self._jobs)))
            self._cancel(oldest)
            self._drop(oldest, f"more than {self._most} gaps wait, and this is the oldest")

    def _more(self, job: _Job, gap: Gap) -> None:
        """Take what is told of a gap that is known: its end, once or corrected while nobody has asked yet."""
        if gap.ongoing or job.asked or (not job.gap.ongoing and gap.end <= job.gap.end):
            return
        began = job.task is not None
        self._end(job, gap)
        if began:
            return
        if self._plan.open(gap.symbol, gap.start, gap.end):
            self._start(job)
        else:
            del self._jobs[gap.symbol, gap.start]
            self._closed += job.gaps

    def _end(self, job: _Job, gap: Gap) -> None:
        if job.gap.ongoing:
            job.time = Reckoned(self._loop, gap.end)  # what our clock said is worth nothing any more
        job.time.at_least(gap.end)
        job.gap = Gap(gap.symbol, min(gap.start, job.gap.start), gap.end, job.gap.cause)
        if not job.latest:
            job.latest = self._loop.time() + self._wait(job, job.gap) + self._manner.settle / SECOND
        job.ended.set()

    def _wait(self, job: _Job, gap: Gap) -> float:
        """Seconds until the finest windows that a gap touches have settled."""
        for level in self._plan.levels(gap.symbol, gap.start, gap.end):
            stretch = self._plan.stretch(gap.symbol, level, gap.start, gap.end)
            return 0.0 if stretch is None else self._mender.wait(stretch.end, job.time)
        return 0.0

    def _joined(self, gap: Gap) -> bool:
        """Put a gap to one that waits still and adjoins, if that one need not wait much longer for it."""
        for job in self._jobs.values():
            if job.asked or job.gap.ongoing or job.gap.symbol != gap.symbol or job.gap.cause == BACKFILL:
                continue
            both = Gap(gap.symbol, min(job.gap.start, gap.start), max(job.gap.end, gap.end), job.gap.cause)
            if both.end - both.start > self._manner.longest or not self._plan.adjoin(gap.symbol, job.gap, gap):
                continue
            if self._loop.time() + self._wait(job, both) > job.latest:
                continue
            self._end(job, both)
            job.since = min(job.since, gap.start)
            job.gaps += 1
            return True
        return False

    # --- tasks

    def _start(self, job: _Job) -> None:
        job.task = self._loop.create_task(self._run(job), name=f"rxfeed repair {job.gap.symbol} ({job.gap.cause})")

    def _cancel(self, job: _Job) -> None:
        if job.task is not None and not self._loop.is_closed():
            job.task.cancel()

    async def _run(self, job: _Job) -> None:
        try:
            await self._mend(job)
        except Exception as error:
            self._fail(error)
            return
        if self._over:
            return
        for key in [key for key, each in self._jobs.items() if each is job]:
            del self._jobs[key]
        self._count(job)
        self._complete_if_done()

    async def _mend(self, job: _Job) -> None:
        if not job.ended.is_set():
            job.since, job.whole = await self._mender.before(job.gap, job.time)
            self._tell(Backfilled(time=self._clock.now, gap=job.gap, until=job.since))
            await job.ended.wait()
        while wait := self._wait(job, job.gap):  # noqa: ASYNC110  # anew, as others may have joined
            await asyncio.sleep(wait)
        job.asked = True
        gap = job.gap
        if gap.end - job.since > self._manner.longest:
            since, job.since, job.whole = job.since, gap.end - self._manner.longest, False
            self.not_repaired(
                Gap(gap.symbol, since, job.since, gap.cause),
                f"no more than the last {self._manner.longest / SECOND:g} s of a gap are asked for",
            )
        job.whole &= await self._mender.mend(gap, job.since, job.time)

    # --- what comes of it

    def repaired(self, repair: Repair) -> None:
        """Emit what history says."""
        job = self._jobs.get((repair.gap.symbol, repair.gap.start))
        if repair.gap.ongoing and job is not None:
            repair = msgspec.structs.replace(repair, gap=job.gap)  # its end may have been told meanwhile
        self._tell(Repaired(time=self._clock.now, repair=repair))
        if not self._over:
            self._guarded(self._observer.on_next, repair)

    def not_repaired(self, gap: Gap, text: str) -> None:
        """Tell that bars stay as they are."""
        event = NotRepaired(time=self._clock.now, gap=gap, text=text)
        self._tell(event)
        if self._events is None and not self._over:
            self._log.say("a gap that is not repaired", "{}", event)

    def _tell(self, event: Event) -> None:
        if self._events is not None and not self._over:
            try:
                self._events(event)
            except Exception as error:
                self._fail(error)

    def _drop(self, job: _Job, text: str) -> None:
        job.whole = False
        self.not_repaired(job.gap, text)
        self._count(job)

    def _count(self, job: _Job) -> None:
        if job.whole:
            self._repaired += job.gaps
        else:
            self._not_repaired += job.gaps

    # --- ends

    def _on_completed(self) -> None:
        if self._over:
            return
        self._complete = True
        for key, job in list(self._jobs.items()):
            if job.gap.ongoing and not self._over:
                del self._jobs[key]
                self._cancel(job)
                self._drop(job, "there is nobody any more to tell its end")
        self._complete_if_done()

    def _complete_if_done(self) -> None:
        if self._complete and not self._jobs and not self._over:
            self.dispose()
            self._guarded(self._observer.on_completed)

    def _fail(self, error: Exception) -> None:
        if not self._over:
            self.dispose()
            self._guarded(self._observer.on_error, error)

    def _guarded(self, call: Callable[..., None], *args: Any) -> None:
        """There is nobody above a task to raise to."""
        try:
            call(*args)
        except (Exception, asyncio.CancelledError) as error:
            self.dispose()
            text = "rxfeed repair: a subscriber raised, which ends its subscription"
            self._loop.call_exception_handler({"message": text, "exception": error})
