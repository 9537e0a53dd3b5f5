"""Simulated worlds for tests: days pass in seconds, networks and disks lie in memory and fail on demand.

What runs in one is unchanged: asyncio, aiohttp's client and server. The same seed gives the same run, to the byte.
"""

from rxfeed.testing.disk import SimulatedDisk
from rxfeed.testing.errors import (
    Deadlock,
    LeftOver,
    LimitReached,
    Livelock,
    NotSimulated,
    SimulationError,
    Unhandled,
)
from rxfeed.testing.logs import Logs
from rxfeed.testing.loop import VirtualLoop
from rxfeed.testing.network import MemoryNetwork
from rxfeed.testing.simulation import Simulation, simulate

__all__ = [
    "Deadlock",
    "LeftOver",
    "LimitReached",
    "Livelock",
    "Logs",
    "MemoryNetwork",
    "NotSimulated",
    "SimulatedDisk",
    "Simulation",
    "SimulationError",
    "Unhandled",
    "VirtualLoop",
    "simulate",
]
