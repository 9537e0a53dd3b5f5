"""Bars that the gateway kept: what repairs a gap, and what a pipeline begins with.

It gives at most 20,000 at a time, newest first, so one pages backward; what two pages share is taken once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

import msgspec

from rxfeed.errors import ProtocolError
from rxfeed.frame import Frame
from rxfeed.model import UNKNOWN_TIME, Bar, Flag
from rxfeed.sessions import Session
from rxfeed.times import NANOSECONDS, iso
from rxfeed.windows import Grid, Timeframe, Windows

from .contracts import Contract
from .limits import BARS
from .login import Login
from .rest import Envelope
from .stamps import nanoseconds_of

MOST: Final = 20_000
"""Bars of one answer."""

_UNITS: Final[Mapping[int, int]] = {NANOSECONDS["h"]: 3, NANOSECONDS["m"]: 2, NANOSECONDS["s"]: 1}
_FULL: Final = 1000
_PAGES: Final = 1000


class _Row(msgspec.Struct, frozen=True):
    t: str
    o: float
    h: float
    l: float  # noqa: E741  # the gateway's name
    c: float
    v: float


class _Found(Envelope, frozen=True, rename="camel"):
    bars: list[_Row] | None = None


class Unit(NamedTuple):
    """A timeframe as the gateway says it."""

    unit: int
    """1 seconds, 2 minutes, 3 hours."""
    number: int


def unit_of(timeframe: str) -> Unit:
    """Return how the gateway calls a timeframe.

    Raises:
        ValueError: it has none: less than a second, or a day and more. The gateway's days do not begin and end as the
            exchange's do, so days are made from hours.
    """
    parsed = Timeframe.parse(timeframe)
    for length, unit in _UNITS.items():
        if parsed.step and parsed.step % length == 0 and parsed.step < NANOSECONDS["d"]:
            return Unit(unit, parsed.step // length)
    raise ValueError(
        f"history comes in whole seconds, minutes and hours of less than a day, such as 1s, 5m or 1h; got {timeframe!r}"
    )


class History:
    """Asks for the bars that the gateway kept.

    Args:
        login: who asks.
        session: when the market trades, or its name: it says which trade date a bar belongs to and where it is cut.
        live: of the live data subscription, rather than of the simulated one that most users have.
    """

    def __init__(self, login: Login, *, session: str | Session = "CME", live: bool = False) -> None:
        self._login = login
        self._session = session
        self._live = live

    async def bars(self, contract: Contract, timeframe: str, start: int, end: int) -> Frame[Bar]:
        """Return the bars that begin in `[start, end)` and are complete, oldest first, none twice.

        They are flagged REPAIRED, as after `rxfeed.model.replace`: OHLC and volume are known, and the other sums None.
        Windows without a trade have no bar. Bars while the session is closed are left out, and logged.

        Args:
            contract: of what.
            timeframe: whole seconds, minutes or hours, less than a day.
            start: nanoseconds since the epoch, UTC; so is `end`.

        Raises:
            ValueError: no such timeframe, or an empty stretch of time.
            ProtocolError: the answer makes no sense, or its bars begin where none of ours does: ask for finer ones, and merge.
            FeedError: as `Login.post`.
        """
        unit = unit_of(timeframe)
        if not start < end:
            raise ValueError(f"start must be before end, got {iso(start)} and {iso(end)}")
        rows: dict[int, _Row] = {}  # oldest first
        until = end
        for _ in range(_PAGES):
            page = await self._page(contract, unit, start, until)
            times = sorted(page)
            rows = {time: page[time] for time in times if start <= time < end} | rows
            # The gateway may well give fewer than it says; but a short page is the last one.
            if len(times) < _FULL or not start < times[0] < until:
                break
            until = times[0]
        else:
            raise ProtocolError(f"{BARS} gave {_PAGES} pages and no end of {contract} from {iso(start)} to {iso(end)}")
        grid = Windows(timeframe, session=self._session).grid(0)
        return Frame.of(_bars(contract.symbol, timeframe, grid, rows), Bar)

    async def _page(self, contract: Contract, unit: Unit, start: int, end: int) -> dict[int, _Row]:
        body = {
            "contractId": contract.id,
            "live": self._live,
            "startTime": iso(start),
            "endTime": iso(end),
            "unit": unit.unit,
            "unitNumber": unit.number,
            "limit": MOST,
            "includePartialBar": False,
        }
        answer = await self._login.post(BARS, body, _Found)
        page: dict[int, _Row] = {}
        for row in answer.bars or []:
            page.setdefault(_time(row), row)
        return page


def _time(row: _Row) -> int:
    try:
        time = nanoseconds_of(row.t)
    except ValueError:
        time = UNKNOWN_TIME
    if time == UNKNOWN_TIME:
        raise ProtocolError(f"{BARS} answered a bar of no time: {row.t[:40]!r}")
    if not (math.isfinite(row.o + row.h + row.l + row.c) and row.l <= min(row.o, row.c) and row.h >= max(row.o, row.c)):
        raise ProtocolError(f"{BARS} answered a bar that cannot be: {iso(time)} O {row.o} H {row.h} L {row.l} C {row.c}")
    if not (row.v >= 0 and row.v.is_integer()):
        raise ProtocolError(f"{BARS} answered a bar of volume {row.v} at {iso(time)}")
    return time


def _bars(symbol: str, timeframe: str, grid: Grid, rows: Mapping[int, _Row]) -> list[Bar]:
    bars: list[Bar] = []
    outside: list[int] = []
    segment = None
    for time, row in rows.items():
        if segment is None or not segment.lo <= time < segment.hi:
            segment = grid.segment(time)
        if segment is None:
            outside.append(time)
            continue
        window = segment.window(time)
        if window.start != time:
            raise ProtocolError(
                f"{BARS} answered a bar of {timeframe} that begins at {iso(time)}, where ours begins at {iso(window.start)}: "
                f"ask for finer ones, and merge them"
            )
        flags = Flag.REPAIRED | (Flag.SHORT if window.short else 0)
        bars.append(_bar(symbol, timeframe, window.start, window.end, row, segment.trade_date, int(flags)))
    if outside:
        from loguru import logger  # costs 30 ms, and mostly all is well

        logger.warning(
            "{}: {} bars of {} are left out, as the session is closed then; the first is of {}",
            BARS, len(outside), symbol, iso(outside[0]),
        )  # fmt: skip
    return bars


def _bar(symbol: str, timeframe: str, start: int, end: int, row: _Row, day: date, flags: int) -> Bar:
    return Bar(
        symbol, timeframe, start, end, row.o, row.h, row.l, row.c, int(row.v),
        None, None, None, None, None, None, None, None, day, 0, flags,
    )  # fmt: skip
