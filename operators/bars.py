"""The main job: ticks in, exact bars out. Windows close by each symbol's own watermark, each once; what comes late comes
out as a revision; every timeframe is made in the same pass, all or none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar, overload

from reactivex import Observable, abc

from rxfeed.by import By, several
from rxfeed.frame import Frame, is_frame, name_of
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.kernels.bars.fill import Filler
from rxfeed.kernels.bars.kernel import BarsKernel, BarsStats
from rxfeed.kernels.bars.mend import MendStats
from rxfeed.kernels.by.kernel import ByKernel, ByStats, no_partials
from rxfeed.model import Bar, Gap, Reject, Repair, Tick
from rxfeed.scheduler import Timed, clock_of
from rxfeed.sessions import Session
from rxfeed.times import Duration, nanoseconds
from rxfeed.windows import Anchor, Windows

from ._bars_settings import Settings
from ._bars_shell import Made
from ._call import call
from ._degraded import fitting, refuse_partials
from ._sink import sink

Out = TypeVar("Out", Bar, Frame[Bar])


_REASONS = {
    "timeframes": "bars are made by time or by something else; use two operators for both",
    "anchor": "such bars begin with their first tick",
    "fill": "such bars are never empty",
    "horizon": "such bars have no revisions",
    "fast": "only bars of timeframes are compiled",
    "gaps": "which tick closed such a bar cannot be told once one is missing",
    "repairs": "history has no such bars",
}


class Bars(Made[BarsKernel], Generic[Out]):
    """What `bars` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, windows: Windows, settings: Settings[BarsKernel]) -> None:
        super().__init__(settings)
        self._windows = windows

    @property
    def windows(self) -> Windows:
        """The timeframes, session and anchor, for other operators that must agree with this one."""
        return self._windows

    @property
    def stats(self) -> BarsStats:
        """Ticks by what became of them: received = closed + open + rejected + outside_session."""
        return self._newest.stats

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected ticks by rule: `finite`, `late` and, in windows that history has told, `repaired`."""
        return self._newest.rejected

    @property
    def mended(self) -> MendStats:
        """What became of gaps and of history's bars."""
        return self._newest.mended

    def __call__(
        self, source: Observable[Tick] | Observable[Frame[Tick]] | Observable[Bar] | Observable[Any]
    ) -> Observable[Out]:
        fitting(source, self._windows, self._newest.plan.own_sessions)
        return self._subscribed(source)


class ByBars(Made[ByKernel], Generic[Out]):
    """What `bars(by=...)` returns: an operator, and the counts of its newest subscription."""

    def __init__(self, kinds: tuple[By, ...], settings: Settings[ByKernel]) -> None:
        super().__init__(settings)
        self._kinds = kinds

    @property
    def by(self) -> tuple[By, ...]:
        """What its bars are measured by."""
        return self._kinds

    @property
    def stats(self) -> ByStats:
        """Ticks by what became of them: received = closed + open + rejected + outside_session."""
        return self._newest.stats

    @property
    def rejected(self) -> dict[str, int]:
        """Rejected ticks by rule: `finite` and `late`."""
        return self._newest.rejected

    def __call__(self, source: Observable[Tick] | Observable[Frame[Tick]] | Observable[Any]) -> Observable[Out]:
        refuse_partials(source, "bars(by=...)", "they do not say which of their ticks reached the threshold")
        return self._subscribed(source)


@overload
def bars(
    *timeframes: str | Windows,
    session: str | Session | None = ...,
    anchor: Anchor | None = ...,
    lateness: Duration = ...,
    horizon: Duration | None = ...,
    updates: Duration | None = ...,
    fill: Literal["previous"] | None = ...,
    grace: Duration | None = ...,
    instruments: Instruments = ...,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = ...,
    gaps: Observable[Gap] | None = ...,
    repairs: Observable[Repair] | None = ...,
    frames: Literal[False] = ...,
    fast: bool = ...,
    scheduler: Timed = ...,
) -> Bars[Bar]: ...
@overload
def bars(
    *timeframes: str | Windows,
    session: str | Session | None = ...,
    anchor: Anchor | None = ...,
    lateness: Duration = ...,
    horizon: Duration | None = ...,
    updates: Duration | None = ...,
    fill: Literal["previous"] | None = ...,
    grace: Duration | None = ...,
    instruments: Instruments = ...,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = ...,
    gaps: Observable[Gap] | None = ...,
    repairs: Observable[Repair] | None = ...,
    frames: Literal[True],
    fast: bool = ...,
    scheduler: Timed = ...,
) -> Bars[Frame[Bar]]: ...
@overload
def bars(
    *,
    by: By | Sequence[By],
    session: str | Session | None = ...,
    lateness: Duration = ...,
    updates: Duration | None = ...,
    grace: Duration | None = ...,
    instruments: Instruments = ...,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = ...,
    frames: Literal[False] = ...,
    scheduler: Timed = ...,
) -> ByBars[Bar]: ...
@overload
def bars(
    *,
    by: By | Sequence[By],
    session: str | Session | None = ...,
    lateness: Duration = ...,
    updates: Duration | None = ...,
    grace: Duration | None = ...,
    instruments: Instruments = ...,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = ...,
    frames: Literal[True],
    scheduler: Timed = ...,
) -> ByBars[Frame[Bar]]: ...
def bars(
    *timeframes: str | Windows,
    by: By | Sequence[By] | None = None,
    session: str | Session | None = None,
    anchor: Anchor | None = None,
    lateness: Duration = 0,
    horizon: Duration | None = None,
    updates: Duration | None = None,
    fill: Literal["previous"] | None = None,
    grace: Duration | None = "1s",
    instruments: Instruments = None,
    rejects: abc.ObserverBase[Reject] | Callable[[Reject], None] | None = None,
    gaps: Observable[Gap] | None = None,
    repairs: Observable[Repair] | None = None,
    frames: bool = False,
    fast: bool = False,
    scheduler: Timed = None,
) -> Bars[Any] | ByBars[Any]:
    """Make bars of several timeframes in one pass.

        --1--2----3--4--|         ticks; a column is half a second, with a clock
        bars("3s")
        --------a----b--(c|)

    A window closes when its symbol's watermark, the greatest time of its accepted ticks and marks, is `lateness` past its
    end. That is revision 0. A tick that comes later is merged into its window, which comes out again as the next revision,
    while it is not more than `horizon` behind the watermark. Rows, frames and partial bars of the same ticks make the same
    bars. In which order they come is promised for each symbol: by end, finer first.

    Args:
        timeframes: such as "1s", "5m", "4h", "1d" (trade date), "1w", "1mo"; or one `Windows` value.
        by: instead of timeframes, what bars are measured by: one or several of `by.ticks(1000)`, `by.volume(5000)`,
            `by.notional(1e6)`, `by.range(10.0)` and `by.renko(5.0)` (`from rxfeed import by`); see below.
        session: when the market trades: a `Session` or its name; "24x7" by default.
        anchor: "session" (default), "wall" or "utc"; see `Windows`.
        lateness: how long windows stay open after their end, in event time; with `by`, how long ticks are held.
        horizon: how far behind its symbol's watermark a tick may be; 10 minutes by default.
        updates: also emit snapshots of the open bars that changed, at most this often: revision -1, flagged PARTIAL. By
            the clock if there is one, else by event time as ticks come.
        fill: "previous" makes bars of empty windows (count 0, prices of the close before, flagged FILLED).
        grace: with a clock, quiet symbols close too: the watermark is at least the clock's time less this; or less what the
            newest tick was late by, where that is more. None: only at the end.
        instruments: those with a session of their own use it.
        rejects: an observer or callable that hears of ticks that are not finite, too late or in history's bars already, and of
            bars of history that are not taken. Never completed.
        gaps: where ticks may be missing: the bars inside are flagged GAP. See below.
        repairs: what history says about gaps: it replaces the bars inside, flagged REPAIRED.
        frames: whether bars come as frames, one for each element, or 131,072 rows of it, that closes any.
        fast: reduce frames by loops that numba compiles (extra `fast`): the same bars, sooner. They are compiled here, which
            takes some twenty seconds the first time and about one from then on.
        scheduler: the clock that marks and updates go by, or its scheduler: that of the source (live, or the replay's). By
            default the subscriber's, if it is one of ours: a wall clock that happens to be around must not judge a replay.
            With none, only ticks move the watermark.

    Returns:
        An operator from ticks, frames of ticks or partial bars to bars; its `stats` count the ticks.

    Raises:
        ValueError: a timeframe, session, anchor or duration that is not allowed; both timeframes and `by`, or neither;
            `anchor`, `fill`, `horizon`, `gaps` or `repairs` with `by`.
        TypeError: `gaps` or `repairs` that is no observable.
        ImportError: `fast` without numba.

    Bars go upward through `bars` too ("1m" into "5m"), as long as none is a revision, which would count twice: give the finer
    stage `horizon=0`, or ask one stage for both.

    With `gaps`, every window that a gap touches is flagged GAP: at once as a revision if it has closed and the horizon has not
    passed it, else when it closes; while a gap lasts, all that close. With `repairs`, such a window is set to what history
    says of it (OHLC and volume; other sums are None), and what contains it is reduced anew, flagged REPAIRED; it is GAP too
    while part of it is not mended. A bar that was whole is never replaced, and one that history does not have stays: where the
    two differ, `mended.disagreements` counts and `rejects` hears of history's bar, or of the live one. A late tick of a
    window that history has told is rejected as `repaired`. A gap can be mended for a day after its windows; a repair is
    to come when its windows are over, and what comes before is not taken (`mended.early`). Both are subscribed to before the
    source and end with it; their completion changes nothing, and their errors, or elements that cannot be meant, are
    logged and not the stream's. A filled bar gets no GAP: the bars around say it.

    With `by`, the tick that reaches the threshold closes the bar and is in it. Ticks go in by (time, seq), each once its
    symbol's watermark is `lateness` past it, so their order of arrival within that makes no difference; one behind what has
    gone in is rejected as `late`, as these bars have no revisions. A bar's `timeframe` is "ticks(1000)" and the like, `start`
    is its first tick's time, moved on by the fewest ns that keep it after the start before, and `end` is just after both its
    last tick and its start. The session's close ends a bar, flagged SHORT, and each session begins anew; the first bar of one
    is flagged GAP if the stream began inside it. Partial bars are refused: they do not say which tick reached the threshold.

    Ends: on completion every open window is emitted, PARTIAL if the watermark (at least the clock's time) has not reached
        its end (with `by`: the session's); on an error nothing is. A partial bar that fits no window, or any with `by`, ends
        the stream with `PartialRefused`.
    Drops: ticks that are not finite or too late (`rejects` hears of them), and those outside the session (`stats` counts them).
    Clock: event time; marks and `updates` by the scheduler's.
    """
    text = call(bars, locals())
    if by is not None:
        refused = {
            "timeframes": timeframes or None, "anchor": anchor, "fill": fill, "horizon": horizon, "fast": fast or None,
            "gaps": gaps, "repairs": repairs,
        }  # fmt: skip
        for name, value in refused.items():
            if value is not None:
                raise ValueError(f"{name} must not be given with by, got {value!r}: {_REASONS[name]}")
    elif not timeframes:
        raise ValueError("timeframes must be 1 to 32, got 0; or give by, such as by.ticks(1000)")
    if updates is not None and nanoseconds(updates, name="updates") == 0:
        raise ValueError(f"updates must be more than 0, got {updates!r}")
    beside = tuple(
        (name, kind, _observable(name, other))
        for name, kind, other in (("gaps", Gap, gaps), ("repairs", Repair, repairs))
        if other is not None
    )
    late, named = nanoseconds(lateness, name="lateness"), by_symbol(instruments)

    def settings(
        kernel: Callable[[], Any], filler: Any, refusal: Callable[[object], Exception], mend: Any = None
    ) -> Settings[Any]:
        return Settings(
            call=text,
            kernel=kernel,
            filler=filler,
            refusal=refusal,
            updates=None if updates is None else nanoseconds(updates, name="updates"),
            grace=None if grace is None else nanoseconds(grace, name="grace"),
            rejects=sink(rejects),
            frames=frames,
            clock=clock_of(scheduler),
            beside=beside,
            mend=mend,
        )

    if by is not None:
        kinds, hours = several(by), session if session is not None else "24x7"
        return ByBars(kinds, settings(lambda: ByKernel(kinds, session=hours, lateness=late, instruments=named), None, _no_by))
    if len(timeframes) == 1 and isinstance(timeframes[0], Windows):
        if session is not None or anchor is not None:
            raise ValueError("session and anchor belong to the Windows value; give them there")
        windows = timeframes[0]
    else:
        names = [t for t in timeframes if isinstance(t, str)]
        if len(names) < len(timeframes):
            raise ValueError("timeframes must be texts, or one Windows value alone")
        windows = Windows(*names, session=session if session is not None else "24x7", anchor=anchor or "session")
    if fill not in (None, "previous"):
        raise ValueError(f'fill must be "previous" or None, got {fill!r}')
    back = nanoseconds("10m" if horizon is None else horizon, name="horizon")
    return Bars(
        windows,
        settings(
            lambda: BarsKernel(windows, lateness=late, horizon=back, instruments=named, fast=fast, mends=bool(beside)),
            None if fill is None else _filler,
            _no_bars,
            _mend,
        ),
    )


def _filler(kernel: BarsKernel) -> Filler:
    return Filler(kernel.plan, kernel.pins if kernel.plan.mends else None)


def _mend(kernel: BarsKernel, element: Gap | Repair) -> list[Bar]:
    return kernel.gap(element) if isinstance(element, Gap) else kernel.replace(element)


def _observable(name: str, other: object) -> Observable[Any]:
    if not isinstance(other, Observable):
        raise TypeError(f"{name} must be an observable, got {type(other).__name__}")
    return other  # pyright: ignore[reportUnknownVariableType]


def _no_bars(element: object) -> Exception:
    return TypeError(f"bars takes Tick, Frame[Tick] or partial Bar, got {name_of(element)}")


def _no_by(element: object) -> Exception:
    if is_frame(element) and element.kind is Bar:
        return no_partials(element)
    return TypeError(f"bars(by=...) takes Tick or Frame[Tick], got {name_of(element)}")
