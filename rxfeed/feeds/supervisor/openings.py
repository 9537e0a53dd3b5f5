"""How a connection is opened: no sooner than it may be tried, and no longer than an attempt may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic

from reactivex import Observable

from rxfeed.errors import Unreachable
from rxfeed.events import Event
from rxfeed.feeds.reconnecting import Reconnect

from .hold import Hold, Over
from .supervised import L


class Openings(Generic[L]):
    """Opens connections, and holds those that are open or about to be.

    Args:
        name: what the connection is called in errors.
        source: one connection for each subscription; errors when it is lost, completes when its owner is closed.
        settings: who is asked before an attempt, and how long one may take.
    """

    def __init__(self, name: str, source: Observable[L], settings: Reconnect) -> None:
        self._name, self._source, self._settings = name, source, settings
        self._holds: list[Hold[L]] = []
        self._pause: asyncio.Future[None] | None = None
        self._begun = float("-inf")
        self.count = 0
        """How many were opened so far."""

    @property
    def held(self) -> bool:
        """Whether any is open, or about to be."""
        return bool(self._holds)

    def flows(self) -> None:
        """Note that the newest has brought its first element."""
        if self._holds:
            self._holds[-1].succeeded()

    def listen(self) -> Callable[[], None]:
        """Hear of changes of the policy, which may end a wait; what is returned ends that."""
        return self._settings.listen(self._changed)

    def drop(self, hold: Hold[L], error: Exception | None = None) -> None:
        """Close one; it has failed if there is an error."""
        if hold in self._holds:
            self._holds.remove(hold)
        hold.close(error)

    def close(self) -> None:
        """Close all."""
        for hold in self._holds:
            hold.close()
        self._holds.clear()

    async def open(self, prepare: Callable[[L], Any] | None = None) -> Hold[L]:
        """Return an open connection, as soon as one may be tried.

        Args:
            prepare: what belongs to the attempt beside; without it `prepare` may follow.

        Raises:
            FeedError: there is none.
        """
        await self._turn()
        hold: Hold[L] = Hold(self._source, self._settings.policy.attempt())
        self._holds.append(hold)
        patience = self._settings.seconds("attempt")
        failed: Exception | None = Unreachable(f"{self._name}: an attempt to connect was given up")
        try:
            async with asyncio.timeout(patience):
                await hold.opened()
                self.count += 1
                if prepare is not None:
                    await prepare(hold.link)
            failed = None
        except TimeoutError:
            failed = Unreachable(f"{self._name}: there was no connection, with all its subscriptions, in {patience:g} s")
        except (asyncio.CancelledError, Over):
            failed = None
            self.drop(hold)
            raise
        except Exception as error:  # noqa: BLE001
            failed = error
        finally:
            if failed is not None:
                self.drop(hold, failed)
        if failed is not None:
            raise failed
        return hold

    async def prepare(self, hold: Hold[L], how: Callable[[L], Any]) -> None:
        """Prepare a connection that was opened without.

        Raises:
            FeedError: it could not be, and is closed.
        """
        patience = self._settings.seconds("attempt")
        failed: Exception | None = None
        try:
            async with asyncio.timeout(patience):
                await how(hold.link)
        except TimeoutError:
            failed = Unreachable(f"{self._name}: the subscriptions were not answered in {patience:g} s")
        except Exception as error:  # noqa: BLE001
            failed = error
        if failed is not None:
            self.drop(hold, failed)
            raise failed

    async def sleep(self, seconds: float) -> None:
        """Wait for so long, or until the policy is changed so that an attempt may begin."""
        pause = self._pause = asyncio.get_running_loop().create_future()
        await asyncio.wait((pause,), timeout=seconds)

    async def _turn(self) -> None:
        """Wait until an attempt may begin."""
        loop = asyncio.get_running_loop()
        while True:
            wait = max(self._begun + self._settings.seconds("spacing") - loop.time(), self._settings.policy.delay())
            if wait <= 0:
                break
            await self.sleep(min(wait, 1.0))  # the policy may be changed meanwhile
        self._begun = loop.time()

    def _changed(self, _: Event) -> None:
        if self._pause is not None and not self._pause.done() and self._settings.policy.delay() <= 0:
            self._pause.set_result(None)
