"""How much may wait, by how much memory there is: capacities that shrink while the process needs too much, and grow again.

A boundary reads `Capacity.current` where it else would have a number. It is halved with each look at memory that is short,
at once and down to its least when the target is reached, and doubled after a time of calm; a time that gets longer when
growing has just made memory short again. So a sawtooth makes a few changes, and not one a tooth.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self

from rxfeed.clock import Clock, Timer
from rxfeed.events import CapacityChange, Event, LimitsChanged, LimitsFixed
from rxfeed.failures import stage_of, tell
from rxfeed.memory import Memory, MemoryProbe
from rxfeed.times import Duration, nanoseconds

HONOURED: Final = 0.9
"""A target of more than this part of what the process may use at most would come too late, and is lowered to it."""
LEAST_TARGET: Final = 1 << 20
SLOWEST: Final = 16
"""How many times longer the time of calm gets at most."""


CapacityLike = int | Callable[[], int]
"""A capacity that is fixed, or one that is asked for each time, such as a `Capacity`."""


class Capacity:
    """One capacity: read `current`, or call it, each time it is needed. Made by `DynamicLimits.capacity`."""

    __slots__ = ("current", "default", "least", "name")

    def __init__(self, name: str, default: int, least: int) -> None:
        self.name, self.default, self.least = name, default, least
        self.current = default
        """How many there may be now; from `least` to `default`."""

    def __call__(self) -> int:
        """Return `current`."""
        return self.current

    def __repr__(self) -> str:
        return f"Capacity({self.name!r}, {self.current:,} of {self.default:,})"


class LimitsStats(NamedTuple):
    """How limits stand."""

    step: int
    """How often capacities are halved now; 0: all are what they were made with."""
    used: int | None
    """Of the last look that found something, in bytes."""
    target: int | None
    changes: int
    failures: int
    """Looks that found nothing."""


class DynamicLimits:
    """Capacities that follow the process' memory.

    Args:
        probe: looks at memory.
        clock: what time it is, and when to look.
        target: how much memory the process is meant to stay below: bytes, or as a float up to 1 a part of what it may use at
            most. A target above 90 % of that is lowered to it.
        high: the part of the target from which capacities are halved, at each look; from the target itself all are at their
            least at once.
        low: the part of the target up to which it is calm; in between nothing changes.
        calm: how long it must be calm before they are doubled, each time.
        period: how often to look.
        on_change: hears of each change, and once if memory cannot be looked at. If it raises, that is told of, and it is
            called no more.

    Raises:
        ValueError: a target that is neither a MiB or more nor a float above 0 and up to 1; not 0 < `low` < `high` < 1; a
            `period` or `calm` of 0.
    """

    def __init__(
        self,
        probe: MemoryProbe,
        *,
        clock: Clock,
        target: float = 0.5,
        high: float = 0.85,
        low: float = 0.7,
        calm: Duration = "10s",
        period: Duration = "1s",
        on_change: Callable[[Event], object] | None = None,
    ) -> None:
        if not (0 < target <= 1 if isinstance(target, float) else LEAST_TARGET <= target < 1 << 62):
            raise ValueError(f"target must be bytes, a MiB or more, or a float above 0 and up to 1, got {target!r}")
        if not 0 < low < high < 1:
            raise ValueError(f"low and high must be 0 < low < high < 1, got {low} and {high}")
        self._probe, self._clock, self._target, self._high, self._low = probe, clock, target, high, low
        self._period, self._calm = nanoseconds(period, name="period"), nanoseconds(calm, name="calm")
        for name, value in (("period", self._period), ("calm", self._calm)):
            if value == 0:
                raise ValueError(f"{name} must be more than 0, got 0")
        self._on_change = on_change
        self._capacities: dict[str, Capacity] = {}
        self._timer: Timer | None = None
        self._step = self._changes = self._failures = 0
        self._memory: Memory | None = None
        self._calm_since: int | None = None
        self._slowed = 1  # how many times longer it must be calm
        self._grew = False  # whether the last change was a doubling

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stats(self) -> LimitsStats:
        """How they stand now."""
        memory = self._memory
        return LimitsStats(
            self._step, memory and memory.used, memory and self._target_of(memory), self._changes, self._failures
        )

    def capacity(self, name: str, *, default: int, least: int = 1) -> Capacity:
        """Return the capacity of this name, the same for the same name.

        Args:
            name: what it is for; it stands in events.
            default: how many there may be while memory is not short.
            least: how many there may always be.

        Raises:
            ValueError: not 1 ≤ least ≤ default, or the name is taken with other numbers.
        """
        if not 1 <= least <= default:
            raise ValueError(f"capacity {name!r} must be 1 <= least <= default, got least {least}, default {default}")
        found = self._capacities.get(name)
        if found is None:
            found = self._capacities[name] = Capacity(name, default, least)
            found.current = _at(found, self._step)
        elif (found.default, found.least) != (default, least):
            raise ValueError(f"capacity {name!r} is from {found.least} to {found.default} already, got {least} to {default}")
        return found

    def start(self) -> None:
        """Look now, and then every period until `close`. Starting twice is no error."""
        if self._timer is None:
            self._turn()

    def close(self) -> None:
        """Look no more; capacities stay what they are. Closing twice is no error."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._timer = self._clock.call_at(self._clock.now + self._period, self._turn)
        self.look()

    def look(self) -> None:
        """Look at memory once, and change what must be changed."""
        try:
            memory = self._memory = _checked(self._probe())
            target = self._target_of(memory)
        except Exception as error:  # noqa: BLE001  # no feed may end because its memory cannot be looked at
            self._unknown(error)
            return
        now = self._clock.now
        pressure = memory.used / target
        if pressure > self._low:
            self._calm_since = None
        if pressure >= self._high:
            deepest = max((_deepest(each) for each in self._capacities.values()), default=0)
            self._change(now, deepest if pressure >= 1 else min(self._step + 1, deepest), memory.used, target)
        elif pressure <= self._low:
            self._rest(now, memory.used, target)

    def _rest(self, now: int, used: int, target: int) -> None:
        since = self._calm_since
        if since is None or since > now:  # or the clock was set back
            self._calm_since = now
        elif now - since >= self._calm * self._slowed:
            self._calm_since = now
            if self._step == 0:
                self._slowed, self._grew = 1, False
            self._change(now, max(0, self._step - 1), used, target)

    def _change(self, now: int, step: int, used: int, target: int) -> None:
        if step == self._step:
            return
        grows = step < self._step
        if self._grew and not grows:
            self._slowed = min(2 * self._slowed, SLOWEST)
        self._step, self._grew = step, grows
        changed: list[CapacityChange] = []
        for capacity in self._capacities.values():
            before, capacity.current = capacity.current, _at(capacity, step)
            if before != capacity.current:
                changed.append(CapacityChange(capacity.name, before, capacity.current))
        if changed:
            self._changes += 1
            self._say(LimitsChanged(time=now, used=used, target=target, capacities=tuple(changed)))

    def _target_of(self, memory: Memory) -> int:
        target, limit = self._target, memory.limit
        if limit is None:
            if isinstance(target, float):
                raise ValueError("how much memory there is cannot be found, and the target is a part of it")
            return target
        return max(1, round(min(target * limit if isinstance(target, float) else target, HONOURED * limit)))

    def _unknown(self, error: Exception) -> None:
        self._failures += 1
        self._calm_since = None
        if self._failures > 1:
            return
        event = LimitsFixed(time=self._clock.now, text=f"{type(error).__name__}: {error}")
        with suppress(Exception):  # a sink that raises
            from loguru import logger

            logger.warning("{}", event)
        self._say(event)

    def _say(self, event: Event) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(event)
        except Exception as error:  # noqa: BLE001  # who listens must not keep the others from their limits
            on_change, self._on_change = self._on_change, None
            tell(None, f"{stage_of(on_change)}, which hears of limits", "on_next", error, event)


def _at(capacity: Capacity, step: int) -> int:
    return max(capacity.least, capacity.default >> step)


def _deepest(capacity: Capacity) -> int:
    """The first step at which it is at its least."""
    step = 0
    while capacity.default >> step > capacity.least:
        step += 1
    return step


def _checked(memory: Any) -> Memory:
    if not isinstance(memory, Memory) or memory.used < 0 or (memory.limit is not None and memory.limit <= 0):
        raise ValueError(f"the probe returned {memory!r}, which is no Memory")
    return memory
