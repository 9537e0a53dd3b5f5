"""What a disk is, for whoever keeps something: a protocol, so that a test can hand over one that crashes or is full.

Bytes that were appended are certain to be there after a crash once `sync` has returned, not before. Names are certain when
the call that made, changed or removed them returns. `rxfeed.feeds.disk` has the machine's, `rxfeed.testing` a simulated one.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final, Protocol

AnyPath = str | PurePath

UNFINISHED: Final = ".unfinished"
"""What the name of a file ends with while `write_atomically` writes it."""


class Appender(Protocol):
    """A file that is open and only grows."""

    @property
    def size(self) -> int:
        """How many bytes it holds, those included that are not synced."""
        ...

    async def write(self, data: bytes) -> None:
        """Append bytes. When this raises, some of them may have been appended: `size` tells how many."""
        ...

    async def sync(self) -> None:
        """Wait until all that was written is certain to survive a crash.

        Raises:
            OSError: it is not. Then nothing written since the sync before is certain, whatever a later one says: begin a
                new file.
        """
        ...

    async def close(self) -> None:
        """Close; this syncs nothing. Closing twice is no error."""
        ...


class Disk(Protocol):
    """Files and folders. All of it raises `OSError` as the operating system does, `FileNotFoundError` among them."""

    async def append(self, path: AnyPath, *, empty: bool = False) -> Appender:
        """Open a file for appending, and make it when it is not there.

        Args:
            path: the file; its folder must be there.
            empty: whether to throw away what it holds.
        """
        ...

    async def read(self, path: AnyPath, start: int = 0, size: int | None = None) -> bytes:
        """Return a file's bytes.

        Args:
            path: the file.
            start: the first byte.
            size: how many at most; by default all that follow.
        """
        ...

    async def size(self, path: AnyPath) -> int | None:
        """Return how many bytes a file holds, or None when it is not there."""
        ...

    async def truncate(self, path: AnyPath, size: int) -> None:
        """Cut a file off after `size` bytes, and sync it; it never grows by this."""
        ...

    async def rename(self, source: AnyPath, target: AnyPath) -> None:
        """Give a file another name, at once: whoever held that name is replaced, and a crash leaves the one or the other."""
        ...

    async def remove(self, path: AnyPath) -> None:
        """Remove a file."""
        ...

    async def list(self, folder: AnyPath) -> list[str]:
        """Return the names in a folder, sorted."""
        ...

    async def make_folder(self, folder: AnyPath) -> None:
        """Make a folder and those above it, as far as they are not there."""
        ...


async def write_atomically(disk: Disk, path: AnyPath, data: bytes) -> None:
    """Write a whole file so that a crash at any moment leaves the old one or the new one, never a part.

    Args:
        disk: where.
        path: the file; its folder must be there.
        data: all of its bytes.

    Raises:
        OSError: as the disk does. The old file is then as it was.
    """
    unfinished = PurePath(f"{path}{UNFINISHED}")
    file = await disk.append(unfinished, empty=True)
    try:
        await file.write(data)
        await file.sync()
    finally:
        await file.close()
    await disk.rename(unfinished, path)
