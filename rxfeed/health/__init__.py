"""How a feed is, in a word and with reasons; and asking for what helps where it is not well."""

from __future__ import annotations

from .health import Health
from .remedy import STEPS, Remedy, RemedyStats, Step
from .report import Ask, Figures, Latency, Reason, Report, State, Totals, Wire
from .rules import Limits, judge, state_of

__all__ = [
    "STEPS", "Ask", "Figures", "Health", "Latency", "Limits", "Reason", "Remedy", "RemedyStats", "Report", "State", "Step",
    "Totals", "Wire", "judge", "state_of",
]  # fmt: skip
