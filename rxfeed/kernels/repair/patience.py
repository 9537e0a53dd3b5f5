"""When history is asked again: tenacity's policies, on time that is handed in."""

from __future__ import annotations

from typing import Any, Final, cast

from tenacity import Future, RetryCallState, Retrying
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from rxfeed.errors import TooManyRequests

_UNUSED: Final = Retrying()


class _State(RetryCallState):
    """What policies look at. tenacity's own asks the machine what time it is."""

    def __init__(self, now: float) -> None:
        self.start_time = now
        self.retry_object, self.fn, self.args, self.kwargs = _UNUSED, None, (), {}
        self.attempt_number = 1
        self.outcome = self.outcome_timestamp = self.next_action = None
        self.idle_for = self.upcoming_sleep = 0.0


class Patience:
    """Counts how often history was asked in vain.

    Args:
        wait: how long to wait before it is asked again.
        stop: when it is asked no more.
        now: when it is asked first, in seconds of any clock.
    """

    __slots__ = ("_state", "_stop", "_wait")

    def __init__(self, wait: WaitBaseT, stop: StopBaseT, now: float) -> None:
        self._wait, self._stop = cast("Any", wait), cast("Any", stop)
        self._state = _State(now)

    def after(self, error: Exception, now: float) -> float | None:
        """Return the seconds until it is asked again; None if it is asked no more.

        Args:
            error: what came of it.
            now: when, in seconds of the same clock.
        """
        state = self._state
        state.outcome, state.outcome_timestamp = Future(state.attempt_number), now
        state.outcome.set_exception(error)
        wait = float(self._wait(state))
        if isinstance(error, TooManyRequests):
            wait = max(wait, error.retry_after or 0.0)
        state.upcoming_sleep = wait
        if self._stop(state):
            return None
        state.idle_for += wait
        state.prepare_for_next_attempt()
        return wait
