"""Rules on an element's time: whether it is known, how far it is from when we received it, and whether the market was open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rxfeed import sessions
from rxfeed.frame import Frame
from rxfeed.grids import SPAN, Grid
from rxfeed.instrument import Instrument
from rxfeed.model import UNKNOWN_TIME, Tick
from rxfeed.rules.base import Blocks, Element, Mask, Rule
from rxfeed.sessions import Session
from rxfeed.times import FOREVER, Duration, iso, nanoseconds


@dataclass(frozen=True, slots=True)
class KnownTime(Rule):
    """Fails .NET's year 1, which the gateway sends for "no time", and all else that int64 nanoseconds cannot hold."""

    name = "known_time"
    order = 0

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        if UNKNOWN_TIME < element.time <= FOREVER:
            return None
        return "time is unknown: year 1, or outside of what int64 nanoseconds hold (1677 to 2262)"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return None if frame.bounds("time")[0] > UNKNOWN_TIME else frame.grouped("time") > UNKNOWN_TIME


@dataclass(frozen=True, slots=True)
class Future(Rule):
    """Fails times more than `by` after we received them; passes where `received` is not known."""

    by: Duration = "5s"

    name = "future"
    order = 7

    def __post_init__(self) -> None:
        nanoseconds(self.by, name="future")

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        by = nanoseconds(self.by)
        if element.received is None or element.time - element.received <= by:
            return None
        ahead = (element.time - element.received) / 1e9
        return f"time must be at most {by / 1e9:g} s after received, got {iso(element.time)}, {ahead:.9g} s after"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return _lag(frame, -nanoseconds(self.by), FOREVER)


@dataclass(frozen=True, slots=True)
class Stale(Rule):
    """Fails elements received more than `after` their time; passes where `received` is not known."""

    after: Duration

    name = "stale"
    order = 8

    def __post_init__(self) -> None:
        nanoseconds(self.after, name="stale")

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        after = nanoseconds(self.after)
        if element.received is None or element.received - element.time <= after:
            return None
        behind = (element.received - element.time) / 1e9
        return f"time must be at most {after / 1e9:g} s before received, got {iso(element.time)}, {behind:.9g} s before"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        return _lag(frame, -FOREVER, nanoseconds(self.after))


@dataclass(frozen=True, slots=True)
class OutsideSession(Rule):
    """Fails times at which the market is closed, by the instrument's session or else this one."""

    session: str | Session

    name = "outside_session"
    order = 9

    def __post_init__(self) -> None:
        sessions.get(self.session)

    def _of(self, instrument: Instrument | None) -> Session:
        own = None if instrument is None else instrument.session
        return sessions.get(self.session if own is None else own)

    def reason(self, element: Element, instrument: Instrument | None) -> str | None:
        session = self._of(instrument)
        if session.span_at(element.time) is not None:
            return None
        return f"the market ({session.name}) was closed at {session.local(element.time)}"

    def passes(self, frame: Frame[Tick], instruments: Blocks) -> Mask | None:
        time = frame.grouped("time")
        own = [self._of(i) for i in instruments]
        if len(set(own)) == 1:
            inside = Grid(SPAN, own[0]).windows(time).inside
        else:
            starts = frame.groups.starts.tolist()
            pieces = [Grid(SPAN, s).windows(time[a:b]).inside for s, a, b in zip(own, starts, starts[1:], strict=False)]
            inside = np.concatenate(pieces)
        return None if inside.all() else inside


def _lag(frame: Frame[Tick], least: int, most: int) -> Mask | None:
    """Judge `received - time` of the rows that have both; UNKNOWN_TIME is so far back that the difference would wrap."""
    received, unknown = frame.df["received"], frame.df["received"].null_count()
    if unknown == len(frame):
        return None
    time = frame.column("time")
    if frame.bounds("time")[0] < -(1 << 62):
        time = np.maximum(time, -(1 << 62))
    if unknown == 0:
        lag = frame.column("received") - time
        if (least == -FOREVER or lag.min() >= least) and (most == FOREVER or lag.max() <= most):
            return None
        ok = (lag >= least) & (lag <= most)
    else:
        lag = received.to_physical().fill_null(0).to_numpy() - time
        ok = ~received.is_not_null().to_numpy() | (lag >= least) & (lag <= most)
    if ok.all():
        return None
    order = frame.groups.order
    return ok if order is None else ok[order]
