"""Between who is too full to take more and who reads a socket: the one asks, the other stops reading until it is let go on.

A socket that nobody reads fills up, and then its sender waits: what would have been lost here waits there.
"""

from __future__ import annotations

from collections.abc import Callable

from rxfeed.failures import tell

Watcher = Callable[[bool], object]
"""Called with whether nothing shall be read now."""


class Valve:
    """What is handed to a source, such as `Gateway(valve=...)`, and to the boundary that may ask it to stop reading.

    Several boundaries may hold it shut; it is open again when the last lets go. Several connections may watch it.
    """

    __slots__ = ("_heeding", "_holders", "_watchers")

    def __init__(self) -> None:
        self._holders: dict[object, None] = {}
        self._watchers: dict[object, Watcher] = {}
        self._heeding: dict[object, None] = {}

    def __repr__(self) -> str:
        return f"Valve({'shut' if self.shut else 'open'}, {len(self._watchers)} watching)"

    @property
    def shut(self) -> bool:
        """Whether somebody wants nothing to be read."""
        return bool(self._holders)

    @property
    def watched(self) -> bool:
        """Whether a source heeds it at all."""
        return bool(self._heeding)

    def hold(self, who: object) -> None:
        """Shut it, on somebody's behalf; again is nothing."""
        before = self.shut
        self._holders[who] = None
        if not before:
            self._tell(shut=True)

    def release(self, who: object) -> None:
        """Let go of it; again is nothing."""
        if who in self._holders:
            del self._holders[who]
            if not self._holders:
                self._tell(shut=False)

    def watch(self, watcher: Watcher, *, heeds: bool = True) -> Callable[[], None]:
        """Have `watcher` called at each change, and now if it is shut; return what ends that.

        Args:
            watcher: is told whether it is shut.
            heeds: whether it is a source that stops; others only want to know.
        """
        key = object()
        self._watchers[key] = watcher
        if heeds:
            self._heeding[key] = None
        if self.shut:
            watcher(True)

        def leave() -> None:
            self._watchers.pop(key, None)
            self._heeding.pop(key, None)

        return leave

    def _tell(self, *, shut: bool) -> None:
        for watcher in list(self._watchers.values()):
            try:
                watcher(shut)
            except Exception as error:  # noqa: BLE001  # one source's fault keeps no other from stopping
                tell(None, "who watches a valve", "on_next", error)
