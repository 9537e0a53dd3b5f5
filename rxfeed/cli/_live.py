"""The job of `rxfeed run`: from the gateway's trades to bars, until somebody stops it or it ends by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import rxfeed
from rxfeed.cli._barfiles import BarFiles
from rxfeed.cli._consumers import Consumer, Guest
from rxfeed.cli._errors import Usage, spelled
from rxfeed.cli._faces import Face, Scene
from rxfeed.cli._files import Folder
from rxfeed.cli._gateway import Choice, Reached, World, reached, shown, simulator
from rxfeed.cli._log import logging_to
from rxfeed.cli._market import MarketHours
from rxfeed.cli._news import News
from rxfeed.cli._outbox import Outbox
from rxfeed.cli._rejects import RejectsFile
from rxfeed.cli._tally import Tally
from rxfeed.cli._totals import Totals
from rxfeed.cli._truth import MOST_BARS, Truth, compare_bars, truth_of
from rxfeed.cli._watch import Watch
from rxfeed.composition import Feed
from rxfeed.errors import ConnectionLost, RxfeedError, UnknownContract
from rxfeed.feeds.projectx import Gateway
from rxfeed.model import Bar, Reject, Undecoded
from rxfeed.rules import Rule
from rxfeed.settings import Settings
from rxfeed.times import SECOND, nanoseconds

T = TypeVar("T")

SETTLING: Final = 5.0
"""Seconds that what the simulator has sent may take to get here, once it has stopped trading."""
_FRAME: Final = 0.25
_FILES_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to stream and what to make of it; everything checked that can be without a gateway."""

    settings: Settings
    rules: tuple[Rule, ...]
    output: Path | None = None
    format: str = "parquet"
    rejects: Path | None = None
    lasts: float | None = None
    """Seconds; None until somebody stops it."""
    rate: Any = 100.0
    seed: int = 0
    life: str = "24h"
    """Of the simulator's tokens."""
    faults: tuple[str, ...] = ()
    consumers: tuple[Consumer, ...] = ()


class Ended(NamedTuple):
    """How a run ended, once it had begun to stream."""

    totals: Totals
    error: Exception | None
    """What ended it, if something went wrong."""


def _age(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


class _Stopped(Exception):
    """Somebody stopped it before it streamed."""


async def run(job: Job, world: World, choice: Choice, face: Face, stop: asyncio.Future[Any]) -> Ended | None:
    """Stream until `stop` has a result, the time is over, or something ends it.

    Returns:
        How it ended; None when it was stopped before it streamed.

    Raises:
        FeedError: it could not begin.
        Usage: a symbol that the gateway does not know.
        Failed: an output that cannot be written.
    """
    try:
        async with reached(world, choice, lambda: _simulator(job, world)) as there:
            return await _Run(job, world, there, face, stop).run()
    except _Stopped:
        return None


def _simulator(job: Job, world: World) -> Any:
    return simulator(world, job.settings.symbols, rate=job.rate, seed=job.seed, life=job.life, faults=job.faults)


class _Run:
    def __init__(self, job: Job, world: World, there: Reached, face: Face, stop: asyncio.Future[Any]) -> None:
        self.job, self.world, self.there, self.face, self.stop = job, world, there, face, stop
        self.watch = Watch(world.clock)
        self.tally = Tally(nanoseconds(job.settings.horizon))
        self.undecoded = Counter[str]()
        self.over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.open: dict[tuple[str, str], Bar] = {}
        self.closed: list[Bar] = []
        self.news = News(face.say)
        self.feed: Feed
        self.guests: list[Guest] = []
        self.compared: dict[tuple[str, str, int], Bar] | None = {} if there.simulator or job.consumers else None
        """The newest revision of each bar, to be compared with the simulator's, and with those of consumers."""
        self.outboxes: list[Outbox[Any]] = []
        self.rejected: Outbox[Reject] | None = None

    async def run(self) -> Ended:
        job, world, there = self.job, self.world, self.there
        async with AsyncExitStack() as stack:
            stack.enter_context(logging_to(self.face.say))
            files = None if job.output is None else await asyncio.to_thread(self._files, job.output)
            rejects = None
            if job.rejects is not None:
                rejects = RejectsFile(job.rejects, stack.enter_context(Folder(job.rejects)).path)
            gateway = Gateway(
                there.credentials, deployment=there.deployment, session=world.session, clock=world.clock, random=world.random,
                rejects=self._undecoded,
            )  # fmt: skip
            await stack.enter_async_context(gateway)
            feed = self.feed = self._feed(gateway)
            feed.events.subscribe(self.news)
            stack.push_async_callback(feed.close)
            await self._unless_stopped(self._opened(feed))
            self.watch.expect(feed.contracts)
            await self._outputs(stack, files, rejects)
            began = world.clock.now
            self._stream(gateway, feed)
            async with self._showing():
                error = await self._until_over()
                await self._settle(error)
                seconds = (world.clock.now - began) / SECOND
                await gateway.close()
                await self.over
                if self.guests:  # they may have a backlog
                    await asyncio.wait([guest.over for guest in self.guests], timeout=SETTLING)
                    for guest in self.guests:
                        guest.close()
                self._hand_on()
                error = await self._written() or error
            if rejects is not None:
                await asyncio.to_thread(self._commit, rejects)
            totals = self._totals(feed, seconds, error, files)
            totals.check()
            return Ended(totals, error)

    def _feed(self, gateway: Gateway) -> Feed:
        job, world = self.job, self.world
        settings = job.settings.model_copy(update={"updates": self.face.updates or job.settings.updates})
        return rxfeed.pipeline(
            gateway, settings, rules=job.rules, rejects=self._reject, tap=self.watch, clock=world.clock, random=world.random
        )

    async def _opened(self, feed: Feed) -> None:
        try:
            await feed.open()
        except UnknownContract as error:
            raise Usage(str(error)) from None
        except ValueError as error:
            if isinstance(error, RxfeedError):
                raise
            raise Usage(spelled(str(error))) from None  # settings that do not fit each other
        if feed.health_address is not None:
            where = feed.health_address
            self.face.say(f"health at {where}/health, figures for Prometheus at {where}/metrics")

    def _stream(self, gateway: Gateway, feed: Feed) -> None:
        there, symbols = self.there, tuple(contract.symbol for contract in feed.contracts)
        scene = Scene(
            shown(there.deployment), there.simulated, there.simulator is not None,
            lambda: self._state(gateway) + self._unwell(), self.watch, feed.windows, symbols,
            self.open,
        )  # fmt: skip
        self.face.start(scene)
        feed.bars.subscribe(self._on_bar, self._on_end, lambda: self._on_end(None))
        self.guests = [Guest(consumer, feed, self.face.say) for consumer in self.job.consumers]

    def _state(self, gateway: Gateway) -> str:
        if self.over.done():
            return "closed" if self.over.result() is None else "connection lost"
        stats = gateway.stats
        if not stats.market.connected:
            return "reconnecting" if self.news.counts["Connected"] else "connecting"
        changes = self.news.counts["Rotated"] + self.news.counts["Reconnected"]
        gaps = self.news.counts["Gapped"] + self.news.gaps_open
        if not changes + gaps:
            return "connected"  # there is little room
        age = "" if stats.token_age is None else f", token {_age(stats.token_age)} old"
        return f"connected{age}, {changes} change{'s' * (changes != 1)}, {gaps} gap{'s' * (gaps != 1)}"

    def _unwell(self) -> str:
        health = self.feed.health
        if health is None:
            return ""
        report = health.now()
        return f"; {report}" if report.state in ("degraded", "stale", "down") and not self.over.done() else ""

    # What comes

    def _on_bar(self, bar: Bar) -> None:
        if bar.revision < 0:
            self.open[bar.symbol, bar.timeframe] = bar
            return
        if not self.closed:
            asyncio.get_running_loop().call_soon(self._hand_on)
        self.closed.append(bar)

    def _hand_on(self) -> None:
        """Hand on the bars that one turn of the loop closed."""
        bars, self.closed = self.closed, []
        for bar in bars:
            self.tally.add(bar)
            if self.compared is not None and len(self.compared) < MOST_BARS:
                self.compared[bar.identity] = bar
            snapshot = self.open.get((bar.symbol, bar.timeframe))
            if snapshot is not None and snapshot.start <= bar.start:
                del self.open[bar.symbol, bar.timeframe]
        for outbox in self.outboxes:
            outbox.put(*bars)

    def _on_end(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(error)

    def _reject(self, reject: Reject) -> None:
        if self.rejected is not None:
            self.rejected.put(reject)

    def _undecoded(self, undecoded: Undecoded) -> None:
        self.undecoded[undecoded.source] += 1
        if self.feed.health is not None:
            self.feed.health.rejected()

    # Where it goes

    def _files(self, output: Path) -> BarFiles:
        there = self.there.deployment
        folder = output / ("simulated" if there.simulated else there.name.replace(":", "-"))
        return BarFiles(folder, self.world.clock.now, format=self.job.format, horizon=nanoseconds(self.job.settings.horizon))

    async def _outputs(self, stack: AsyncExitStack, files: BarFiles | None, rejects: RejectsFile | None) -> None:
        self.outboxes.append(Outbox(self.face.write, "bars"))
        if files is not None:
            self.outboxes.append(Outbox(files.add, "bars", period=_FILES_EVERY))
        if rejects is not None:
            self.rejected = Outbox(lambda found: [rejects(reject) for reject in found], "rejected trades")
        for outbox in self._all():
            stack.push_async_callback(outbox.close)

    def _all(self) -> list[Outbox[Any]]:
        return [*self.outboxes, *([] if self.rejected is None else [self.rejected])]

    def _commit(self, rejects: RejectsFile) -> None:
        rejects.finish()
        rejects.output.commit()

    async def _written(self) -> Exception | None:
        """Wait until all is written; return what went wrong with that."""
        for outbox in self._all():
            await outbox.close()
        return next((outbox.failed.result() for outbox in self._all() if outbox.failed.done()), None)

    # How it ends

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work, name="rxfeed opens")
        try:
            await asyncio.wait((task, self.stop), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])
        raise _Stopped

    async def _until_over(self) -> Exception | None:
        """Wait for the first of: stopped, the time is over, the stream has ended, something cannot be written."""
        failed = [outbox.failed for outbox in self._all()]
        await asyncio.wait((self.stop, self.over, *failed), timeout=self.job.lasts, return_when=asyncio.FIRST_COMPLETED)
        return self.over.result() if self.over.done() else None

    @asynccontextmanager
    async def _showing(self) -> AsyncGenerator[None, None]:
        task = asyncio.create_task(self._show(), name="rxfeed shows")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._drawn()
            self.face.stop()

    async def _show(self) -> None:
        hours = MarketHours(self.feed.windows.session, self.world.clock)
        while True:
            news = hours.news(self.watch.newest)
            if news is not None:
                self.face.say(news)
            await self._drawn()
            await asyncio.sleep(_FRAME)

    async def _drawn(self) -> None:
        self.face.look()
        await asyncio.to_thread(self.face.draw)

    async def _settle(self, error: Exception | None) -> None:
        """Let the simulator inside stand still, and wait for what it has sent: then both sides can be compared."""
        inside = self.there.simulator
        if inside is None or error is not None:
            return
        inside.rate = 0
        deadline = asyncio.get_running_loop().time() + SETTLING
        while asyncio.get_running_loop().time() < deadline and not self.over.done():
            if not self._truth(inside).differences:
                return
            await asyncio.sleep(0.01)

    def _truth(self, inside: Any, error: Exception | None = None) -> Truth:
        lost = isinstance(error, ConnectionLost) or bool(self.news.counts["Gapped"] + self.news.gaps_open)
        return truth_of(inside, self.watch.by_symbol, lost=lost)

    def _totals(self, feed: Feed, seconds: float, error: Exception | None, files: BarFiles | None) -> Totals:
        stats, inside = feed.stats, self.there.simulator
        made, front = stats.bars, stats.source
        dropped, waiting = (0, 0) if front is None else (front.dropped, front.pending)
        undecoded = sum(self.undecoded.values())
        timeframes = [level.timeframe.name for level in feed.windows.levels if level.emitted]
        truth = None if inside is None else self._truth(inside, error)
        if inside is not None and truth is not None and self.compared is not None and error is None:
            compare_bars(truth, inside, self.compared.values(), self.watch.by_symbol)
        mended = self.news.counts["Repaired"]  # what history tells has no counts
        return Totals(
            received=self.watch.received + undecoded + dropped + waiting, in_bars=made.closed,
            open=made.open + stats.suspects + waiting, outside_session=made.outside_session, rejected=feed.rejected,
            undecoded=undecoded, dropped=dropped,
            bars={name: self.tally.bars[name] for name in timeframes},
            counted={} if error is not None or mended else {name: self.tally.trades[name] for name in timeframes},
            revisions=self.tally.revisions, seconds=seconds, work=self.watch.work, lag=self.watch.lag,
            news=self.news.as_json(), said=self.news.lines(), truth=truth,
            output=None if files is None else str(files.folder),
            rejects=None if self.job.rejects is None else str(self.job.rejects),
            guests=[guest.told(self.compared or {}) for guest in self.guests],
        )  # fmt: skip
