"""The default composition, on one screen: a gateway's trades, checked, as bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from reactivex import Observable, abc

from rxfeed import operators as ops
from rxfeed.clock import Clock, LiveClock
from rxfeed.feeds.projectx import Contract, Gateway
from rxfeed.instrument import Instrument, Instruments, by_symbol
from rxfeed.model import Bar, Reject, Tick
from rxfeed.rules import DEFAULT, Rule
from rxfeed.times import Duration
from rxfeed.windows import Windows

Stage = Callable[[Observable[Tick]], Observable[Tick]]


class Live:
    """What `live` returns: bars to subscribe to, and the counts of what became of the trades.

    At every moment: trades = `checked.stats.rejected` + `.pending` + `made.stats.closed` + `.open` + `.rejected` +
    `.outside_session`.
    """

    def __init__(
        self, gateway: Gateway, contracts: Sequence[Contract], windows: Windows, *, rules: Sequence[Rule], lateness: Duration,
        horizon: Duration, grace: Duration, updates: Duration | None, fill: bool, instruments: dict[str, Instrument],
        rejects: Callable[[Reject], None] | None, tap: Stage | None, clock: Clock,
    ) -> None:  # fmt: skip
        self.contracts: Final = tuple(contracts)
        self.windows: Final = windows
        self.checked: Final = ops.validate(*rules, instruments=instruments, rejects=rejects)
        self.made: Final = ops.bars(
            windows, lateness=lateness, horizon=horizon, grace=grace, updates=updates, fill="previous" if fill else None,
            instruments=instruments, rejects=rejects, scheduler=clock.scheduler,
        )  # fmt: skip
        trades = gateway.trades(*(contract.id for contract in contracts))
        self.bars: Final[Observable[Bar]] = self.made(self.checked(trades if tap is None else tap(trades)))

    def subscribe(
        self, on_next: Callable[[Bar], None], on_error: Callable[[Exception], None], on_completed: Callable[[], None]
    ) -> abc.DisposableBase:
        """Subscribe to the bars."""
        return self.bars.subscribe(on_next, on_error, on_completed)


async def live(
    gateway: Gateway,
    *symbols: str,
    windows: Windows | Sequence[str] = ("1m",),
    rules: Sequence[Rule] = DEFAULT,
    lateness: Duration = 0,
    horizon: Duration = "10m",
    grace: Duration = "1s",
    updates: Duration | None = None,
    fill: bool = False,
    instruments: Instruments = None,
    rejects: Callable[[Reject], None] | None = None,
    tap: Stage | None = None,
    clock: Clock | None = None,
) -> Live:
    """Compose a gateway's trades into bars: symbols looked up, trades checked by tick size, windows closed by the clock.

    Args:
        gateway: where the trades come from.
        symbols: roots ("MNQ"), contracts ("MNQZ26") or ids; one or more.
        windows: timeframes such as "1m", or a `Windows` value with session and anchor.
        rules: what a trade must be; by default `rules.DEFAULT`.
        lateness: how long windows stay open after their end, in event time.
        horizon: how far back a trade may be and still be merged into its window.
        grace: how long after its end, by the clock, a window of a quiet symbol closes; more than trades take to get here.
        updates: how often open bars are shown, as snapshots of revision -1; None never.
        fill: whether empty windows get a bar from the close before.
        instruments: to be used instead of what the gateway says of tick sizes.
        rejects: called with each trade that was refused.
        tap: a stage between the gateway and the first check, to measure or to record.
        clock: the gateway's; by default the machine's.

    Returns:
        The bars, and what counts them. Nothing is connected before they are subscribed to.

    Raises:
        UnknownContract: a symbol that the gateway does not know.
        FeedError: the gateway cannot be asked, or refuses.
        ValueError: a timeframe or a duration that is not allowed, or no symbol.

    Example:
        >>> from rxfeed import Gateway, pipeline
        >>> async def main():
        ...     async with Gateway() as gateway:
        ...         feed = await pipeline.live(gateway, "MNQ", "MES", windows=("1m", "5m"))
        ...         async for bar in feed.bars.pipe(ops.to_async_iter()):
        ...             print(bar)
    """
    if not symbols:
        raise ValueError('live needs one symbol or more, such as "MNQ"')
    found = {contract.id: contract for contract in [await gateway.contract(symbol) for symbol in symbols]}
    told = {contract.symbol: Instrument(contract.symbol, contract.tick_size) for contract in found.values()}
    return Live(
        gateway, list(found.values()), windows if isinstance(windows, Windows) else Windows(*windows), rules=rules,
        lateness=lateness, horizon=horizon, grace=grace, updates=updates, fill=fill, instruments=told | by_symbol(instruments),
        rejects=rejects, tap=tap, clock=LiveClock() if clock is None else clock,
    )  # fmt: skip
