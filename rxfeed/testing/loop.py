"""An asyncio loop that never waits: when nothing is ready, its time jumps to the next timer.

Code under it sees an ordinary loop on which simulated days pass in seconds, and the same run twice is the same to the
callback: timers of one instant fire in the order in which they were set, tasks are named and hashed by their number, not
by their address, and nothing comes in from outside: no socket, name, process, signal or thread.
"""

from __future__ import annotations

import asyncio
import math
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context
from heapq import heappush
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack
from weakref import WeakSet

from rxfeed.testing.errors import Deadlock, LimitReached, Livelock
from rxfeed.testing.refusals import Refusals
from rxfeed.testing.waiting import describe_callback, describe_task, listed, pending

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Ts = TypeVarTuple("Ts")

TURNS_AT_ONE_TIME: Final = 1_000_000


class VirtualTimer(asyncio.TimerHandle):
    """A timer that knows its number, so that those of one instant have an order."""

    __slots__ = ("number",)

    _callback: Callable[..., object] | None

    def enter(self, heap: list[VirtualTimer], number: int) -> None:
        """Take a place among the timers that are set."""
        self.number = number
        self._scheduled = True  # as the loop's own call_at does: it counts the cancelled ones by it
        heappush(heap, self)

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        mine, others = self.when(), other.when()
        return mine < others or (mine == others and isinstance(other, VirtualTimer) and self.number < other.number)

    @property
    def owner(self) -> str:
        """The top-level package of the function that it would call."""
        module: str | None = getattr(self._callback, "__module__", None)
        return (module or "").partition(".")[0]

    def describe(self) -> str:
        """Return when it is due, and whom it would call."""
        return f"{self.when():.9g} s: {describe_callback(self._callback) if self._callback else 'cancelled'}"


class VirtualTask(asyncio.Task[T_co]):
    """A task whose hash is its number, so that a set of tasks has the same order in every run."""

    number: int = 0

    def __hash__(self) -> int:
        return self.number


class _Jump:
    """Stands where a selector would sleep."""

    def __init__(self, idle: Callable[[float | None], None]) -> None:
        self._idle = idle

    def select(self, timeout: float | None) -> tuple[()]:
        self._idle(timeout)
        return ()


class VirtualLoop(Refusals, BaseEventLoop):
    """An asyncio loop on virtual time.

    Its `time()` starts at 0. What is handed to `run_in_executor` or `asyncio.to_thread` runs at once and inline, with no
    running loop in sight, as in a thread; its result comes in the loop's next turn.

    Raises, out of `run_until_complete` and `run_forever`:
        Deadlock: nothing is ready and no timer is set.
        Livelock: a million turns passed without any time.
        LimitReached: the time would pass `limit`.
    """

    _scheduled: list[VirtualTimer]
    _ready: deque[asyncio.Handle]
    _asyncgens: WeakSet[AsyncGenerator[Any, Any]]

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Jump(self._idle)
        self._tasks = 0
        self._timers = 0
        self._turns = 0
        self.limit = math.inf
        """The time that is not passed, in seconds."""
        self._set_now(0.0)

    def _set_now(self, now: float) -> None:
        self._now = now
        self._clock_resolution = math.ulp(now)  # timers are due at their own time: neither early nor, at a large time, never
        self._turns = 0

    def time(self) -> float:
        """Return the simulated time, in seconds since the loop was made."""
        return self._now

    def set_timers(self) -> list[VirtualTimer]:
        """Return the timers that are set, in the order in which they will fire."""
        return sorted(timer for timer in self._scheduled if not timer.cancelled())

    def busy(self) -> bool:
        """Return whether anything is to run before any time passes."""
        return any(not handle.cancelled() for handle in self._ready) or any(
            timer.when() <= self._now and not timer.cancelled() for timer in self._scheduled
        )

    def open_generators(self) -> list[str]:
        """Return the names of the async generators that were begun and not ended, sorted."""
        generators: list[Any] = list(self._asyncgens)
        return sorted(generator.__qualname__ for generator in generators if generator.ag_frame is not None)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call `callback` when the time is `when`.

        Raises:
            ValueError: `when` is not a number: it would never be due, nor would those behind it.
            RuntimeError: the loop is closed.
        """
        if math.isnan(when):
            raise ValueError("when must be a number, got nan")
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = VirtualTimer(when, callback, args, self, context)
        self._timers += 1
        timer.enter(self._scheduled, self._timers)
        return timer

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[T]:
        """Make a task; without a name its name is its number on this loop, not in this process."""
        self._tasks += 1
        name = f"Task-{self._tasks}" if name is None else str(name)
        if self.get_task_factory() is not None:
            return super().create_task(coro, name=name, context=context, **options)
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        task = VirtualTask(coro, loop=self, name=name, context=context, **options)
        task.number = self._tasks
        return task

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """Call `func` now, as a thread would; its result or error comes in the next turn."""
        future: asyncio.Future[T] = self.create_future()
        running = asyncio._get_running_loop()  # noqa: SLF001
        asyncio._set_running_loop(None)  # noqa: SLF001
        try:
            result = func(*args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except StopIteration:
            self.call_soon(_fail, future, RuntimeError("what runs in a thread raised StopIteration, which no future can hold"))
        except BaseException as error:  # noqa: BLE001  # as a thread does: it is the future's
            self.call_soon(_fail, future, error)
        else:
            self.call_soon(_fulfil, future, result)
        finally:
            asyncio._set_running_loop(running)  # noqa: SLF001
        return future

    def _idle(self, timeout: float | None) -> None:
        if timeout == 0:
            self._turns += 1
            if self._turns > TURNS_AT_ONE_TIME:
                self._turns = 0  # for whoever closes what is left
                raise Livelock(f"{TURNS_AT_ONE_TIME:,} turns at {self._at()} and no time passed; pending are:{self._waits()}")
            return
        when = self._scheduled[0].when() if timeout is not None else math.inf
        if when == math.inf:
            raise Deadlock(f"at {self._at()} nothing is ready and no timer is set; these wait for ever:{self._waits()}")
        if when > self.limit:
            raise LimitReached(f"the simulation may last {self.limit:g} s; these have not ended:{self._waits()}")
        self._set_now(when)

    def _at(self) -> str:
        return f"{self._now:.9g} s"

    def _waits(self) -> str:
        return listed(describe_task(task) for task in pending(self))

    def _process_events(self, event_list: object) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def _fulfil(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
