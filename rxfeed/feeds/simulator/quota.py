"""How many requests an endpoint takes, as the gateway's documents say: so many in any window of time."""

from __future__ import annotations

from collections import deque
from typing import Final

from rxfeed.times import SECOND

_USERS: Final = 1_000


class Quota:
    """Counts requests in a sliding window, by whoever sends them.

    Args:
        most: requests in any window.
        window: its length, in nanoseconds.
    """

    __slots__ = ("_seen", "most", "window")

    def __init__(self, most: int, window: int) -> None:
        self.most = most
        self.window = window
        self._seen: dict[str, deque[int]] = {}

    def take(self, who: str, now: int) -> int | None:
        """Count one request and return None, or refuse it and return after how many seconds there is room again."""
        seen = self._seen.get(who)
        if seen is None:
            if len(self._seen) >= _USERS:
                del self._seen[next(iter(self._seen))]
            seen = self._seen[who] = deque(maxlen=self.most)
        while seen and seen[0] <= now - self.window:
            seen.popleft()
        if len(seen) < self.most:
            seen.append(now)
            return None
        return max(1, -((now - self.window - seen[0]) // SECOND))


def history() -> Quota:
    """Return the limit of `History/retrieveBars`: 30 in 30 s."""
    return Quota(30, 30 * SECOND)


def others() -> Quota:
    """Return the limit of all other endpoints together: 200 in 60 s."""
    return Quota(200, 60 * SECOND)
