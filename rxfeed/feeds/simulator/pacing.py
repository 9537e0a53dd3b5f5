"""When the tape's trades are done: at a rate, at the tape's own pace, or as fast as the sockets take them.

The pump wakes when a trade is due, at most once a millisecond, and does all that are due by then. One that lags catches up
in slices, so that the loop stays alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from rxfeed.clock import Clock, Timer
from rxfeed.feeds.simulator.records import Deals
from rxfeed.feeds.simulator.stamps import GRAIN
from rxfeed.feeds.simulator.tape import PACE, Reel, Take
from rxfeed.times import SECOND

Rate = float | Literal["max", "tape"]

FASTEST: Final = 1_000_000
"""Trades a second when the rate is "max", even where sockets are as fast as memory."""
SLICE: Final = 2_000
_STEP: Final = SECOND // 1_000

Traded = Callable[[int, Deals, int, int], None]
"""Told of one contract's trades: its index, the trades, the bid and ask after them."""


def check_rate(rate: Rate | None) -> Rate:
    """Return a rate that is allowed.

    Raises:
        ValueError: it is not.
    """
    if rate is None or rate == "max":
        return "max"
    if rate == "tape":
        return "tape"
    if isinstance(rate, (bool, str)) or not 0 <= rate <= FASTEST:
        raise ValueError(f'rate must be 0 to {FASTEST:,} trades a second, "max" or "tape", got {rate!r}')
    return float(rate)


class Pump:
    """Takes trades off a reel when they are due, stamps them, and hands them on by contract.

    Args:
        clock: whose time it is.
        reel: the trades.
        rate: trades a second over all contracts; "tape" is the tape's own pace, "max" as fast as `ready` says; 0 none.
        even: whether trades at a rate are evenly spaced; else the tape's own gaps are stretched.
        skew: what is added to the clock's time in stamps, in nanoseconds.
        grain: what stamps are cut to, in nanoseconds.
        traded: told of the trades.
        done: told after each slice.
        ready: whether more may be sent, when the rate is "max".
    """

    __slots__ = (
        "_base", "_begin", "_clock", "_count", "_done", "_even", "_grain", "_last", "_rate", "_ready", "_reel", "_skew",
        "_timer", "_traded", "_turn",
    )  # fmt: skip

    def __init__(
        self, clock: Clock, reel: Reel, rate: Rate, *, even: bool, skew: Callable[[], int], grain: int, traded: Traded,
        done: Callable[[], None], ready: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._clock, self._reel, self._even = clock, reel, even
        self._rate: Rate = rate
        self._grain = grain
        self._skew, self._traded, self._done, self._ready = skew, traded, done, ready
        self._timer: Timer | None = None
        self._begin = self._turn = self._last = clock.now
        self._base = 0
        self._count = 0

    @property
    def rate(self) -> Rate:
        """Trades a second, "max" or "tape"."""
        return self._rate

    @property
    def running(self) -> bool:
        """Whether it is waiting for the next trade."""
        return self._timer is not None

    def set_rate(self, rate: Rate) -> None:
        """Go on at another rate."""
        was = self.running
        self.stop()
        self._rate = rate
        if was:
            self.start()

    def start(self) -> None:
        """Go on from here, now. Nothing happens when it runs, the tape is at its end or the rate is 0."""
        if self._timer is not None or self._rate == 0:
            return
        elapsed = self._reel.next_elapsed()
        if elapsed is None:
            return
        self._begin = self._turn = self._clock.now
        self._base = elapsed
        self._count = 0
        self._timer = self._clock.call_at(self._begin, self._wake)

    def burst(self, most: int) -> int:
        """Do the tape's next trades now, up to so many, and return how many there were; 0 at its end."""
        count, taken = self._reel.take(min(most, SLICE))
        if taken:
            self._emit((take, [self._clock.now] * len(take.places)) for take in taken)
            self._begin, self._count = self._clock.now, 0
            self._base = self._reel.next_elapsed() or 0
        return count

    def stop(self) -> None:
        """Stand still."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _speed(self) -> float:
        """Return nanoseconds of the tape in one of ours."""
        return 1.0 if self._rate == "tape" else float(self._rate) / PACE

    def _wake(self) -> None:
        self._timer = None
        now = self._clock.now
        if self._rate == "max":
            next_at = self._at_most(now)
        else:
            next_at = self._paced(now)
        if next_at is not None and self._timer is None:
            self._timer = self._clock.call_at(next_at, self._wake)

    def _at_most(self, now: int) -> int | None:
        """Do as many as there is time and room for."""
        room = min((now - self._turn) * FASTEST // SECOND, 10 * SLICE) if now > self._turn else 0
        self._turn = now
        while room > 0 and self._ready() and not self._reel.ended:
            count, taken = self._reel.take(min(room, SLICE))
            room -= count
            # The last one is now, and each of the others a little before the next.
            latest = now - count * GRAIN
            self._emit((take, [latest + n * GRAIN for n in take.places]) for take in taken)
        return None if self._reel.ended else now + _STEP

    def _paced(self, now: int) -> int | None:
        """Do what is due."""
        left = 10 * SLICE
        while left > 0:
            due = self._due(now)
            if due <= 0:
                break
            count, taken = self._reel.take(min(due, SLICE))
            left -= count
            self._emit((take, self._times(take)) for take in taken)
            self._count += count
        next_at = self._next()
        return None if next_at is None else max(next_at, now if left <= 0 else now + _STEP)

    def _due(self, now: int) -> int:
        if self._even and self._rate != "tape":
            passed = int((now - self._begin) * float(self._rate) / SECOND)
            return 0 if self._reel.next_elapsed() is None else passed - self._count
        return self._reel.due(self._base + int((now - self._begin) * self._speed()))

    def _times(self, take: Take) -> list[int]:
        begin = self._begin
        if self._even and self._rate != "tape":
            step, first = SECOND / float(self._rate), self._count + 1
            return [begin + int((first + n) * step) for n in take.places]
        speed, base = self._speed(), self._base
        return [begin + int((at - base) / speed) for at in take.elapsed]

    def _next(self) -> int | None:
        elapsed = self._reel.next_elapsed()
        if elapsed is None:
            return None
        if self._even and self._rate != "tape":
            return self._begin - int(-(self._count + 1) * SECOND / float(self._rate) // 1)
        return self._begin - int(-(elapsed - self._base) / self._speed() // 1)

    def _emit(self, taken: Iterable[tuple[Take, list[int]]]) -> None:
        skew, grain, last, latest = self._skew(), self._grain, self._last, self._last
        for take, times in taken:
            if times[0] < last:
                times = [max(last, time) for time in times]
            latest = max(latest, times[-1])
            stamps = [(time + skew) // grain * grain for time in times]
            self._traded(take.contract, Deals(stamps, take.ticks, take.size, take.side), take.bid, take.ask)
        self._last = latest
        self._done()
