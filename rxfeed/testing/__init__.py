"""Simulated time for tests: a loop on which days pass in seconds, and a network in memory. The same seed, the same run."""

from rxfeed.testing.errors import (
    Deadlock,
    LeftOver,
    LimitReached,
    Livelock,
    NotSimulated,
    SimulationError,
    Unhandled,
)
from rxfeed.testing.loop import VirtualLoop
from rxfeed.testing.network import MemoryNetwork
from rxfeed.testing.simulation import Simulation, simulate

__all__ = [
    "Deadlock",
    "LeftOver",
    "LimitReached",
    "Livelock",
    "MemoryNetwork",
    "NotSimulated",
    "Simulation",
    "SimulationError",
    "Unhandled",
    "VirtualLoop",
    "simulate",
]
