"""The machine's disk. Every call runs in a thread, so that a slow disk never holds up the loop."""

from __future__ import annotations

import asyncio
import os
from io import FileIO
from pathlib import Path
from threading import Lock

from rxfeed.disk import AnyPath


class LocalFile:
    """A file that is open for appending: an `Appender`.

    Args:
        file: the open file.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        # A call that was cancelled still runs in its thread, and must not write where the next file got its descriptor.
        self._one = Lock()
        self._size = os.fstat(file.fileno()).st_size

    @property
    def size(self) -> int:
        """How many bytes it holds, those included that are not synced."""
        return self._size

    async def write(self, data: bytes) -> None:
        """Append bytes. When this raises, some of them may have been appended: `size` tells how many."""
        await asyncio.to_thread(self._write, data)

    async def sync(self) -> None:
        """Wait until all that was written is certain to survive a crash."""
        await asyncio.to_thread(self._sync)

    async def close(self) -> None:
        """Close; this syncs nothing. Closing twice is no error."""
        await asyncio.to_thread(self._close)

    def _write(self, data: bytes) -> None:
        with self._one:
            rest = memoryview(data)
            while rest:
                written = self._file.write(rest)
                self._size += written
                rest = rest[written:]

    def _sync(self) -> None:
        with self._one:
            os.fsync(self._file.fileno())

    def _close(self) -> None:
        with self._one:
            self._file.close()


class LocalDisk:
    """The machine's disk: a `Disk`. Paths are the operating system's."""

    async def append(self, path: AnyPath, *, empty: bool = False) -> LocalFile:
        """Open a file for appending, and make it when it is not there."""
        return await asyncio.to_thread(_open, Path(path), empty)

    async def read(self, path: AnyPath, start: int = 0, size: int | None = None) -> bytes:
        """Return a file's bytes, from `start`, `size` at most."""
        return await asyncio.to_thread(_read, Path(path), start, size)

    async def size(self, path: AnyPath) -> int | None:
        """Return how many bytes a file holds, or None when it is not there."""
        return await asyncio.to_thread(_size, Path(path))

    async def truncate(self, path: AnyPath, size: int) -> None:
        """Cut a file off after `size` bytes, and sync it; it never grows by this."""
        await asyncio.to_thread(_truncate, Path(path), size)

    async def rename(self, source: AnyPath, target: AnyPath) -> None:
        """Give a file another name; whoever held that name is replaced."""
        await asyncio.to_thread(_rename, Path(source), Path(target))

    async def remove(self, path: AnyPath) -> None:
        """Remove a file."""
        await asyncio.to_thread(_remove, Path(path))

    async def list(self, folder: AnyPath) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(await asyncio.to_thread(os.listdir, folder))

    async def make_folder(self, folder: AnyPath) -> None:
        """Make a folder and those above it, as far as they are not there."""
        await asyncio.to_thread(_make_folder, Path(folder))


def _open(path: Path, empty: bool) -> LocalFile:
    file = FileIO(path, "ab")
    try:
        if empty:
            file.truncate(0)
        _sync_folder(path.parent)
        return LocalFile(file)
    except BaseException:
        file.close()
        raise


def _read(path: Path, start: int, size: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(-1 if size is None else size)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _truncate(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        if size < os.fstat(file.fileno()).st_size:
            file.truncate(size)
        os.fsync(file.fileno())


def _rename(source: Path, target: Path) -> None:
    source.replace(target)
    _sync_folder(target.parent)
    if source.parent != target.parent:
        _sync_folder(source.parent)


def _remove(path: Path) -> None:
    path.unlink()
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    missing = [folder, *folder.parents]
    made = [one for one in missing if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in made:
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows opens no folder; its names are as certain as they get
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
