"""A gateway that never was: REST, both hubs and a seeded market that speak the same wire, for tests and development."""

from __future__ import annotations

from rxfeed.feeds.simulator.core import Simulator
from rxfeed.feeds.simulator.faults import FAULTS, Fault
from rxfeed.feeds.simulator.ledger import Trade
from rxfeed.feeds.simulator.server import serve
from rxfeed.feeds.simulator.spans import Spans
from rxfeed.feeds.simulator.truebars import TrueBar
from rxfeed.feeds.simulator.truth import Sent, Totals, Truth

__all__ = ["FAULTS", "Fault", "Sent", "Simulator", "Spans", "Totals", "Trade", "TrueBar", "Truth", "serve"]
