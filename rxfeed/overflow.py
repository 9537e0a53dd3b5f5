"""What an async boundary does with more than it may hold. Some policies are a word, those that need to know more are values:
`from rxfeed import overflow`, and then `ops.backpressure(10_000, overflow.conflate(windows))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args, overload

from rxfeed.instrument import Instruments, by_symbol
from rxfeed.sessions import Session
from rxfeed.times import SECOND, Duration, nanoseconds
from rxfeed.valve import Valve
from rxfeed.windows import Grid, Windows

__all__ = [
    "Block", "BlockThenConflate", "Blocking", "Conflate", "Overflowing", "Sample", "Simple", "Valve", "Windowed", "block",
    "checked", "conflate", "sample",
]  # fmt: skip

Simple = Literal["newest", "error", "drop_oldest", "drop_latest", "latest"]
"""Of each bar only the newest snapshot is kept; the stream ends with `Overflow` behind what waits; the oldest goes for the new
one; the new one goes; never more than the newest one waits."""

_SIMPLE: Final[tuple[Simple, ...]] = get_args(Simple)
_MORE: Final = ("conflate", "sample", "block")
_LONGEST: Final = 3_600 * SECOND


@dataclass(frozen=True, slots=True)
class Windowed:
    """A policy that knows windows: the finest of `windows`."""

    windows: Windows
    sessions: Mapping[str, Windows] = field(default_factory=dict[str, Windows])
    """Of symbols that have their own."""

    def grid(self, symbol: str) -> Grid:
        """Return the finest windows of a symbol."""
        return self.sessions.get(symbol, self.windows).grid(0)

    def __str__(self) -> str:
        names = ", ".join(repr(timeframe.name) for timeframe in self.windows.timeframes)
        more = ", ..." if self.sessions else ""
        return f"overflow.{type(self).__name__.lower()}(Windows({names}, session={self.windows.session.name!r}){more})"


@dataclass(frozen=True, slots=True)
class Conflate(Windowed):
    """Ticks that wait are merged into partial bars; made by `conflate`."""

    @property
    def timeframe(self) -> str:
        """What its partial bars are called."""
        return self.windows.levels[0].timeframe.name

    def fits(self, windows: Windows, sessions: Mapping[str, Session]) -> bool:
        """Whether each of our partial bars lies inside one of those finest windows, in these sessions of single symbols."""
        mine = self.windows
        same = (mine.session, mine.anchor) == (windows.session, windows.anchor)
        return (
            same
            and mine.levels[0].timeframe.divides(windows.levels[0].timeframe)
            and {symbol: own.session for symbol, own in self.sessions.items()} == dict(sessions)
        )


@dataclass(frozen=True, slots=True)
class Sample(Windowed):
    """Of the ticks that wait, the older are thinned out; made by `sample`."""


@dataclass(frozen=True, slots=True)
class Blocking:
    """The source stops reading for a while."""

    valve: Valve
    longest: int
    """In ns."""
    then: Simple | Conflate | Sample

    def __str__(self) -> str:
        then = f"then={self.then}" if isinstance(self.then, Windowed) else f"then={self.then!r}"
        return f"overflow.block(Valve(...), '{self.longest / SECOND:g}s', {then})"


@dataclass(frozen=True, slots=True)
class Block(Blocking):
    """The source stops reading for a while; made by `block`."""


@dataclass(frozen=True, slots=True)
class BlockThenConflate(Blocking):
    """The same, and then ticks are merged; made by `block(then=conflate(...))`."""


Overflowing = Simple | Conflate | Sample | Blocking


def conflate(windows: Windows | str, *, instruments: Instruments = None) -> Conflate:
    """Return the policy that merges ticks that wait into partial bars, of which exact bars are made all the same.

    Args:
        windows: the value that `ops.bars` behind it has got, or a timeframe; the finest of it is what is merged into.
        instruments: likewise; those with a session of their own use it.

    Raises:
        ValueError: a timeframe that is not allowed.
    """
    return Conflate(*_windows(windows, instruments))


def sample(windows: Windows | str, *, instruments: Instruments = None) -> Sample:
    """Return the policy that keeps the newest 30 % whole and thins out the older ticks evenly.

    Of each window its first, last, highest and lowest tick are kept, so that bars have the right open, high, low and close,
    but not the right volume. Arguments and errors are those of `conflate`.
    """
    return Sample(*_windows(windows, instruments))


@overload
def block(valve: Valve, longest: Duration = ..., *, then: Simple | Sample = ...) -> Block: ...
@overload
def block(valve: Valve, longest: Duration = ..., *, then: Conflate) -> BlockThenConflate: ...
def block(valve: Valve, longest: Duration = "8s", *, then: Simple | Conflate | Sample = "drop_oldest") -> Blocking:
    """Return the policy that has the source stop reading while half of the capacity waits, until a quarter does.

    Args:
        valve: the one that the source was given, such as `Gateway(valve=valve)`.
        longest: how long nothing is read at most, up to an hour. A gateway cuts off who does not read: SignalR does so after
            10 s in which it could not send on.
        then: what is done when that was not enough, or what was on its way already does not fit.

    Raises:
        TypeError: no valve.
        ValueError: a time or a policy that is not allowed.
    """
    if not isinstance(valve, Valve):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"valve must be a Valve of rxfeed.overflow, the one that the source has too, got {type(valve).__name__}"
        )
    ns = nanoseconds(longest, name="longest")
    if not 0 < ns <= _LONGEST:
        raise ValueError(f"longest must be more than 0 and at most an hour, got {longest!r}")
    if not isinstance(then, Windowed) and then not in _SIMPLE:
        raise ValueError(f"then must be one of {', '.join(_SIMPLE)}, conflate(...) or sample(...), got {then!r}")
    return BlockThenConflate(valve, ns, then) if isinstance(then, Conflate) else Block(valve, ns, then)


def checked(overflow: object) -> Overflowing:
    """Return a policy as it is.

    Raises:
        ValueError: it is none.
    """
    if isinstance(overflow, (Conflate, Sample, Blocking)):
        return overflow
    for each in _SIMPLE:
        if each == overflow:
            return each
    given = f"{overflow!r} needs to know more: overflow.{overflow}(...)" if overflow in _MORE else f"got {overflow!r}"
    raise ValueError(f"overflow must be one of {', '.join(_SIMPLE)}, or {', '.join(_MORE)} of rxfeed.overflow; {given}")


def _windows(windows: Windows | str, instruments: Instruments) -> tuple[Windows, Mapping[str, Windows]]:
    value = windows if isinstance(windows, Windows) else Windows(windows)
    named = by_symbol(instruments)
    return value, {s: value.with_session(i.session) for s, i in named.items() if i.session is not None}
