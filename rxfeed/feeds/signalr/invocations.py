"""What a hub is asked, and its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from rxfeed.errors import ConnectionLost, InvocationFailed

from .attention import Attention
from .codec import Completion, invocation
from .words import words


class Invocations:
    """Asks, and hands each answer to whoever asked.

    Args:
        name: the hub's, for texts.
        send: sends a message.
        attention: tells in which time no answer could be read.
        patience: seconds for an answer.
    """

    def __init__(self, name: str, send: Callable[[bytes], Awaitable[object]], attention: Attention, *, patience: float) -> None:
        self._name, self._send, self._attention, self._patience = name, send, attention, patience
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[Completion]] = {}
        self.invoked = self.answered = 0
        self.round_trip: float | None = None
        """Seconds, of the last one that was answered."""

    async def ask(self, target: str, *arguments: Any) -> Any:
        """Call a method of the hub and return its result. Time in which we read nothing by choice is not waited.

        Raises:
            InvocationFailed: the hub answered with an error, or not in time.
            ConnectionLost: the connection is over.
        """
        self.invoked += 1
        key = str(self.invoked)
        answer = self._waiting[key] = self._loop.create_future()
        sent, unread = self._loop.time(), self._attention.unread
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await self._send(invocation(target, arguments, key))
                await self._answered_by(answer, sent + self._patience)
        finally:
            self._waiting.pop(key, None)
        if not answer.done():
            text = f"{target} was not answered in {self._patience:g} s by {self._name}"
            raise InvocationFailed(text, target, answered=False)
        completion = answer.result()
        self.answered += 1
        self.round_trip = self._loop.time() - sent - (self._attention.unread - unread)
        if completion.error is not None:
            raise InvocationFailed(f"{self._name} refused {target}: {words(completion.error)}", target)
        return completion.result

    def completed(self, message: Completion) -> None:
        """Take an answer."""
        answer = self._waiting.get(message.invocation)
        if answer is not None and not answer.done():
            answer.set_result(message)

    def lost(self, error: ConnectionLost) -> None:
        """Give up waiting: there will be no answers."""
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # whoever waits gets it, and nobody else need

    async def _answered_by(self, answer: asyncio.Future[Completion], until: float) -> None:
        """Wait for an answer; where nothing was read meanwhile, by so much longer."""
        left = until - self._loop.time()
        while not answer.done():
            unread = self._attention.unread
            await asyncio.wait((answer,), timeout=left)
            left = self._attention.unread - unread
            if not left:
                break
