"""The machine's disk: it syncs what it promises, off the loop, and a cancelled call harms no other file."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rxfeed.disk import Appender, Disk, write_atomically
from rxfeed.feeds.disk import LocalDisk
from rxfeed.testing import SimulatedDisk


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is synced, in order."""
    names: list[str] = []

    def fsync(descriptor: int) -> None:
        assert threading.current_thread() is not threading.main_thread()
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", fsync)
    return names


def test_both_disks_are_disks() -> None:
    disks: list[type[Disk]] = [LocalDisk, SimulatedDisk]
    assert len(disks) == 2


def test_names_are_synced_by_their_folder_and_bytes_by_sync_alone(tmp_path: Path, synced: list[str]) -> None:
    async def main() -> None:
        disk, folder = LocalDisk(), tmp_path / "one" / "two"
        asked: list[tuple[Callable[[], Any], list[str]]] = [
            (lambda: disk.make_folder(folder), ["one", tmp_path.name]),
            (lambda: disk.make_folder(folder), []),
            (lambda: disk.truncate(folder / "journal", 3), ["journal"]),
            (lambda: disk.rename(folder / "journal", folder / "old"), ["two"]),
            (lambda: disk.rename(folder / "old", tmp_path / "old"), [tmp_path.name, "two"]),
            (lambda: disk.remove(tmp_path / "old"), [tmp_path.name]),
            (lambda: write_atomically(disk, folder / "state", b"x"), ["two", "state.unfinished", "two"]),
        ]
        for number, (call, expected) in enumerate(asked):
            if number == 2:
                file: Appender = await disk.append(folder / "journal")
                assert synced == ["two"]
                await file.write(b"12345")
                assert synced == ["two"]
                await file.sync()
                await file.close()
                await file.close()
                assert synced == ["two", "journal"]
            synced.clear()
            await call()
            assert synced == expected
        assert (await disk.read(folder / "state"), await disk.list(folder)) == (b"x", ["state"])

    asyncio.run(main())


def test_truncating_never_makes_a_file_longer(tmp_path: Path) -> None:
    async def main() -> bytes:
        disk = LocalDisk()
        await write_atomically(disk, tmp_path / "file", b"123")
        await disk.truncate(tmp_path / "file", 5)
        return await disk.read(tmp_path / "file")

    assert asyncio.run(main()) == b"123"


def test_a_write_is_whole_although_the_system_takes_it_in_parts(tmp_path: Path) -> None:
    async def main() -> None:
        file = await LocalDisk().append(tmp_path / "journal")
        written = file._file.write
        file._file = Parts(file._file, lambda data: written(data[:3]))  # pyright: ignore[reportAttributeAccessIssue]
        await file.write(b"0123456789")
        assert file.size == 10
        await file.close()
        assert await LocalDisk().read(tmp_path / "journal") == b"0123456789"

    asyncio.run(main())


class Parts:
    """A file whose `write` is another's."""

    def __init__(self, file: Any, write: Callable[[memoryview], int]) -> None:
        self.file = file
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_closing_waits_for_a_write_whose_caller_was_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        file = await LocalDisk().append(tmp_path / "journal")
        begun, go_on = threading.Event(), threading.Event()
        written = file._file.write

        def slow(data: memoryview) -> int:
            begun.set()
            assert go_on.wait(10)
            return written(data)

        file._file = Parts(file._file, slow)  # pyright: ignore[reportAttributeAccessIssue]
        writing = asyncio.create_task(file.write(b"x"))
        await asyncio.to_thread(begun.wait, 10)
        writing.cancel()
        closing = asyncio.create_task(file.close())
        await asyncio.sleep(0)
        assert not closing.done()
        go_on.set()
        await closing
        assert await LocalDisk().read(tmp_path / "journal") == b"x"
        with pytest.raises(ValueError, match="closed file"):
            await file.write(b"y")
        with pytest.raises(asyncio.CancelledError):
            await writing

    asyncio.run(main())


def test_a_forgotten_file_warns(tmp_path: Path) -> None:
    async def main() -> None:
        await LocalDisk().append(tmp_path / "journal")

    with pytest.warns(ResourceWarning, match="journal"):
        asyncio.run(main())
