"""nautilus_trader: its bar aggregators driven directly, one for each symbol and timeframe, all on one test clock.

Its engines and message bus would only add to it. Its bars have no count, no sums by side and no times of first and last tick,
and it validates nothing. On Python 3.11 it needs pandas 2, so it has an environment of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.bench.peers import SECOND, STEPS, Check, Lane, Own, PeerBar, Ticks, need, nothing

KIND = "rows"
PACKAGES = ("nautilus_trader",)
OWN = Own(("nautilus_trader>=1.221",), (3, 11), (3, 12))
DIGITS = 2
Handler = Callable[[Any], None]


class _Bench:
    """Nautilus' ticks, and aggregators for them."""

    def __init__(self, given: Ticks) -> None:
        data, model = need("nautilus_trader.model.data"), need("nautilus_trader.model")
        side = need("nautilus_trader.model.enums").AggressorSide
        sides = {0: side.NO_AGGRESSOR, 1: side.BUYER, 2: side.SELLER}
        self.instruments = {symbol: _instrument(symbol) for symbol in dict.fromkeys(given.symbol)}
        prices = {price: model.Price(price, DIGITS) for price in set(given.price)}
        sizes = {size: model.Quantity.from_int(size) for size in set(given.size)}
        self.ticks = [
            data.TradeTick(
                self.instruments[symbol].id, prices[price], sizes[size], sides[of], model.TradeId(str(number)), time, time
            )
            for number, (symbol, time, price, size, of) in enumerate(zip(*given, strict=True))
        ]  # fmt: skip
        self.begin = given.time[0] // SECOND * SECOND
        self.clock: Any = None

    def aggregators(self, handler: Handler, *, upward: bool) -> dict[Any, tuple[Handler, ...]]:
        """Return who takes the ticks of each instrument; `upward`: only the 1s bars take ticks, and their bars go up."""
        self.clock = need("nautilus_trader.common.component").TestClock()
        self.clock.set_time(self.begin)
        return {i.id: self._of(i, handler, upward) for i in self.instruments.values()}

    def _of(self, instrument: Any, handler: Handler, upward: bool) -> tuple[Handler, ...]:
        data, enums = need("nautilus_trader.model.data"), need("nautilus_trader.model.enums")
        make = need("nautilus_trader.data.aggregation").TimeBarAggregator
        second, minute = enums.BarAggregation.SECOND, enums.BarAggregation.MINUTE
        hour, day = enums.BarAggregation.HOUR, enums.BarAggregation.DAY
        made: list[Any] = []
        emit = handler
        # From the longest down, since each needs to know who takes its bars; and a bar that is made of bars is built a
        # microsecond after them.
        for delay, (step, unit) in reversed([*enumerate([(1, second), (1, minute), (5, minute), (1, hour), (1, day)])]):
            specification = data.BarSpecification(step, unit, enums.PriceType.LAST)
            kind = data.BarType(instrument.id, specification, enums.AggregationSource.INTERNAL)
            # The Chicago day begins at 23:00 UTC in winter; zones it does not know.
            offset = need("pandas").Timedelta(hours=-1) if unit == day else None
            one = make(
                instrument, kind, emit, self.clock, build_with_no_updates=False, time_bars_origin_offset=offset,
                bar_build_delay=delay if upward else 0,
            )  # fmt: skip
            if hasattr(one, "start_timer"):  # older ones start by themselves
                one.start_timer()
            made.append(one)
            if upward:
                emit = _both(handler, one.handle_bar)
        made.reverse()
        return (made[0].handle_trade_tick,) if upward else tuple(one.handle_trade_tick for one in made)


def each_tick(bench: _Bench, handler: Handler = nothing) -> None:
    """Five aggregators take each tick, and the clock is moved to each tick's time before it, as its backtest engine does."""
    takers = bench.aggregators(handler, upward=False)
    advance = bench.clock.advance_time
    for tick in bench.ticks:
        for event in advance(tick.ts_event):
            event.handle()
        a, b, c, d, e = takers[tick.instrument_id]
        a(tick)
        b(tick)
        c(tick)
        d(tick)
        e(tick)


def upward(bench: _Bench, handler: Handler = nothing) -> None:
    """The fastest that its parts allow: 1s bars from ticks, longer ones from shorter ones, the clock moved once a second."""
    takers = bench.aggregators(handler, upward=True)
    advance, edge = bench.clock.advance_time, 0
    for tick in bench.ticks:
        time = tick.ts_event
        if time >= edge:
            for event in advance(time):
                event.handle()
            edge = time - time % SECOND + SECOND
        takers[tick.instrument_id][0](tick)


def _bars(run: Callable[[_Bench, Handler], None]) -> Callable[[_Bench], list[PeerBar]]:
    def bars(bench: _Bench) -> list[PeerBar]:
        made: list[Any] = []
        run(bench, made.append)
        last = bench.ticks[-1].ts_event
        for hour in range(1, 26):  # until the day has closed
            for event in bench.clock.advance_time(last + hour * STEPS["1h"]):
                event.handle()
        return [_bar(one) for one in made]

    return bars


def _bar(made: Any) -> PeerBar:
    seconds = int(made.bar_type.spec.timedelta.total_seconds())
    timeframe = next(name for name, width in STEPS.items() if width == seconds * SECOND)
    close = made.ts_event // SECOND * SECOND  # one made of bars says the microsecond too
    return PeerBar(
        str(made.bar_type.instrument_id.symbol), timeframe, close - seconds * SECOND,
        float(made.open), float(made.high), float(made.low), float(made.close), int(made.volume), None,
    )  # fmt: skip


def lanes() -> list[Lane]:
    need("nautilus_trader")
    return [
        Lane(
            "nautilus_trader, clock each tick",
            _Bench,
            each_tick,
            (Check(_bars(each_tick)),),
            targets={"rxfeed, own source": 2.5},
        ),
        Lane("nautilus_trader, 1s then upward", _Bench, upward, (Check(_bars(upward)),)),
    ]


def _both(first: Handler, second: Handler) -> Handler:
    def emit(made: Any) -> None:
        first(made)
        second(made)

    return emit


def _instrument(symbol: str) -> Any:
    model, asset = need("nautilus_trader.model"), need("nautilus_trader.model.enums").AssetClass
    return need("nautilus_trader.model.instruments").FuturesContract(
        instrument_id=model.InstrumentId(model.Symbol(symbol), model.Venue("CME")), raw_symbol=model.Symbol(symbol),
        asset_class=asset.INDEX, currency=model.Currency.from_str("USD"), price_precision=DIGITS,
        price_increment=model.Price(10**-DIGITS, DIGITS), multiplier=model.Quantity.from_int(1),
        lot_size=model.Quantity.from_int(1), underlying=symbol, activation_ns=0, expiration_ns=1 << 62, ts_event=0, ts_init=0,
    )  # fmt: skip
