"""One gap and what history says to it: asked when it can know, again where it is late, in longer bars where it has no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any, Final, Protocol

from rxfeed.errors import FeedError, GatewayRefused, ProtocolError, TooManyRequests
from rxfeed.failures import stage_of, tell
from rxfeed.frame import Frame
from rxfeed.kernels.repair.answer import Answer
from rxfeed.kernels.repair.plan import RepairPlan, Stretch
from rxfeed.model import Bar, Gap, Repair
from rxfeed.retrying import Retries, Tries
from rxfeed.times import NANOSECONDS, SECOND, iso

History = Callable[..., Awaitable[Frame[Bar]]]
Piece = tuple[int, int]
"""Of a gap, both inclusive."""

_BACK: Final = NANOSECONDS["h"]
"""How much further back history is asked where it does not show that it reaches as far as the gap's beginning."""
_BEYOND: Final = NANOSECONDS["h"]
"""How far behind the windows bars are looked for at most, which would show that history is not late."""
_SERVER_ERRORS: Final = 500
_SOON: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Manner:
    """How history is asked; durations in ns."""

    history: History
    plan: RepairPlan
    settle: int
    late: int
    longest: int
    retries: Retries


class Told(Protocol):
    """Who hears what comes of it. Nothing is raised."""

    def repaired(self, repair: Repair) -> None: ...
    def not_repaired(self, gap: Gap, text: str) -> None: ...


class Reckoned:
    """The exchange's time: at least what a gap said when it was told, and what has passed since on the loop's clock.

    Our own clock may be an hour off, and is not asked.
    """

    __slots__ = ("_at", "_loop", "_time")

    def __init__(self, loop: asyncio.AbstractEventLoop, time: int) -> None:
        self._loop, self._time, self._at = loop, time, loop.time()

    @property
    def now(self) -> int:
        return self._time + round((self._loop.time() - self._at) * SECOND)

    def at_least(self, time: int) -> None:
        """Take note that it is this time already."""
        self._time, self._at = max(self.now, time), self._loop.time()


@dataclass(slots=True)
class _Course:
    """How far one has got with a gap."""

    gap: Gap
    time: Reckoned
    once: bool = False
    """Whether to take what is there, and ask no more."""
    left: list[Piece] = field(default_factory=list[Piece])
    """What is not known, and may be in longer bars."""
    since: int = 0
    """Of the windows that are asked about, from when on they are not known."""
    reached: int = 0
    longest: bool = False
    """Whether there are no longer bars to ask for."""
    text: str = "history has no bars that fit these windows"
    """Why the rest is not known."""


class _Unfit(Exception):
    """History has no such bars; it may have longer ones."""


class _GiveUp(Exception):
    """History cannot be asked, in whatever bars."""


class _Late(Exception):
    """History does not know all of it yet."""


class Mender:
    """Asks history about gaps.

    Args:
        manner: how.
        told: hears what comes of it.
    """

    def __init__(self, manner: Manner, told: Told) -> None:
        self._manner, self._told, self._plan = manner, told, manner.plan
        self._with_session = _takes_session(manner.history)
        self._loop = asyncio.get_running_loop()

    def wait(self, end: int, time: Reckoned) -> float:
        """Return the seconds until a window that ends at `end` has settled; 0 if it has."""
        wait = (end - time.now + self._manner.settle) / SECOND
        return wait if wait > _SOON else 0.0

    async def mend(self, gap: Gap, since: int, time: Reckoned) -> bool:
        """Mend a gap from `since` to its end; return whether that could be done."""
        course = _Course(gap, time)
        await self._go(course, since, gap.end)
        for start, end in course.left:
            self._told.not_repaired(Gap(gap.symbol, start, end, gap.cause), course.text)
        return not course.left

    async def before(self, gap: Gap, time: Reckoned) -> tuple[int, bool]:
        """Take what history has already of a gap that lasts.

        Returns:
            From when on it is to be mended still, and whether nothing before that is missing.
        """
        until = time.now - self._manner.settle
        since = max(gap.start, until - self._manner.longest)
        course = _Course(gap, time, once=True, reached=since)
        await self._go(course, since, until)
        lost = [(start, min(end, course.reached - 1)) for start, end in course.left if start < course.reached]
        nothing = [(since, until)] if course.reached == since and course.left else []
        for start, end in lost or nothing:
            self._told.not_repaired(Gap(gap.symbol, start, end, gap.cause), course.text)
        return course.reached, not lost

    async def _go(self, course: _Course, since: int, until: int) -> None:
        """Ask about all windows from `since` to `until`: the finest first, and longer ones where those are not to be had."""
        plan, symbol = self._plan, course.gap.symbol
        if since > until or not plan.open(symbol, since, until):
            return
        course.left = [(since, until)]
        levels = list(plan.levels(symbol, since, until))
        for level in levels:
            course.longest = level == levels[-1]
            todo, course.left = course.left, []
            while todo:
                piece = todo.pop(0)
                stretch = plan.stretch(symbol, level, *piece)
                try:
                    if stretch is None:
                        course.left.append(piece)
                    else:
                        await self._learn(course, stretch, piece)
                except _Unfit as error:
                    course.text = str(error)
                except _GiveUp as error:
                    course.left += todo
                    course.text = str(error)
                    return
        course.left = [piece for piece in course.left if plan.open(symbol, *piece)]

    async def _learn(self, course: _Course, stretch: Stretch, piece: Piece) -> None:
        """Ask about the windows of one timeframe until all is known that can be; the rest of the piece is left."""
        start, end = piece
        if course.once and stretch.end > end:
            stretch = stretch._replace(end=stretch.floor(end))  # the last one has not ended
        course.since = stretch.start
        try:
            await self._until_known(course, stretch, start)
        finally:
            if course.once and course.since > stretch.start:
                course.reached = max(course.reached, course.since)
            elif course.once or course.since < stretch.end:
                course.left.append((max(start, course.since), end))

    async def _until_known(self, course: _Course, whole: Stretch, start: int) -> None:
        manner, back = self._manner, 0
        while not course.once and (wait := self.wait(whole.end, course.time)):  # noqa: ASYNC110  # for time
            await asyncio.sleep(wait)
        tries = Tries(manner.retries, self._loop.time())
        while course.since < whole.end:
            stretch = whole.beginning(course.since)
            try:
                answer = await self._ask(course, stretch, back)
                first = course.since == whole.start
                if first and answer.begins_late and not back:
                    back = _BACK
                    continue
                await self._take(course, answer, start, first=first)
                wrong: Exception = _Late(f"history has nothing of {stretch.timeframe} from {iso(course.since)} on")
                if course.since >= stretch.end or course.once:
                    return
                if answer.empty and not course.longest and course.time.now - stretch.end >= manner.late:
                    raise _Unfit(str(wrong))
            except FeedError as error:
                wrong = _judged(error)
            course.text = str(wrong)
            wait = tries.after(wrong, self._loop.time())
            if wait is None:
                raise _GiveUp(str(wrong)) if isinstance(wrong, FeedError) else _Unfit(str(wrong))
            if isinstance(wrong, TooManyRequests):
                wait = max(wait, wrong.retry_after or 0.0)
            await asyncio.sleep(wait)

    async def _ask(self, course: _Course, stretch: Stretch, back: int) -> Answer:
        """Ask for the bars of a stretch, and for those that show how far history reaches."""
        manner, now = self._manner, min(course.time.now, stretch.end + _BEYOND)
        until = max(stretch.end, now - now % stretch.step)
        more: dict[str, Any] = {"session": self._plan.session(stretch.symbol)} if self._with_session else {}
        try:
            frame = await manner.history(stretch.symbol, stretch.asked, stretch.start - back, until, **more)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise _GiveUp("history was cancelled, and not by us") from None
        except FeedError:
            raise
        except ValueError as error:
            raise _Unfit(f"history has no bars of {stretch.asked}: {error}") from None
        except Exception as error:
            tell(None, stage_of(manner.history), "on_next", error, course.gap, goes_on=True)
            raise _GiveUp(f"history raised {type(error).__name__}") from None
        return Answer(stretch, frame)

    async def _take(self, course: _Course, answer: Answer, start: int, *, first: bool) -> None:
        """Hand on what is believed of an answer."""
        since, until = answer.believed(course.time.now, self._manner.late, once=course.once, again=not first)
        if since == until:
            return
        if since > course.since:
            course.left.append((start, since - 1))
        for piece in answer.pieces(since, until):
            course.since = piece.end
            timeframe = answer.stretch.timeframe
            self._told.repaired(Repair(course.gap, timeframe, piece.start, piece.end, tuple(piece.bars)))
            await asyncio.sleep(0)


def _judged(error: FeedError) -> FeedError:
    """Return what may go well the next time.

    Raises:
        _Unfit: longer bars may be had, and these will not.
        _GiveUp: none will.
    """
    if error.permanent:
        raise _GiveUp(str(error))
    if isinstance(error, ProtocolError) or (isinstance(error, GatewayRefused) and error.code < _SERVER_ERRORS):
        raise _Unfit(str(error))
    return error


def _takes_session(history: Callable[..., object]) -> bool:
    """Whether it wants to be told when the market trades, as `Gateway.history` does."""
    try:
        parameters = signature(history).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(each.name == "session" or each.kind is Parameter.VAR_KEYWORD for each in parameters)
