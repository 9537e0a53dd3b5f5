"""Rules that compare an element with those before it. What they remember is the kernel's."""

from __future__ import annotations

from dataclasses import dataclass

from rxfeed.instrument import Instrument
from rxfeed.rules.base import Rule, RuleError


@dataclass(frozen=True, slots=True)
class GoingBack(Rule):
    """Fails ticks before the time of the last accepted one. Off by default: late ticks are the business of `bars`."""

    name = "going_back"
    order = 11


@dataclass(frozen=True, slots=True)
class Jump(Rule):
    """Holds prices that are far from the last accepted one, until the market confirms them or not.

    A suspect and those near it wait, at most `confirm` a symbol. When `confirm` have come, or a price near both them and
    the last accepted one, they pass in order: a real gap loses nothing. When the old level trades on, they are rejected.

    Args:
        fraction: how far a price may be from the last accepted one, as a fraction of it: 0.1 is 10 %.
        ticks: the same in ticks of the instrument; then `fraction` is not looked at. Needed for what may be negative.
        confirm: how many suspects make a new level, 1 or more.
    """

    fraction: float = 0.1
    ticks: int | None = None
    confirm: int = 3

    name = "jump"
    order = 12

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"jump fraction must be more than 0 and at most 1, got {self.fraction}")
        if self.ticks is not None and self.ticks < 1:
            raise ValueError(f"jump ticks must be at least 1, got {self.ticks}")
        if self.confirm < 1:
            raise ValueError(f"jump confirm must be at least 1, got {self.confirm}")

    def limit(self, instrument: Instrument | None) -> tuple[float, float]:
        """Return `(fraction, distance)`, one of which is 0: how far a price of this instrument may go.

        Raises:
            RuleError: it needs ticks, and they or the tick size are not given.
        """
        if self.ticks is not None and instrument is not None and instrument.tick_size is not None:
            return 0.0, self.ticks * instrument.tick_size * (1 + 1e-9)
        if instrument is not None and instrument.may_be_negative:
            raise RuleError(
                f"{instrument.symbol} may be negative, so its jumps are measured in ticks: "
                f"give Jump(ticks=...) and its tick_size, got {self!r} and {instrument!r}"
            )
        return self.fraction, 0.0
