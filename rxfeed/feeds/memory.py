"""The machine's memory, as this process sees it; the only place that asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rxfeed.memory import Memory

from .cgroup import least_limit, limit_files


class ProcessMemory:
    """Looks at this process' memory, on Linux, macOS and Windows: a `MemoryProbe`.

    It holds what psutil calls RSS. It may hold what the tightest of its control groups allows, on Linux, and never more than
    the machine has. A look takes less than a millisecond and waits for nothing.

    Args:
        root: what lies where the machine has "/".
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._look: Callable[[], Memory] | None = None

    def __call__(self) -> Memory:
        """Return what there is now.

        Raises:
            OSError, psutil.Error: the system does not say.
        """
        if self._look is None:
            self._look = self._begin()
        return self._look()

    def _begin(self) -> Callable[[], Memory]:
        import psutil  # costs 20 ms, and most pipelines have fixed limits

        process, total, files = psutil.Process(), int(psutil.virtual_memory().total), limit_files(self._root)

        def look() -> Memory:
            limit = least_limit(files)
            return Memory(int(process.memory_info().rss), total if limit is None else min(limit, total))

        return look
