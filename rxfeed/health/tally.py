"""What events told: how often each thing happened, and what has not ended."""

from __future__ import annotations

from typing import Final

from rxfeed.events import (
    Connected,
    Event,
    Gapped,
    GaveUp,
    Lost,
    NotRepaired,
    Overflowed,
    Relieved,
    Repaired,
    Retrying,
    Rotated,
    RotationFailed,
    TokenChanged,
    TokenFailed,
)
from rxfeed.figures import Labels
from rxfeed.model import Gap

MOST_GAPS: Final = 4_096
"""Symbols whose open gaps are told apart."""
_MOST_STAGES: Final = 16


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Tally:
    """Counts, and what is open.

    Args:
        symbols: so many have counts of their own, the others share one.
    """

    def __init__(self, symbols: int) -> None:
        self.connections = self.losses = self.retries = self.rotations = self.gaps = self.repairs = self.unrepaired = 0
        self.gave_up: str | None = None
        """Why nobody tries any more."""
        self.rotation: str | None = None
        """Why the connection could not be rotated."""
        self.token: str | None = None
        """Why the token could not be changed."""
        self._open: dict[str, Gap] = {}
        self._full: dict[str, None] = {}
        self._gapped: Labels[Count] = Labels(Count, most=symbols)

    @property
    def open(self) -> int:
        """Symbols with a gap that has not ended."""
        return len(self._open)

    @property
    def full(self) -> tuple[str, ...]:
        """Boundaries that overflow."""
        return tuple(self._full)

    @property
    def gapped(self) -> dict[str, int]:
        """How many gaps each symbol had."""
        return {symbol: count.value for symbol, count in self._gapped.items()}

    def heard(self, event: Event) -> bool:
        """Take note of what happened; return whether it says anything of how a feed is."""
        match event:
            case Connected():
                self.connections += 1
                self.gave_up = None
                self.rotation = None
            case Lost():
                self.losses += 1
            case Retrying():
                self.retries += 1
                self.gave_up = None
            case GaveUp(text=text):
                self.gave_up = text
            case Rotated():
                self.rotations += 1
                self.rotation = None
            case RotationFailed(text=text):
                self.rotation = text
            case TokenChanged():
                self.token = None
            case TokenFailed(text=text):
                self.token = text
            case Gapped(gap=gap):
                self._gap(gap)
            case Repaired():
                self.repairs += 1
            case NotRepaired():
                self.unrepaired += 1
            case Overflowed(stage=stage):
                if len(self._full) < _MOST_STAGES:
                    self._full[stage] = None
            case Relieved(stage=stage):
                self._full.pop(stage, None)
            case _:
                return False
        return True

    def _gap(self, gap: Gap) -> None:
        if not gap.ongoing:
            if self._open.pop(gap.symbol, None) is not None:
                return  # it was counted when it began
        elif gap.symbol in self._open:
            return
        elif len(self._open) < MOST_GAPS:
            self._open[gap.symbol] = gap
        self.gaps += 1
        self._gapped[gap.symbol].value += 1
