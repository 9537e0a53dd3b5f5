"""The simulated disk: what survives a crash, what fails on demand, and that it is otherwise like the machine's."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rxfeed.disk import Disk, write_atomically
from rxfeed.feeds.disk import LocalDisk
from rxfeed.testing import LeftOver, SimulatedDisk, Simulation, simulate


def test_a_crash_loses_what_was_not_synced() -> None:
    async def main(simulation: Simulation) -> list[bytes]:
        disk = simulation.disk
        contents = []
        file = await disk.append("/journal")
        for _ in range(2):
            await file.write(b"synced ")
            await file.sync()
            await file.write(b"not synced ")
            await file.close()
            contents.append(await disk.read("/journal"))
            disk.crash()
            contents.append(await disk.read("/journal"))
            file = await disk.append("/journal")
        await file.close()
        return contents

    assert simulate(main) == [b"synced not synced ", b"synced ", b"synced synced not synced ", b"synced synced "]


def test_a_torn_crash_leaves_a_part_of_what_was_not_synced() -> None:
    async def main(simulation: Simulation) -> set[int]:
        disk = simulation.disk
        sizes = set()
        for number in range(200):
            file = await disk.append(f"/{number}")
            await file.write(b"synced")
            await file.sync()
            await file.write(b"0123456789")
            disk.crash(torn=True)
            data = await disk.read(f"/{number}")
            assert b"synced0123456789".startswith(data)
            sizes.add(len(data))
        return sizes

    assert simulate(main) == set(range(6, 17))


def test_a_file_of_before_the_crash_is_void() -> None:
    async def main(simulation: Simulation) -> None:
        file = await simulation.disk.append("/journal")
        simulation.disk.crash()
        with pytest.raises(OSError, match="has crashed since this file was opened"):
            await file.write(b"x")
        with pytest.raises(OSError, match="has crashed since"):
            await file.sync()
        await file.close()

    simulate(main)


def test_a_call_that_has_not_returned_is_lost_with_the_crash() -> None:
    async def main(simulation: Simulation) -> None:
        disk = simulation.disk
        file = await disk.append("/journal")
        await file.write(b"x")
        disk.latency = "10ms"
        calls = [asyncio.create_task(call) for call in (file.sync(), disk.append("/other"), disk.make_folder("/folder"))]
        await asyncio.sleep(0.005)
        disk.crash()
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, OSError)
        assert (await disk.read("/journal"), await disk.list("/")) == (b"", ["journal"])

    simulate(main)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda disk: disk.append("/new"), ["new", "old"]),
        (lambda disk: disk.rename("/old", "/new"), ["new"]),
        (lambda disk: disk.remove("/old"), []),
        (lambda disk: disk.make_folder("/a/b"), ["a", "old"]),
    ],
    ids=["append", "rename", "remove", "make_folder"],
)
def test_names_are_certain_when_the_call_returns_and_not_before(call: Callable[[Disk], Any], names: list[str]) -> None:
    async def main(simulation: Simulation) -> None:
        disk = simulation.disk
        await write_atomically(disk, "/old", b"old")
        disk.latency = 1
        calling = asyncio.create_task(call(disk))
        await asyncio.sleep(0.5)
        disk.crash()
        await asyncio.gather(calling, return_exceptions=True)
        assert await disk.list("/") == ["old"]
        await call(disk)
        disk.crash()
        assert await disk.list("/") == names
        for name in {"new", "old"} & set(names):
            assert await disk.read(f"/{name}") == (b"" if len(names) == 2 and name == "new" else b"old")

    simulate(main)


@pytest.mark.parametrize("way", ["truncate", "append"])
def test_what_is_cut_off_comes_back_until_that_is_certain(way: str) -> None:
    async def main(simulation: Simulation) -> set[bytes]:
        disk, found = simulation.disk, set[bytes]()
        disk.latency = 1
        for torn in (False, *[True] * 50):
            await write_atomically(disk, "/file", b"123456")
            if way == "truncate":
                calling = asyncio.create_task(disk.truncate("/file", 3))
                await asyncio.sleep(0.5)
            else:
                calling = asyncio.create_task(disk.append("/file", empty=True))
                await asyncio.sleep(1.5)
            disk.crash(torn=torn)
            await asyncio.gather(calling, return_exceptions=True)
            found.add(await disk.read("/file"))
            assert torn or found == {b"123456"}
        await write_atomically(disk, "/file", b"123456")
        if way == "truncate":
            await disk.truncate("/file", 3)
        else:
            file = await disk.append("/file", empty=True)
            await file.write(b"123")
            await file.sync()
        disk.crash()
        assert await disk.read("/file") == b"123"
        return found

    assert simulate(main) == {b"123456", b"123" if way == "truncate" else b""}


def test_after_a_crash_syncs_are_true_again() -> None:
    async def main(simulation: Simulation) -> bytes:
        disk = simulation.disk
        file = await disk.append("/journal")
        disk.fail(errno.EIO, "sync")
        with pytest.raises(OSError, match="Input/output error"):
            await file.sync()
        disk.crash()
        file = await disk.append("/journal")
        await file.write(b"x")
        await file.sync()
        disk.crash()
        return await disk.read("/journal")

    assert simulate(main) == b"x"


def test_a_call_that_was_cancelled_is_done_all_the_same() -> None:
    async def main(simulation: Simulation) -> bytes:
        disk = simulation.disk
        file = await disk.append("/journal")
        await file.write(b"x")
        disk.latency = 1
        syncing = asyncio.create_task(file.sync())
        await asyncio.sleep(0.5)
        syncing.cancel()
        await asyncio.sleep(1)
        disk.crash()
        return await disk.read("/journal")

    assert simulate(main) == b"x"


def test_a_full_disk_takes_what_fits_and_says_so() -> None:
    async def main(simulation: Simulation) -> None:
        disk = simulation.disk
        disk.capacity = 10
        file = await disk.append("/journal")
        await file.write(b"1234567")
        with pytest.raises(OSError, match="No space left on device") as caught:
            await file.write(b"89abcd")
        assert caught.value.errno == errno.ENOSPC
        assert (file.size, disk.free) == (10, 0)
        await disk.truncate("/journal", 7)
        await file.write(b"89a")
        assert await disk.read("/journal") == b"123456789a"
        await file.close()

    simulate(main)


def test_calls_fail_on_demand() -> None:
    async def main(simulation: Simulation) -> None:
        disk = simulation.disk
        one, two = await disk.append("/one"), await disk.append("/two")
        disk.fail(errno.EIO, "write", path="/one", times=2)
        for _ in range(2):
            with pytest.raises(OSError, match="Input/output error: '/one'"):
                await one.write(b"x")
            await two.write(b"x")
        await one.write(b"x")
        disk.fail(errno.ENOSPC, times=None)
        for call in (lambda: disk.read("/one"), lambda: disk.append("/one"), two.sync, lambda: disk.rename("/one", "/x")):
            with pytest.raises(OSError, match="No space left"):
                await call()
        disk.heal()
        assert await disk.read("/one") == b"x"
        await one.close()
        await two.close()

    simulate(main)


def test_after_a_failed_sync_nothing_of_that_file_is_certain_any_more() -> None:
    async def main(simulation: Simulation) -> bytes:
        disk = simulation.disk
        file = await disk.append("/journal")
        await file.write(b"certain")
        await file.sync()
        await file.write(b" lost")
        disk.fail(errno.EIO, "sync")
        with pytest.raises(OSError, match="Input/output error"):
            await file.sync()
        await file.write(b" and this")
        await file.sync()
        disk.crash()
        return await disk.read("/journal")

    assert simulate(main) == b"certain"


def test_bad_requests_are_refused() -> None:
    async def main(simulation: Simulation) -> None:
        disk = simulation.disk
        with pytest.raises(ValueError, match=r"a disk has the calls append, write, .*, got 'flush'"):
            disk.fail(errno.EIO, "flush")  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match="times must be at least 1, got 0"):
            disk.fail(errno.EIO, times=0)
        with pytest.raises(ValueError, match="capacity must be at least 0 bytes, got -1"):
            disk.capacity = -1
        with pytest.raises(ValueError, match="latency must be"):
            SimulatedDisk(simulation.random, latency=-1)

    simulate(main)


def test_a_file_that_is_left_open_is_named() -> None:
    async def main(simulation: Simulation) -> None:
        await simulation.disk.append("journal")

    with pytest.raises(LeftOver, match="file <SimulatedFile /journal, open, 0 bytes>"):
        simulate(main)


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("step", range(12))
def test_an_atomic_write_leaves_the_old_file_or_the_new_one(step: int, torn: bool) -> None:
    async def main(simulation: Simulation) -> bytes:
        disk = simulation.disk
        await write_atomically(disk, "/state", b"old")
        file = await disk.append("/state.unfinished")  # what an earlier crash left
        await file.write(b"rubbish")
        await file.close()
        disk.latency = 1
        writing = asyncio.create_task(write_atomically(disk, "/state", b"the new one"))
        await asyncio.sleep(step / 2 + 0.25)
        disk.crash(torn=torn)
        await asyncio.gather(writing, return_exceptions=True)
        disk.latency = 0
        data = await disk.read("/state")
        assert data == (b"the new one" if step >= 10 else b"old")
        await write_atomically(disk, "/state", b"newest")
        assert await disk.list("/") == ["state"]
        return await disk.read("/state")

    assert simulate(main, seed=step) == b"newest"


@pytest.mark.parametrize("call", ["append", "write", "sync", "rename"])
def test_an_atomic_write_that_fails_leaves_the_old_file(call: Any) -> None:
    async def main(simulation: Simulation) -> bytes:
        disk = simulation.disk
        await write_atomically(disk, "/state", b"old")
        disk.fail(errno.EIO, call)
        with pytest.raises(OSError, match="Input/output error"):
            await write_atomically(disk, "/state", b"new")
        return await disk.read("/state")

    assert simulate(main) == b"old"


# By chance, against a model: what a journal may rely on.

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.binary(max_size=8)),
        st.tuples(st.sampled_from(["sync", "reopen", "fail sync", "crash", "torn crash"]), st.just(b"")),
        st.tuples(st.just("truncate"), st.binary(max_size=3)),
    ),
    max_size=30,
)


@given(STEPS)
def test_a_journal_keeps_at_least_what_was_synced_and_at_most_what_was_written(steps: list[tuple[str, bytes]]) -> None:
    async def main(simulation: Simulation) -> None:
        disk = simulation.disk
        file = await disk.append("/journal")
        written, certain, doubtful, cut = b"", b"", False, False
        for step, data in steps:
            if step == "write":
                await file.write(data)
                written += data
            elif step == "sync":
                await file.sync()
                if not doubtful:
                    certain, cut = written, False
            elif step == "fail sync":
                disk.fail(errno.EIO, "sync")
                with pytest.raises(OSError, match="Input/output"):
                    await file.sync()
                doubtful = True
            elif step == "truncate":
                size = max(0, len(written) - len(data))
                await disk.truncate("/journal", size)
                if doubtful and size < len(certain):
                    cut = True  # it is open which of the two a crash leaves
                written = written[:size]
                certain = written if not doubtful else certain if cut else certain[:size]
            elif step == "reopen":
                await file.close()
                file = await disk.append("/journal")
            else:
                disk.crash(torn=step == "torn crash")
                found = await disk.read("/journal")
                if cut:
                    assert found == certain or written.startswith(found)
                else:
                    assert found.startswith(certain)
                    assert written.startswith(found)
                    assert step == "torn crash" or found == certain
                written = certain = found
                doubtful = cut = False
                file = await disk.append("/journal")
            assert await disk.read("/journal") == written
            assert file.size == await disk.size("/journal") == len(written)
        await file.close()

    simulate(main)


# By chance, against the machine's own disk.

PATHS = st.sampled_from(["a", "b", "f/a", "f/b", "f", "f/g", "f/g/a", "a/a", "missing/a"])
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), PATHS, st.binary(max_size=5), st.booleans()),
        st.tuples(st.just("read"), PATHS, st.integers(0, 4), st.none() | st.integers(0, 4)),
        st.tuples(st.just("truncate"), PATHS, st.integers(0, 8), st.none()),
        st.tuples(st.sampled_from(["size", "remove", "list", "make_folder"]), PATHS, st.none(), st.none()),
        st.tuples(st.just("rename"), PATHS, PATHS, st.none()),
        st.tuples(st.just("write_atomically"), PATHS, st.binary(max_size=5), st.none()),
    ),
    max_size=25,
)


async def told(what: Awaitable[Any]) -> object:
    try:
        return await what
    except OSError as error:
        return errno.errorcode[error.errno or 0]


async def append(disk: Disk, path: Path, data: bytes, empty: bool) -> int:
    file = await disk.append(path, empty=empty)
    try:
        await file.write(data)
        await file.sync()
        return file.size
    finally:
        await file.close()


async def outcomes(disk: Disk, root: Path, calls: list[tuple[Any, ...]], folders: set[str]) -> list[object]:
    all_of_them: list[object] = []
    await disk.make_folder(root)
    ask: dict[str, Callable[..., Awaitable[Any]]] = {
        "append": lambda path, data, empty: append(disk, path, data, empty),
        "read": disk.read,
        "truncate": lambda path, size, _: disk.truncate(path, size),
        "size": lambda path, *_: disk.size(path),
        "remove": lambda path, *_: disk.remove(path),
        "list": lambda path, *_: disk.list(path),
        "make_folder": lambda path, *_: disk.make_folder(path),
        "rename": lambda path, target, _: disk.rename(path, root / target),
        "write_atomically": lambda path, data, _: write_atomically(disk, path, data),
    }
    for name, path, *rest in calls:
        if name in {"rename", "size"} and not folders.isdisjoint({path, *rest[:1]}):
            continue  # of files only, by contract
        all_of_them.append((name, path, await told(ask[name](root / path, *rest))))
        if name == "make_folder" and all_of_them[-1] == (name, path, None):
            folders.update({path, *map(str, Path(path).parents)})
    all_of_them.append(await told(disk.list(root)))
    return all_of_them


@settings(max_examples=60)
@given(CALLS)
def test_without_crashes_it_is_as_the_machines(calls: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("os.fsync"):  # no crash will come
        root = Path(folder) / "root"
        simulated = simulate(lambda simulation: outcomes(simulation.disk, root, calls, set()))
        real = simulate(lambda simulation: outcomes(LocalDisk(), root, calls, set()))
    assert simulated == real
