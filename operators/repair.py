"""What was missed can be had later: the exchange's history knows the bars of a gap, once their windows have settled. It is
asked for whole windows, when it can know them, and believed no further than it shows that it knows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import tenacity
from reactivex import Observable, abc
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from rxfeed.clock import LiveClock
from rxfeed.events import Event
from rxfeed.frame import Frame
from rxfeed.instrument import Instruments
from rxfeed.kernels.repair.plan import RepairPlan
from rxfeed.model import Bar, Gap, Repair
from rxfeed.retrying import Retries, plain, wait_of
from rxfeed.scheduler import Timed, clock_of, own_clock
from rxfeed.sessions import Session
from rxfeed.times import Duration, nanoseconds
from rxfeed.windows import Anchor, Windows

from ._call import Called, call
from ._mending import Manner
from ._repairing import Repairing, RepairStats
from ._sink import Sink, sink

_NONE = RepairStats(0, 0, 0, 0, 0, 0, 0)


class Repairs(Called):
    """What `repair` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, manner: Manner, most: int, events: Sink[Event] | None, scheduler: Timed, text: str) -> None:
        super().__init__(text)
        self._manner, self._most, self._events, self._clock = manner, most, events, clock_of(scheduler)
        self._newest: Repairing | None = None

    @property
    def stats(self) -> RepairStats:
        """Gaps by what became of them: received = told_again + ongoing + waiting + repaired + not_repaired + closed_market."""
        return _NONE if self._newest is None else self._newest.stats

    def __call__(self, source: Observable[Gap]) -> Observable[Repair]:
        def subscribe(observer: abc.ObserverBase[Repair], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            clock = self._clock or own_clock(scheduler) or LiveClock()
            newest = self._newest = Repairing(self._manner, self._most, self._events, observer, clock)
            return newest.open(source, scheduler)

        return Observable(subscribe)


def repair(
    history: Callable[..., Awaitable[Frame[Bar]]],
    *timeframes: str | Windows,
    session: str | Session | None = None,
    anchor: Anchor | None = None,
    instruments: Instruments = None,
    settle: Duration = "5s",
    late: Duration = "1m",
    longest: Duration = "1d",
    most: int = 1_000,
    wait: WaitBaseT | Duration = tenacity.wait_exponential(multiplier=5, exp_base=3, max=600),  # noqa: B008  # it has no state
    stop: StopBaseT = tenacity.stop_after_attempt(6),  # noqa: B008
    events: abc.ObserverBase[Event] | Callable[[Event], None] | None = None,
    scheduler: Timed = None,
) -> Repairs:
    """Ask history about gaps, for `bars(repairs=...)`.

        --g-----h-----|           g, h: gaps that ended a second before; a column is a second
        repair(history, "1s")
        --------r-----(s|)

    A gap is asked about when the last window of the finest timeframe that it touches has ended and settled, by one request.
    Where history has no such bars, the next longer timeframe is asked for, and so on. A gap that lasts is waited for: it comes
    again with its end. One with the cause "backfill", that is from before the start, is not: what history has of it is taken
    at once, and the rest when its end is told.

    What history says about a window is believed if it has a bar there. A window without one had no trades only if history
    has bars both before and after, and if it has ended `late` ago: otherwise history is asked again, and what it then does
    not show stays as it is. So bars come out right or stay flagged GAP. What history has no bars for cannot be repaired:
    windows shorter than a second, and those by ticks, volume, range and the like.

    Args:
        history: an async callable of symbol, timeframe, start and end (ns, `[start, end)`) that gives the bars which begin
            there and are complete, such as `gateway.history`. If it takes `session`, it is told when the market trades.
            Timeframes are those that divide an hour, from "1s" to "1h", on UTC's grid; ValueError says that there are none.
        timeframes: those of the bars to be repaired, as for `bars`; or one `Windows` value.
        session: when the market trades: a `Session` or its name; "24x7" by default.
        anchor: "session" (default), "wall" or "utc"; see `Windows`.
        instruments: those with a session of their own use it.
        settle: after a window's end, how long trades may still be added to it.
        late: how long it may take until history knows a trade.
        longest: of a gap that is longer, only the last part is asked for.
        most: so many gaps may wait, 1 or more; of more, the oldest is given up.
        wait: how long to wait before history is asked again: a `tenacity.wait_...`, or always the same duration. By default
            5 s, 15 s, 45 s and so on.
        stop: when it is asked no more: a `tenacity.stop_...`; by default after six times, which is some ten minutes.
        events: an observer or a callable that hears each `Repaired`, before the repair is emitted, each `NotRepaired` with what
            is not known and why, and `Backfilled` when all is out that history had at once. Never completed. Without it the
            log is told of three a minute that are not repaired, and of how many more there were.
        scheduler: the clock of the events' times, and of what is before the start of a backfill; by default the
            subscriber's, if it is one of ours, and else the machine's.

    Returns:
        An operator from gaps to repairs; its `stats` count gaps by what became of them.

    Raises:
        ValueError: a timeframe, session, anchor, duration or number that is not allowed; no timeframe of whole seconds.
        TypeError: `history` cannot be called; as the stream's error, an element that is no Gap.
        RuntimeError: no asyncio loop runs (when it is subscribed).

    Ends: with the source, on completion when those that wait are through; those that last still are not repaired. What goes
        wrong with history is an event, and never the end. Disposing cancels all requests.
    Drops: nothing in silence: what is not repaired is an event.
    Clock: the asyncio loop's time. What the exchange's time is, the gaps say: the machine's clock may be wrong.
    """
    text = call(repair, locals())
    if not callable(history):
        raise TypeError(f"history must be an async function, got {type(history).__name__}")
    if isinstance(cast("object", most), bool) or not isinstance(cast("object", most), int) or most < 1:
        raise ValueError(f"most must be a whole number from 1, got {most!r}")
    long = nanoseconds(longest, name="longest")
    if long == 0:
        raise ValueError(f"longest must be more than 0, got {longest!r}")
    manner = Manner(
        history,
        RepairPlan(_windows(timeframes, session, anchor), instruments),
        settle=nanoseconds(settle, name="settle"),
        late=nanoseconds(late, name="late"),
        longest=long,
        retries=Retries(tenacity.retry_always, wait_of(wait), plain("stop", stop)),
    )
    return Repairs(manner, most, sink(events, "events"), scheduler, text)


def _windows(timeframes: tuple[str | Windows, ...], session: str | Session | None, anchor: Anchor | None) -> Windows:
    first = timeframes[0] if timeframes else None
    if isinstance(first, Windows) and len(timeframes) == 1:
        if session is not None or anchor is not None:
            raise ValueError("session and anchor belong to the Windows value; give them there")
        return first
    names = [timeframe for timeframe in timeframes if isinstance(timeframe, str)]
    if len(names) < len(timeframes):
        raise ValueError("timeframes must be texts, or one Windows value alone")
    return Windows(*names, session=session if session is not None else "24x7", anchor=anchor or "session")
