"""A world of one's own: a loop on virtual time, a clock, a network and chance, all of it from one seed.

What runs in it is unchanged code: asyncio, aiohttp's client and server. The same seed gives the same run, to the byte.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, TypeVar

from rxfeed.clock import LoopClock
from rxfeed.testing.disk import SimulatedDisk
from rxfeed.testing.errors import LeftOver, SimulationError, Unhandled
from rxfeed.testing.foreign import foreign_clocks
from rxfeed.testing.logs import Logs, captured
from rxfeed.testing.loop import VirtualLoop
from rxfeed.testing.network import MemoryNetwork
from rxfeed.testing.waiting import describe_task, listed, pending
from rxfeed.times import SECOND, Duration, nanoseconds

T = TypeVar("T")

_TURNS_TO_SETTLE: Final = 1_000
_TIME_TO_CANCEL: Final = 3_600.0


class Simulation:
    """What a simulation's main coroutine is handed.

    Args:
        seed: of all chance.
        start: what the clock reads at first, in nanoseconds since the epoch, UTC.
    """

    def __init__(self, seed: int, start: int) -> None:
        self.loop = VirtualLoop()
        """The loop; its time starts at 0."""
        self.clock = LoopClock(self.loop, start)
        """The `Clock`: the start and the loop's time."""
        self.random = Random(seed)  # noqa: S311
        """The chance of the code under test. The network and the disk have their own, of the same seed."""
        self.network = MemoryNetwork(Random(f"network {seed}"))  # noqa: S311
        """The network."""
        self.disk = SimulatedDisk(Random(f"disk {seed}"))  # noqa: S311
        """The disk."""
        self.logs = Logs()
        """What was logged by loguru."""
        self.errors: list[Unhandled] = []
        """What went wrong where nobody waited for it; `simulate` raises the first. Clear it where that is expected."""
        self.loop.set_exception_handler(self._note)

    def __repr__(self) -> str:
        return f"Simulation({self.clock!r})"

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        unhandled = Unhandled(f"at {loop.time():.9g} s: {context['message']}")
        unhandled.__cause__ = error
        self.errors.append(unhandled)


def simulate(
    main: Callable[[Simulation], Awaitable[T]],
    *,
    seed: int = 0,
    start: str | int = "2026-01-05T14:30Z",
    limit: Duration | None = None,
) -> T:
    """Run a coroutine function in a world of its own and return its result. Time costs nothing there.

    Whatever the run leaves over is closed in any case; an error of `main` is raised as it is.

    Args:
        main: called with the `Simulation`.
        seed: of all chance in it.
        start: when it begins: ISO 8601 text with an offset, or int nanoseconds since the epoch, UTC.
        limit: how much simulated time it may take.

    Raises:
        Deadlock: everybody waits, and nothing will ever happen. The text names who waits, and where.
        Livelock: a million turns of the loop took no time.
        LimitReached: it took longer than `limit`.
        LeftOver: tasks, timers or connections are left although `main` has ended. The text names them.
        Unhandled: an error in a callback, or in a task that nobody waited for.
        RuntimeError: a loop is running already.
        ValueError: `start` or `limit` cannot be read.

    Example:
        >>> import asyncio
        >>> from rxfeed.times import iso
        >>> async def main(simulation):
        ...     await asyncio.sleep(36 * 3600)
        ...     return iso(simulation.clock.now)
        >>> simulate(main)
        '2026-01-07T02:30:00Z'
    """
    start_ns = _instant(start)
    most = math.inf if limit is None else nanoseconds(limit, name="limit") / SECOND
    if asyncio._get_running_loop() is not None:  # noqa: SLF001
        raise RuntimeError("simulate() runs a loop of its own: call it where none is running")
    simulation = Simulation(seed, start_ns)
    loop = simulation.loop
    loop.limit = most
    with ExitStack() as world:
        world.callback(loop.close)
        world.enter_context(captured(simulation.logs, simulation.clock, start_ns))
        world.enter_context(foreign_clocks(loop, simulation.clock, Random(f"aiohttp {seed}")))  # noqa: S311
        world.callback(_end, simulation)
        try:
            result = loop.run_until_complete(_awaited(main(simulation)))
            loop.run_until_complete(_last_turns(simulation))
        except SimulationError as error:
            for unhandled in simulation.errors:  # perhaps that is why
                error.add_note(f"{unhandled}: {unhandled.__cause__!r}")
            raise
        _check(simulation)
        return result


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _last_turns(simulation: Simulation) -> None:
    for end in simulation.network.open:
        end.let_go()  # closed by its owner; an operating system would go on trying for a quarter of an hour
    await _settle(simulation.loop)


async def _settle(loop: VirtualLoop) -> None:
    """Let what is ready run, as long as it takes no time: ends of connections, last callbacks."""
    turns = 0
    while loop.busy() and turns < _TURNS_TO_SETTLE:
        turns += 1
        await asyncio.sleep(0)


def _check(simulation: Simulation) -> None:
    left = [f"task {describe_task(task)}" for task in pending(simulation.loop)]
    # A closed WebSocket of aiohttp's leaves the timer of its heartbeat, which then does nothing.
    left += [f"timer at {timer.describe()}" for timer in simulation.loop.set_timers() if timer.owner != "aiohttp"]
    left += [f"connection {end!r}" for end in simulation.network.open]
    left += [f"file {file!r}" for file in simulation.disk.open]
    left += [f"async generator {name}" for name in simulation.loop.open_generators()]
    if left:
        raise LeftOver(f"main has ended at {simulation.loop.time():.9g} s, and these have not:{listed(left)}")
    if simulation.errors:
        raise simulation.errors[0]


def _end(simulation: Simulation) -> None:
    """Close what is left, by force, and say nothing: whoever gets here by an error is told that one."""
    loop = simulation.loop
    loop.limit = loop.time() + _TIME_TO_CANCEL
    with suppress(SimulationError):  # somebody does not let himself be cancelled
        loop.run_until_complete(_cancel_all(simulation))


async def _cancel_all(simulation: Simulation) -> None:
    loop = simulation.loop
    me = asyncio.current_task()
    tasks = [task for task in pending(loop) if task is not me]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for end in simulation.network.open:
        end.abort()
    await loop.shutdown_asyncgens()
    await _settle(loop)


def _instant(start: str | int) -> int:
    if isinstance(start, int):
        return start
    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f'start must be a time with its offset, such as "2026-01-05T14:30Z", got {start!r}')
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000
