"""The health of a gateway's connection: what it is fed with, and who is asked for what helps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl
from reactivex import Observable, abc

from rxfeed.clock import Clock, LiveClock
from rxfeed.events import Event
from rxfeed.frame import is_frame
from rxfeed.health import STEPS, Ask, Health, Limits, Remedy, Step, Wire
from rxfeed.model import UNKNOWN_TIME, Tick
from rxfeed.runs import Run, RunObservable, RunObserver, run_into
from rxfeed.sessions import Session

from .gateway import Gateway
from .kinds import HubName


def wire_of(gateway: Gateway, hub: HubName = "market") -> Wire:
    """Return the figures of a gateway's connection."""
    stats = gateway.stats
    own = stats.market if hub == "market" else stats.user
    quiet = round_trip = None
    reading = True
    if own.connection is not None:
        quiet, round_trip, reading = own.connection.quiet, own.connection.round_trip, own.connection.reading
    return Wire(own.connected, own.streams > 0, quiet, round_trip, stats.token_age, stats.token_left, reading)


def health_of(
    gateway: Gateway, *, session: str | Session = "24x7", limits: Limits | None = None, steps: Sequence[Step] = STEPS,
    hub: HubName = "market", clock: Clock | None = None,
) -> Health:  # fmt: skip
    """Return the health of a gateway's connection. It hears of no events yet, and looks at nothing before it is started.

    Args:
        gateway: whose.
        session: when the market is open, or its name.
        limits: from when on it is not well.
        steps: what may be asked for where it is not, and how often; none: nobody asks.
        hub: which connection: "market" or "user". A user hub is silent by right: give it `Limits(between=None)`.
        clock: the gateway's; by default the machine's.
    """

    def ask(what: Ask, why: str) -> None:
        gateway.request(what, why, hub=hub)

    remedy = Remedy(ask, steps=steps) if steps else None
    return Health(
        clock or LiveClock(), session=session, limits=limits or Limits(), wire=partial(wire_of, gateway, hub), remedy=remedy,
        hub=hub,
    )  # fmt: skip


@contextmanager
def watched(
    gateway: Gateway, *, events: Observable[Event] | None = None, session: str | Session = "24x7", limits: Limits | None = None,
    steps: Sequence[Step] = STEPS, hub: HubName = "market", clock: Clock | None = None,
) -> Generator[Health, None, None]:  # fmt: skip
    """Watch a gateway's connection inside a `with` block.

    Arguments are those of `health_of`, and `events`: what it hears of; by default the gateway's.

    Example:
        >>> from rxfeed import operators as ops
        >>> async def main():
        ...     async with Gateway() as gateway:
        ...         with watched(gateway, session="CME") as health:
        ...             trades = gateway.trades("MNQ").pipe(passing(health))
        ...             async for bar in trades.pipe(ops.bars("1m"), ops.to_async_iter()):
        ...                 print(bar, health.now())
    """
    health = health_of(gateway, session=session, limits=limits, steps=steps, hub=hub, clock=clock)
    subscription = (gateway.events if events is None else events).subscribe(health.heard, on_error=lambda _: None)
    try:
        with health:
            yield health
    finally:
        subscription.dispose()


def passing(health: Health) -> Callable[[Observable[Any]], Observable[Any]]:
    """Return a stage that hands trades on, as rows or frames, and has a health see them; once a drain of the socket.

    How long they take into bars is measured if it stands before `bars` with no boundary in between.
    """

    def stage(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            run, one = run_into(observer), observer.on_next

            def on_run(ticks: Run) -> None:
                if not ticks:
                    return
                last = ticks[-1]
                health.saw(len(ticks), last.time, last.received)
                run(ticks)
                if last.received is not None:
                    health.made(last.received)

            def on_next(element: Any) -> None:
                count, time, received = _last(element)
                if count:
                    health.saw(count, time, received)
                one(element)
                if received is not None:
                    health.made(received)

            return RunObserver(on_next, on_run, observer.on_error, observer.on_completed).to(source, scheduler)

        return RunObservable(subscribe)

    return stage


def _last(element: Any) -> tuple[int, int, int | None]:
    """Return how many trades it is, and the last one's times."""
    if isinstance(element, Tick):
        return 1, element.time, element.received
    if not is_frame(element) or not len(element):
        return 0, UNKNOWN_TIME, None
    df = element.df
    time: int = df["time"].cast(pl.Int64)[-1]
    received = df["received"].cast(pl.Int64)[-1] if "received" in df.columns else None
    return len(element), time, received
