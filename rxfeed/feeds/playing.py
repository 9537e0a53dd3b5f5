"""From a generator to an observable: at once inside `subscribe`, or at a pace, with a clock that moves along."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import islice
from typing import Any, Final

from reactivex import Observable, abc
from reactivex.disposable import BooleanDisposable, CompositeDisposable
from reactivex.scheduler import CurrentThreadScheduler

from rxfeed.clock import Clock, LiveClock, ReplayClock
from rxfeed.feeds.pacing import Paced, Pieces, finish
from rxfeed.feeds.readers import columns_of
from rxfeed.frame import Frame
from rxfeed.model import UNKNOWN_TIME, Tick
from rxfeed.runs import RunObservable, run_into

PIECE: Final = 256
"""Rows that are made at a time, between two looks at whether anybody still listens."""


def play(
    source: Callable[[], Pieces], *, frames: bool,
    speed: float | None, clock: ReplayClock | None, moving: bool, pace: Clock | None,
) -> Observable[Any]:  # fmt: skip
    """Return an observable of what a generator yields, which is made anew for each subscriber.

    Args:
        source: makes the generator: of lists of rows, each with a `time`, or of lists of one frame.
        frames: which of the two.
        speed: seconds of event time a second; None is as fast as possible.
        clock: at the greatest time seen when the stream completes.
        moving: whether it also moves with each element.
        pace: who waits, if there is a speed; by default the machine's clock.

    Raises:
        ValueError: a speed that is not more than 0.
    """
    if speed is not None and not 0 < speed < float("inf"):
        raise ValueError(f"speed must be more than 0 and finite, got {speed}")
    moved = clock if moving else None

    def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        pieces = source()
        if speed is not None:
            return Paced(pieces, observer, pace or LiveClock(), speed=speed, clock=clock, moving=moved, frames=frames)
        stop = BooleanDisposable()

        def run(*_: object) -> None:
            try:
                (_drain_frames if frames else _drain_rows)(pieces, observer, stop, clock, moved)
            finally:
                pieces.close()

        # In the trampoline, since `subscribe` must have returned before anybody can dispose of what it returns.
        return CompositeDisposable(CurrentThreadScheduler.singleton().schedule(run), stop)

    return RunObservable(subscribe)


def made(frames: Generator[Frame[Tick], None, None]) -> Pieces:
    """Yield the ticks of frames, some hundred at a time."""
    with closing(frames):
        for frame in frames:
            ticks = map(Tick, *columns_of(frame))
            while piece := list(islice(ticks, PIECE)):
                yield piece


def _drain_rows(
    pieces: Pieces, observer: abc.ObserverBase[Any], stop: BooleanDisposable,
    clock: ReplayClock | None, moving: ReplayClock | None,
) -> None:  # fmt: skip
    latest = UNKNOWN_TIME
    emit, emit_run = observer.on_next, run_into(observer)
    while not stop.is_disposed:
        try:
            piece = next(pieces, None)
        except Exception as error:  # noqa: BLE001  # whatever reading raises is the stream's error
            observer.on_error(error)
            return
        if piece is None:
            finish(observer, clock, latest)
            return
        if moving is not None:
            move = moving.move
            for tick in piece:
                if stop.is_disposed:
                    return
                if tick.time > latest:
                    latest = tick.time
                    move(latest)
                emit(tick)
            continue
        if {*map(type, piece)} == {Tick}:
            emit_run(piece)
        else:
            for tick in piece:
                emit(tick)
        if clock is not None:
            latest = max(latest, *[tick.time for tick in piece])


def _drain_frames(
    pieces: Pieces, observer: abc.ObserverBase[Any], stop: BooleanDisposable,
    clock: ReplayClock | None, moving: ReplayClock | None,
) -> None:  # fmt: skip
    latest = UNKNOWN_TIME
    while not stop.is_disposed:
        try:
            piece = next(pieces, None)
        except Exception as error:  # noqa: BLE001  # whatever reading raises is the stream's error
            observer.on_error(error)
            return
        if piece is None:
            finish(observer, clock, latest)
            return
        observer.on_next(piece[0])
        if clock is not None:
            latest = max(latest, piece[0].bounds("time")[1])
            if moving is not None and not stop.is_disposed:
                moving.move(latest)
