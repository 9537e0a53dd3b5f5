"""What a stream is about is found out when it is subscribed to, and for that the gateway may have to be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from rxfeed.errors import FeedError
from rxfeed.retrying import Tries

Wanted = Callable[[], Awaitable[list[tuple[str, Any]]]]
"""Finds out what a stream is about: pairs of a key, as elements carry it, and what the hub calls it."""


async def found(wanted: Wanted, pace: Callable[[float], Tries] | None) -> list[tuple[str, Any]]:
    """Ask what a stream is about, again where the gateway cannot be reached now, as it is for connections.

    Args:
        wanted: finds it out.
        pace: makes the attempts that begin now; None where there is but one.
    """
    loop = asyncio.get_running_loop()
    tries = None if pace is None else pace(loop.time())
    while True:
        try:
            return await wanted()
        except FeedError as error:
            failed = error
        wait = None if tries is None else tries.after(failed, loop.time())
        if wait is None:
            raise failed
        del failed
        await asyncio.sleep(wait)
