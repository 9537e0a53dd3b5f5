"""The default composition: a source in, exact bars out, and all that keeps it right in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from reactivex import Observable

from rxfeed.clock import Clock, LiveClock
from rxfeed.instrument import Instruments
from rxfeed.memory import MemoryProbe
from rxfeed.model import Reject, Tick
from rxfeed.rules import DEFAULT, Rule
from rxfeed.settings import Settings
from rxfeed.windows import Windows

from .feed import Feed, FeedStats
from .origin import History, Market
from .stages import Stage

__all__ = ["Feed", "FeedStats", "History", "Market", "pipeline"]


def pipeline(
    source: Market | Observable[Tick],
    settings: Settings | None = None,
    *,
    rules: Sequence[Rule] = DEFAULT,
    windows: Windows | None = None,
    instruments: Instruments = None,
    history: History | None = None,
    rejects: Callable[[Reject], None] | None = None,
    tap: Stage | None = None,
    clock: Clock | None = None,
    random: Random | None = None,
    memory: MemoryProbe | None = None,
) -> Feed:
    """Compose a source into checked ticks and exact bars, with all that keeps it right when things go wrong.

    Args:
        source: a `Gateway`, of which the settings name the symbols; or an observable of ticks, that is subscribed to again
            when it fails or falls silent.
        settings: which parts there are, and what they are set to; by default those of the environment.
        rules: what a tick must be; by default `rules.DEFAULT`. None of them: nothing is checked.
        windows: instead of the settings' timeframes, session and anchor, say with a session that knows holidays.
        instruments: tick sizes and sessions; of a gateway, instead of what it says.
        history: of an observable: what gaps are mended from, an async function as `ops.repair` takes it.
        rejects: called with each tick that was refused.
        tap: a stage in front of the first check, to measure or to record.
        clock: the source's; by default the machine's.
        random: decides on jitter.
        memory: looks at the process' memory; by default the machine tells.

    Returns:
        A feed, to be used as an `async with` block: `bars` and `ticks` to subscribe to, `events`, `health` and `stats`.
        `print(feed)` shows what it is made of. Nothing is connected before somebody subscribes.

    Raises:
        SettingRefused: the environment has settings that are unknown or impossible.

    Example:
        >>> import rxfeed
        >>> from rxfeed import operators as ops
        >>> async def main():
        ...     settings = rxfeed.Settings(symbols="MNQ,MES", timeframes="1m,5m")
        ...     async with rxfeed.Gateway() as gateway, rxfeed.pipeline(gateway, settings) as feed:
        ...         async for bar in feed.bars.pipe(ops.to_async_iter()):
        ...             print(bar)
    """
    return Feed(
        source, Settings() if settings is None else settings, rules=rules, windows=windows, instruments=instruments,
        history=history, rejects=rejects, tap=tap, clock=LiveClock() if clock is None else clock,
        random=Random() if random is None else random, memory=memory,  # noqa: S311
    )  # fmt: skip
