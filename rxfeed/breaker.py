"""A host that is down is not helped by being asked all the time, and whoever asks loses time and standing with it. A circuit
breaker counts how attempts end. When too many of the last ones failed it is open: nobody tries. After a while it is half open:
a few may, and by how those end it closes or opens again.

    closed ──── failure_rate or slow_rate reached ────▶ open
      ▲                                                  │ open_wait
      └─── permitted calls went well ─── half_open ◀─────┘
                                             └─── they did not ───▶ open

A feed never completes, so an attempt has succeeded with its first element, or when it has lived for `healthy_after`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from math import inf
from random import Random
from threading import get_ident
from typing import TYPE_CHECKING, Final, NamedTuple

from tenacity.wait import WaitBaseT

from rxfeed.clock import Clock, LiveClock
from rxfeed.errors import CircuitOpen
from rxfeed.events import Event
from rxfeed.failures import tell
from rxfeed.kernels.circuit import Circuit, How, State
from rxfeed.kernels.circuit_settings import Counts, settings
from rxfeed.listeners import Listeners
from rxfeed.times import SECOND, Duration

if TYPE_CHECKING:
    from rxfeed.hot import Hot

__all__ = ["Breaker", "BreakerAttempt", "BreakerChanged", "BreakerMetrics", "State"]

_OVER: Final = -1


class BreakerChanged(Event, frozen=True, kw_only=True):
    """A breaker is in another state."""

    name: str
    was: State
    state: State
    reason: str
    retry_after: float
    """Seconds until an attempt may begin; `inf` if it was forced open."""

    def __str__(self) -> str:
        return f"breaker {self.name!r} {self.was} -> {self.state}: {self.reason}"


class BreakerMetrics(NamedTuple):
    """A breaker at one moment."""

    state: State
    since: int
    """When it came to that, in nanoseconds since the epoch, UTC."""
    calls: int
    """Counted in the window; when half open, of the permitted ones; when open, those that opened it."""
    failed: int
    slow: int
    permits: int
    """Attempts that may begin now, when half open."""
    retry_after: float
    """Seconds until an attempt may begin; `inf` if it was forced open."""
    opens: int
    """How often it has opened."""
    consecutive_opens: int
    """How often since it was last closed."""
    refused: int
    """Attempts that were not let through."""

    @property
    def failure_rate(self) -> float | None:
        """The share of failed calls; None if there are none."""
        return self.failed / self.calls if self.calls else None

    @property
    def slow_rate(self) -> float | None:
        """The share of slow calls; None if there are none."""
        return self.slow / self.calls if self.calls else None


class BreakerAttempt:
    """One attempt that a breaker let through. The first thing that is said of it is what counts."""

    __slots__ = ("_begun", "_breaker", "_era")

    def __init__(self, breaker: Breaker, era: int, begun: int) -> None:
        self._breaker, self._era, self._begun = breaker, era, begun

    def succeeded(self) -> None:
        """Take note: its first element came, or it has lasted long enough to be called healthy."""
        self._end("well", None)

    def failed(self, error: Exception) -> None:
        """Take note: it ended with this error before it had succeeded."""
        self._end("failed" if self._breaker.counts(error) else "nothing", error)

    def abandoned(self) -> None:
        """Take note: it was ended by us before anybody could tell."""
        self._end("nothing", None)

    def _end(self, how: How, error: Exception | None) -> None:
        era, self._era = self._era, _OVER
        if era != _OVER:
            self._breaker._ended(era, self._begun, how, error)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its own


class Breaker:
    """A circuit breaker: a value to hand to `circuit_breaker`, to a supervisor, or as `guard=` to `subscribe`.

    Share one between streams of the same host: what one learns holds for all. It belongs to one asyncio loop and one thread,
    holds no lock, and has no timer: time is looked at when somebody asks. Outcomes count in the state that their attempt began
    in: what began before it opened says nothing of how things are now. It opens only with an attempt that failed or was slow.

    Args:
        name: for events, errors and logs.
        window: which calls are looked at: the last so many (an int), or those of a time (`"60s"`, a timedelta).
        failure_rate: the share of failed calls, more than 0 and at most 1, from which it opens.
        minimum_calls: as many must be in the window before it may open.
        slow_call: an attempt is slow if its first element takes longer, or its end; None: none is.
        slow_rate: the share of slow calls from which it opens.
        open_wait: how long nobody may try: a duration, or a `tenacity.wait_...`, which sees how often it has opened in a row as
            `attempt_number`.
        permitted_calls: attempts that may be tried when half open. It closes or opens as soon as the rest cannot change the
            rates.
        half_open_wait: how long those may take: what is not known then has failed.
        counts: which errors count: types, or a function that says. Others are as if the attempt had not been. If it raises,
            that is logged, and the error counts.
        healthy_after: an attempt that lives for so long without an element has succeeded; None: silence tells nothing. Less
            than `half_open_wait`.
        clock: by default the machine's.
        random: makes an open wait that is a duration a random half to all of it, so that not all clients come back at once.

    Raises:
        ValueError, TypeError: a setting that is impossible; the text says what is allowed.
    """

    def __init__(
        self,
        name: str,
        *,
        window: int | timedelta | str = 20,
        failure_rate: float = 0.5,
        minimum_calls: int = 5,
        slow_call: Duration | None = None,
        slow_rate: float = 1.0,
        open_wait: WaitBaseT | Duration = "30s",
        permitted_calls: int = 1,
        half_open_wait: Duration = "60s",
        counts: Counts = Exception,
        healthy_after: Duration | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        if not isinstance(name, str) or not name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"name must be text, and not empty, got {name!r}")
        self._is = settings(
            window=window, failure_rate=failure_rate, minimum_calls=minimum_calls, slow_call=slow_call, slow_rate=slow_rate,
            open_wait=open_wait, permitted_calls=permitted_calls, half_open_wait=half_open_wait, counts=counts,
            healthy_after=healthy_after, random=random,
        )  # fmt: skip
        self.name: Final = name
        self.clock: Final[Clock] = LiveClock() if clock is None else clock
        self.healthy_after: Final = self._is.healthy_after
        """In nanoseconds."""
        self._listeners = Listeners[BreakerChanged](f"breaker {name!r}")
        self._circuit = Circuit(name, self._is, self._changed, self.clock.now)
        self._refused = 0
        self._home: tuple[int, asyncio.AbstractEventLoop | None] | None = None

    def __repr__(self) -> str:
        return f"Breaker({self.name!r}, {self._circuit.state})"

    # --- what it says

    @property
    def state(self) -> State:
        """What it is: half open from the first attempt after the open wait, and not before."""
        self._settled()
        return self._circuit.state

    @property
    def metrics(self) -> BreakerMetrics:
        """All of it, at this moment."""
        now, it = self._settled(), self._circuit
        return BreakerMetrics(
            it.state, it.since, *it.counts(now), it.permits, self._left(now), it.opens, it.consecutive, self._refused
        )

    @property
    def last_error(self) -> Exception | None:
        """The last error that counted, since it was last closed."""
        return self._circuit.last_error

    @property
    def due(self) -> int | None:
        """When time alone may change something, in nanoseconds since the epoch: an attempt may begin, or those that were
        permitted have failed. None if it cannot."""
        self._settled()
        return self._circuit.until if self._circuit.state == "open" else self._circuit.deadline

    def counts(self, error: Exception) -> bool:
        """Whether an error counts."""
        try:
            return bool(self._is.counted(error))
        except Exception as wrong:  # noqa: BLE001  # theirs
            tell(None, f"breaker {self.name!r}", "counts", wrong, goes_on=True)
            return True

    def listen(self, listener: Callable[[BreakerChanged], object]) -> Callable[[], None]:
        """Have a function called with each change of state, when it has been made; what is returned ends that.

        A listener may call any method here: what that changes holds at once, and is told behind what is told now. If it raises,
        that is logged, and nobody else is harmed.
        """
        return self._listeners.add(listener)

    @property
    def events(self) -> Hot[BreakerChanged]:
        """The same as an observable that never ends."""
        return self._listeners.observable

    # --- attempts

    def delay(self) -> float:
        """Return the seconds until an attempt may begin: 0 now, `inf` not before somebody closes it by hand.

        Half open with all permits taken it is a second at most: ask again then, or listen.

        Raises:
            RuntimeError: it belongs to another asyncio loop or thread.
        """
        return self._left(self._settled())

    def attempt(self) -> BreakerAttempt:
        """Begin an attempt.

        Raises:
            CircuitOpen: none may begin now.
            RuntimeError: it belongs to another asyncio loop or thread.
        """
        now = self._settled()
        if left := self._left(now):
            self._refused += 1
            raise CircuitOpen(self.name, left, self._circuit.last_error)
        return BreakerAttempt(self, self._circuit.begin(now), now)

    @property
    def calm(self) -> bool:
        """Whether a call may be made without asking, since it is closed and the time that it takes is of no matter."""
        return self._circuit.state == "closed" and self._is.slow_call is None

    def went_well(self) -> None:
        """Count a call that was made while `calm`, without asking, and went well: as `attempt().succeeded()`, but cheap."""
        if self._circuit.state == "closed":
            self._circuit.window.add(self.clock.now if self._is.timed else 0, False, False)

    # --- by hand

    def force_open(self) -> None:
        """Let nobody try until `reset` or `disable`. What runs already runs on."""
        self._circuit.by_hand("forced_open", self._settled())

    def disable(self) -> None:
        """Let everybody try and count nothing, until `reset` or `force_open`."""
        self._circuit.by_hand("disabled", self._settled())

    def reset(self) -> None:
        """Close it and forget what was counted; what began before counts no more."""
        self._circuit.by_hand("closed", self._settled())

    # --- inside

    def _ended(self, era: int, begun: int, how: How, error: Exception | None) -> None:
        self._circuit.end(era, begun, self._settled(), how, error)

    def _settled(self) -> int:
        self._stay_home()
        now = self.clock.now
        self._circuit.settle(now)
        return now

    def _left(self, now: int) -> float:
        left = self._circuit.left(now)
        return inf if left is None else left / SECOND

    def _changed(self, was: State, state: State, reason: str) -> None:
        now = self.clock.now
        told = BreakerChanged(time=now, name=self.name, was=was, state=state, reason=reason, retry_after=self._left(now))
        self._listeners.tell(told)

    def _stay_home(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        mine, home = self._home or (get_ident(), loop)
        if home is not None and home.is_closed():
            mine, home = get_ident(), loop
        if get_ident() != mine or (loop is not None and home is not None and loop is not home):
            raise RuntimeError(
                f"breaker {self.name!r} is another asyncio loop's or thread's already, and it has no locks: make one for each"
            )
        self._home = mine, home or loop
