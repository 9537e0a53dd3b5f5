"""A file of a simulated disk that is open for appending."""

from __future__ import annotations

import errno
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rxfeed.testing.faultydisk import os_error
from rxfeed.testing.tree import Inode

if TYPE_CHECKING:
    from rxfeed.testing.disk import SimulatedDisk


class SimulatedFile:
    """A file of a simulated disk that is open for appending: an `Appender`."""

    def __init__(self, disk: SimulatedDisk, path: PurePosixPath, inode: Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._crashes = disk.crashes
        self._closed = False

    def __repr__(self) -> str:
        return f"<SimulatedFile {self._path}, {'closed' if self._closed else 'open'}, {self.size} bytes>"

    @property
    def size(self) -> int:
        """How many bytes it holds, those included that are not synced."""
        return len(self._inode.data)

    async def write(self, data: bytes) -> None:
        """Append bytes; where only some fit, those."""
        self._check()
        error = self._disk.troubles.find("write", self._path)
        if error is None:
            fits = min(len(data), self._disk.free)
            self._inode.data += data[:fits]
            error = os_error(errno.ENOSPC, self._path) if fits < len(data) else None
        await self._disk.spend(error)

    async def sync(self) -> None:
        """Make certain what was written before this was called."""
        self._check()
        inode, size = self._inode, self.size
        error = self._disk.troubles.find("sync", self._path)
        inode.doubtful = inode.doubtful or error is not None
        await self._disk.spend(error, lambda: inode.settle(size))

    async def close(self) -> None:
        """Close; this syncs nothing."""
        self._closed = True
        self._disk.open.pop(self, None)
        await self._disk.spend(None)

    def _check(self) -> None:
        if self._closed:
            raise ValueError("I/O operation on closed file")
        if self._crashes != self._disk.crashes:
            raise OSError(errno.EBADF, "The machine has crashed since this file was opened", str(self._path))
