"""A disk in memory that can crash, fill up and fail: what a journal must survive, on demand.

It is as unkind as a real one may be. What was not synced is gone after a crash, and after a sync that failed nothing more
of that file ever becomes certain, whatever later syncs say.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import PurePosixPath
from random import Random

from rxfeed.disk import AnyPath
from rxfeed.testing.diskfile import SimulatedFile
from rxfeed.testing.faultydisk import Call, Troubles, os_error
from rxfeed.testing.tree import Inode, Tree
from rxfeed.times import SECOND, Duration, nanoseconds


class SimulatedDisk:
    """A disk in memory: a `Disk`. Paths are read as POSIX does, from the root.

    Args:
        random: decides what a torn crash leaves.
        capacity: how many bytes all files may hold; by default any number. Beyond it writes fail with `ENOSPC`.
        latency: how long each call takes.

    Raises:
        ValueError: the latency is no duration, or the capacity is negative.

    Example:
        >>> from rxfeed.testing import simulate
        >>> async def main(simulation):
        ...     disk = simulation.disk
        ...     file = await disk.append("/journal")
        ...     await file.write(b"certain")
        ...     await file.sync()
        ...     await file.write(b", perhaps")
        ...     disk.crash()
        ...     return await disk.read("/journal")
        >>> simulate(main)
        b'certain'
    """

    def __init__(self, random: Random, *, capacity: int | None = None, latency: Duration = 0) -> None:
        self._random = random
        self._capacity = None
        self.capacity = capacity
        self.latency = latency
        self._tree = Tree()
        self.crashes = 0
        """How often it has crashed."""
        self.open: dict[SimulatedFile, None] = {}
        """The files that are open."""
        self.troubles = Troubles()

    def __repr__(self) -> str:
        return f"<SimulatedDisk, {len(self._tree.files)} files, {self.used} bytes, {self.crashes} crashes>"

    @property
    def capacity(self) -> int | None:
        """How many bytes all files may hold; None for any number."""
        return self._capacity

    @capacity.setter
    def capacity(self, value: int | None) -> None:
        if value is not None and value < 0:
            raise ValueError(f"capacity must be at least 0 bytes, got {value}")
        self._capacity = value

    @property
    def latency(self) -> float:
        """How long each call takes, in seconds."""
        return self._latency

    @latency.setter
    def latency(self, value: Duration) -> None:
        self._latency = nanoseconds(value, name="latency") / SECOND

    @property
    def used(self) -> int:
        """How many bytes all files hold."""
        return self._tree.used

    @property
    def free(self) -> int:
        """How many more bytes they may hold."""
        return 1 << 62 if self._capacity is None else max(0, self._capacity - self.used)

    # What happens to it

    def crash(self, *, torn: bool = False) -> None:
        """Lose what is not certain: bytes that were not synced, and calls that have not returned. Open files are void.

        Args:
            torn: whether some of it survives all the same: of each file's new bytes a random number of the first ones, and
                of each file that was cut off perhaps the old content.
        """
        self.crashes += 1
        self.open.clear()
        self._tree.crash(self._random if torn else None)

    def fail(self, code: int, *calls: Call, path: AnyPath | None = None, times: int | None = 1) -> None:
        """Let calls fail from now on.

        Args:
            code: the error's number, such as `errno.EIO`.
            calls: which calls; by default all.
            path: of which file or folder; by default of all.
            times: how often; None for until `heal`.

        Raises:
            ValueError: there is no such call, or `times` is less than 1.
        """
        self.troubles.add(code, calls, None if path is None else _absolute(path), times)

    def heal(self) -> None:
        """Let no more calls fail. What was lost stays lost."""
        self.troubles.clear()

    # What a disk does

    async def append(self, path: AnyPath, *, empty: bool = False) -> SimulatedFile:
        """Open a file for appending, and make it when it is not there."""
        path = _absolute(path)
        await self._ask("append", path, in_folder=True)
        self._tree.no_folder(path)
        inode = self._tree.files.setdefault(path, Inode())
        if empty:
            inode.cut_off(0)
        file = SimulatedFile(self, path, inode)
        self.open[file] = None
        try:
            await self.spend(None, lambda: self._tree.keep(path, inode))
        except BaseException:
            self.open.pop(file, None)
            raise
        return file

    async def read(self, path: AnyPath, start: int = 0, size: int | None = None) -> bytes:
        """Return a file's bytes, from `start`, `size` at most."""
        path = _absolute(path)
        await self._ask("read", path)
        data = bytes(self._tree.file(path).data[start : None if size is None else start + size])
        await self.spend(None)
        return data

    async def size(self, path: AnyPath) -> int | None:
        """Return how many bytes a file holds, or None when it is not there."""
        path = _absolute(path)
        await self._ask("size", path)
        inode = self._tree.files.get(path)
        await self.spend(None)
        return None if inode is None else len(inode.data)

    async def truncate(self, path: AnyPath, size: int) -> None:
        """Cut a file off after `size` bytes, and sync it; it never grows by this."""
        path = _absolute(path)
        await self._ask("truncate", path)
        inode = self._tree.file(path)
        inode.cut_off(size)
        length = len(inode.data)
        await self.spend(None, lambda: inode.settle(length))

    async def rename(self, source: AnyPath, target: AnyPath) -> None:
        """Give a file another name; whoever held that name is replaced."""
        source, target = _absolute(source), _absolute(target)
        await self._ask("rename", source)
        self._tree.in_folder(source)
        self._tree.in_folder(target)
        self._tree.file(source)
        self._tree.no_folder(target)
        inode = self._tree.files[target] = self._tree.files.pop(source)

        await self.spend(None, lambda: self._tree.keep_renamed(source, target, inode))

    async def remove(self, path: AnyPath) -> None:
        """Remove a file."""
        path = _absolute(path)
        await self._ask("remove", path)
        self._tree.file(path)
        del self._tree.files[path]
        await self.spend(None, lambda: self._tree.keep_removed(path))

    async def list(self, folder: AnyPath) -> list[str]:
        """Return the names in a folder, sorted."""
        folder = _absolute(folder)
        await self._ask("list", folder)
        names = self._tree.names(folder)
        await self.spend(None)
        return names

    async def make_folder(self, folder: AnyPath) -> None:
        """Make a folder and those above it, as far as they are not there."""
        folder = _absolute(folder)
        await self._ask("make_folder", folder)
        whole = (folder, *folder.parents)
        for path in whole:
            if path in self._tree.files:
                raise os_error(errno.EEXIST if path == folder else errno.ENOTDIR, path)
        self._tree.folders.update(dict.fromkeys(whole))
        await self.spend(None, lambda: self._tree.keep_folders(*whole))

    # Within

    async def spend(self, error: OSError | None, certain: Callable[[], object] | None = None) -> None:
        """Take the time of a call, then do what it makes certain, whether or not anybody still waits for it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        crashes = self.crashes

        def done() -> None:
            crashed = crashes != self.crashes
            failed = OSError(errno.EIO, "The machine crashed meanwhile") if crashed else error
            if failed is None and certain is not None:
                certain()
            if future.done():
                return
            if failed is None:
                future.set_result(None)
            else:
                future.set_exception(failed)

        if self._latency:
            loop.call_later(self._latency, done)
        else:
            loop.call_soon(done)
        await future

    async def _ask(self, call: Call, path: PurePosixPath, *, in_folder: bool = False) -> None:
        error = self.troubles.find(call, path)
        if error is not None:
            await self.spend(error)
        if in_folder:
            self._tree.in_folder(path)


def _absolute(path: AnyPath) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(PurePosixPath("/", path).as_posix()))
