"""What is known of the process' memory, and who looks: a protocol, so that a test can hand over any memory it likes.

`rxfeed.feeds.memory` looks at the machine's.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Memory(NamedTuple):
    """What a look at memory found, in bytes."""

    used: int
    """What the process holds (its resident set)."""
    limit: int | None
    """What it may hold at most: the least limit of its cgroups, else the machine's memory; None: unknown."""


class MemoryProbe(Protocol):
    """Looks at the process' memory: `rxfeed.feeds.memory.ProcessMemory`, or in a test anything that returns one."""

    def __call__(self) -> Memory:
        """Return what it found. It may raise anything if nothing can be found, and then limits stay as they are."""
        ...
