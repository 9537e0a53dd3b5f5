"""The kernel of `detect_gaps`: per symbol the next number that is due and the newest time, both by int comparisons only.

A frame is looked at where a row does not simply follow the one before it: there the row kernel says what that means, and
from there on until the next such row nothing can be new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from rxfeed import sessions
from rxfeed.frame import Frame
from rxfeed.instrument import Instruments, by_symbol
from rxfeed.model import UNKNOWN_TIME, Gap
from rxfeed.sessions import Session
from rxfeed.times import FOREVER, NANOSECONDS, SECOND

RESTART = 1_024
"""A number that falls back by more than this while time goes on begins a new numbering."""
FAR_BACK = 10 * NANOSECONDS["m"]
"""Two elements in a row that are further behind than this move the newest time back."""
_HOLES = 64


class GapStats(NamedTuple):
    """received = emitted."""

    received: int
    emitted: int
    gaps: Mapping[str, int]
    """Gaps by the first word of their cause: `sequence`, `silence`."""
    missing: int
    """Elements that numbers say are missing, less those that came late."""
    late: int
    """Elements that came late into a gap that had been reported."""
    restarts: int
    """How often a symbol's numbers began anew."""


class GapSnapshot(NamedTuple):
    """A kernel's state as frames: `symbols`, `holes` of their numbers, `counts` by name."""

    symbols: pl.DataFrame
    holes: pl.DataFrame
    counts: pl.DataFrame


class Track:
    """What is known of one symbol."""

    __slots__ = ("back", "holes", "last", "next", "room", "session", "top_time")

    def __init__(self, session: Session, room: int) -> None:
        self.session = session
        self.next: int | None = None
        """The number that is due."""
        self.top_time = -FOREVER
        """The time of the element before that."""
        self.last = -FOREVER
        """The newest time; -FOREVER: none yet."""
        self.room = room
        """How much later the next element may be and be ordinary; -1: none is."""
        self.back: int | None = None
        """The time of the element before, if it was far back."""
        self.holes: list[tuple[int, int]] = []
        """Numbers that are missing, first and last, in order; the newest."""


class GapsKernel:
    """What comes next, and what is missing if something else does.

    Args:
        sequence: whether `seq` counts each symbol's elements.
        silence: how long an open market may be silent, in ns; None: for ever.
        session: when it is open; instruments with a session of their own use it.
        instruments: by symbol.
    """

    def __init__(
        self,
        *,
        sequence: bool = False,
        silence: int | None = None,
        session: str | Session = "24x7",
        instruments: Instruments = None,
    ) -> None:
        self._sequence, self._silence = sequence, silence
        self._session = sessions.get(session)
        self._own = {s: sessions.get(i.session) for s, i in by_symbol(instruments).items() if i.session is not None}
        self._tracks: dict[str, Track] = {}
        self._gaps: Counter[str] = Counter()
        self._missing = self._late = self._restarts = 0
        self._slow = 0
        self.quick, self._count = self._make()
        """`quick(row)`: whether a row simply follows; if not, `element` must look at it."""

    def _make(self) -> tuple[Callable[[Any], bool], Callable[[], int]]:
        count = 0
        get = self._tracks.get

        def counted() -> int:
            return count

        def by_number(row: Any) -> bool:
            nonlocal count
            track = get(row.symbol)
            if track is None:
                return False
            seq = row.seq
            if seq != track.next:
                return False
            track.next = seq + 1
            track.top_time = row.time
            count += 1
            return True

        def by_time(row: Any) -> bool:
            nonlocal count
            track = get(row.symbol)
            if track is None:
                return False
            time = row.time
            if not 0 <= time - track.last <= track.room:
                return False
            track.last = time
            count += 1
            return True

        def by_both(row: Any) -> bool:
            nonlocal count
            track = get(row.symbol)
            if track is None:
                return False
            time, seq = row.time, row.seq
            if seq != track.next or not 0 <= time - track.last <= track.room:
                return False
            track.next = seq + 1
            track.last = track.top_time = time
            count += 1
            return True

        if self._silence is None:
            return by_number, counted
        return (by_both if self._sequence else by_time), counted

    def element(self, symbol: str, time: int, seq: int) -> list[Gap]:
        """Look at an element; return the gaps that it reveals."""
        gaps = self._look(self._track(symbol), symbol, time, seq)
        self._slow += 1
        return gaps

    def frame(self, frame: Frame[Any]) -> list[Gap]:
        """Look at all rows; return the gaps in their order."""
        if not len(frame):
            return []
        groups = frame.groups
        starts = groups.starts
        time, seq = frame.grouped("time"), frame.grouped("seq")
        follows = np.zeros(len(frame), np.bool_)
        if self._sequence:
            follows[1:] = seq[1:] == seq[:-1] + 1
        else:
            follows[1:] = True
        if self._silence is not None:
            step = time[1:] - time[:-1]
            # Of times that are wild the difference may be too large for an int64 and look small.
            follows[1:] &= (step >= 0) & (step <= self._silence) & (time[1:] >= time[:-1])
        follows[starts[:-1]] = False
        odd = np.flatnonzero(~follows)
        begins: list[int] = odd.tolist()
        blocks: list[int] = (np.searchsorted(starts, odd, "right") - 1).tolist()
        found: list[tuple[int, Gap]] = []
        for begin, end, block in zip(begins, [*begins[1:], len(frame)], blocks, strict=True):
            symbol = groups.symbols[block]
            track = self._track(symbol)
            for row in range(begin, end):
                if row > begin and self._in_step(track, int(time[row - 1]), int(seq[row - 1])):
                    # All that is left follows: only the last of it is remembered.
                    if self._sequence:
                        track.next, track.top_time = int(seq[end - 1]) + 1, int(time[end - 1])
                    if self._silence is not None:
                        track.last = int(time[end - 1])
                    break
                at = row if groups.order is None else int(groups.order[row])
                found += [(at, gap) for gap in self._look(track, symbol, int(time[row]), int(seq[row]))]
        self._slow += len(frame)
        found.sort(key=lambda event: event[0])
        return [gap for _, gap in found]

    def _in_step(self, track: Track, time: int, seq: int) -> bool:
        """Whether the element that was looked at last is the newest in all that counts."""
        return (not self._sequence or track.next == seq + 1) and (self._silence is None or track.last == time)

    @property
    def stats(self) -> GapStats:
        """What was seen so far."""
        received = self._slow + self._count()
        return GapStats(received, received, dict(self._gaps), self._missing, self._late, self._restarts)

    # --- looking

    def _look(self, track: Track, symbol: str, time: int, seq: int) -> list[Gap]:
        gaps: list[Gap] = []
        if self._sequence and seq != track.next:
            gaps += self._by_number(track, symbol, time, seq)
        elif self._sequence:
            track.next, track.top_time = seq + 1, time
        if self._silence is not None and time != UNKNOWN_TIME:
            gaps += self._by_time(track, symbol, time, self._silence)
        self._gaps.update(gap.cause.partition(":")[0] for gap in gaps)
        return gaps

    def _by_number(self, track: Track, symbol: str, time: int, seq: int) -> list[Gap]:
        due, before = track.next, track.top_time
        if due is None:
            track.next, track.top_time = seq + 1, time
            return []
        if seq > due:
            missing = seq - due
            self._missing += missing
            track.holes.append((due, seq - 1))
            del track.holes[:-_HOLES]
            track.next, track.top_time = seq + 1, time
            which = f"{due}" if missing == 1 else f"{due} to {seq - 1}"
            known = [at for at in (before, time) if at != UNKNOWN_TIME] or [time]
            return [Gap(symbol, min(known), max(known), f"sequence: {missing} missing, {which}")]
        hole = next((hole for hole in track.holes if hole[0] <= seq <= hole[1]), None)
        if seq < due - RESTART and time > before:
            self._restarts += 1
            if hole is not None:
                # One number was far too high, and the numbering goes on where it was: from here on nothing was missing.
                self._missing -= hole[1] - seq + 1
            track.holes.clear()
            track.next, track.top_time = seq + 1, time
        elif hole is not None:
            self._missing -= 1
            self._late += 1
            at = track.holes.index(hole)
            track.holes[at : at + 1] = [h for h in ((hole[0], seq - 1), (seq + 1, hole[1])) if h[0] <= h[1]]
            del track.holes[:-_HOLES]
        return []

    def _by_time(self, track: Track, symbol: str, time: int, silence: int) -> list[Gap]:
        last, back = track.last, track.back
        track.back, track.room = None, silence
        if last == -FOREVER:
            track.last = time
        elif time < last - FAR_BACK:
            if back is not None and 0 <= time - back <= FAR_BACK:
                track.last = time
            else:
                track.back, track.room = time, -1
        elif time > last:
            track.last = time
            if time - last > silence and _open_longer(track.session, last, time, silence):
                return [Gap(symbol, last, time, f"silence: more than {silence / SECOND:.10g} s of open market")]
        return []

    # --- snapshots

    def snapshot(self) -> GapSnapshot:
        """Return the state as frames; `restore` on a kernel made with the same arguments goes on from there."""
        tracks = self._tracks.items()
        counts = {
            "received": self._slow + self._count(), "missing": self._missing, "late": self._late, "restarts": self._restarts,
            **{f"gaps {cause}": count for cause, count in self._gaps.items()},
        }  # fmt: skip
        times = dict.fromkeys(("next", "top_time", "last", "back"), pl.Int64)
        return GapSnapshot(
            pl.DataFrame(
                [(symbol, t.next, t.top_time, t.last, t.back) for symbol, t in tracks],
                {"symbol": pl.String, **times}, orient="row",
            ),
            pl.DataFrame(
                [(symbol, *hole) for symbol, t in tracks for hole in t.holes],
                {"symbol": pl.String, "first": pl.Int64, "last": pl.Int64}, orient="row",
            ),
            pl.DataFrame(list(counts.items()), {"name": pl.String, "value": pl.Int64}, orient="row"),
        )  # fmt: skip

    def restore(self, snapshot: GapSnapshot) -> None:
        """Take over a state, instead of the present one."""
        self._tracks.clear()
        for symbol, due, top_time, last, back in snapshot.symbols.iter_rows():
            track = self._track(symbol)
            track.next, track.top_time, track.last, track.back = due, top_time, last, back
            track.room = track.room if back is None else -1
        for symbol, first, last in snapshot.holes.iter_rows():
            self._track(symbol).holes.append((first, last))
        counts: dict[str, int] = dict(snapshot.counts.iter_rows())
        self._slow = counts.pop("received") - self._count()
        self._missing, self._late, self._restarts = (counts.pop(name) for name in ("missing", "late", "restarts"))
        self._gaps = Counter({name.removeprefix("gaps "): count for name, count in counts.items()})

    def _track(self, symbol: str) -> Track:
        track = self._tracks.get(symbol)
        if track is None:
            track = self._tracks[symbol] = Track(self._own.get(symbol, self._session), self._silence or 0)
        return track


def _open_longer(session: Session, start: int, end: int, than: int) -> bool:
    """Whether the market was open for longer than that between two times."""
    opened = 0
    span = session.span_at(start) or session.span_after(start)
    while span is not None and span.open < end:
        opened += min(span.close, end) - max(span.open, start)
        if opened > than:
            return True
        span = session.span_after(span.open)
    return False
