"""A market that never was: seeded, bursty, and consistent in itself, for demonstrations, tests and benchmarks.

It has what real feeds have and random numbers have not: bursts, many trades at one time, equal prints, prices on the
grid, quotes that say only what changed, and a book whose best prices are the quotes'. The same seed gives the same ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal, cast, overload

import numpy as np
import polars as pl
from reactivex import Observable

from rxfeed import sessions
from rxfeed.clock import Clock, ReplayClock
from rxfeed.feeds.book import depth_rows, quote_rows
from rxfeed.feeds.market import FARTHEST, Grid, Trades, blocks
from rxfeed.feeds.playing import PIECE, made, play
from rxfeed.feeds.readers import CHUNK
from rxfeed.frame import SYMBOL, TICK_SCHEMA, Frame
from rxfeed.instrument import Instrument
from rxfeed.model import Depth, Quote, Tick
from rxfeed.times import Duration, iso, nanoseconds

_KNOWN: Final[Mapping[str, tuple[float, float]]] = {
    "MNQ": (0.25, 21_500.0), "MES": (0.25, 5_900.0), "NQ": (0.25, 21_500.0), "ES": (0.25, 5_900.0), "CL": (0.01, 72.0),
    "GC": (0.1, 2_650.0),
}  # fmt: skip
_OTHER: Final = (0.01, 100.0)
_START: Final = datetime(2025, 1, 6, 15, tzinfo=UTC)


class Market:
    """What `synthetic` returns: one market, of which ticks, quotes and depth are three views."""

    __slots__ = ("_end", "_grids", "_n", "_rate", "_seed", "_session", "_start", "instruments")

    def __init__(
        self, seed: int, instruments: Mapping[str, Instrument], grids: Sequence[Grid], *,
        start: int, end: int | None, rate: float, n: int | None, session: sessions.Session | None,
    ) -> None:  # fmt: skip
        self.instruments: Final = instruments
        self._seed, self._grids, self._rate, self._session = seed, grids, rate, session
        self._start, self._end, self._n = start, end, n

    def __repr__(self) -> str:
        return f"Market(seed={self._seed}, symbols={', '.join(self.instruments)})"

    def ticks_frame(self, n: int) -> Frame[Tick]:
        """Return the first `n` ticks, or all if the market has fewer."""
        rows = 0
        parts: list[pl.DataFrame] = [pl.DataFrame(schema=TICK_SCHEMA)]
        for frame in self.frames(max(1, min(n, CHUNK))):
            parts.append(frame.df.head(n - rows))
            rows += parts[-1].height
            if rows >= n:
                break
        return Frame(pl.concat(parts))

    def frames(self, chunk: int = CHUNK) -> Generator[Frame[Tick], None, None]:
        """Yield the ticks as frames of `chunk` rows, the last one shorter; without end if the market has none.

        Raises:
            ValueError: `chunk` is less than 1.
        """
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")
        return self._frames(chunk)

    def _frames(self, chunk: int) -> Generator[Frame[Tick], None, None]:
        names = pl.Series(list(self.instruments), dtype=SYMBOL)
        held = pl.DataFrame(schema=TICK_SCHEMA)
        for trades in self._blocks():
            df = pl.DataFrame({
                "symbol": names.gather(trades.symbol), "time": trades.time, "price": self._prices(trades.symbol, trades.price),
                "size": trades.size, "side": trades.side.astype(np.int8),
                "seq": np.arange(trades.first, trades.first + len(trades.time)), "received": trades.received,
            })  # fmt: skip
            df = df.cast(TICK_SCHEMA)
            held = df if not held.height else pl.concat([held, df])
            whole = held.height - held.height % chunk
            for part in range(0, whole, chunk):
                yield Frame(held.slice(part, chunk))
            held = held.slice(whole)
        if held.height:
            yield Frame(held)

    @overload
    def trades(
        self, *, frames: Literal[False] = False, chunk: int = CHUNK, speed: float | None = None,
        clock: ReplayClock | None = None, pace: Clock | None = None,
    ) -> Observable[Tick]: ...  # fmt: skip
    @overload
    def trades(
        self, *, frames: Literal[True], chunk: int = CHUNK, speed: float | None = None,
        clock: ReplayClock | None = None, pace: Clock | None = None,
    ) -> Observable[Frame[Tick]]: ...  # fmt: skip
    def trades(
        self, *, frames: bool = False, chunk: int = CHUNK, speed: float | None = None,
        clock: ReplayClock | None = None, pace: Clock | None = None,
    ) -> Observable[Any]:  # fmt: skip
        """Emit the ticks, from the start for each subscriber. The arguments are those of `replay`.

        Raises:
            ValueError: a chunk less than 1, or a speed that is not more than 0.
        """
        if chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {chunk}")

        def pieces() -> Generator[list[Any], None, None]:
            given = self.frames(chunk)
            return ([frame] for frame in given) if frames else made(given)

        return play(pieces, frames=frames, speed=speed, clock=clock, moving=True, pace=pace)

    def quotes(
        self, *, speed: float | None = None, clock: ReplayClock | None = None, pace: Clock | None = None
    ) -> Observable[Quote]:  # fmt: skip
        """Emit the quotes, each with what it changes and None for the rest; a symbol's first one is whole.

        A trade's price is the bid or the ask of the quotes up to its time, that time's included. `last` and `volume` are of
        the trades before.
        """
        return self._rows(self._quotes, speed, clock, pace)

    def depth(
        self, *, levels: int = 5, speed: float | None = None, clock: ReplayClock | None = None, pace: Clock | None = None
    ) -> Observable[Depth]:
        """Emit the book's changes: for each symbol a reset and `levels` prices a side, then levels with absolute sizes.

        The best prices are always those of the quotes. A new session begins with a reset.

        Raises:
            ValueError: `levels` is less than 1.
        """
        if levels < 1:
            raise ValueError(f"levels must be at least 1, got {levels}")

        def rows() -> Iterator[Depth]:
            return depth_rows(self._blocks(), list(self.instruments), self._grids, levels, self._seed, self._session)

        return self._rows(rows, speed, clock, pace)

    def _quotes(self) -> Iterator[Quote]:
        return quote_rows(self._blocks(), list(self.instruments), self._grids)

    def _rows(
        self, rows: Callable[[], Iterator[Quote] | Iterator[Depth]],
        speed: float | None, clock: ReplayClock | None, pace: Clock | None,
    ) -> Observable[Any]:  # fmt: skip
        def pieces() -> Generator[list[Any], None, None]:
            given: Iterator[Any] = rows()
            while piece := list(islice(given, PIECE)):
                yield piece

        return play(pieces, frames=False, speed=speed, clock=clock, moving=True, pace=pace)

    def _blocks(self) -> Iterator[Trades]:
        for trades in blocks(self._seed, self._grids, self._start, self._rate, self._session):
            keep = len(trades.time)
            if self._n is not None:
                keep = min(keep, max(self._n - trades.first, 0))
            if self._end is not None:
                keep = min(keep, int(np.searchsorted(trades.time, self._end)))
            if keep == len(trades.time):
                yield trades
                continue
            if keep:
                yield Trades(trades.first, *(cast("Any", column)[:keep] for column in trades[1:]))
            return

    def _prices(self, symbol: Any, ticks: Any) -> Any:
        prices = np.empty(len(ticks))
        for s, grid in enumerate(self._grids):
            mine = symbol == s
            prices[mine] = grid.prices(ticks[mine])
        return prices


def synthetic(
    seed: int = 0,
    *,
    symbols: Iterable[str | Instrument] = ("MNQ", "MES"),
    start: datetime | int = _START,
    rate: float = 100.0,
    n: int | None = None,
    duration: Duration | None = None,
    session: str | sessions.Session | None = None,
) -> Market:
    """Return a market made of a seed.

    Args:
        seed: 0 or more; each has a market of its own.
        symbols: MNQ, MES, NQ, ES, CL and GC have their real tick sizes, others 0.01; or instruments. The first trade most.
        start: when it begins: a datetime with a zone, or int nanoseconds since the epoch.
        rate: trades a second on average over all symbols while the market is open, more than 0 and at most a million.
        n: how many trades there are; None is as many as `duration` allows.
        duration: how long it lasts from the start, closed hours included; None is without end.
        session: such as "CME": trades only in its hours. None is round the clock.

    Raises:
        ValueError: a value that is not allowed; the text says which.
    """
    if isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    if not 0 < rate <= 1e6:
        raise ValueError(f"rate must be more than 0 and at most 1,000,000 trades a second, got {rate}")
    if n is not None and n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ValueError(f"start must have a time zone, got {start}")
        since = start - datetime(1970, 1, 1, tzinfo=UTC)
        start = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    chosen: dict[str, Instrument] = {}
    grids: list[Grid] = []
    for given in symbols:
        name = given if isinstance(given, str) else given.symbol
        tick, price = _KNOWN.get(name, _OTHER)
        one = Instrument(name, tick, session="CME" if name in _KNOWN else "24x7") if isinstance(given, str) else given
        if one.tick_size is None:
            raise ValueError(f"{name} must have a tick_size")
        if name in chosen:
            raise ValueError(f"symbols must differ, got {name} twice")
        chosen[name] = one
        grids.append(Grid.of(one, max(price, 1_000 * one.tick_size)))
    if not chosen:
        raise ValueError("symbols must not be empty")
    if not 0 <= start < FARTHEST:
        raise ValueError(f"start must be from 1970 to 2200, got {iso(start)}")
    end = None if duration is None else start + nanoseconds(duration, name="duration")
    hours = None if session is None else sessions.get(session)
    return Market(seed, chosen, grids, start=start, end=end, rate=rate, n=n, session=hours)
