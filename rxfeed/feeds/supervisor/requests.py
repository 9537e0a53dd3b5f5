"""What a supervisor is asked for: each thing once, however often it is asked for, and not where it is no longer needed."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, get_args

Request = Literal["reconnect", "rotate", "resubscribe", "probe"]
"""A new connection after the old one; a successor beside it; all subscriptions anew on it; a question whether it is alive. In
this order: what is done makes what stands behind it needless."""

_REQUESTS: Final[tuple[Request, ...]] = get_args(Request)


class Requests:
    """What is asked for and is not done yet, and why."""

    def __init__(self) -> None:
        self._why: dict[Request, str] = {}
        self._bell: asyncio.Future[None] | None = None
        self._later: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._why)

    def ask(self, what: Request, why: str) -> None:
        """Ask for something."""
        self._why.setdefault(what, why)
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def later(self, wait: float, what: Request, why: str) -> None:
        """Ask for something in so many seconds, instead of what was to be asked for later."""
        self._cancel()
        self._later = asyncio.get_running_loop().call_later(wait, self.ask, what, why)

    def bell(self) -> asyncio.Future[None]:
        """Return what is done when something is asked for."""
        self._bell = asyncio.get_running_loop().create_future()
        return self._bell

    def take(self) -> tuple[Request, str]:
        """Return what is to be done first, and why. There must be something."""
        what: Request = next(each for each in _REQUESTS if each in self._why)
        return what, self._why.pop(what)

    def answered(self, *requests: Request) -> None:
        """Forget what was asked for meanwhile and is done by now."""
        for each in requests:
            self._why.pop(each, None)

    def clear(self) -> None:
        """Forget all, also what was to be asked for later."""
        self._why.clear()
        self._cancel()

    def _cancel(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
