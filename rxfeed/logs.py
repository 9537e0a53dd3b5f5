"""Log lines that stay readable and affordable when the same thing goes wrong ten thousand times a second: the first few are
written, the rest are counted, and the count is written when the period is over.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

from rxfeed.clock import Clock, Timer
from rxfeed.times import SECOND, Duration, nanoseconds

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

OTHER: Final = "other"
"""The key of those that came when there were too many."""


class LogStats(NamedTuple):
    """Lines by what became of them: told = written + held back."""

    told: int
    written: int
    held_back: int
    """Counted instead of written; the lines that say how many are in no count."""


class _Key:
    __slots__ = ("held", "level", "until", "written")

    level: Level

    def __init__(self, level: Level, until: int) -> None:
        self.level, self.until = level, until
        self.written = self.held = 0


class RateLimitedLog:
    """Writes at most so many lines a period and key, by loguru.

    A key's period begins with its first line, and when it is over one line more says how much was held back:
    `and 1,234 more like this in 60 s: trades of MNQ`. It is written on the clock; where that makes no calls, as without a
    running loop, with the key's next line or by `close`.

    Args:
        clock: what time it is.
        most: lines a period and key.
        period: how long it is.
        keys: of how many keys something is remembered at once; those beyond share one, "other".

    Raises:
        ValueError: `most` or `keys` below 1, or a `period` of 0.
    """

    __slots__ = ("_clock", "_keys", "_most", "_most_keys", "_period", "_timer", "_told", "_written")

    def __init__(self, clock: Clock, *, most: int = 3, period: Duration = "1m", keys: int = 256) -> None:
        for name, value in (("most", most), ("keys", keys)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._clock, self._most, self._most_keys = clock, most, keys
        self._period = nanoseconds(period, name="period")
        if self._period == 0:
            raise ValueError(f"period must be more than 0, got {period!r}")
        self._keys: dict[str, _Key] = {}
        self._timer: Timer | None = None
        self._told = self._written = 0

    @property
    def stats(self) -> LogStats:
        """Lines until now."""
        return LogStats(self._told, self._written, self._told - self._written)

    def say(self, key: str, text: str, *values: Any, level: Level = "WARNING") -> None:
        """Write a line, or count it.

        Args:
            key: what it is about. It stands in the line that counts, so it must hold no secret.
            text: with `{}` for each value; it is put together only if it is written.
            values: what stands there.
            level: loguru's.
        """
        now = self._clock.now
        self._told += 1
        entry = self._keys.get(key)
        if entry is None or not self._inside(entry, now):
            key, entry = self._begin(key, level, now)
        if entry.written < self._most:
            entry.written += 1
            self._written += 1
            _write(level, text, values)
            return
        entry.held += 1
        if self._timer is None:
            self._arm(entry.until)

    def close(self) -> None:
        """Write how much was held back until now, and leave no timer. Closing twice is no error."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for key, entry in self._keys.items():
            self._tell(key, entry)
        self._keys.clear()

    def _begin(self, key: str, level: Level, now: int) -> tuple[str, _Key]:
        """Return a key's entry for a period that begins now; the key is another if there are too many."""
        self._end(now)
        if key not in self._keys and len(self._keys) - (OTHER in self._keys) >= self._most_keys:
            key = OTHER
        entry = self._keys.get(key)
        if entry is None or not self._inside(entry, now):
            if entry is not None:
                self._tell(key, self._keys.pop(key))
            entry = self._keys[key] = _Key(level, now + self._period)
        return key, entry

    def _inside(self, entry: _Key, now: int) -> bool:
        return entry.until - self._period <= now < entry.until  # it may begin later, on a clock that was set back

    def _end(self, now: int) -> None:
        """Forget the keys whose period is over: on a clock that was set back, one that began later may end sooner."""
        for key, entry in [each for each in self._keys.items() if not self._inside(each[1], now)]:
            del self._keys[key]
            self._tell(key, entry)

    def _tell(self, key: str, entry: _Key) -> None:
        if entry.held:
            _write(entry.level, "and {:,} more like this in {:g} s: {}", (entry.held, self._period / SECOND, key))

    def _arm(self, due: int) -> None:
        with suppress(RuntimeError):  # no loop is running here
            self._timer = self._clock.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._end(self._clock.now)
        waiting = [entry.until for entry in self._keys.values() if entry.held]
        if waiting:
            self._arm(min(waiting))


def _write(level: Level, text: str, values: tuple[Any, ...]) -> None:
    with suppress(Exception):  # a sink that raises
        from loguru import logger  # costs 30 ms, and most feeds never need it

        logger.opt(depth=2).log(level, text, *values)
