"""What goes wrong in a simulation itself, as opposed to what goes wrong in the code under it."""

from __future__ import annotations

from rxfeed.errors import RxfeedError


class SimulationError(RxfeedError, RuntimeError):
    """Root of the errors of a simulation. Each names the tasks, timers or connections that it is about."""


class Deadlock(SimulationError):
    """Nothing is ready and no timer is set: whoever waits now waits for ever."""


class Livelock(SimulationError):
    """The loop turns and turns while its time stands still."""


class LimitReached(SimulationError):
    """The simulation took more simulated time than it was allowed."""


class LeftOver(SimulationError):
    """The main coroutine has ended, and tasks, timers, connections or files of it have not."""


class Unhandled(SimulationError):
    """An error came to light in a callback, or in a task that nobody waited for. It is this one's cause."""


class NotSimulated(SimulationError):
    """Something was asked of the loop that would leave the simulation: a socket, a name, a process, a signal."""
