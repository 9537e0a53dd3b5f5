"""A gateway that never was: REST, both hubs and a seeded market that speak the same wire, for tests and development."""

from __future__ import annotations

from rxfeed.feeds.simulator.core import Simulator
from rxfeed.feeds.simulator.faults import FAULTS, Fault
from rxfeed.feeds.simulator.server import serve
from rxfeed.feeds.simulator.truth import Sent, Totals, Truth

__all__ = ["FAULTS", "Fault", "Sent", "Simulator", "Totals", "Truth", "serve"]
